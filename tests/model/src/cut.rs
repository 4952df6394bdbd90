// SPDX-License-Identifier: MIT

//! cut.fence and cut.next: a generation is closed while its writer publishes and its reader reads.
//!
//! Transcribes generation_cut() and generation_link() of daemon/generation.c, writer_check() and publish_count() of the writer, and what
//! a reader does at the end of a superseded generation: is_superseded(), then the last look at the ids; of a queue with a fence before it, and
//! pushed_check() at the producer's end.
//!
//! Bounds: 2 threads each: the broker against a writer of two numbers, and a reader behind the broker; a producer of one item.
//! Properties: no number from the cut on is published; who sees `next` sees every number below the broker's counter; an item that its producer was
//! told 0 for is seen by a consumer that follows.

use crate::harness::{fails, holds, ALL};
use loom::sync::atomic::{fence, AtomicU64, Ordering};
use loom::thread;
use std::sync::Arc;

const HELD: u64 = 2;
const SUPERSEDED: u64 = 4;
const TWICE: &str = "a number is given out twice";
const LOST: &str = "a published number is lost";

#[derive(Clone, Copy)]
struct Orders {
    writer_fence: bool,
    broker_fence: bool,
    consumer_fence: bool,
    counter: Ordering,
    next: Ordering,
    load: Ordering,
}

const ORDERS: Orders = Orders {
    writer_fence: true,
    broker_fence: true,
    consumer_fence: true,
    counter: Ordering::Acquire,
    next: Ordering::Release,
    load: Ordering::Acquire,
};

struct Segment {
    state: AtomicU64,
    counter: AtomicU64,
    ids: [AtomicU64; 2],
    cut: AtomicU64,
    next: AtomicU64,
}

impl Segment {
    fn new() -> Arc<Segment> {
        Arc::new(Segment {
            state: AtomicU64::new(HELD),
            counter: AtomicU64::new(0),
            ids: [AtomicU64::new(0), AtomicU64::new(0)],
            cut: AtomicU64::new(u64::MAX),
            next: AtomicU64::new(0),
        })
    }

    /// Numbers published.
    fn write(&self, count: u64, orders: Orders) -> u64 {
        for n in 0..count {
            if self.state.load(Ordering::Acquire) != HELD {
                return n;
            }
            self.ids[n as usize].store(1, Ordering::Release);
            self.counter.store(n + 1, Ordering::Release);
            if orders.writer_fence {
                fence(Ordering::SeqCst);
            }
        }
        count
    }

    /// The counter it saw.
    fn replace(&self, orders: Orders) -> u64 {
        self.state.store(SUPERSEDED, Ordering::Release);
        if orders.broker_fence {
            fence(Ordering::SeqCst);
        }
        let counter = self.counter.load(orders.counter);
        self.cut.store(counter + 1, Ordering::Relaxed);
        self.next.store(2, orders.next);
        counter
    }
}

fn writer_is_cut(orders: Orders) -> impl Fn() + Send + Sync + 'static {
    move || {
        let segment = Segment::new();
        let other = segment.clone();
        let writer = thread::spawn(move || other.write(2, orders));
        let cut = segment.replace(orders) + 1;

        assert!(writer.join().unwrap() <= cut, "{TWICE}");
    }
}

fn reader_follows(orders: Orders) -> impl Fn() + Send + Sync + 'static {
    move || {
        let segment = Segment::new();
        let written = segment.clone();
        let read = segment.clone();
        let writer = thread::spawn(move || written.write(1, orders));
        let reader = thread::spawn(move || {
            if read.next.load(orders.load) == 0 {
                return None;
            }
            Some((read.cut.load(Ordering::Relaxed), read.ids[0].load(Ordering::Acquire)))
        });
        let counter = segment.replace(orders);

        writer.join().unwrap();
        if let Some((cut, id)) = reader.join().unwrap() {
            assert!(cut != u64::MAX && (counter == 0 || id == 1), "{LOST}");
        }
    }
}

fn consumer_follows(orders: Orders) -> impl Fn() + Send + Sync + 'static {
    move || {
        let segment = Segment::new();
        let pushed = segment.clone();
        let producer = thread::spawn(move || pushed.write(1, orders) == 1 && pushed.state.load(Ordering::Relaxed) == HELD);

        segment.replace(ORDERS_NO_FENCE);
        // The consumer's, behind the broker: what it has seen of `next` it has from there.
        if orders.consumer_fence {
            fence(Ordering::SeqCst);
        }
        let seen = segment.ids[0].load(Ordering::Acquire) == 1;

        assert!(!producer.join().unwrap() || seen, "{LOST}");
    }
}

/// The broker's own fence is left out, so that the consumer's is looked at alone.
const ORDERS_NO_FENCE: Orders = Orders { broker_fence: false, ..ORDERS };

#[test]
fn no_number_is_given_out_twice() {
    holds("two numbers, cut", ALL, writer_is_cut(ORDERS));
}

#[test]
fn a_reader_that_follows_has_seen_all() {
    holds("one number, cut, follow", ALL, reader_follows(ORDERS));
}

#[test]
fn an_item_that_was_pushed_is_consumed() {
    holds("one item, cut, follow", ALL, consumer_follows(ORDERS));
}

#[test]
fn cut_mutants() {
    fails("cut.fence not in the broker", TWICE, ALL, writer_is_cut(Orders { broker_fence: false, ..ORDERS }));
    fails("cut.fence not in the writer", TWICE, ALL, writer_is_cut(Orders { writer_fence: false, ..ORDERS }));
    fails("cut.fence not in the consumer", LOST, ALL, consumer_follows(Orders { consumer_fence: false, ..ORDERS }));
    fails("cut.next stored relaxed", LOST, ALL, reader_follows(Orders { next: Ordering::Relaxed, ..ORDERS }));
    fails("cut.next loaded relaxed", LOST, ALL, reader_follows(Orders { load: Ordering::Relaxed, ..ORDERS }));
    fails("cut.next with the counter loaded relaxed", LOST, ALL, reader_follows(Orders { counter: Ordering::Relaxed, ..ORDERS }));
}
