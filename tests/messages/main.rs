//! Messages as they leave: to a real mail server of Debian's, to web servers that answer this and that, and
//! to some that say nothing.

mod relay;
mod request;
mod web;

use jiff::Timestamp;
use locum::agent::status::MessageStatus;
use locum::agent::{RouterName, Standing, Subject, Transition};
use locum::notify::message::{Receiver, Severity, Way};
use locum::notify::messenger::{Messenger, Report};
use locum::notify::template::Template;
use locum::vrrp::why::Why;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Long enough for anything that shall end by itself.
const AMPLE: Duration = Duration::from_secs(30);
/// What no log, status or error may show.
const HUSH: &str = "hush-hush-0123456789abcdef0123456789";

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

fn subject(name: &str) -> Subject {
    Subject::Router(RouterName(name.into()))
}

/// Router `name` goes from Backup to `to`.
fn transition(name: &str, to: Standing) -> Transition {
    Transition {
        subject: subject(name),
        from: Standing::Backup,
        to,
        why: Why::Silence,
        priority: 150,
        addresses: vec!["192.0.2.1".parse().unwrap()],
        peer: None,
        term: None,
    }
}

/// One who is told of `web` and of `r0` to `r49`.
fn receiver(way: Way) -> Receiver {
    let many = (0..50).map(|number| subject(&format!("r{number}")));
    Receiver {
        name: "ops".to_owned(),
        node: "lb1".to_owned(),
        on: [Standing::Stop, Standing::Fault, Standing::Backup, Standing::Master].into(),
        severity: Severity::Info,
        subjects: many.chain([subject("web")]).collect(),
        text: Template::parse("{node}: {router} is {to}").unwrap(),
        way,
        timeout: Duration::from_secs(10),
        retries: 3,
        backoff: Duration::from_millis(20),
        window: Duration::from_secs(60),
        storm: 10,
    }
}

/// A receiver that is told, and all that is reported of it.
struct Told {
    messenger: Messenger,
    reports: Arc<Mutex<Vec<Report>>>,
}

impl Told {
    fn start(receiver: Receiver) -> Told {
        let reports = Arc::<Mutex<Vec<Report>>>::default();
        let sink = Arc::clone(&reports);
        let messenger = Messenger::start(receiver, move |report| sink.lock().unwrap().push(report));
        Told { messenger, reports }
    }

    fn tell(&self, name: &str, to: Standing) {
        self.messenger.tell(&transition(name, to), Timestamp::now());
    }

    fn status(&self) -> MessageStatus {
        let reports = self.reports.lock().unwrap();
        reports.iter().rev().find_map(|report| report.status.clone()).expect("a status from the start")
    }

    /// The lines for the log, trouble or not.
    fn lines(&self) -> Vec<String> {
        let reports = self.reports.lock().unwrap();
        let lines = reports.iter().filter_map(|report| report.line.clone());
        lines.map(|line| line.unwrap_or_else(|trouble| trouble)).collect()
    }

    /// Waits for it, and looks through all that was said for secrets.
    async fn until(&self, what: &str, holds: impl Fn(&MessageStatus) -> bool) {
        until(what, || holds(&self.status())).await;
        let said = format!("{:?} {:?}", self.reports.lock().unwrap(), self.messenger);
        assert!(!said.contains("hush"), "{said}");
    }
}
