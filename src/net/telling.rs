//! Announces what an owner holds, at once, at a distance, or while the rest of it is still coming.
//!
//! Part of `worker`, whose thread it is done by. How often and when is decided elsewhere.

use super::address::{Order, Report};
use super::announce;
use super::announce::Announcer;
use super::duty::Duty;
use super::pace::Frame;
use super::probe::question;
use super::queue::Queue;
use super::settle::Outcomes;
use super::wanted::{Place, Wanted};
use super::worker::{Task, Worker};
use crate::agent::Install;
use nix::net::if_::if_nametoindex;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{TryRecvError, channel};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// So many come so fast that nobody has to hear of the first before the last is there.
pub(super) const FEW: usize = 256;
/// The same of local routes, which the kernel adds one as fast as the other.
const FEW_ROUTES: usize = 1024;
/// How often whoever announces looks for what has come. Nobody wakes it: where processors share no cache the kernel
/// starts a woken thread on that of whoever woke it, and there the others come meanwhile.
const BETWEEN: Duration = Duration::from_millis(1);

/// What was announced of an owner while the rest was still coming.
#[derive(Default)]
pub(super) struct Early {
    owner: u32,
    interface: String,
    told: BTreeSet<IpAddr>,
    /// How many of these frames have left.
    sent: usize,
}

impl<F: Fn(Report)> Worker<F> {
    /// Puts there what is wanted, and takes away what is not. Of many addresses that are to be announced next each
    /// is announced as soon as it is there, or else the first would wait for the last, which the kernel takes a third
    /// of a second for among thousands. By a thread of its own: to add them the kernel needs one processor alone.
    pub(super) fn settle(
        &mut self,
        (owner, duty): (u32, &Duty),
        wanted: &[Wanted],
        unwanted: &[Place],
        queue: &Queue<Task>,
    ) -> Outcomes {
        let interface = duty.interface.clone();
        let at_once = duty.vmacs.is_empty() && self.pacer.lane(&interface).is_none();
        let routes = wanted.iter().all(|wanted| wanted.place.install == Install::LocalRoute);
        let few = if routes { FEW_ROUTES } else { FEW };
        // Before any of them is there, also where all are announced afterwards: the place of an interface that was just
        // made is found in a list of all addresses.
        let mac = if wanted.len() > few { self.open(&interface).ok().flatten() } else { None };
        let (Some(mac), Some(announcer)) = (mac.filter(|_| at_once), self.announcers.get(&interface)) else {
            return self.settler.settle(wanted, unwanted);
        };
        let asked = |task: &Task| matches!(task, Task::Order(Order::Announce { owner: of, count: 1.. }) if *of == owner);
        let (addresses, come) = channel::<Vec<IpAddr>>();
        let mut early = Early { owner, interface: interface.clone(), ..Early::default() };
        let tell = move || {
            loop {
                match come.try_recv() {
                    Ok(some) => {
                        let frames: Vec<Vec<u8>> =
                            some.iter().map(|address| announce::frame(mac, *address)).collect();
                        early.sent += announcer.send(&frames);
                        early.told.extend(some);
                    }
                    Err(TryRecvError::Empty) => thread::park_timeout(BETWEEN),
                    Err(TryRecvError::Disconnected) => return early,
                }
            }
        };
        let settler = &mut self.settler;
        let (outcomes, early) = thread::scope(|threads| {
            // Where there can be none, all are announced afterwards.
            let teller = thread::Builder::new().name("announcer".to_owned()).spawn_scoped(threads, tell);
            let mut waiting = Vec::new();
            let outcomes = settler.settle_and(wanted, unwanted, &mut |on, some| {
                waiting.extend(some.into_iter().filter(|_| *on == *interface));
                if queue.is_next(asked) {
                    let _ = addresses.send(std::mem::take(&mut waiting));
                }
            });
            drop(addresses);
            let join = |teller: ScopedJoinHandle<'_, Early>| {
                teller.thread().unpark();
                teller.join().ok()
            };
            (outcomes, teller.ok().and_then(join))
        });
        self.early = early.filter(|early| !early.told.is_empty());
        outcomes
    }

    pub(super) fn announce(&mut self, owner: u32, count: u8, chosen: impl Fn(&Duty, &Place) -> bool) {
        let mut interfaces: BTreeMap<Arc<str>, Vec<IpAddr>> = BTreeMap::new();
        if let Some(duty) = self.duties.get(&owner) {
            let places = duty.addresses.iter().map(|wanted| &wanted.place);
            for place in places.filter(|place| self.settler.holds(place) && chosen(duty, place)) {
                interfaces.entry(place.interface.clone()).or_default().push(place.address);
            }
        }
        if self.duties.get(&owner).is_some_and(|duty| duty.virtual_macs().next().is_some()) {
            // Without it nothing is known of the answers, and nothing told.
            let _ = self.answers.watch(Instant::now());
        }
        let early = self.early.take().filter(|early| early.owner == owner);
        let (mut sent, mut failed) =
            early.as_ref().map_or((0, 0), |Early { sent, told, .. }| (*sent, told.len() - sent));
        for (interface, addresses) in interfaces {
            if let Some(lane) =
                self.pacer.lane(self.duties.get(&owner).map_or("", |duty| duty.cable(&interface)))
            {
                let frame = |address| Frame { owner, interface: interface.to_string(), address };
                let frames: Vec<Frame> = addresses.into_iter().map(frame).collect();
                self.pacer.queue(lane, &frames, count);
                continue;
            }
            let told = early.as_ref().filter(|early| *early.interface == *interface).map(|early| &early.told);
            let rest = told.map(|told| addresses.iter().copied().filter(|it| !told.contains(it)).collect());
            // Of all once, before any is repeated.
            let rounds: [(Vec<IpAddr>, u8); 2] = match rest {
                Some(rest) => [(rest, 1), (addresses, count - 1)],
                None => [(addresses, count), (Vec::new(), 0)],
            };
            for (addresses, count) in
                rounds.into_iter().filter(|(addresses, count)| !addresses.is_empty() && *count > 0)
            {
                let all = addresses.len() * usize::from(count);
                match self.send_on(&interface, &addresses, count, announce::frame) {
                    Ok(Some(left)) => {
                        sent += left;
                        failed += all.saturating_sub(left);
                    }
                    // No Ethernet, no neighbours to tell.
                    Ok(None) => {}
                    Err(_) => failed += all,
                }
            }
        }
        (self.report)(Report::Announced { owner, sent, failed });
    }

    /// A frame that had to wait, if its address is still there.
    pub(super) fn announce_one(&mut self, frame: &Frame) {
        let Frame { owner, interface, address } = frame;
        let same = |place: &&Place| *place.interface == **interface && place.address == *address;
        let places = self.duties.get(owner).into_iter().flat_map(|duty| &duty.addresses);
        let there =
            places.map(|wanted| &wanted.place).find(same).is_some_and(|place| self.settler.holds(place));
        if !there {
            return;
        }
        let left = self.send_on(interface, &[*address], 1, announce::frame);
        let (sent, failed) = match left {
            Ok(left) => (left.unwrap_or(0), usize::from(left == Some(0))),
            Err(_) => (0, 1),
        };
        (self.report)(Report::Announced { owner: *owner, sent, failed });
    }

    /// What comes of it is somebody else's to hear.
    pub(super) fn ask(&mut self, owner: u32) {
        let mut asked: BTreeMap<(Arc<str>, bool), IpAddr> = BTreeMap::new();
        if let Some(duty) = self.duties.get(&owner) {
            let places = duty.addresses.iter().map(|wanted| &wanted.place);
            for place in places.filter(|place| self.settler.holds(place)) {
                asked.entry((place.interface.clone(), place.address.is_ipv6())).or_insert(place.address);
            }
        }
        for ((interface, _), address) in asked {
            // Whom nobody could ask is not there to be heard.
            let _ = self.send_on(&interface, &[address], 1, question);
        }
    }

    /// Opens the interface for frames. Returns its Ethernet address; `None` where it has none.
    fn open(&mut self, interface: &str) -> Result<Option<[u8; 6]>, String> {
        let index = if_nametoindex(interface).map_err(|errno| errno.desc().to_owned())?;
        let mac = self.settler.ask(|netlink| netlink.mac(index))?;
        if mac.is_some() && self.announcers.get(interface).is_none_or(|announcer| announcer.index() != index)
        {
            let announcer = Announcer::open(index).map_err(|error| error.to_string())?;
            self.announcers.insert(interface.to_owned(), announcer);
        }
        Ok(mac)
    }

    /// How many of the frames have left; `None` where there is no Ethernet.
    fn send_on(
        &mut self,
        interface: &str,
        addresses: &[IpAddr],
        count: u8,
        make: fn([u8; 6], IpAddr) -> Vec<u8>,
    ) -> Result<Option<usize>, String> {
        let Some(mac) = self.open(interface)? else { return Ok(None) };
        let frames: Vec<Vec<u8>> = addresses.iter().map(|address| make(mac, *address)).collect();
        let sent = self
            .announcers
            .get(interface)
            .map_or(0, |announcer| (0..count).map(|_| announcer.send(&frames)).sum());
        Ok(Some(sent))
    }
}
