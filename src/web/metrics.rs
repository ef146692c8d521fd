//! `/metrics`: the status in Prometheus's words. Pure, and every family in one walk over what it is about.
//!
//! Names by Prometheus's conventions: base units, `_total` on what only grows, moments as Unix time. What a
//! label can be is bounded: names of the configuration, words of ours, and addresses of peers that are
//! configured or known for valid adverts, of which an instance remembers so many. A stranger gets no label.

use super::exposition::Kind::{Counter, Gauge, Histogram};
use super::exposition::{Kind, Labels, Text};
use super::live::Snapshot;
use crate::agent::Standing;
use crate::agent::status::{
    CheckStatus, DnsStatus, InstanceStatus, Overall, PeerStatus, RouterStatus, Status, VoteStatus,
};
use crate::health::{self, LATENCY_ENDS};
use crate::vrrp::Family;
use std::fmt::Display;
use std::time::Duration;

/// Everything there is to scrape.
#[must_use]
pub fn page(snapshot: &Snapshot) -> String {
    let mut page = Page { text: Text::default(), wall: snapshot.wall, plain: Labels::default() };
    page.host(snapshot);
    page.daemon(&snapshot.status);
    let routers = &snapshot.status.routers;
    let named: Vec<_> = routers.iter().map(|it| (page.plain.and("router", &it.name.0), it)).collect();
    page.routers(&named);
    page.addresses(&named);
    page.votes(&named);
    let instances: Vec<_> = named.iter().flat_map(|(labels, it)| instances(labels, it)).collect();
    page.instances(&instances);
    let peers: Vec<_> = instances.iter().flat_map(|(labels, it)| peers(labels, it)).collect();
    page.peers(&peers);
    let checks = &snapshot.status.checks;
    let checks: Vec<_> = checks.iter().map(|it| (page.plain.and("check", &it.name.0), it)).collect();
    page.checks(&checks);
    let records = &snapshot.status.dns;
    let records: Vec<_> = records.iter().map(|it| (page.plain.and("record", &it.name), it)).collect();
    page.records(&records);
    page.text.into_string()
}

fn instances<'a>(
    labels: &'a Labels,
    router: &'a RouterStatus,
) -> impl Iterator<Item = (Labels, &'a InstanceStatus)> {
    let word = |family| match family {
        Family::Ipv4 => "ipv4",
        Family::Ipv6 => "ipv6",
    };
    router.instances.iter().map(move |it| (labels.and("family", word(it.family)), it))
}

fn peers<'a>(
    labels: &Labels,
    instance: &'a InstanceStatus,
) -> impl Iterator<Item = (Labels, &'a PeerStatus)> {
    let known = instance.peers.iter().filter(|peer| peer.configured || peer.adverts > 0);
    known.map(|it| (labels.and("peer", &it.address.to_string()), it))
}

struct Page {
    text: Text,
    wall: Duration,
    plain: Labels,
}

impl Page {
    /// A family with at most one sample for each of these.
    fn each<T, V: Display>(
        &mut self,
        (name, kind, help): (&'static str, Kind, &str),
        of: &[(Labels, &T)],
        value: impl Fn(&T) -> Option<V>,
    ) {
        let mut family = self.text.family(name, kind, help);
        for (labels, it) in of {
            if let Some(value) = value(it) {
                family.sample(labels, value);
            }
        }
    }

    /// A family with several samples for each of these, told apart by a label.
    fn by<T, V: Display, I: IntoIterator<Item = (S, V)>, S: AsRef<str>>(
        &mut self,
        (name, kind, help): (&'static str, Kind, &str),
        of: &[(Labels, &T)],
        label: &str,
        values: impl Fn(&T) -> I,
    ) {
        let mut family = self.text.family(name, kind, help);
        for (labels, it) in of {
            for (word, value) in values(it) {
                family.with(labels, label, word.as_ref(), value);
            }
        }
    }

    fn one(&mut self, name: &'static str, kind: Kind, help: &str, value: impl Display) {
        self.text.family(name, kind, help).sample(&self.plain, value);
    }

    fn host(&mut self, snapshot: &Snapshot) {
        let status = &snapshot.status;
        let fact = |name: &str| status.daemon.get(name).map_or("", String::as_str);
        let info = self.plain.and("version", fact("version")).and("node", fact("node"));
        self.text
            .family("locum_build_info", Gauge, "The version, and what the host is called.")
            .sample(&info, 1);
        let help = "How old this answer of the core can be.";
        self.one("locum_snapshot_age_seconds", Gauge, help, snapshot.age().as_secs_f64());
        let words =
            [("healthy", Overall::Healthy), ("degraded", Overall::Degraded), ("fault", Overall::Fault)];
        let health = words.map(|(word, health)| (word, u8::from(status.health == health)));
        let about = ("locum_health", Gauge, "What all of it comes to: 1 for what it is.");
        self.by(about, &[(Labels::default(), status)], "status", |_| health);
        self.one(
            "locum_complaints",
            Gauge,
            "Things that are not as they should be.",
            status.complaints.len(),
        );
    }

    fn daemon(&mut self, status: &Status) {
        let (late, counts) = (&status.lateness, &status.counts);
        let help = "How late the latest advert of all left after it was due.";
        self.one("locum_advert_lateness_worst_seconds", Gauge, help, late.worst_ms / 1000.0);
        let help = "The same of the last minute.";
        self.one("locum_advert_lateness_recent_seconds", Gauge, help, late.recent_ms / 1000.0);
        for (name, help, value) in [
            (
                "locum_repairs_total",
                "Things that something else removed and that were put back.",
                counts.repaired,
            ),
            ("locum_swept_total", "Things left by an earlier run that were removed.", counts.swept),
            ("locum_record_lost_total", "Entries of the record that are lost.", counts.record_lost),
            ("locum_lease_renewals_total", "Renewals of leased addresses.", counts.leases_renewed),
            (
                "locum_lease_late_renewals_total",
                "Renewals that came when more than three quarters of the lease were over.",
                counts.leases_late,
            ),
        ] {
            self.one(name, Counter, help, value);
        }
        let reloads = [("adopted", counts.reloads), ("refused", counts.reloads_refused)];
        let about = ("locum_config_reloads_total", Counter, "Configurations read again, by what came of it.");
        self.by(about, &[(Labels::default(), status)], "result", |_| reloads);
        let good = u8::from(counts.reloaded.unwrap_or(true));
        let help = "Whether the configuration that was read last is in force.";
        self.one("locum_config_last_reload_successful", Gauge, help, good);
        let when = counts.reloaded_ms.map(|ago| moment(self.wall, ago));
        let about = ("locum_config_last_reload_timestamp_seconds", Gauge, "When it was last read again.");
        self.each(about, &[(Labels::default(), status)], |_| when);
    }

    fn routers(&mut self, routers: &[(Labels, &RouterStatus)]) {
        let info = |labels: &Labels, it: &RouterStatus| {
            let labels = labels.and("vrid", &it.vrid.to_string()).and("version", &it.version.to_string());
            let labels = labels.and("interface", it.interface.as_deref().unwrap_or(""));
            labels.and("group", it.group.as_ref().map_or("", |group| &group.0))
        };
        let mut family = self.text.family("locum_router_info", Gauge, "What a router is.");
        for (labels, it) in routers {
            family.sample(&info(labels, it), 1);
        }
        let states = [Standing::Master, Standing::Backup, Standing::Fault, Standing::Stop];
        let about = ("locum_router_state", Gauge, "The state of a router: 1 for what it is.");
        self.by(about, routers, "state", |it| {
            states.map(|state| (state.to_string(), u8::from(state == it.state)))
        });
        let wall = self.wall;
        let about =
            ("locum_router_state_changed_timestamp_seconds", Gauge, "Since when it is in this state.");
        self.each(about, routers, |it| Some(moment(wall, it.since_ms)));
        let help = "Changes of state, by what it became and why.";
        let mut family = self.text.family("locum_router_transitions_total", Counter, help);
        for (labels, it) in routers {
            for change in &it.transitions {
                let to = labels.and("to", &change.to.to_string());
                family.with(&to, "reason", &change.cause, change.count);
            }
        }
        let about = ("locum_router_priority", Gauge, "The priority that is advertised.");
        self.each(about, routers, |it| Some(it.priority.effective));
        let about = ("locum_router_base_priority", Gauge, "The priority that is configured.");
        self.each(about, routers, |it| Some(it.priority.base));
        let about = ("locum_router_track_priority", Gauge, "What a tracked check adds to the priority.");
        self.by(about, routers, "check", |it| {
            it.priority.tracks.iter().map(|track| (track.check.to_string(), track.adds)).collect::<Vec<_>>()
        });
        let about = ("locum_router_interval_seconds", Gauge, "Its interval between adverts.");
        self.each(about, routers, |it| Some(f64::from(it.interval_ms) / 1000.0));
        self.flags(routers);
        let about = (
            "locum_takeover_detection_seconds",
            Gauge,
            "At the last takeover: how long the old Master was not heard.",
        );
        self.each(about, routers, |it| it.detected_ms.map(|ms| ms / 1000.0));
        let help = "At the last takeover: from the other's last word until every address was here.";
        let about = ("locum_takeover_recovery_seconds", Gauge, help);
        self.each(about, routers, |it| it.recovered_ms.map(|ms| ms / 1000.0));
    }

    fn flags(&mut self, routers: &[(Labels, &RouterStatus)]) {
        let about = ("locum_router_became_master_total", Counter, "How often it became Master.");
        self.each(about, routers, |it| Some(it.became_master));
        let about = ("locum_router_left_master_total", Counter, "How often it gave that up.");
        self.each(about, routers, |it| Some(it.left_master));
        let about = ("locum_router_drained", Gauge, "Whether it was handed over by the operator.");
        self.each(about, routers, |it| Some(u8::from(it.drained)));
        let about = ("locum_router_damped", Gauge, "Whether it failed too often to take anything back.");
        self.each(about, routers, |it| Some(u8::from(it.damped_ms.is_some())));
        let about = ("locum_router_failures", Gauge, "Its failures as Master that count for that now.");
        self.each(about, routers, |it| Some(it.failures));
        let help = "How often an advert was heard, while Master, that loses against its own.";
        self.each(("locum_router_dual_master_seen_total", Counter, help), routers, |it| {
            Some(it.dual_master_seen)
        });
        let about = ("locum_hook_runs_total", Counter, "Hooks that ended.");
        self.each(about, routers, |it| Some(it.hooks.ran));
        let about = ("locum_hook_failures_total", Counter, "Hooks that did not end with exit code 0.");
        self.each(about, routers, |it| Some(it.hooks.failed));
        let about = (
            "locum_hook_skipped_total",
            Counter,
            "Changes of state that newer ones overtook before their hook.",
        );
        self.each(about, routers, |it| Some(it.hooks.skipped));
    }

    fn addresses(&mut self, routers: &[(Labels, &RouterStatus)]) {
        let about = ("locum_addresses", Gauge, "Virtual addresses of a router.");
        self.each(about, routers, |it| Some(it.addresses.len()));
        let about = ("locum_addresses_held", Gauge, "How many of them this host has.");
        self.each(about, routers, |it| Some(it.addresses.iter().filter(|address| address.held).count()));
        let help = "How often something else removed one of them and it was put back.";
        let about = ("locum_address_repairs_total", Counter, help);
        self.each(about, routers, |it| {
            Some(it.addresses.iter().map(|address| address.restored).sum::<u64>())
        });
        let help = "How often something else put one of them here without a claim and it was taken away.";
        let about = ("locum_address_evictions_total", Counter, help);
        self.each(about, routers, |it| Some(it.addresses.iter().map(|address| address.evicted).sum::<u64>()));
        let help = "How many of them something else has here while this host does not hold them.";
        let about = ("locum_addresses_intruded", Gauge, help);
        self.each(about, routers, |it| Some(it.addresses.iter().filter(|address| address.intruded).count()));
        let help = "The shortest time that the kernel keeps one of them without being told to.";
        let about = ("locum_address_lease_seconds", Gauge, help);
        self.each(about, routers, |it| {
            it.addresses.iter().filter_map(|address| address.lease_ms).min().map(seconds)
        });
        let help = "How often the kernel did not let it hold its addresses.";
        self.each(("locum_netlink_errors_total", Counter, help), routers, |it| Some(it.hold_errors));
    }

    fn votes(&mut self, routers: &[(Labels, &RouterStatus)]) {
        let votes: Vec<_> =
            routers.iter().filter_map(|(labels, it)| Some((labels.clone(), it.vote.as_ref()?))).collect();
        let held = |vote: &VoteStatus| Some(u8::from(vote.held));
        self.each(
            ("locum_claim_held", Gauge, "Whether the voters let this host hold the addresses."),
            &votes,
            held,
        );
        let about = ("locum_claim_term", Gauge, "In which term they do.");
        self.each(about, &votes, |vote| vote.term);
        let about = ("locum_claim_remaining_seconds", Gauge, "For how long they still do.");
        self.each(about, &votes, |vote| vote.ends_ms.map(seconds));
        let about = ("locum_claim_voters", Gauge, "How many voters there are.");
        self.each(about, &votes, |vote| Some(vote.voters));
        let about = ("locum_claim_votes", Gauge, "How many of them said yes of late.");
        self.each(about, &votes, |vote| Some(vote.granted));
    }

    fn instances(&mut self, instances: &[(Labels, &InstanceStatus)]) {
        for (name, help, value) in [
            ("locum_adverts_sent_total", "Adverts sent.", (|it| it.sent) as fn(&InstanceStatus) -> u64),
            ("locum_adverts_received_total", "Valid adverts heard.", |it| it.heard),
            ("locum_farewells_sent_total", "Farewells among the adverts sent.", |it| it.farewells_sent),
            ("locum_farewells_received_total", "Farewells among those heard.", |it| it.farewells_heard),
            ("locum_advert_send_errors_total", "Adverts that could not be sent.", |it| it.send_errors),
            ("locum_announcements_total", "Gratuitous ARP and neighbour advertisements sent.", |it| {
                it.announced
            }),
            ("locum_announcement_errors_total", "Those that could not be sent.", |it| it.announce_errors),
        ] {
            self.each((name, Counter, help), instances, |it| Some(value(it)));
        }
        let about = ("locum_adverts_refused_total", Counter, "Packets refused, by reason.");
        self.by(about, instances, "reason", |it| it.refused.clone());
        let about = ("locum_adverts_discarded_total", Counter, "Valid adverts not followed, by reason.");
        self.by(about, instances, "reason", |it| it.discarded.clone());
    }

    fn peers(&mut self, peers: &[(Labels, &PeerStatus)]) {
        let wall = self.wall;
        let help = "When its last valid advert came; 0 where none ever did.";
        let about = ("locum_peer_last_heard_timestamp_seconds", Gauge, help);
        self.each(about, peers, |it| Some(it.heard_ms.map_or(0.0, |ago| moment(wall, ago))));
        let about = ("locum_peer_priority", Gauge, "The priority that it advertised last; 0 is a farewell.");
        self.each(about, peers, |it| it.priority);
        let about = ("locum_peer_adverts_total", Counter, "Valid adverts from it.");
        self.each(about, peers, |it| Some(it.adverts));
        let about = ("locum_peer_refused_total", Counter, "Packets of it that were refused.");
        self.each(about, peers, |it| Some(it.refused.values().sum::<u64>()));
        let help = "How far its clock is ahead of ours, by its last signature.";
        let about = ("locum_peer_clock_offset_seconds", Gauge, help);
        #[expect(clippy::cast_precision_loss, reason = "a clock is not off by thousands of years")]
        self.each(about, peers, |it| it.clock_ms.map(|ms| ms as f64 / 1000.0));
        let about = ("locum_peer_clock_window_seconds", Gauge, "How far it may be off before it is refused.");
        self.each(about, peers, |it| it.clock_window_ms.map(seconds));
    }

    fn checks(&mut self, checks: &[(Labels, &CheckStatus)]) {
        let states = [health::Standing::Up, health::Standing::Down, health::Standing::Pending];
        let about = ("locum_check_state", Gauge, "Where a check stands: 1 for what it is.");
        self.by(about, checks, "state", |it| {
            states.map(|state| (state.to_string(), u8::from(state == it.state)))
        });
        let about = ("locum_check_results_total", Counter, "Results of a check.");
        self.by(about, checks, "result", |it| [("pass", it.results.passed), ("fail", it.results.failed)]);
        let wall = self.wall;
        let about = ("locum_check_last_result_timestamp_seconds", Gauge, "When its last result came.");
        self.each(about, checks, |it| it.checked_ms.map(|ago| moment(wall, ago)));
        let about = ("locum_check_value", Gauge, "The number last read, where one is read.");
        self.each(about, checks, |it| it.number);
        let help = "How long the last attempt of each result took.";
        let mut family = self.text.family("locum_check_latency_seconds", Histogram, help);
        for (labels, it) in checks {
            let results = &it.results;
            let spans = LATENCY_ENDS.iter().zip(&results.latency);
            let spans = spans.map(|(end, count)| (f64::from(*end) / 1000.0, *count));
            let beyond = results.latency.get(LATENCY_ENDS.len()).copied().unwrap_or(0);
            family.spans(labels, spans, beyond, results.latency_sum_ms / 1000.0);
        }
    }

    fn records(&mut self, records: &[(Labels, &DnsStatus)]) {
        let help = "Whether this host wants it to hold an address of its choice.";
        self.each(("locum_dns_wanted", Gauge, help), records, |it| Some(u8::from(it.wanted.is_some())));
        let help = "Whether what this host wants has yet to be written.";
        self.each(("locum_dns_waiting", Gauge, help), records, |it| Some(u8::from(it.waiting)));
        let help = "Whether what this host wants could not be written so far.";
        self.each(("locum_dns_failing", Gauge, help), records, |it| Some(u8::from(it.failing)));
        let help = "Whether its provider is left alone, after too many failures.";
        self.each(("locum_dns_paused", Gauge, help), records, |it| Some(u8::from(it.paused)));
        let help = "Whether it is left to somebody else, who writes something else again and again.";
        self.each(("locum_dns_contested", Gauge, help), records, |it| Some(u8::from(it.contested)));
        let about = ("locum_dns_writes_total", Counter, "Writes of a record of DNS.");
        self.each(about, records, |it| Some(it.written));
        let about = ("locum_dns_failures_total", Counter, "Attempts to write it that failed.");
        self.each(about, records, |it| Some(it.failed));
    }
}

/// The moment so many milliseconds before `wall`, as Unix time to the millisecond.
fn moment(wall: Duration, ago_ms: u64) -> f64 {
    let then = wall.saturating_sub(Duration::from_millis(ago_ms));
    seconds(u64::try_from(then.as_millis()).unwrap_or(u64::MAX))
}

#[expect(clippy::cast_precision_loss, reason = "whole milliseconds for thousands of years")]
fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}
