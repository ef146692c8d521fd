//! A status with something of everything in it.

use locum::agent::status::{
    AddressStatus, CheckStatus, CountsStatus, DnsStatus, HookStatus, InstanceStatus, LatenessStatus,
    MessageStatus, Overall, PeerStatus, PriorityStatus, ResultsStatus, RivalStatus, RouterStatus, SCHEMA,
    Status, TrackStatus, TransitionStatus, VoteStatus,
};
use locum::agent::{RouterName, Standing};
use locum::health::{self, CheckName};
use locum::vrrp::{Family, Version};
use std::collections::BTreeMap;
use std::net::IpAddr;

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn counts(of: &[(&str, u64)]) -> BTreeMap<String, u64> {
    of.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

/// A Master whose application fails, by which it has lost priority, but not its role.
pub(crate) fn degraded() -> Status {
    Status {
        schema: SCHEMA,
        health: Overall::Degraded,
        complaints: vec!["check app: connection refused".to_owned()],
        routers: vec![web()],
        checks: vec![
            app(),
            CheckStatus {
                error: None,
                number: Some(3),
                state: health::Standing::Up,
                name: named("db"),
                ..app()
            },
        ],
        skipped: Vec::new(),
        counts: CountsStatus {
            repaired: 2,
            leases_renewed: 288,
            reloads: 1,
            reloads_refused: 1,
            reloaded: Some(false),
            reloaded_ms: Some(9_000),
            ..CountsStatus::default()
        },
        messages: vec![MessageStatus {
            name: "ops".to_owned(),
            sent: 3,
            failed: 2,
            dropped: 1,
            repeated: 4,
            waiting: 2,
            failing: true,
            last_error: Some("https://hooks.example: status 503".to_owned()),
        }],
        dns: vec![DnsStatus {
            name: "www".to_owned(),
            record: "www.example.org A".to_owned(),
            provider: "cloudflare".to_owned(),
            wanted: Some([192, 0, 2, 1].into()),
            holds: None,
            waiting: true,
            written: 2,
            failed: 3,
            failing: true,
            paused: true,
            contested: false,
            last_error: Some("api.cloudflare.com: status 401".to_owned()),
        }],
        lateness: LatenessStatus { worst_ms: 0.8, recent_ms: 0.2 },
        daemon: [("node", "left"), ("version", "0.1.0")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
    }
}

/// The same with nothing wrong.
pub(crate) fn healthy() -> Status {
    Status { health: Overall::Healthy, complaints: Vec::new(), ..degraded() }
}

/// The same with a router that cannot take part.
pub(crate) fn fault() -> Status {
    let why = "interface eth7 does not exist".to_owned();
    let router = RouterStatus {
        state: Standing::Fault,
        why: why.clone(),
        waits_for: "the fault to heal".to_owned(),
        waits_ms: None,
        interface: None,
        ..web()
    };
    let complaints = vec![format!("web: {why}")];
    Status { health: Overall::Fault, complaints, routers: vec![router], ..degraded() }
}

fn named(name: &str) -> CheckName {
    CheckName(name.into())
}

fn web() -> RouterStatus {
    let track = |check, adds, fault| TrackStatus {
        check: named(check),
        state: if adds == 0 { health::Standing::Up } else { health::Standing::Down },
        adds,
        fault,
    };
    RouterStatus {
        name: RouterName("web".into()),
        group: None,
        state: Standing::Master,
        since_ms: 192_000,
        why: "no Master heard for the down interval".to_owned(),
        drained: false,
        damped_ms: None,
        hold_ms: None,
        failures: 1,
        waits_for: "its next advert".to_owned(),
        waits_ms: Some(612),
        interface: Some("eth0".to_owned()),
        vrid: 51,
        version: Version::V3,
        interval_ms: 1000,
        authentication: "signatures by key 2 of 1 and 2, within 5s".to_owned(),
        claim: "required, held in term 7; 10.0.0.3:5112 said yes 12 ms ago".to_owned(),
        priority: PriorityStatus {
            effective: 90,
            base: 150,
            tracks: vec![track("app", -60, false), track("db", 0, true)],
        },
        addresses: vec![AddressStatus {
            address: address("10.0.0.100"),
            prefix: 24,
            held: true,
            restored: 2,
            intruded: false,
            evicted: 0,
            lease_ms: Some(2000),
        }],
        instances: vec![instance()],
        hooks: HookStatus {
            ran: 4,
            failed: 1,
            skipped: 0,
            last_failed: true,
            last: Some("/etc/locum/tell: exit code 1".to_owned()),
        },
        became_master: 2,
        left_master: 1,
        claim_trouble: Vec::new(),
        dual_master_seen: 3,
        rivals: vec![RivalStatus {
            source: None,
            address: Some(address("10.0.0.100")),
            mac: Some("02:00:00:00:00:09".to_owned()),
            seen_ms: 90_000,
            times: 3,
        }],
        transitions: vec![TransitionStatus { to: Standing::Master, cause: "silence".to_owned(), count: 2 }],
        detected_ms: Some(3413.2),
        recovered_ms: Some(3419.9),
        hold_errors: 0,
        vote: Some(VoteStatus { held: true, term: Some(7), ends_ms: Some(2100), voters: 3, granted: 2 }),
    }
}

fn instance() -> InstanceStatus {
    InstanceStatus {
        family: Family::Ipv4,
        source: Some(address("10.0.0.1")),
        master: Some(address("10.0.0.1")),
        unicast: false,
        peers: vec![PeerStatus {
            address: address("10.0.0.2"),
            configured: false,
            heard_ms: Some(5_400),
            priority: Some(80),
            interval_ms: Some(1000),
            adverts: 17,
            clock_ms: Some(-40),
            clock_window_ms: Some(5000),
            refused: counts(&[("wrong-password", 3)]),
            last_refused: Some("the password differs from ours".to_owned()),
            last_refused_ms: Some(61_000),
            remarks: vec!["the sender's interval differs from ours".to_owned()],
        }],
        sent: 1234,
        heard: 17,
        farewells_sent: 0,
        farewells_heard: 0,
        send_errors: 1,
        last_send_error: Some("Network is down".to_owned()),
        last_send_error_ms: Some(80_000),
        refused: counts(&[("wrong-password", 3)]),
        discarded: counts(&[("losing", 2)]),
        announced: 9,
        announce_errors: 0,
        arp_test: None,
        second_path: None,
    }
}

fn app() -> CheckStatus {
    CheckStatus {
        name: named("app"),
        state: health::Standing::Down,
        since_ms: 41_000,
        number: None,
        error: Some("connection refused".to_owned()),
        latency_ms: Some(0.42),
        checked_ms: Some(800),
        results: ResultsStatus {
            passed: 40,
            failed: 2,
            latency_sum_ms: 19.5,
            latency: [41, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1].into(),
        },
    }
}
