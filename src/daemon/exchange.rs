//! Another configuration or another program in the place of what runs: tried off the core, and taken up only
//! where it can be.

use super::inbox::{Arrival, Meant};
use super::perform::{HOOKS_WITHIN, Performer};
use super::{scheduling, watchdog};
use crate::agent::config::Claims;
use crate::agent::{Input, Response};
use crate::config::{Loaded, Problems};
use crate::control::{Asked, Question};
use std::thread::JoinHandle;
use tracing::{error, info, warn};

/// Whether the vote can go on with a new configuration; one line if not.
fn follow(claims: Option<&Claims>, new: &Loaded) -> Result<(), String> {
    claims.map_or(Ok(()), |claims| claims.can_become(new.config.agent.claims.as_ref()))
}

impl Performer {
    /// Tries the next program on the configuration, off the core.
    pub(super) fn restart(&self, asked: Asked) {
        let refused = match (&self.overrides.instead, &self.replacing) {
            (Some(_), _) => Some("a daemon in keepalived's place is stopped and started, as keepalived is"),
            (_, Some(_)) => Some("a restart is under way already"),
            _ => None,
        };
        if let Some(line) = refused {
            let _ = asked.answer.send(Response::Refused { lines: vec![line.to_owned()] });
            return;
        }
        let (program, inbox) = (self.program.clone(), self.inbox.clone());
        let (path, overrides, claims) = (self.path.clone(), self.overrides.clone(), self.claims.clone());
        let attempt = move || {
            // A newer program may take what this one cannot read.
            let claims_follow =
                || overrides.reload(&path, true).map_or(Ok(()), |new| follow(claims.as_ref(), &new));
            let tried = program.attempt(&path, &overrides.reading);
            let result = tried.and_then(|()| claims_follow().map_err(|line| vec![line]));
            inbox.put(Arrival::Tried { asked, result });
        };
        if let Err(error) = scheduling::spawn("restart", attempt) {
            warn!("the next program cannot be tried: {error}");
        }
    }

    /// Ends what runs besides the core, and then comes the next program.
    pub(super) fn tried(&mut self, asked: Asked, result: Result<(), Vec<String>>) {
        if let Err(lines) = result {
            warn!("restart refused, this process goes on: {}", lines.join("; "));
            let _ = asked.answer.send(Response::Refused { lines });
            return;
        }
        info!("{} takes the place of this process", self.program);
        self.replacing = Some(asked);
        let (tasks, inbox) = (self.tasks.retire(HOOKS_WITHIN), self.inbox.clone());
        let wait = move || {
            let _ = tasks.map(JoinHandle::join);
            inbox.put(Arrival::Retired);
        };
        if let Err(error) = scheduling::spawn("retire", wait) {
            error!("the next program cannot be waited for: {error}; stopping instead");
            self.stuck = true;
            self.inbox.put(Arrival::Stop);
        }
    }

    /// Reads the configuration off the core: files and user databases may be slow.
    pub(super) fn load(&self, asked: Option<Asked>, dry_run: bool) {
        let (path, inbox, overrides) = (self.path.clone(), self.inbox.clone(), self.overrides.clone());
        let read = move || {
            let result = overrides.reload(&path, dry_run).map(Box::new);
            inbox.put(Arrival::Loaded { asked, dry_run, result });
        };
        if let Err(error) = scheduling::spawn("reload", read) {
            warn!(target: "locum::config", "the configuration cannot be read again: {error}");
        }
    }

    pub(super) fn loaded(
        &mut self,
        asked: Option<Asked>,
        dry_run: bool,
        result: Result<Box<Loaded>, Problems>,
    ) -> Option<Meant> {
        let stays = |new: &Loaded| self.details.identity.is_still(&new.config.details.identity);
        let result = result.map_err(|problems| problems.render(false));
        let follows = |new: &Loaded| stays(new).and_then(|()| follow(self.claims.as_ref(), new));
        let result = result.and_then(|loaded| follows(&loaded).map(|()| loaded));
        if !dry_run {
            watchdog::ready();
            self.reloads.count(super::now(), result.is_ok());
        }
        match result {
            Ok(loaded) => {
                let agent = Box::new(loaded.config.agent.clone());
                let ticket = asked.map(|asked| self.ticket(asked));
                let besides = self.details.changes(&loaded.config.details);
                let input = Input::Reload { ticket, dry_run, besides, config: agent };
                Some(if dry_run { Meant::Input(input) } else { Meant::Adopt { input, loaded } })
            }
            Err(text) => {
                warn!(target: "locum::config", "reload refused, the old configuration stays:\n{text}");
                let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
                self.record.refused(&Question::Reload { dry_run }, &lines);
                if let Some(asked) = asked {
                    lines.insert(0, "the old configuration stays in force".to_owned());
                    let _ = asked.answer.send(Response::Refused { lines });
                }
                None
            }
        }
    }

    /// A new configuration.
    pub(super) fn adopt(&mut self, loaded: Loaded) {
        self.skipped = super::warned(&loaded);
        let config = loaded.config;
        if config.agent.claims.is_some() {
            self.claims.clone_from(&config.agent.claims);
        }
        if let Some(dumper) = &mut self.dumper {
            dumper.adopt(&config);
        }
        self.tasks.adopt(&config);
        let details = config.details;
        self.scheduled.adopt(&details.scheduling);
        // The socket stays where it is for as long as the daemon runs.
        self.record.web.adopt(details.http.as_ref());
        self.record.adopt(&details.journal, &self.details.control.path);
        self.details = details;
        self.adopt_records();
    }
}
