// SPDX-License-Identifier: MIT

//! block.lock: who has the lock of a block has its payload alone and sees what the holder before did, also where that one died.
//!
//! Transcribes take(), mark_waiter(), block_lock() and block_unlock() (libclient/block.c), lock_take_away() (daemon/repair.c) and the wake-up after it. The
//! payload is memory that loom watches: two accesses that nothing orders, one of them a write, are a failure. The futex is that of wait.rs. A
//! process that dies is a thread that ends; the broker begins once that has happened, which the kernel tells it. A handle that the broker gives up
//! while its process lives may be unlocking meanwhile, and its cell may have a next owner already: the word tells the two apart by the incarnation.
//!
//! Bounds: two sharers that lock once each, any interleaving; one that dies with the lock, the broker and one that waits, at most 4 preemptions; one
//! that is given up and unlocks, while the next owner of its cell locks and unlocks, any interleaving.
//! Properties: no race, no change lost, the next holder is told of the death, nobody sleeps for ever, nobody unlocks the lock of another.

use crate::harness::{fails, holds, Bounds, ALL, LOST_WAKE_UP};
use crate::wait::Futex;
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;
use std::sync::Arc;

const CELL: u32 = 0xff;
const MARK: u32 = 0x3fff_ffff;
const WAITERS: u32 = 1 << 31;
const OWNER_DIED: u32 = 1 << 30;
const RACE: &str = "Causality violation";
const FEW: Bounds = Bounds { preemptions: Some(4) };

#[derive(Clone, Copy)]
struct Orders {
    take: Ordering,
    unlock: Ordering,
    take_away: Ordering,
    marks: bool,
    unlock_wakes: bool,
    broker_wakes: bool,
    incarnation: bool,
}

const ORDERS: Orders = Orders {
    take: Ordering::Acquire,
    unlock: Ordering::Release,
    take_away: Ordering::AcqRel,
    marks: true,
    unlock_wakes: true,
    broker_wakes: true,
    incarnation: true,
};

struct Block {
    lock: AtomicU32,
    payload: UnsafeCell<u64>,
    futex: Futex,
}

impl Block {
    fn new() -> Arc<Block> {
        Arc::new(Block { lock: AtomicU32::new(0), payload: UnsafeCell::new(0), futex: Futex::new() })
    }

    /// Did the holder before die?
    fn lock(&self, mark: u32, orders: Orders) -> bool {
        let mut slept = 0;

        loop {
            let word = self.lock.load(Ordering::Relaxed);

            if word & CELL == 0 {
                let ours = mark | (word & WAITERS) | slept;

                if self.lock.compare_exchange(word, ours, orders.take, Ordering::Relaxed).is_ok() {
                    return word & OWNER_DIED != 0;
                }
                continue;
            }
            let marked = if orders.marks { word | WAITERS } else { word };
            if marked != word && self.lock.compare_exchange(word, marked, Ordering::Relaxed, Ordering::Relaxed).is_err() {
                continue;
            }
            slept = WAITERS;
            self.futex.wait(|| self.lock.load(Ordering::Relaxed) != marked);
        }
    }

    /// False: it is not ours any more.
    fn unlock(&self, mark: u32, orders: Orders) -> bool {
        let ours = if orders.incarnation { MARK } else { CELL };
        let mut word = self.lock.load(Ordering::Relaxed);

        loop {
            if word & ours != mark & ours {
                return false;
            }
            match self.lock.compare_exchange(word, 0, orders.unlock, Ordering::Relaxed) {
                Ok(_) => break,
                Err(other) => word = other,
            }
        }
        if word & WAITERS != 0 && orders.unlock_wakes {
            self.futex.wake_all();
        }
        true
    }

    fn take_away(&self, mark: u32, orders: Orders) {
        let mut word = self.lock.load(Ordering::Relaxed);

        while word & CELL == mark & CELL {
            match self.lock.compare_exchange(word, OWNER_DIED, orders.take_away, Ordering::Relaxed) {
                Ok(_) => break,
                Err(other) => word = other,
            }
        }
        if orders.broker_wakes {
            self.futex.wake_all();
        }
    }

    fn change(&self) -> u64 {
        self.payload.with_mut(|payload| unsafe {
            *payload += 1;
            *payload
        })
    }
}

fn two_sharers(orders: Orders) -> impl Fn() + Send + Sync + 'static {
    move || {
        let block = Block::new();
        let others = block.clone();
        let other = thread::spawn(move || {
            others.lock(2, orders);
            others.change();
            assert!(others.unlock(2, orders));
        });
        block.lock(1, orders);
        block.change();
        assert!(block.unlock(1, orders));
        other.join().unwrap();
        block.lock(1, orders);
        assert_eq!(block.change(), 3);
    }
}

fn holder_dies(orders: Orders) -> impl Fn() + Send + Sync + 'static {
    move || {
        let block = Block::new();
        let others = block.clone();
        block.lock(1, orders);
        let broker = thread::spawn(move || {
            let dying = others.clone();
            let holder = thread::spawn(move || {
                dying.change();
            });

            holder.join().unwrap();
            others.take_away(1, orders);
        });
        assert!(block.lock(2, orders), "not told");
        assert_eq!(block.change(), 2);
        assert!(block.unlock(2, orders));
        broker.join().unwrap();
    }
}

/// A mark of cell 1 and its incarnation.
fn first_cell(incarnation: u32) -> u32 {
    1 | incarnation << 8
}

/// The broker frees lock and cell of a handle whose process lives and unlocks; the cell's next owner locks, unlocks and must find it its own.
fn given_up(orders: Orders) -> impl Fn() + Send + Sync + 'static {
    move || {
        let block = Block::new();
        let others = block.clone();
        block.lock(first_cell(1), orders);
        let next = thread::spawn(move || {
            others.take_away(1, orders);
            others.lock(first_cell(2), orders);
            assert!(others.unlock(first_cell(2), orders), "unlocked by another");
        });
        block.unlock(first_cell(1), orders);
        next.join().unwrap();
    }
}

#[test]
fn holder_is_alone() {
    holds("block, two sharers", ALL, two_sharers(ORDERS));
    holds("block, a holder that dies", FEW, holder_dies(ORDERS));
    holds("block, a holder that is given up", ALL, given_up(ORDERS));
}

#[test]
fn block_lock_mutants() {
    let shared = |name: &str, text: &str, orders| fails(name, text, ALL, two_sharers(orders));
    let outlived = |name: &str, text: &str, orders| fails(name, text, ALL, given_up(orders));
    let dead = |name: &str, text: &str, orders| fails(name, text, FEW, holder_dies(orders));

    shared("block.lock taken relaxed", RACE, Orders { take: Ordering::Relaxed, ..ORDERS });
    shared("block.lock unlocked relaxed", RACE, Orders { unlock: Ordering::Relaxed, ..ORDERS });
    shared("block.lock slept on without a mark", LOST_WAKE_UP, Orders { marks: false, ..ORDERS });
    shared("block.lock unlocked without a wake-up", LOST_WAKE_UP, Orders { unlock_wakes: false, ..ORDERS });
    dead("block.lock taken away relaxed", RACE, Orders { take_away: Ordering::Relaxed, ..ORDERS });
    dead("block.lock taken away without a wake-up", LOST_WAKE_UP, Orders { broker_wakes: false, ..ORDERS });
    outlived("block.lock unlocked by cell alone", "unlocked by another", Orders { incarnation: false, ..ORDERS });
}
