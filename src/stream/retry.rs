//! What a refusal comes to: whether to try again, and after how long. Computes; whoever waits is elsewhere.

use std::time::Duration;

/// The longest pause between two attempts.
const LONGEST: Duration = Duration::from_secs(300);

/// Why something was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It may be taken later; after this time, where the receiver names one.
    Later(String, Option<Duration>),
    /// It never will.
    Never(String),
}

impl Refusal {
    /// It may be taken later, nobody knows when.
    pub fn later(why: impl Into<String>) -> Self {
        Refusal::Later(why.into(), None)
    }

    /// Why, in one line.
    #[must_use]
    pub fn why(&self) -> &str {
        match self {
            Refusal::Later(why, _) | Refusal::Never(why) => why,
        }
    }

    /// The same in other words.
    #[must_use]
    pub fn map(self, words: impl FnOnce(String) -> String) -> Self {
        match self {
            Refusal::Later(why, after) => Refusal::Later(words(why), after),
            Refusal::Never(why) => Refusal::Never(words(why)),
        }
    }
}

/// What a status of HTTP means, `after` being its `Retry-After`. Redirections are not followed: a secret would
/// go where nobody has sent it.
///
/// # Errors
/// It was not taken.
pub fn judge(status: u16, after: Option<Duration>) -> Result<(), Refusal> {
    let why = format!("status {status}");
    match status {
        200..=299 => Ok(()),
        // Too early and too many are about the moment; a timeout as well.
        408 | 425 | 429 | 500..=599 => Err(Refusal::Later(why, after)),
        _ => Err(Refusal::Never(why)),
    }
}

/// How long to wait before retry number `retry`, counted from zero: twice as long each time, up to
/// five minutes, and by chance up to a half less, so that many hosts do not come back in one moment. What the
/// receiver asks for is waited for, within the same bound.
#[must_use]
pub fn pause(first: Duration, retry: u32, asked: Option<Duration>, chance: u64) -> Duration {
    let whole = first.saturating_mul(2_u32.saturating_pow(retry)).min(LONGEST);
    let half = u64::try_from((whole / 2).as_nanos()).unwrap_or(u64::MAX);
    let pause = whole.saturating_sub(Duration::from_nanos(chance % half.saturating_add(1)));
    asked.map_or(pause, |asked| asked.min(LONGEST).max(pause))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_double_up_to_the_longest_and_vary_by_a_half() {
        let pauses: Vec<_> = [0, 1, 2, 8, 9, u32::MAX].map(|retry| pause(SECOND, retry, None, 0)).into();
        assert_eq!(pauses, [1, 2, 4, 256, 300, 300].map(Duration::from_secs));
        for chance in [1, 7, u64::MAX / 3, u64::MAX] {
            let pause = pause(SECOND, 1, None, chance);
            assert!((SECOND..=2 * SECOND).contains(&pause), "{pause:?}");
        }
        assert_eq!(pause(Duration::ZERO, 3, None, 5), Duration::ZERO);
    }

    #[test]
    fn what_the_receiver_asks_for_is_waited_for_within_the_bound() {
        assert_eq!(pause(SECOND, 0, Some(30 * SECOND), 0), 30 * SECOND);
        assert_eq!(pause(SECOND, 0, Some(86_400 * SECOND), 0), LONGEST);
        assert_eq!(pause(SECOND, 4, Some(SECOND), 0), 16 * SECOND, "never sooner than without");
    }

    #[test]
    fn only_what_may_heal_is_tried_again() {
        for good in [200, 204, 299] {
            assert_eq!(judge(good, None), Ok(()));
        }
        for later in [408, 425, 429, 500, 502, 503, 599] {
            let wanted = Refusal::Later(format!("status {later}"), Some(SECOND));
            assert_eq!(judge(later, Some(SECOND)), Err(wanted));
        }
        for never in [100, 301, 302, 400, 401, 403, 404, 410, 422] {
            assert_eq!(judge(never, Some(SECOND)), Err(Refusal::Never(format!("status {never}"))));
        }
    }
}
