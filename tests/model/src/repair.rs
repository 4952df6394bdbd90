// SPDX-License-Identifier: MIT

//! repair.slot: the broker mends what a dead writer left while readers read, and the next writer goes on.
//!
//! Transcribes publish() with a death between any two of its steps, slot_mend() of daemon/repair.c, slot_holds() and
//! slot_copy(). Two slots hold numbers 0 and 1; the first writer writes number 2 over number 0 and dies; the broker repairs; the second
//! writer takes its number from the counter. Death, repair and the next grant are ordered by the kernel (pidfd, socket), so they are one
//! thread here, one after the other.
//!
//! Bounds: 2 threads, at most 4 preemptions, a death at each of 6 steps, 2 words, 1 write after the repair; the reader reads the slot under repair twice, as each number
//! that can be there, and then the newest.
//! Properties: nothing torn is accepted; no number is accepted with two contents; the newest number does not go back; once a number
//! was accepted, the writer that follows does not use it again; a second repair changes nothing.

use crate::harness::{fails, holds, load_own, Bounds, ALL};
use crate::slot::{id_done, id_writing, Slot, ORDERS};
use loom::sync::atomic::{fence, AtomicU64, Ordering};
use loom::thread;
use std::sync::Arc;

const WRONG: &str = "wrong";
const TWICE: &str = "used twice";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Death {
    BeforeClaim,
    Claimed,
    HalfFilled,
    Filled,
    Published,
    Counted,
}

const DEATHS: [Death; 6] = [Death::BeforeClaim, Death::Claimed, Death::HalfFilled, Death::Filled, Death::Published, Death::Counted];

#[derive(Clone, Copy)]
struct Repair {
    rolls_forward: bool,
    forward: Ordering,
    calls_half_done: bool,
    restores_old: bool,
}

const REPAIR: Repair = Repair { rolls_forward: true, forward: Ordering::Release, calls_half_done: false, restores_old: false };

struct Ring {
    counter: AtomicU64,
    slots: [Slot; 2],
}

const FIRST: u64 = 1000;
const SECOND: u64 = 2000;

impl Ring {
    fn slot(&self, number: u64) -> &Slot {
        &self.slots[(number & 1) as usize]
    }

    fn write_and_die(&self, death: Death) {
        let slot = self.slot(2);

        if death == Death::BeforeClaim {
            return;
        }
        slot.id.store(id_writing(2), Ordering::Relaxed);
        fence(Ordering::Release);
        if death == Death::Claimed {
            return;
        }
        slot.words[0].store(FIRST + 2, Ordering::Relaxed);
        if death == Death::HalfFilled {
            return;
        }
        slot.words[1].store(FIRST + 2, Ordering::Relaxed);
        if death == Death::Filled {
            return;
        }
        slot.id.store(id_done(2), Ordering::Release);
        if death == Death::Published {
            return;
        }
        self.counter.store(3, Ordering::Release);
    }

    fn repair(&self, repair: Repair) {
        let counter = load_own(&self.counter);
        let slot = self.slot(counter);
        let id = load_own(&slot.id);

        if id == id_done(counter) && repair.rolls_forward {
            self.counter.store(counter + 1, repair.forward);
        } else if id == id_writing(counter) {
            if repair.calls_half_done {
                slot.id.store(id_done(counter), Ordering::Release);
                self.counter.store(counter + 1, Ordering::Release);
            } else if repair.restores_old {
                slot.id.store(id_done(counter - 2), Ordering::Release);
            } else {
                slot.id.store(0, Ordering::Release);
            }
        }
    }

    fn write_on(&self) {
        let number = load_own(&self.counter);

        self.slot(number).write(number, SECOND + number, ORDERS);
        self.counter.store(number + 1, Ordering::Release);
    }
}

fn reader_of_a_repaired_slot(death: Death, repair: Repair) -> impl Fn() + Send + Sync + 'static {
    move || {
        let ring = Arc::new(Ring { counter: AtomicU64::new(2), slots: [Slot::holding(0, FIRST), Slot::holding(1, FIRST + 1)] });
        let writers = ring.clone();
        let writer = thread::spawn(move || {
            writers.write_and_die(death);
            writers.repair(repair);
            let counter = load_own(&writers.counter);
            let id = load_own(&writers.slot(counter).id);
            writers.repair(repair);
            assert_eq!(load_own(&writers.counter), counter, "{WRONG}: a second repair moved the counter");
            assert_eq!(load_own(&writers.slot(counter).id), id, "{WRONG}: a second repair changed an id");
            writers.write_on();
        });
        let mut accepted: Option<[u64; 2]> = None;

        for number in [0, 2, 2] {
            if let Some(copy) = ring.slot(number).read(number, ORDERS) {
                let content = copy[0];
                assert!(copy[1] == content, "{WRONG}: {copy:?} accepted as number {number}");
                if number == 0 {
                    assert!(content == FIRST, "{WRONG}: {copy:?} accepted as number 0");
                } else {
                    assert!(content == FIRST + 2 || content == SECOND + 2, "{WRONG}: {copy:?} accepted as number 2");
                    assert!(accepted.is_none() || accepted == Some(copy), "{TWICE}: number 2 is {accepted:?} and {copy:?}");
                    accepted = Some(copy);
                }
            }
        }
        writer.join().unwrap();
        if let (Some(before), Some(now)) = (accepted, ring.slot(2).read(2, ORDERS)) {
            assert_eq!(before, now, "{TWICE}: number 2 at the end");
        }
        let next = ring.counter.load(Ordering::Acquire);
        assert!(ring.slot(next - 1).read(next - 1, ORDERS).is_some(), "{WRONG}: the newest number {} is not there", next - 1);
    }
}

/// A reader of the counter alone: what it promises is in its slot, whoever counted it.
fn reader_of_a_repaired_counter(repair: Repair) -> impl Fn() + Send + Sync + 'static {
    move || {
        let ring = Arc::new(Ring { counter: AtomicU64::new(2), slots: [Slot::holding(0, FIRST), Slot::holding(1, FIRST + 1)] });
        let writers = ring.clone();
        let writer = thread::spawn(move || {
            writers.write_and_die(Death::Published);
            writers.repair(repair);
        });
        let next = ring.counter.load(Ordering::Acquire);
        let id = ring.slot(next - 1).id.load(Ordering::Acquire);
        assert!(id >= id_done(next - 1), "{WRONG}: number {} is counted, its slot shows id {id}", next - 1);
        writer.join().unwrap();
    }
}

#[test]
fn repair_is_invisible_to_readers() {
    for death in DEATHS {
        holds(&format!("repair, death when {death:?}"), Bounds { preemptions: Some(4) }, reader_of_a_repaired_slot(death, REPAIR));
    }
    holds("repair, rolled forward", ALL, reader_of_a_repaired_counter(REPAIR));
}

#[test]
fn repair_slot_mutants() {
    let check = |name: &str, expected: &str, death, repair| fails(name, expected, ALL, reader_of_a_repaired_slot(death, repair));

    check("repair.slot that does not roll forward", TWICE, Death::Published, Repair { rolls_forward: false, ..REPAIR });
    check("repair.slot that takes a half-written id for done", WRONG, Death::HalfFilled, Repair { calls_half_done: true, ..REPAIR });
    check("repair.slot that restores the old id", WRONG, Death::HalfFilled, Repair { restores_old: true, ..REPAIR });
    fails(
        "repair.slot that rolls forward relaxed",
        WRONG,
        ALL,
        reader_of_a_repaired_counter(Repair { forward: Ordering::Relaxed, ..REPAIR }),
    );
}
