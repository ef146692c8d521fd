//! A maintenance window: a span of each day, by the host's local time.

use jiff::civil::Time;
use std::fmt;
use std::str::FromStr;

/// From the one time, inclusive, to the other; over midnight where that is earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    from: Time,
    to: Time,
}

impl Window {
    /// Whether this time is in it.
    #[must_use]
    pub fn has(&self, time: Time) -> bool {
        if self.from < self.to {
            self.from <= time && time < self.to
        } else {
            self.from <= time || time < self.to
        }
    }
}

impl FromStr for Window {
    type Err = String;

    /// `02:00-04:00`
    ///
    /// # Errors
    /// One line with its mend.
    fn from_str(text: &str) -> Result<Self, String> {
        let time = |text: &str| text.trim().parse::<Time>().ok();
        let both = text.split_once('-').and_then(|(from, to)| Some((time(from)?, time(to)?)));
        let (from, to) =
            both.filter(|(from, to)| from != to).ok_or_else(|| format!("\"{text}\" is no span of a day"))?;
        Ok(Window { from, to })
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.from.strftime("%H:%M"), self.to.strftime("%H:%M"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_may_go_over_midnight() {
        let at = |text: &str| text.parse::<Time>().unwrap();
        let day: Window = "02:00-04:00".parse().unwrap();
        assert_eq!(day.to_string(), "02:00 to 04:00");
        for (time, inside) in [("01:59", false), ("02:00", true), ("03:59", true), ("04:00", false)] {
            assert_eq!(day.has(at(time)), inside, "{time}");
        }
        let night: Window = "22:30 - 01:00".parse().unwrap();
        for (time, inside) in [("22:29", false), ("23:00", true), ("00:59", true), ("01:00", false)] {
            assert_eq!(night.has(at(time)), inside, "{time}");
        }
        for wrong in ["", "02:00", "02:00-25:00", "02:00-02:00", "2-4"] {
            assert!(wrong.parse::<Window>().is_err(), "{wrong}");
        }
    }
}
