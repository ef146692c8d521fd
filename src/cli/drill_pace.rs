//! How fast a lab's routers and checks are: as a router of the configuration and its slowest check. Pure.

use crate::agent::config::Router;
use crate::check::Probe;
use crate::config::{Config, noticed, show, worst_case};
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
    check: Check,
    /// The longest until a check has found out what it looks for.
    pub(super) found: Duration,
    /// Whose pace this is, in one line.
    pub(super) whose: String,
}

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
            check,
            found,
            whose: String::new(),
        };
        pace.whose = pace.tell("the lab's own routers", "its own checks");
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
            looks.then_some((name, noticed(name, config)?, counted, &spec.schedule))
        });
        let slowest = checks.max_by_key(|(_, noticed, ..)| *noticed);
        let (check, found, looks) = match slowest {
            Some((name, noticed, counted, schedule)) => {
                let check = Check {
                    interval: schedule.interval,
                    timeout: schedule.timeout,
                    retries: schedule.retries,
                    backoff: schedule.backoff,
                    fall: counted.fall,
                    rise: counted.rise,
                };
                (check, noticed, format!("check {name}"))
            }
            None => (own.check, own.found, "its own checks, for the router has none that looks".to_owned()),
        };
        let (version, interval) = (router.version, router.interval.duration());
        let down_adverts = router.manner.down_adverts;
        let mut pace = Pace { version, interval, down_adverts, check, found, whose: String::new() };
        pace.whose = pace.tell(&format!("router {}", router.name), &looks);
        pace
    }

    fn tell(&self, router: &str, check: &str) -> String {
        let Check { interval, timeout, fall, .. } = &self.check;
        format!(
            "at the pace of {router}, an advert every {}, and of {check}, every {} with {} to answer, {fall} failure{}",
            show(self.interval),
            show(*interval),
            show(*timeout),
            if *fall == 1 { "" } else { "s" }
        )
    }

    /// Its lines of a router.
    pub(super) fn router(&self) -> String {
        let version = if self.version == Version::V2 { 2 } else { 3 };
        let (interval, down) = (show(self.interval), self.down_adverts);
        format!("version = {version}\ninterval = \"{interval}\"\ndown_adverts = {down}\n")
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
        assert_eq!(pace.router(), "version = 2\ninterval = \"60s\"\ndown_adverts = 3\n");
        assert!(
            pace.check().contains("retries = 3\nfall = 4\n") && pace.check().contains("interval = \"5s\"")
        );
        assert!(
            pace.whose.contains("router slow") && pace.whose.contains("check b, every 5s"),
            "{}",
            pace.whose
        );
        let fast = Pace::of(&config, Some("fast")).unwrap();
        assert!(fast.whose.contains("router fast, an advert every 100ms"), "{}", fast.whose);
        assert!(fast.whose.contains("for the router has none that looks"), "{}", fast.whose);
        assert_eq!(fast.check(), Pace::default().check());
        let bfd = "checks = [\"c\"]\n[check.c]\ntype = \"bfd\"\nneighbor = \"10.0.0.9\"\n";
        let router = "[router.web]\ninterface = \"eth0\"\nvrid = 1\naddresses = [\"10.0.0.1\"]\n";
        let session = Pace::of(&load(&format!("{router}{bfd}")), None).unwrap();
        assert_eq!(session.check(), Pace::default().check(), "{}", session.whose);
        let none = Pace::of(&config, Some("none")).unwrap_err();
        assert_eq!(none, "there is no [router.none] in the configuration");
    }

    #[test]
    fn a_pace_is_the_same_on_the_other_side() {
        let pace = Pace::of(&load(FILE), None).unwrap();
        assert_eq!(serde_json::from_str::<Pace>(&serde_json::to_string(&pace).unwrap()).unwrap(), pace);
    }
}
