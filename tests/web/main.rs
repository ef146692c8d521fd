//! HTTP over real sockets, with a core that does what the real one never should: hang, answer late, be asked
//! by hundreds at once. What the real daemon serves to real clients is in `tests/netns`.

#[path = "../cli/canned.rs"]
mod canned;
mod client;
mod core;

mod answers;
mod clients;
mod cluster;
mod events;
mod guarded;
mod liveness;
mod metrics;
mod rules;
