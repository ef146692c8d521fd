//! Records of DNS as they are written: to Debian's BIND and Knot, and to servers that speak as the providers do
//! and take nothing that is not exactly right.

mod name_servers;
mod providers;
#[path = "../messages/request.rs"]
mod request;
mod strict;

use locum::agent::status::DnsStatus;
use locum::agent::{RouterName, Subject};
use locum::dns::clerk::{Report, Written};
use locum::dns::{Choice, Clerk, Plan, Provider, Record};
use locum::vrrp::Family;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What no log, status or error may show.
const HUSH: &str = "hushhush0123456789abcdef0123456789";
const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

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

fn record(host: &str, provider: Provider) -> Record {
    let choices = vec![Choice { address: A, checks: Vec::new() }];
    Record {
        name: "www".to_owned(),
        host: host.to_owned(),
        family: Family::Ipv4,
        ttl: 60,
        plan: Plan { role: Some(Subject::Router(RouterName("web".into()))), choices },
        provider,
        timeout: Duration::from_secs(2),
    }
}

/// A clerk, and all that is reported of it.
struct Kept {
    clerk: Clerk,
    reports: Arc<Mutex<Vec<Report>>>,
}

impl Kept {
    fn start(record: Record) -> Kept {
        let reports = Arc::<Mutex<Vec<Report>>>::default();
        let sink = Arc::clone(&reports);
        Kept { clerk: Clerk::start(record, move |report| sink.lock().unwrap().push(report)), reports }
    }

    /// One that looks at its record so often.
    fn looking(record: Record, every: Duration) -> Kept {
        let reports = Arc::<Mutex<Vec<Report>>>::default();
        let sink = Arc::clone(&reports);
        let report = move |report| sink.lock().unwrap().push(report);
        Kept { clerk: Clerk::looking(record, Some(every), report), reports }
    }

    fn status(&self) -> DnsStatus {
        self.reports.lock().unwrap().last().expect("a status from the start").status.clone()
    }

    fn written(&self) -> Vec<Written> {
        self.reports.lock().unwrap().iter().filter_map(|report| report.written.clone()).collect()
    }

    /// Waits for it, and looks through all that was said for secrets.
    async fn until(&self, what: &str, holds: impl Fn(&DnsStatus) -> bool) {
        until(what, || holds(&self.status())).await;
        let said = format!("{:?} {:?}", self.reports.lock().unwrap(), self.clerk);
        assert!(!said.contains("hush"), "{said}");
    }

    async fn until_it_holds(&self, address: IpAddr) {
        self.until("it is written", |status| status.holds == Some(address) && !status.waiting).await;
    }
}
