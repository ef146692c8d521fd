//! `locum doctor`: gathers what it can see of this host, has it judged, and prints the findings.

use super::show::{clean, on_terminal};
use super::{DEFAULT_CONFIG, Daemon, Failure, NOT_DONE, Reading, USAGE, WELL, rules, say};
use crate::agent::Request;
use crate::agent::cluster::Cluster;
use crate::agent::status::Status;
use crate::config::{Config, Secrets, load_as};
use crate::control::{Answer, ClientError, Question};
use crate::doctor::daemon::Silent;
use crate::doctor::{Facts, Finding, Report, Severity, configuration, examine};
use crate::explain::Peer;
use crate::net::namespace;
use crate::survey::{self, Host};
use clap::Args;
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::io::stdout;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// The version of the JSON.
const SCHEMA: u32 = 1;
/// A daemon that is well answers in milliseconds.
const WITHIN: Duration = Duration::from_secs(5);

/// Look for what costs a night: firewall, addresses, keys, clocks, duplicates, network managers and the like
#[derive(Debug, Args)]
#[command(
    after_help = "It changes nothing, and needs no daemon. As root it sees most; it says what it could not \
                        look at.\n\nExit status: 0 all that was looked at is fine, 1 there are troubles or \
                        doubts, 2 wrong usage, or a configuration that cannot be used."
)]
pub(super) struct Doctor {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// The file of another host to compare with, once for each host
    #[arg(long, value_name = "FILE")]
    peer: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Show what is fine as well
    #[arg(short, long)]
    verbose: bool,
    /// Listen to adverts for so long; 0s: do not listen, and ask nobody by ARP
    #[arg(long, value_name = "TIME", default_value = "4s", value_parser = span)]
    listen: Duration,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    daemon: Daemon,
}

impl Doctor {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let peer = |file: &PathBuf| Ok(Peer { name: file.display().to_string(), rules: rules(file)? });
        let peers = self.peer.iter().map(peer).collect::<Result<Vec<_>, Failure>>();
        let peers = match peers {
            Err(Failure::Other(line)) => {
                super::complain(&line);
                return Ok(USAGE);
            }
            other => other?,
        };
        let mut report = Report::default();
        // Who is not root cannot read every key, and most of the rest all the same.
        let (config, problems) = match load_as(&self.config, Secrets::BarRouter, &self.reading.options()) {
            Ok(loaded) => (Some(loaded.config.clone()), loaded.problems()),
            Err(problems) => (None, problems.0),
        };
        configuration::judge(&self.config.display().to_string(), config.is_some(), &problems, &mut report);
        if let Some(config) = &config {
            let facts = facts(config, self.daemon.named(), self.listen);
            examine(config, &peers, &facts, &mut report);
        }
        say(&if self.json { json(&report) } else { text(&report, self.verbose, on_terminal(&stdout())) })?;
        Ok(match (config, report.worst()) {
            (None, _) => USAGE,
            (_, Severity::Fine) => WELL,
            _ => NOT_DONE,
        })
    }
}

/// All that can be seen of this host and its network, listening to adverts for so long. `socket`: the daemon's, where
/// it is not the one that the configuration says. To be called before any other thread is there.
pub(super) fn facts(config: &Config, socket: Option<PathBuf>, span: Duration) -> Facts {
    let agent = &config.agent;
    // Before any other thread is there.
    let elsewhere =
        config.details.identity.namespace.as_deref().and_then(|name| namespace::enter(name).err());
    let Host { links, settings, managed, filter, synchronized } = match &elsewhere {
        Some(outside) => Host::unseen(&outside.to_string()),
        None => survey::host(agent),
    };
    let heard = links.clone().and_then(|links| survey::listen(agent, &links, span));
    // Later than the adverts: what was on the wire the daemon has heard by then.
    let daemon = Daemon { socket: Some(socket.unwrap_or_else(|| config.details.control.path.clone())) };
    let status = status(&daemon);
    let cluster = status.is_ok().then(|| cluster(&daemon)).flatten();
    let held = held(status.as_ref().ok());
    let asked = match &links {
        Ok(_) if span.is_zero() => Err("nobody was asked".to_owned()),
        Ok(links) => survey::ask(agent, links, &held),
        Err(why) => Err(why.clone()),
    };
    let pid = |status: &Status| status.daemon.get("pid")?.parse().ok();
    Facts {
        clock: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default(),
        own: survey::own_privileges(),
        daemon: status.as_ref().ok().and_then(pid).and_then(survey::of_daemon),
        links,
        settings,
        managed,
        filter,
        synchronized,
        heard,
        asked,
        status,
        cluster,
    }
}

/// What the others say, where an `[http]` names them. An older daemon asks nobody.
fn cluster(daemon: &Daemon) -> Option<Cluster> {
    match daemon.ask(&Question::Cluster, WITHIN) {
        Ok(Answer::Cluster(cluster)) => Some(cluster),
        _ => None,
    }
}

fn status(daemon: &Daemon) -> Result<Status, Silent> {
    match daemon.ask(&Question::Agent(Request::Status), WITHIN) {
        Ok(Answer::Status(status)) => Ok(*status),
        Ok(_) => Err(Silent::NoAnswer("the daemon answered something else than was asked".to_owned())),
        Err(error @ ClientError::NotRunning(_)) => Err(Silent::NotRunning(error.to_string())),
        Err(error @ ClientError::NotAllowed(_)) => Err(Silent::NotAllowed(error.to_string())),
        Err(error) => Err(Silent::NoAnswer(error.to_string())),
    }
}

/// What the daemon holds, as addresses or as routes.
fn held(status: Option<&Status>) -> BTreeSet<IpAddr> {
    let routers = status.into_iter().flat_map(|status| &status.routers);
    let addresses = routers.flat_map(|router| &router.addresses);
    addresses.filter(|address| address.held).map(|address| address.address).collect()
}

fn span(text: &str) -> Result<Duration, String> {
    const LONGEST: Duration = Duration::from_secs(600);
    let parsed = text.parse::<jiff::SignedDuration>().ok().and_then(|span| Duration::try_from(span).ok());
    parsed
        .filter(|span| *span <= LONGEST)
        .ok_or("write a number and its unit, ten minutes at most: 4s".to_owned())
}

fn json(report: &Report) -> String {
    let count = |severity| report.of(severity).count();
    let json = json!({
        "schema": SCHEMA,
        "worst": report.worst(),
        "troubles": count(Severity::Trouble),
        "doubts": count(Severity::Doubt),
        "fine": count(Severity::Fine),
        "findings": sorted(report),
        "not_looked_at": report.unseen,
    });
    format!("{json:#}\n")
}

/// The worst first, and else in the order in which they were found.
fn sorted(report: &Report) -> Vec<&Finding> {
    let mut findings: Vec<_> = report.findings.iter().collect();
    findings.sort_by_key(|finding| finding.severity);
    findings
}

fn text(report: &Report, verbose: bool, colour: bool) -> String {
    let mut text = String::new();
    let paint =
        |code: &str, word: &str| if colour { format!("\x1b[{code}m{word}\x1b[0m") } else { word.to_owned() };
    for Finding { id, severity, what, why, mend } in sorted(report) {
        let word = match severity {
            Severity::Trouble => paint("31", "trouble"),
            Severity::Doubt => paint("33", "doubt"),
            Severity::Fine if verbose => paint("32", "fine"),
            Severity::Fine => continue,
        };
        let _ = writeln!(text, "{word}: {} [{id}]", clean(what));
        for (name, line) in [("why", why), ("mend", mend)].iter().filter(|(_, line)| !line.is_empty()) {
            let _ = writeln!(text, "  {name}: {}", clean(line));
        }
    }
    for unseen in &report.unseen {
        let _ = writeln!(text, "not looked at: {}: {}", clean(&unseen.what), clean(&unseen.why));
    }
    let count = report.of(Severity::Fine).count();
    let (thing, are) = if count == 1 { ("thing", "is") } else { ("things", "are") };
    let _ = writeln!(text, "{count} {thing} looked at {are} fine");
    text
}
