//! Whose turn it is to be started, or to look at a disk: a few at a time. A thousand scripts that start in one moment
//! would have the daemon copied a thousand times at once, while its adverts wait for a processor; and a thousand
//! threads, each of which makes every later copy dearer, would live on as long as there is work.

use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::timeout;

/// How many are started at a time.
static TURNS: Semaphore = Semaphore::const_new(8);
/// Who takes longer waits for a disk, which may take for ever, and not for a processor: it gives its turn to the next.
const SHORT: Duration = Duration::from_millis(20);

/// Runs `start` off the runtime, when it is its turn.
///
/// # Errors
/// `start` panicked.
pub(crate) async fn in_turn<T: Send + 'static>(
    start: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    // Nobody closes it, and without a turn it would only be sooner.
    let turn = TURNS.acquire().await;
    let mut started = spawn_blocking(start);
    if let Ok(started) = timeout(SHORT, &mut started).await {
        return started;
    }
    drop(turn);
    started.await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn those_that_a_disk_keeps_leave_the_others_their_turn() {
        let kept: Vec<_> = (0..20)
            .map(|_| {
                let (release, disk) = mpsc::channel::<()>();
                (release, tokio::spawn(in_turn(move || disk.recv().is_ok())))
            })
            .collect();
        assert!(in_turn(|| true).await.unwrap());
        for (release, kept) in kept {
            assert!(!kept.is_finished(), "the disk did not answer yet");
            release.send(()).unwrap();
            assert!(kept.await.unwrap().unwrap());
        }
    }
}
