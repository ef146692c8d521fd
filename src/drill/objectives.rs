//! `[slo]`: what is promised, and whether what was measured keeps it. Pure.

use super::Kind;
use super::outage::Outage;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The most that each may take; nothing is promised where `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Objectives {
    /// From a failure until it is known.
    pub detection: Option<Duration>,
    /// From then until another host has the addresses.
    pub takeover: Option<Duration>,
    /// How long a client gets no answer.
    pub outage: Option<Duration>,
    /// From the change of state until hooks and messages are done.
    pub notification: Option<Duration>,
}

/// What was measured; `None` where it was not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// From the failure until it was known, in milliseconds.
    pub detection_ms: Option<f64>,
    /// From then until another host had the addresses, in milliseconds; of a planned move, from its beginning.
    pub takeover_ms: Option<f64>,
    /// From the change of state until hooks and messages were done, in milliseconds.
    pub notification_ms: Option<f64>,
    /// What a client noticed.
    pub outage: Option<Outage>,
}

impl Measured {
    /// The numbers with their names, in the order in which they come about.
    #[must_use]
    pub fn numbers(&self) -> [(&'static str, Option<f64>); 4] {
        [
            ("detection", self.detection_ms),
            ("takeover", self.takeover_ms),
            ("outage", self.outage.as_ref().map(|outage| outage.longest_ms)),
            ("notification", self.notification_ms),
        ]
    }
}

impl Objectives {
    /// Whether nothing is promised.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Objectives::default()
    }

    /// The promises with their names, in the order of [`Measured::numbers`].
    #[must_use]
    pub fn promises(&self) -> [(&'static str, Option<Duration>); 4] {
        [
            ("detection", self.detection),
            ("takeover", self.takeover),
            ("outage", self.outage),
            ("notification", self.notification),
        ]
    }

    /// What is promised and was not kept, a line each. What a drill of this kind should show and did not counts as
    /// not kept.
    #[must_use]
    pub fn missed(&self, kind: Kind, measured: &Measured) -> Vec<String> {
        let pairs = self.promises().into_iter().zip(measured.numbers());
        let line = |((name, promise), (_, number)): ((&str, Option<Duration>), (_, Option<f64>))| {
            let most = promise?.as_secs_f64() * 1000.0;
            match number {
                Some(number) if number > most => {
                    Some(format!("{name} {number:.1} ms, and at most {most:.0} ms are promised"))
                }
                None if shows(kind).contains(&name) => {
                    Some(format!("{name} was not measured, and at most {most:.0} ms are promised"))
                }
                _ => None,
            }
        };
        pairs.filter_map(line).collect()
    }
}

/// What a drill can measure.
const fn shows(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Service => &["detection", "takeover", "outage"],
        Kind::Daemon | Kind::Failover => &["takeover", "outage"],
        Kind::Health | Kind::Connectivity | Kind::Dns => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_is_missed_by_more_and_by_what_was_not_measured() {
        let objectives = Objectives {
            outage: Some(Duration::from_millis(500)),
            detection: Some(Duration::from_secs(1)),
            ..Objectives::default()
        };
        let of = |longest_ms, detection_ms| Measured {
            outage: Some(Outage { longest_ms, ..Outage::default() }),
            detection_ms,
            takeover_ms: Some(9000.0),
            ..Measured::default()
        };
        let missed = |kind, measured: &Measured| objectives.missed(kind, measured);
        assert_eq!(missed(Kind::Service, &of(500.0, Some(1000.0))), [""; 0], "as much as is promised");
        assert_eq!(
            missed(Kind::Service, &of(500.4, Some(1001.0))),
            [
                "detection 1001.0 ms, and at most 1000 ms are promised",
                "outage 500.4 ms, and at most 500 ms are promised"
            ]
        );
        let unseen = "detection was not measured, and at most 1000 ms are promised";
        assert_eq!(missed(Kind::Service, &of(1.0, None)), [unseen]);
        assert_eq!(missed(Kind::Failover, &of(1.0, None)), [""; 0], "a planned move has none");
        assert_eq!(Objectives::default().missed(Kind::Service, &Measured::default()), [""; 0]);
    }
}
