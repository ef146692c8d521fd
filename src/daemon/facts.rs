//! What the daemon adds to the agent's status: facts about itself, and what it has counted.

use super::perform::Performer;
use super::ward::Ward;
use crate::agent::status::{CountsStatus, Status};
use crate::time::Time;

/// What came of reading the configuration again.
#[derive(Debug, Default)]
pub(super) struct Reloads {
    adopted: u64,
    refused: u64,
    last: Option<(Time, bool)>,
}

impl Reloads {
    /// Counts one.
    pub(super) fn count(&mut self, now: Time, adopted: bool) {
        *(if adopted { &mut self.adopted } else { &mut self.refused }) += 1;
        self.last = Some((now, adopted));
    }
}

impl Performer {
    /// Adds what the agent cannot know.
    pub(super) fn complete(&self, now: Time, status: &mut Status) {
        let facts = [
            ("version", crate::VERSION.to_owned()),
            ("node", self.details.node.clone()),
            ("pid", std::process::id().to_string()),
            ("config", self.path.display().to_string()),
        ];
        status.lateness = self.sockets.lateness.status(now);
        status.leave_out(&self.skipped);
        status.cannot(&self.scheduled.refused);
        status.cannot(self.record.complaint().as_slice());
        let receivers = self.details.told.receivers.iter();
        let stand = receivers.filter_map(|receiver| self.receivers.get(&receiver.name).cloned());
        status.receivers(stand.collect());
        let records = self.details.records.iter();
        status.records(records.filter_map(|record| self.records.get(&record.name).cloned()).collect());
        status.cannot(&self.record.web.complaints());
        let facts = facts.into_iter().chain(self.scheduled.facts());
        let facts = facts.chain(self.ward.as_ref().map(Ward::fact));
        status.daemon = facts.map(|(key, value)| (key.to_owned(), value)).collect();
        let Reloads { adopted, refused, last } = self.reloads;
        let ago = |at| u64::try_from(now.since(at).as_millis()).unwrap_or(u64::MAX);
        status.counts = CountsStatus {
            leases_renewed: self.leases.renewals,
            leases_late: self.leases.late,
            reloads: adopted,
            reloads_refused: refused,
            reloaded: last.map(|(_, adopted)| adopted),
            reloaded_ms: last.map(|(at, _)| ago(at)),
            ..self.record.counts()
        };
    }
}
