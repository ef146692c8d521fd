//! Turns a status into text that a tired operator reads at 80 columns: what is, why, what comes next.

use super::span::span;
use crate::agent::Standing;
use crate::agent::status::{
    AddressStatus, CheckStatus, DnsStatus, HookStatus, InstanceStatus, LatenessStatus, MessageStatus,
    Overall, PeerStatus, PriorityStatus, RivalStatus, RouterStatus, Status,
};
use crate::health::Standing as Checked;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::IsTerminal;

/// The longest line, in characters, unless one word is longer.
const WIDTH: usize = 80;
/// Adverts that leave later than this are worth a line, in milliseconds.
const LATE_MS: f64 = 5.0;
/// Where the text behind a label begins.
const TEXT_AT: usize = 13;

/// The whole of it, for people; with `colour` for a terminal.
pub(super) fn show(status: &Status, colour: bool) -> String {
    let mut page = Page { text: String::new(), colour };
    let (word, paint) = self::health(status.health);
    let facts: Vec<_> = status.daemon.iter().map(|(name, value)| format!("{name} {value}")).collect();
    page.head(word, paint, &facts.join(", "));
    for complaint in &status.complaints {
        page.row("", &format!("- {complaint}"));
    }
    for line in &status.skipped {
        page.row("left out", line);
    }
    if status.lateness.recent_ms >= LATE_MS {
        let LatenessStatus { worst_ms, recent_ms } = status.lateness;
        let line = format!("late by {recent_ms:.0} ms in the last minute, {worst_ms:.0} ms since the start");
        page.row("adverts", &line);
    }
    for router in &status.routers {
        page.router(router);
    }
    if !status.checks.is_empty() {
        page.text.push_str("\nchecks\n");
        let widest = status.checks.iter().map(|check| check.name.0.chars().count()).max().unwrap_or(0);
        for check in &status.checks {
            page.check(check, widest);
        }
    }
    if !status.messages.is_empty() {
        page.text.push_str("\nmessages\n");
        let widest = status.messages.iter().map(|message| message.name.chars().count()).max().unwrap_or(0);
        for message in &status.messages {
            page.message(message, widest);
        }
    }
    if !status.dns.is_empty() {
        page.text.push_str("\ndns\n");
        page.records(&status.dns);
    }
    page.text
}

/// The records of DNS alone.
pub(super) fn records(records: &[DnsStatus], colour: bool) -> String {
    let mut page = Page { text: String::new(), colour };
    page.records(records);
    page.text
}

/// Whether `out` may have colours: a terminal, whose user does not object (<https://no-color.org>).
pub(super) fn on_terminal(out: &impl IsTerminal) -> bool {
    out.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// `text` without what would steer a terminal: parts of it come from other machines.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

const GREEN: &str = "32";
const YELLOW: &str = "33";
pub(super) const RED: &str = "31";

/// What is written so far.
pub(super) struct Page {
    pub(super) text: String,
    pub(super) colour: bool,
}

/// The word for it, and how it is painted.
pub(super) const fn health(health: Overall) -> (&'static str, &'static str) {
    match health {
        Overall::Healthy => ("HEALTHY", GREEN),
        Overall::Degraded => ("DEGRADED", YELLOW),
        Overall::Fault => ("FAULT", RED),
    }
}

/// How a state is painted.
pub(super) const fn paint(state: Standing) -> &'static str {
    match state {
        Standing::Master => GREEN,
        Standing::Backup => "36",
        Standing::Fault | Standing::Stop => RED,
    }
}

impl Page {
    fn router(&mut self, router: &RouterStatus) {
        self.text.push('\n');
        let drained = if router.drained { ", handed over" } else { "" };
        let state = format!("{}  {}", clean(&router.name.0), router.state);
        let why = format!("for {}{drained}, because {}", span(router.since_ms), router.why);
        self.head(&state, paint(router.state), &why);
        self.row("next", &next(router));
        if let Some(group) = &router.group {
            self.row("group", &format!("{group}: all of it moves together"));
        }
        self.row("interface", &interface(router));
        if router.authentication != "none" {
            self.row("auth", &router.authentication);
        }
        if !["", "none"].contains(&router.claim.as_str()) {
            self.row("claim", &router.claim);
        }
        self.row("priority", &priority(&router.priority));
        if let Some(ms) = router.hold_ms {
            let line = format!(
                "takes nothing back for {}: the Master has only just come; `locum ack {}` ends it",
                span(ms),
                clean(&router.name.0)
            );
            self.row("hold", &line);
        }
        for instance in &router.instances {
            self.instance(router, instance);
        }
        for address in &router.addresses {
            let held = if address.held { "held" } else { "not held" };
            let restored = match address.restored {
                0 => String::new(),
                times => format!(", put back {times} times after something else removed it"),
            };
            let evicted = match address.evicted {
                0 => String::new(),
                times => format!(", taken away {times} times after something else put it here"),
            };
            let intruded = if address.intruded { ", but something else has put it here" } else { "" };
            let lease = match address.lease_ms {
                Some(lease) if address.held => format!(", leased for {}s at a time", lease / 1000),
                _ => String::new(),
            };
            let AddressStatus { address, prefix, .. } = address;
            self.row("address", &format!("{address}/{prefix} {held}{intruded}{lease}{restored}{evicted}"));
        }
        for each in &router.rivals {
            self.row("rival", &rival(each));
        }
        self.row("hooks", &hooks(&router.hooks));
    }

    fn instance(&mut self, router: &RouterStatus, instance: &InstanceStatus) {
        let master = match instance.master {
            None => "none heard".to_owned(),
            Some(master) if instance.source == Some(master) => format!("{master} (this host)"),
            Some(master) => master.to_string(),
        };
        let master =
            if router.instances.len() > 1 { format!("{}: {master}", instance.family) } else { master };
        self.row("master", &master);
        self.row("adverts", &traffic(instance));
        for each in &instance.peers {
            self.row("peer", &peer(each));
        }
    }

    fn check(&mut self, check: &CheckStatus, widest: usize) {
        let name = clean(&check.name.0);
        let (word, paint) = match check.state {
            Checked::Up => ("up", GREEN),
            Checked::Down => ("down", RED),
            Checked::Pending => ("pending", YELLOW),
        };
        let mut text = format!("for {}", span(check.since_ms));
        if let Some(ms) = check.checked_ms {
            let _ = write!(text, ", last result {} ago", span(ms));
        }
        if let Some(ms) = check.latency_ms {
            let _ = write!(text, " in {ms:.1}ms");
        }
        if let Some(number) = check.number {
            let _ = write!(text, ", read {number}");
        }
        if let Some(error) = &check.error {
            let _ = write!(text, ": {error}");
        }
        self.head(&format!("  {name:widest$}  {word}"), paint, &text);
    }

    fn message(&mut self, message: &MessageStatus, widest: usize) {
        let name = clean(&message.name);
        let (word, paint) = if message.failing { ("fail", RED) } else { ("ok", GREEN) };
        let MessageStatus { sent, failed, dropped, waiting, .. } = message;
        let mut text = format!("{sent} sent, {failed} attempts failed, {dropped} not told");
        if *waiting > 0 {
            let _ = write!(text, ", {waiting} waiting");
        }
        if let Some(error) = &message.last_error {
            let _ = write!(text, "; last error: {error}");
        }
        self.head(&format!("  {name:widest$}  {word}"), paint, &text);
    }

    fn records(&mut self, records: &[DnsStatus]) {
        let widest = records.iter().map(|record| record.name.chars().count()).max().unwrap_or(0);
        for record in records {
            self.record(record, widest);
        }
    }

    fn record(&mut self, record: &DnsStatus, widest: usize) {
        let name = clean(&record.name);
        let (word, paint) = if record.failing { ("fail", RED) } else { ("ok", GREEN) };
        let wanted = match (record.wanted, record.waiting, record.holds) {
            (Some(address), ..) if record.contested => {
                format!("{address} is wanted, and somebody else writes it")
            }
            (Some(address), true, _) => format!("{address} waits to be written"),
            (Some(address), false, Some(other)) if address != other => {
                format!("holds {other} by hand, {address} once a role or a check changes")
            }
            (Some(address), false, _) => format!("holds {address}"),
            (None, ..) => "another host writes, or nothing is to be changed".to_owned(),
        };
        let mut text = format!("{} ({}): {wanted}", record.record, record.provider);
        let _ = write!(text, "; {} written, {} attempts failed", record.written, record.failed);
        if record.paused {
            text.push_str(", paused");
        }
        if let Some(error) = &record.last_error {
            let _ = write!(text, "; last error: {error}");
        }
        self.head(&format!("  {name:widest$}  {word}"), paint, &text);
    }

    /// A line that begins with a painted word. What does not fit goes on below, indented.
    pub(super) fn head(&mut self, word: &str, paint: &str, text: &str) {
        let at = word.chars().count();
        if self.colour {
            let _ = write!(self.text, "\x1b[1;{paint}m{word}\x1b[0m");
        } else {
            self.text.push_str(word);
        }
        self.words(at, text);
    }

    /// A label and its text; nothing where there is no text.
    pub(super) fn row(&mut self, label: &str, text: &str) {
        if !text.is_empty() {
            let start = format!("  {label:<width$}", width = TEXT_AT - 4);
            self.text.push_str(&start);
            self.words(TEXT_AT - 2, text);
        }
    }

    /// Writes `text` word by word behind `column`, and ends the line.
    fn words(&mut self, mut column: usize, text: &str) {
        for word in clean(text).split_whitespace() {
            let length = word.chars().count();
            let gap = if column + 2 <= TEXT_AT { TEXT_AT - column } else { 1 };
            if column > TEXT_AT && column + gap + length > WIDTH {
                let _ = write!(self.text, "\n{:TEXT_AT$}{word}", "");
                column = TEXT_AT + length;
            } else {
                let _ = write!(self.text, "{:gap$}{word}", "");
                column += gap + length;
            }
        }
        self.text.push('\n');
    }
}

fn next(router: &RouterStatus) -> String {
    match router.waits_ms {
        Some(ms) => format!("{} in {}", router.waits_for, span(ms)),
        None => router.waits_for.clone(),
    }
}

fn interface(router: &RouterStatus) -> String {
    let name = router.interface.as_deref().unwrap_or("none");
    let unicast = router.instances.iter().any(|instance| instance.unicast);
    let reach = if unicast { "unicast" } else { "multicast" };
    let (vrid, version, every) = (router.vrid, router.version, span(router.interval_ms.into()));
    format!("{name}, VRID {vrid}, version {version}, every {every}, {reach}")
}

/// `base 150, app -60 = 90`.
fn priority(priority: &PriorityStatus) -> String {
    let mut text = format!("base {}", priority.base);
    for track in &priority.tracks {
        let check = &track.check;
        let _ = match (track.fault, track.state) {
            (true, Checked::Up) => write!(text, ", {check} must be up"),
            (true, state) => write!(text, ", {check} must be up and is {state}"),
            (false, _) => write!(text, ", {check} {:+}", track.adds),
        };
    }
    let _ = write!(text, " = {}", priority.effective);
    text
}

/// What came and went in one family.
fn traffic(instance: &InstanceStatus) -> String {
    let mut text = format!("{} sent, {} heard", instance.sent, instance.heard);
    if instance.send_errors > 0 {
        let error = instance.last_send_error.as_deref().unwrap_or("unknown");
        let _ = write!(text, ", {} could not be sent: {error}", instance.send_errors);
    }
    counts(&mut text, "refused", &instance.refused);
    counts(&mut text, "not followed", &instance.discarded);
    text
}

fn peer(peer: &PeerStatus) -> String {
    let mut text = peer.address.to_string();
    let _ = match peer.heard_ms {
        None => write!(text, " never heard"),
        Some(ms) => write!(text, " heard {} ago", span(ms)),
    };
    match peer.priority {
        None => {}
        Some(0) => text.push_str(", said farewell"),
        Some(priority) => {
            let _ = write!(text, ", priority {priority}");
        }
    }
    if let Some(ms) = peer.interval_ms {
        let _ = write!(text, ", every {}", span(ms.into()));
    }
    if let Some(ahead) = peer.clock_ms {
        let _ = write!(text, ", clock {ahead:+} ms");
    }
    counts(&mut text, "refused", &peer.refused);
    for remark in &peer.remarks {
        let _ = write!(text, "; {remark}");
    }
    text
}

fn rival(rival: &RivalStatus) -> String {
    let RivalStatus { source, address, mac, seen_ms, times } = rival;
    let mut text = match (source, address, mac) {
        (Some(source), ..) => format!("{source} advertised as Master"),
        (None, Some(address), Some(mac)) => format!("{mac} said that it has {address}"),
        _ => "somebody".to_owned(),
    };
    let _ = write!(text, ", seen {times} times, {} ago", span(*seen_ms));
    text
}

fn counts(text: &mut String, word: &str, counts: &BTreeMap<String, u64>) {
    let counts: Vec<_> = counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    if !counts.is_empty() {
        let _ = write!(text, ", {word}: {}", counts.join(" "));
    }
}

fn hooks(hooks: &HookStatus) -> String {
    if hooks.ran == 0 && hooks.last.is_none() {
        return String::new();
    }
    let mut text = format!("{} ran, {} failed", hooks.ran, hooks.failed);
    if hooks.skipped > 0 {
        let _ = write!(text, ", {} skipped", hooks.skipped);
    }
    if let Some(last) = &hooks.last {
        let _ = write!(text, "; last {last}");
    }
    text
}
