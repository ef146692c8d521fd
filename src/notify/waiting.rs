//! What one receiver has yet to be told. The same transition comes once in a while; of a storm there is one
//! summary, whether it comes at once or drop by drop; both keep what waits as small as the number of routers.
//!
//! A router that flaps is told of at the end of the window, where its state is not the one told last: what was
//! told last is right in the end. Computes; the clock is handed in.

use super::message::{Batch, News};
use crate::agent::{Standing, Subject};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// In so much time there are as many messages as may wait; what comes then waits for the end of it.
const SPELL: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Waiting {
    window: Duration,
    storm: usize,
    /// When the messages of this spell were taken.
    taken: VecDeque<Instant>,
    queue: Queue,
    /// When each transition was told of.
    told: BTreeMap<(Subject, Standing, Standing), Instant>,
    /// The state that each was told of last.
    state: BTreeMap<Subject, Standing>,
    /// Told of already: until the window ends.
    held: BTreeMap<Subject, (Instant, News)>,
    /// Transitions that were held back so far.
    pub(super) repeated: u64,
}

#[derive(Debug)]
enum Queue {
    Each(VecDeque<News>),
    Storm(BTreeMap<Subject, News>),
}

impl Waiting {
    /// `window`: how long a transition is not told again; `storm`: how many may wait to be told each.
    pub(super) fn new(window: Duration, storm: usize) -> Self {
        let queue = Queue::Each(VecDeque::new());
        let (taken, told, state, held) = <_>::default();
        Waiting { window, storm, taken, queue, told, state, held, repeated: 0 }
    }

    pub(super) fn push(&mut self, now: Instant, news: News) {
        self.held.remove(&news.subject);
        let window = self.window;
        self.told.retain(|_, at| now.saturating_duration_since(*at) < window);
        match self.told.get(&(news.subject.clone(), news.from, news.to)) {
            Some(at) => {
                self.repeated += 1;
                self.held.insert(news.subject.clone(), (*at + window, news));
            }
            None => self.add(now, news),
        }
    }

    fn add(&mut self, now: Instant, news: News) {
        self.taken.retain(|at| now.saturating_duration_since(*at) < SPELL);
        self.told.insert((news.subject.clone(), news.from, news.to), now);
        self.state.insert(news.subject.clone(), news.to);
        match &mut self.queue {
            Queue::Each(each) => each.push_back(news),
            Queue::Storm(all) => merge(all, news),
        }
        self.limit();
    }

    /// Makes one of what is too much.
    fn limit(&mut self) {
        if let Queue::Each(each) = &mut self.queue
            && (each.len() > self.storm || self.taken.len() >= self.storm)
        {
            let mut all = BTreeMap::new();
            each.drain(..).for_each(|news| merge(&mut all, news));
            self.queue = Queue::Storm(all);
        }
    }

    /// What is to be told next. `last`: nothing will wait for the end of a window any more.
    pub(super) fn take(&mut self, now: Instant, last: bool) -> Option<Batch> {
        let due = |(at, _): &(Instant, News)| last || *at <= now;
        let ripe: Vec<_> = self.held.extract_if(.., |_, held| due(held)).map(|(_, (_, news))| news).collect();
        for news in ripe {
            if self.state.get(&news.subject) != Some(&news.to) {
                self.add(now, news);
            }
        }
        self.taken.retain(|at| now.saturating_duration_since(*at) < SPELL);
        if self.len() == 0 || !last && self.taken.len() >= self.storm {
            return None;
        }
        self.taken.push_back(now);
        match &mut self.queue {
            Queue::Each(each) => Some(Batch { news: vec![each.pop_front()?], storm: false }),
            Queue::Storm(all) => {
                let news: Vec<_> = std::mem::take(all).into_values().collect();
                self.queue = Queue::Each(VecDeque::new());
                // Who was the only one to come after a storm is told of as ever.
                let storm = news.iter().map(|news| news.count).sum::<u64>() > 1;
                Some(Batch { news, storm })
            }
        }
    }

    /// What was taken could not be told, and is older than all that waits.
    pub(super) fn put_back(&mut self, batch: Batch) {
        self.taken.pop_back();
        let mut older: VecDeque<News> = batch.news.into();
        match &mut self.queue {
            Queue::Each(each) if !batch.storm => {
                older.append(each);
                *each = older;
                self.limit();
            }
            Queue::Each(each) => {
                let mut all = BTreeMap::new();
                older.into_iter().chain(each.drain(..)).for_each(|news| merge(&mut all, news));
                self.queue = Queue::Storm(all);
            }
            Queue::Storm(newer) => {
                let newer = std::mem::take(newer);
                let mut all = BTreeMap::new();
                older.into_iter().chain(newer.into_values()).for_each(|news| merge(&mut all, news));
                self.queue = Queue::Storm(all);
            }
        }
    }

    /// When the next window ends that something waits for, or a spell.
    pub(super) fn due(&self) -> Option<Instant> {
        let spell = self.taken.front().filter(|_| self.len() > 0).map(|at| *at + SPELL);
        self.held.values().map(|(at, _)| *at).chain(spell).min()
    }

    /// How many transitions wait.
    pub(super) fn len(&self) -> u64 {
        match &self.queue {
            Queue::Each(each) => each.iter().map(|news| news.count).sum(),
            Queue::Storm(all) => all.values().map(|news| news.count).sum(),
        }
    }
}

fn merge(all: &mut BTreeMap<Subject, News>, news: News) {
    let both = match all.remove(&news.subject) {
        Some(older) => older.followed_by(news),
        None => news,
    };
    all.insert(both.subject.clone(), both);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::RouterName;
    use crate::notify::message::Severity;
    use Standing::{Backup, Fault, Master};
    use jiff::Timestamp;

    const WINDOW: Duration = Duration::from_secs(60);

    fn news(name: &str, from: Standing, to: Standing) -> News {
        News {
            subject: Subject::Router(RouterName(name.into())),
            from,
            to,
            reason: String::new(),
            priority: 100,
            addresses: Vec::new(),
            at: Timestamp::UNIX_EPOCH,
            severity: Severity::of(from, to),
            count: 1,
        }
    }

    /// Router, states and count of each, and whether it is a summary.
    type Told = (Vec<(String, Standing, Standing, u64)>, bool);

    fn next(waiting: &mut Waiting, now: Instant) -> Option<Told> {
        let batch = waiting.take(now, false)?;
        let each = batch.news.iter();
        let each = each.map(|news| (news.subject.name().to_owned(), news.from, news.to, news.count));
        Some((each.collect(), batch.storm))
    }

    fn one(name: &str, from: Standing, to: Standing) -> Told {
        (vec![(name.to_owned(), from, to, 1)], false)
    }

    #[test]
    fn transitions_are_told_each_in_their_order() {
        let (mut waiting, now) = (Waiting::new(WINDOW, 3), Instant::now());
        waiting.push(now, news("web", Backup, Master));
        waiting.push(now, news("db", Backup, Fault));
        assert_eq!(waiting.len(), 2);
        assert_eq!(next(&mut waiting, now), Some(one("web", Backup, Master)));
        assert_eq!(next(&mut waiting, now), Some(one("db", Backup, Fault)));
        assert_eq!(next(&mut waiting, now), None);
    }

    #[test]
    fn a_storm_is_one_summary_with_the_count_and_latest_state_of_each_router() {
        let (mut waiting, now) = (Waiting::new(Duration::ZERO, 10), Instant::now());
        for round in 0..25 {
            let (from, to) = if round % 2 == 0 { (Backup, Master) } else { (Master, Backup) };
            waiting.push(now, news("web", from, to));
            waiting.push(now, news("db", Backup, Fault));
        }
        assert_eq!(waiting.len(), 50);
        let (told, storm) = next(&mut waiting, now).unwrap();
        assert!(storm);
        assert_eq!(told, [("db".to_owned(), Backup, Fault, 25), ("web".to_owned(), Backup, Master, 25)],);
        assert_eq!(next(&mut waiting, now), None);
        waiting.push(now, news("web", Master, Backup));
        assert_eq!(next(&mut waiting, now), Some(one("web", Master, Backup)), "a storm ends");
    }

    #[test]
    fn a_storm_that_comes_drop_by_drop_is_a_few_messages_and_one_summary() {
        let (mut waiting, start) = (Waiting::new(WINDOW, 10), Instant::now());
        let mut told = Vec::new();
        for number in 0..50 {
            let now = start + Duration::from_millis(100) * number;
            waiting.push(now, news(&format!("r{number}"), Backup, Fault));
            told.extend(next(&mut waiting, now));
        }
        assert!(told.len() == 10 && told.iter().all(|(_, storm)| !storm), "{told:?}");
        assert_eq!((waiting.len(), waiting.due()), (40, Some(start + SPELL)));
        let mut now = start + SPELL;
        let (rest, storm) = next(&mut waiting, now).unwrap();
        assert!(storm && rest.len() == 40);
        assert_eq!((next(&mut waiting, now), waiting.due()), (None, None));
        now += SPELL;
        waiting.push(now, news("web", Backup, Fault));
        assert_eq!(next(&mut waiting, now), Some(one("web", Backup, Fault)), "a storm ends");
    }

    #[test]
    fn who_alone_waits_for_the_end_of_a_spell_is_no_summary_and_the_end_waits_for_none() {
        let (mut waiting, now) = (Waiting::new(WINDOW, 1), Instant::now());
        for name in ["a", "b"] {
            waiting.push(now, news(name, Backup, Fault));
            if name == "a" {
                assert_eq!(next(&mut waiting, now), Some(one("a", Backup, Fault)));
            }
        }
        assert_eq!(next(&mut waiting, now), None);
        let mut early = waiting.take(now, true).unwrap();
        assert_eq!((early.news.pop().unwrap().to, early.storm), (Fault, false));
        waiting.push(now, news("c", Backup, Fault));
        assert_eq!(next(&mut waiting, now + SPELL), Some(one("c", Backup, Fault)));
    }

    #[test]
    fn what_could_not_be_told_comes_first_again_and_joins_a_storm() {
        let (mut waiting, now) = (Waiting::new(WINDOW, 2), Instant::now());
        waiting.push(now, news("web", Backup, Master));
        let failed = waiting.take(now, false).unwrap();
        waiting.push(now, news("db", Backup, Fault));
        waiting.put_back(failed.clone());
        assert_eq!(waiting.take(now, false), Some(failed.clone()));
        waiting.push(now, news("web", Master, Fault));
        waiting.put_back(failed);
        let (told, storm) = next(&mut waiting, now).unwrap();
        assert!(storm);
        assert_eq!(told, [("db".to_owned(), Backup, Fault, 1), ("web".to_owned(), Backup, Fault, 2)]);
    }

    #[test]
    fn a_summary_that_could_not_be_told_takes_in_what_came_since() {
        let (mut waiting, now) = (Waiting::new(Duration::ZERO, 1), Instant::now());
        waiting.push(now, news("web", Backup, Master));
        waiting.push(now, news("web", Master, Backup));
        let failed = waiting.take(now, false).unwrap();
        waiting.push(now, news("web", Backup, Fault));
        waiting.put_back(failed);
        assert_eq!(next(&mut waiting, now), Some((vec![("web".to_owned(), Backup, Fault, 3)], true)));
    }

    #[test]
    fn the_same_transition_is_told_once_within_the_window() {
        let (mut waiting, now) = (Waiting::new(WINDOW, 10), Instant::now());
        let after = |seconds| now + Duration::from_secs(seconds);
        waiting.push(after(0), news("web", Backup, Fault));
        waiting.push(after(1), news("web", Backup, Fault));
        waiting.push(after(1), news("db", Backup, Fault));
        assert_eq!(next(&mut waiting, after(2)), Some(one("web", Backup, Fault)));
        assert_eq!(
            next(&mut waiting, after(2)),
            Some(one("db", Backup, Fault)),
            "another router is another matter"
        );
        assert_eq!(next(&mut waiting, after(61)), None, "it is the state that was told last");
        assert_eq!((waiting.repeated, waiting.due()), (1, None));
        waiting.push(after(62), news("web", Backup, Fault));
        assert_eq!(next(&mut waiting, after(62)), Some(one("web", Backup, Fault)), "the window has ended");
    }

    #[test]
    fn a_router_that_flaps_is_told_of_at_the_end_of_the_window_as_it_is_then() {
        let (mut waiting, now) = (Waiting::new(WINDOW, 10), Instant::now());
        let after = |seconds| now + Duration::from_secs(seconds);
        waiting.push(after(0), news("web", Backup, Fault));
        waiting.push(after(10), news("web", Fault, Backup));
        waiting.push(after(20), news("web", Backup, Fault));
        assert_eq!(next(&mut waiting, after(20)), Some(one("web", Backup, Fault)));
        assert_eq!(next(&mut waiting, after(20)), Some(one("web", Fault, Backup)));
        assert_eq!((next(&mut waiting, after(59)), waiting.due()), (None, Some(after(60))));
        assert_eq!(next(&mut waiting, after(60)), Some(one("web", Backup, Fault)));
        assert_eq!(waiting.due(), None);
    }

    #[test]
    fn at_the_end_nothing_waits_for_a_window() {
        let (mut waiting, now) = (Waiting::new(WINDOW, 10), Instant::now());
        for (from, to) in [(Backup, Fault), (Fault, Backup), (Backup, Fault)] {
            waiting.push(now, news("web", from, to));
        }
        let states = std::iter::from_fn(|| waiting.take(now, true)).map(|batch| batch.news[0].to);
        assert_eq!(states.collect::<Vec<_>>(), [Fault, Backup, Fault]);
    }
}
