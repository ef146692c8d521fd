//! The simulator: whole agents in one thread, a network made of a seed, and laws.
//!
//! A [`World`] has nodes with real agents and plays everything else: the LAN between them (through
//! the real codec), the kernel that holds addresses, checks, hooks and operators. Time is a number
//! that jumps to whatever comes next, so an hour takes milliseconds and a seed replays exactly.
//!
//! [`run_scenario`] plays a written timeline and compares it with an expected one; a [`Rehearsal`] shows what
//! given configurations do.

mod etcd;
mod faults;
mod judge;
mod kernel;
mod keys;
mod lan;
mod laws;
mod networks;
mod node;
mod perform;
mod play;
mod rehearsal;
mod rng;
mod sabotage;
pub mod scenario;
mod seed;
mod setup;
mod store;
mod trace;
mod votes;
pub mod wire;
mod world;

pub use etcd::Etcd;
pub use lan::Lan;
pub use laws::{Breach, Law, Laws};
pub use node::{Node, Seat, link, links_for, seat_of};
pub use play::{Report, run_scenario};
pub use rehearsal::{Finding, Rehearsal};
pub use rng::Rng;
pub use sabotage::Sabotage;
pub use seed::{Failure, Outcome, Run, fingerprint, run_seed, run_seeds};
pub use trace::Trace;
pub use world::{Change, Sent, World};
