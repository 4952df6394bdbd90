// SPDX-License-Identifier: MIT

//! wait.flag and wait.wake: a reader that goes to sleep against a writer that makes no system call when nobody sleeps.
//!
//! Transcribes the end of publish(), wake_waiters() (libclient/slots.c) and the loop of wait_any() (libclient/wait.c). Data is one word that grows, published with
//! release. The kernel's futex is a lock and a queue: FUTEX_WAIT compares the word under the lock and joins the queue in one step,
//! FUTEX_WAKE takes the lock, then wakes the whole queue.
//!
//! Bounds: one reader waiting for each of two writes, at most 5 preemptions; two readers of one area and one write, at most 4.
//! Property: no reader sleeps for ever (loom finds the deadlock).

use crate::harness::{fails, holds, Bounds, ALL, LOST_WAKE_UP};
use loom::sync::atomic::{fence, AtomicU32, AtomicU64, Ordering};
use loom::sync::Mutex;
use loom::thread::{self, Thread};
use std::sync::Arc;

/// The kernel's half.
pub struct Futex {
    queue: Mutex<Vec<Thread>>,
}

impl Futex {
    pub fn new() -> Futex {
        Futex { queue: Mutex::new(Vec::new()) }
    }

    /// Sleeps until woken unless `changed`, which is asked under the lock, as the kernel compares the word.
    pub fn wait(&self, changed: impl Fn() -> bool) {
        {
            let mut queue = self.queue.lock().unwrap();

            if changed() {
                return;
            }
            queue.push(thread::current());
        }
        thread::park();
    }

    pub fn wake_all(&self) {
        for thread in self.queue.lock().unwrap().drain(..) {
            thread.unpark();
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum SleepOn {
    WakeWord,
    Counter,
}

#[derive(Clone, Copy)]
struct Orders {
    writer_fence: bool,
    reader_fence: bool,
    looks_again: bool,
    sleep_on: SleepOn,
    swap_first: bool,
    wake_word_first: bool,
}

const ORDERS: Orders = Orders {
    writer_fence: true,
    reader_fence: true,
    looks_again: true,
    sleep_on: SleepOn::WakeWord,
    swap_first: true,
    wake_word_first: true,
};

struct Segment {
    counter: AtomicU64,
    waiters: AtomicU32,
    wake: AtomicU32,
    futex: Futex,
}

impl Segment {
    fn new() -> Segment {
        Segment { counter: AtomicU64::new(0), waiters: AtomicU32::new(0), wake: AtomicU32::new(0), futex: Futex::new() }
    }

    fn publish(&self, next: u64, orders: Orders) {
        self.counter.store(next, Ordering::Release);
        if orders.writer_fence {
            fence(Ordering::SeqCst);
        }
        if self.waiters.load(Ordering::Relaxed) == 0 {
            return;
        }
        if orders.swap_first {
            self.waiters.swap(0, Ordering::Relaxed);
            self.wake.fetch_add(1, Ordering::Release);
        } else {
            self.wake.fetch_add(1, Ordering::Release);
            self.waiters.swap(0, Ordering::Relaxed);
        }
        self.futex.wake_all();
    }

    fn wait_for_more_than(&self, seen: u64, orders: Orders) -> u64 {
        loop {
            let mut wake = 0;
            if orders.wake_word_first {
                wake = self.wake.load(Ordering::Acquire);
            }
            let first = self.counter.load(Ordering::Acquire);
            if first > seen {
                return first;
            }
            self.waiters.store(1, Ordering::Relaxed);
            if orders.reader_fence {
                fence(Ordering::SeqCst);
            }
            if orders.looks_again {
                let again = self.counter.load(Ordering::Acquire);
                if again > seen {
                    return again;
                }
            }
            if !orders.wake_word_first {
                wake = self.wake.load(Ordering::Acquire);
            }
            match orders.sleep_on {
                SleepOn::WakeWord => self.futex.wait(|| self.wake.load(Ordering::Relaxed) != wake),
                SleepOn::Counter => self.futex.wait(|| self.counter.load(Ordering::Relaxed) != seen),
            }
        }
    }
}

fn one_reader(writes: u64, orders: Orders) -> impl Fn() + Send + Sync + 'static {
    move || {
        let segment = Arc::new(Segment::new());
        let writers = segment.clone();
        let writer = thread::spawn(move || {
            for number in 0..writes {
                writers.publish(number + 1, orders);
            }
        });
        let mut seen = 0;
        while seen < writes {
            seen = segment.wait_for_more_than(seen, orders);
        }
        writer.join().unwrap();
    }
}

fn two_readers(orders: Orders) -> impl Fn() + Send + Sync + 'static {
    move || {
        let segment = Arc::new(Segment::new());
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let readers = segment.clone();
                thread::spawn(move || readers.wait_for_more_than(0, orders))
            })
            .collect();
        segment.publish(1, orders);
        for reader in readers {
            reader.join().unwrap();
        }
    }
}

#[test]
fn no_reader_sleeps_for_ever() {
    holds("wait, one reader, two writes", Bounds { preemptions: Some(5) }, one_reader(2, ORDERS));
    holds("wait, two readers, one write", Bounds { preemptions: Some(4) }, two_readers(ORDERS));
}

#[test]
fn wait_flag_mutants() {
    let check = |name: &str, orders| fails(name, LOST_WAKE_UP, ALL, one_reader(1, orders));

    check("wait.flag without the writer's fence", Orders { writer_fence: false, ..ORDERS });
    check("wait.flag without the reader's fence", Orders { reader_fence: false, ..ORDERS });
    check("wait.flag without looking again", Orders { looks_again: false, ..ORDERS });
}

#[test]
fn wait_wake_mutants() {
    let check = |name: &str, orders| fails(name, LOST_WAKE_UP, ALL, one_reader(2, orders));

    // A reader that arms again between the writer's look at the flag and its swap: the swap takes the flag, the wake comes before the sleep.
    check("wait.wake without a wake word", Orders { sleep_on: SleepOn::Counter, ..ORDERS });
    check("wait.wake with the wake word loaded last", Orders { wake_word_first: false, ..ORDERS });
    check("wait.wake with the increment before the swap", Orders { swap_first: false, ..ORDERS });
}
