//! What is still to be done, in its order: adverts go before all else, and whoever is due goes before what was left.
//!
//! Where a thousand routers take over at once, the last one's advert waits for no other's addresses, hooks and log
//! lines. Only the order; the doing is `perform`'s.

use crate::agent::Effect;
use crate::time::Time;
use std::collections::VecDeque;

/// So many are done at least before whoever is due has his turn: nothing waits for ever.
const AT_LEAST: usize = 8;
/// For more than so many there is room only until they are done: that of a thousand routers at once is a megabyte.
const MANY: usize = 256;

/// The order to put addresses there goes ahead of the adverts of so few: somebody else does it meanwhile.
const AHEAD: usize = 4;

/// Effects that are not carried out yet, each with when it was decided.
#[derive(Default)]
pub(super) struct Later {
    waiting: VecDeque<(Time, Effect)>,
    /// Sockets among them.
    listens: usize,
    /// How many were taken since whoever was due had his turn.
    taken: usize,
}

impl Later {
    /// Puts these behind what waits, but for adverts: those are returned, to leave at once. Unless they need sockets
    /// that are not open yet. Where a few alone take over, nothing waits and nothing is given up, what they hold is
    /// returned before them.
    pub(super) fn put(&mut self, at: Time, effects: Vec<Effect>) -> Vec<Effect> {
        let count = |which: fn(&Effect) -> bool| effects.iter().filter(|effect| which(effect)).count();
        self.listens += count(|effect| matches!(effect, Effect::Listen(_)));
        let holds = count(|effect| matches!(effect, Effect::Hold { .. }));
        let releases = count(|effect| matches!(effect, Effect::Release { .. }));
        let open = self.listens == 0;
        let ahead = open && self.waiting.is_empty() && releases == 0 && holds <= AHEAD;
        let now = |effect: &Effect| match effect {
            Effect::Send(_) => open,
            Effect::Hold { .. } => ahead,
            _ => false,
        };
        let (mut now, later): (Vec<Effect>, Vec<Effect>) = effects.into_iter().partition(now);
        now.sort_by_key(|effect| matches!(effect, Effect::Send(_)));
        self.waiting.extend(later.into_iter().map(|effect| (at, effect)));
        now
    }

    /// The next one; `None` as well where enough was done and `is_due` says that somebody is.
    pub(super) fn take(&mut self, is_due: impl FnOnce() -> bool) -> Option<(Time, Effect)> {
        if self.waiting.is_empty() || self.taken >= AT_LEAST && is_due() {
            self.taken = 0;
            return None;
        }
        self.taken += 1;
        let next = self.waiting.pop_front()?;
        if self.waiting.is_empty() {
            self.waiting.shrink_to(MANY);
        }
        self.listens -= usize::from(matches!(next.1, Effect::Listen(_)));
        Some(next)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{InstanceId, Outgoing};
    use std::collections::BTreeSet;
    use std::net::{IpAddr, Ipv4Addr};

    fn advert(number: u32) -> Effect {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Effect::Send(Outgoing {
            instance: InstanceId(number),
            due: None,
            interface: "eth0".into(),
            source: address,
            destination: address,
            mac: None,
            ttl: 255,
            protocol: 112,
            identification: 0,
            payload: Vec::new(),
        })
    }

    fn release(number: u32) -> Effect {
        Effect::Release { instance: InstanceId(number) }
    }

    #[test]
    fn adverts_leave_before_what_others_have_to_do_and_the_rest_keeps_its_order() {
        let mut later = Later::default();
        let first = vec![advert(1), release(1), advert(2), release(2)];
        assert_eq!(later.put(Time::ZERO, first), [advert(1), advert(2)]);
        assert_eq!(later.put(Time::ZERO, vec![release(3), advert(3)]), [advert(3)]);
        for number in 1..=3 {
            assert_eq!(later.take(|| false), Some((Time::ZERO, release(number))));
        }
        assert_eq!(later.take(|| false), None);
        assert!(later.is_empty());
    }

    fn hold(number: u32) -> Effect {
        Effect::Hold { instance: InstanceId(number), holding: Box::default(), until: None }
    }

    #[test]
    fn what_a_few_hold_is_ordered_before_their_adverts_leave_unless_something_was_to_be_done_before() {
        let taking = || vec![advert(1), Effect::Sweep, hold(1), advert(2), hold(2)];
        let mut later = Later::default();
        assert_eq!(later.put(Time::ZERO, taking()), [hold(1), hold(2), advert(1), advert(2)]);
        // Something waits.
        assert_eq!(later.put(Time::ZERO, taking()), [advert(1), advert(2)]);

        let mut giving = taking();
        giving.insert(0, release(2));
        assert_eq!(Later::default().put(Time::ZERO, giving), [advert(1), advert(2)]);
        let many: Vec<Effect> = (0..5).map(hold).chain([advert(1)]).collect();
        assert_eq!(Later::default().put(Time::ZERO, many), [advert(1)]);
        let closed = [Effect::Listen(BTreeSet::new())].into_iter().chain(taking()).collect();
        assert_eq!(Later::default().put(Time::ZERO, closed), []);
    }

    #[test]
    fn an_advert_waits_for_the_socket_that_it_leaves_by() {
        let mut later = Later::default();
        assert_eq!(later.put(Time::ZERO, vec![Effect::Listen(BTreeSet::new()), advert(1)]), []);
        assert_eq!(later.put(Time::ZERO, vec![advert(2)]), []);
        assert!(matches!(later.take(|| false), Some((_, Effect::Listen(_)))));
        assert_eq!(later.put(Time::ZERO, vec![advert(3)]), [advert(3)]);
        assert_eq!(later.take(|| false), Some((Time::ZERO, advert(1))));
    }

    #[test]
    fn very_much_at_once_has_its_room_until_it_is_done() {
        let mut later = Later::default();
        assert_eq!(later.put(Time::ZERO, (0..1000).map(release).collect()), []);
        assert!(later.waiting.capacity() > MANY);
        while !later.is_empty() {
            later.take(|| false);
        }
        assert!(later.waiting.capacity() <= MANY);
    }

    #[test]
    fn whoever_is_due_goes_first_and_yet_nothing_waits_for_ever() {
        let mut later = Later::default();
        assert_eq!(later.put(Time::ZERO, (0..20).map(release).collect()), []);
        let mut turns = Vec::new();
        while !later.is_empty() {
            turns.push(std::iter::from_fn(|| later.take(|| true)).count());
        }
        assert_eq!(turns, [8, 8, 4]);
    }
}
