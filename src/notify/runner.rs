//! The task that runs one router's hooks, never two at once, and reports how each ended.

use super::queue::{Job, Queue};
use super::{Hooks, Report, commands, incident_command};
use crate::agent::{Incident, Standing, Subject, Transition};
use crate::process::{self, Command, Ended};
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Runs the hooks of one router. Dropped, it still runs what waits, unless the runtime ends.
pub struct Runner {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    subject: Subject,
    state: Mutex<State>,
    wake: Notify,
    report: Box<dyn Fn(Report) + Send + Sync>,
}

#[derive(Default)]
struct State {
    queue: Queue,
    /// What is left of the transition whose hooks are being run.
    current: VecDeque<Task>,
    running: Option<Running>,
    closed: bool,
}

type Task = (Standing, Command);

impl State {
    /// The next hook to run: the rest of one transition before the next one.
    fn next(&mut self) -> Option<Task> {
        while self.current.is_empty() {
            let job = self.queue.pop()?;
            self.current.extend(job.commands.into_iter().map(|command| (job.state, command)));
        }
        self.current.pop_front()
    }
}

/// What `finish` has to know of a hook that it kills.
struct Running {
    script: String,
    state: Standing,
    since: Instant,
    skipped: u32,
}

impl Runner {
    /// Starts the task. Must be called on the runtime; `report` is called once for each hook, from
    /// that task, and must not block.
    #[must_use]
    pub fn start(subject: Subject, report: impl Fn(Report) + Send + Sync + 'static) -> Self {
        let shared =
            Shared { subject, state: Mutex::default(), wake: Notify::new(), report: Box::new(report) };
        let shared = Arc::new(shared);
        Runner { task: tokio::spawn(Arc::clone(&shared).work()), shared }
    }

    /// Queues the hooks for `transition` and returns at once. Transitions that still wait are
    /// dropped, all but STOP: the latest state wins.
    pub fn notify(&self, transition: &Transition, hooks: &Hooks) {
        let job = Job { state: transition.to, commands: commands(transition, hooks), incident: false };
        self.shared.state().queue.push(job);
        self.shared.wake.notify_one();
    }

    /// Queues the hook for `incident`, if there is one, and returns at once. Where that script waits
    /// already, this one is left out.
    pub fn tell(&self, incident: &Incident, hooks: &Hooks) {
        if let Some(command) = incident_command(incident, hooks) {
            self.shared.state().queue.push_incident(incident.standing, command);
            self.shared.wake.notify_one();
        }
    }

    /// Waits until all that was queued has run, but not longer than `within`; then kills the hook
    /// that runs, drops the others, and reports each of them.
    pub async fn finish(mut self, within: Duration) {
        self.shared.close();
        if timeout(within, &mut self.task).await.is_err() {
            self.task.abort();
            // Returns when the task is dropped, and with it the hook's process group killed.
            let _ = (&mut self.task).await;
            self.shared.report_unfinished();
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").field("subject", &self.shared.subject).finish_non_exhaustive()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.state().closed = true;
        self.wake.notify_one();
    }

    async fn work(self: Arc<Self>) {
        loop {
            let (next, closed) = {
                let mut state = self.state();
                (state.next(), state.closed)
            };
            match next {
                Some((standing, command)) => self.run(standing, command).await,
                None if closed => return,
                None => self.wake.notified().await,
            }
        }
    }

    async fn run(&self, standing: Standing, command: Command) {
        self.begin(&command, standing);
        let finished = process::run(&command).await;
        let running = self.state().running.take();
        if let Some(running) = running {
            let output = if finished.ended == Ended::Exit(0) { String::new() } else { finished.output };
            self.report(running, finished.ended, output);
        }
    }

    fn begin(&self, command: &Command, standing: Standing) {
        let script = command.argv.first().cloned().unwrap_or_default();
        let mut state = self.state();
        let skipped = state.queue.take_skipped();
        state.running = Some(Running { script, state: standing, since: Instant::now(), skipped });
    }

    fn report(&self, running: Running, result: Ended, output: String) {
        let Running { script, state, since, skipped } = running;
        let took = since.elapsed();
        (self.report)(Report { subject: self.subject.clone(), script, state, result, took, skipped, output });
    }

    fn report_unfinished(&self) {
        let killed = self.state().running.take();
        if let Some(running) = killed {
            self.report(running, Ended::TimedOut, String::new());
        }
        while let Some((standing, command)) = { self.state().next() } {
            self.begin(&command, standing);
            let unborn = self.state().running.take();
            if let Some(running) = unborn {
                self.report(running, Ended::NotStarted("no time was left for it".to_owned()), String::new());
            }
        }
    }
}
