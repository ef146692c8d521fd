//! Routers that share one role, and the group of all their instances.
//!
//! A router by itself is a set of one; a sync group is a set of several. Every instance sits on one
//! seat of one set; the seat tells whose it is.

use super::again::Said;
use super::config::GroupName;
use crate::claim::Office;
use crate::claim::quorum::Quorum;
use crate::time::Time;
use crate::vrrp::group::Group;
use smallvec::SmallVec;

/// One role, held or not held by all of it together.
#[derive(Debug)]
pub(super) struct Set {
    /// The sync group's name; `None` for a router by itself.
    pub name: Option<GroupName>,
    pub group: Group,
    /// For each member of the group, in the same order, whose it is.
    pub seats: SmallVec<[Seat; 1]>,
    /// Its routers, each once, in order.
    pub routers: SmallVec<[usize; 1]>,
    /// What its claim is for, where it needs one.
    pub office: Option<(Office, Quorum)>,
    /// Its takeover waits for the claim.
    pub withheld: bool,
    /// When it told a Master of lower priority last that there is a better one.
    pub challenged: Option<Time>,
    /// The term of its claim, as was told last.
    pub term: Option<u64>,
    /// Until when it may hold, as was told last.
    pub claimed: Option<Time>,
    /// The end of a claim for which the kernel's lease was renewed for the last time.
    pub stretched: Option<Time>,
    /// The time of the takeover before which it has asked who else answers.
    pub asked: Option<Time>,
    /// What it said last as Master, where it may say the same again.
    pub said: Option<Said>,
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
    /// A set with one seat for each member of `group`, those of a router beside each other.
    pub fn new(name: Option<GroupName>, group: Group, seats: SmallVec<[Seat; 1]>) -> Self {
        let mut routers: SmallVec<[usize; 1]> = seats.iter().map(|seat| seat.router).collect();
        routers.dedup();
        Set {
            name,
            group,
            seats,
            routers,
            office: None,
            withheld: false,
            challenged: None,
            term: None,
            claimed: None,
            stretched: None,
            asked: None,
            said: None,
        }
    }
}
