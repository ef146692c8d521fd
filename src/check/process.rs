//! Probe: a process exists, by `/proc`. Those that were found are watched until the next probe.

use super::sentry::{Found, find};
use super::target::plain;
use super::{Attempt, Pattern};
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// The kernel cuts a process's name here.
const COMM: usize = 15;

/// Which processes count, and how many there must be. All given criteria must hold for the same
/// process; zombies and Locum itself never count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Config {
    /// The name, as `ps -e` shows it, or the file name of the first argument.
    pub name: Option<String>,
    /// The process whose number is in this file.
    pub pidfile: Option<PathBuf>,
    /// Matches the arguments, joined by spaces.
    pub command: Option<Pattern>,
    /// At least this many.
    pub min: usize,
    /// At most this many.
    pub max: Option<usize>,
}

impl Config {
    pub(super) fn validate(&self) -> Result<(), String> {
        if self.name.is_none() && self.pidfile.is_none() && self.command.is_none() {
            return Err("a process check needs a name, a pidfile or a command".to_owned());
        }
        match self.max {
            Some(max) if max < self.min => Err(format!("at most {max} is less than at least {}", self.min)),
            _ => Ok(()),
        }
    }

    /// Whether so many are as many as wanted.
    fn judge(&self, found: usize) -> Result<(), String> {
        let wrong = |bound: String| Err(format!("{found} processes {}, wanted {bound}", wanted(self)));
        match self.max {
            _ if found < self.min => wrong(format!("{} or more", self.min)),
            Some(max) if found > max => wrong(format!("{max} or fewer")),
            _ => Ok(()),
        }
    }
}

pub(super) async fn probe(config: &Config, attempt: &Attempt<'_>) -> Result<(), String> {
    config.validate()?;
    let looked = config.clone();
    let found = attempt.lane.run(move || look(&looked)).await?;
    attempt.reads(i32::try_from(found.len()).unwrap_or(i32::MAX));
    config.judge(found.len())?;
    let spare = found.len().saturating_sub(config.min);
    attempt.sentry.post(found, spare);
    Ok(())
}

/// What can be waited for of each process that counts.
fn look(config: &Config) -> Result<Vec<Option<OwnedFd>>, String> {
    let lives = |pid| match find(pid) {
        Found::Gone => None,
        Found::Lives(process) => Some(process),
    };
    Ok(match &config.pidfile {
        Some(path) => match pid_in(path) {
            Ok(pid) => Some(pid).filter(|pid| counts(*pid, config)).and_then(lives).into_iter().collect(),
            Err(_) if config.min == 0 => Vec::new(),
            Err(text) => return Err(text),
        },
        None => pids()?.filter(|pid| counts(*pid, config)).filter_map(lives).collect(),
    })
}

fn wanted(config: &Config) -> String {
    let name = config.name.as_ref().map(|name| format!("named {name}"));
    let pidfile = config.pidfile.as_ref().map(|path| format!("with the number in {}", path.display()));
    let command = config.command.as_ref().map(|pattern| format!("run as {pattern}"));
    [name, pidfile, command].into_iter().flatten().collect::<Vec<_>>().join(" and ")
}

fn pid_in(path: &Path) -> Result<u32, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {}", path.display(), plain(&error)))?;
    text.trim().parse().map_err(|_| format!("{} holds no process number", path.display()))
}

fn pids() -> Result<impl Iterator<Item = u32>, String> {
    let entries = fs::read_dir("/proc").map_err(|error| format!("/proc: {}", plain(&error)))?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()))
}

/// Whether the process lives and fits. One that ends while we look does not.
fn counts(pid: u32, config: &Config) -> bool {
    let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).ok();
    let Some((comm, state)) = read("stat").as_deref().and_then(name_and_state) else {
        return false;
    };
    if matches!(state, b'Z' | b'X') || pid == std::process::id() {
        return false;
    }
    if config.name.is_none() && config.command.is_none() {
        return true;
    }
    let arguments = read("cmdline").unwrap_or_default();
    config.name.as_ref().is_none_or(|name| is_named(name, &comm, &arguments))
        && config.command.as_ref().is_none_or(|pattern| pattern.matches(&joined(&arguments)))
}

/// The second and third field of `/proc/PID/stat`: `12 (a (b) c) S …`. The name may hold anything.
fn name_and_state(stat: &[u8]) -> Option<(Vec<u8>, u8)> {
    let open = stat.iter().position(|byte| *byte == b'(')?;
    let close = stat.iter().rposition(|byte| *byte == b')')?;
    Some((stat.get(open + 1..close)?.to_vec(), *stat.get(close + 2)?))
}

fn is_named(name: &str, comm: &[u8], arguments: &[u8]) -> bool {
    let name = name.as_bytes();
    let program = arguments.split(|byte| *byte == 0).next().unwrap_or_default();
    let file = program.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    name == file || (name.len() <= COMM && name == comm)
}

fn joined(arguments: &[u8]) -> Vec<u8> {
    let end = arguments.strip_suffix(&[0]).unwrap_or(arguments);
    end.iter().map(|byte| if *byte == 0 { b' ' } else { *byte }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_is_read_whole() {
        assert_eq!(name_and_state(b"12 (a) S (b)) Z 1 2"), Some((b"a) S (b)".to_vec(), b'Z')));
    }

    #[test]
    fn a_cut_stat_line_is_no_process() {
        assert_eq!(name_and_state(b"12 (a"), None);
        assert_eq!(name_and_state(b"12 (a)"), None);
        assert_eq!(name_and_state(b")("), None);
    }

    #[test]
    fn a_name_longer_than_the_kernel_keeps_is_compared_with_the_program() {
        assert!(is_named("a-rather-long-daemon", b"a-rather-long-d", b"/usr/bin/a-rather-long-daemon\0-x\0"));
        assert!(!is_named("a-rather-long-d!", b"a-rather-long-d", b"/usr/bin/other\0"));
        assert!(is_named("kthreadd", b"kthreadd", b""));
    }
}
