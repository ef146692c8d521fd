//! Ctrl-C and its like, told where they are asked for, instead of ending the program.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;

/// How long to look for one.
const LOOK: Duration = Duration::from_millis(10);

/// From its making on no such signal ends the program. It does not reach what the program starts from then on, but by
/// a terminal.
pub(super) struct Ending {
    runtime: Runtime,
    signals: Vec<Signal>,
}

impl Ending {
    pub(super) fn watch() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let signals = runtime.block_on(async { kinds.into_iter().map(signal).collect::<io::Result<_>>() })?;
        Ok(Ending { runtime, signals })
    }

    /// Whether one has come since the last time.
    pub(super) fn asked(&mut self) -> bool {
        let signals = &mut self.signals;
        let any = poll_fn(|context| {
            let come = signals.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
            if come { Poll::Ready(()) } else { Poll::Pending }
        });
        self.runtime.block_on(async { timeout(LOOK, any).await.is_ok() })
    }
}
