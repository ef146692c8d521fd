//! `[claim]` in a new configuration: what can be taken up while the vote goes on, and how.
//!
//! Two nodes may have different voters for a while, the old ones and the new. Never two hold as long as each
//! majority of the old shares a voter with each of the new: so one voter comes, or one goes, and no more at once.
//! What a claim was granted for, by the old voters or for another time, counts to its end.

use super::Agent;
use super::config::{Claims as Settings, Vote};
use super::effect::Effect;
use super::set::Set;
use crate::time::Time;
use std::collections::BTreeSet;

impl Settings {
    /// Whether all nodes can change from these to those one by one, while they run.
    ///
    /// # Errors
    /// Why not, and what to do: one line.
    pub fn can_become(&self, new: Option<&Settings>) -> Result<(), String> {
        match (self, new) {
            (Settings::Vote(old), Some(Settings::Vote(new))) => old.can_become(new),
            (old, Some(new)) if old != new => {
                Err("[claim] asks others than before, and those know nothing of what is granted: stop locum on every \
                     server, then start it"
                    .to_owned())
            }
            // Where nothing needs a claim any more, it goes on to vote for others.
            _ => Ok(()),
        }
    }
}

impl Vote {
    pub(super) fn can_become(&self, new: &Vote) -> Result<(), String> {
        if self.own != new.own {
            return Err(format!(
                "listen in [claim] is {} and was {}: to others this is another voter: stop locum here for {} ms, \
                 then start it",
                new.own,
                self.own,
                self.longest.millis()
            ));
        }
        let [old, new] = [self, new].map(|vote| vote.others.iter().collect::<BTreeSet<_>>());
        let changed: Vec<_> = old.symmetric_difference(&new).map(ToString::to_string).collect();
        if changed.len() > 1 {
            return Err(format!(
                "[claim] changes {} voters at once ({}), so that old and new ones could let two hold: add or remove \
                 one, reload on every server, then the next",
                changed.len(),
                changed.join(", ")
            ));
        }
        Ok(())
    }
}

impl Agent {
    /// What a new configuration means for the vote. Settings that cannot follow these were refused before.
    pub(super) fn adopt_claims(&mut self, now: Time, new: Option<&Settings>, effects: &mut Vec<Effect>) {
        let Some(claims) = &mut self.claims else {
            self.voting = new.cloned();
            return self.begin_claims(now, effects);
        };
        if claims.settings().can_become(new).is_err() {
            return;
        }
        self.voting = new.cloned();
        let Some(new) = new else { return };
        if claims.settings() != new {
            claims.become_of(new, effects);
        }
        for set in 0..self.sets.len() {
            let Set { office: Some((office, _)), routers, .. } = &self.sets[set] else { continue };
            let Some(first) = routers.first() else { continue };
            let interval = self.routers[*first].config.interval.duration();
            claims.retune(now, office, interval, effects);
        }
        for set in 0..self.sets.len() {
            self.extend(set, effects);
            self.file(set);
        }
    }
}
