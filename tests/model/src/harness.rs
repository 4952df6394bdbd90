// SPDX-License-Identifier: MIT

//! Runs a model in all executions: `holds` wants none to fail, `fails` wants one to, with a message of its own.

use loom::sync::atomic::AtomicU64 as AtomicWord;
use std::cell::Cell;
use std::panic::{catch_unwind, set_hook, take_hook, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};

/// What loom says when every thread sleeps and none is left to wake them.
pub const LOST_WAKE_UP: &str = "deadlock";

/// Bounds of one model beside those of its code: `preemptions` is how often a thread may be interrupted where it could go on, None
/// for any number.
#[derive(Clone, Copy)]
pub struct Bounds {
    pub preemptions: Option<usize>,
}

pub const ALL: Bounds = Bounds { preemptions: None };

/// Loads a word that the same thread may store next. loom 0.7 remembers one access to each word when it looks for what to reorder, so a thread's own
/// load before its store hides the loads of others, and executions are lost (repair.rs had one instead of hundreds). Adding 0 is an access that hides
/// nothing; it cannot return an old value, so it is for words whose other writers are ordered before anyway.
pub fn load_own(word: &AtomicWord) -> u64 {
    word.fetch_add(0, loom::sync::atomic::Ordering::Acquire)
}

thread_local! {
    static EXPLORING: Cell<bool> = const { Cell::new(false) };
}

/// Panics inside a model are its result, not output.
fn quieten() {
    static ONCE: Once = Once::new();

    ONCE.call_once(|| {
        let loud = take_hook();

        set_hook(Box::new(move |info| {
            if !EXPLORING.get() {
                loud(info);
            }
        }));
    });
}

fn explore<F>(bounds: Bounds, model: F) -> (u64, Result<(), String>)
where
    F: Fn() + Send + Sync + 'static,
{
    let executions = Arc::new(AtomicU64::new(0));
    let counted = executions.clone();
    let mut builder = loom::model::Builder::new();

    builder.preemption_bound = bounds.preemptions;
    builder.max_branches = 10_000;
    quieten();
    EXPLORING.set(true);
    let result = catch_unwind(AssertUnwindSafe(move || {
        builder.check(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            model();
        });
    }));
    EXPLORING.set(false);
    let message = result.map_err(|panic| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast::<&str>().map_or("a panic without text".into(), |text| (*text).into()),
    });
    (executions.load(Ordering::Relaxed), message)
}

/// The property holds in every execution.
pub fn holds<F>(name: &str, bounds: Bounds, model: F)
where
    F: Fn() + Send + Sync + 'static,
{
    let (executions, result) = explore(bounds, model);

    if let Err(message) = result {
        panic!("{name}: fails in execution {executions}: {message}");
    }
    println!("{name}: holds in all {executions} executions");
}

/// The mutant is caught: some execution fails, and with `expected` in its message.
pub fn fails<F>(name: &str, expected: &str, bounds: Bounds, model: F)
where
    F: Fn() + Send + Sync + 'static,
{
    let (executions, result) = explore(bounds, model);

    match result {
        Ok(()) => panic!("{name}: the mutant holds in all {executions} executions, so the model does not see what it is for"),
        Err(message) if !message.contains(expected) => panic!("{name}: expected '{expected}', but it fails with: {message}"),
        Err(_) => println!("{name}: caught in execution {executions}"),
    }
}
