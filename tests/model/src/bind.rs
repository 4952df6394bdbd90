// SPDX-License-Identifier: MIT

//! area.bind: a reader's area is bound while the writer is publishing.
//!
//! Transcribes cell_write() of daemon/cells.c, wait_any() and the end of publish(). The broker resets the area's flag, sets the area's bit
//! in the card with release and only then answers the reader, who may sleep at once. The writer must look at the bits after its
//! fence, not before: a bit looked at too early is a flag not looked at.
//!
//! Bounds: 3 threads (broker, reader, writer), 1 write.
//! Property: the reader does not sleep for ever.

use crate::harness::{fails, holds, ALL, LOST_WAKE_UP};
use crate::wait::Futex;
use loom::sync::atomic::{fence, AtomicU32, AtomicU64, Ordering};
use loom::thread;
use std::sync::Arc;

#[derive(Clone, Copy)]
struct Orders {
    bits_after_fence: bool,
    bound_before_answer: bool,
    reset_before_bit: bool,
}

const ORDERS: Orders = Orders { bits_after_fence: true, bound_before_answer: true, reset_before_bit: true };

struct Segment {
    counter: AtomicU64,
    bound: AtomicU64,
    waiters: AtomicU32,
    wake: AtomicU32,
    futex: Futex,
}

impl Segment {
    fn publish(&self, orders: Orders) {
        let mut bound = self.bound.load(Ordering::Acquire);

        self.counter.store(1, Ordering::Release);
        fence(Ordering::SeqCst);
        if orders.bits_after_fence {
            bound = self.bound.load(Ordering::Acquire);
        }
        if bound != 0 && self.waiters.load(Ordering::Relaxed) != 0 {
            self.waiters.swap(0, Ordering::Relaxed);
            self.wake.fetch_add(1, Ordering::Release);
            self.futex.wake_all();
        }
    }

    fn wait(&self) {
        loop {
            let wake = self.wake.load(Ordering::Acquire);

            if self.counter.load(Ordering::Acquire) == 1 {
                return;
            }
            self.waiters.store(1, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            if self.counter.load(Ordering::Acquire) == 1 {
                return;
            }
            self.futex.wait(|| self.wake.load(Ordering::Relaxed) != wake);
        }
    }

    fn bind(&self, orders: Orders) {
        if orders.reset_before_bit {
            self.waiters.store(0, Ordering::Relaxed);
        }
        self.bound.store(1, Ordering::Release);
    }
}

fn reader_of_a_new_area(orders: Orders) -> impl Fn() + Send + Sync + 'static {
    move || {
        let segment = Arc::new(Segment {
            counter: AtomicU64::new(0),
            bound: AtomicU64::new(0),
            waiters: AtomicU32::new(0),
            wake: AtomicU32::new(0),
            futex: Futex::new(),
        });
        let writer = segment.clone();
        let reader = segment.clone();
        let writer = thread::spawn(move || writer.publish(orders));

        if orders.bound_before_answer {
            segment.bind(orders);
        }
        let reader = thread::spawn(move || reader.wait());
        if !orders.bound_before_answer {
            segment.bind(orders);
        }
        if !orders.reset_before_bit {
            segment.waiters.store(0, Ordering::Relaxed);
        }
        writer.join().unwrap();
        reader.join().unwrap();
    }
}

#[test]
fn reader_of_a_new_area_is_woken() {
    holds("bind, one write", ALL, reader_of_a_new_area(ORDERS));
}

#[test]
fn area_bind_mutants() {
    let check = |name: &str, orders| fails(name, LOST_WAKE_UP, ALL, reader_of_a_new_area(orders));

    check("area.bind looked at before the fence", Orders { bits_after_fence: false, ..ORDERS });
    check("area.bind after the answer", Orders { bound_before_answer: false, ..ORDERS });
    check("area.bind with the flag reset last", Orders { reset_before_bit: false, ..ORDERS });
}
