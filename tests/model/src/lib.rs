// SPDX-License-Identifier: MIT

//! Models of the memory orderings that proto/MEMORY.md lists: small transcriptions of the data path's C, which loom runs in every
//! interleaving and with every value that each load may return under C11.
//!
//! Each module states what it transcribes, its bounds (threads, writes, words), the property, and its mutants: the same code with one
//! fence, order or step taken away. A test is green when the original holds in all executions and each mutant fails in at least one, with
//! the failure that is expected of it. So a fence that nothing needs shows, and so does a model that cannot see anything.
//!
//! What loom does not explore: load buffering (a load that sees a store which comes later), and SeqCst accesses, which it treats as AcqRel
//! (SeqCst fences it does know; the data path has only those). Where an order is needed for nothing but load buffering, MEMORY.md argues
//! it in words and says so.
//!
//! Names are those of the ORDER comments in the C sources; tests/model/check_orders compares them.

mod harness;

mod bind;
mod block;
mod counter;
mod cut;
mod frame;
mod key;
mod queue;
mod repair;
mod slot;
mod verdict;
mod wait;
