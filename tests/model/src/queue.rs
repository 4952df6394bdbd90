// SPDX-License-Identifier: MIT

//! queue.item, queue.counter, queue.position, queue.flag and queue.wake: items that are written into places used again, and a producer that
//! sleeps for room.
//!
//! Transcribes item_publish(), position_look(), queue_wait_room() with wait_any() around it, item_is_there(), release_to(), flag_look() and
//! wake_producer() (libclient/queue.c): a queue of one place. Item bytes are memory that loom watches: two accesses that nothing orders, one of them
//! a write, are a failure. The futex is that of wait.rs.
//!
//! Bounds: 2 threads. Items: two of them, each side looks twice, any interleaving. Room: the producer waits twice, at most 5 preemptions.
//! Properties: the consumer reads each item whole, and the producer writes no place that is being read; who sees the counter finds the item; the producer does
//! not sleep for ever beside free room (loom finds the deadlock).

use crate::harness::{fails, holds, Bounds, ALL, LOST_WAKE_UP};
use crate::slot::id_done;
use crate::wait::Futex;
use loom::cell::UnsafeCell;
use loom::sync::atomic::{fence, AtomicU32, AtomicU64, Ordering};
use loom::thread;
use std::sync::Arc;

const RACE: &str = "Causality violation";
const ABSENT: &str = "absent";

#[derive(Clone, Copy)]
struct Orders {
    item_store: Ordering,
    item_load: Ordering,
    counter_store: Ordering,
    counter_load: Ordering,
    position_store: Ordering,
    position_load: Ordering,
    producer_fence: bool,
    consumer_fence: bool,
    looks_again: bool,
    flag_counts: bool,
    increments: bool,
    wake_word_first: bool,
}

const ORDERS: Orders = Orders {
    item_store: Ordering::Release,
    item_load: Ordering::Acquire,
    counter_store: Ordering::Release,
    counter_load: Ordering::Acquire,
    position_store: Ordering::Release,
    position_load: Ordering::Acquire,
    producer_fence: true,
    consumer_fence: true,
    looks_again: true,
    flag_counts: true,
    increments: true,
    wake_word_first: true,
};

struct Queue {
    id: AtomicU64,
    counter: AtomicU64,
    position: AtomicU64,
    item: UnsafeCell<u64>,
    flag: AtomicU32,
    wake: AtomicU32,
    futex: Futex,
}

impl Queue {
    fn new() -> Arc<Queue> {
        Arc::new(Queue {
            id: AtomicU64::new(0),
            counter: AtomicU64::new(0),
            position: AtomicU64::new(0),
            item: UnsafeCell::new(0),
            flag: AtomicU32::new(0),
            wake: AtomicU32::new(0),
            futex: Futex::new(),
        })
    }

    fn push(&self, number: u64, orders: Orders) -> bool {
        if number > self.position.load(orders.position_load) {
            return false;
        }
        self.item.with_mut(|item| unsafe { *item = 100 + number });
        self.id.store(id_done(number), orders.item_store);
        self.counter.store(number + 1, orders.counter_store);
        true
    }

    fn pop(&self, number: u64, orders: Orders) -> bool {
        if self.id.load(orders.item_load) != id_done(number) {
            return false;
        }
        self.item.with(|item| assert_eq!(unsafe { *item }, 100 + number));
        self.position.store(number + 1, orders.position_store);
        true
    }

    /// Until the consumer's position is at least `position`.
    fn wait_for_room(&self, position: u64, flag: &mut u32, orders: Orders) {
        loop {
            let mut wake = 0;
            if orders.wake_word_first {
                wake = self.wake.load(Ordering::Acquire);
            }
            if self.position.load(Ordering::Acquire) >= position {
                break;
            }
            *flag = if orders.flag_counts { *flag + 1 + (*flag & 1) } else { 1 };
            self.flag.store(*flag, Ordering::Relaxed);
            if orders.producer_fence {
                fence(Ordering::SeqCst);
            }
            if orders.looks_again && self.position.load(Ordering::Acquire) >= position {
                break;
            }
            if !orders.wake_word_first {
                wake = self.wake.load(Ordering::Acquire);
            }
            self.futex.wait(|| self.wake.load(Ordering::Relaxed) != wake);
        }
        if *flag & 1 == 1 {
            *flag += 1;
            self.flag.store(*flag, Ordering::Relaxed);
        }
    }

    fn release_to(&self, position: u64, woken: &mut u32, orders: Orders) {
        self.position.store(position, Ordering::Release);
        if orders.consumer_fence {
            fence(Ordering::SeqCst);
        }
        let flag = self.flag.load(Ordering::Relaxed);
        if flag & 1 == 1 && flag != *woken {
            if orders.increments {
                self.wake.fetch_add(1, Ordering::Release);
            }
            self.futex.wake_all();
            *woken = flag;
        }
    }
}

fn items(orders: Orders) -> impl Fn() + Send + Sync + 'static {
    move || {
        let queue = Queue::new();
        let producers = queue.clone();
        let producer = thread::spawn(move || {
            producers.push(0, orders);
            producers.push(1, orders);
        });
        if queue.pop(0, orders) {
            queue.pop(1, orders);
        }
        producer.join().unwrap();
    }
}

/// A consumer that sees the counter finds the item.
fn counted(orders: Orders) -> impl Fn() + Send + Sync + 'static {
    move || {
        let queue = Queue::new();
        let producers = queue.clone();
        let producer = thread::spawn(move || {
            producers.push(0, orders);
        });
        if queue.counter.load(orders.counter_load) > 0 {
            assert_eq!(queue.id.load(Ordering::Acquire), id_done(0), "{ABSENT}: item 0 is counted");
        }
        producer.join().unwrap();
    }
}

fn room(orders: Orders) -> impl Fn() + Send + Sync + 'static {
    move || {
        let queue = Queue::new();
        let producers = queue.clone();
        let producer = thread::spawn(move || {
            let mut flag = 0;

            for position in 1..=2 {
                producers.wait_for_room(position, &mut flag, orders);
            }
        });
        let mut woken = 0;
        for position in 1..=2 {
            queue.release_to(position, &mut woken, orders);
        }
        producer.join().unwrap();
    }
}

#[test]
fn items_arrive_whole() {
    holds("queue, two items through one place", ALL, items(ORDERS));
    holds("queue, an item that is counted", ALL, counted(ORDERS));
}

#[test]
fn no_producer_sleeps_for_ever() {
    holds("queue, room twice", Bounds { preemptions: Some(5) }, room(ORDERS));
}

#[test]
fn queue_item_mutants() {
    let check = |name: &str, orders| fails(name, RACE, ALL, items(orders));

    check("queue.item stored relaxed", Orders { item_store: Ordering::Relaxed, ..ORDERS });
    check("queue.item loaded relaxed", Orders { item_load: Ordering::Relaxed, ..ORDERS });
}

#[test]
fn queue_counter_mutants() {
    let check = |name: &str, orders| fails(name, ABSENT, ALL, counted(orders));

    check("queue.counter stored relaxed", Orders { counter_store: Ordering::Relaxed, ..ORDERS });
    check("queue.counter loaded relaxed", Orders { counter_load: Ordering::Relaxed, ..ORDERS });
}

#[test]
fn queue_position_mutants() {
    let check = |name: &str, orders| fails(name, RACE, ALL, items(orders));

    check("queue.position stored relaxed", Orders { position_store: Ordering::Relaxed, ..ORDERS });
    check("queue.position loaded relaxed", Orders { position_load: Ordering::Relaxed, ..ORDERS });
}

#[test]
fn queue_flag_mutants() {
    let check = |name: &str, orders| fails(name, LOST_WAKE_UP, ALL, room(orders));

    check("queue.flag without the producer's fence", Orders { producer_fence: false, ..ORDERS });
    check("queue.flag without the consumer's fence", Orders { consumer_fence: false, ..ORDERS });
    check("queue.flag without looking again", Orders { looks_again: false, ..ORDERS });
    check("queue.flag that does not count", Orders { flag_counts: false, ..ORDERS });
}

#[test]
fn queue_wake_mutants() {
    let check = |name: &str, orders| fails(name, LOST_WAKE_UP, ALL, room(orders));

    check("queue.wake without an increment", Orders { increments: false, ..ORDERS });
    check("queue.wake with the wake word loaded last", Orders { wake_word_first: false, looks_again: true, ..ORDERS });
}
