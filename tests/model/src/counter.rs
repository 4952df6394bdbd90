// SPDX-License-Identifier: MIT

//! counter.publish: the counter says which numbers are there.
//!
//! Transcribes publish(), next_number() and the choice of the newest in latest() (libclient/slots.c): two slots, ids only (what the payload
//! does is slot.rs). The counter may lag one behind; then the slot of its number is done already and is the newest.
//!
//! Bounds: 2 threads, 2 writes (3 where the slot of the first has to be used again), 2 reads.
//! Properties: the slot of a number below the counter never shows an id from before that number (a reader would report the newest
//! element as overwritten or not there); what a handle returns never goes back; a number that is known to be published is found.

use crate::harness::{fails, holds, Bounds, ALL};
use crate::slot::{id_done, id_writing};
use loom::sync::atomic::{fence, AtomicU64, Ordering};
use loom::thread;
use std::sync::Arc;

const SLOTS: usize = 2;
const MISSING: &str = "missing";
const BACK: &str = "back";

#[derive(Clone, Copy)]
struct Orders {
    publish: Ordering,
    load: Ordering,
    counter_last: bool,
    remembers: bool,
}

const ORDERS: Orders = Orders { publish: Ordering::Release, load: Ordering::Acquire, counter_last: true, remembers: true };

struct Ring {
    counter: AtomicU64,
    ids: [AtomicU64; SLOTS],
}

impl Ring {
    fn id(&self, number: u64) -> &AtomicU64 {
        &self.ids[number as usize % SLOTS]
    }

    fn write(&self, number: u64, orders: Orders) {
        self.id(number).store(id_writing(number), Ordering::Relaxed);
        fence(Ordering::Release);
        if !orders.counter_last {
            self.counter.store(number + 1, orders.publish);
        }
        self.id(number).store(id_done(number), Ordering::Release);
        if orders.counter_last {
            self.counter.store(number + 1, orders.publish);
        }
    }

    /// One past the newest number, at least `known`.
    fn next(&self, known: u64, orders: Orders) -> u64 {
        let mut next = self.counter.load(orders.load);

        if next < known && orders.remembers {
            next = known;
        }
        if self.id(next).load(Ordering::Acquire) == id_done(next) {
            next += 1;
        }
        if next > 0 {
            let id = self.id(next - 1).load(Ordering::Acquire);

            assert!(id >= id_done(next - 1), "{MISSING}: number {} is published, its slot shows id {id}", next - 1);
        }
        next
    }
}

fn reader_of_the_newest(writes: u64, orders: Orders) -> impl Fn() + Send + Sync + 'static {
    move || {
        let ring = Arc::new(Ring { counter: AtomicU64::new(0), ids: [AtomicU64::new(0), AtomicU64::new(0)] });
        let writers = ring.clone();
        let writer = thread::spawn(move || {
            for number in 0..writes {
                writers.write(number, orders);
            }
        });
        let first = ring.next(0, orders);
        let second = ring.next(first, orders);
        assert!(second >= first, "{BACK}: from {first} to {second}");
        writer.join().unwrap();
        assert_eq!(ring.next(second, orders), writes, "{MISSING}: after the writer has ended");
    }
}

#[test]
fn counter_never_promises_what_is_not_there() {
    holds("counter, two writes, two reads", ALL, reader_of_the_newest(2, ORDERS));
    holds("counter, three writes, two reads", Bounds { preemptions: Some(5) }, reader_of_the_newest(3, ORDERS));
}

#[test]
fn counter_publish_mutants() {
    let check = |name: &str, expected: &str, orders| fails(name, expected, ALL, reader_of_the_newest(3, orders));

    check("counter.publish stored relaxed", MISSING, Orders { publish: Ordering::Relaxed, ..ORDERS });
    check("counter.publish loaded relaxed", MISSING, Orders { load: Ordering::Relaxed, ..ORDERS });
    check("counter.publish before the id", MISSING, Orders { counter_last: false, ..ORDERS });
    check("counter.publish without the handle's memory", BACK, Orders { remembers: false, ..ORDERS });
}
