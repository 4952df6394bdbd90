// SPDX-License-Identifier: MIT

//! writer.verdict and event.bump: a reader hears of its writer's death after the last element, not before it, and not never.
//!
//! Transcribes release() of daemon/lease.c (repair, verdict, wake word, wake), look() and the loop of wait_any(). The event word of
//! event_page_bump() is the wake word here: both are incremented with release after the change and loaded with acquire before
//! the look, and the reader sleeps on both at once. The writer is dead when the broker begins, which the kernel's pidfd orders: it is the
//! broker's own thread here.
//!
//! Bounds: 2 threads; the writer dies after its id and before its counter (the repair rolls forward) or after both.
//! Properties: who sees the verdict sees the element; a reader without a deadline does not sleep for ever.

use crate::harness::{fails, holds, load_own, ALL, LOST_WAKE_UP};
use crate::wait::Futex;
use loom::sync::atomic::{fence, AtomicU32, AtomicU64, Ordering};
use loom::thread;
use std::sync::Arc;

const ALIVE: u64 = 1;
const DEAD: u64 = 3;
const DONE: u64 = 2;
const TOO_EARLY: &str = "too early";

#[derive(Clone, Copy)]
struct Orders {
    verdict: Ordering,
    load: Ordering,
    verdict_before_data: bool,
    repair_before_verdict: bool,
    verdict_before_wake: bool,
    wake_word_first: bool,
    increments: bool,
}

const ORDERS: Orders = Orders {
    verdict: Ordering::Release,
    load: Ordering::Acquire,
    verdict_before_data: true,
    repair_before_verdict: true,
    verdict_before_wake: true,
    wake_word_first: true,
    increments: true,
};

struct Segment {
    id: AtomicU64,
    counter: AtomicU64,
    verdict: AtomicU64,
    wake: AtomicU32,
    futex: Futex,
}

impl Segment {
    fn repair(&self) {
        if load_own(&self.counter) == 0 && load_own(&self.id) == DONE {
            self.counter.store(1, Ordering::Release);
        }
    }

    fn wake_all(&self, orders: Orders) {
        if orders.increments {
            self.wake.fetch_add(1, Ordering::Release);
        }
        self.futex.wake_all();
    }

    fn bury(&self, orders: Orders) {
        if orders.repair_before_verdict {
            self.repair();
        }
        if !orders.verdict_before_wake {
            self.wake_all(orders);
        }
        self.verdict.store(DEAD, orders.verdict);
        if !orders.repair_before_verdict {
            self.repair();
        }
        if orders.verdict_before_wake {
            self.wake_all(orders);
        }
    }

    /// By the counter alone, which is the weaker sign: the id is there before it.
    fn has_data(&self) -> bool {
        self.counter.load(Ordering::Acquire) == 1
    }

    /// Waits for the verdict; returns whether the element had been seen before.
    fn wait_for_the_end(&self, orders: Orders) -> bool {
        let mut seen = false;

        loop {
            let mut wake = 0;
            let mut verdict = ALIVE;

            if orders.wake_word_first {
                wake = self.wake.load(Ordering::Acquire);
            }
            if orders.verdict_before_data {
                verdict = self.verdict.load(orders.load);
            }
            seen |= self.has_data();
            if !orders.verdict_before_data {
                verdict = self.verdict.load(orders.load);
            }
            if verdict == DEAD {
                return seen;
            }
            fence(Ordering::SeqCst);
            if !orders.wake_word_first {
                wake = self.wake.load(Ordering::Acquire);
            }
            self.futex.wait(|| self.wake.load(Ordering::Relaxed) != wake);
        }
    }
}

fn reader_of_a_dying_writer(counted: bool, orders: Orders) -> impl Fn() + Send + Sync + 'static {
    move || {
        let segment = Arc::new(Segment {
            id: AtomicU64::new(0),
            counter: AtomicU64::new(0),
            verdict: AtomicU64::new(ALIVE),
            wake: AtomicU32::new(0),
            futex: Futex::new(),
        });
        let broker = segment.clone();
        let broker = thread::spawn(move || {
            broker.id.store(DONE, Ordering::Release);
            if counted {
                broker.counter.store(1, Ordering::Release);
            }
            broker.bury(orders);
        });
        assert!(segment.wait_for_the_end(orders), "{TOO_EARLY}: the writer is reported dead before its last element");
        broker.join().unwrap();
    }
}

#[test]
fn death_is_heard_after_the_data() {
    holds("verdict, died before its counter", ALL, reader_of_a_dying_writer(false, ORDERS));
    holds("verdict, died after its counter", ALL, reader_of_a_dying_writer(true, ORDERS));
}

#[test]
fn writer_verdict_mutants() {
    let check = |name: &str, orders| fails(name, TOO_EARLY, ALL, reader_of_a_dying_writer(false, orders));

    check("writer.verdict stored relaxed", Orders { verdict: Ordering::Relaxed, ..ORDERS });
    check("writer.verdict loaded relaxed", Orders { load: Ordering::Relaxed, ..ORDERS });
    check("writer.verdict loaded after the data", Orders { verdict_before_data: false, ..ORDERS });
    check("writer.verdict before the repair", Orders { repair_before_verdict: false, ..ORDERS });
}

#[test]
fn event_bump_mutants() {
    let check = |name: &str, orders| fails(name, LOST_WAKE_UP, ALL, reader_of_a_dying_writer(false, orders));

    check("event.bump before the change", Orders { verdict_before_wake: false, ..ORDERS });
    check("event.bump loaded after the look", Orders { wake_word_first: false, ..ORDERS });
    check("event.bump without the increment", Orders { increments: false, ..ORDERS });
}
