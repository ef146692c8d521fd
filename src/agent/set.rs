//! Routers that share one role, and the group of all their instances.
//!
//! A router by itself is a set of one; a sync group is a set of several. Every instance sits on one
//! seat of one set; the seat tells whose it is.

use super::config::GroupName;
use crate::time::Time;
use crate::vrrp::group::Group;

/// One role, held or not held by all of it together.
#[derive(Debug)]
pub(super) struct Set {
    /// The sync group's name; `None` for a router by itself.
    pub name: Option<GroupName>,
    pub group: Group,
    /// For each member of the group, in the same order, whose it is.
    pub seats: Vec<Seat>,
    /// What the group last asked to be ticked at, as filed in [`super::Agent`]'s order of deadlines.
    pub filed: Option<Time>,
}

/// Whose an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    /// The place of its router in the agent's list.
    pub router: usize,
    /// Its place among the router's members.
    pub member: usize,
}

impl Set {
    /// The routers of this set, each once, in order.
    pub fn routers(&self) -> Vec<usize> {
        let mut routers: Vec<usize> = self.seats.iter().map(|seat| seat.router).collect();
        routers.dedup();
        routers
    }
}
