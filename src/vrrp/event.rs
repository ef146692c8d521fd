//! What can happen to an instance, where it can be, and what it can want. Types only; the rules
//! are in `instance`. RFC 9568 section 6.4.

use super::announcing::Schedule;
use super::instance::Config;
use super::why::{Fault, Why};
use super::{Advert, Interval, Priority};
use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;

/// The state of RFC 9568 section 6.4, and three of our own: `Fault`, `Leaving`, `Drained`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Not taking part (6.4.1).
    Initialize,
    /// Not taking part for a reason that can heal. Ours.
    Fault(Fault),
    /// Waiting behind a Master (6.4.2).
    Backup {
        /// The Master we follow, once one was heard.
        master: Option<IpAddr>,
        /// `Active_Adver_Interval`: the Master's interval, or our own until one was heard.
        interval: Interval,
        /// `Active_Down_Timer`.
        down_at: Time,
        /// When we preempt a Master of lower priority that we follow until then.
        preempt_at: Option<Time>,
        /// Why we will take over, should a timer run out.
        cause: Why,
    },
    /// Holding the addresses (6.4.3).
    Master {
        /// `Adver_Timer`.
        advertise_at: Time,
        /// The next announcements.
        announce: Schedule,
        /// Losing adverts are answered at most once until this moment (6.4.3 has no limit).
        quiet_until: Time,
        /// Whether it has advertised yet.
        first: First,
    },
    /// Farewell sent, addresses still up until the successor is heard. Ours.
    Leaving {
        /// When to stop waiting.
        until: Time,
        /// Whether the successor was heard.
        successor: Option<IpAddr>,
        /// What follows.
        then: Then,
    },
    /// Handed over by the operator; stays out until resumed. Ours.
    Drained,
}

/// The first advert of a new Master, which ends the old one's rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// It has left.
    Sent,
    /// It waits until the addresses are here and announced, for an interval at most.
    Waits,
    /// They are; it waits for the other members of the group.
    Ready,
}

/// What follows after `Leaving`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The daemon stops, or the instance is removed.
    Stop,
    /// The instance stays out until it is resumed.
    Drain,
}

/// What can happen to an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Begin to take part (6.4.1), or take part again once a fault has healed.
    Startup(Why),
    /// Stop for good (6.4.2, 6.4.3). `wait`: keep answering for at most this long until a
    /// successor is heard.
    Shutdown {
        /// Zero to release at once.
        wait: Duration,
    },
    /// A valid advert of this virtual router.
    Heard {
        /// The packet's source address.
        source: IpAddr,
        /// `None` for the farewell.
        priority: Option<Priority>,
        /// The sender's interval.
        interval: Interval,
    },
    /// The Master from here leaves, and has named us its successor.
    Named {
        /// Whose word that is.
        source: IpAddr,
    },
    /// Something is wrong here, or something else than before.
    Fault(Fault),
    /// The configuration changed. The effective priority is kept until [`Event::Priority`].
    Retune(Box<Config>),
    /// The effective priority changed.
    Priority(Priority),
    /// The address that adverts leave from changed.
    Source(IpAddr),
    /// Move the addresses to another router, and stay out.
    Handover {
        /// How long to keep answering, until a successor is heard or the addresses come back.
        wait: Duration,
    },
    /// Take part again after a handover.
    Resume,
    /// Whoever follows us shall hear from us now, on top of our rhythm.
    Remind,
    /// Take part from the start as the Master that the process before this one was until now.
    Continue {
        /// Since when.
        since: Time,
        /// Why.
        why: Why,
    },
    /// This process was stopped for so long that others may hold the addresses by now.
    Woke {
        /// How late its next turn was.
        late: Duration,
    },
    /// Whether it shall leave a Master of lower priority alone, as if it did not preempt.
    Damped(bool),
    /// Another member of the group lost its role to another router: follow.
    Yield,
    /// A majority of the voters does not, or no longer, grant that the addresses are here.
    Outvoted,
    /// Another member of the group has heard its successor: do not go back.
    Succeeded,
    /// The neighbours were told that all of the addresses are elsewhere: of the successor, once it was heard.
    Taken,
    /// Another member of the group has heard a Master that loses against us.
    Rivalled,
    /// There may be another holder, or the neighbours may have forgotten us: announce again.
    Reassert,
    /// The addresses are on the interface, and the neighbours were told.
    Announced,
    /// Those of all members are: the first adverts leave.
    AllAnnounced,
    /// The deadline has come.
    Tick,
}

/// What an instance wants done. The order in the list is the order to do it in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send this.
    Advertise(Advert),
    /// The addresses are on the interface from now on.
    Hold,
    /// The addresses are not on the interface from now on.
    Release,
    /// Tell the neighbours where the addresses are, with so many frames for each.
    Announce(u8),
    /// The same, with one frame, of addresses on other interfaces than that of the adverts.
    AnnounceElsewhere,
    /// An advert was heard and deliberately not followed.
    Discard(Discard),
}

/// Why a valid advert was not followed. Each is a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Discard {
    /// Our own packet came back.
    Own,
    /// We do not take part at the moment.
    NotTakingPart,
    /// A Backup that preempts does not follow a lower Master (6.4.2).
    LowerPriority,
    /// A farewell from somebody whom we do not follow.
    StrangersFarewell,
    /// A Master heard an advert that loses against its own (6.4.3).
    Losing,
}

impl Discard {
    /// Every reason there is.
    pub const ALL: &[Discard] = &[
        Discard::Own,
        Discard::NotTakingPart,
        Discard::LowerPriority,
        Discard::StrangersFarewell,
        Discard::Losing,
    ];

    /// The counter's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Discard::Own => "own",
            Discard::NotTakingPart => "not-taking-part",
            Discard::LowerPriority => "lower-priority",
            Discard::StrangersFarewell => "strangers-farewell",
            Discard::Losing => "losing",
        }
    }
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// Taking over, unless the Master is heard.
    TakeOver,
    /// Asking who else answers, shortly before taking over.
    Ask,
    /// The next advert.
    Advertise,
    /// The next announcement.
    Announce,
    /// The successor, for at most this long.
    Successor,
    /// A pause that is to be over before anything begins, or begins again.
    Heal,
}
