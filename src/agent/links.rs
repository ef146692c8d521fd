//! The interfaces of this host, as the routers see them: a change of carrier may be waited out.

use super::config::LinkDelay;
use super::link::Link;
use crate::time::Time;
use std::collections::BTreeMap;

/// What is known of every interface.
#[derive(Debug, Default)]
pub(super) struct Links {
    known: BTreeMap<String, Link>,
    pub delays: BTreeMap<String, LinkDelay>,
    /// Carriers that changed and are not believed yet: what they are, and when it counts.
    pending: BTreeMap<String, (bool, Time)>,
    /// When the first of them does.
    deadline: Option<Time>,
    /// Every interface there is has been told.
    pub ready: bool,
}

impl Links {
    /// The interfaces by name.
    pub fn known(&self) -> &BTreeMap<String, Link> {
        &self.known
    }

    /// An interface is so from now on. Its carrier counts once its delay is over.
    pub fn see(&mut self, now: Time, mut link: Link) {
        let before = self.known.get(&link.name).map(|old| old.up);
        let delay = self.delays.get(&link.name).map(|delay| if link.up { delay.up } else { delay.down });
        match (before, delay) {
            (Some(before), Some(delay)) if before != link.up && !delay.is_zero() => {
                let at = now + delay;
                let pending = self.pending.entry(link.name.clone()).or_insert((link.up, at));
                if pending.0 != link.up {
                    *pending = (link.up, at);
                }
                link.up = before;
            }
            _ => {
                self.pending.remove(&link.name);
            }
        }
        self.plan();
        self.known.insert(link.name.clone(), link);
    }

    /// An interface is no more.
    pub fn forget(&mut self, name: &str) {
        self.known.remove(name);
        self.pending.remove(name);
        self.plan();
    }

    /// When a carrier begins to count.
    pub fn deadline(&self) -> Option<Time> {
        self.deadline
    }

    fn plan(&mut self) {
        self.deadline = self.pending.values().map(|(_, at)| *at).min();
    }

    /// Believes the carriers whose delay is over. Whether there was one.
    pub fn tick(&mut self, now: Time) -> bool {
        if self.deadline.is_none_or(|at| at > now) {
            return false;
        }
        let due: Vec<String> =
            self.pending.iter().filter(|(_, (_, at))| *at <= now).map(|(name, _)| name.clone()).collect();
        for name in &due {
            if let (Some((up, _)), Some(link)) = (self.pending.remove(name), self.known.get_mut(name)) {
                link.up = up;
            }
        }
        self.plan();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn link(up: bool) -> Link {
        Link { name: "eth0".to_owned(), index: 2, up, mac: None, mtu: 1500, addresses: Vec::new() }
    }

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn a_short_loss_of_carrier_is_not_seen_and_a_long_one_late() {
        let delay = LinkDelay { down: Duration::from_secs(2), up: Duration::ZERO };
        let mut links = Links { delays: [("eth0".to_owned(), delay)].into(), ..Links::default() };
        links.see(at(0), link(true));
        links.see(at(1), link(false));
        assert!(links.known()["eth0"].up && links.deadline() == Some(at(3)));
        links.see(at(2), link(true));
        assert_eq!(links.deadline(), None);
        links.see(at(5), link(false));
        links.see(at(6), link(false));
        assert!(!links.tick(at(6)) && links.tick(at(7)));
        assert!(!links.known()["eth0"].up);
    }
}
