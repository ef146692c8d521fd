//! The clauses of RFC 9568 and RFC 3768 that an agent alone can be held to, one test each, and every
//! reason for not following a packet, raised once.
//!
//! What needs a wire is in `tests/wire`, what needs a kernel in `tests/netns`.

mod ahead;
mod counters;
mod damping;
mod desk;
mod ours;
mod rivals;
mod succession;
mod takeover;
mod version_2;
mod version_3;
