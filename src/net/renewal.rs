//! Leases are renewed: of whom, and how, when whoever decides says that he is alive.

use super::address::Report;
use super::duty::Lease;
use super::worker::Worker;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// An order to renew is carried out within this time, or not at all.
const STALE: Duration = Duration::from_millis(500);

impl<F: Fn(Report)> Worker<F> {
    /// Renews by what has renewed before, if that is what has to be done.
    pub(super) fn renew_again(&mut self, at: Instant, requests: &[Vec<u8>]) -> bool {
        let now = Instant::now();
        let leases =
            || self.duties.values().filter_map(|duty| duty.lease.filter(|lease| lease.until.is_none()));
        let due = leases().all(|lease| lease.is_due(now) && !lease.has_ended(now));
        if !due || now.saturating_duration_since(at) > STALE {
            return false;
        }
        for lease in self.duties.values_mut().filter_map(|duty| duty.lease.as_mut()) {
            if lease.until.is_none() {
                lease.renewed = now;
            }
        }
        self.settler.renew_again(requests).is_ok()
    }

    /// Begins the lifetimes of the addresses of chosen owners anew. An order that is old is not carried out: who
    /// gave it may have been stopped since, and has to decide anew. Returns what renews all of them, if it has.
    pub(super) fn renew(
        &mut self,
        at: Instant,
        chosen: impl Fn(u32, &Lease) -> bool,
    ) -> Option<Vec<Vec<u8>>> {
        let now = Instant::now();
        if now.saturating_duration_since(at) > STALE {
            return None;
        }
        let Worker { duties, settler, .. } = self;
        let (mut due, mut ended, mut all) = (Vec::new(), BTreeSet::new(), true);
        for (owner, duty) in duties.iter_mut() {
            let Some(lease) = duty.lease.filter(|lease| chosen(*owner, lease)) else { continue };
            if !lease.is_due(now) || !duty.fit(now) {
                all = false;
                continue;
            }
            duty.lease = Some(Lease { renewed: now, ..lease });
            if lease.has_ended(now) {
                // The kernel may have removed them: that is seen, told and mended, not passed over.
                ended.extend(duty.addresses.iter().map(|wanted| wanted.place.clone()));
            } else {
                due.extend(&duty.addresses);
            }
        }
        // What fails is tried again by the next order.
        let renewed = if due.is_empty() { None } else { settler.renew(&due).ok() };
        let all = all && ended.is_empty();
        if !ended.is_empty() {
            self.restore(|place| ended.contains(place));
        }
        renewed.filter(|_| all)
    }
}
