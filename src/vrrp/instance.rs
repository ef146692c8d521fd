//! The state machine of one virtual router: one address family, one VRID, one interface.
//!
//! RFC 9568 section 6.4, RFC 3768 section 6.4. The contract: call [`Instance::handle`] with the time
//! and whatever happened, carry out the returned actions in their order, and call it again with
//! [`Event::Tick`] when [`Instance::deadline`] has come. Nothing else moves it.
//!
//! Deadlines live inside the state, so leaving a state drops its timers.

use super::announcing::Schedule;
use super::config::LONE_WAIT;
pub use super::config::{Config, Manner};
pub use super::event::{Action, Discard, Event, First, State, Then, Wait};
use super::succession::Named;
use super::why::{Fault, Why};
use super::{Advert, Interval, Priority, Version, is_greater};
use crate::time::{Time, earliest};
use smallvec::{SmallVec, smallvec};
use std::net::IpAddr;
use std::time::Duration;

/// What an instance wants done, in order. Rarely more than this at once, and then on the heap.
pub type Actions = SmallVec<[Action; 3]>;

/// One virtual router's state machine. See the module for the contract.
#[derive(Clone, Debug)]
pub struct Instance {
    pub(super) config: Config,
    pub(super) priority: Priority,
    pub(super) source: Option<IpAddr>,
    pub(super) state: State,
    pub(super) why: Why,
    pub(super) since: Time,
    pub(super) damped: bool,
    /// In Fault, of one that was Master when its link went: until when no Backup takes over, by the time
    /// of our last advert.
    pub(super) master_until: Option<Time>,
    pub(super) named: Named,
}

impl Instance {
    /// An instance that does not take part yet.
    #[must_use]
    pub fn new(config: Config, now: Time) -> Self {
        let priority = config.priority;
        Instance {
            config,
            priority,
            source: None,
            state: State::Initialize,
            why: Why::Started,
            since: now,
            damped: false,
            master_until: None,
            named: Named::default(),
        }
    }

    /// What it is configured to be.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where it is.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Why it is there.
    #[must_use]
    pub fn why(&self) -> &Why {
        &self.why
    }

    /// Since when it is there.
    #[must_use]
    pub fn since(&self) -> Time {
        self.since
    }

    /// The priority it advertises and compares with.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// The address its adverts leave from, once known.
    #[must_use]
    pub fn source(&self) -> Option<IpAddr> {
        self.source
    }

    /// Whether the addresses are up here: Master, or leaving with the successor not yet heard.
    #[must_use]
    pub fn holds(&self) -> bool {
        matches!(self.state, State::Master { .. } | State::Leaving { .. })
    }

    /// Whether this instance is Master.
    #[must_use]
    pub fn is_master(&self) -> bool {
        matches!(self.state, State::Master { .. })
    }

    /// Whether a handover from here is done, or as good as done.
    #[must_use]
    pub fn has_handed_over(&self) -> bool {
        matches!(self.state, State::Drained | State::Leaving { successor: Some(_), .. })
    }

    /// Whether this instance is a Backup whose Master is gone at `now`.
    #[must_use]
    pub fn is_due(&self, now: Time) -> bool {
        self.take_over_at().is_some_and(|at| at <= now)
    }

    /// When a Backup takes over, unless something is heard.
    fn take_over_at(&self) -> Option<Time> {
        match self.state {
            State::Backup { down_at, preempt_at, .. } => {
                Some(preempt_at.map_or(down_at, |at| at.min(down_at)))
            }
            _ => None,
        }
    }

    /// When to call [`Instance::handle`] with [`Event::Tick`] at the latest, and what for.
    #[must_use]
    pub fn deadline(&self) -> Option<(Time, Wait)> {
        match self.state {
            State::Initialize | State::Fault(_) | State::Drained => None,
            State::Backup { .. } => self.take_over_at().map(|at| (at, Wait::TakeOver)),
            State::Master { advertise_at, ref announce, .. } => earliest(
                Some((advertise_at, Wait::Advertise)),
                announce.next().map(|at| (at, Wait::Announce)),
            ),
            State::Leaving { until, .. } => Some((until, Wait::Successor)),
        }
    }

    /// Moves the machine. Returns what shall be done, in order.
    #[must_use]
    pub fn handle(&mut self, now: Time, event: Event) -> Actions {
        match (&self.state, event) {
            (_, Event::Retune(config)) => self.retune(*config),
            (_, Event::Priority(priority)) => self.set_priority(priority),
            (_, Event::Source(source)) => self.set_source(source),
            (_, Event::Damped(damped)) => self.damp(damped),
            (_, Event::Fault(fault)) => self.fail(now, fault),

            // Whoever was handed over stays out, an owner as well.
            (State::Initialize | State::Fault(_), Event::Startup(Why::HandedOver))
            | (State::Backup { .. }, Event::Handover { .. }) => {
                self.enter(now, State::Drained, Why::HandedOver)
            }
            // 6.4.1: an owner starts as Master, anybody else as Backup.
            (State::Fault(_), Event::Startup(Why::LinkBack)) => self.take_over(now, Why::LinkBack),
            (State::Initialize | State::Fault(_), Event::Startup(_)) if self.priority.is_owner() => {
                self.take_over(now, Why::Owner)
            }
            (State::Initialize | State::Fault(_), Event::Startup(why)) => self.follow_nobody(now, why),
            // The neighbours know already. Should another Master have come up meanwhile, it answers.
            (State::Initialize, Event::Continue { since, why }) => self.go_on(now, since, why),
            (State::Master { .. }, Event::Remind) => smallvec![self.advertise()],
            (State::Drained, Event::Resume) => self.follow_nobody(now, Why::Resumed),

            // 6.4.2, 6.4.3: Shutdown. Only a Master has something to say.
            (State::Master { .. }, Event::Shutdown { wait }) => self.leave(now, wait, Then::Stop),
            (State::Leaving { until, successor, .. }, Event::Shutdown { wait }) => {
                let (until, successor) = ((*until).min(now + wait), *successor);
                self.state = State::Leaving { until, successor, then: Then::Stop };
                if wait.is_zero() { self.left(now) } else { Actions::new() }
            }
            (_, Event::Shutdown { .. }) => self.enter(now, State::Initialize, Why::Stopped),

            // A planned move. Who is not Master simply stays out.
            (State::Master { .. }, Event::Handover { wait }) => self.leave(now, wait, Then::Drain),

            (State::Backup { .. }, Event::Heard { source, priority, interval }) => {
                self.hear_as_backup(now, source, priority, interval)
            }
            (State::Backup { .. }, Event::Named { source }) => self.is_named(now, source),
            (State::Master { .. }, Event::Heard { source, priority, interval }) => {
                self.hear_as_master(now, source, priority, interval)
            }
            (State::Leaving { .. }, Event::Heard { source, priority, .. }) => {
                self.hear_as_leaving(now, source, priority)
            }
            (_, Event::Heard { source, .. }) => {
                self.master_until.take_if(|_| Some(source) != self.source);
                smallvec![Action::Discard(Discard::NotTakingPart)]
            }

            (State::Backup { master, preempt_at, cause, .. }, Event::Tick) if self.is_due(now) => {
                let preempts = preempt_at.filter(|at| *at <= now).and(*master);
                let cause = preempts.map_or(cause.clone(), Why::Preempted);
                if let Why::Preempted(_) = cause {
                    self.take_from(now, cause)
                } else {
                    self.take_over(now, cause)
                }
            }
            (State::Master { .. }, Event::Tick) => self.tick_as_master(now),
            (State::Master { .. }, event @ (Event::Announced | Event::AllAnnounced)) => {
                self.made(now, &event)
            }
            (State::Leaving { until, .. }, Event::Tick) if *until <= now => self.left(now),

            (State::Master { .. }, Event::Yield) => self.step_down(now, Why::Group),
            (State::Master { .. } | State::Leaving { .. }, Event::Outvoted) => {
                self.step_down(now, Why::Outvoted)
            }
            (State::Master { .. }, Event::Reassert) => {
                smallvec![self.advertise(), Action::Announce(self.config.announce.count)]
            }
            (State::Master { .. }, Event::Rivalled) => self.announce_again(now).into_iter().collect(),

            (_, Event::Woke { late }) => self.wake(now, late),
            (State::Leaving { until, successor: None, then }, Event::Succeeded) => {
                let until = (*until).min(now + self.config.interval.duration() + self.config.linger());
                self.state = State::Leaving { until, successor: self.source, then: *then };
                Actions::new()
            }
            (State::Leaving { successor: Some(_), .. }, Event::Taken) => self.left(now),
            // What does not concern a state leaves it as it is.
            _ => Actions::new(),
        }
    }

    /// 6.4.2 on an advert.
    fn hear_as_backup(
        &mut self,
        now: Time,
        source: IpAddr,
        heard: Option<Priority>,
        theirs: Interval,
    ) -> Actions {
        let (version, own, adverts) = (self.config.version, self.priority, self.config.manner.down_adverts);
        let preempts = (self.config.preempt && !self.damped) || own.is_owner();
        let delay = if own.is_owner() { Duration::ZERO } else { self.config.manner.preempt_delay };
        let State::Backup { master, interval, down_at, preempt_at, cause } = &mut self.state else {
            return Actions::new();
        };
        if Some(source) == self.source {
            return smallvec![Action::Discard(Discard::Own)];
        }
        match heard {
            // Believe only the Master that we follow or are about to preempt, and only once: a late
            // duplicate would otherwise cause a second takeover or put off the first.
            None if !matches!(cause, Why::Preempted(lower) if *lower == source)
                && (master.is_some_and(|followed| followed != source)
                    || matches!(cause, Why::Farewell(_))) =>
            {
                smallvec![Action::Discard(Discard::StrangersFarewell)]
            }
            None => {
                let skew = self.config.farewell_wait(*interval, own);
                *down_at = now + if self.named.take(now, source) { LONE_WAIT } else { skew };
                *cause = Why::Farewell(source);
                Actions::new()
            }
            Some(priority) if preempts && priority < own && delay.is_zero() => {
                // The timer keeps running and nothing is learned: we are about to preempt. Once it has run out, the
                // takeover waits for a claim, and whoever said farewell before has a successor.
                if matches!(cause, Why::Silence) || *down_at <= now {
                    *cause = Why::Preempted(source);
                }
                smallvec![Action::Discard(Discard::LowerPriority)]
            }
            Some(priority) => {
                let lower = preempts && priority < own;
                *preempt_at = if lower { preempt_at.or(Some(now + delay)) } else { None };
                if version == Version::V3 {
                    *interval = theirs;
                }
                *master = Some(source);
                *down_at = now + interval.down_after(adverts, version, own);
                *cause = Why::Silence;
                Actions::new()
            }
        }
    }

    /// 6.4.3 on an advert. Preemption is not consulted here.
    fn hear_as_master(
        &mut self,
        now: Time,
        source: IpAddr,
        heard: Option<Priority>,
        theirs: Interval,
    ) -> Actions {
        if Some(source) == self.source {
            return smallvec![Action::Discard(Discard::Own)];
        }
        let interval = self.config.interval;
        let version = self.config.version;
        let advert = self.advertise();
        let beats_us = heard.is_some_and(|priority| self.loses_to(source, priority));
        let State::Master { advertise_at, quiet_until, first, .. } = &mut self.state else {
            return Actions::new();
        };
        match heard {
            None => {
                *first = First::Sent;
                *advertise_at = now + interval.duration();
                smallvec![advert]
            }
            Some(priority) if beats_us => {
                let learned = if version == Version::V3 { theirs } else { interval };
                let manner = &self.config.manner;
                let down_at = now + learned.down_after(manner.down_adverts, version, self.priority);
                let state = State::Backup {
                    master: Some(source),
                    interval: learned,
                    down_at,
                    preempt_at: None,
                    cause: Why::Silence,
                };
                let mut actions = if manner.parting_advert { smallvec![advert] } else { Actions::new() };
                actions.push(Action::Release);
                actions.extend(self.enter(now, state, Why::Better(source, priority)));
                actions
            }
            // RFC 9568 answers at once, RFC 3768 is silent (and keepalived is not); all mean that somebody else may have
            // held the addresses, so the neighbours are told again.
            Some(_) => {
                let mut actions = smallvec![Action::Discard(Discard::Losing)];
                if *quiet_until <= now {
                    *quiet_until = now + interval.duration() / 16;
                    if self.config.manner.answer_losing {
                        actions.push(advert);
                    }
                    actions.extend(self.announce_again(now));
                }
                actions
            }
        }
    }

    fn hear_as_leaving(&mut self, now: Time, source: IpAddr, heard: Option<Priority>) -> Actions {
        let State::Leaving { until, successor, .. } = &mut self.state else {
            return Actions::new();
        };
        if Some(source) != self.source && heard.is_some() && successor.is_none() {
            *successor = Some(source);
            *until = (*until).min(now + self.config.linger());
        }
        Actions::new()
    }

    /// The tie-break of 6.4.3: priority, then the greater source address, as unsigned numbers.
    fn loses_to(&self, source: IpAddr, priority: Priority) -> bool {
        priority > self.priority
            || (priority == self.priority && self.source.is_some_and(|own| is_greater(source, own)))
    }

    /// Whether an advert of our own priority comes from the greater address.
    pub(super) fn is_tied_below(&self, source: IpAddr, priority: Priority) -> bool {
        priority == self.priority && self.loses_to(source, priority)
    }

    fn tick_as_master(&mut self, now: Time) -> Actions {
        let advert = self.advertise();
        let (interval, version, priority) = (self.config.interval, self.config.version, self.priority);
        let announcing = &self.config.announce;
        let State::Master { advertise_at, announce, first, .. } = &mut self.state else {
            return Actions::new();
        };
        let mut actions = Actions::new();
        let mut due = announce.due(announcing, now);
        if *advertise_at <= now {
            // A Master silent for a whole down interval may have been replaced meanwhile.
            if now.since(*advertise_at) > interval.down(version, priority) {
                due.count = Some(announcing.count);
            }
            // No drift: the next is due one interval after this one was, unless we slept over it.
            let next = *advertise_at + interval.duration();
            *advertise_at = if next <= now { now + interval.duration() } else { next };
            *first = First::Sent;
            actions.push(advert);
        }
        actions.extend(due.count.map(Action::Announce));
        actions.extend(due.elsewhere.then_some(Action::AnnounceElsewhere));
        actions
    }

    /// Somebody else may have told the neighbours where the addresses are.
    fn announce_again(&mut self, now: Time) -> Option<Action> {
        let State::Master { announce, .. } = &mut self.state else { return None };
        announce.heard_losing(&self.config.announce, now).map(Action::Announce)
    }

    /// 6.4.1 and 6.4.2: the advert goes first, then the addresses, then their announcement.
    fn take_over(&mut self, now: Time, why: Why) -> Actions {
        let mut actions = self.go_on(now, now, why);
        actions.push(Action::Announce(self.config.announce.count));
        actions
    }

    /// As the Master that it has been since then.
    fn go_on(&mut self, now: Time, since: Time, why: Why) -> Actions {
        let advertise_at = now + self.config.interval.duration();
        let announce = Schedule::since(&self.config.announce, since, now);
        let state = State::Master { advertise_at, announce, quiet_until: now, first: First::Sent };
        self.enter(since, state, why);
        smallvec![self.advertise(), Action::Hold]
    }

    pub(super) fn follow_nobody(&mut self, now: Time, why: Why) -> Actions {
        let Config { interval, version, manner, .. } = &self.config;
        let adverts = if manner.eager && why == Why::Started { 1 } else { manner.down_adverts };
        let state = State::Backup {
            master: None,
            interval: *interval,
            down_at: now + interval.down_after(adverts, *version, self.priority),
            preempt_at: None,
            cause: Why::Silence,
        };
        self.enter(now, state, why)
    }

    /// Says farewell and keeps answering for at most `wait`.
    fn leave(&mut self, now: Time, wait: Duration, then: Then) -> Actions {
        let mut actions = self.farewell();
        // `since` and `why` stay: for people this is still the Master, on its way out.
        self.state = State::Leaving { until: now + wait, successor: None, then };
        if wait.is_zero() {
            actions.extend(self.left(now));
        }
        actions
    }

    /// The wait for the successor is over.
    fn left(&mut self, now: Time) -> Actions {
        let State::Leaving { successor, then, .. } = self.state else {
            return Actions::new();
        };
        match then {
            Then::Drain if successor.is_none() => self.take_over(now, Why::NobodyTook),
            Then::Drain => {
                self.enter(now, State::Drained, Why::HandedOver);
                smallvec![Action::Release]
            }
            Then::Stop => {
                self.enter(now, State::Initialize, Why::Stopped);
                smallvec![Action::Release]
            }
        }
    }

    fn fail(&mut self, now: Time, fault: Fault) -> Actions {
        let mut actions = match self.state {
            State::Master { .. } => self.farewell(),
            _ => Actions::new(),
        };
        if self.holds() {
            actions.push(Action::Release);
        }
        self.master_until = self.until_missed(now, &fault);
        // A changed reason is not a new state.
        let since = if matches!(self.state, State::Fault(_)) { self.since } else { now };
        self.enter(since, State::Fault(fault.clone()), Why::Fault(fault));
        actions
    }

    pub(super) fn enter(&mut self, since: Time, state: State, why: Why) -> Actions {
        self.state = state;
        self.why = why;
        self.since = since;
        Actions::new()
    }

    fn farewell(&self) -> Actions {
        smallvec![Action::Advertise(self.advert(None)); usize::from(self.config.farewells)]
    }

    pub(super) fn advertise(&self) -> Action {
        Action::Advertise(self.advert(Some(self.priority)))
    }

    pub(crate) fn advert(&self, priority: Option<Priority>) -> Advert {
        Advert {
            version: self.config.version,
            vrid: self.config.vrid,
            priority,
            interval: self.config.interval,
            addresses: self.config.addresses.clone(),
        }
    }
}
