//! What public exporters read of the dumps, by their own rules: which lines they take, which fields
//! they want as whole numbers. keepalived-exporter (mehdy) and `keepalived_exporter` (gen2brain).

use serde::Deserialize;
use std::collections::BTreeMap;

/// One entry of the JSON dump, as far as both read it. Numbers are Go's `int`.
#[derive(Debug, Deserialize)]
pub(crate) struct Entry {
    pub(crate) data: Data,
    pub(crate) stats: BTreeMap<String, i64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Data {
    pub(crate) iname: String,
    pub(crate) ifp_ifname: String,
    pub(crate) last_transition: f64,
    pub(crate) garp_delay: i64,
    pub(crate) vrid: i64,
    pub(crate) state: i64,
    pub(crate) wantstate: i64,
    #[serde(default)]
    pub(crate) vips: Vec<String>,
    /// The second decodes these as well, and all of the dump is lost to it where one cannot be.
    #[serde(flatten)]
    #[expect(dead_code, reason = "decoding it is what counts")]
    rest: Rest,
}

/// Absent is as good as zero.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "the dump has that many")]
struct Rest {
    dont_track_primary: i64,
    skip_check_adv_addr: i64,
    strict_mode: i64,
    vmac_ifname: String,
    master_priority: i64,
    garp_refresh: i64,
    garp_rep: i64,
    garp_refresh_rep: i64,
    garp_lower_prio_delay: i64,
    garp_lower_prio_rep: i64,
    lower_prio_no_advert: i64,
    higher_prio_send_advert: i64,
    base_priority: i64,
    effective_priority: i64,
    vipset: bool,
    promote_secondaries: bool,
    /// A whole number too for it, but keepalived itself writes parts of a second.
    adver_int: f64,
    master_adver_int: f64,
    accept: i64,
    nopreempt: bool,
    preempt_delay: i64,
    version: i64,
    smtp_alert: bool,
    auth_type: i64,
    auth_data: String,
}

/// The counters that both read.
pub(crate) const COUNTERS: [&str; 14] = [
    "advert_rcvd",
    "advert_sent",
    "become_master",
    "release_master",
    "packet_len_err",
    "advert_interval_err",
    "ip_ttl_err",
    "invalid_type_rcvd",
    "addr_list_err",
    "invalid_authtype",
    "authtype_mismatch",
    "auth_failure",
    "pri_zero_rcvd",
    "pri_zero_sent",
];

/// The JSON dump as both read it.
pub(crate) fn json(text: &str) -> Vec<Entry> {
    let entries: Vec<Entry> = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    for entry in &entries {
        for name in COUNTERS {
            assert!(entry.stats.contains_key(name), "no {name} in {text}");
        }
        for vip in &entry.data.vips {
            // Address, a word, the interface.
            assert!(vip.split(' ').count() >= 3, "{vip}");
        }
    }
    entries
}

/// One router of the data dump: its properties and its addresses.
pub(crate) type Properties = (BTreeMap<String, String>, Vec<String>);

/// The data dump as the first of them reads it: indented by three, `key = value`; lists by five.
pub(crate) fn data(text: &str) -> BTreeMap<String, Properties> {
    let mut all: BTreeMap<String, Properties> = BTreeMap::new();
    let (mut name, mut key) = (None, String::new());
    for line in text.lines() {
        if let Some((_, instance)) = line.split_once('=').filter(|_| line.starts_with(" VRRP Instance")) {
            name = Some(instance.trim().to_owned());
            all.insert(instance.trim().to_owned(), Properties::default());
        } else if let Some((properties, vips)) =
            name.as_ref().filter(|_| line.starts_with("   ")).and_then(|name| all.get_mut(name))
        {
            if line.starts_with("     ") {
                if key.starts_with("Virtual IP (") {
                    vips.push(line.trim().to_owned());
                }
            } else if let Some((word, value)) = line.split_once(['=', ':']) {
                word.trim().clone_into(&mut key);
                properties.insert(key.clone(), value.trim().to_owned());
            }
        } else {
            name = None;
        }
    }
    all
}

/// The data dump as the second reads it: up to the first line of a router that has no `=`.
pub(crate) fn data_strictly(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut all = Vec::new();
    let mut current: Option<BTreeMap<String, String>> = None;
    for line in text.lines() {
        let pair = line.split_once('=').map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()));
        match (pair, &mut current) {
            (Some((_, name)), _) if line.starts_with(" VRRP Instance") => {
                current = Some(BTreeMap::from([("name".to_owned(), name)]));
            }
            (Some((key, value)), Some(current)) if line.starts_with("   ") => {
                current.insert(key, value);
            }
            _ => all.extend(current.take()),
        }
    }
    all
}

/// The scripts of the data dump: name, status, state.
pub(crate) fn scripts(text: &str) -> Vec<(String, String, String)> {
    let value = |line: &str, key: &str| {
        line.trim().strip_prefix(key).and_then(|rest| rest.trim().strip_prefix("= ").map(str::to_owned))
    };
    let mut all: Vec<(String, String, String)> = Vec::new();
    for line in text.lines().skip_while(|line| !line.contains("VRRP Scripts")) {
        if let Some(name) = value(line, "VRRP Script") {
            all.push((name, String::new(), String::new()));
        } else if let Some(last) = all.last_mut() {
            last.1 = value(line, "Status").unwrap_or_else(|| last.1.clone());
            last.2 = value(line, "State").unwrap_or_else(|| last.2.clone());
        }
    }
    all
}

/// The stats dump as both read it: for each router, `section/key` and number.
pub(crate) fn stats(text: &str) -> BTreeMap<String, BTreeMap<String, i64>> {
    let mut all: BTreeMap<String, BTreeMap<String, i64>> = BTreeMap::new();
    let (mut name, mut section) = (String::new(), "");
    for line in text.lines() {
        let (key, value) = line.trim().split_once(':').unwrap_or_else(|| panic!("{line}"));
        let value = value.trim();
        if line.starts_with("VRRP Instance") {
            value.clone_into(&mut name);
            all.insert(name.clone(), BTreeMap::new());
            continue;
        }
        if line.starts_with("  ") && line.ends_with(':') {
            section = key;
            continue;
        }
        let number = value.parse().unwrap_or_else(|error| panic!("{line}: {error}"));
        let full = if line.starts_with("    ") { format!("{section}/{key}") } else { key.to_owned() };
        all.get_mut(&name).expect("a router first").insert(full, number);
    }
    all
}
