//! The starters that there are, from the daemon's side: one for each user whose scripts run again and again, for as
//! long as they do.
//!
//! None is believed: its user may stop it or end it. Who gets no answer from one takes the next that is started anew,
//! and who can have none is started by the daemon itself, which only costs more.

use super::group::{Group, Lender};
use super::order::{Order, SHORT, Word};
use super::starter::STARTS;
use super::user::User;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::Pid;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::collections::BTreeMap;
use std::io::{self, IoSlice, PipeWriter};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{self, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;
use tracing::info;

/// How long one lives that has nothing to do, or leaves an order unanswered and says nothing else either.
const QUIET: Duration = Duration::from_secs(20);
/// How long nothing is expected of a user whose starter could not be started, or said nothing before it ended.
const PAUSE: Duration = Duration::from_secs(3600);

/// What is started as a starter; without, there are none.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
static STARTERS: Mutex<BTreeMap<Identity, Place>> = Mutex::new(BTreeMap::new());

/// User, group and further groups.
type Identity = (u32, u32, Vec<u32>);
/// An error: there can be none before then.
type Place = Result<Arc<Starter>, Instant>;

/// Has scripts that run again and again as other users started by starters from now on. `program`: this one.
pub fn start_by(program: &Path) {
    // Once is enough.
    let _ = PROGRAM.set(program.to_owned());
}

/// The starter of `user`, if there is one or can be one. Called on a thread that may block.
pub(super) fn of(user: &User) -> Option<Arc<Starter>> {
    let program = PROGRAM.get()?;
    let mut all = lock(&STARTERS);
    let place = all.entry((user.uid, user.gid, user.groups.clone())).or_insert_with(|| Err(Instant::now()));
    let begun = match place {
        Ok(starter) if lock(&starter.orders).is_some() => return Some(Arc::clone(starter)),
        Ok(starter) if starter.heard.get().is_none() => Err(io::Error::other("the last one ended at once")),
        Err(again) if Instant::now() < *again => return None,
        Ok(_) | Err(_) => Starter::begin(program, user),
    };
    *place = begun.map_err(|error| {
        info!(
            "each script check of {} costs more CPU, as it has no process that starts it: {error}",
            user.name
        );
        Instant::now() + PAUSE
    });
    place.as_ref().ok().cloned()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A starter, as the daemon sees it.
pub(super) struct Starter {
    to: UnixDatagram,
    lender: Lender,
    /// Who runs it, for messages.
    user: String,
    /// Has it ever said anything?
    heard: OnceLock<()>,
    /// What was ordered and has not ended, by number; `None`: nothing can be ordered any more.
    orders: Mutex<Option<BTreeMap<u64, Open>>>,
}

/// What was ordered and has not ended.
struct Open {
    to: UnboundedSender<News>,
    /// Kept until it has started, or cannot.
    kept: Option<Box<dyn Send>>,
}

/// What is heard of an order.
enum News {
    /// Nobody left to take this: then it is ended at once.
    Started(Group),
    Failed(i32),
    Ended(ExitStatus),
}

/// A program that a starter has started.
pub(super) struct Lent {
    news: UnboundedReceiver<News>,
    user: String,
}

impl Lent {
    /// Cancel safe.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        match self.news.recv().await {
            Some(News::Ended(status)) => Ok(status),
            _ => Err(io::Error::other(format!(
                "the process of Locum that had started it was killed: see who kills processes of {}",
                self.user
            ))),
        }
    }
}

impl Starter {
    fn begin(program: &Path, user: &User) -> io::Result<Arc<Self>> {
        let (ours, its) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        let mut command = Command::new(program);
        command.arg0("locum").arg(STARTS).env_clear().current_dir("/").process_group(0);
        command.stdin(Stdio::from(its)).stdout(Stdio::null()).stderr(Stdio::null());
        let process = user.starts(command, |mut command| command.spawn()).map_err(|error| {
            io::Error::other(format!("{error}: see that {} may run the program of Locum", user.name))
        })?;
        let lender = Lender { process: process.id(), uid: user.uid };
        // From here on it is ended and waited for, whatever comes.
        let mut serving = Serving { starter: None, process };
        let itself = i32::try_from(lender.process).map_err(io::Error::other)?;
        if !(Lender { process: process::id(), ..lender }).has(Pid::from_raw(itself)) {
            return Err(io::Error::other("/proc does not show it: mount that without hidepid"));
        }
        let ours = net::UnixDatagram::from(ours);
        ours.set_nonblocking(true)?;
        let starter = Arc::new(Starter {
            to: UnixDatagram::from_std(ours)?,
            lender,
            user: user.name.clone(),
            heard: OnceLock::new(),
            orders: Mutex::new(Some(BTreeMap::new())),
        });
        serving.starter = Some(Arc::clone(&starter));
        tokio::spawn(serving.attend());
        Ok(starter)
    }

    /// Has it start something. `None`: it cannot take the order. `kept` is dropped once the program is started or
    /// cannot be.
    pub(super) async fn start(
        self: Arc<Self>,
        order: &Order,
        output: PipeWriter,
        kept: Box<dyn Send>,
    ) -> Option<io::Result<(Lent, Group)>> {
        let (to, mut news) = unbounded_channel();
        let (id, bytes) = {
            let mut orders = lock(&self.orders);
            let orders = orders.as_mut()?;
            let id = orders.last_key_value().map_or(0, |(last, _)| last + 1);
            let bytes = order.to_bytes(id)?;
            orders.insert(id, Open { to, kept: Some(kept) });
            (id, bytes)
        };
        let mut asking = Asking { starter: &self, sent: None, id };
        let sending = || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            let passed = [output.as_fd()];
            control.push(SendAncillaryMessage::ScmRights(&passed));
            let sent = sendmsg(&self.to, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL);
            sent.map_err(io::Error::from)
        };
        self.to.async_io(Interest::WRITABLE, sending).await.ok()?;
        asking.sent = Some(false);
        drop(output);
        let first = news.recv().await;
        asking.sent = Some(true);
        match first? {
            News::Started(group) => Some(Ok((Lent { news, user: self.user.clone() }, group))),
            News::Failed(error) => Some(Err(io::Error::from_raw_os_error(error))),
            News::Ended(_) => None,
        }
    }

    /// Whether it makes sense.
    fn hear(&self, bytes: &[u8]) -> bool {
        let _ = self.heard.set(());
        let mut orders = lock(&self.orders);
        let (Some((id, word)), Some(orders)) = (Word::read(bytes), orders.as_mut()) else { return false };
        let Some(open) = orders.get_mut(&id) else { return false };
        let starts = open.kept.take().is_some();
        // Nobody may want to hear it any more.
        let _ = match word {
            Word::Started(process) if starts => {
                open.to.send(News::Started(Group::new(Some(process), Some(self.lender))))
            }
            Word::Failed(error) if starts => open.to.send(News::Failed(error)),
            Word::Ended(status) if !starts => open.to.send(News::Ended(ExitStatus::from_raw(status))),
            _ => return false,
        };
        if !matches!(word, Word::Started(_)) {
            orders.remove(&id);
        }
        true
    }

    /// Whether it waits for the end of something, and for nothing else. Otherwise nothing can be ordered any more.
    fn waits(&self) -> bool {
        let mut orders = lock(&self.orders);
        let started = |orders: &BTreeMap<_, Open>| orders.values().all(|open| open.kept.is_none());
        *orders = orders.take().filter(|orders| !orders.is_empty() && started(orders));
        orders.is_some()
    }
}

/// Somebody waits for the answer to an order.
struct Asking<'a> {
    starter: &'a Arc<Starter>,
    id: u64,
    /// Whether it is answered; `None`: it was not even sent.
    sent: Option<bool>,
}

impl Drop for Asking<'_> {
    /// Given up, by a time limit mostly: a disk may keep this one for ever, or its user has stopped it. The next is
    /// for another.
    fn drop(&mut self) {
        if self.sent == Some(true) {
            return;
        }
        if self.sent.is_none()
            && let Some(orders) = lock(&self.starter.orders).as_mut()
        {
            orders.remove(&self.id);
        }
        lock(&STARTERS).retain(|_, place| !matches!(place, Ok(one) if Arc::ptr_eq(one, self.starter)));
    }
}

/// Hears what a starter says, until it ends or has nothing to do.
struct Serving {
    starter: Option<Arc<Starter>>,
    process: process::Child,
}

impl Serving {
    async fn attend(self) {
        let Some(starter) = &self.starter else { return };
        let mut bytes = [0; SHORT + 1];
        loop {
            match timeout(QUIET, starter.to.recv(&mut bytes)).await {
                Ok(Ok(length @ 1..)) if starter.hear(bytes.get(..length).unwrap_or_default()) => {}
                Err(_) if starter.waits() => {}
                _ => return,
            }
        }
    }
}

impl Drop for Serving {
    /// What was ordered is told so.
    fn drop(&mut self) {
        if let Some(starter) = &self.starter {
            lock(&starter.orders).take();
        }
        // Who may not end it leaves it to the end of the connection.
        if self.process.kill().is_ok() {
            let _ = self.process.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starter() -> (Starter, UnboundedReceiver<News>) {
        let (to, news) = unbounded_channel();
        let open = Open { to, kept: Some(Box::new(())) };
        let starter = Starter {
            to: UnixDatagram::pair().unwrap().0,
            lender: Lender { process: process::id(), uid: 4242 },
            user: "x".to_owned(),
            heard: OnceLock::new(),
            orders: Mutex::new(Some([(7, open)].into())),
        };
        (starter, news)
    }

    #[tokio::test]
    async fn what_makes_no_sense_is_refused() {
        let (started, ended) = (Word::Started(i32::MAX), Word::Ended(0));
        for lies in [
            &[(8, started)][..],
            &[(7, ended)],
            &[(7, started), (7, started)],
            &[(7, started), (7, ended), (7, ended)],
        ] {
            let (liar, _news) = starter();
            let believed = lies.iter().filter(|(id, word)| liar.hear(&word.to_bytes(*id))).count();
            assert_eq!(believed, lies.len() - 1, "{lies:?}");
        }
        assert!(!starter().0.hear(b"nonsense"));
    }

    #[tokio::test]
    async fn one_that_leaves_an_order_unanswered_is_given_up_and_one_whose_script_runs_long_is_not() {
        let (silent, mut news) = starter();
        assert!(!silent.waits());
        assert!(news.recv().await.is_none(), "who waits for the answer is told");
        let (busy, _news) = starter();
        assert!(busy.hear(&Word::Started(i32::MAX).to_bytes(7)) && busy.waits());
        assert!(busy.hear(&Word::Ended(0).to_bytes(7)) && !busy.waits(), "nothing to do any more");
    }
}
