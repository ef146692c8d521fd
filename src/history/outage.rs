//! Outages: from the moment a Master was gone until there was one again, as this host saw it. Pure.
//!
//! What this host cannot know it does not say: when another host's service failed, or who took over while
//! no daemon ran here.

use super::entry::{CheckChange, DualMaster, Entry, Event, LastRun, MasterHeard, Moved};
use crate::agent::{RouterName, Standing, Subject};
use crate::health;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A check that went down this long ago, in milliseconds, is not what a fault is about.
const TOGETHER: u64 = 1000;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outage {
    /// Of which router.
    pub router: RouterName,
    /// When it began, as well as this host knows.
    pub began: Timestamp,
    /// Why, in one line.
    pub why: String,
    /// From its beginning until it was known here, in milliseconds: since the Master was last heard, or
    /// since the check first failed. `None` where that is not known, or nothing was to be found out.
    pub detect_ms: Option<u64>,
    /// From its beginning until there was a Master again, in milliseconds. `None` where none was seen.
    pub recover_ms: Option<u64>,
    /// Who became Master, where it was another host.
    pub by: Option<IpAddr>,
}

#[derive(Default)]
struct Reader {
    outages: Vec<Outage>,
    /// By router: the outage that goes on, and what the steady clock read when it began.
    open: BTreeMap<RouterName, (Outage, u64)>,
    masters: BTreeSet<RouterName>,
    /// The check that went down last, and when.
    down: Option<(CheckChange, u64)>,
}

/// The outages that these entries, in their order, tell of; one that goes on at the end is the last of its
/// router and has no end.
#[must_use]
pub fn outages<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<Outage> {
    let mut reader = Reader::default();
    for entry in entries {
        reader.read(entry);
    }
    reader.give_up();
    reader.outages.sort_by_key(|outage| outage.began);
    reader.outages
}

impl Reader {
    fn read(&mut self, entry: &Entry) {
        match &entry.event {
            Event::Started(started) => {
                self.give_up();
                self.down = None;
                let masters = std::mem::take(&mut self.masters);
                if let LastRun::Broken { seen, rebooted } = started.last {
                    let whose = if rebooted { "this host" } else { "the daemon here" };
                    self.outages.extend(masters.into_iter().map(|router| Outage {
                        router,
                        began: seen,
                        why: format!("{whose} ended without a farewell, some time after this"),
                        detect_ms: None,
                        recover_ms: None,
                        by: None,
                    }));
                }
            }
            Event::Check(change) if change.to == health::Standing::Down => {
                self.down = Some((change.clone(), entry.clock_ms));
            }
            Event::Transition(moved) => self.moved(entry, moved),
            Event::MasterHeard(MasterHeard { router, source, .. })
            | Event::DualMasterSeen(DualMaster { router, source: Some(source), .. }) => {
                self.close(router, entry.clock_ms, Some(*source));
            }
            _ => {}
        }
    }

    fn moved(&mut self, entry: &Entry, moved: &Moved) {
        let Subject::Router(router) = &moved.subject else { return };
        if moved.to == Standing::Master {
            self.masters.insert(router.clone());
            let silent = moved.silent_ms.filter(|_| ["silence", "farewell"].contains(&&*moved.cause));
            if let Some(silent) = silent.filter(|_| !self.open.contains_key(router)) {
                let detect = (moved.cause == "silence").then_some(silent);
                self.begin(entry, moved, router, silent, detect);
            }
            self.close(router, entry.clock_ms, None);
        } else if moved.from == Standing::Master {
            self.masters.remove(router);
            // Somebody else is Master already.
            if moved.peer.is_none() {
                let detect = self.failing(entry, &moved.why);
                self.begin(entry, moved, router, detect.unwrap_or(0), detect);
            }
        }
    }

    /// How long the check that this is about had been failing.
    fn failing(&self, entry: &Entry, why: &str) -> Option<u64> {
        let (change, at) = self.down.as_ref()?;
        let about = why.strip_prefix("check ")?.strip_prefix(&*change.check.0)?;
        let now = entry.clock_ms.checked_sub(*at).is_some_and(|since| since <= TOGETHER);
        (now && !about.starts_with(|c: char| c.is_alphanumeric())).then_some(change.after_ms)
    }

    fn begin(&mut self, entry: &Entry, moved: &Moved, router: &RouterName, ago: u64, detect: Option<u64>) {
        let span = SignedDuration::from_millis(i64::try_from(ago).unwrap_or(i64::MAX));
        let outage = Outage {
            router: router.clone(),
            began: entry.time.checked_sub(span).unwrap_or(entry.time),
            why: moved.why.clone(),
            detect_ms: detect,
            recover_ms: None,
            by: None,
        };
        self.open.insert(router.clone(), (outage, entry.clock_ms.saturating_sub(ago)));
    }

    fn close(&mut self, router: &RouterName, now: u64, by: Option<IpAddr>) {
        if let Some((mut outage, began)) = self.open.remove(router) {
            outage.recover_ms = Some(now.saturating_sub(began));
            outage.by = by;
            self.outages.push(outage);
        }
    }

    /// Nobody is left to see their end.
    fn give_up(&mut self) {
        self.outages.extend(std::mem::take(&mut self.open).into_values().map(|(outage, _)| outage));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines as they stand in a record, without what all of them have: the steady clock, then the rest.
    fn of(lines: &[(u64, &str)]) -> Vec<Outage> {
        let start: Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
        let entry = |(clock, rest): &(u64, &str)| {
            let time = start + SignedDuration::from_millis((*clock).try_into().unwrap());
            let text = format!(r#"{{"v":1,"time":"{time}","clock_ms":{clock},{rest}}}"#);
            serde_json::from_str::<Entry>(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
        };
        outages(&lines.iter().map(entry).collect::<Vec<_>>())
    }

    fn moved(from: &str, to: &str, cause: &str, why: &str, more: &str) -> String {
        format!(
            r#""event":"transition","router":"web","from":"{from}","to":"{to}","cause":"{cause}","why":"{why}","priority":1,"addresses":[],{more}"#
        )
    }

    #[test]
    fn who_takes_over_from_silence_counts_from_the_last_advert() {
        let taken =
            moved("BACKUP", "MASTER", "silence", "no Master heard", r#""peer":null,"silent_ms":3609"#);
        let found = of(&[(10_000, &taken)]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].detect_ms, found[0].recover_ms, found[0].by), (Some(3609), Some(3609), None));
        assert_eq!(found[0].began.to_string(), "2026-03-01T10:00:06.391Z");
    }

    #[test]
    fn a_failing_check_is_detected_when_it_is_down_and_recovered_when_another_master_is_heard() {
        let check =
            r#""event":"check","check":"app","from":"up","to":"down","error":"refused","after_ms":2004"#;
        let lost = moved("MASTER", "FAULT", "fault", "check app: refused", r#""peer":null"#);
        let heard = r#""event":"master_heard","router":"web","source":"10.0.0.2","priority":100"#;
        let found = of(&[(10_000, check), (10_000, &lost), (10_700, heard)]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].detect_ms, found[0].recover_ms), (Some(2004), Some(2704)));
        assert_eq!(found[0].by, Some("10.0.0.2".parse().unwrap()));
        // Another check with a name that begins alike is not what it was about.
        let other = check.replace("\"app\"", "\"ap\"");
        assert_eq!(of(&[(10_000, &other), (10_000, &lost), (10_700, heard)])[0].detect_ms, None);
    }

    #[test]
    fn what_goes_to_a_known_successor_is_no_outage() {
        let peer = r#""peer":"10.0.0.2""#;
        let better = moved("MASTER", "BACKUP", "better", "10.0.0.2 beats ours", peer);
        let handed = moved("MASTER", "BACKUP", "handed_over", "handed over by the operator", peer);
        let preempted = moved(
            "BACKUP",
            "MASTER",
            "preempted",
            "preempted 10.0.0.2",
            r#""peer":"10.0.0.2","silent_ms":9"#,
        );
        assert_eq!(of(&[(1, &better), (2, &preempted), (3, &handed)]), []);
    }

    #[test]
    fn what_ends_unseen_has_no_end() {
        let master = moved("BACKUP", "MASTER", "owner", "address owner", r#""peer":null"#);
        let stopped = moved("MASTER", "STOP", "stopped", "stopped", r#""peer":null"#);
        let started = |last: &str| {
            format!(
                r#""event":"started","version":"1","node":"a","pid":1,"config":"c","boot":"b","last":{last}"#
            )
        };
        let found = of(&[(1, &master), (5, &stopped), (9, &started(r#"{"end":"stopped"}"#))]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].detect_ms, found[0].recover_ms), (None, None));
        let broken = started(r#"{"end":"broken","seen":"2026-03-01T10:00:00Z","rebooted":false}"#);
        let found = of(&[(1, &master), (9, &broken)]);
        assert_eq!(found.len(), 1);
        assert!(found[0].why.contains("without a farewell"), "{found:?}");
        assert_eq!(found[0].recover_ms, None);
    }
}
