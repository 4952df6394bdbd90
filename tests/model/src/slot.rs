// SPDX-License-Identifier: MIT

//! slot.claim and slot.publish: a slot whose id names the write it holds.
//!
//! Transcribes publish(), slot_holds() and slot_copy() of libclient/slots.c: one slot that the writer laps once or twice while a reader copies
//! it. Number n of a ring of two slots: 0, 2 and 4 share this one.
//!
//! Bounds: 2 threads; one write over the first, any interleaving, or two, at most 5 preemptions; payload of 2 words; the reader tries each number once, oldest first.
//! Property: what a reader accepts as number n is what was written as number n, whole.

use crate::harness::{fails, holds, Bounds, ALL};
use loom::sync::atomic::{fence, AtomicU64, Ordering};
use loom::thread;
use std::sync::Arc;

const WORDS: u64 = 2;
const TORN: &str = "torn";

/// Each field is one end of an edge; the default is what the C does.
#[derive(Clone, Copy)]
pub struct Orders {
    pub claims: bool,
    pub claim_fence: bool,
    pub publish: Ordering,
    pub load: Ordering,
    pub check_fence: bool,
    pub checks: bool,
}

pub const ORDERS: Orders =
    Orders { claims: true, claim_fence: true, publish: Ordering::Release, load: Ordering::Acquire, check_fence: true, checks: true };

pub fn id_writing(number: u64) -> u64 {
    2 * number + 1
}

pub fn id_done(number: u64) -> u64 {
    2 * number + 2
}

pub struct Slot {
    pub id: AtomicU64,
    pub words: [AtomicU64; WORDS as usize],
}

impl Slot {
    pub fn holding(number: u64, content: u64) -> Slot {
        Slot { id: AtomicU64::new(id_done(number)), words: [AtomicU64::new(content), AtomicU64::new(content)] }
    }

    pub fn write(&self, number: u64, content: u64, orders: Orders) {
        if orders.claims {
            self.id.store(id_writing(number), Ordering::Relaxed);
        }
        if orders.claim_fence {
            fence(Ordering::Release);
        }
        for word in &self.words {
            word.store(content, Ordering::Relaxed);
        }
        self.id.store(id_done(number), orders.publish);
    }

    /// As a frame's entry by pin_take(): the pin's fence lies between what is taken of it and the last look at its id; mutant: the second word is taken behind it.
    pub fn read_pinned(&self, number: u64, before_fence: bool) -> Option<[u64; WORDS as usize]> {
        if self.id.load(Ordering::Acquire) != id_done(number) {
            return None;
        }
        let first = self.words[0].load(Ordering::Relaxed);
        let early = if before_fence { self.words[1].load(Ordering::Relaxed) } else { 0 };
        fence(Ordering::SeqCst);
        let second = if before_fence { early } else { self.words[1].load(Ordering::Relaxed) };
        if self.id.load(Ordering::Relaxed) != id_done(number) {
            return None;
        }
        Some([first, second])
    }

    /// What was accepted as `number`, None when it is not there (not yet, or no more).
    pub fn read(&self, number: u64, orders: Orders) -> Option<[u64; WORDS as usize]> {
        if self.id.load(orders.load) != id_done(number) {
            return None;
        }
        let copy = [self.words[0].load(Ordering::Relaxed), self.words[1].load(Ordering::Relaxed)];
        if orders.check_fence {
            fence(Ordering::Acquire);
        }
        if orders.checks && self.id.load(Ordering::Relaxed) != id_done(number) {
            return None;
        }
        Some(copy)
    }
}

fn content(number: u64) -> u64 {
    100 + number
}

fn lapped_reader(numbers: &'static [u64], orders: Orders) -> impl Fn() + Send + Sync + 'static {
    move || {
        let slot = Arc::new(Slot::holding(numbers[0], content(numbers[0])));
        let writers = slot.clone();
        let writer = thread::spawn(move || {
            for &number in &numbers[1..] {
                writers.write(number, content(number), orders);
            }
        });
        for &number in numbers {
            if let Some(copy) = slot.read(number, orders) {
                assert_eq!(copy, [content(number); WORDS as usize], "{TORN}: accepted as number {number}");
            }
        }
        writer.join().unwrap();
    }
}

#[test]
fn reader_accepts_only_whole_writes() {
    holds("slot, lapped once", ALL, lapped_reader(&[0, 2], ORDERS));
    holds("slot, lapped twice", Bounds { preemptions: Some(5) }, lapped_reader(&[0, 2, 4], ORDERS));
}

#[test]
fn slot_claim_mutants() {
    let check = |name: &str, orders| fails(name, TORN, ALL, lapped_reader(&[0, 2], orders));

    check("slot.claim without the writer's release fence", Orders { claim_fence: false, ..ORDERS });
    check("slot.claim without the reader's acquire fence", Orders { check_fence: false, ..ORDERS });
    check("slot.claim without the claim", Orders { claims: false, ..ORDERS });
    check("slot.claim without the second look", Orders { checks: false, ..ORDERS });
}

#[test]
fn slot_publish_mutants() {
    let check = |name: &str, orders| fails(name, TORN, ALL, lapped_reader(&[0, 2], orders));

    check("slot.publish stored relaxed", Orders { publish: Ordering::Relaxed, ..ORDERS });
    check("slot.publish loaded relaxed", Orders { load: Ordering::Relaxed, ..ORDERS });
}
