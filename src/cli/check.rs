//! `locum check`: whether a configuration is good, and how long a failover takes with it.

use super::show::on_terminal;
use super::{DEFAULT_CONFIG, Failure, NOT_DONE, Reading, WELL, complain, rules, say};
use crate::agent::Install;
use crate::agent::config::Router;
use crate::agent::holding::MOST_LEASED;
use crate::config::{
    self, Cause, Config, Problem, Secrets, Timeline, beside, load_as, render_all, timelines,
};
use crate::explain::{Peer, explain};
use crate::vrrp::interval::lease_ends;
use clap::Args;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{Write as _, stderr};
use std::path::PathBuf;
use std::time::Duration;

/// Check a configuration file: every problem with its place, and the longest failover of each router
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 good, perhaps with warnings; 1 wrong, or a failover can take longer \
                        than its router's max_failover.")]
pub(super) struct Check {
    /// The configuration file
    #[arg(value_name = "FILE", default_value = DEFAULT_CONFIG)]
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Say in plain words what this file will do: who is Master when, what each failing check changes, what
    /// is on the wire, which firewall rules it needs
    #[arg(long)]
    explain: bool,
    /// The file of another host to explain it with, once for each host; one is assumed otherwise
    #[arg(long, value_name = "FILE", requires = "explain")]
    peer: Vec<PathBuf>,
    #[command(flatten)]
    reading: Reading,
}

impl Check {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let (mut config, mut problems) = match load_as(&self.file, Secrets::MustRead, &self.reading.options())
        {
            Ok(loaded) => (Some(loaded.config.clone()), loaded.problems()),
            Err(problems) => (None, problems.0),
        };
        let peer = |file: &PathBuf| Ok(Peer { name: file.display().to_string(), rules: rules(file)? });
        let peers = self.peer.iter().map(peer).collect::<Result<Vec<_>, Failure>>()?;
        if let Some(config) = &mut config {
            let named: Vec<_> = peers.iter().map(|peer| (peer.name.as_str(), &peer.rules)).collect();
            problems.extend(beside(config, &self.file, &named));
        }
        let explanation = config.as_ref().filter(|_| self.explain).map(|config| explain(config, &peers));
        let code = if config.is_some() { WELL } else { NOT_DONE };
        if self.json {
            let mut json = self.json(config.as_ref(), &problems);
            if self.explain {
                json["explain"] = json!(explanation);
            }
            say(&format!("{json:#}\n"))?;
            return Ok(code);
        }
        if !problems.is_empty() {
            let _ = writeln!(stderr(), "{}\n", render_all(&problems, on_terminal(&stderr())));
        }
        match config {
            Some(config) => {
                let more = explanation.map(|explanation| format!("\n{explanation}")).unwrap_or_default();
                say(&(self.text(&config) + &more))?;
            }
            None => complain(&self.verdict(&problems)),
        }
        Ok(code)
    }

    fn json(&self, config: Option<&Config>, problems: &[Problem]) -> Value {
        let routers = config.map(|config| {
            let router = |router| router_json(router, config);
            config.agent.routers.iter().map(router).collect::<Vec<_>>()
        });
        json!({
            "file": self.file.to_string_lossy(),
            "good": config.is_some(),
            "problems": problems.iter().map(Problem::to_json).collect::<Vec<_>>(),
            "routers": routers.unwrap_or_default(),
        })
    }

    fn text(&self, config: &Config) -> String {
        let agent = &config.agent;
        let mut text = format!(
            "{} is good: {}, {}\n",
            self.file.display(),
            count(agent.routers.len(), "router"),
            count(agent.checks.len(), "check")
        );
        for router in &agent.routers {
            let worst = config::show(config::worst_case(router, config).total);
            let _ = write!(text, "\n{}: a failover takes at most {worst}", router.name);
            if let Some(promise) = config.details.max_failover.get(&router.name) {
                let _ = write!(text, ", {} are promised", config::show(*promise));
            }
            text.push('\n');
            for line in timelines(router, config) {
                let _ = writeln!(text, "  {line}{}", whom(&line.cause, router, config));
            }
            let _ = writeln!(text, "  {}", lease(router, config));
            if router.install == Install::LocalRoute {
                let held = count(router.vips.len() + router.excluded.len(), "local route");
                let _ = writeln!(
                    text,
                    "  held as {held}: ip route show table local proto 113 shows them, ip address does not"
                );
            }
        }
        text
    }

    fn verdict(&self, problems: &[Problem]) -> String {
        let errors = problems.iter().filter(|problem| problem.severity == config::Severity::Error).count();
        format!("{} cannot be used: {}", self.file.display(), count(errors, "error"))
    }
}

/// Which peers a weight moves the addresses to, as long as none of them is known. In a group that is the
/// business of all its routers.
fn whom(cause: &Cause, router: &Router, config: &Config) -> String {
    let known = config.details.peer_priority.contains_key(&router.name);
    let grouped = config.agent.groups.iter().any(|group| group.routers.contains(&router.name));
    match cause {
        Cause::Check(check) if !known && !grouped => {
            let least = config::moves_from(router, check);
            least.map(|least| format!(", where a peer has priority {least} or more")).unwrap_or_default()
        }
        Cause::Check(_) | Cause::Host => String::new(),
    }
}

/// What becomes of the addresses of a daemon that is dead or hangs.
fn lease(router: &Router, config: &Config) -> String {
    let Some(lease) = router.manner.lease else {
        let why = match router.install {
            Install::LocalRoute => "a route has no lifetime in the kernel, so ",
            Install::Address => "",
        };
        return format!(
            "{why}only its guardian takes the addresses from a daemon that is dead, and only a restart from one that hangs"
        );
    };
    let silence = router.interval.duration() * u32::from(router.manner.down_adverts);
    let silence = config::claimed(router, config).map_or(silence, |claim| silence.max(claim.grant()));
    let [gone, taken] = [lease_ends(lease), silence].map(config::show);
    let late = if lease_ends(lease) > silence { ": both hosts have them meanwhile" } else { "" };
    let mut line = format!(
        "a daemon that is dead or hangs has lost the addresses after {gone}, a Backup takes over after {taken}{late}"
    );
    if let Some(first) = router.all_vips().find(|vip| router.lease_of(vip).is_none()) {
        let _ = if first.address.is_ipv6() && first.prefix == 128 {
            write!(line, "; but IPv6 addresses stay: of more than {MOST_LEASED} none is leased")
        } else {
            write!(line, "; but {} stays: write IPv6 addresses without a prefix length", first.address)
        };
    }
    line
}

fn router_json(router: &Router, config: &Config) -> Value {
    let promise = config.details.max_failover.get(&router.name);
    json!({
        "name": router.name,
        "worst_ms": millis(config::worst_case(router, config).total),
        "lease_ms": router.manner.lease.map(millis),
        "max_failover_ms": promise.copied().map(millis),
        "cases": timelines(router, config).iter().map(case_json).collect::<Vec<_>>(),
    })
}

fn case_json(case: &Timeline) -> Value {
    json!({
        "cause": case.cause.to_string(),
        "detection_ms": millis(case.detection),
        "election_ms": millis(case.election),
        "total_ms": millis(case.total),
    })
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}
