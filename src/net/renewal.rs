//! Leases are renewed: of whom, and how, when whoever decides says that he is alive.

use super::address::Report;
use super::duty::Lease;
use super::renewer::Renewal;
use super::worker::Worker;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// An order to renew is carried out within this time, or not at all.
const STALE: Duration = Duration::from_millis(500);

impl<F: Fn(Report)> Worker<F> {
    /// Takes back what may be renewed without this thread, and learns when it was.
    pub(super) fn take_renewal(&mut self) -> Option<Renewal> {
        let renewal = self.permit.take()?;
        for lease in self.claimless() {
            lease.renewed = lease.renewed.max(renewal.renewed);
        }
        Some(renewal)
    }

    fn claimless(&mut self) -> impl Iterator<Item = &mut Lease> {
        let leases = self.duties.values_mut().filter_map(|duty| duty.lease.as_mut());
        leases.filter(|lease| lease.until.is_none())
    }

    /// Renews all that no claim is over, by what has renewed it before where that is what has to be done. Returns
    /// what would renew it again.
    pub(super) fn renew_all(&mut self, at: Instant, before: Option<Renewal>) -> Option<Renewal> {
        let now = Instant::now();
        let fresh = now.saturating_duration_since(at) <= STALE;
        if let Some(before) = before.filter(|_| fresh)
            && self.claimless().all(|lease| lease.is_due(now) && !lease.has_ended(now))
        {
            self.claimless().for_each(|lease| lease.renewed = now);
            return self
                .settler
                .renew_again(&before.requests)
                .is_ok()
                .then_some(Renewal { renewed: now, ..before });
        }
        let requests = self.renew(at, |_, lease| lease.until.is_none())?;
        // What goes with a claim has to be renewed along, for another time each time.
        let claims = self.duties.values().filter_map(|duty| duty.lease).any(|lease| lease.until.is_some());
        let length = self.claimless().map(|lease| lease.length).min().filter(|_| !claims)?;
        Some(Renewal { requests, renewed: now, length })
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
