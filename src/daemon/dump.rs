//! State as keepalived dumps it, for what was written to read that: exporters, plug-ins, scripts.
//!
//! Functions of the status and the configuration; no disk here. One entry is one router, both families
//! together.
//!
//! What keepalived has and Locum has not stands at its neutral value: `promote_secondaries`,
//! `notify_deleted`, `invalid_authtype`.

use super::counters::counted;
pub use super::counters::{Cleared, Counters, counters, stats};
use crate::agent::config::Router;
use crate::agent::status::{AddressStatus, CheckStatus, RouterStatus, Status};
use crate::agent::{Route, RouterName, Rule, Standing, Subject};
use crate::check::Probe;
use crate::config::Config;
use crate::health::{self, CheckName, OnFail, Track};
use crate::notify::{Hooks, Script};
use crate::vrrp::auth::Auth;
use crate::vrrp::{Version, Vip};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dump {
    /// SIGUSR1: configuration and state as text.
    Data,
    /// SIGUSR2: counters as text.
    Stats,
    /// SIGRTMAX-1: the same, and from now on they count from zero.
    ClearStats,
    /// SIGRTMIN+2: everything as JSON.
    Json,
}

impl Dump {
    /// The name of the file it is written to.
    #[must_use]
    pub const fn file_name(self) -> &'static str {
        match self {
            Dump::Data => "keepalived.data",
            Dump::Stats | Dump::ClearStats => "keepalived.stats",
            Dump::Json => "keepalived.json",
        }
    }
}

/// The JSON dump: a list of `{"data": …, "stats": …}`, one for each router, on one line.
#[must_use]
pub fn json(status: &Status, config: &Config, cleared: &Cleared, at: Timestamp) -> String {
    let each = paired(status, config).map(
        |(now, router)| json!({ "data": data_of(now, router, config, at), "stats": counted(now, cleared) }),
    );
    format!("{}\n", Value::Array(each.collect()))
}

/// Each router that stands and is configured.
fn paired<'a>(
    status: &'a Status,
    config: &'a Config,
) -> impl Iterator<Item = (&'a RouterStatus, &'a Router)> {
    let configured = |name: &RouterName| config.agent.routers.iter().find(|router| router.name == *name);
    status.routers.iter().filter_map(move |now| Some((now, configured(&now.name)?)))
}

fn data_of(now: &RouterStatus, router: &Router, config: &Config, at: Timestamp) -> Value {
    let mailed = config.details.told.mailed.contains(&Subject::Router(router.name.clone()));
    let garp = Garp::of(router);
    let vips = |excluded: bool| strings(now, router, excluded);
    let said = config.details.dumped.get(&router.name).copied().unwrap_or_default();
    let mut data = json!({
        "iname": router.name,
        "dont_track_primary": u8::from(router.ignore_link),
        "skip_check_adv_addr": u8::from(said.skip_check_adv_addr),
        "strict_mode": u8::from(said.strict_mode || router.strict),
        "vmac_ifname": vmac(router).unwrap_or_default(),
        "ifp_ifname": vmac(router).unwrap_or_else(|| interface(now, router)),
        "master_priority": master_priority(now),
        "last_transition": seconds(entered(now, at)),
        "garp_delay": garp.delay,
        "garp_refresh": garp.refresh,
        "garp_rep": garp.repeat,
        "garp_refresh_rep": router.announce.refresh_count,
        "garp_lower_prio_delay": garp.losing_delay,
        "garp_lower_prio_rep": router.announce.losing_count,
        "lower_prio_no_advert": u8::from(!router.manner.answer_losing),
        "higher_prio_send_advert": u8::from(router.manner.parting_advert),
        "vrid": now.vrid,
        "base_priority": now.priority.base,
        "effective_priority": now.priority.effective,
        "vipset": now.addresses.iter().any(|address| address.held),
        "promote_secondaries": false,
        "adver_int": tenths(now.interval_ms),
        "master_adver_int": tenths(master_interval(now)),
        "accept": u8::from(router.accept),
        "nopreempt": !router.preempt,
        "preempt_delay": tenths(u32::try_from(router.manner.preempt_delay.as_millis()).unwrap_or(u32::MAX)),
        "state": number(now.state),
        "wantstate": number(now.state),
        "version": if now.version == Version::V2 { 2 } else { 3 },
        "smtp_alert": mailed,
        "notify_deleted": false,
    });
    let mut set = |key: &str, value: Value| {
        data[key] = value;
    };
    for (key, script) in scripts(config.details.hooks.get(&Subject::Router(router.name.clone()))) {
        set(key, json!(script));
    }
    let tracked = |interfaces: bool| tracked(router, config, interfaces).into_iter().map(|(name, _)| name);
    for (key, list) in [
        ("vips", vips(false)),
        ("evips", vips(true)),
        ("vroutes", router.routes.iter().map(Route::to_string).collect()),
        ("vrules", router.rules.iter().map(Rule::to_string).collect()),
        ("track_ifp", tracked(true).collect()),
        ("track_script", tracked(false).filter_map(|check| command(&check, config)).collect()),
    ] {
        if !list.is_empty() {
            set(key, json!(list));
        }
    }
    let (auth_type, auth_data) = auth(&router.auth);
    set("auth_type", json!(auth_type));
    if auth_type > 0 {
        set("auth_data", json!(auth_data));
    }
    data
}

/// Announcements in keepalived's terms: a second burst after so many seconds, each of so many frames.
struct Garp {
    delay: u64,
    refresh: u64,
    repeat: u8,
    losing_delay: u64,
}

impl Garp {
    fn of(router: &Router) -> Self {
        Garp {
            delay: router.announce.again.last().map_or(0, std::time::Duration::as_secs),
            refresh: router.announce.refresh.map_or(0, |refresh| refresh.as_secs()),
            repeat: router.announce.count,
            losing_delay: router.announce.losing_again.map_or(0, |pause| pause.as_secs()),
        }
    }
}

fn interface<'a>(now: &'a RouterStatus, router: &'a Router) -> String {
    now.interface.clone().unwrap_or_else(|| router.interface.to_string())
}

fn interval(now: &RouterStatus) -> String {
    match now.version {
        Version::V2 => format!("{} sec", now.interval_ms / 1000),
        Version::V3 => format!("{} milli-sec", now.interval_ms),
    }
}

/// The priority of the Master that is followed; 0 without one, and as Master.
fn master_priority(now: &RouterStatus) -> u8 {
    master(now).and_then(|peer| peer.priority).unwrap_or(0)
}

fn master_interval(now: &RouterStatus) -> u32 {
    master(now).and_then(|peer| peer.interval_ms).unwrap_or(now.interval_ms)
}

fn master(now: &RouterStatus) -> Option<&crate::agent::status::PeerStatus> {
    if now.state != Standing::Backup {
        return None;
    }
    now.instances.iter().find_map(|i| i.peers.iter().find(|peer| Some(peer.address) == i.master))
}

fn entered(now: &RouterStatus, at: Timestamp) -> Timestamp {
    let age = SignedDuration::from_millis(i64::try_from(now.since_ms).unwrap_or(i64::MAX));
    at.checked_sub(age).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Seconds since 1970, to the millisecond.
fn seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}

/// Seconds; a whole number where they are whole: some readers take no other.
fn tenths(milliseconds: u32) -> Value {
    if milliseconds.is_multiple_of(1000) {
        json!(milliseconds / 1000)
    } else {
        json!(f64::from(milliseconds) / 1000.0)
    }
}

const fn number(state: Standing) -> u8 {
    match state {
        Standing::Stop => 0,
        Standing::Backup => 1,
        Standing::Master => 2,
        Standing::Fault => 3,
    }
}

const fn word(state: Standing) -> &'static str {
    match state {
        Standing::Stop => "INIT",
        Standing::Backup => "BACKUP",
        Standing::Master => "MASTER",
        Standing::Fault => "FAULT",
    }
}

/// The addresses as keepalived writes them: `10.0.0.100/24 dev eth0 scope global set`.
fn strings(now: &RouterStatus, router: &Router, excluded: bool) -> Vec<String> {
    let vips = if excluded { &router.excluded } else { &router.vips };
    vips.iter().map(|vip| string(vip, now, router)).collect()
}

fn string(vip: &Vip, now: &RouterStatus, router: &Router) -> String {
    let held = |address: &&AddressStatus| address.address == vip.address && address.held;
    let base = interface(now, router);
    let dev = vip.dev.clone().unwrap_or_else(|| match vmac(router) {
        Some(vmac) => format!("{vmac}@{base}"),
        None => base,
    });
    let scope = match vip.scope {
        0 => "global".to_owned(),
        200 => "site".to_owned(),
        253 => "link".to_owned(),
        254 => "host".to_owned(),
        other => other.to_string(),
    };
    let label = vip.label.as_ref().map(|label| format!(" label {label}")).unwrap_or_default();
    let guarded = !router.accept && !router.priority.is_owner();
    let set = match now.addresses.iter().any(|address| held(&address)) {
        true if guarded => " set nftable_set",
        true => " set",
        false => "",
    };
    let whole = if vip.address.is_ipv4() { 32 } else { 128 };
    let prefix = if vip.prefix == whole { String::new() } else { format!("/{}", vip.prefix) };
    format!("{}{prefix} dev {dev} scope {scope}{label}{set}", vip.address)
}

fn scripts(hooks: Option<&Hooks>) -> Vec<(&'static str, String)> {
    let Some(hooks) = hooks else { return Vec::new() };
    let shown = |script: &Option<Script>| script.as_ref().map(|script| quoted(&script.command));
    [
        ("script_backup", shown(&hooks.backup)),
        ("script_master", shown(&hooks.master)),
        ("script_fault", shown(&hooks.fault)),
        ("script_stop", shown(&hooks.stop)),
        ("script", shown(&hooks.any)),
        ("script_master_rx_lower_pri", shown(&hooks.rx_lower)),
    ]
    .into_iter()
    .filter_map(|(key, script)| Some((key, script?)))
    .collect()
}

/// The interface that has the virtual MAC address.
fn vmac(router: &Router) -> Option<String> {
    let family = *router.families().first()?;
    router.holding(family, String::new()).vmac.map(|vmac| vmac.name)
}

/// The interfaces that it tracks, or the other checks, each with its weight.
fn tracked(router: &Router, config: &Config, interfaces: bool) -> Vec<(String, i32)> {
    let one = |track: &Track| {
        let weight = match track.on_fail {
            OnFail::Fault => 0,
            OnFail::Weight(weight) | OnFail::Times(weight) => weight,
        };
        match link(&track.check, config) {
            Some(interface) => interfaces.then(|| (interface.to_owned(), weight)),
            None => (!interfaces).then(|| (track.check.to_string(), weight)),
        }
    };
    router.tracks.iter().filter_map(one).collect()
}

/// The interface whose state this check is.
fn link<'a>(check: &CheckName, config: &'a Config) -> Option<&'a str> {
    config.agent.checks.iter().find(|known| known.name == *check)?.link.as_deref()
}

/// What a check runs; `None` for one that runs nothing.
fn command(check: &str, config: &Config) -> Option<String> {
    let (_, spec) = config.details.checks.iter().find(|(name, _)| *name.0 == *check)?;
    match &spec.probe {
        Probe::Script(script) => Some(quoted(&script.argv)),
        _ => None,
    }
}

/// A command as keepalived writes it: `'/bin/probe' '-x'`.
fn quoted(words: &[String]) -> String {
    words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ")
}

/// keepalived's number of the kind, and the secret, masked.
const fn auth(auth: &Auth) -> (u8, &'static str) {
    match auth {
        Auth::None | Auth::Hmac(_) => (0, ""),
        Auth::Pass(_) => (1, "********"),
        Auth::Ah(_) => (2, "********"),
    }
}

/// The text dump of configuration and state. Lines with `=` come before all others of a router:
/// some readers stop at the first without.
#[must_use]
pub fn data(status: &Status, config: &Config, at: Timestamp) -> String {
    let mut text = String::from("------< VRRP Topology >------\n");
    for (now, router) in paired(status, config) {
        let _ = writeln!(text, " VRRP Instance = {}", router.name);
        for (key, value) in properties(now, router, config, at) {
            let _ = writeln!(text, "   {key} = {value}");
        }
        for excluded in [false, true] {
            let vips = strings(now, router, excluded);
            let _ = match (vips.len(), excluded) {
                (0, _) => Ok(()),
                (count, false) => writeln!(text, "   Virtual IP ({count}):"),
                (_, true) => writeln!(text, "   Virtual IP Excluded :"),
            };
            for vip in vips {
                let _ = writeln!(text, "     {vip}");
            }
        }
        for (title, interfaces) in [("Tracked interfaces", true), ("Tracked scripts", false)] {
            let tracks = tracked(router, config, interfaces);
            if !tracks.is_empty() {
                let _ = writeln!(text, "   {title} :");
            }
            for (name, weight) in tracks {
                let _ = writeln!(text, "     {name} weight {weight}");
            }
        }
    }
    text.push_str("------< VRRP Scripts >------\n");
    for check in status.checks.iter().filter(|check| link(&check.name, config).is_none()) {
        text.push_str(&script(check));
    }
    text.push_str("------< End >------\n");
    text
}

fn properties(
    now: &RouterStatus,
    router: &Router,
    config: &Config,
    at: Timestamp,
) -> Vec<(&'static str, String)> {
    let garp = Garp::of(router);
    let entered = entered(now, at);
    let local = entered.to_zoned(TimeZone::system()).strftime("%a %b %e %H:%M:%S %Y").to_string();
    let base = interface(now, router);
    let mut all = vec![
        ("VRRP Version", if now.version == Version::V2 { "2" } else { "3" }.to_owned()),
        ("State", word(now.state).to_owned()),
        ("Wantstate", word(now.state).to_owned()),
        ("Last transition", format!("{:.6} ({local})", seconds(entered))),
        ("Interface", vmac(router).map_or_else(|| base.clone(), |vmac| format!("{vmac}, vmac on {base}"))),
    ];
    let source = now.instances.iter().find_map(|instance| instance.source);
    all.extend(source.map(|source| ("Using src_ip", source.to_string())));
    all.extend([
        ("Gratuitous ARP delay", garp.delay.to_string()),
        ("Gratuitous ARP repeat", garp.repeat.to_string()),
        ("Gratuitous ARP refresh", garp.refresh.to_string()),
        ("Gratuitous ARP refresh repeat", router.announce.refresh_count.to_string()),
        ("Gratuitous ARP lower priority delay", garp.losing_delay.to_string()),
        ("Gratuitous ARP lower priority repeat", router.announce.losing_count.to_string()),
        ("Down timer adverts", router.manner.down_adverts.to_string()),
        ("Send advert after receive lower priority advert", router.manner.answer_losing.to_string()),
        ("Send advert after receive higher priority advert", router.manner.parting_advert.to_string()),
        ("Virtual Router ID", now.vrid.to_string()),
        ("Priority", now.priority.base.to_string()),
        ("Effective priority", now.priority.effective.to_string()),
        ("Total priority", now.priority.effective.to_string()),
        ("Advert interval", interval(now)),
        ("Accept", if router.accept { "enabled" } else { "disabled" }.to_owned()),
        ("Preempt", if router.preempt { "enabled" } else { "disabled" }.to_owned()),
    ]);
    let master = now.instances.iter().find_map(|instance| instance.master);
    all.extend(master.filter(|_| now.state == Standing::Backup).map(|m| ("Master router", m.to_string())));
    all.push(("Master priority", master_priority(now).to_string()));
    let mailed = config.details.told.mailed.contains(&Subject::Router(router.name.clone()));
    all.push(("Using smtp notification", if mailed { "yes" } else { "no" }.to_owned()));
    all
}

fn script(check: &CheckStatus) -> String {
    let good = check.state == health::Standing::Up;
    format!(
        " VRRP Script = {}\n   Status = {}\n   State = idle\n",
        check.name,
        if good { "GOOD" } else { "BAD" }
    )
}
