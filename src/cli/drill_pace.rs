//! How a lab's routers and checks are: as fast as a router of the configuration and its slowest check, with its
//! `preempt_delay` and that check's weight. Pure.

use crate::agent::config::Router;
use crate::check::Probe;
use crate::config::{Config, noticed, show, worst_case};
use crate::health::{OnFail, Track};
use crate::vrrp::Version;
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::time::Duration;

/// The pace of a lab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pace {
    version: Version,
    pub(super) interval: Duration,
    down_adverts: u8,
    /// How long whoever comes back lets the other one stay.
    pub(super) preempt_delay: Duration,
    /// What a failing check does to the priority; `None`: it is a fault.
    weight: Option<Weight>,
    check: Check,
    /// The longest until a check has found out what it looks for.
    pub(super) found: Duration,
    /// Whose pace this is, in one line, and what of that router is not played, in another.
    pub(super) whose: Vec<String>,
}

/// A check's weight, and the priority that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Weight {
    by: i16,
    base: u8,
}

/// Weights that can move an address, whatever the priorities: half of it is between the hosts.
const LEAST: u8 = 2;
const MOST: u8 = 250;
/// The highest priority of a host that does not own the address.
const HIGHEST: u8 = 254;

/// When the lab's checks look, and what they count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Check {
    interval: Duration,
    timeout: Duration,
    retries: u32,
    backoff: Duration,
    fall: u32,
    rise: u32,
}

impl Default for Pace {
    /// Where no file says another.
    fn default() -> Self {
        let check = Check {
            interval: Duration::from_millis(200),
            timeout: Duration::from_millis(200),
            retries: 0,
            backoff: Duration::from_millis(100),
            fall: 2,
            rise: 1,
        };
        let found = (check.interval + check.timeout) * 2;
        let mut pace = Pace {
            version: Version::V3,
            interval: Duration::from_secs(1),
            down_adverts: 3,
            preempt_delay: Duration::ZERO,
            weight: None,
            check,
            found,
            whose: Vec::new(),
        };
        pace.whose = vec![pace.tell("the lab's own routers", "its own checks")];
        pace
    }
}

impl Pace {
    /// That of the router of this name or, without one, of the router whose worst case is the longest.
    ///
    /// # Errors
    /// One line: there is no such router.
    pub(super) fn of(config: &Config, named: Option<&str>) -> Result<Pace, String> {
        let routers = config.agent.routers.iter();
        let Some(name) = named else {
            let slowest = routers.max_by_key(|router| worst_case(router, config).total);
            return Ok(slowest.map_or_else(Pace::default, |router| Pace::like(router, config)));
        };
        let mut routers = routers.filter(|router| &*router.name.0 == name);
        let router =
            routers.next().ok_or_else(|| format!("there is no [router.{name}] in the configuration"))?;
        Ok(Pace::like(router, config))
    }

    fn like(router: &Router, config: &Config) -> Pace {
        let own = Pace::default();
        let checks = router.tracks.iter().filter_map(|track| {
            let name = &track.check;
            let counted = config.agent.checks.iter().find(|check| check.name == *name)?;
            let spec = config.details.checks.get(name)?;
            // A session of BFD has a pace of its own, and does not look.
            let looks = !matches!(spec.probe, Probe::Bfd(_));
            looks.then_some((track, noticed(name, config)?, counted, &spec.schedule))
        });
        let slowest = checks.max_by_key(|(_, noticed, ..)| *noticed);
        let (check, found, looks) = match &slowest {
            Some((track, noticed, counted, schedule)) => {
                let check = Check {
                    interval: schedule.interval,
                    timeout: schedule.timeout,
                    retries: schedule.retries,
                    backoff: schedule.backoff,
                    fall: counted.fall,
                    rise: counted.rise,
                };
                (check, *noticed, format!("check {}", track.check))
            }
            None => (own.check, own.found, "its own checks, for the router has none that looks".to_owned()),
        };
        let (version, interval) = (router.version, router.interval.duration());
        let (down_adverts, preempt_delay) = (router.manner.down_adverts, router.manner.preempt_delay);
        let plays = slowest.map(|(track, ..)| track);
        let weight = plays.and_then(|track| weight(track.on_fail, router));
        let whose = Vec::new();
        let mut pace = Pace { version, interval, down_adverts, preempt_delay, weight, check, found, whose };
        pace.whose.push(pace.tell(&format!("router {}", router.name), &looks));
        pace.whose.extend(left_out(router, plays, weight));
        pace
    }

    fn tell(&self, router: &str, check: &str) -> String {
        let Check { interval, timeout, fall, .. } = &self.check;
        let mut line = format!(
            "at the pace of {router}, an advert every {}, and of {check}, every {} with {} to answer, {fall} failure{}",
            show(self.interval),
            show(*interval),
            show(*timeout),
            if *fall == 1 { "" } else { "s" }
        );
        if let Some(Weight { by, .. }) = self.weight {
            let _ = write!(line, ", weight {by}");
        }
        if !self.preempt_delay.is_zero() {
            let _ = write!(line, ", preempt_delay {}", show(self.preempt_delay));
        }
        line
    }

    /// The priorities of the host that is Master while all is well, and of the other one: with a weight so far apart
    /// that it moves the address.
    pub(super) fn priorities(&self) -> (u8, u8) {
        let Some(Weight { by, base }) = self.weight else { return (150, 100) };
        let size = u8::try_from(by.unsigned_abs()).unwrap_or(MOST);
        let half = size.div_ceil(2);
        let (least, most) =
            if by > 0 { (half + 1, HIGHEST - 1 - (size - half)) } else { (half + 2, HIGHEST) };
        let first = base.min(most).max(least);
        (first, first - half)
    }

    /// As a router names the check that stands for the slowest one.
    pub(super) fn tracked(&self, check: &str) -> String {
        match self.weight {
            Some(Weight { by, .. }) => format!("{{ check = \"{check}\", weight = {by} }}"),
            None => format!("\"{check}\""),
        }
    }

    /// Its lines of a router.
    pub(super) fn router(&self) -> String {
        let version = if self.version == Version::V2 { 2 } else { 3 };
        let (interval, down) = (show(self.interval), self.down_adverts);
        let delay = show(self.preempt_delay);
        format!(
            "version = {version}\ninterval = \"{interval}\"\ndown_adverts = {down}\npreempt_delay = \"{delay}\"\n"
        )
    }

    /// Its lines of a check.
    pub(super) fn check(&self) -> String {
        let Check { interval, timeout, retries, backoff, fall, rise } = &self.check;
        let mut text = format!("retries = {retries}\nfall = {fall}\nrise = {rise}\n");
        for (key, span) in [("interval", interval), ("timeout", timeout), ("backoff", backoff)] {
            let _ = writeln!(text, "{key} = \"{}\"", show(*span));
        }
        text
    }
}

/// The weight that a lab plays; `None` where the check is a fault, or counts as one.
fn weight(on_fail: OnFail, router: &Router) -> Option<Weight> {
    let OnFail::Weight(by) = on_fail else { return None };
    let by = i16::try_from(by).ok().filter(|by| (LEAST.into()..=MOST.into()).contains(&by.unsigned_abs()))?;
    (!router.priority.is_owner()).then(|| Weight { by, base: router.priority.get() })
}

/// What of the router a lab does not play, in one line.
fn left_out(router: &Router, plays: Option<&Track>, weight: Option<Weight>) -> Option<String> {
    let mut left = Vec::new();
    if !router.preempt {
        left.push("preempt = false, for a takes back its address".to_owned());
    }
    match plays.map(|track| (track, track.on_fail)) {
        Some((track, OnFail::Weight(by))) if weight.is_none() => {
            left.push(format!("weight {by} of check {}, which is a fault here", track.check));
        }
        Some((track, OnFail::Times(_))) => {
            left.push(format!("the number of check {}, which is a fault here", track.check));
        }
        _ => {}
    }
    let others = router.tracks.iter().map(|track| &track.check);
    let others: Vec<_> = others.filter(|name| plays.is_none_or(|track| track.check != **name)).collect();
    left.extend(others.iter().map(|name| format!("check {name}")));
    (!left.is_empty()).then(|| format!("not played of it: {}", left.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Secrets, parse};
    use std::path::Path;

    fn load(text: &str) -> Config {
        parse(text, Path::new("x.toml"), Secrets::MustRead).unwrap().config
    }

    const FILE: &str = "[router.fast]\ninterface = \"eth0\"\nvrid = 1\ninterval = \"100ms\"\naddresses = [\"10.0.0.1\"]\n\
        [router.slow]\ninterface = \"eth0\"\nvrid = 2\nversion = 2\ninterval = \"60s\"\naddresses = [\"10.0.0.2\"]\n\
        checks = [\"a\", \"b\"]\n[check.a]\ntype = \"tcp\"\ntarget = \"h:1\"\ninterval = \"1s\"\n\
        [check.b]\ntype = \"tcp\"\ntarget = \"h:1\"\ninterval = \"5s\"\ntimeout = \"10s\"\nfall = 4\nretries = 3\n";

    #[test]
    fn the_slowest_router_and_its_slowest_check_set_the_pace_unless_one_is_named() {
        let config = load(FILE);
        let pace = Pace::of(&config, None).unwrap();
        let router = "version = 2\ninterval = \"60s\"\ndown_adverts = 3\npreempt_delay = \"0ms\"\n";
        assert_eq!(pace.router(), router);
        assert!(
            pace.check().contains("retries = 3\nfall = 4\n") && pace.check().contains("interval = \"5s\"")
        );
        let [whose, left] = pace.whose.as_slice() else { panic!("{:?}", pace.whose) };
        assert!(whose.contains("router slow") && whose.contains("check b, every 5s"), "{whose}");
        assert_eq!(left, "not played of it: check a");
        let fast = Pace::of(&config, Some("fast")).unwrap();
        assert!(fast.whose[0].contains("router fast, an advert every 100ms"), "{:?}", fast.whose);
        assert!(fast.whose[0].contains("for the router has none that looks"), "{:?}", fast.whose);
        assert_eq!(fast.check(), Pace::default().check());
        let bfd = "checks = [\"c\"]\n[check.c]\ntype = \"bfd\"\nneighbor = \"10.0.0.9\"\n";
        let router = "[router.web]\ninterface = \"eth0\"\nvrid = 1\naddresses = [\"10.0.0.1\"]\n";
        let session = Pace::of(&load(&format!("{router}{bfd}")), None).unwrap();
        assert_eq!(session.check(), Pace::default().check(), "{:?}", session.whose);
        let none = Pace::of(&config, Some("none")).unwrap_err();
        assert_eq!(none, "there is no [router.none] in the configuration");
    }

    #[test]
    fn a_delay_and_a_weight_are_played_with_priorities_that_the_weight_turns_round() {
        let of = |priority: u8, track: &str| {
            let router = format!(
                "[router.web]\ninterface = \"eth0\"\nvrid = 1\npriority = {priority}\npreempt_delay = \"10s\"\n\
                 addresses = [\"10.0.0.1\"]\nchecks = [{track}]\n[check.c]\ntype = \"tcp\"\ntarget = \"h:1\"\n"
            );
            Pace::of(&load(&router), None).unwrap()
        };
        for (priority, weight) in [
            (110, -20),
            (110, -2),
            (110, -3),
            (5, -100),
            (254, 20),
            (1, 2),
            (100, 250),
            (100, -250),
            (254, -250),
            (254, 2),
            (254, -2),
            (1, -2),
        ] {
            let pace = of(priority, &format!("{{ check = \"c\", weight = {weight} }}"));
            assert!(pace.router().contains("preempt_delay = \"10s\"\n"), "{}", pace.router());
            assert_eq!(pace.tracked("service"), format!("{{ check = \"service\", weight = {weight} }}"));
            let (a, b) = pace.priorities();
            let with = |priority: u8, up: bool| {
                let added = if up == (weight > 0) { weight } else { 0 };
                (i32::from(priority) + added).clamp(1, 254)
            };
            assert!(b >= 1 && with(a, true) > with(b, true), "{priority} {weight}: {a} {b}");
            assert!(with(a, false) < with(b, true), "{priority} {weight}: {a} {b}");
            let told = format!(", weight {weight}, preempt_delay 10s");
            assert!(pace.whose[0].ends_with(&told) && pace.whose.len() == 1, "{:?}", pace.whose);
        }
        let least = of(100, "{ check = \"c\", weight = -1 }");
        assert_eq!((least.priorities(), least.tracked("service").as_str()), ((150, 100), "\"service\""));
        assert_eq!(least.whose[1], "not played of it: weight -1 of check c, which is a fault here");
    }

    #[test]
    fn a_pace_is_the_same_on_the_other_side() {
        let pace = Pace::of(&load(FILE), None).unwrap();
        assert_eq!(serde_json::from_str::<Pace>(&serde_json::to_string(&pace).unwrap()).unwrap(), pace);
    }
}
