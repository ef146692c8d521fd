//! A program that runs: its end is waited for, what it says is read, its time is limited.

use super::Ended;
use super::group::Group;
use super::starters::Lent;
use super::tail::{Output, Tail};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::time::timeout;

pub(super) struct Running {
    pub(super) child: Child,
    pub(super) group: Group,
    pub(super) output: Output,
}

/// Whose child it is.
pub(super) enum Child {
    Own(tokio::process::Child),
    Lent(Lent),
}

impl Child {
    /// Cancel safe.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        match self {
            Child::Own(child) => child.wait().await,
            Child::Lent(lent) => lent.wait().await,
        }
    }
}

impl Running {
    pub(super) async fn finish(&mut self, limit: Duration) -> (Ended, String) {
        let mut tail = Tail::default();
        let status = timeout(limit, async {
            loop {
                tokio::select! {
                    status = self.child.wait() => break status,
                    () = self.output.read(&mut tail) => {}
                }
            }
        })
        .await;
        let ended = match status {
            Ok(Ok(status)) => {
                self.group.release();
                ended(status)
            }
            // Whoever would have waited for it is gone, and it may run on: its group dies with this.
            Ok(Err(error)) => Ended::NotStarted(error.to_string()),
            Err(_) => {
                self.group.end(&mut self.child).await;
                Ended::TimedOut
            }
        };
        self.output.drain(&mut tail);
        (ended, tail.into_text())
    }

    pub(super) async fn end(&mut self) -> (Ended, String) {
        self.group.end(&mut self.child).await;
        let mut tail = Tail::default();
        self.output.drain(&mut tail);
        (Ended::TimedOut, tail.into_text())
    }
}

fn ended(status: ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Exit(code),
        (None, signal) => Ended::Signal(signal.unwrap_or_default()),
    }
}
