//! Where a check may block: on a thread of its own, one call at a time.
//!
//! A call stuck for good (a dead file server) keeps its thread; the check's later attempts wait for
//! it and time out, instead of getting one more thread stuck each.

use crate::process::in_turn;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A lane for one blocking call at a time.
pub(super) struct Lane(Arc<Semaphore>);

impl Default for Lane {
    fn default() -> Self {
        Lane(Arc::new(Semaphore::new(1)))
    }
}

impl Lane {
    /// Waits until nobody else is in it.
    pub(super) async fn enter(&self) -> Result<OwnedSemaphorePermit, String> {
        Arc::clone(&self.0).acquire_owned().await.map_err(|closed| closed.to_string())
    }

    /// Runs `call` off the runtime, after the one before it has ended.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let inside = self.enter().await?;
        let running = in_turn(move || {
            let _inside = inside;
            call()
        });
        running.await.unwrap_or_else(|broken| Err(broken.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    #[tokio::test]
    async fn a_stuck_call_keeps_the_next_out_until_it_ends() {
        let lane = Lane::default();
        let (release, stuck) = mpsc::channel::<()>();
        let (begins, begun) = oneshot::channel();
        let first = lane.run(move || {
            begins.send(()).map_err(|()| "the test is over".to_owned())?;
            stuck.recv().map_err(|error| error.to_string())
        });
        // Given up only once it runs: what has not begun is never stuck, and is simply dropped.
        tokio::select! {
            _ = first => panic!("the first call ended"),
            begun = begun => begun.unwrap(),
        }
        let second = timeout(Duration::from_millis(50), lane.run(|| Ok(())));
        assert!(second.await.is_err(), "the second call ran beside it");
        release.send(()).unwrap();
        assert_eq!(lane.run(|| Ok(7)).await, Ok(7));
    }

    #[tokio::test]
    async fn checks_that_are_due_in_one_moment_do_not_take_a_thread_each() {
        let both = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
        let calls: Vec<_> = (0..100)
            .map(|_| {
                let both = Arc::clone(&both);
                let call = move || {
                    let (running, most) = &*both;
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(10));
                    running.fetch_sub(1, Ordering::SeqCst);
                    Ok(())
                };
                tokio::spawn(async move { Lane::default().run(call).await })
            })
            .collect();
        for call in calls {
            assert_eq!(call.await.unwrap(), Ok(()));
        }
        let most = both.1.load(Ordering::SeqCst);
        // A few, and more where this machine is so busy that a call looks like one that a disk keeps.
        assert!(most < 50, "{most} at a time");
    }

    #[tokio::test]
    async fn a_call_that_panics_is_an_error_and_frees_the_lane() {
        let lane = Lane::default();
        let broken = lane.run(|| -> Result<(), String> { panic!("planted by the test") }).await;
        assert!(broken.unwrap_err().contains("panicked"));
        assert_eq!(lane.run(|| Ok(7)).await, Ok(7));
    }
}
