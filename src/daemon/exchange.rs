//! Another configuration or another program in the place of what runs: tried off the core, and taken up only
//! where it can be.

use super::dump::Dump;
use super::inbox::{Arrival, Meant};
use super::perform::{HOOKS_WITHIN, Performer};
use super::{EXIT_OK, replace, scheduling, watchdog};
use crate::agent::config::{Claims, Config as Rules};
use crate::agent::status::Status;
use crate::agent::{Input, Relay, Response};
use crate::config::{self, Config, Loaded, Problems};
use crate::control::{Asked, Question};
use std::convert::Infallible;
use std::process::exit;
use std::thread::JoinHandle;
use std::time::Duration;
use tracing::{error, info, warn};

/// The shortest interval of a Master that a service manager can start again in time: ending, being started and
/// starting takes it and us some tenths of a second.
const SHORTEST: Duration = Duration::from_millis(500);

/// Whether the next program is started by a service manager, once this process has ended.
fn by_service(asked: &Asked) -> bool {
    matches!(asked.question, Question::Restart { started_by_service: true })
}

/// Whether a service manager is fast enough for every router; one line if not.
fn in_time(new: &Loaded) -> Result<(), String> {
    let too_fast = new.config.agent.routers.iter().find(|router| router.interval.duration() < SHORTEST);
    too_fast.map_or(Ok(()), |router| {
        let (interval, name) = (config::show(router.interval.duration()), &router.name);
        Err(format!(
            "{name} advertises every {interval}, which a service manager is too slow for: it hands over"
        ))
    })
}

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
            let result = program.attempt(&path, &overrides.reading).and_then(|()| {
                // A newer program may take what this one cannot read.
                let Ok(new) = overrides.reload(&path, true) else { return Ok(()) };
                let in_time = || if by_service(&asked) { in_time(&new) } else { Ok(()) };
                follow(claims.as_ref(), &new).and_then(|()| in_time()).map_err(|line| vec![line])
            });
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

    /// Makes room for the next program, which takes in the relay. Returns only why it could not.
    pub(super) fn make_room(&mut self, relay: &Relay) -> Result<Infallible, String> {
        let control = &self.details.control.path;
        if !self.replacing.as_ref().is_some_and(by_service) {
            return self.program.replace(control, relay);
        }
        replace::leave(control, relay)?;
        watchdog::stopping();
        if let Some(ward) = &mut self.ward {
            ward.ends(EXIT_OK);
        }
        // Nothing is given up on the way out.
        exit(EXIT_OK.into())
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

    /// Writes a dump of how the agent stands, which has these rules.
    pub(super) fn dump(&mut self, dump: Dump, status: &Status, agent: Rules) {
        let config = Config { agent, details: (*self.details).clone() };
        self.dumper.dump(dump, status, &config);
    }

    /// A new configuration.
    pub(super) fn adopt(&mut self, loaded: Loaded) {
        self.skipped = super::warned(&loaded);
        let config = loaded.config;
        if config.agent.claims.is_some() {
            self.claims.clone_from(&config.agent.claims);
        }
        self.tasks.adopt(&config);
        let details = config.details;
        self.scheduled.adopt(&details.scheduling);
        // The socket stays where it is for as long as the daemon runs.
        self.record.web.adopt(details.http.as_ref());
        self.record.adopt(&details.journal, &self.details.control.path);
        *self.details = details;
        self.adopt_records();
    }
}
