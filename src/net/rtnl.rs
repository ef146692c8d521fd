//! Questions and single changes by rtnetlink, each on a connection of its own and within bounded time.
//!
//! On a connection of its own, because on one that has joined groups a change that somebody else makes
//! can pass for an answer: only sequence numbers tell them apart. Opening one costs microseconds.

use super::netlink::Refusal;
use futures_util::StreamExt;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::AsyncSocket;
use nix::errno::Errno;
use std::io;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

/// The longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// A dump that a change has cut across is asked for again, this often.
const DUMP_ATTEMPTS: usize = 8;

type Answer = NetlinkMessage<RouteNetlinkMessage>;

/// Everything that answers `question`, as far as `pick` takes it.
pub(super) async fn dump<T>(
    question: RouteNetlinkMessage,
    pick: impl Fn(RouteNetlinkMessage) -> Option<T>,
) -> io::Result<Vec<T>> {
    for _ in 0..DUMP_ATTEMPTS {
        if let Some(found) = timeout(PATIENCE, dump_once(question.clone())).await?? {
            return Ok(found.into_iter().filter_map(pick).collect());
        }
    }
    Err(Errno::EAGAIN.into())
}

/// `None` where a change came in between.
async fn dump_once(question: RouteNetlinkMessage) -> io::Result<Option<Vec<RouteNetlinkMessage>>> {
    let (mut found, mut whole) = (Vec::new(), true);
    let ended = ask(question, NLM_F_REQUEST | NLM_F_DUMP, |answer| {
        // The last message may be the one that says so.
        whole &= answer.header.flags & NLM_F_DUMP_INTR == 0;
        let code = match answer.payload {
            NetlinkPayload::Done(done) => done.code,
            NetlinkPayload::Error(error) => error.raw_code(),
            NetlinkPayload::InnerMessage(message) => {
                found.push(message);
                return None;
            }
            _ => return None,
        };
        Some(if code == 0 { Ok(()) } else { Err(Errno::from_raw(code.saturating_neg())) })
    });
    match ended.await? {
        Ok(()) => Ok(whole.then_some(found)),
        // A link that has just gone has no addresses, and a table that is not there no routes.
        Err(Errno::ENODEV | Errno::ENOENT) => Ok(Some(Vec::new())),
        Err(failure) => Err(failure.into()),
    }
}

/// The one thing that `question` asks for; `None` where there is none.
async fn get(question: RouteNetlinkMessage) -> io::Result<Option<RouteNetlinkMessage>> {
    let answered = ask(question, NLM_F_REQUEST, |answer| match answer.payload {
        NetlinkPayload::InnerMessage(message) => Some(Ok(Some(message))),
        NetlinkPayload::Error(error) => Some(match Errno::from_raw(error.raw_code().saturating_neg()) {
            Errno::ENODEV | Errno::ENOENT => Ok(None),
            failure => Err(failure.into()),
        }),
        _ => None,
    });
    timeout(PATIENCE, answered).await??
}

/// Makes one change. `flags` beside that it is a request and shall be acknowledged.
pub(super) async fn change(message: RouteNetlinkMessage, flags: u16) -> Result<(), Refusal> {
    let answered = ask(message, flags | NLM_F_REQUEST | NLM_F_ACK, |answer| match answer.payload {
        // The library hides the flag that says whether words follow; nothing else can follow.
        NetlinkPayload::Error(error) => Some(Refusal::or_ok(NLM_F_ACK_TLVS, &error)),
        _ => None,
    });
    match timeout(PATIENCE, answered).await {
        Ok(Ok(result)) => result,
        Ok(Err(error)) => Err(Refusal::from(&error)),
        Err(_) => Err(Refusal { errno: Errno::ETIMEDOUT, words: None }),
    }
}

/// Sends `question`, and gives every answer to `take` until that has what it wants.
async fn ask<T>(
    question: RouteNetlinkMessage,
    flags: u16,
    mut take: impl FnMut(Answer) -> Option<T>,
) -> io::Result<T> {
    let (mut connection, mut handle, _) = rtnetlink::new_connection()?;
    connection.set_forward_done(true);
    connection.set_forward_ack(true);
    let socket = connection.socket_mut().socket_mut();
    // Words for errors and dumps filtered by the kernel are welcome, not needed.
    let _ = socket.set_cap_ack(true).and_then(|()| socket.set_ext_ack(true));
    let _ = socket.set_netlink_get_strict_chk(true);
    let mut request = NetlinkMessage::from(question);
    request.header.flags = flags;
    let mut answers = handle.request(request).map_err(io::Error::other)?;
    let collect = async {
        while let Some(answer) = answers.next().await {
            if let Some(taken) = take(answer) {
                return Ok(taken);
            }
        }
        Err(closed())
    };
    tokio::select! {
        () = connection => Err(closed()),
        taken = collect => taken,
    }
}

pub(super) fn closed() -> io::Error {
    io::Error::other("the netlink socket failed")
}

/// The same for a thread that waits.
pub(super) struct Rtnl(Runtime);

impl Rtnl {
    pub(super) fn new() -> io::Result<Self> {
        Builder::new_current_thread().enable_all().build().map(Rtnl)
    }

    pub(super) fn dump<T>(
        &self,
        question: RouteNetlinkMessage,
        pick: impl Fn(RouteNetlinkMessage) -> Option<T>,
    ) -> Result<Vec<T>, String> {
        self.0.block_on(dump(question, pick)).map_err(|error| error.to_string())
    }

    pub(super) fn get(&self, question: RouteNetlinkMessage) -> Result<Option<RouteNetlinkMessage>, String> {
        self.0.block_on(get(question)).map_err(|error| error.to_string())
    }

    pub(super) fn change(&self, message: RouteNetlinkMessage, flags: u16) -> Result<(), Refusal> {
        self.0.block_on(change(message, flags))
    }
}
