//! What hooks and event streams are told of besides transitions.

use super::rivals::Rival;
use super::transition::{RouterName, Standing};
use std::net::IpAddr;

/// Something that happened to a router without a change of its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Whose.
    pub router: RouterName,
    /// Its state at that moment.
    pub standing: Standing,
    /// Its effective priority at that moment.
    pub priority: u8,
    /// Its virtual addresses, in the order of the configuration.
    pub addresses: Vec<IpAddr>,
    /// What happened.
    pub kind: Kind,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A Master heard an advert that loses against its own: there was another Master for a moment.
    /// Told at most once an interval.
    HeardLower {
        /// Who sent it.
        source: IpAddr,
        /// The priority in it.
        priority: u8,
    },
    /// There is another holder: of each it is told once a minute at most, and of another one once in ten
    /// seconds.
    DualMaster {
        /// Who.
        rival: Rival,
        /// How often it was seen since it was last told of.
        times: u64,
    },
    /// The effective priority changed while Master or Backup.
    PriorityChanged {
        /// What it was.
        from: u8,
    },
}
