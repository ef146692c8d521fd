//! The front door: a TOML file becomes a [`Config`], or a list of everything that is wrong with it.
//! `keepalived` is the second one.
//!
//! `file` is what is written, `router`, `auth`, `checks`, `hooks` and `secret` make of it what the running
//! parts need, `across` and `lint` compare. Syntax errors come first and alone: beneath a broken
//! line nothing can be judged. Everything else comes at once.

mod across;
mod address;
mod announcing;
mod auth;
mod beside;
mod changes;
mod checks;
pub mod claim;
mod damping;
mod dns;
mod drill;
mod file;
mod fixed;
mod groups;
mod hooks;
mod http;
mod identity;
mod journal;
pub mod keepalived;
mod lint;
mod message;
mod pace;
mod peer;
mod problem;
mod router;
mod routes;
mod second_path;
mod secret;
mod section;
mod snmp;
mod store;
mod suggest;
mod tell;
mod text;
mod timeline;
mod tracking;
mod value;
mod virtual_interface;
mod vote_path;

pub use beside::{beside, moves_from};
pub use identity::Identity;
pub use journal::{Journal, journal_of};
pub use problem::{Problem, Problems, Severity, Span, render_all};
pub use tell::Told;
pub use timeline::{Cause, Timeline, claimed, noticed, timelines, worst_case};
pub use value::show;

use crate::agent::config::{Group, GroupName};
use crate::agent::{RouterName, Subject};
use crate::claim::quorum::Quorum;
use crate::dns::Record;
use crate::drill::{Objectives, Settings as Drill};
use crate::health::CheckName;
use crate::net::etcd::Settings as Store;
use crate::net::vote_socket::SecondPath;
use crate::notify::message::Receiver;
use crate::snmp::Settings;
use crate::vrrp::Priority;
use crate::{agent, check, notify, web};
use problem::{Finding, Sink};
use serde_spanned::Spanned;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::de::DeTable;

/// Where the daemon's socket is unless the file says otherwise.
pub const SOCKET: &str = "/run/locum/locum.sock";

/// Everything one file says.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What the agent decides by.
    pub agent: agent::config::Config,
    /// What the doers need besides.
    pub details: Details,
}

/// What an instance of a keepalived.conf says of itself. What it means for an election is done where it is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named as the keywords they hold")]
pub struct Dumped {
    pub strict_mode: bool,
    pub skip_check_adv_addr: bool,
}

/// Hosts, commands and paths, by the names that the agent uses.
#[derive(Clone, Debug, PartialEq)]
pub struct Details {
    /// What each check probes.
    pub checks: BTreeMap<CheckName, check::Spec>,
    /// The scripts of each router and group that has any.
    pub hooks: BTreeMap<Subject, notify::Hooks>,
    /// FIFOs and mails.
    pub told: Told,
    /// The records of DNS that move.
    pub records: Vec<Record>,
    /// The daemon's socket.
    pub control: Control,
    /// Which daemon of this host it is.
    pub identity: Identity,
    /// The record of what happened.
    pub journal: Journal,
    /// The etcd that grants claims, where one does.
    pub store: Option<Store>,
    /// Another way to the other voters.
    pub vote_path: Option<SecondPath>,
    /// What is served by SNMP, where anything is.
    pub snmp: Option<Settings>,
    /// What is served by HTTP, where anything is.
    pub http: Option<web::Settings>,
    /// How the daemon is scheduled.
    pub scheduling: Scheduling,
    /// What is promised, for drills to compare with.
    pub objectives: Objectives,
    /// What a drill on live hosts may do.
    pub drill: Drill,
    /// What this host is called in status and logs.
    pub node: String,
    /// How long a failover may take at most, for the routers that promise it.
    pub max_failover: BTreeMap<RouterName, Duration>,
    /// What a keepalived.conf says of its instances that only dumps tell of; absent is no.
    pub dumped: BTreeMap<RouterName, Dumped>,
    /// The best priority among the peers, for the routers that say it.
    pub peer_priority: BTreeMap<RouterName, Priority>,
}

/// How the daemon is scheduled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scheduling {
    /// The real-time priority of the thread that sends adverts, 1..=99; 0 for none. `None` for
    /// what whoever started the daemon has set.
    pub realtime: Option<u8>,
    /// Keep all memory from being swapped out.
    pub lock_memory: bool,
}

/// The daemon's socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// Where it is.
    pub path: PathBuf,
    /// The numeric id of the group whose members may use it, besides root.
    pub group: Option<u32>,
}

/// A file that can be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// What is allowed and seldom meant, in the order of the file.
    pub warnings: Vec<Problem>,
    /// What was left out of keepalived.conf, because [`keepalived::Options::lenient`] was asked for or since
    /// keepalived leaves it out without a word: with any the daemon runs degraded.
    pub skipped: Vec<keepalived::Skipped>,
    /// What keepalived's own test would find in keepalived.conf.
    pub inspection: keepalived::Inspection,
}

impl Loaded {
    /// The warnings, then what was left out.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let skipped = self.skipped.iter().map(|skipped| &skipped.problem);
        self.warnings.iter().chain(skipped).cloned().collect()
    }

    /// Refuses a keepalived.conf that demands to be without findings and is not. To be called in the network
    /// namespace of the daemon.
    ///
    /// # Errors
    /// Everything that was found.
    pub fn as_demanded(self) -> Result<Self, Problems> {
        match self.inspection.refusal() {
            None => Ok(self),
            Some(found) => Err(Problems(self.problems().into_iter().chain(found).collect())),
        }
    }
}

/// What follows when a secret cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// An error like another.
    MustRead,
    /// A warning, and its router is [barred](agent::config::Router::barred): the others still run.
    BarRouter,
}

/// Reads the file at `path`, and the secrets and scripts it refers to. Blocks on the file system.
pub fn load(path: &Path, secrets: Secrets) -> Result<Loaded, Problems> {
    load_as(path, secrets, &keepalived::Options::default())
}

/// As [`load`], with `options` for a keepalived.conf; TOML is never read leniently.
pub fn load_as(path: &Path, secrets: Secrets, options: &keepalived::Options) -> Result<Loaded, Problems> {
    let unreadable = |error: io::Error| {
        let message = format!("cannot read {}: {error}", path.display());
        Problems(vec![Problem::of_file(Severity::Error, path, message, None)])
    };
    if is_keepalived(path) {
        return keepalived::load(path, options);
    }
    let flags = [
        (options.lenient, "--lenient"),
        (options.vrrp_only, "--vrrp-only"),
        (options.config_id.is_some(), "--config-id"),
    ];
    for (asked, flag) in flags {
        if asked {
            let message = format!("{flag} is for keepalived.conf, and {} is TOML", path.display());
            let help = format!("leave {flag} out, or name a keepalived.conf");
            return Err(Problems(vec![Problem::of_file(Severity::Error, path, message, Some(help))]));
        }
    }
    let text = text::decoded(std::fs::read(path).map_err(unreadable)?, path)?;
    let mut loaded = parse(&text, path, secrets)?;
    loaded.warnings.extend(writable(path));
    Ok(loaded)
}

/// Whether the file at `path` is a keepalived.conf and not TOML: by its name where that ends in
/// `.conf` or `.toml`, else by its first line that is no comment.
#[must_use]
pub fn is_keepalived(path: &Path) -> bool {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("conf") => true,
        Some("toml") => false,
        _ => std::fs::read_to_string(path).is_ok_and(|text| reads_as_keepalived(&text)),
    }
}

fn reads_as_keepalived(text: &str) -> bool {
    let mut lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', '!']));
    // A definition of keepalived's has an equals sign as well, behind a dollar.
    lines.next().is_some_and(|line| {
        !line.starts_with('[') && (line.starts_with(['$', '@', '~']) || !line.contains('='))
    })
}

/// Whoever can write the configuration can have root run a script.
fn writable(path: &Path) -> Option<Problem> {
    const OTHERS_WRITE: u32 = 0o002;
    let open = std::fs::metadata(path).ok()?.permissions().mode() & OTHERS_WRITE != 0;
    let shown = path.display();
    let message = format!("{shown} is writable by everyone, and says what root runs");
    open.then(|| Problem::of_file(Severity::Warning, path, message, Some(format!("chmod o-w {shown}"))))
}

/// As [`load`], of `text` that stands in `origin`; relative paths of secrets begin beside it.
pub fn parse(text: &str, origin: &Path, secrets: Secrets) -> Result<Loaded, Problems> {
    let sink = Sink::new(origin, text);
    let config = read(text, origin, secrets, &sink);
    let failed = sink.has_errors();
    let found = sink.into_problems();
    match config {
        Some(config) if !failed => {
            let (skipped, inspection) = <_>::default();
            Ok(Loaded { config, warnings: found, skipped, inspection })
        }
        _ => Err(Problems(found)),
    }
}

fn read(text: &str, origin: &Path, secrets: Secrets, sink: &Sink) -> Option<Config> {
    let (table, broken) = DeTable::parse_recoverable(text);
    for error in &broken {
        sink.add(text::broken(error, text));
    }
    if !broken.is_empty() {
        return None;
    }
    let mut file = file::read(&table, sink);
    let names: Vec<_> = file.checks.iter().map(|(name, _)| name.clone()).collect();
    tracking::spread(&mut file, &names, sink);
    let fixed = std::mem::take(&mut file.fixed).holding(&file.routers, |finding, _| sink.add(finding));
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY");
    let directory = origin.parent().unwrap_or(Path::new(""));
    let keys = router::Keys { directory, credentials: credentials.as_deref(), policy: secrets };
    let records = records(&mut file, &names, &keys, sink);
    across::nothing(&file.routers, &records, sink);
    across::across(&file.routers, &names, &records, &file.drill, sink);
    let (mut told, priorities) = tell::told(&mut file.agent, &host_name(), &keys);
    told.receivers = receivers(&mut file, &keys);
    let scripts = file.agent.scripts();
    if let Some(named) = &file.agent.script_user {
        // Perhaps nobody uses it yet.
        hooks::user(Some(named), &named.span(), sink);
    }
    let (counted, specs) = checks::checks(std::mem::take(&mut file.checks), scripts, &keys);
    let node = file.agent.node.clone().unwrap_or_else(host_name);
    let mut config = Config {
        agent: agent::config::Config {
            checks: counted,
            start_delay: start_delay(file.agent.start_delay, file.agent.delay_after_boot),
            link_delays: std::mem::take(&mut file.links),
            fixed,
            paces: pace::paces(&file.paces, |finding, _| sink.add(finding)),
            ..agent::config::Config::default()
        },
        details: Details {
            checks: specs,
            hooks: BTreeMap::new(),
            told,
            records,
            control: control(&file.agent, sink),
            identity: file.agent.identity.clone(),
            journal: file.journal.clone(),
            store: None,
            vote_path: file.claim.as_ref().and_then(|claim| claim.second_path(sink)),
            snmp: file.snmp.clone(),
            http: file.http.as_ref().and_then(|http| http.settings(&node, &keys, sink)),
            scheduling: file.agent.scheduling.clone(),
            objectives: file.promises.objectives(),
            drill: file.drill.clone(),
            node,
            max_failover: BTreeMap::new(),
            dumped: BTreeMap::new(),
            peer_priority: BTreeMap::new(),
        },
    };
    let voting = file.claim.as_ref().and_then(|claim| claim.settings(&keys, sink));
    if let Some(Ok((claims, store))) = voting.clone() {
        (config.agent.claims, config.details.store) = (Some(claims), store);
    }
    let usual = file.claim.as_ref().map_or(Quorum::Off, claim::Claim::usual);
    for part in &file.routers {
        let name = part.name.get_ref();
        let hooks = hooks::hooks(&part.notify, scripts, sink);
        let told = &mut config.details.told;
        let subject = Subject::Router(name.clone());
        told.add(subject.clone(), &part.notify, priorities, sink);
        let fingerprint = fingerprint(&hooks, told, &subject);
        if hooks != notify::Hooks::default() {
            config.details.hooks.insert(subject, hooks);
        }
        if let Some(promise) = &part.max_failover {
            config.details.max_failover.insert(name.clone(), *promise.get_ref());
        }
        if let Some(priority) = part.peer_priority {
            config.details.peer_priority.insert(name.clone(), priority);
        }
        if let Some(mut router) = router::router(part, &keys, fingerprint, sink) {
            claim::quorum(part, usual, voting.as_ref(), &mut router, sink);
            lint::lint(part, &router, &config, sink);
            config.agent.routers.push(router);
        }
    }
    for part in &file.groups {
        let name = GroupName(part.name.get_ref().as_str().into());
        let hooks = hooks::hooks(&part.notify, scripts, sink);
        let told = &mut config.details.told;
        let subject = Subject::Group(name.clone());
        told.add(subject.clone(), &part.notify, false, sink);
        let fingerprint = fingerprint(&hooks, told, &subject);
        if hooks != notify::Hooks::default() {
            config.details.hooks.insert(subject, hooks);
        }
        let routers = across::members(part, &file, sink);
        claim::one_claim(&routers, &config.agent.routers, &file.routers, sink);
        let tracks = tracking::judged(&part.tracks);
        config.agent.groups.push(Group { name, routers, tracks, fingerprint });
    }
    file.promises.lint(&config, sink);
    Some(config)
}

/// Whom messages go to.
fn receivers(file: &mut file::File<'_>, keys: &router::Keys<'_>) -> Vec<Receiver> {
    let known = message::Known {
        routers: file.routers.iter().map(|router| router.name.get_ref().clone()).collect(),
        groups: file.groups.iter().map(|group| GroupName(group.name.get_ref().as_str().into())).collect(),
        node: file.agent.node.clone().unwrap_or_else(host_name),
        host_name: host_name(),
    };
    let sections = std::mem::take(&mut file.messages).into_iter();
    sections.filter_map(|(name, section)| message::receiver(name, section, &known, keys)).collect()
}

/// The records of DNS that move.
fn records(
    file: &mut file::File<'_>,
    checks: &[Spanned<String>],
    keys: &router::Keys<'_>,
    sink: &Sink,
) -> Vec<Record> {
    let known = dns::Known {
        routers: file.routers.iter().map(|router| &*router.name.get_ref().0).collect(),
        groups: file.groups.iter().map(|group| group.name.get_ref().as_str()).collect(),
        checks: checks.iter().map(|name| name.get_ref().as_str()).collect(),
    };
    let sections = std::mem::take(&mut file.records);
    let names: Vec<_> = sections.iter().map(|(name, _)| (name.get_ref().clone(), name.span())).collect();
    let read = |(name, section)| dns::record(name, section, &known, keys);
    let records: Vec<_> = sections.into_iter().filter_map(read).collect();
    dns::distinct(&records, &names, sink);
    records
}

/// Changes with whatever is done at a transition.
fn fingerprint(hooks: &notify::Hooks, told: &Told, subject: &Subject) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mailed = told.mailed.contains(subject);
    format!("{hooks:?} {:?} {mailed:?}", told.fifos).hash(&mut hasher);
    told.mail.hash(&mut hasher);
    let receivers = told.receivers.iter().filter(|receiver| receiver.subjects.contains(subject));
    receivers.for_each(|receiver| receiver.hash(&mut hasher));
    hasher.finish()
}

/// The longer of the two delays; what has passed since boot counts for the second.
fn start_delay(delay: Option<Duration>, after_boot: Option<Duration>) -> Duration {
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let uptime = uptime.split_whitespace().next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0.0);
    let uptime = Duration::try_from_secs_f64(uptime).unwrap_or_default();
    delay.unwrap_or_default().max(after_boot.unwrap_or_default().saturating_sub(uptime))
}

fn control(agent: &file::Agent<'_>, sink: &Sink) -> Control {
    let path = agent.control.clone().unwrap_or_else(|| agent.identity.socket());
    Control { path, group: agent.group.as_ref().and_then(|group| group_id(group, sink)) }
}

fn group_id(group: &Spanned<String>, sink: &Sink) -> Option<u32> {
    let name = group.get_ref();
    let why = match nix::unistd::Group::from_name(name) {
        Ok(Some(group)) => return Some(group.gid.as_raw()),
        Ok(None) => format!("there is no group \"{name}\" on this machine"),
        Err(error) => format!("cannot look up group \"{name}\": {error}"),
    };
    let finding = Finding::error(&group.span(), why);
    sink.add(finding.help(format!("create it (groupadd --system {name}) or name another")));
    None
}

/// What the kernel calls this host.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}
