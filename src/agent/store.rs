//! What the endpoints of a store have said, for the status. What follows from it is `claims`.

use super::effect::Consulted;
use crate::claim::etcd::Reply;
use crate::claim::{Answer, Office};
use crate::time::Time;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// An etcd, as those who ask it know it.
#[derive(Debug)]
pub(super) struct Store {
    /// In the order of the configuration.
    endpoints: Vec<Arc<str>>,
    /// What each said last about each office.
    said: BTreeMap<(Office, Arc<str>), Said>,
}

#[derive(Debug)]
struct Said {
    at: Time,
    /// In words.
    what: String,
    /// Whether something is to be mended.
    wrong: bool,
}

impl Store {
    /// One that nobody has asked yet.
    pub(super) fn new(endpoints: &[Arc<str>]) -> Self {
        Store { endpoints: endpoints.to_vec(), said: BTreeMap::new() }
    }

    /// An endpoint was asked. What a claimant is to hear of it.
    pub(super) fn hear(&mut self, now: Time, consulted: Consulted) -> Option<Answer> {
        let Consulted { office, endpoint, said } = consulted;
        let (what, wrong, answer) = match said {
            Ok(Reply { answer, remark }) => {
                let word = answer.as_ref().map_or("took it back", |answer| answer.verdict.word());
                let wrong = remark.is_some();
                (remark.unwrap_or_else(|| word.to_owned()), wrong, answer)
            }
            Err(line) => (line, true, None),
        };
        self.said.insert((office, endpoint), Said { at: now, what, wrong });
        answer
    }

    /// What each endpoint said last about an office.
    pub(super) fn said(&self, now: Time, office: &Office) -> impl Iterator<Item = String> {
        self.endpoints.iter().map(move |endpoint| match self.said.get(&(office.clone(), endpoint.clone())) {
            Some(Said { at, what, wrong }) => {
                let colon = if *wrong { ":" } else { "" };
                format!("{endpoint}{colon} {what} {} ms ago", now.since(*at).as_millis())
            }
            None => format!("{endpoint} not asked yet"),
        })
    }

    /// What was wrong with an endpoint when it was asked last, if that was no longer ago than this.
    pub(super) fn trouble(&self, now: Time, office: &Office, within: Duration) -> Vec<String> {
        let said = self.said.iter().filter(|((about, _), _)| about == office);
        let wrong = said.filter(|(_, said)| said.wrong && now.since(said.at) <= within);
        wrong.map(|((_, endpoint), said)| format!("{endpoint}: {}", said.what)).collect()
    }
}
