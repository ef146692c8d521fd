//! Recorded stories: what an agent is told, and what it does about it, line by line.
//!
//! `UPDATE_GOLDEN=1 cargo test --test golden` writes them anew; then read the difference.

#[expect(dead_code, reason = "shared with the clauses, which need more of it")]
#[path = "clauses/desk.rs"]
mod desk;

use desk::{ABOVE, BELOW, Desk, SECOND, advert, advert6, config, eth0, handover};
use locum::agent::{
    Config, Effect, Holding, Input, Inquiry, InstanceId, Link, Note, Outgoing, Request, Response, Ticket,
};
use locum::health::{CheckName, Outcome};
use locum::sim::wire::Crafted;
use locum::vrrp::Family;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

/// A story being told.
struct Story {
    desk: Desk,
    text: String,
}

impl Story {
    fn new(config: &Config) -> Self {
        Story { desk: Desk::new(config), text: String::new() }
    }

    fn started(config: &Config) -> Self {
        let mut story = Story::new(config);
        story.link(eth0(true));
        story.tell("every interface is known", Input::LinksReady);
        story
    }

    fn tell(&mut self, what: &str, input: Input) {
        self.line(&format!("< {what}"));
        for effect in self.desk.give(input) {
            self.effect(&effect);
        }
    }

    fn link(&mut self, link: Link) {
        let state = if link.up { "up" } else { "down" };
        self.tell(&format!("{} is {state}", link.name), Input::Link(link));
    }

    fn hear(&mut self, advert: &Crafted) {
        let what = format!("advert of {} with priority {}", advert.source, advert.priority);
        self.tell(&what, Input::Datagram(advert.datagram("eth0")));
    }

    fn ask(&mut self, what: &str, request: Request) {
        self.tell(what, Input::Request(Ticket(1), request));
    }

    fn reload(&mut self, what: &str, config: Config) {
        let config = Box::new(config);
        self.tell(
            what,
            Input::Reload { ticket: Some(Ticket(1)), dry_run: false, besides: Vec::new(), config },
        );
    }

    fn wait(&mut self, span: Duration) {
        let end = self.desk.now + span;
        for (at, effect) in self.desk.wait(span) {
            self.desk.now = at;
            self.effect(&effect);
        }
        self.desk.now = end;
    }

    fn effect(&mut self, effect: &Effect) {
        let line = describe(effect);
        self.line(&format!("> {line}"));
    }

    fn line(&mut self, line: &str) {
        let at = self.desk.now.as_nanos();
        writeln!(self.text, "{:>3}.{:06} {line}", at / 1_000_000_000, at / 1000 % 1_000_000).unwrap();
    }

    /// Compares with `tests/golden/NAME.txt`, or writes it.
    fn is(self, name: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.txt"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &self.text).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        for (number, (was, is)) in golden.lines().zip(self.text.lines()).enumerate() {
            assert_eq!(is, was, "line {} of {}", number + 1, path.display());
        }
        assert_eq!(self.text, golden, "{} has another length", path.display());
    }
}

fn describe(effect: &Effect) -> String {
    match effect {
        Effect::Listen(sockets) => {
            let one = |s: &locum::agent::Listen| {
                format!("{} {} multicast {}", s.interface, s.family, !s.groups.is_empty())
            };
            format!("listen on {}", sockets.iter().map(one).collect::<Vec<_>>().join(", "))
        }
        Effect::Send(Outgoing { source, destination, payload, .. }) => {
            let interval = u16::from_be_bytes([payload[4], payload[5]]);
            format!("send {source} to {destination}: priority {}, interval {interval} cs", payload[2])
        }
        Effect::Hold { instance, holding, .. } => {
            let Holding { interface, vips, .. } = &**holding;
            let vips: Vec<String> = vips.iter().map(ToString::to_string).collect();
            format!("hold {} on {interface} for instance {}", vips.join(", "), instance.0)
        }
        Effect::Claimed { instances, until } => format!("keep {} instances until {until:?}", instances.len()),
        Effect::Release { instance } => format!("release what instance {} holds", instance.0),
        Effect::Announce { instance, count } => format!("announce instance {} {count} times", instance.0),
        Effect::AskAhead(Inquiry { instance, address, .. }) => {
            format!("ask who has {address}, instance {}", instance.0)
        }
        Effect::Ask { instance } => format!("ask who else has it, instance {}", instance.0),
        Effect::AnnounceElsewhere { instance } => format!("announce elsewhere instance {}", instance.0),
        Effect::Evict(intruder) => format!("evict {intruder:?}"),
        Effect::Pace(paces) => format!("keep a distance by {} rules", paces.len()),
        Effect::Vote(own) => format!("vote at {own}"),
        Effect::Ballot { to, bytes } => format!("say {} bytes to voter {to}", bytes.len()),
        Effect::Consult(session) => format!("consult the store in session {session}"),
        Effect::Plead(plea) => format!("plead {plea:?}"),
        Effect::Watch { check, .. } => format!("watch {check}"),
        Effect::Unwatch(check) => format!("unwatch {check}"),
        Effect::Notify(t) => {
            format!("notify {} {} -> {} at {}: {}", t.subject, t.from, t.to, t.priority, t.why)
        }
        Effect::Tell(incident) => format!("tell of {:?}", incident.kind),
        Effect::Note(Note::Warning(router, line)) => format!("note {router}: {line}"),
        Effect::Note(Note::Trouble(line)) => format!("note {line}"),
        Effect::Note(Note::Reloaded(lines)) => format!("note reloaded: {}", lines.join("; ")),
        Effect::Note(Note::Check(change)) => {
            format!("note check {} {} -> {} after {:?}", change.check, change.from, change.to, change.after)
        }
        Effect::Note(Note::Claim { office, term }) => format!("note the claim to {office} in term {term:?}"),
        Effect::Note(Note::Lease { router, family, lease }) => {
            format!("note {router}: the lease of {family:?} is {lease:?}")
        }
        Effect::Note(Note::Damped { router, span, failures }) => {
            format!("note {router}: takes nothing back for {span:?} after {failures} failures")
        }
        Effect::Note(Note::Vote { office, holder, term }) => {
            format!("note a vote for {holder} to have {office} in term {term}")
        }
        Effect::Note(Note::MasterHeard { router, source, priority }) => {
            format!("note {router}: {source} is Master with priority {priority}")
        }
        Effect::Note(Note::LastHeard { router, ago }) => {
            format!("note {router}: another Master was heard {ago:?} ago")
        }
        Effect::Note(Note::Refused { router, source, refusal, count }) => {
            format!("note {router}: refused {source} for the {count}. time: {refusal}")
        }
        Effect::Remember(_) => "remember the sequences".to_owned(),
        Effect::Reply(_, response) => match &**response {
            Response::Status(_) => "reply with the status".to_owned(),
            Response::Cluster(_) => "reply with the cluster".to_owned(),
            Response::Done { lines } | Response::Refused { lines } => format!("reply {}", lines.join("; ")),
            Response::Moved { routers } => {
                let one = |m: &locum::agent::request::Moved| {
                    format!("{} to {:?} in {:.3} ms", m.router, m.successor, m.took_ms)
                };
                format!("reply moved {}", routers.iter().map(one).collect::<Vec<_>>().join("; "))
            }
        },
        Effect::Replace(_) => "replace".to_owned(),
        Effect::Sweep => "sweep".to_owned(),
        Effect::Will(..) => "will".to_owned(),
        Effect::Stopped => "stopped".to_owned(),
    }
}

const DUAL: &str = "addresses = ['10.0.0.100', 'fe80::100']";

#[test]
fn a_start_and_a_takeover() {
    let mut story = Story::started(&config(""));
    story.wait(SECOND * 6);
    story.is("takeover");
}

#[test]
fn an_owner_starts() {
    let mut story = Story::started(&config("priority = 255"));
    story.wait(SECOND);
    story.is("owner");
}

#[test]
fn a_lower_master_is_preempted() {
    let mut story = Story::started(&config("priority = 150"));
    for _ in 0..3 {
        story.wait(SECOND);
        story.hear(&advert(ABOVE, 100));
    }
    story.wait(Duration::from_millis(415));
    let instance = InstanceId(1);
    story.tell("the address is held", Input::Held { instance, result: Ok(()) });
    story.tell("the address is announced", Input::Announced { instance, sent: 1, failed: 0 });
    story.wait(SECOND / 2);
    story.hear(&advert(ABOVE, 100));
    story.is("preempt");
}

#[test]
fn a_farewell_shortens_the_wait() {
    let mut story = Story::started(&config(""));
    story.hear(&advert(ABOVE, 200));
    story.wait(SECOND);
    story.hear(&advert(BELOW, 0));
    story.hear(&advert(ABOVE, 0));
    story.hear(&advert(ABOVE, 0));
    story.wait(SECOND);
    story.is("farewell");
}

#[test]
fn a_check_fails_and_heals() {
    let check = "priority = 150\nchecks = ['app', { check = 'disk', weight = -20 }]\n\
        [check.app]\ntype = 'tcp'\ntarget = '10.0.0.1:80'\nfall = 2\nrise = 1\n\
        [check.disk]\ntype = 'file'\npath = '/run/full'\nfall = 1\nrise = 1";
    let mut story = Story::started(&config(check));
    let outcome = |verdict: Result<(), &str>| Outcome {
        verdict: verdict.map_err(str::to_owned),
        latency: Duration::from_millis(2),
        value: None,
    };
    let result = |story: &mut Story, check: &str, verdict: Result<(), &str>| {
        let what = format!("{check}: {}", verdict.err().unwrap_or("passes"));
        story.tell(&what, Input::Outcome(CheckName(check.into()), outcome(verdict)));
    };
    result(&mut story, "disk", Ok(()));
    result(&mut story, "app", Ok(()));
    story.wait(SECOND * 4);
    result(&mut story, "disk", Err("no such file"));
    result(&mut story, "app", Err("connection refused"));
    story.wait(SECOND);
    result(&mut story, "app", Err("connection refused"));
    story.wait(SECOND);
    result(&mut story, "app", Ok(()));
    story.is("check-fault");
}

#[test]
fn two_families_move_together() {
    let mut story = Story::started(&config(DUAL));
    story.hear(&advert(ABOVE, 200));
    story.wait(SECOND * 3);
    story.hear(&advert6("fe80::9", 200));
    // IPv4 has been silent for long enough, IPv6 has not.
    story.wait(SECOND * 4);
    // A better advert in one family takes both.
    story.hear(&advert6("fe80::9", 200));
    story.is("dual-stack");
}

#[test]
fn a_handover_and_its_resume() {
    let mut story = Story::started(&config(""));
    story.wait(Duration::from_millis(3_700));
    story.ask("hand over", handover());
    story.wait(Duration::from_millis(610));
    story.hear(&advert(ABOVE, 90));
    story.wait(SECOND);
    story.ask("resume", Request::Resume { router: None });
    story.hear(&advert(ABOVE, 90));
    story.wait(SECOND * 4);
    story.is("handover");
}

#[test]
fn reloads_equal_retuned_and_anew() {
    let mut story = Story::started(&config(""));
    story.wait(Duration::from_millis(3_700));
    story.reload("the same configuration", config(""));
    story.reload("another priority", config("priority = 90"));
    story.reload("an address more", config("priority = 90\naddresses = ['10.0.0.100', '10.0.0.101']"));
    story.reload("another version", config("version = 2\npriority = 90"));
    story.reload("no router", Config { start_delay: SECOND, ..Config::default() });
    story.is("reload");
}

#[test]
fn a_fault_and_a_stop() {
    let mut story = Story::started(&config(""));
    story.wait(Duration::from_millis(3_700));
    story.link(eth0(false));
    story.link(eth0(true));
    story.wait(SECOND * 4);
    let socket = |result| Input::Socket { interface: "eth0".to_owned(), family: Family::Ipv4, result };
    story.tell("no socket", socket(Err("cannot open a raw socket: Operation not permitted".to_owned())));
    story.tell("a socket", socket(Ok(())));
    story.wait(SECOND * 4);
    story.tell("stop", Input::Stop { at_once: false });
    story.wait(SECOND * 2);
    story.is("fault-and-stop");
}
