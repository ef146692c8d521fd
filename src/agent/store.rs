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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn what_each_endpoint_said_last_is_told_and_what_is_wrong_only_while_it_is_news() {
        let (web, mail) = (Office::new("web").unwrap(), Office::new("mail").unwrap());
        let mut store = Store::new(&["a".into(), "b".into(), "c".into()]);
        let mut say = |now, office: &Office, endpoint: &str, said| {
            let (office, endpoint) = (office.clone(), endpoint.into());
            assert_eq!(store.hear(now, Consulted { office, endpoint, said }), None);
        };
        say(at(1), &web, "a", Err("connection refused".to_owned()));
        say(at(2), &web, "b", Err("connection refused".to_owned()));
        say(at(3), &web, "b", Ok(Reply { answer: None, remark: None }));
        say(at(3), &mail, "b", Ok(Reply { answer: None, remark: Some("mend it".to_owned()) }));
        let said: Vec<_> = store.said(at(4), &web).collect();
        assert_eq!(
            said,
            ["a: connection refused 3000 ms ago", "b took it back 1000 ms ago", "c not asked yet"]
        );
        let trouble = |now, office| store.trouble(now, office, Duration::from_secs(5));
        assert_eq!(trouble(at(6), &web), ["a: connection refused"]);
        assert_eq!(trouble(at(7), &web), [""; 0]);
        assert_eq!(trouble(at(7), &mail), ["b: mend it"]);
    }
}
