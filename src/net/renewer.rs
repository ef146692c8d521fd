//! Renews what was renewed before, by the thread of whoever decides and without waking another: waking one costs more
//! than all else that an idle Master does.
//!
//! Only what the worker permits, and it takes that back before it does anything else. The kernel's
//! lock may be taken for long: who has anything to do soon orders the worker instead.

use super::netlink_socket::Netlink;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What renews all leases that no claim is over, as long as nothing about them changes.
#[derive(Debug)]
pub(super) struct Renewal {
    pub(super) requests: Vec<Vec<u8>>,
    /// When it did the last time.
    pub(super) renewed: Instant,
    /// The shortest of those leases.
    pub(super) length: Duration,
}

/// The worker's word that it may be done again, or none.
#[derive(Clone, Debug, Default)]
pub(super) struct Permit(Arc<Mutex<Option<Renewal>>>);

impl Permit {
    pub(super) fn give(&self, renewal: Option<Renewal>) {
        if let Ok(mut permit) = self.0.lock() {
            *permit = renewal;
        }
    }

    /// Waits for a renewal under way.
    pub(super) fn take(&self) -> Option<Renewal> {
        self.0.lock().ok()?.take()
    }
}

/// One end for the thread that decides.
pub struct Renewer {
    netlink: Netlink,
    permit: Permit,
}

impl Renewer {
    /// Opens it in the network namespace of the calling thread.
    pub(super) fn new(permit: Permit) -> io::Result<Renewer> {
        Ok(Renewer { netlink: Netlink::open()?, permit })
    }

    /// Begins all those lifetimes anew. `false`: that is not all there is to do, or it was not done; order it.
    #[must_use]
    pub fn renew(&mut self) -> bool {
        let Ok(mut permit) = self.permit.0.try_lock() else { return false };
        let now = Instant::now();
        // What has ended may have been removed: that is seen, told and mended, not passed over.
        let Some(renewal) = permit.as_mut().filter(|renewal| now < renewal.renewed + renewal.length) else {
            return false;
        };
        renewal.renewed = now;
        self.netlink.repeat(&renewal.requests).is_ok()
    }
}
