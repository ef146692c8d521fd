//! Everything that may wait for the world, on one thread of its own: checks, hooks, links, the
//! control socket, signals. It reports through the inbox and knows nothing of the agent.

use super::dump::Dump;
use super::inbox::{Arrival, Inbox};
use super::mib::{self, Setup};
use super::records::Records;
use super::results::Results;
use super::store::Consulting;
use super::tell::Tellers;
use super::trim;
use crate::agent::{Holding, Incident, Input, Inquiry, InstanceId, Mac, Sighting, Transition};
use crate::check;
use crate::claim::Plea;
use crate::config::{Config, Control, Details, Told};
use crate::control::{self, Asked};
use crate::dns::{Fact, Record};
use crate::health::CheckName;
use crate::net::lookout::{self, Places};
use crate::net::{Placed, link, probe};
use crate::notify::Hooks;
use crate::notify::mail::Message;
use nix::sys::signal::SigSet;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, channel, unbounded_channel};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tracing::error;

/// How long to wait for more of what is held before looking for others that hold it: less than what a new
/// Master does not listen for.
const TOGETHER: Duration = Duration::from_millis(100);
/// How many questions may wait at once; whoever asks more waits at the socket.
const QUESTIONS: usize = 16;

/// What the core wants of the tasks.
pub(super) enum Command {
    Watch(CheckName, Box<check::Spec>, u32),
    Unwatch(CheckName),
    /// What an instance holds from now on, if anything.
    Held(InstanceId, Option<Box<Holding>>),
    /// Ask who has an address that is not held here.
    AskAhead(Inquiry),
    /// Put these pleas to a store.
    Consult(Box<Consulting>, UnboundedReceiver<Plea>),
    /// Whom to tell from now on.
    Told(Box<Told>),
    /// What to serve by SNMP from now on.
    Serve(Option<Box<Setup>>),
    Notify(Box<Transition>, Option<Box<Hooks>>, Option<Message>),
    /// With whether FIFOs are told.
    Tell(Box<Incident>, Option<Box<Hooks>>, bool),
    /// The records of DNS from now on.
    Records(Vec<Record>),
    /// Something that says what they should hold.
    Learn(Fact),
    /// Test or set one, and answer.
    AskRecords(Asked),
    /// Wait for hooks that run, at most this long, then end. `pleas`: for the last pleas as well, as no more can come.
    Finish {
        within: Duration,
        pleas: bool,
    },
}

/// The core's end.
pub(super) struct Tasks {
    commands: UnboundedSender<Command>,
    thread: Option<JoinHandle<()>>,
    /// Apart from the commands, some of which take their time.
    pleas: Option<UnboundedSender<Plea>>,
}

impl Tasks {
    pub(super) fn start(inbox: &Inbox, placed: Placed, control: &Control) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let group = control.group;
        let listener = {
            let _within = runtime.enter();
            control::server::bind(&control.path, group)?
        };
        let (commands, queue) = unbounded_channel();
        let inbox = inbox.clone();
        let body = move || {
            runtime.block_on(async {
                dump_signals(&inbox);
                serve(inbox, placed, listener, group, queue).await;
            });
            // A lookup or a read that hangs must not keep the process from ending.
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name("tasks".to_owned()).spawn(body)?;
        Ok(Tasks { commands, thread: Some(thread), pleas: None })
    }

    pub(super) fn command(&self, command: Command) {
        // Fails only once the thread has ended, and then nobody needs it any more.
        let _ = self.commands.send(command);
    }

    /// Tells whom it says from now on.
    pub(super) fn adopt(&self, config: &Config) {
        self.command(Command::Told(Box::new(config.details.told.clone())));
        self.command(Command::Serve(mib::setup(config)));
    }

    /// Puts pleas to the store from now on. Returns how.
    pub(super) fn consult(&mut self, details: &Details, session: u64) -> Option<Consulting> {
        let consulting = Consulting::new(details.store.clone()?, &details.node, session);
        let (pleas, queue) = unbounded_channel();
        self.pleas = Some(pleas);
        self.command(Command::Consult(Box::new(consulting.clone()), queue));
        Some(consulting)
    }

    pub(super) fn plead(&self, plea: Plea) {
        if let Some(pleas) = &self.pleas {
            // As with commands.
            let _ = pleas.send(plea);
        }
    }

    /// Whether claims come from a store.
    pub(super) fn consults(&self) -> bool {
        self.pleas.is_some()
    }

    /// Ends once hooks that run have ended, after `within` at the latest. Until then claims are renewed. Returns what
    /// to wait for.
    pub(super) fn retire(&mut self, within: Duration) -> Option<JoinHandle<()>> {
        self.command(Command::Finish { within, pleas: self.pleas.is_none() });
        self.thread.take()
    }

    /// Waits for hooks that run and for pleas, at most `within`.
    pub(super) fn finish(&mut self, within: Duration) {
        self.pleas = None;
        if let Some(thread) = self.retire(within)
            && thread.join().is_err()
        {
            error!("a bug in the tasks' thread");
        }
    }
}

async fn serve(
    inbox: Inbox,
    placed: Placed,
    listener: UnixListener,
    group: Option<u32>,
    mut commands: UnboundedReceiver<Command>,
) {
    tokio::spawn(watch_links(inbox.clone(), placed));
    tokio::spawn(signals(inbox.clone()));
    tokio::spawn(answer(inbox.clone(), listener, group));
    tokio::spawn(rest());
    let mut checks: BTreeMap<CheckName, AbortHandle> = BTreeMap::new();
    let mut tellers = Tellers::new(&inbox);
    let mut records = Records::new(&inbox);
    let mut lookout = Lookout::default();
    let mut store: Option<tokio::task::JoinHandle<()>> = None;
    let mut asking: [Option<tokio::task::JoinHandle<()>>; 2] = [None, None];
    while let Some(command) = commands.recv().await {
        match command {
            Command::Watch(name, spec, settled) => {
                let mut results = Results::new(name.clone(), settled, inbox.clone());
                let report = move |outcome| results.put(outcome);
                let task = tokio::spawn(check::run(*spec, report)).abort_handle();
                if let Some(old) = checks.insert(name, task) {
                    old.abort();
                }
            }
            Command::Unwatch(name) => {
                if let Some(old) = checks.remove(&name) {
                    old.abort();
                }
            }
            Command::Held(instance, holding) => lookout.hold(instance, holding.as_deref(), &inbox),
            Command::AskAhead(Inquiry { instance, index, mac, address, within }) => {
                // One question of each family at a time: whoever is Master of many is asked for one of them, and no
                // takeover waits for threads.
                let asking = &mut asking[usize::from(address.is_ipv6())];
                if asking.as_ref().is_none_or(tokio::task::JoinHandle::is_finished) {
                    let inbox = inbox.clone();
                    *asking = Some(tokio::task::spawn_blocking(move || {
                        // Whom nobody could ask is not there to be heard.
                        let _ = probe::each(index, mac, &[address].into(), within, |address, mac| {
                            let seen = Sighting { instance, address, mac: Mac(mac) };
                            inbox.put(Arrival::Input(Input::Sighted(seen)));
                        });
                    }));
                }
            }
            Command::Consult(consulting, pleas) => {
                store = Some(tokio::spawn(consulting.serve(pleas, inbox.clone())));
            }
            Command::Told(told) => tellers.adopt(*told).await,
            Command::Serve(setup) => tellers.serve(setup).await,
            Command::Notify(transition, hooks, mail) => tellers.notify(&transition, hooks.as_deref(), mail),
            Command::Tell(incident, hooks, write) => tellers.tell(&incident, hooks.as_deref(), write),
            Command::Records(wanted) => records.adopt(wanted),
            Command::Learn(fact) => records.learn(fact),
            Command::AskRecords(asked) => records.answer(asked),
            Command::Finish { within, pleas } => {
                // Whoever ends has no role any more.
                drop(records);
                if let Some(store) = store.filter(|_| pleas) {
                    let _ = timeout(within, store).await;
                }
                tellers.finish(within).await;
                return;
            }
        }
    }
}

/// Gives back what this thread's stack grew to at the start, before the core gives back the rest.
async fn rest() {
    tokio::time::sleep(trim::CALM * 9 / 10).await;
    trim::stack();
}

/// Watches until it fails, and then again: without the links the agent is blind.
async fn watch_links(inbox: Inbox, placed: Placed) {
    loop {
        let to = inbox.clone();
        let error = link::watch(placed.clone(), move |report| to.put(Arrival::Link(report))).await;
        error!(target: "locum::net", "links are not watched: {error}; trying again in 1s");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Looks for other holders of what is held here.
#[derive(Default)]
struct Lookout {
    /// Whoever looks has them as they were when he began.
    places: Arc<Mutex<Arc<Places>>>,
    task: Option<AbortHandle>,
}

impl Lookout {
    fn hold(&mut self, instance: InstanceId, holding: Option<&Holding>, inbox: &Inbox) {
        // What is held from start to end moves nowhere.
        let holding = holding.filter(|holding| !holding.own);
        let mut shared = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let places = Arc::make_mut(&mut shared);
        places.retain(|_, holder| *holder != instance);
        places.extend(holding.into_iter().flat_map(|holding| lookout::places(instance, holding)));
        if let Some(old) = self.task.take() {
            old.abort();
        }
        if !places.is_empty() {
            self.task = Some(tokio::spawn(look_out(inbox.clone(), self.places.clone())).abort_handle());
        }
    }
}

/// As [`watch_links`].
async fn look_out(inbox: Inbox, places: Arc<Mutex<Arc<Places>>>) {
    loop {
        // Where one comes, others may follow.
        tokio::time::sleep(TOGETHER).await;
        let places = places.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let error = lookout::watch(&places, |seen| inbox.put(Arrival::Input(Input::Sighted(seen)))).await;
        error!(target: "locum::net", "other holders of the addresses are not looked for: {error}; trying again in 1s");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Has signals wait until [`signals`] takes them: none is lost while one process replaces another, nor where
/// the tasks have ended. To be called before any other thread is there; what is started has none of it.
pub(super) fn keep_signals() {
    // Cannot fail with these arguments.
    let _ = SigSet::all().thread_block();
}

async fn signals(inbox: Inbox) {
    let wanted = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
    let [Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)] = wanted else {
        return error!("signals cannot be caught");
    };
    let _ = SigSet::all().thread_unblock();
    loop {
        inbox.put(tokio::select! {
            _ = terminate.recv() => Arrival::Stop,
            _ = interrupt.recv() => Arrival::Stop,
            _ = hangup.recv() => Arrival::Reload,
        });
    }
}

/// The signals with which people ask keepalived for its state.
fn dump_signals(inbox: &Inbox) {
    let wanted = [
        (SignalKind::user_defined1(), Dump::Data),
        (SignalKind::user_defined2(), Dump::Stats),
        (SignalKind::from_raw(nix::libc::SIGRTMIN() + 2), Dump::Json),
        (SignalKind::from_raw(nix::libc::SIGRTMAX() - 1), Dump::ClearStats),
    ];
    for (kind, dump) in wanted {
        let Ok(mut signal) = signal(kind) else {
            error!("signal {} cannot be caught", kind.as_raw_value());
            continue;
        };
        let inbox = inbox.clone();
        tokio::spawn(async move {
            while signal.recv().await.is_some() {
                inbox.put(Arrival::Dump(dump));
            }
        });
    }
}

async fn answer(inbox: Inbox, listener: UnixListener, group: Option<u32>) {
    let (questions, mut asked) = channel(QUESTIONS);
    tokio::spawn(control::server::serve(listener, group, questions));
    while let Some(asked) = asked.recv().await {
        inbox.put(Arrival::Asked(asked));
    }
}
