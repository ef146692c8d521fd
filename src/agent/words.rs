//! How much one router says of what comes in: whoever floods it from a thousand addresses, with something else
//! wrong each time, fills no log. What is left out is counted, and status has it all.

use super::Agent;
use super::effect::{Effect, Note};
use crate::time::Time;
use std::time::Duration;

/// The span in which so much is said at most.
const SPAN: Duration = Duration::from_secs(60);
/// Lines within it.
const MOST: u32 = 20;

/// What was said lately.
#[derive(Debug, Default)]
pub(super) struct Words {
    since: Option<Time>,
    said: u32,
    left_out: u64,
}

impl Words {
    /// Whether one more line may be said, and how many were left out in the span that is over.
    fn may(&mut self, now: Time) -> (bool, u64) {
        let mut left_out = 0;
        if self.since.is_none_or(|since| now.since(since) >= SPAN) {
            left_out = self.left_out;
            *self = Words { since: Some(now), said: 0, left_out: 0 };
        }
        let may = self.said < MOST;
        self.said += u32::from(may);
        self.left_out += u64::from(!may);
        (may, left_out)
    }
}

impl Agent {
    /// Tells of something that came in for this router, unless too much was told of already.
    pub(super) fn remark(&mut self, now: Time, index: usize, note: Note, effects: &mut Vec<Effect>) {
        let router = &mut self.routers[index];
        let (may, left_out) = router.words.may(now);
        if left_out > 0 {
            let line = format!("{left_out} more lines about what came in were left out");
            effects.push(Effect::Note(Note::Warning(router.config.name.clone(), line)));
        }
        if may {
            effects.push(Effect::Note(note));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_says_twenty_lines_a_minute_and_how_many_it_left_out() {
        let mut words = Words::default();
        let at = |millis| Time::ZERO + Duration::from_millis(millis);
        let said = (0..1000).filter(|n| words.may(at(*n)).0).count();
        assert_eq!(said, 20);
        assert_eq!(words.may(at(60_000)), (true, 980));
        assert_eq!(words.may(at(60_001)), (true, 0));
    }
}
