//! What is held from start to end, whatever the state of the routers: static addresses, routes, rules.
//!
//! keepalived calls it `static_ipaddress` and so on. What cannot be held keeps no router out; it is told
//! of, and tried again when a link changes, besides by the doer on its own account.

use super::effect::{Effect, InstanceId, Note};
use super::holding::Holding;
use crate::time::Time;
use std::net::IpAddr;
use std::time::Duration;

/// Whose it is, for the doers. No instance of a router has this number.
pub(super) const OWNER: InstanceId = InstanceId(0);
/// Somebody who removes an address again and again is told of once in this time.
const TELL_AGAIN: Duration = Duration::from_mins(1);

#[derive(Debug, Default)]
pub(super) struct Fixed {
    holding: Holding,
    /// What could not be held, in one line.
    trouble: Option<String>,
    /// When somebody was last told of who removed an address.
    told: Option<Time>,
}

impl Fixed {
    pub fn holding(&self) -> &Holding {
        &self.holding
    }

    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Makes this what is held; nothing to do where it is already.
    pub fn adopt(&mut self, wanted: &Holding) -> Option<Effect> {
        if self.holding == *wanted {
            return None;
        }
        self.holding.clone_from(wanted);
        self.trouble = None;
        Some(if self.is_empty() { Effect::Release { instance: OWNER } } else { self.hold() })
    }

    /// Tries again what could not be held.
    pub fn again(&self) -> Option<Effect> {
        self.trouble.as_ref().map(|_| self.hold())
    }

    /// What became of it. The same trouble is told once.
    pub fn held(&mut self, result: Result<(), String>) -> Option<Effect> {
        let before = std::mem::replace(&mut self.trouble, result.err());
        let news = self.trouble.as_ref().filter(|line| before.as_ref() != Some(*line));
        news.map(|line| Effect::Note(Note::Trouble(format!("static: {line}"))))
    }

    /// Somebody removed an address, or it could not be put there before; it is there now.
    pub fn restored(&mut self, now: Time, address: IpAddr) -> Option<Effect> {
        if self.trouble.is_some() {
            return Some(self.hold());
        }
        let quiet = self.told.is_some_and(|told| now.since(told) < TELL_AGAIN);
        self.told = self.told.filter(|_| quiet).or(Some(now));
        let line = format!("{address} is static and was removed by something else on this host; it is back");
        (!quiet).then_some(Effect::Note(Note::Trouble(line)))
    }

    fn is_empty(&self) -> bool {
        let Holding { vips, routes, rules, .. } = &self.holding;
        vips.is_empty() && routes.is_empty() && rules.is_empty()
    }

    fn hold(&self) -> Effect {
        Effect::Hold { instance: OWNER, holding: Box::new(self.holding.clone()), until: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vrrp::Vip;

    fn wanted() -> Holding {
        let address = IpAddr::from([10, 0, 0, 5]);
        let vips = vec![Vip::new(address, 24)];
        Holding { interface: "eth0".to_owned(), own: true, vips, ..Holding::default() }
    }

    fn hold() -> Effect {
        Effect::Hold { instance: OWNER, holding: Box::new(wanted()), until: None }
    }

    #[test]
    fn an_equal_configuration_has_no_effects_and_an_empty_one_releases() {
        let mut fixed = Fixed::default();
        assert_eq!(fixed.adopt(&Holding::default()), None);
        assert_eq!(fixed.adopt(&wanted()), Some(hold()));
        assert_eq!(fixed.adopt(&wanted()), None);
        assert_eq!(fixed.adopt(&Holding::default()), Some(Effect::Release { instance: OWNER }));
    }

    #[test]
    fn trouble_is_told_once_and_tried_again_until_it_is_over() {
        let mut fixed = Fixed::default();
        assert_eq!(fixed.adopt(&wanted()), Some(hold()));
        assert_eq!(fixed.again(), None);
        let failed = || Err("no such interface".to_owned());
        let told = Note::Trouble("static: no such interface".to_owned());
        assert_eq!(fixed.held(failed()), Some(Effect::Note(told)));
        assert_eq!((fixed.held(failed()), fixed.trouble()), (None, Some("no such interface")));
        assert_eq!(fixed.again(), Some(hold()));
        assert_eq!((fixed.held(Ok(())), fixed.trouble(), fixed.again()), (None, None, None));
    }

    #[test]
    fn who_removes_it_again_and_again_is_told_of_once_a_minute() {
        let mut fixed = Fixed::default();
        let (address, start) = (IpAddr::from([10, 0, 0, 5]), Time::ZERO);
        let mut told = |at| fixed.restored(start + Duration::from_secs(at), address).is_some();
        assert_eq!([0, 1, 59, 60, 61].map(&mut told), [true, false, false, true, false]);
    }
}
