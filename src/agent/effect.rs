//! What goes in and what comes out: the whole contract between the agent and the world.

use super::config::{Config, Pace};
use super::holding::Holding;
use super::incident::Incident;
use super::intruders::Intruder;
use super::link::Link;
use super::memory::Memory;
use super::relay::Relay;
use super::request::{Request, Response, Ticket};
use super::rivals::Sighting;
use super::transition::{RouterName, Subject, Transition};
use crate::claim::etcd::Reply;
use crate::claim::{Office, Plea, Release, VoterId};
use crate::health::{self, CheckName, Outcome};
use crate::time::Time;
use crate::vrrp::packet::Refusal;
use crate::vrrp::{Family, Vrid};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// The name of an instance towards the doers: never used twice in the life of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(pub u32);

/// Everything that can happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The deadline has come.
    Tick,
    /// Time has passed without this process: to be told first where [`super::Agent::has_overslept`].
    Woke,
    /// The wall clock reads this now, since the Unix epoch, and goes on from here. To be told at the start,
    /// before a reload, and whenever it was set while [`super::Agent::needs_clock`].
    Clock(Duration),
    /// What an earlier process remembered. To be told before [`Input::LinksReady`].
    Remembered(Memory),
    /// What the process before this one was a moment ago, where this one takes its place. Instead of
    /// [`Input::Remembered`]; then comes [`Effect::Sweep`].
    Relay(Box<Relay>),
    /// This process is about to be replaced by the next: [`Effect::Replace`] says what to hand it.
    Replace,
    /// A packet with protocol 112, or 51 where that was listened for, arrived.
    Datagram(Datagram),
    /// An interface is so from now on.
    Link(Link),
    /// An interface is no more.
    LinkGone(String),
    /// Every interface there is has been told: routers may start.
    LinksReady,
    /// A socket that was asked for could not be opened, or works again (`Ok`).
    Socket {
        /// The interface.
        interface: String,
        /// The family.
        family: Family,
        /// One line for people.
        result: Result<(), String>,
    },
    /// A packet could not be sent.
    SendFailed {
        /// Whose.
        instance: InstanceId,
        /// One line for people.
        error: String,
    },
    /// Drawn by chance for this start, and not 0: nobody else knows it. To be told once.
    Chance(u64),
    /// A datagram of the vote came in.
    Ballot {
        /// As it came.
        bytes: Vec<u8>,
        /// Drawn by chance for it.
        chance: u64,
    },
    /// An endpoint of the store was asked.
    Consulted(Consulted),
    /// What was to be released is on no interface any more.
    Released {
        /// Whose.
        instance: InstanceId,
    },
    /// The addresses are on the interface, or cannot be.
    Held {
        /// Whose.
        instance: InstanceId,
        /// One line for people.
        result: Result<(), String>,
    },
    /// Somebody removed a held address; it is back.
    Restored {
        /// Whose.
        instance: InstanceId,
        /// Which.
        address: IpAddr,
    },
    /// This address was taken away; or could not be, in one line for people.
    Evicted(Intruder, Result<(), String>),
    /// Announcements went out.
    Announced {
        /// Whose.
        instance: InstanceId,
        /// Frames sent.
        sent: u32,
        /// Frames that could not be sent.
        failed: u32,
    },
    /// This host was seen answering to ARP for addresses with a virtual MAC address: with that alone, or with
    /// another one as well. Again only when that changes.
    Answered {
        /// Whose.
        instance: InstanceId,
        /// One line that tells what is wrong.
        result: Result<(), String>,
    },
    /// Another host, or this one, was heard to say that it has an address that is held.
    Sighted(Sighting),
    /// A probe, with its retries, has a result.
    Outcome(CheckName, Outcome),
    /// A hook has ended.
    HookEnded(HookEnd),
    /// Somebody asks.
    Request(Ticket, Request),
    /// A new configuration, already known to be right. Nobody is answered without a ticket.
    Reload {
        /// Whom to answer.
        ticket: Option<Ticket>,
        /// Say what would change, and change nothing.
        dry_run: bool,
        /// What changes besides, which is not the agent's: a line each, for people.
        besides: Vec<String>,
        /// The whole of it.
        config: Box<Config>,
    },
    /// Stop for good: say farewell, give up what is held, then [`Effect::Stopped`].
    Stop {
        /// Do not wait for a successor.
        at_once: bool,
    },
}

/// A packet as it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Where it came in.
    pub interface: Arc<str>,
    /// Its source.
    pub source: IpAddr,
    /// Its destination.
    pub destination: IpAddr,
    /// TTL or hop limit, as the kernel tells: IPv4's stands in the packet's header, which comes along.
    pub ttl: Option<u8>,
    /// IPv4: the whole packet with its header. IPv6: the VRRP message.
    pub packet: Vec<u8>,
}

/// What an endpoint of the store says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consulted {
    /// About which office it was asked.
    pub office: Office,
    /// What it is called.
    pub endpoint: Arc<str>,
    /// What it said, or one line for people.
    pub said: Result<Reply, String>,
}

/// How a hook ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookEnd {
    /// Whose.
    pub subject: Subject,
    /// Its command line.
    pub script: String,
    /// One line for people: "exit code 0", "timed out after 30s".
    pub ended: String,
    /// Whether it did not end with exit code 0.
    pub failed: bool,
    /// How long it ran.
    pub took: Duration,
    /// Older transitions that this one overtook while waiting.
    pub skipped: u32,
}

/// What is left to do for an instance whose daemon is dead.
#[derive(Clone, Debug, PartialEq)]
pub struct Will {
    /// Its virtual router.
    pub vrid: Vrid,
    /// What gives its claim back, once nothing is held any more: a datagram to each voter. Where there is any, its
    /// addresses stay for nobody: whoever is next has to wait for the claim.
    pub pleas: Vec<(VoterId, Vec<u8>)>,
    /// The same where a store grants it.
    pub releases: Vec<Release>,
    /// Its farewell, one packet to each that an advert goes to.
    pub farewell: Vec<Outgoing>,
    /// How long to keep its addresses after that where no other Master is heard.
    pub patience: Duration,
    /// How long once that one has announced the first of them: until it has the last.
    pub linger: Duration,
}

/// Everything that can be wanted. To be carried out in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// These sockets, and no others, shall be open.
    Listen(BTreeSet<Listen>),
    /// Send this now.
    Send(Outgoing),
    /// What to say and do in place of this instance if the daemon dies before its next advert.
    Will(InstanceId, Will),
    /// These addresses, and no others of this instance, are held from now on.
    Hold {
        /// Whose.
        instance: InstanceId,
        /// What.
        holding: Box<Holding>,
        /// Nothing that can be leased may be there any longer than this, unless [`Effect::Claimed`] says so;
        /// `None` where it needs no claim.
        until: Option<Time>,
    },
    /// What these instances hold may be there until then.
    Claimed {
        /// Whose; all of them hold.
        instances: Vec<InstanceId>,
        /// When the claim ends.
        until: Time,
    },
    /// No address of this instance is held from now on.
    Release {
        /// Whose.
        instance: InstanceId,
    },
    /// Take this address away, which something else has put there and no instance holds.
    Evict(Intruder),
    /// Tell the neighbours where this instance's held addresses are.
    Announce {
        /// Whose.
        instance: InstanceId,
        /// Frames for each address.
        count: u8,
    },
    /// The same with one frame, of addresses on other interfaces than that of the adverts.
    AnnounceElsewhere {
        /// Whose.
        instance: InstanceId,
    },
    /// Ask the neighbours who else has what an instance holds: of each interface, for one address of each family.
    Ask {
        /// Whose.
        instance: InstanceId,
    },
    /// Ask the neighbours who has this address, which is not held here. Each answer is an [`Input::Sighted`].
    AskAhead(Inquiry),
    /// Announcements keep this distance from now on.
    Pace(Vec<Pace>),
    /// Hear datagrams of the vote here from now on.
    Vote(VoterId),
    /// Send this datagram of the vote.
    Ballot {
        /// To this voter.
        to: VoterId,
        /// As they are.
        bytes: Vec<u8>,
    },
    /// Put pleas to the store from now on, as a claimant of this session.
    Consult(u64),
    /// Put this plea to the store, after what it was asked before about the same office.
    Plead(Plea),
    /// Probe this from now on; anew, where it was probed already.
    Watch {
        /// Its name.
        check: CheckName,
        /// After so many alike in a row another result changes nothing.
        settled: u32,
    },
    /// Stop probing this.
    Unwatch(CheckName),
    /// Tell the world: hooks and log.
    Notify(Transition),
    /// Tell hooks and event streams of something that is no transition.
    Tell(Incident),
    /// Tell the log.
    Note(Note),
    /// Keep this for a next process: the whole of it, in place of what was kept before. Comes at most once
    /// a second, and at the end.
    Remember(Memory),
    /// Let the next process take the place of this one, at once, and give it this. Nothing is given up.
    Replace(Box<Relay>),
    /// All that the process before this one held and that goes on being held, is held: the rest may go.
    Sweep,
    /// Answer.
    Reply(Ticket, Box<Response>),
    /// Everything is given up; the loop may end.
    Stopped,
}

/// A socket that shall be open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listen {
    /// On this interface,
    pub interface: String,
    /// with this index,
    pub index: u32,
    /// in this family,
    pub family: Family,
    /// for this IP protocol,
    pub protocol: u8,
    /// as a member of these multicast groups,
    pub groups: BTreeSet<IpAddr>,
    /// for these virtual routers.
    pub vrids: BTreeSet<Vrid>,
}

/// Who has an address?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inquiry {
    /// Who is about to take it.
    pub instance: InstanceId,
    /// The interface's index.
    pub index: u32,
    /// The Ethernet address that asks.
    pub mac: [u8; 6],
    /// The address.
    pub address: IpAddr,
    /// An answer that takes longer comes too late.
    pub within: Duration,
}

/// A packet to send, without its IP header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Whose.
    pub instance: InstanceId,
    /// When it should have left; `None` where it answers something.
    pub due: Option<Time>,
    /// Out of this interface.
    pub interface: Arc<str>,
    /// From this address.
    pub source: IpAddr,
    /// To this one.
    pub destination: IpAddr,
    /// From this Ethernet address, where it goes to a group; the interface's own where `None`.
    pub mac: Option<[u8; 6]>,
    /// With this TTL or hop limit,
    pub ttl: u8,
    /// this IP protocol,
    pub protocol: u8,
    /// and this identification in an IPv4 header, which has no options and no flags; 0 where the kernel may
    /// choose.
    pub identification: u16,
    /// What follows the IP header.
    pub payload: Vec<u8>,
}

/// Something worth a line in the log that is no transition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A packet was refused. The first of its kind from this sender, or the thousandth.
    Refused {
        /// Whose rules refused it.
        router: RouterName,
        /// Who sent it.
        source: IpAddr,
        /// Why.
        refusal: Refusal,
        /// How many so far.
        count: u64,
    },
    /// A check came up or went down.
    Check(CheckChange),
    /// Another host is Master, where none was before, or another one.
    MasterHeard {
        /// Of which router.
        router: RouterName,
        /// Who it is.
        source: IpAddr,
        /// The priority it advertises.
        priority: u8,
    },
    /// Comes before a router's change to Master: how long ago another one was last heard as Master, or said
    /// farewell.
    LastHeard {
        /// Whose.
        router: RouterName,
        /// How long ago.
        ago: Duration,
    },
    /// This node has the claim to an office from now on, or has it no more.
    Claim {
        /// The router or group.
        office: String,
        /// In which term; `None` where it has it no more.
        term: Option<u64>,
    },
    /// This node has voted for another holder than before, or for another term.
    Vote {
        /// The router or group.
        office: String,
        /// For whom.
        holder: VoterId,
        /// In which term.
        term: u64,
    },
    /// For how long the kernel keeps what is held of a process that does nothing: from now on, or no more.
    Lease {
        /// Whose.
        router: RouterName,
        /// What goes with its adverts of this family.
        family: Family,
        /// How long; `None` where nothing of it is held any more, or for ever.
        lease: Option<Duration>,
    },
    /// A router takes nothing back from now on.
    Damped {
        /// Which, or the first of those that share its role.
        router: RouterName,
        /// For so long, unless there is an order to forget it.
        span: Duration,
        /// After so many failures; 0 where the Master has only just come.
        failures: u64,
    },
    /// Something to look at, in one line.
    Warning(RouterName, String),
    /// The same about what is no router's.
    Trouble(String),
    /// What a new configuration has changed, one line each; at least one.
    Reloaded(Vec<String>),
}

/// A check came up or went down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckChange {
    /// Its name.
    pub check: CheckName,
    /// Where it stood.
    pub from: health::Standing,
    /// Where it stands.
    pub to: health::Standing,
    /// The failure's line, where the last result was one.
    pub error: Option<String>,
    /// How long its results had said so.
    pub after: Duration,
}
