//! Where a check may block: on a thread of its own, one call at a time.
//!
//! A call stuck for good (a dead file server) keeps its thread; the check's later attempts wait for
//! it and time out, instead of getting one more thread stuck each.

use std::sync::Arc;
use tokio::sync::Semaphore;

/// A lane for one blocking call at a time.
pub(super) struct Lane(Arc<Semaphore>);

impl Default for Lane {
    fn default() -> Self {
        Lane(Arc::new(Semaphore::new(1)))
    }
}

impl Lane {
    /// Runs `call` off the runtime, after the one before it has ended.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let turn = Arc::clone(&self.0).acquire_owned().await.map_err(|closed| closed.to_string())?;
        let running = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            call()
        });
        running.await.unwrap_or_else(|broken| Err(broken.to_string()))
    }
}
