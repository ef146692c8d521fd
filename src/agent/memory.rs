//! What outlives the process: which sequences were sent and heard, so that old adverts stay old.
//!
//! Losing it costs little: by the clock, what was sent within the window can be sent again by others until
//! the true sender speaks; without a clock or by the authentication header, anything once.

use super::Agent;
use super::config::Router;
use super::effect::Effect;
use crate::time::Time;
use crate::vrrp::auth::Auth;
use crate::vrrp::ledger::Ledger;
use crate::vrrp::{Family, Vrid};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How often it is written down at most.
const EVERY: Duration = Duration::from_secs(1);

/// Everything remembered, one entry an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Memory(pub Vec<Remembered>);

/// What one instance remembers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// The interface, as configured.
    pub interface: String,
    /// The virtual router.
    pub vrid: Vrid,
    /// The family.
    pub family: Family,
    /// What was sent and heard.
    pub ledger: Ledger,
}

impl Memory {
    /// Takes out what belongs to this instance.
    pub(super) fn take(&mut self, router: &Router, family: Family) -> Option<Ledger> {
        let interface = router.interface.to_string();
        let is_it =
            |it: &Remembered| it.interface == interface && it.vrid == router.vrid && it.family == family;
        let at = self.0.iter().position(is_it)?;
        Some(self.0.swap_remove(at).ledger)
    }

    /// Puts it in, in place of what was there of this instance.
    pub(super) fn put(&mut self, router: &Router, family: Family, ledger: Ledger) {
        self.take(router, family);
        let interface = router.interface.to_string();
        self.0.push(Remembered { interface, vrid: router.vrid, family, ledger });
    }
}

/// The agent's part: what is kept, and when it was last written down.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    /// Of instances that are not there (yet, or any more).
    pub absent: Memory,
    /// Whether something is newer than what was written down.
    pub news: bool,
    written: Option<Time>,
}

impl Agent {
    pub(super) fn remembered(&mut self, mut memory: Memory) {
        // A process that crashed has sent more than it had written down.
        memory.0.iter_mut().for_each(|it| it.ledger.skip(EVERY));
        self.keeping.absent = memory;
        for router in &mut self.routers {
            router.recall(&mut self.keeping.absent);
        }
    }

    /// Has what is new written down, if it is time to, or in any case `at_once`.
    pub(super) fn remember(&mut self, now: Time, at_once: bool, effects: &mut Vec<Effect>) {
        let due = at_once || self.keeping.written.is_none_or(|at| now.since(at) >= EVERY);
        if !self.keeping.news || !due {
            return;
        }
        self.keeping.news = false;
        self.keeping.written = Some(now);
        let mut memory = Memory::default();
        for router in &self.routers {
            if matches!(router.config.auth, Auth::Hmac(_) | Auth::Ah(_)) {
                router.lay_by(&mut memory);
            }
        }
        effects.push(Effect::Remember(memory));
    }
}
