//! How many probes there are at a time, of all checks together: as many as this process can open files for. Without,
//! one that finds none left would say that its target is down.
//!
//! No fewer: what does not answer keeps its turn until its timeout, and whoever comes after waits for it.

use nix::sys::resource::{Resource, getrlimit};
use std::sync::LazyLock;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Of so many files one probe may have one open: some need several (a script with its pipe, a name with several
/// addresses), and the rest is what the process lives by.
const FILES: u64 = 4;

/// By the limit as it is at the first probe.
static TURNS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(most()));

fn most() -> usize {
    let (files, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    usize::try_from(files / FILES).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS)
}

/// Waits for a turn: first come, first served. It ends when this is dropped.
pub(super) async fn turn() -> Option<SemaphorePermit<'static>> {
    // Nobody closes it, and without a turn it would only be sooner.
    TURNS.acquire().await.ok()
}

#[cfg(test)]
mod tests {
    use super::super::{Probe, Schedule, Spec, Target, probe_once, tcp};
    use super::*;
    use std::net::TcpListener;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test]
    async fn a_probe_that_waits_for_its_turn_has_its_whole_time_left_then() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target::new("127.0.0.1", server.local_addr().unwrap().port());
        let (brief, long) = (Duration::from_millis(500), Duration::from_secs(30));
        // Longer than what it may take, and its retries.
        let schedule = Schedule { timeout: brief, within: Some(brief), retries: 1, ..Schedule::default() };
        let spec = Spec { probe: Probe::Tcp(tcp::Config { target }), schedule };
        let all = TURNS.acquire_many(u32::try_from(most()).unwrap()).await;
        let mut probe = std::pin::pin!(probe_once(&spec));
        assert!(timeout(3 * brief, &mut probe).await.is_err(), "it does not begin, nor fail");
        drop(all);
        assert_eq!(timeout(long, probe).await.unwrap().verdict, Ok(()));
    }
}
