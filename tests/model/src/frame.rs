// SPDX-License-Identifier: MIT

//! frame.pin, frame.reuse and frame.entry: a frame that a reader holds is not lent to the writer, and an entry is that of one frame.
//!
//! Transcribes commit(), publish_count(), pins_visit() and loan_take() (libclient/frame_write.c, publish.h), pin_take(), entry_holds_still() and
//! shmb_frame_release() (libclient/frame_read.c): a history of one frame, two slots. Number 0 lies in slot 0, number 1 goes to slot 1, number 2 needs slot
//! 0 again. The payload is memory that loom watches: two accesses that nothing orders, one of them a write, are a failure.
//!
//! Bounds: 2 threads, a third for the successor of a writer that died; one pin, any interleaving. Entries: one lap, any interleaving.
//! Properties: the payload is never written while a reader may look at it, also not by a compiler or machine that moves either's accesses; slot,
//! length and stamp of an accepted entry are of one frame.

use crate::harness::{fails, holds, ALL};
use crate::slot::{Slot, ORDERS as SLOT_ORDERS};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{fence, AtomicU64, Ordering};
use loom::thread;
use std::sync::Arc;

const HISTORY: u64 = 1;
const OVERWRITTEN: &str = "Causality violation";
const MIXED: &str = "mixed";

#[derive(Clone, Copy)]
struct Orders {
    writer_fence: bool,
    reader_fence: bool,
    checks_counter: bool,
    looks_after_counter: bool,
    release: Ordering,
    reuse: Ordering,
    successor_fence: bool,
}

const ORDERS: Orders = Orders {
    writer_fence: true,
    reader_fence: true,
    checks_counter: true,
    looks_after_counter: true,
    release: Ordering::Release,
    reuse: Ordering::Acquire,
    successor_fence: true,
};

struct Frame {
    counter: AtomicU64,
    pin: AtomicU64,
    payload: UnsafeCell<u64>,
}

impl Frame {
    /// Number 0 is committed, in slot 0.
    fn new() -> Arc<Frame> {
        Arc::new(Frame { counter: AtomicU64::new(1), pin: AtomicU64::new(0), payload: UnsafeCell::new(0) })
    }

    /// Number 1, in the other slot.
    fn commit(&self, orders: Orders) -> u64 {
        let early = if orders.looks_after_counter { 0 } else { self.pin.load(orders.reuse) };

        self.counter.store(2, Ordering::Release);
        if orders.writer_fence {
            fence(Ordering::SeqCst);
        }
        early
    }

    /// Number 2: slot 0 unless it is held.
    fn loan(&self, early: u64, orders: Orders) {
        let pin = if orders.looks_after_counter { self.pin.load(orders.reuse) } else { early };

        if pin != 0 {
            return;
        }
        self.payload.with_mut(|payload| unsafe { *payload = 2 });
    }

    /// Pins number 0, looks at it, releases it.
    fn pin_and_release(&self, orders: Orders) {
        self.pin.store(1, Ordering::Relaxed);
        if orders.reader_fence {
            fence(Ordering::SeqCst);
        }
        if orders.checks_counter && self.counter.load(Ordering::Relaxed) > HISTORY {
            self.pin.store(0, Ordering::Relaxed);
            return;
        }
        self.payload.with(|payload| assert_eq!(unsafe { *payload }, 0));
        self.pin.store(0, orders.release);
    }
}

fn pins(orders: Orders) -> impl Fn() + Send + Sync + 'static {
    move || {
        let frame = Frame::new();
        let writers = frame.clone();
        let writer = thread::spawn(move || {
            let early = writers.commit(orders);

            writers.loan(early, orders);
        });
        frame.pin_and_release(orders);
        writer.join().unwrap();
    }
}

/// The writer dies between counter and fence; its end is known before its successor begins.
fn succession(orders: Orders) -> impl Fn() + Send + Sync + 'static {
    move || {
        let frame = Frame::new();
        let writers = frame.clone();
        let writer = thread::spawn(move || {
            let dying = writers.clone();
            thread::spawn(move || dying.counter.store(2, Ordering::Release)).join().unwrap();
            if orders.successor_fence {
                fence(Ordering::SeqCst);
            }
            writers.loan(0, orders);
        });
        frame.pin_and_release(orders);
        writer.join().unwrap();
    }
}

/// Entry of number 0, taken for number 2: slot and length are its two words.
fn entries(claim_fence: bool, check_fence: bool, claims: bool) -> impl Fn() + Send + Sync + 'static {
    let orders = crate::slot::Orders { claim_fence, check_fence, claims, ..SLOT_ORDERS };

    move || {
        let entry = Arc::new(Slot::holding(0, 10));
        let writers = entry.clone();
        let writer = thread::spawn(move || writers.write(2, 12, orders));

        for (number, content) in [(0, 10), (2, 12)] {
            if let Some([slot, length]) = entry.read(number, orders) {
                assert!(slot == content && length == content, "{MIXED}: slot {slot} and length {length} for number {number}");
            }
        }
        writer.join().unwrap();
    }
}

/// The same entry, taken while it is pinned: slot and stamp are its two words.
fn pinned_entries(before_fence: bool) -> impl Fn() + Send + Sync + 'static {
    move || {
        let entry = Arc::new(Slot::holding(0, 10));
        let writers = entry.clone();
        let writer = thread::spawn(move || writers.write(2, 12, SLOT_ORDERS));

        if let Some([slot, stamp]) = entry.read_pinned(0, before_fence) {
            assert!(slot == 10 && stamp == 10, "{MIXED}: slot {slot} and stamp {stamp} for number 0");
        }
        writer.join().unwrap();
    }
}

#[test]
fn held_frames_stay() {
    holds("frame, a pin against a loan", ALL, pins(ORDERS));
    holds("frame, a pin against the loan of a successor", ALL, succession(ORDERS));
    holds("frame, an entry that is used again", ALL, entries(true, true, true));
    holds("frame, an entry that is used again while its frame is being pinned", ALL, pinned_entries(true));
}

#[test]
fn frame_pin_mutants() {
    let check = |name: &str, orders| fails(name, OVERWRITTEN, ALL, pins(orders));

    check("frame.pin without the writer's fence", Orders { writer_fence: false, ..ORDERS });
    check("frame.pin without the reader's fence", Orders { reader_fence: false, ..ORDERS });
    check("frame.pin without the second look at the counter", Orders { checks_counter: false, ..ORDERS });
    check("frame.pin with pins looked at before the counter is stored", Orders { looks_after_counter: false, ..ORDERS });
    fails("frame.pin without the fence of a writer that begins", OVERWRITTEN, ALL, succession(Orders { successor_fence: false, ..ORDERS }));
}

#[test]
fn frame_reuse_mutants() {
    let check = |name: &str, orders| fails(name, OVERWRITTEN, ALL, pins(orders));

    check("frame.reuse released relaxed", Orders { release: Ordering::Relaxed, ..ORDERS });
    check("frame.reuse looked at relaxed", Orders { reuse: Ordering::Relaxed, ..ORDERS });
}

#[test]
fn frame_entry_mutants() {
    fails("frame.entry without the writer's release fence", MIXED, ALL, entries(false, true, true));
    fails("frame.entry without the reader's acquire fence", MIXED, ALL, entries(true, false, true));
    fails("frame.entry without the claim", MIXED, ALL, entries(true, true, false));
    fails("frame.entry with the stamp taken behind the pin's fence", MIXED, ALL, pinned_entries(false));
}
