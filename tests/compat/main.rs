//! What people around keepalived rely on: events, FIFOs, mails, dumps, SNMP, signals, its command line.

mod command_line;
mod daemon;
mod dump;
mod fifo;
mod incidents;
mod mail;
#[path = "../net/namespace.rs"]
#[expect(dead_code, reason = "the network tests use all of it")]
mod namespace;
mod readers;
mod snmp;

use locum::agent::{RouterName, Standing, Subject, Transition};
use locum::vrrp::why::Why;
use std::time::Duration;

/// Long enough for anything that shall end by itself.
const AMPLE: Duration = Duration::from_secs(30);

/// Waits until `what` holds; fails when it never does.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}

fn to(to: Standing) -> Transition {
    Transition {
        subject: Subject::Router(RouterName("web".into())),
        from: Standing::Backup,
        to,
        why: Why::Silence,
        priority: 150,
        addresses: vec!["192.0.2.1".parse().expect("an address")],
        peer: None,
        term: None,
    }
}
