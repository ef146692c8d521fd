//! `locum log`: other levels while the daemon runs, for a time or for as long as it runs.

use super::levels::{self, Levels};
use super::logger;
use crate::agent::Response;
use crate::config::show;
use crate::control::{LogOrder, Who};
use crate::time::Time;
use std::time::Duration;
use tracing::info;

/// The longest that a change may last before it is for good.
const LONGEST: Duration = Duration::from_hours(24 * 7);

/// What to go back to, and when.
#[derive(Default)]
pub(super) struct Tuning {
    former: Option<(Levels, Time)>,
}

impl Tuning {
    /// When to go back.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.former.as_ref().map(|(_, at)| *at)
    }

    /// Goes back, if it is time, and says what the limit of lines has left out.
    pub(super) fn look_after(&mut self, now: Time) {
        logger::settle(false);
        if let Some((levels, _)) = self.former.take_if(|(_, at)| *at <= now) {
            logger::want(levels.clone());
            info!("log levels are {levels} again");
        }
    }

    /// Changes what is asked for, and says what is wanted now.
    pub(super) fn order(&mut self, order: &LogOrder, who: Who, now: Time) -> Response {
        let Some(current) = logger::levels() else {
            return refused("this daemon logs nowhere".to_owned());
        };
        let Some(level) = &order.level else { return self.shown(&current, now) };
        let read = levels::level(level).and_then(|level| {
            let module = order.module.as_deref().map(levels::module).transpose()?;
            let span = order.for_ms.map(Duration::from_millis);
            match span {
                Some(span) if span.is_zero() || span > LONGEST => {
                    Err(format!("for {span:?}: a time from 1ms to 7d"))
                }
                span => Ok((current.with(module, level), span)),
            }
        });
        let (wanted, span) = match read {
            Ok(both) => both,
            Err(line) => return refused(line),
        };
        let former = self.former.take().map_or(current, |(former, _)| former);
        self.former = span.map(|span| (former, now + span));
        logger::want(wanted.clone());
        info!(uid = who.uid, "log levels are {wanted} by order");
        self.shown(&wanted, now)
    }

    fn shown(&self, levels: &Levels, now: Time) -> Response {
        let until = self.former.as_ref().map(|(former, at)| {
            let left = Duration::from_secs((at.since(now) + Duration::from_millis(500)).as_secs());
            format!(", in {} {former} again", show(left))
        });
        Response::Done { lines: vec![format!("{levels}{}", until.unwrap_or_default())] }
    }
}

fn refused(line: String) -> Response {
    Response::Refused { lines: vec![line] }
}
