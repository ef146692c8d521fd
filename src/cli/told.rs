//! What each entry of the record says, in one line for people.

use super::span::span;
use crate::health;
use crate::history::{
    CheckChange, DualMaster, Event, Hook, LastRun, LeaseLate, MasterHeard, Moved, Order, Ordered, Outage,
    Started,
};
use crate::vrrp::Family;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::fmt::Write;

/// How a moment is written.
const MOMENT: &str = "%F %T%.3f";

/// A moment, by the local clock.
pub(super) fn at(time: Timestamp) -> String {
    time.to_zoned(TimeZone::system()).strftime(MOMENT).to_string()
}

/// One entry; `spent` is how long a state had lasted that it ends, in milliseconds.
pub(super) fn tell(event: &Event, spent: Option<u64>) -> String {
    match event {
        Event::Started(started) => start(started),
        Event::Stopped { given_up: true } => "the daemon stopped in order".to_owned(),
        Event::Stopped { given_up: false } => {
            "the daemon stopped, and could not give up its addresses in time".to_owned()
        }
        Event::Transition(moved) => transition(moved, spent),
        Event::MasterHeard(MasterHeard { source, priority, .. }) => {
            format!("{source} is Master, priority {priority}")
        }
        Event::DualMasterSeen(dual) => second(dual),
        Event::Priority { from, to, .. } => format!("priority {from} -> {to}"),
        Event::Check(change) => check(change),
        Event::Hook(hook) => {
            let Hook { script, ended, took_ms, skipped, .. } = hook;
            let skipped = if *skipped > 0 { format!(", {skipped} older skipped") } else { String::new() };
            format!("hook {script}: {ended}, in {}{skipped}", span(*took_ms))
        }
        Event::Order(Ordered { order, router, by }) => {
            let of = if router.is_none() && *order == Order::Handover { " of all" } else { "" };
            format!("{}{of}, ordered by {}", order.name(), by.as_ref().map_or("a signal".to_owned(), who))
        }
        Event::Refused { order, lines } => format!("{} refused: {}", order.name(), lines.join("; ")),
        Event::Reloaded { lines } => format!("the configuration was read again: {}", lines.join("; ")),
        Event::DnsWritten { name, was, now, .. } => {
            let was: Vec<_> = was.iter().map(ToString::to_string).collect();
            let was = if was.is_empty() { "nothing".to_owned() } else { was.join(", ") };
            format!("DNS: {name} {was} -> {now}")
        }
        Event::DnsOrdered { address, by, .. } => {
            format!("dns set {address}, ordered by {}", by.as_ref().map_or("a signal".to_owned(), who))
        }
        Event::Repaired { what } => format!("{what} was removed by something else, and put back"),
        Event::Swept { what } => format!("{what} was left by an earlier run, and removed"),
        Event::Claim { office, term: Some(term) } => {
            format!("the claim to {office} is granted, term {term}")
        }
        Event::Vote { office, holder, term } => format!("voted for {holder} to have {office} in term {term}"),
        Event::Claim { office, term: None } => format!("the claim to {office} is over, or given back"),
        Event::Lease { family, lease_ms: Some(lease), .. } => {
            format!("its {} addresses are leased for {}", name(*family), span(*lease))
        }
        Event::Lease { family, lease_ms: None, .. } => {
            format!("its {} addresses are leased no more", name(*family))
        }
        Event::Damped { for_ms, failures: 0, .. } => {
            format!("takes nothing back for {}: the Master has only just come", span(*for_ms))
        }
        Event::Damped { for_ms, failures, .. } => {
            format!("takes nothing back for {}: it failed {failures} times", span(*for_ms))
        }
        Event::LeaseLate(late) => overdue(*late),
        Event::Trouble { text } => text.clone(),
        Event::Lost { entries, why } => format!("{entries} entries before this are lost: {why}"),
        Event::Unknown => "something that this version does not know; see --json".to_owned(),
    }
}

fn second(DualMaster { source, priority, address, mac, ours, times, .. }: &DualMaster) -> String {
    let times = if *times > 1 { format!(", {times} times") } else { String::new() };
    let unknown = || "?".to_owned();
    let text = |value: Option<String>| value.unwrap_or_else(unknown);
    if let Some(mac) = mac {
        let address = text(address.map(|address| address.to_string()));
        return format!("a second holder was seen{times}: {mac} says that it has {address}");
    }
    let source = text(source.map(|source| source.to_string()));
    let priority = text(priority.map(|priority| priority.to_string()));
    format!("a second Master was seen{times}: {source}, priority {priority} against our {ours}")
}

const fn name(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
    }
}

fn overdue(LeaseLate { lease_ms, after_ms, times }: LeaseLate) -> String {
    let (lease, after) = (span(lease_ms), span(after_ms));
    let mut text = if after_ms < lease_ms {
        format!("leases of {lease} were renewed late, after {after}")
    } else {
        format!(
            "leases of {lease} were not renewed for {after}: the kernel may have taken the addresses away"
        )
    };
    if times > 1 {
        let _ = write!(text, "; {times} times late, this was the worst");
    }
    text
}

fn start(Started { version, node, last, .. }: &Started) -> String {
    let last = match last {
        LastRun::None => "for the first time, as far as is recorded".to_owned(),
        LastRun::Stopped => "after a stop in order".to_owned(),
        LastRun::Broken { seen, rebooted } => {
            let how = if *rebooted { "the whole host ended" } else { "the last run broke off" };
            format!("and {how} without a word after {}", at(*seen))
        }
    };
    format!("locum {version} started as {node}, {last}")
}

fn transition(moved: &Moved, spent: Option<u64>) -> String {
    let Moved { from, to, why, silent_ms, .. } = moved;
    let mut text = format!("{from} -> {to}");
    if let Some(spent) = spent {
        let _ = write!(text, " after {}", span(spent));
    }
    let _ = write!(text, ": {why}");
    if let Some(silent) = silent_ms.filter(|_| moved.cause == "silence") {
        let _ = write!(text, ", the last one {} ago", span(silent));
    }
    text
}

fn check(change: &CheckChange) -> String {
    let CheckChange { check, from, to, error, after_ms } = change;
    let mut text = format!("check {check} {from} -> {to}");
    if *to == health::Standing::Down {
        let _ = write!(text, ", failing for {}", span(*after_ms));
    }
    if let Some(error) = error {
        let _ = write!(text, ": {error}");
    }
    text
}

fn who(by: &crate::history::By) -> String {
    let mut text = by.user.clone().unwrap_or_else(|| "a user without a name".to_owned());
    let _ = write!(text, " (uid {}", by.uid);
    if let Some(pid) = by.pid {
        let _ = write!(text, ", pid {pid}");
    }
    text + ")"
}

/// An outage, without its router and its beginning.
pub(super) fn cause(outage: &Outage) -> String {
    let Outage { why, detect_ms, recover_ms, by, .. } = outage;
    let mut text = match (recover_ms, by) {
        (Some(ms), Some(by)) => format!("{} until {by} was Master", span(*ms)),
        (Some(ms), None) => format!("{} until this host was Master", span(*ms)),
        (None, _) => "its end was not seen".to_owned(),
    };
    if let Some(ms) = detect_ms {
        let _ = write!(text, ", found after {}", span(*ms));
    }
    let _ = write!(text, ": {why}");
    text
}
