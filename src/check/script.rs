//! Probe: a program exits with 0. It runs in a process group of its own, which is ended when its
//! time is up: first asked (TERM), then killed (KILL). How is [`crate::process`]'s affair.

use super::Attempt;
use crate::process::{Command, Ended, Inherit, User, run_again};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::time::Duration;

/// The longest time from a script's timeout until it is gone: 2 s after TERM comes KILL.
pub(super) const END: Duration = Duration::from_millis(2500);

/// What to run, and as whom. No shell is involved but to read a file without `#!`, as ever.
#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    /// The program, as an absolute path, then its arguments.
    pub argv: Vec<String>,
    /// Who runs it, and with which group.
    pub user: User,
    /// What of the daemon's environment it has.
    pub inherit: Inherit,
}

impl Hash for Config {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.argv, self.user.uid, self.user.gid, &self.user.groups, self.inherit).hash(state);
    }
}

impl fmt::Debug for Config {
    /// Without the arguments, which can hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("program", &self.program())
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Config {
    fn program(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        if self.program().starts_with('/') {
            Ok(())
        } else {
            Err(format!("the script \"{}\" is not an absolute path: write it from / on", self.program()))
        }
    }
}

pub(super) async fn probe(config: &Config, attempt: &Attempt<'_>) -> Result<(), String> {
    // A dead file server keeps the start, and so the lane, until it comes back: every attempt would get one
    // more thread stuck.
    let inside = attempt.lane.enter().await?;
    let command = Command {
        argv: config.argv.clone(),
        inherit: config.inherit,
        environment: Vec::new(),
        user: config.user.clone(),
        timeout: attempt.schedule.timeout,
    };
    let finished = run_again(inside, &command).await;
    verdict(config.program(), &finished.ended, &finished.output)
}

fn verdict(program: &str, ended: &Ended, output: &str) -> Result<(), String> {
    match ended {
        Ended::Exit(0) => Ok(()),
        Ended::NotStarted(why) => Err(format!("script {program} cannot be executed: {why}")),
        Ended::Exit(_) | Ended::Signal(_) | Ended::TimedOut => {
            Err(match output.lines().map(str::trim).find(|line| !line.is_empty()) {
                Some(line) => format!("script {program}: {ended}: {line}"),
                None => format!("script {program}: {ended}"),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_hides_the_arguments() {
        let argv = vec!["/bin/probe".to_owned(), "--password=hush".to_owned()];
        let shown = format!("{:?}", Config { argv, user: User::own(), inherit: Inherit::Nothing });
        assert!(shown.contains("/bin/probe") && !shown.contains("hush"), "{shown}");
    }

    #[test]
    fn the_verdict_names_the_end_and_the_first_line_written() {
        let ended = |ended| verdict("/x/y", &ended, "\n  first \nsecond\n");
        assert_eq!(ended(Ended::Exit(0)), Ok(()));
        assert_eq!(ended(Ended::Exit(2)).unwrap_err(), "script /x/y: exit code 2: first");
        assert_eq!(ended(Ended::Signal(9)).unwrap_err(), "script /x/y: killed by SIGKILL: first");
        let never = ended(Ended::NotStarted("permission denied".to_owned()));
        assert_eq!(never.unwrap_err(), "script /x/y cannot be executed: permission denied");
    }
}
