//! One event in a rehearsal, and what it led to.

use super::cast::{Cast, OWN, priorities};
use super::scenes::Scene;
use crate::agent::Standing;
use crate::config::show;
use crate::sim::Rehearsal;
use crate::time::Time;
use crate::vrrp::Priority;
use std::time::Duration;

/// What one event led to.
pub(super) struct Turn {
    pub priority: [u8; 2],
    pub state: Option<Standing>,
    pub why: String,
    pub masters: [Vec<usize>; 2],
    /// The one who became Master, and how long after.
    pub taken: Option<(usize, Duration)>,
}

impl Turn {
    /// Whether the role went from this host to another one.
    pub fn moved(&self) -> bool {
        self.masters[0] == [OWN] && !self.masters[1].is_empty() && !self.masters[1].contains(&OWN)
    }

    pub fn scene(&self, cast: &Cast<'_>, when: impl Into<String>, outcome: impl Into<String>) -> Scene {
        let names = |all: &Vec<usize>| all.iter().map(|node| cast.host(*node)).collect();
        Scene {
            when: when.into(),
            outcome: outcome.into(),
            check: None,
            state: self.state,
            priority: self.priority,
            masters: [names(&self.masters[0]), names(&self.masters[1])],
            after_ms: self.taken.map(|(_, after)| millis(after)),
            noticed_ms: None,
            moves_to: None,
        }
    }

    /// Who is Master afterwards, in words.
    pub fn told(&self, cast: &Cast<'_>) -> String {
        let fault = match self.state {
            Some(Standing::Fault) => format!("FAULT, since {}: ", self.why),
            _ => String::new(),
        };
        let who = match (self.taken, self.masters[1].as_slice()) {
            (_, []) => "nobody is Master".to_owned(),
            (Some((OWN, after)), [OWN]) if self.masters[0].is_empty() => {
                format!("Master after {}", show(after))
            }
            (Some((node, after)), [one]) if node == *one => {
                let verb = if self.masters[0].is_empty() { "is Master" } else { "takes over" };
                format!("{} {verb} after {}", cast.host(node), show(after))
            }
            (_, [one]) if self.masters[0] == [*one] => format!("{} stays Master", cast.host(*one)),
            (_, [one]) => format!("{} is Master", cast.host(*one)),
            (_, several) => {
                let names: Vec<_> = several.iter().map(|node| cast.host(*node)).collect();
                format!("{} are Master at once: they do not accept each other's adverts", names.join(" and "))
            }
        };
        fault + &who
    }
}

pub(super) fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

/// Has something happen, and waits until all that follows has happened.
pub(super) fn turn(cast: &Cast<'_>, rehearsal: &mut Rehearsal, event: impl FnOnce(&mut Rehearsal)) -> Turn {
    let before = (priorities(rehearsal), rehearsal.masters(cast.seat), rehearsal.now());
    event(rehearsal);
    rehearsal.settle();
    let status = rehearsal.status(OWN).and_then(|status| status.routers.into_iter().next());
    let masters = rehearsal.masters(cast.seat);
    let mut fresh = masters.iter().copied().filter(|node| !before.1.contains(node));
    let taken = fresh.find_map(|node| Some((node, since(cast, rehearsal, node, before.2)?)));
    Turn {
        priority: changed(&before.0, &priorities(rehearsal)),
        state: status.as_ref().map(|it| it.state),
        why: status.map(|it| it.why).unwrap_or_default(),
        masters: [before.1, masters],
        taken,
    }
}

/// Before and after, of the first router whose priority is another one; else of the first.
fn changed(before: &[u8], after: &[u8]) -> [u8; 2] {
    let mut both = before.iter().zip(after).map(|(before, after)| [*before, *after]);
    let first = both.clone().next();
    let at_end = |all: &[u8]| all.first().copied().unwrap_or(0);
    both.find(|[before, after]| before != after).or(first).unwrap_or([at_end(before), at_end(after)])
}

/// How long after `begin` a host became Master; where it took part only later, after that. A check may take
/// as long as it likes for its first result.
fn since(cast: &Cast<'_>, rehearsal: &Rehearsal, node: usize, begin: Time) -> Option<Duration> {
    let master = rehearsal.became(node, cast.seat, Standing::Master, begin)?;
    let backup = rehearsal.became(node, cast.seat, Standing::Backup, begin);
    let begin = backup.filter(|backup| backup.at <= master.at).map_or(begin, |backup| backup.at);
    let span = master.at.since(begin);
    // What the LAN took is no part of it.
    Some(Duration::from_micros(u64::try_from(span.as_micros()).unwrap_or(u64::MAX) / 100 * 100))
}

/// Everybody runs, and this host was first: it is Master where it can be.
pub(super) fn stage(cast: &Cast<'_>, priority: Priority) -> Rehearsal {
    let mut rehearsal = cast.rehearsal(priority);
    for node in 0..cast.hosts() {
        rehearsal.start(node);
        rehearsal.settle();
    }
    rehearsal
}
