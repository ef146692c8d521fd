//! What the daemon of this host says, and whether it hears what is on the wire.

use super::Report;
use super::heard::Heard;
use super::refusals::{WHY, mend};
use super::verdict::Verdict;
use crate::agent::Standing;
use crate::agent::config::{Config, Router};
use crate::agent::status::{IN_USE, InstanceStatus, PASSED, PeerStatus, RouterStatus, Status};
use crate::health;
use crate::vrrp::packet::Refusal;

/// What is older than so many milliseconds is history.
const RECENT: u64 = 60_000;
/// So many adverts on the wire, and none in the daemon, are no accident.
const ENOUGH: usize = 3;

/// Why the daemon says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Silent {
    /// None runs; the line says where none was found.
    NotRunning(String),
    /// It may not be asked.
    NotAllowed(String),
    /// It runs, and gives no usable answer.
    NoAnswer(String),
}

/// Judges that there is no answer.
pub fn silent(why: &Silent, report: &mut Report) {
    match why {
        Silent::NotRunning(line) => {
            let why = "this host takes no address, whatever happens to the others";
            report.doubt("daemon", line.clone(), why, "systemctl start locum");
        }
        Silent::NotAllowed(line) => report.unseen("the status of the daemon", line),
        Silent::NoAnswer(line) => {
            let why = "a daemon that hangs loses its addresses to another host";
            report.trouble("daemon", line.clone(), why, "systemctl restart locum; its log says what it did");
        }
    }
}

/// Judges a status, beside what was on the wire shortly before.
pub fn judge(config: &Config, status: &Status, heard: Option<&Heard>, report: &mut Report) {
    for router in &config.routers {
        let Some(stands) = status.routers.iter().find(|one| one.name == router.name) else {
            let what = format!("the daemon has no router {}, which is in the file", router.name);
            let why = "it runs with another configuration than this one";
            report.doubt("daemon.configuration", what, why, "locum reload");
            continue;
        };
        let before = report.findings.len();
        if stands.vrid != router.vrid.get() || stands.version != router.version {
            let what =
                format!("{}: the daemon has VRID {}, and the file {}", router.name, stands.vrid, router.vrid);
            let why = "it runs with another configuration than this one";
            report.doubt("daemon.configuration", what, why, "locum reload");
        }
        state(stands, report);
        for instance in &stands.instances {
            sending(stands, instance, report);
            for peer in &instance.peers {
                refused(router, peer, report);
                clock(stands, peer, report);
            }
        }
        if let Some(heard) = heard {
            deaf(stands, heard, report);
        }
        if report.findings.len() == before {
            report.fine("daemon", format!("{} is {}: {}", stands.name, stands.state, stands.why));
        }
    }
    others(status, report);
}

fn state(router: &RouterStatus, report: &mut Report) {
    let name = &router.name;
    match router.state {
        Standing::Fault | Standing::Stop => {
            let what = format!("{name} is {}: {}", router.state, router.why);
            report.trouble(
                "daemon.fault",
                what,
                "it takes nothing, whatever happens to the others",
                "locum status",
            );
        }
        Standing::Backup if router.drained => {
            let why = "it takes nothing until somebody says so";
            report.doubt(
                "daemon.drained",
                format!("{name} was handed over"),
                why,
                format!("locum resume {name}"),
            );
        }
        Standing::Master if router.addresses.iter().any(|address| !address.held) => {
            let what = format!("{name} is MASTER, and not all of its addresses are up");
            report.trouble("daemon.not-held", what, "no host answers for them", "see the daemon's log");
        }
        Standing::Backup | Standing::Master => {}
    }
    if router.damped_ms.is_some() {
        let what = format!("{name} failed {} times, and takes nothing back for a while", router.failures);
        report.doubt("daemon.damped", what, "the better host has no addresses", format!("locum ack {name}"));
    }
    for line in &router.claim_trouble {
        let why = "without a majority of the voters nobody holds the addresses";
        report.doubt(
            "daemon.claim",
            format!("{name}: {line}"),
            why,
            "see that voter, and UDP between the hosts",
        );
    }
    for address in router.addresses.iter().filter(|address| address.restored > 0) {
        let what = format!(
            "{name}: something removed {} {} times, and it was put back",
            address.address, address.restored
        );
        let why = "each time clients lost it for a moment";
        let mend =
            "find who: ip monitor address; a network manager that must leave it alone is told of above";
        report.doubt("daemon.restored", what, why, mend);
    }
    for address in router.addresses.iter().filter(|address| address.intruded) {
        let what =
            format!("{name} does not hold {}, and something else has put it on this host", address.address);
        let why = "two hosts answer for it once another one is MASTER";
        let mend = "find what did it (ip monitor address), and take it away with ip address delete";
        report.trouble("daemon.intruded", what, why, mend);
    }
    for address in router.addresses.iter().filter(|address| address.evicted > 0) {
        let what = format!(
            "{name}: something else put {} on this host {} times, and it was taken away",
            address.address, address.evicted
        );
        let why = "each time two hosts answered for it for a moment";
        report.doubt("daemon.evicted", what, why, "find who: ip monitor address");
    }
    if router.dual_master_seen > 0 {
        let what = format!("{name}: while MASTER it heard another Master {} times", router.dual_master_seen);
        let why = "the other one does not hear this host, or did not";
        report.doubt(
            "daemon.dual-master",
            what,
            why,
            "locum history shows when; run locum doctor on the other host",
        );
    }
    if let Some(last) = router.hooks.last.as_ref().filter(|_| router.hooks.last_failed) {
        let why = "what it was to do at the failover was not done";
        report.doubt(
            "daemon.hook",
            format!("{name}: the last hook failed: {last}"),
            why,
            "locum history shows its end",
        );
    }
}

fn sending(router: &RouterStatus, instance: &InstanceStatus, report: &mut Report) {
    let name = &router.name;
    let recent = |ms: Option<u64>| ms.is_some_and(|ms| ms < RECENT);
    if let Some(error) = instance.last_send_error.as_ref().filter(|_| recent(instance.last_send_error_ms)) {
        let what = format!("{name}: adverts cannot be sent: {error}");
        let why = "the others hear nothing, and take the addresses as well";
        let mend = "\"Operation not permitted\" is this host's firewall, \"No buffer space\" its link";
        report.trouble("daemon.send-errors", what, why, mend);
    }
    if let Some(test) = instance.arp_test.as_ref().filter(|test| *test != PASSED) {
        let why = "clients learn the wrong MAC address, and lose the address at the next failover";
        report.doubt("daemon.arp-test", format!("{name}: {test}"), why, "set arp_ignore as that line says");
    }
    if let Some(path) = instance.second_path.as_ref().filter(|path| *path != IN_USE) {
        let why = "one cut cable then makes a second Master";
        report.doubt(
            "daemon.second-path",
            format!("{name}: {path}"),
            why,
            "see the other interface and its cable",
        );
    }
}

fn refused(router: &Router, peer: &PeerStatus, report: &mut Report) {
    let recent = peer.last_refused_ms.is_some_and(|ms| ms < RECENT);
    let Some(why) = peer.last_refused.as_ref().filter(|_| recent) else { return };
    let Some(refusal) = Refusal::ALL.iter().find(|refusal| refusal.to_string() == *why) else { return };
    // What was on the wire just now is told already.
    let (name, told) = (&router.name, format!("wire.{}", refusal.name()));
    if report.findings.iter().any(|finding| finding.id == told) {
        return;
    }
    let count: u64 = peer.refused.values().sum();
    let what = format!("{name} has refused {count} packets of {}, the last since {why}", peer.address);
    report.trouble(format!("daemon.{}", refusal.name()), what, WHY, mend(*refusal, router, peer.address));
}

fn clock(router: &RouterStatus, peer: &PeerStatus, report: &mut Report) {
    let (Some(ahead), Some(window)) = (peer.clock_ms, peer.clock_window_ms) else { return };
    if ahead.unsigned_abs() > window / 2 {
        let what = format!("{}: the clock of {} is {ahead:+} ms off ours", router.name, peer.address);
        let why = format!("beyond {window} ms its adverts are refused, and both hosts are Master");
        report.doubt("daemon.clock", what, why, "timedatectl set-ntp true, on both hosts");
    }
}

/// Adverts come in, and the daemon does not get them.
fn deaf(router: &RouterStatus, heard: &Heard, report: &mut Report) {
    for sender in heard.senders.iter().filter(|sender| sender.count >= ENOUGH) {
        let ours = |name: &_| *name == router.name;
        if !matches!(&sender.verdict, Some(Verdict::Accepted(name, _)) if ours(name)) {
            continue;
        }
        let mut peers = router.instances.iter().flat_map(|instance| &instance.peers);
        let known = peers.find(|peer| peer.address == sender.source).and_then(|peer| peer.heard_ms);
        let span = u64::try_from(heard.span.as_millis()).unwrap_or(u64::MAX);
        if known.is_none_or(|ms| ms > span.max(4 * u64::from(router.interval_ms))) {
            let (name, source, place) = (&router.name, sender.source, &sender.interface);
            let what =
                format!("{name}: adverts of {source} come in by {place}, and the daemon hears none of them");
            let why = "something on this host drops them: both hosts become Master";
            let mend = format!(
                "let IP protocol 112 from {source} through the firewall, and see rp_filter; nft monitor trace shows \
                 which rule"
            );
            report.trouble("daemon.deaf", what, why, mend);
        }
    }
}

/// Checks, lateness, and what is about no router.
fn others(status: &Status, report: &mut Report) {
    for check in status.checks.iter().filter(|check| check.state == health::Standing::Down) {
        let error = check.error.as_deref().unwrap_or("it passes, and must not");
        let why = "routers that track it are in FAULT, or have a lower priority";
        let what = format!("check {} is down: {error}", check.name);
        report.doubt("daemon.check", what, why, "mend the service, or the check");
    }
    let shortest = status.routers.iter().map(|router| router.interval_ms).min();
    if let Some(interval) = shortest.filter(|interval| status.lateness.recent_ms > f64::from(*interval) / 2.0)
    {
        let what = format!("adverts left up to {:.0} ms late in the last minute", status.lateness.recent_ms);
        let why = format!("with one every {interval} ms a Backup soon takes this host for dead");
        report.doubt("daemon.late", what, why, "write realtime = 50 in [agent], or a longer interval");
    }
    let of_a_part = |line: &&String| {
        line.starts_with("check ")
            || status.routers.iter().any(|router| line.starts_with(&format!("{}: ", router.name)))
    };
    for line in status.complaints.iter().filter(|line| !of_a_part(line)) {
        report.doubt("daemon.complaint", line.clone(), "the daemon runs degraded", "locum status");
    }
}
