//! The TOML file as written: each value read and with its place, nothing yet compared with another.

pub(super) use super::address::Address;
use super::address::one_address;
use super::announcing;
use super::auth;
use super::claim::{self, Claim, QUORUMS};
use super::damping;
use super::drill;
use super::fixed::{self, Fixed};
use super::hooks::Usual;
use super::http::{self, Http};
use super::identity;
use super::journal::{self, Journal};
use super::pace;
use super::peer;
use super::problem::{Finding, Sink};
use super::routes::{FAMILIES, routes, rules};
use super::second_path;
use super::section::{Section, Value, Wrong};
use super::snmp;
use super::tracking::{Track, tracks};
use super::value::{
    choice, command, duration, flag, interface, ip, number, path, some_time, subnet, text, time_or_off,
    virtual_mac, whole,
};
use super::virtual_interface;
use super::{Identity, Scheduling};
use crate::agent::config::{Interface, LinkDelay};
use crate::agent::route::{Route, Rule};
use crate::agent::{Install, RouterName, VirtualMac};
use crate::claim::quorum::Quorum;
use crate::drill::Settings as Drill;
use crate::process::Inherit;
use crate::snmp::Settings;
use crate::vrrp::announcing::Announcing;
use crate::vrrp::{AddressFlag, ChecksumPolicy, Family, Priority, Version, Vrid};
use serde_spanned::Spanned;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use toml::de::DeTable;

/// All of it.
pub(super) struct File<'a> {
    pub(super) agent: Agent<'a>,
    pub(super) routers: Vec<Router>,
    pub(super) groups: Vec<Group>,
    /// `[link.NAME]`
    pub(super) links: BTreeMap<String, LinkDelay>,
    /// `[pace.NAME]`
    pub(super) paces: Vec<pace::Written>,
    /// `[journal]`
    pub(super) journal: Journal,
    /// `[snmp]`
    pub(super) snmp: Option<Settings>,
    /// `[http]`
    pub(super) http: Option<Http>,
    /// `[claim]`
    pub(super) claim: Option<Claim>,
    /// `[slo]`
    pub(super) promises: drill::Promises,
    /// `[drill]`
    pub(super) drill: Drill,
    /// `[static]`
    pub(super) fixed: Fixed,
    /// Name and table of every check; what is in it depends on its type.
    pub(super) checks: Vec<(Spanned<String>, Section<'a>)>,
    /// The same of every `[message.NAME]`,
    pub(super) messages: Vec<(Spanned<String>, Section<'a>)>,
    /// and of every `[dns.NAME]`.
    pub(super) records: Vec<(Spanned<String>, Section<'a>)>,
}

/// `[group.NAME]`
pub(super) struct Group {
    pub(super) name: Spanned<String>,
    pub(super) routers: Vec<Spanned<String>>,
    /// What all of them track.
    pub(super) tracks: Vec<Track>,
    pub(super) notify: Notify,
}

/// `[agent]`
#[derive(Default)]
pub(super) struct Agent<'a> {
    pub(super) node: Option<String>,
    pub(super) identity: Identity,
    pub(super) control: Option<PathBuf>,
    pub(super) group: Option<Spanned<String>>,
    pub(super) script_user: Option<Spanned<String>>,
    /// Scripts have the daemon's environment.
    pub(super) inherit_environment: bool,
    pub(super) notify_fifos: Vec<Section<'a>>,
    pub(super) mail: Option<Section<'a>>,
    pub(super) start_delay: Option<Duration>,
    pub(super) scheduling: Scheduling,
    pub(super) delay_after_boot: Option<Duration>,
}

impl Agent<'_> {
    pub(super) fn scripts(&self) -> Usual<'_> {
        let inherit = if self.inherit_environment { Inherit::Environment } else { Inherit::Nothing };
        Usual { user: self.script_user.as_ref(), inherit }
    }
}

/// `[router.NAME]`
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own in the file")]
pub(super) struct Router {
    pub(super) name: Spanned<RouterName>,
    pub(super) interface: Option<Spanned<Interface>>,
    pub(super) vrid: Option<Spanned<Vrid>>,
    pub(super) version: Option<Spanned<Version>>,
    pub(super) priority: Option<Spanned<Priority>>,
    pub(super) peer_priority: Option<Priority>,
    pub(super) interval: Option<Spanned<Duration>>,
    pub(super) preempt: Option<Spanned<bool>>,
    pub(super) preempt_delay: Option<Spanned<Duration>>,
    pub(super) down_adverts: Option<Spanned<u8>>,
    pub(super) answer_losing: Option<bool>,
    pub(super) owner_ignores: bool,
    pub(super) parting_advert: bool,
    pub(super) eager: bool,
    /// Why it takes no part at all.
    pub(super) barred: Option<String>,
    /// What adverts name.
    pub(super) vips: Vec<Address>,
    /// Of an election without addresses.
    pub(super) family: Option<Family>,
    /// What is held besides.
    pub(super) excluded: Vec<Address>,
    /// What adverts name besides.
    pub(super) named: Vec<Address>,
    pub(super) ignore_link: bool,
    pub(super) routes: Vec<Route>,
    pub(super) rules: Vec<Rule>,
    pub(super) install: Option<Spanned<Install>>,
    pub(super) lease: Option<Spanned<Option<Duration>>>,
    pub(super) virtual_mac: VirtualMac,
    pub(super) virtual_interface: virtual_interface::Written,
    pub(super) adverts_from_base: bool,
    pub(super) accept: bool,
    pub(super) close_connections: bool,
    pub(super) drain_ports: BTreeSet<u16>,
    pub(super) quorum: Option<Spanned<Quorum>>,
    pub(super) peers: Option<peer::Peers>,
    pub(super) distances: Vec<peer::Distance>,
    pub(super) groups: Vec<Spanned<IpAddr>>,
    pub(super) second_path: Option<second_path::Written>,
    pub(super) sources: Vec<Spanned<IpAddr>>,
    pub(super) ttl: Option<Spanned<u8>>,
    pub(super) min_ttl: Option<Spanned<u8>>,
    pub(super) checksum: ChecksumPolicy,
    pub(super) auth: Option<auth::Written>,
    pub(super) strict: bool,
    pub(super) announce: Announcing,
    pub(super) damping: Option<damping::Written>,
    pub(super) tracks: Vec<Track>,
    pub(super) max_failover: Option<Spanned<Duration>>,
    pub(super) notify: Notify,
}

impl Router {
    /// How it holds its IPv4 addresses.
    pub(super) fn install(&self) -> Install {
        self.install.as_ref().map_or(Install::Address, |install| *install.get_ref())
    }

    /// Whether some of its addresses are on an interface with the virtual MAC address.
    pub(super) fn has_virtual_mac(&self) -> bool {
        let itself = |address: &Address| address.vip.has(AddressFlag::VirtualMac);
        self.virtual_mac != VirtualMac::Off || self.held().any(itself)
    }

    /// Every address it holds, advertised or not.
    pub(super) fn held(&self) -> impl Iterator<Item = &Address> {
        self.vips.iter().chain(&self.excluded)
    }
}

/// A command, and who runs it where that is written with it.
pub(super) struct Command {
    pub(super) words: Spanned<Vec<String>>,
    pub(super) user: Option<Spanned<String>>,
}

/// `notify`
#[derive(Default)]
pub(super) struct Notify {
    pub(super) master: Option<Command>,
    pub(super) backup: Option<Command>,
    pub(super) fault: Option<Command>,
    pub(super) stop: Option<Command>,
    pub(super) any: Option<Command>,
    pub(super) rx_lower: Option<Command>,
    pub(super) dual_master: Option<Command>,
    pub(super) priority_changes: Option<Spanned<bool>>,
    pub(super) mail: Option<Spanned<bool>>,
    pub(super) user: Option<Spanned<String>>,
    pub(super) timeout: Option<Duration>,
}

/// Reads the whole file.
pub(super) fn read<'a>(table: &'a Spanned<DeTable<'a>>, sink: &'a Sink) -> File<'a> {
    let top = Section::new("this file".to_owned(), table.span(), table.get_ref(), sink);
    let table = top.raw("agent").and_then(|value| top.inner("agent", value, "[agent]".to_owned()));
    let agent = table.map(agent).unwrap_or_default();
    let routers = top.named("router").into_iter().map(router).collect();
    let groups = top.named("group").into_iter().map(group).collect();
    let links = top.named("link").into_iter().map(link_delay).collect();
    let table = top.raw("static").and_then(|value| top.inner("static", value, "[static]".to_owned()));
    let fixed = table.map(fixed::read).unwrap_or_default();
    let paces = top.named("pace").into_iter().map(pace::read).collect();
    let (checks, messages, records) = (top.named("check"), top.named("message"), top.named("dns"));
    let journal = journal::read(&top);
    let snmp = snmp::read(&top);
    let http = http::read(&top);
    let claim = claim::read(&top);
    let promises = drill::promises(&top);
    let names: Vec<_> = checks.iter().map(|(name, _)| name.get_ref().as_str()).collect();
    let drill = drill::settings(&top, &names);
    top.finish();
    File {
        agent,
        routers,
        groups,
        links,
        paces,
        journal,
        snmp,
        http,
        claim,
        promises,
        drill,
        fixed,
        checks,
        messages,
        records,
    }
}

fn agent(section: Section<'_>) -> Agent<'_> {
    let mut agent = Agent {
        node: inner(section.optional("node", text)),
        identity: identity(&section),
        script_user: section.optional("script_user", text),
        inherit_environment: inner(section.optional("inherit_environment", flag)).unwrap_or_default(),
        notify_fifos: fifos(&section),
        mail: section.section("mail"),
        scheduling: Scheduling {
            realtime: inner(section.optional("realtime", number(0, 99))),
            lock_memory: inner(section.optional("lock_memory", flag)).unwrap_or_default(),
        },
        start_delay: inner(section.optional("start_delay", duration)),
        delay_after_boot: inner(section.optional("delay_after_boot", duration)),
        ..Agent::default()
    };
    if let Some(control) = section.section("control") {
        agent.control = inner(control.optional("path", path));
        agent.group = control.optional("group", text);
        control.finish();
    }
    section.finish();
    agent
}

pub(super) fn identity(section: &Section<'_>) -> Identity {
    let name = |key| inner(section.optional(key, identity::name));
    Identity { namespace: name("namespace"), instance: name("instance") }
}

/// `notify_fifo`: one table, or a list of them.
fn fifos<'a>(section: &Section<'a>) -> Vec<Section<'a>> {
    const KEY: &str = "notify_fifo";
    match section.raw(KEY) {
        Some(value) if value.get_ref().is_array() => {
            let members = section.members(KEY, "a list of tables").unwrap_or_default();
            members.iter().filter_map(|value| section.inner(KEY, value, format!("a {KEY}"))).collect()
        }
        _ => section.section(KEY).into_iter().collect(),
    }
}

fn link_delay((name, section): (Spanned<String>, Section<'_>)) -> (String, LinkDelay) {
    let or_none = |key| inner(section.optional(key, duration)).unwrap_or_default();
    let delay = LinkDelay { down: or_none("down_delay"), up: or_none("up_delay") };
    section.finish();
    (name.into_inner(), delay)
}

fn group((name, section): (Spanned<String>, Section<'_>)) -> Group {
    if section.raw("routers").is_none() {
        section.missing("routers", "routers = [\"NAME\", …]");
    }
    let routers = section.list("routers", text).map(Spanned::into_inner).unwrap_or_default();
    let group = Group { name, routers, tracks: tracks(&section), notify: notify(&section, false) };
    section.finish();
    group
}

pub(super) fn inner<T>(value: Option<Spanned<T>>) -> Option<T> {
    value.map(Spanned::into_inner)
}

const VERSIONS: [(i64, Version); 2] = [(2, Version::V2), (3, Version::V3)];
const INSTALLS: &[(&str, Install)] = &[("address", Install::Address), ("local-route", Install::LocalRoute)];
const CHECKSUMS: &[(&str, ChecksumPolicy)] = &[
    ("auto", ChecksumPolicy::Auto),
    ("rfc9568", ChecksumPolicy::Rfc9568),
    ("pseudo", ChecksumPolicy::Pseudo),
];

fn router((name, section): (Spanned<String>, Section<'_>)) -> Router {
    let name = router_name(name, &section);
    let (held, named): (Vec<_>, _) = addresses(&section).into_iter().partition(|address| address.hold);
    let (vips, excluded) = held.into_iter().partition(|address| address.advertise);
    let (peers, distances) = peer::read(&section);
    let router = Router {
        name,
        interface: router_interface(&section),
        vrid: section.required("vrid", "vrid = 51", vrid),
        version: section.optional("version", version),
        priority: section.optional("priority", priority),
        peer_priority: inner(section.optional("peer_priority", priority)),
        interval: section.optional("interval", some_time),
        preempt: section.optional("preempt", flag),
        preempt_delay: section.optional("preempt_delay", duration),
        down_adverts: section.optional("down_adverts", number(1, 100)),
        answer_losing: inner(section.optional("answer_losing", flag)),
        owner_ignores: inner(section.optional("owner_ignores", flag)).unwrap_or_default(),
        parting_advert: inner(section.optional("parting_advert", flag)).unwrap_or_default(),
        eager: inner(section.optional("eager", flag)).unwrap_or_default(),
        barred: inner(section.optional("barred", text)),
        family: inner(section.optional("family", choice(FAMILIES))),
        vips,
        excluded,
        named,
        ignore_link: inner(section.optional("ignore_link", flag)).unwrap_or_default(),
        routes: routes(&section),
        rules: rules(&section),
        install: section.optional("install", choice(INSTALLS)),
        lease: section.optional("lease", time_or_off),
        virtual_mac: inner(section.optional("virtual_mac", virtual_mac)).unwrap_or_default(),
        virtual_interface: virtual_interface::read(&section),
        adverts_from_base: inner(section.optional("adverts_from_base", flag)).unwrap_or_default(),
        accept: inner(section.optional("accept", flag)).unwrap_or(true),
        quorum: section.optional("quorum", choice(QUORUMS)),
        close_connections: inner(section.optional("close_connections", flag)).unwrap_or(true),
        drain_ports: ports(&section),
        peers,
        distances,
        groups: inner(section.one_or_more("multicast_group", ip)).unwrap_or_default(),
        second_path: second_path::read(&section),
        sources: inner(section.one_or_more("source", ip)).unwrap_or_default(),
        ttl: section.optional("ttl", number(1, 255)),
        min_ttl: section.optional("min_ttl", number(0, 255)),
        checksum: inner(section.optional("checksum", choice(CHECKSUMS))).unwrap_or_default(),
        auth: auth::read(&section),
        strict: inner(section.optional("strict", flag)).unwrap_or_default(),
        announce: announcing::read(&section),
        damping: damping::read(&section),
        tracks: tracks(&section),
        max_failover: section.optional("max_failover", some_time),
        notify: notify(&section, true),
    };
    section.finish();
    router
}

fn ports(section: &Section<'_>) -> BTreeSet<u16> {
    let ports = inner(section.list("drain_ports", number(1, 65_535)));
    ports.into_iter().flatten().map(Spanned::into_inner).collect()
}

fn router_name(name: Spanned<String>, section: &Section<'_>) -> Spanned<RouterName> {
    if !is_name(name.get_ref()) {
        section.sink().add(bad_name(&name));
    }
    Spanned::new(name.span(), RouterName(name.into_inner().into()))
}

/// Names stand in commands, file names and tables.
pub(super) fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..=64).contains(&name.len()) && name.chars().all(fits)
}

pub(super) fn bad_name(name: &Spanned<String>) -> Finding {
    let message = format!("\"{}\" cannot be a name", name.get_ref());
    Finding::error(&name.span(), message).help("use 1 to 64 letters, digits, - _ or .")
}

fn vrid(value: &Value<'_>) -> Result<Vrid, Wrong> {
    let number = number::<u8>(1, 255)(value)?;
    Vrid::new(number).ok_or_else(|| Wrong::new("a VRID cannot be 0"))
}

fn priority(value: &Value<'_>) -> Result<Priority, Wrong> {
    let number = number::<u8>(1, 255)(value)?;
    Priority::new(number).ok_or_else(|| Wrong::new("a priority cannot be 0"))
}

fn version(value: &Value<'_>) -> Result<Version, Wrong> {
    let number = whole(2, 3)(value)?;
    let known = VERSIONS.iter().find(|(version, _)| *version == number);
    known.map(|(_, version)| *version).ok_or_else(|| Wrong::new("the VRRP versions are 2 and 3"))
}

fn router_interface(section: &Section<'_>) -> Option<Spanned<Interface>> {
    let Some(value) = section.raw("interface") else {
        section.missing("interface", "interface = \"eth0\", or interface = { subnet = \"10.0.0.0/24\" }");
        return None;
    };
    let found = if value.get_ref().is_table() {
        let table = section.section("interface")?;
        let subnet = table.required("subnet", "subnet = \"10.0.0.0/24\"", subnet);
        table.finish();
        let (network, prefix) = subnet?.into_inner();
        Interface::Subnet(network, prefix)
    } else {
        Interface::Named(section.optional("interface", interface)?.into_inner())
    };
    Some(Spanned::new(value.span(), found))
}

fn addresses(section: &Section<'_>) -> Vec<Address> {
    let Some(value) = section.raw("addresses") else {
        section.missing("addresses", "addresses = [\"10.0.0.100\"]");
        return Vec::new();
    };
    let members = section.members("addresses", "a list: [\"10.0.0.100\"]");
    if members.is_some_and(<[_]>::is_empty) && section.raw("family").is_none() {
        let finding = Finding::error(&value.span(), "a router needs at least one address");
        let help = "write addresses = [\"10.0.0.100\"]; or family = \"ipv4\" for an election without";
        section.sink().add(finding.help(help));
    }
    members.unwrap_or_default().iter().filter_map(|value| one_address(section, value)).collect()
}

fn notify(section: &Section<'_>, alone: bool) -> Notify {
    let Some(table) = section.section("notify") else { return Notify::default() };
    // A group hears no adverts, and has no priority.
    let notify = Notify {
        master: own_command(&table, "master"),
        backup: own_command(&table, "backup"),
        fault: own_command(&table, "fault"),
        stop: own_command(&table, "stop"),
        any: own_command(&table, "any"),
        rx_lower: if alone { own_command(&table, "rx_lower") } else { None },
        dual_master: if alone { own_command(&table, "dual_master") } else { None },
        priority_changes: if alone { table.optional("priority_changes", flag) } else { None },
        mail: table.optional("mail", flag),
        user: table.optional("user", text),
        timeout: inner(table.optional("timeout", some_time)),
    };
    table.finish();
    notify
}

/// A command under `key`: itself, or `{ command = …, user = … }`.
pub(super) fn own_command(section: &Section<'_>, key: &'static str) -> Option<Command> {
    let value = section.raw(key)?;
    if !value.get_ref().is_table() {
        return Some(Command { words: section.optional(key, command)?, user: None });
    }
    let table = section.inner(key, value, format!("{key} of {}", section.title))?;
    let words = table.required("command", "command = \"/path/to/script\"", command);
    let user = table.optional("user", text);
    table.finish();
    Some(Command { words: words?, user })
}
