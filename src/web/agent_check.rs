//! `HAProxy`'s agent-check: a connection is answered with one line that says what to do with the server, by
//! role and health. Who sends a line first, by `agent-send`, names one router by it.
//!
//! `ready` comes first where the server may be used: it ends a `drain` or `maint` that was said before.

use super::clients::Client;
use super::live::{Live, Snapshot};
use crate::agent::Standing;
use crate::agent::status::{RouterStatus, Status};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long to wait for the name of a router.
const NAME_WITHIN: Duration = Duration::from_millis(50);
/// The longest name that is read, in bytes.
const LONGEST_NAME: u64 = 256;
/// How long the answer may take to be read.
const TO_READ: Duration = Duration::from_secs(3);

/// The line for one router, or for all of them together, without its end.
#[must_use]
pub fn line(status: Option<&Status>, router: Option<&str>) -> String {
    let Some(status) = status else { return "down#the core does not answer".to_owned() };
    let meant = status.routers.iter().filter(|it| router.is_none_or(|name| &*it.name.0 == name));
    match (meant.min_by_key(|it| it.state), router) {
        (Some(worst), _) => of(worst),
        (None, Some(name)) => format!("down#there is no router {}", one_line(name)),
        (None, None) => "down#there is no router".to_owned(),
    }
}

fn of(router: &RouterStatus) -> String {
    let priority = &router.priority;
    match router.state {
        // What has stopped is on its way out, or not in yet: sessions that are there may end.
        Standing::Stop => "maint".to_owned(),
        Standing::Fault => format!("ready down#{}", one_line(&router.why)),
        Standing::Backup if router.drained => "drain".to_owned(),
        Standing::Backup => "ready down#BACKUP".to_owned(),
        Standing::Master if priority.effective >= priority.base => "ready up 100%".to_owned(),
        Standing::Master => {
            let share = u32::from(priority.effective) * 100 / u32::from(priority.base.max(1));
            format!("ready up {}%", share.max(1))
        }
    }
}

/// As a description: nothing in it that ends the line or begins another word.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() || letter == ',' { ' ' } else { letter })
        .take(200)
        .collect()
}

pub(super) async fn attend(mut stream: TcpStream, live: Live, client: Arc<Client>) {
    let mut name = Vec::new();
    let read = async {
        let mut byte = [0];
        while stream.read(&mut byte).await? == 1 && byte != *b"\n" && (name.len() as u64) < LONGEST_NAME {
            name.extend(byte);
        }
        std::io::Result::Ok(())
    };
    let _ = timeout(NAME_WITHIN, read).await;
    client.has_asked();
    let name = String::from_utf8_lossy(&name);
    let name = Some(name.trim()).filter(|name| !name.is_empty());
    let snapshot = live.snapshot().await;
    let fresh = snapshot.as_deref().filter(|snapshot| snapshot.is_fresh());
    let said = format!("{}\n", line(fresh.map(|Snapshot { status, .. }| status), name));
    let _ = timeout(TO_READ, stream.write_all(said.as_bytes())).await;
    let _ = timeout(TO_READ, stream.shutdown()).await;
}
