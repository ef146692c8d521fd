//! The vote: its rules one by one, the table of who holds in which partition, every order of events; and an etcd in
//! the place of the voters.

mod changes;
mod etcd;
mod faults;
mod lease;
mod model;
mod partitions;
mod wire;
