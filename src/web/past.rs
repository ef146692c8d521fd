//! `/history`: what happened before, read from the disk for whoever asks. A disk may hang: one reads at a time, on
//! a thread of its own, and who is not answered in time is told so.

use super::answer::Answer;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// How long it may take, those who came before included.
const WITHIN: Duration = Duration::from_secs(3);

/// Reads what happened, as JSON. It is given the last events, a line of JSON each, since the record may not have them
/// yet. May wait for the disk.
pub type Read = Arc<dyn Fn(Vec<String>) -> Vec<u8> + Send + Sync>;

/// Who reads.
#[derive(Clone)]
pub(super) struct Past {
    read: Read,
    turn: Arc<Mutex<()>>,
}

impl fmt::Debug for Past {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Past").finish_non_exhaustive()
    }
}

impl Past {
    pub(super) fn new(read: Read) -> Self {
        Past { read, turn: Arc::default() }
    }

    pub(super) async fn answer(&self, last: Vec<String>) -> Answer {
        let reading = async {
            let turn = self.turn.clone().lock_owned().await;
            let read = self.read.clone();
            let call = move || {
                // Held until the disk has answered, whoever still waits for it.
                let _turn = turn;
                read(last)
            };
            tokio::task::spawn_blocking(call).await.ok()
        };
        match timeout(WITHIN, reading).await {
            Ok(Some(body)) => Answer { code: 200, kind: "application/json", body },
            _ => Answer::text(503, "the record cannot be read at present"),
        }
    }
}
