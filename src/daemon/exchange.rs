//! Another configuration or another program in the place of what runs: tried off the core, and taken up only
//! where it can be.

use super::inbox::{Arrival, Meant};
use super::perform::{HOOKS_WITHIN, Performer};
use super::{scheduling, watchdog};
use crate::agent::{Input, Response};
use crate::config::{Loaded, Problems};
use crate::control::{Asked, Question};
use std::thread::JoinHandle;
use tracing::{error, info, warn};

impl Performer {
    /// Tries the next program on the configuration, off the core.
    pub(super) fn restart(&self, asked: Asked) {
        let refused = match (&self.overrides.instead, &self.replacing) {
            (Some(_), _) => Some("a daemon in keepalived's place is stopped and started, as keepalived is"),
            (_, Some(_)) => Some("a restart is under way already"),
            _ if self.sockets.votes() || self.tasks.consults() => {
                Some("a program in the place of this one would hold without a claim: stop it, then start it")
            }
            _ => None,
        };
        if let Some(line) = refused {
            let _ = asked.answer.send(Response::Refused { lines: vec![line.to_owned()] });
            return;
        }
        let (program, inbox) = (self.program.clone(), self.inbox.clone());
        let (path, reading) = (self.path.clone(), self.overrides.reading.clone());
        let attempt = move || {
            let result = program.attempt(&path, &reading);
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
            warn!("the configuration cannot be read again: {error}");
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
        let result = result.and_then(|loaded| stays(&loaded).map(|()| loaded));
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
                warn!("reload refused, the old configuration stays:\n{text}");
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
