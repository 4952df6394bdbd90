// SPDX-License-Identifier: MIT

//! key.publish: who takes the counter sees the keys of the numbers below it, and where their run of keys begins.
//!
//! Transcribes publish() and keys_begin() (libclient/slots.c), bounds() (libclient/temporal.c), temporal_key() and temporal_holds()
//! (libclient/temporal.h): two slots with a key each, of which a search of one element is made, and a restart of the keys.
//!
//! Bounds: 2 threads; 2 writes that come round on the slot of the first, 2 looks; a restart and 1 write, 1 look.
//! Properties: a key that is accepted is that of the number it was looked up for; no search begins before the run of its newest number.

use crate::harness::{fails, holds, ALL};
use crate::slot::{id_done, id_writing};
use loom::sync::atomic::{fence, AtomicU64, Ordering};
use loom::thread;
use std::sync::Arc;

const SLOTS: usize = 2;
const MISLED: &str = "misled";
const CROSSED: &str = "crossed";

#[derive(Clone, Copy)]
struct Orders {
    publish: Ordering,
    load: Ordering,
    base_first: bool,
    base_after_counter: bool,
    looks_twice: bool,
}

const ORDERS: Orders =
    Orders { publish: Ordering::Release, load: Ordering::Acquire, base_first: true, base_after_counter: true, looks_twice: true };

struct Ring {
    counter: AtomicU64,
    key_base: AtomicU64,
    ids: [AtomicU64; SLOTS],
    keys: [AtomicU64; SLOTS],
}

fn key_of(number: u64) -> u64 {
    100 + number
}

impl Ring {
    /// Number 0 is there.
    fn new() -> Arc<Ring> {
        Arc::new(Ring {
            counter: AtomicU64::new(1),
            key_base: AtomicU64::new(0),
            ids: [AtomicU64::new(id_done(0)), AtomicU64::new(0)],
            keys: [AtomicU64::new(key_of(0)), AtomicU64::new(0)],
        })
    }

    fn write(&self, number: u64, orders: Orders) {
        let slot = number as usize % SLOTS;

        self.ids[slot].store(id_writing(number), Ordering::Relaxed);
        fence(Ordering::Release);
        self.keys[slot].store(key_of(number), Ordering::Relaxed);
        self.ids[slot].store(id_done(number), Ordering::Release);
        self.counter.store(number + 1, orders.publish);
    }

    /// The key of the newest, None where it was overwritten meanwhile.
    fn newest(&self, orders: Orders) -> Option<(u64, u64)> {
        let number = self.counter.load(orders.load) - 1;
        let slot = number as usize % SLOTS;
        let key = self.keys[slot].load(Ordering::Relaxed);

        if orders.looks_twice {
            fence(Ordering::Acquire);
            if self.ids[slot].load(Ordering::Relaxed) != id_done(number) {
                return None;
            }
        }
        Some((number, key))
    }
}

fn searches(orders: Orders) -> impl Fn() + Send + Sync + 'static {
    move || {
        let ring = Ring::new();
        let writers = ring.clone();
        let writer = thread::spawn(move || {
            writers.write(1, orders);
            writers.write(2, orders);
        });
        for _ in 0..2 {
            if let Some((number, key)) = ring.newest(orders) {
                assert_eq!(key, key_of(number), "{MISLED}: the key of number {number}");
            }
        }
        writer.join().unwrap();
    }
}

fn restarts(orders: Orders) -> impl Fn() + Send + Sync + 'static {
    move || {
        let ring = Ring::new();
        let writers = ring.clone();
        let writer = thread::spawn(move || {
            if orders.base_first {
                writers.key_base.store(1, Ordering::Relaxed);
            }
            writers.write(1, orders);
            if !orders.base_first {
                writers.key_base.store(1, Ordering::Relaxed);
            }
        });
        let early = ring.key_base.load(Ordering::Relaxed);
        let next = ring.counter.load(orders.load);
        let base = if orders.base_after_counter { ring.key_base.load(Ordering::Relaxed) } else { early };

        assert!(next < 2 || base == 1, "{CROSSED}: number 1 is there, and the search begins at {base}");
        writer.join().unwrap();
    }
}

#[test]
fn key_is_that_of_its_number() {
    holds("key, two writes, two looks", ALL, searches(ORDERS));
    holds("key, a restart and a write", ALL, restarts(ORDERS));
}

#[test]
fn key_publish_mutants() {
    let misled = |name: &str, orders| fails(name, MISLED, ALL, searches(orders));
    let crossed = |name: &str, orders| fails(name, CROSSED, ALL, restarts(orders));

    misled("key.publish stored relaxed", Orders { publish: Ordering::Relaxed, ..ORDERS });
    misled("key.publish loaded relaxed", Orders { load: Ordering::Relaxed, ..ORDERS });
    misled("key.publish without the second look at the id", Orders { looks_twice: false, ..ORDERS });
    // Stored relaxed, the counter still comes after the base: the fence of slot.claim lies between them.
    crossed("key.publish of a restart, loaded relaxed", Orders { load: Ordering::Relaxed, ..ORDERS });
    crossed("key.publish before the base of its run", Orders { base_first: false, ..ORDERS });
    crossed("key.publish looked at after the base", Orders { base_after_counter: false, ..ORDERS });
}
