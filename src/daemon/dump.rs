//! State as keepalived dumps it, for what was written to read that: exporters, plug-ins, scripts.
//!
//! Functions of the status and the configuration; no disk here. One entry is one router, both families
//! together.
//!
//! What keepalived has and Locum has not stands at its neutral value: `vmac_ifname`, `vroutes`,
//! `vrules`, `promote_secondaries`, `skip_check_adv_addr`, `notify_deleted`, `invalid_authtype`.
//! `addr_list_err` counts what was refused for its addresses; a differing list alone is a remark in
//! `locum status`. Counters of packets that keepalived has no name for (checksum, version, strangers)
//! are in `locum status` only.

use crate::agent::config::Router;
use crate::agent::status::{AddressStatus, CheckStatus, RouterStatus, Status};
use crate::agent::{RouterName, Standing, Subject};
use crate::config::Config;
use crate::health;
use crate::notify::{Hooks, Script};
use crate::vrrp::auth::Auth;
use crate::vrrp::{Version, Vip};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
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

/// The counters of each router when they were last cleared.
pub type Cleared = BTreeMap<RouterName, Counters>;

/// The counters of one router, under keepalived's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names are all there is to say, and they are keepalived's")]
pub struct Counters {
    pub advert_rcvd: u64,
    pub advert_sent: u64,
    pub become_master: u64,
    pub release_master: u64,
    pub packet_len_err: u64,
    pub advert_interval_err: u64,
    pub ip_ttl_err: u64,
    pub invalid_type_rcvd: u64,
    pub addr_list_err: u64,
    pub invalid_authtype: u64,
    pub authtype_mismatch: u64,
    pub auth_failure: u64,
    pub auth_ext_missing: u64,
    pub auth_ext_malformed: u64,
    pub auth_ext_unknown_key: u64,
    pub auth_ext_invalid_hmac: u64,
    pub auth_ext_stale: u64,
    pub auth_ext_replay: u64,
    pub pri_zero_rcvd: u64,
    pub pri_zero_sent: u64,
}

impl Counters {
    /// Those of `router` since the daemon began.
    #[must_use]
    pub fn of(router: &RouterStatus) -> Self {
        let mut sum = Counters {
            become_master: router.became_master,
            release_master: router.left_master,
            ..Counters::default()
        };
        for instance in &router.instances {
            let refused =
                |names: &[&str]| -> u64 { names.iter().filter_map(|name| instance.refused.get(*name)).sum() };
            sum.advert_rcvd += instance.heard;
            sum.advert_sent += instance.sent;
            sum.packet_len_err +=
                refused(&["ip-header", "ip-length", "fragment", "truncated", "count-zero", "trailing-bytes"]);
            sum.advert_interval_err += refused(&["interval-mismatch", "interval-zero"]);
            sum.ip_ttl_err += refused(&["ttl"]);
            sum.invalid_type_rcvd += refused(&["type"]);
            sum.addr_list_err += refused(&["first-not-link-local"]);
            sum.authtype_mismatch += refused(&["auth-type"]);
            sum.auth_failure += refused(&["wrong-password", "bad-digest", "other-spi"]);
            sum.auth_ext_missing += refused(&["unsigned"]);
            sum.auth_ext_malformed += refused(&["bad-trailer"]);
            sum.auth_ext_unknown_key += refused(&["unknown-key"]);
            sum.auth_ext_invalid_hmac += refused(&["bad-signature"]);
            sum.auth_ext_stale += refused(&["stale"]);
            sum.auth_ext_replay += refused(&["replay"]);
            sum.pri_zero_rcvd += instance.farewells_heard;
            sum.pri_zero_sent += instance.farewells_sent;
        }
        sum
    }

    /// What has come since they were `cleared`.
    #[must_use]
    pub fn since(self, cleared: &Counters) -> Self {
        macro_rules! less {
            ($($name:ident)*) => { Counters { $($name: self.$name.saturating_sub(cleared.$name),)* } };
        }
        less!(advert_rcvd advert_sent become_master release_master packet_len_err advert_interval_err
              ip_ttl_err invalid_type_rcvd addr_list_err invalid_authtype authtype_mismatch auth_failure
              auth_ext_missing auth_ext_malformed auth_ext_unknown_key auth_ext_invalid_hmac
              auth_ext_stale auth_ext_replay pri_zero_rcvd pri_zero_sent)
    }
}

/// The counters of every router now, to be kept when they are cleared.
#[must_use]
pub fn counters(status: &Status) -> Cleared {
    status.routers.iter().map(|router| (router.name.clone(), Counters::of(router))).collect()
}

fn counted(router: &RouterStatus, cleared: &Cleared) -> Counters {
    let counters = Counters::of(router);
    cleared.get(&router.name).map_or(counters, |cleared| counters.since(cleared))
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
    let mut data = json!({
        "iname": router.name,
        "dont_track_primary": u8::from(router.ignore_link),
        "skip_check_adv_addr": 0,
        "strict_mode": u8::from(router.strict),
        "vmac_ifname": "",
        "ifp_ifname": interface(now, router),
        "master_priority": master_priority(now),
        "last_transition": seconds(entered(now, at)),
        "garp_delay": garp.delay,
        "garp_refresh": garp.refresh,
        "garp_rep": garp.repeat,
        "garp_refresh_rep": router.announce.refresh_count,
        "garp_lower_prio_delay": garp.losing_delay,
        "garp_lower_prio_rep": router.announce.losing_count,
        "lower_prio_no_advert": u8::from(!answers_losing(router)),
        "higher_prio_send_advert": u8::from(router.manner.parting_advert),
        "vrid": now.vrid,
        "base_priority": now.priority.base,
        "effective_priority": now.priority.effective,
        "vipset": now.addresses.iter().any(|address| address.held),
        "promote_secondaries": false,
        "adver_int": tenths(now.interval_ms),
        "master_adver_int": tenths(master_interval(now)),
        "accept": 1,
        "nopreempt": !router.preempt,
        "preempt_delay": router.manner.preempt_delay.as_secs_f64(),
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
    for (key, list) in [("vips", vips(false)), ("evips", vips(true)), ("track_script", tracked(now))] {
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

fn answers_losing(router: &Router) -> bool {
    router.version == Version::V3 && router.manner.answer_losing
}

fn interface<'a>(now: &'a RouterStatus, router: &'a Router) -> String {
    now.interface.clone().unwrap_or_else(|| router.interface.to_string())
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

/// Seconds; a whole number where they are whole.
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
    let dev = vip.dev.clone().unwrap_or_else(|| interface(now, router));
    let scope = match vip.scope {
        0 => "global".to_owned(),
        200 => "site".to_owned(),
        253 => "link".to_owned(),
        254 => "host".to_owned(),
        other => other.to_string(),
    };
    let label = vip.label.as_ref().map(|label| format!(" label {label}")).unwrap_or_default();
    let set = if now.addresses.iter().any(|address| held(&address)) { " set" } else { "" };
    format!("{}/{} dev {dev} scope {scope}{label}{set}", vip.address, vip.prefix)
}

fn scripts(hooks: Option<&Hooks>) -> Vec<(&'static str, String)> {
    let Some(hooks) = hooks else { return Vec::new() };
    let shown = |script: &Option<Script>| script.as_ref().map(|script| script.command.join(" "));
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

fn tracked(now: &RouterStatus) -> Vec<String> {
    now.priority.tracks.iter().map(|track| track.check.to_string()).collect()
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
        for (title, excluded) in [("Virtual IP", false), ("Virtual IP Excluded", true)] {
            let vips = strings(now, router, excluded);
            if !vips.is_empty() {
                let _ = writeln!(text, "   {title} ({}):", vips.len());
            }
            for vip in vips {
                let _ = writeln!(text, "     {vip}");
            }
        }
        if !now.priority.tracks.is_empty() {
            text.push_str("   Tracked scripts :\n");
        }
        for track in &now.priority.tracks {
            let _ = writeln!(text, "     {} weight {}", track.check, track.adds);
        }
    }
    text.push_str("------< VRRP Scripts >------\n");
    for check in &status.checks {
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
    let mut all = vec![
        ("VRRP Version", if now.version == Version::V2 { "2" } else { "3" }.to_owned()),
        ("State", word(now.state).to_owned()),
        ("Wantstate", word(now.state).to_owned()),
        ("Last transition", format!("{:.6} ({local})", seconds(entered))),
        ("Interface", interface(now, router)),
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
        ("Send advert after receive lower priority advert", answers_losing(router).to_string()),
        ("Send advert after receive higher priority advert", router.manner.parting_advert.to_string()),
        ("Virtual Router ID", now.vrid.to_string()),
        ("Priority", now.priority.base.to_string()),
        ("Effective priority", now.priority.effective.to_string()),
        ("Total priority", now.priority.effective.to_string()),
        ("Advert interval", format!("{} milli-sec", now.interval_ms)),
        ("Accept", "enabled".to_owned()),
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

/// The text dump of counters.
#[must_use]
pub fn stats(status: &Status, cleared: &Cleared) -> String {
    let mut text = String::new();
    for router in &status.routers {
        let c = counted(router, cleared);
        let _ = write!(
            text,
            "VRRP Instance: {}\n  Advertisements:\n    Received: {}\n    Sent: {}\n  Became master: {}\n  \
             Released master: {}\n  Packet Errors:\n    Length: {}\n    TTL: {}\n    Invalid Type: {}\n    \
             Advertisement Interval: {}\n    Address List: {}\n  Authentication Errors:\n    Invalid Type: {}\n    \
             Type Mismatch: {}\n    Failure: {}\n  Priority Zero:\n    Received: {}\n    Sent: {}\n",
            router.name,
            c.advert_rcvd,
            c.advert_sent,
            c.become_master,
            c.release_master,
            c.packet_len_err,
            c.ip_ttl_err,
            c.invalid_type_rcvd,
            c.advert_interval_err,
            c.addr_list_err,
            c.invalid_authtype,
            c.authtype_mismatch,
            c.auth_failure,
            c.pri_zero_rcvd,
            c.pri_zero_sent,
        );
    }
    text
}
