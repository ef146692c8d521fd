//! Effects become orders to doers; what doers report becomes input. Looks details up, decides nothing.

use super::alone::{self, Name};
use super::audits::Audits;
use super::dumper::{Dumper, dumps};
use super::facts::Reloads;
use super::inbox::{Arrival, Inbox, Meant, address_input};
use super::leases::{self, Leases};
use super::recorder::Recorder;
use super::replace::Program;
use super::scheduling::Scheduled;
use super::sockets::Sockets;
use super::state::{self, Keeper};
use super::tasks::{Command, Tasks};
use super::tuning::Tuning;
use super::ward::Ward;
use super::web::Web;
use super::{Overrides, log, watchdog};
use crate::agent::config::Claims;
use crate::agent::incident::Kind;
use crate::agent::status::{DnsStatus, MessageStatus};
use crate::agent::{Effect, Holding, Incident, Input, InstanceId, Intruder};
use crate::agent::{Response, Standing, Subject, Ticket, Transition};
use crate::config::{Config, Details, Told};
use crate::control::{Asked, Question};
use crate::history::{Event, LeaseLate, Order as Ordered};
use crate::net::address::{Holder, Means, Order, Renewer};
use crate::net::{Placed, aside, link};
use crate::notify::mail::{Mail, Message};
use crate::time::{Time, first};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tracing::{error, info, warn};

/// How long hooks may still run at the end.
pub(super) const HOOKS_WITHIN: Duration = Duration::from_secs(5);
/// How long the record may still take before the next program has its turn.
const RECORD_WITHIN: Duration = Duration::from_millis(100);
/// How long HTTP may still take at the end.
const WEB_WITHIN: Duration = Duration::from_millis(100);
/// Who has nothing to do for so long may wait for the kernel's lock on addresses. Should that be taken for longer than a
/// lease, the addresses go, whoever waits.
const REST: Duration = Duration::from_millis(500);
/// How long the last renewal may take before the next program has its turn.
const RENEW_WITHIN: Duration = Duration::from_millis(100);
/// How long the state file may still take at the end.
const STATE_WITHIN: Duration = Duration::from_secs(2);

pub(super) struct Performer {
    pub sockets: Sockets,
    pub tasks: Tasks,
    holder: Holder,
    renewer: Renewer,
    /// Who acts in our place if we are killed.
    pub ward: Option<Ward>,
    pub program: Program,
    /// Whoever asked for another program to take the place of this one, until it has.
    pub replacing: Option<Asked>,
    /// The next program could not be started.
    pub stuck: bool,
    /// That no other Locum holds addresses on this host; `None` while one does.
    sole: Option<Name>,
    keeper: Keeper,
    pub record: Recorder,
    pub inbox: Inbox,
    // Much that is seldom looked at: what every turn needs stands closer together without.
    pub details: Box<Details>,
    /// Who grants claims.
    pub claims: Option<Claims>,
    /// What was left out of the configuration.
    pub skipped: Vec<String>,
    pub scheduled: Scheduled,
    pub dumper: Box<Dumper>,
    pub path: PathBuf,
    pub overrides: Overrides,
    audits: Audits,
    pub(super) leases: Leases,
    pub(super) reloads: Reloads,
    waiting: BTreeMap<Ticket, Asked>,
    /// How those stand who receive messages.
    pub(super) receivers: BTreeMap<String, MessageStatus>,
    /// The same of records of DNS, and whoever wants to know for them how everything stands.
    pub(super) records: BTreeMap<String, DnsStatus>,
    pub(super) surveyed: Option<Ticket>,
    last_ticket: u64,
    stops: u32,
    /// What is held since others were told last.
    pub(super) held: Vec<(InstanceId, Box<Holding>)>,
    tuning: Tuning,
}

/// Sweeps, unless another Locum runs on this host, whose addresses carry the same mark. `later`: what is
/// there may be needed yet.
fn sole(holder: &Holder, later: bool) -> Option<Name> {
    let claim = alone::sole().ok()?;
    if !later {
        holder.order(Order::Sweep);
    }
    Some(claim)
}

impl Performer {
    pub(super) fn start(
        path: &Path,
        overrides: &Overrides,
        config: &Config,
        skipped: Vec<String>,
        inbox: &Inbox,
        takes_place: bool,
    ) -> io::Result<Self> {
        let placed = Placed::default();
        let to = inbox.clone();
        let journal = Some(config.details.control.path.with_extension("journal"));
        let means = Means { placed: placed.clone(), journal, ..Means::default() };
        let holder = Holder::start(means, move |report| to.put(Arrival::Address(report)))?;
        // What a crash left behind goes before anybody decides anything.
        let sole = sole(&holder, takes_place);
        if sole.is_none() {
            warn!("another locum runs on this host: what a crash left behind stays until that one ends");
        }
        let tasks = Tasks::start(inbox, placed, &config.details.control)?;
        tasks.adopt(config);
        let mut web = Web::new(inbox, config.details.control.group);
        web.adopt(config.details.http.as_ref());
        let record = Recorder::start(&config.details.journal, &config.details.control.path, web);
        record.started(&config.details.node, path.display().to_string());
        let mut performer = Performer {
            sockets: Sockets::new(inbox)?,
            tasks,
            renewer: holder.renewer()?,
            holder,
            ward: Ward::of(overrides, &config.details, inbox),
            program: Program::this(),
            replacing: None,
            stuck: false,
            sole,
            record,
            keeper: Keeper::new(state::path(&config.details.control.path)),
            inbox: inbox.clone(),
            details: Box::new(config.details.clone()),
            claims: config.agent.claims.clone(),
            skipped,
            scheduled: Scheduled::of(overrides.usual_priority),
            dumper: Box::new(Dumper::new(dumps(overrides, config))),
            path: path.to_owned(),
            overrides: overrides.clone(),
            audits: Audits::default(),
            leases: Leases::default(),
            reloads: Reloads::default(),
            waiting: BTreeMap::new(),
            receivers: BTreeMap::new(),
            records: BTreeMap::new(),
            surveyed: None,
            last_ticket: 0,
            stops: 0,
            held: Vec::new(),
            tuning: Tuning::default(),
        };
        performer.audits.watch(performer.sole.is_none());
        performer.adopt_records();
        Ok(performer)
    }

    /// Something is to be sent and put there soon.
    pub(super) fn get_ready(&mut self) {
        self.sockets.prepare();
        self.holder.order(Order::Rehearse);
    }

    /// Tells the others of what was ordered to be held. Later than that, and than the adverts that went with it: of two
    /// processors they would take the one that is needed. What is there for a moment before the guardian knows of it has
    /// its lease.
    pub(super) fn tell_held(&mut self) {
        for (instance, holding) in self.held.drain(..) {
            self.ward.iter_mut().for_each(|ward| ward.holds(instance.0, &holding));
            self.tasks.command(Command::Held(instance, Some(holding)));
        }
    }

    /// Carries one effect out; [`Performer::tell_held`] goes with it. Returns what is known at once.
    pub(super) fn perform(&mut self, effect: Effect, now: Time) -> Vec<Input> {
        match effect {
            Effect::Listen(wanted) => return self.sockets.want(now, wanted),
            Effect::Send(outgoing) => {
                let failed = self.sockets.send(&outgoing);
                if let Some(due) = outgoing.due {
                    self.sockets.lateness.note(super::now(), due);
                }
                return failed.into_iter().collect();
            }
            Effect::Hold { instance, holding, until } => {
                self.audits.hold(instance, holding.is_told_of());
                let renews = until.is_none() || self.tasks.consults();
                self.leases.hold(instance, holding.lease.filter(|_| renews), now);
                let until = until.map(leases::instant);
                self.holder.order(Order::Hold { owner: instance.0, holding: (*holding).clone(), until });
                self.held.push((instance, holding));
            }
            Effect::Claimed { instances, until } => {
                let owners = instances.into_iter().map(|instance| instance.0).collect();
                self.holder.order(Order::Claimed { owners, until: leases::instant(until) });
            }
            Effect::Release { instance } => {
                self.audits.release(instance);
                self.leases.release(instance, now);
                self.tell_late(now);
                self.ward.iter_mut().for_each(|ward| ward.releases(instance.0));
                self.tasks.command(Command::Held(instance, None));
                self.holder.order(Order::Release { owner: instance.0 });
            }
            Effect::Will(instance, will) => {
                self.ward.iter_mut().for_each(|ward| ward.farewell(instance.0, &will));
            }
            Effect::Announce { instance, count } => {
                self.holder.order(Order::Announce { owner: instance.0, count });
            }
            Effect::AnnounceElsewhere { instance } => {
                self.holder.order(Order::AnnounceElsewhere { owner: instance.0 });
            }
            Effect::AskAhead(inquiry) => self.tasks.command(Command::AskAhead(inquiry)),
            Effect::Ask { instance } => self.holder.order(Order::Ask { owner: instance.0 }),
            Effect::Evict(Intruder { interface, address, prefix }) => {
                self.holder.order(Order::Evict { interface, address, prefix });
            }
            Effect::Pace(paces) => self.holder.order(Order::Pace(paces)),
            Effect::Vote(own) => self.sockets.vote_at(own, self.details.vote_path.as_ref()),
            Effect::Ballot { to, bytes } => self.sockets.cast(to, &bytes),
            Effect::Consult(session) => {
                let consulting = self.tasks.consult(&self.details, session);
                self.ward.iter_mut().for_each(|ward| ward.consults(consulting.clone()));
            }
            Effect::Plead(plea) => self.tasks.plead(plea),
            Effect::Watch { check, settled } => {
                if let Some(spec) = self.details.checks.get(&check) {
                    self.tasks.command(Command::Watch(check, Box::new(spec.clone()), settled));
                }
            }
            Effect::Unwatch(name) => self.tasks.command(Command::Unwatch(name)),
            Effect::Notify(transition) => self.notify(transition),
            Effect::Tell(incident) => {
                self.learn_rival(&incident);
                self.tell(incident);
            }
            Effect::Note(note) => {
                self.learn_check(&note);
                self.record.note(&note);
                log::note(&note);
            }
            Effect::Remember(memory) => self.keeper.keep(memory),
            Effect::Reply(ticket, response) => self.reply(ticket, *response),
            Effect::Replace(relay) => {
                self.renew();
                // The next program has a whole lease to start in.
                let _ = self.holder.clone().finish(RENEW_WITHIN);
                let Err(line) = self.make_room(&relay);
                error!("the next program cannot be started: {line}; stopping instead");
                self.stuck = true;
                return vec![Input::Stop { at_once: false }];
            }
            Effect::Sweep if self.sole.is_some() => self.holder.order(Order::Sweep),
            Effect::Sweep | Effect::Stopped => {}
        }
        Vec::new()
    }

    /// What came in, in the agent's words; `None` where it concerns only doers.
    pub(super) fn translate(&mut self, arrival: Arrival) -> Option<Meant> {
        let input = match arrival {
            Arrival::Input(input) => {
                log::input(&input);
                if let Input::HookEnded(end) = &input {
                    self.record.hook(end);
                }
                input
            }
            Arrival::Left { at, input } => return Some(Meant::Left { at, input }),
            Arrival::Address(report) => address_input(report, &self.record)?,
            Arrival::Link(link::Report::Link(link)) => Input::Link(link),
            Arrival::Link(link::Report::Gone(name)) => Input::LinkGone(name),
            Arrival::Link(link::Report::Ready) => {
                // Only then a program that takes the place of another knows where it is Master.
                self.ask_survey();
                Input::LinksReady
            }
            Arrival::Link(link::Report::Lost) => {
                self.holder.order(Order::Check);
                return None;
            }
            Arrival::Link(link::Report::AddressGone { interface, address, .. }) => {
                self.holder.order(Order::Gone { interface, address });
                return None;
            }
            Arrival::Stop => {
                self.record.signalled(Ordered::Stop);
                self.stops += 1;
                Input::Stop { at_once: self.stops > 1 }
            }
            Arrival::Reload => {
                self.record.signalled(Ordered::Reload);
                watchdog::reloading();
                self.load(None, false);
                return None;
            }
            Arrival::Unguarded => {
                self.ward.iter_mut().for_each(Ward::lost);
                let text = "the guardian has gone; another is started".to_owned();
                warn!("{text}");
                self.record.put(Event::Trouble { text });
                return None;
            }
            Arrival::Guarded(to) => {
                info!("a guardian watches");
                if let Some(ward) = &mut self.ward {
                    ward.found(to);
                }
                return None;
            }
            Arrival::Receiver(status) => {
                self.receivers.insert(status.name.clone(), status);
                return None;
            }
            Arrival::Dns(status) => {
                self.records.insert(status.name.clone(), status);
                return None;
            }
            Arrival::Happened(event) => {
                self.record.put(event);
                return None;
            }
            Arrival::Survey => self.survey(),
            Arrival::Dump(dump) => return Some(Meant::Dump(dump)),
            Arrival::Asked(asked) => {
                self.record.asked(&asked);
                match asked.question.clone() {
                    Question::Agent(request) => Input::Request(self.ticket(asked), request),
                    Question::Reload { dry_run } => {
                        self.load(Some(asked), dry_run);
                        return None;
                    }
                    Question::Log(order) => {
                        let answer = self.tuning.order(&order, asked.who, super::now());
                        let _ = asked.answer.send(answer);
                        return None;
                    }
                    _ => {
                        self.pass_on(asked);
                        return None;
                    }
                }
            }
            Arrival::Tried { asked, result } => {
                self.tried(asked, result);
                return None;
            }
            Arrival::Retired => {
                self.record.finish(true, RECORD_WITHIN);
                Input::Replace
            }
            Arrival::Loaded { asked, dry_run, result } => return self.loaded(asked, dry_run, result),
        };
        Some(Meant::Input(input))
    }

    /// Has somebody else answer what is no business of the agent's.
    fn pass_on(&self, asked: Asked) {
        match &asked.question {
            Question::Cluster => self.record.web.ask(asked),
            Question::DnsTest { .. } | Question::DnsSet { .. } => {
                self.tasks.command(Command::AskRecords(asked));
            }
            Question::Restart { .. } => self.restart(asked),
            // Those `translate` takes.
            Question::Agent(_) | Question::Reload { .. } | Question::Log(_) => {}
        }
    }

    /// What doers do on their own account: renew leases, compare addresses with the kernel. The agent has nothing to do
    /// before `next`.
    pub(super) fn look_after(&mut self, now: Time, next: Option<Time>) {
        if self.audits.are_due(now) {
            self.audit();
        }
        self.tuning.look_after(now);
        self.ward.iter_mut().for_each(Ward::catch_up);
        if self.leases.are_due(now) {
            let rests = next.is_none_or(|next| next >= now + REST);
            if !(rests && self.renewer.renew()) {
                self.renew();
            }
            self.tell_late(now);
        }
    }

    /// Tells of leases that were in danger, or over.
    fn tell_late(&mut self, now: Time) {
        if let Some(late) = self.leases.news(now) {
            let LeaseLate { lease_ms, after_ms, times } = late;
            warn!(target: "locum::net", lease_ms, after_ms, times, "leases were not renewed in time: this process was stopped, or had no processor");
            self.record.put(Event::LeaseLate(late));
        }
    }

    #[inline(never)]
    fn audit(&mut self) {
        self.sole = self.sole.take().or_else(|| sole(&self.holder, false));
        self.audits.watch(self.sole.is_none());
        self.holder.order(Order::Check);
    }

    fn renew(&self) {
        self.holder.order(Order::Renew { at: Instant::now() });
    }

    /// When to call [`Performer::look_after`] next, or the sockets try again.
    pub(super) fn look_at(&self) -> Option<Time> {
        first([
            self.sockets.retry_at(),
            self.audits.deadline(),
            self.leases.deadline(),
            self.tuning.deadline(),
        ])
    }

    /// Gives up what is left, and waits for it. Whether everything was given up in time.
    pub(super) fn finish(mut self, within: Duration) -> bool {
        self.sockets.close();
        self.holder.order(Order::Stop);
        let released = self.holder.finish(within);
        if !released {
            warn!("addresses could not be given up within {}s", within.as_secs());
        }
        self.keeper.finish(STATE_WITHIN);
        self.tasks.finish(HOOKS_WITHIN);
        self.record.finish(released, STATE_WITHIN);
        self.record.web.finish(WEB_WITHIN);
        let _ = std::fs::remove_file(&self.details.control.path);
        aside::finish();
        released && !self.stuck
    }

    fn notify(&mut self, transition: Transition) {
        let Transition { subject, to, .. } = &transition;
        log::transition(&transition);
        self.learn_role(&transition);
        self.record.transition(&transition);
        let Told { fifos, mail, mailed, receivers, .. } = &self.details.told;
        let hooks = self.details.hooks.get(subject).cloned().map(Box::new);
        let faults = |mail: &&Mail| mail.faults || *to != Standing::Fault;
        let mail = mail.as_ref().filter(|_| mailed.contains(subject)).filter(faults);
        let message = mail.map(|_| Message::about(&transition, &self.details.node, Timestamp::now()));
        let told = message.is_some() || !fifos.is_empty() || !receivers.is_empty();
        if hooks.is_some() || told || self.details.snmp.is_some() {
            self.tasks.command(Command::Notify(Box::new(transition), hooks, message));
        }
    }

    fn tell(&mut self, incident: Incident) {
        self.record.incident(&incident);
        log::incident(&incident);
        let router = &incident.router;
        let write = match incident.kind {
            Kind::HeardLower { .. } => true,
            Kind::DualMaster { .. } => false,
            Kind::PriorityChanged { .. } => self.details.told.priorities.contains(router),
        };
        let hooks = self.details.hooks.get(&Subject::Router(router.clone())).cloned().map(Box::new);
        self.tasks.command(Command::Tell(Box::new(incident), hooks, write));
    }

    pub(super) fn next_ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        Ticket(self.last_ticket)
    }

    pub(super) fn ticket(&mut self, asked: Asked) -> Ticket {
        let ticket = self.next_ticket();
        self.waiting.insert(ticket, asked);
        ticket
    }

    fn reply(&mut self, ticket: Ticket, mut response: Response) {
        if self.is_survey(ticket, &response) {
            return;
        }
        let Some(asked) = self.waiting.remove(&ticket) else { return };
        if let Response::Refused { lines } = &response {
            self.record.refused(&asked.question, lines);
        }
        if let Response::Status(status) = &mut response {
            self.complete(super::now(), status);
        }
        // Whoever asked may have gone.
        let _ = asked.answer.send(response);
    }
}
