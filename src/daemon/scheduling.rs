//! The core's place among the threads of this host, and memory that is never swapped out.
//!
//! Only the core, which sends adverts, is a real-time thread. What it starts while it runs goes back among
//! all others first, so that neither a slow disk nor a script runs before the rest of the host.

use crate::config::Scheduling;
use caps::{CapSet, Capability};
use nix::errno::Errno;
use nix::sys::mman::{MlockAllFlags, mlockall, munlockall};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use std::io;
use std::thread::{Builder, JoinHandle};
use thread_priority::{
    NormalThreadSchedulePolicy, RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue,
    ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id, thread_schedule_policy,
};
use tracing::{info, warn};

/// What `thread_priority` calls a niceness of 0.
const NICE_0: u8 = 49;

/// What came of what was asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Scheduled {
    /// The real-time priority that a service manager gave to the guardian, and means for the core.
    usual: u8,
    asked: Scheduling,
    adopted: bool,
    locked: bool,
    /// What was asked for and could not be had, a line each.
    pub(super) refused: Vec<String>,
}

impl Scheduled {
    pub(super) fn of(usual: u8) -> Self {
        Scheduled { usual, ..Scheduled::default() }
    }

    /// Makes the calling thread, the core, what is asked for. What is not permitted is told of once.
    pub(super) fn adopt(&mut self, asked: &Scheduling) {
        if self.asked == *asked && self.adopted {
            return;
        }
        (self.asked, self.adopted) = (asked.clone(), true);
        self.refused.clear();
        self.schedule();
        self.lock();
        for line in &self.refused {
            warn!("{line}");
        }
    }

    /// For the status.
    pub(super) fn facts(&self) -> impl Iterator<Item = (&'static str, String)> {
        let realtime = Some(priority()).filter(|priority| *priority > 0);
        let realtime = realtime.map(|priority| ("realtime", priority.to_string()));
        realtime.into_iter().chain(self.locked.then(|| ("memory", "locked".to_owned())))
    }

    fn schedule(&mut self) {
        let wanted = self.asked.realtime.unwrap_or_else(|| priority().max(self.usual));
        let outcome = match wanted {
            same if same == priority() => Ok(()),
            0 => back_among_all_others(),
            _ => set(wanted, ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::RoundRobin)),
        };
        if wanted > 0 && outcome.is_ok() {
            info!(priority = wanted, "adverts are sent with real-time priority");
        }
        if let Err(error) = outcome {
            self.refused.push(format!(
                "real-time priority {wanted} is not permitted: {error}; run as root, or have systemd set it: \
                 systemctl edit locum, CPUSchedulingPriority={wanted}"
            ));
        }
    }

    /// Without permission for all of it, the first memory that is asked for later could not be had.
    fn lock(&mut self) {
        if !self.asked.lock_memory {
            if std::mem::take(&mut self.locked) {
                // What is locked for longer than asked for does no harm.
                let _ = munlockall();
            }
            return;
        }
        let unlimited = getrlimit(Resource::RLIMIT_MEMLOCK).is_ok_and(|(soft, _)| soft == RLIM_INFINITY);
        let may = caps::has_cap(None, CapSet::Effective, Capability::CAP_IPC_LOCK).unwrap_or(false);
        let outcome = if unlimited || may {
            mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE).map_err(Errno::desc)
        } else {
            Err("it is limited")
        };
        self.locked = outcome.is_ok();
        if let Err(why) = outcome {
            self.refused.push(format!(
                "memory is not locked: {why}; it needs CAP_IPC_LOCK, or of systemd LimitMEMLOCK=infinity"
            ));
        }
    }
}

/// Lets the program that takes the place of this one begin like everything else, where it can have its
/// priority again. A priority with the mark that keeps it from new threads stays.
pub(super) fn pass_on() {
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SYS_NICE).unwrap_or(false) {
        let _ = back_among_all_others();
    }
}

/// Starts a thread that runs like everything else, whatever its starter is.
pub(super) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let as_all_others = move || {
        // Lowering is always permitted.
        let _ = back_among_all_others();
        body();
    };
    Builder::new().name(name.to_owned()).spawn(as_all_others)
}

fn back_among_all_others() -> Result<(), String> {
    // A policy that cannot be read is one with the mark that keeps it from new threads.
    if matches!(thread_schedule_policy(), Ok(ThreadSchedulePolicy::Realtime(_))) {
        return set(NICE_0, ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other));
    }
    Ok(())
}

fn set(priority: u8, policy: ThreadSchedulePolicy) -> Result<(), String> {
    let value = ThreadPriorityValue::try_from(priority)?;
    let priority = ThreadPriority::Crossplatform(value);
    set_thread_priority_and_policy(thread_native_id(), priority, policy).map_err(|error| match error {
        thread_priority::Error::OS(number) => Errno::from_raw(number).desc().to_owned(),
        other => format!("{other:?}"),
    })
}

/// The real-time priority of this thread, whoever has set it; 0 without.
pub(super) fn priority() -> u8 {
    std::fs::read_to_string("/proc/thread-self/stat").ok().and_then(|stat| field(&stat)).unwrap_or(0)
}

/// proc(5): the 40th field. The second, a name in parentheses, may have blanks in it.
fn field(stat: &str) -> Option<u8> {
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(40 - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_priority_is_read_whatever_the_name_of_the_program() {
        let rest = "S 1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 -2 0 1 0 5 1 1 18446744073709551615 1 1 1 0 0 0 0 0 0 0 0 0 17 0 42 2 0 0 0";
        assert_eq!(field(&format!("7 (a) S (b) {rest}")), Some(42));
        assert_eq!(field("7 (a) S 1"), None);
    }

    #[test]
    fn what_is_started_runs_like_everything_else() {
        let core = std::thread::spawn(|| {
            let permitted = set(1, ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::RoundRobin));
            assert_eq!(permitted, Ok(()), "this test needs root");
            assert_eq!(priority(), 1);
            let (to, from) = std::sync::mpsc::channel();
            spawn("other", move || to.send(priority()).unwrap()).unwrap();
            from.recv()
        });
        assert_eq!(core.join().unwrap(), Ok(0));
    }
}
