//! The vote: its rules one by one, the table of who holds in which partition, and every order of events.

mod faults;
mod lease;
mod model;
mod partitions;
mod wire;
