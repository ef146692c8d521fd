//! `locum top`: what the page shows, in a terminal: routers, checks with their latency, what happened last. Each
//! second it asks anew, and what it was not told it does not show.

use super::screen::{Key, Screen};
use super::told::{at, tell};
use super::{Daemon, Failure, USAGE, WELL, complain, history, show};
use crate::agent::Request;
use crate::agent::status::{CheckStatus, Status};
use crate::control::{Answer, Question};
use crate::history::parse;
use clap::Args;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::stdout;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long it may take to answer; keys wait meanwhile.
const WITHIN: Duration = Duration::from_secs(1);
/// How often to ask.
const EVERY: Duration = Duration::from_secs(1);
/// How many latencies are kept of each check.
const SAMPLES: usize = 60;
/// How many entries of the record are shown.
const ENTRIES: usize = 20;
/// From the least to the most.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Show how everything stands in a terminal of its own, live: q ends it, arrows scroll
#[derive(Debug, Args)]
pub(super) struct Top {
    #[command(flatten)]
    daemon: Daemon,
}

/// What it remembers between two looks.
#[derive(Default)]
struct Memory {
    /// By check: how many results there were, and how long the last took.
    latencies: BTreeMap<String, (u64, Vec<f64>)>,
}

impl Top {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let Some(screen) = Screen::take()? else {
            complain("top needs a terminal; `locum status --watch` writes anywhere");
            return Ok(USAGE);
        };
        let (mut memory, mut above) = (Memory::default(), 0_usize);
        loop {
            let lines = self.look(&mut memory);
            let asked = Instant::now();
            loop {
                let (_, rows) = Screen::size();
                above = above.min(lines.len().saturating_sub(rows.saturating_sub(1)));
                Screen::draw(&window(&lines, above, rows))?;
                match screen.key(EVERY.saturating_sub(asked.elapsed())) {
                    Some(Key::Quit) => return Ok(WELL),
                    Some(Key::Scroll(by)) => above = above.saturating_add_signed(by),
                    None if asked.elapsed() >= EVERY => break,
                    Some(Key::Again) | None => {}
                }
            }
        }
    }

    fn look(&self, memory: &mut Memory) -> Vec<String> {
        let text = match self.daemon.ask(&Question::Agent(Request::Status), WITHIN) {
            Ok(Answer::Status(status)) => {
                let file = status.daemon.get("config").map(PathBuf::from);
                let mut text = show::show(&status, show::on_terminal(&stdout()));
                text.push_str(&memory.latencies(&status));
                text.push_str(&self.happened(file.as_deref()));
                text
            }
            Ok(_) => "the daemon answered something else than was asked\n".to_owned(),
            Err(error) => format!("{error}\n"),
        };
        text.lines().map(str::to_owned).collect()
    }

    /// The last entries of the record, the latest first; nothing where it cannot be read.
    fn happened(&self, config: Option<&Path>) -> String {
        let read = || std::fs::read(history::record(config, &self.daemon).ok()?).ok();
        let record = read().map(|bytes| parse(&bytes, Path::new(""))).unwrap_or_default();
        let mut text = String::new();
        for line in record.lines.iter().rev().take(ENTRIES) {
            let subject = line.entry.event.subject().unwrap_or("-");
            let told = show::clean(&format!("{subject}  {}", tell(&line.entry.event, None)));
            let _ = writeln!(text, "  {}  {told}", at(line.entry.time));
        }
        if text.is_empty() { text } else { format!("\nwhat happened, the latest first\n{text}") }
    }
}

/// The lines that a window of so many rows shows, under one that says what can be done.
fn window(lines: &[String], above: usize, rows: usize) -> Vec<String> {
    let below = lines.len().saturating_sub(above + rows.saturating_sub(1));
    let more = if below > 0 { format!(", {below} lines below") } else { String::new() };
    let head = format!("q ends, arrows scroll{more}");
    let shown = lines.iter().skip(above).take(rows.saturating_sub(1)).cloned();
    std::iter::once(head).chain(shown).collect()
}

impl Memory {
    fn latencies(&mut self, status: &Status) -> String {
        let widest = status.checks.iter().map(|check| check.name.0.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for CheckStatus { name, latency_ms, results, .. } in &status.checks {
            let (count, list) = self.latencies.entry(name.to_string()).or_default();
            let now = results.passed + results.failed;
            if let Some(latency) = latency_ms.filter(|_| *count != now) {
                *count = now;
                list.push(latency);
                list.drain(..list.len().saturating_sub(SAMPLES));
            }
            let most = list.iter().copied().fold(0.0, f64::max);
            let name = show::clean(&name.0);
            let _ = writeln!(text, "  {name:widest$}  {}  {most:.1}ms at most", bars(list, most));
        }
        if text.is_empty() { text } else { format!("\nlatency\n{text}") }
    }
}

/// One bar for each, the highest for the most.
fn bars(list: &[f64], most: f64) -> String {
    // In eighths of the most: the first that reaches up to it.
    let of = |it: &f64| {
        let reaches = |eighths: u8| it * 8.0 <= most * f64::from(eighths);
        BARS.into_iter().zip(1..).find(|(_, eighths)| reaches(*eighths)).map_or('█', |(bar, _)| bar)
    };
    list.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_bar_is_the_longest_latency() {
        assert_eq!(bars(&[0.1, 4.0, 8.0], 8.0), "▁▄█");
        assert_eq!(bars(&[], 0.0), "");
        assert_eq!(bars(&[0.0], 0.0), "▁");
    }

    #[test]
    fn a_small_window_says_how_much_is_below() {
        let lines: Vec<String> = (0..10).map(|line| line.to_string()).collect();
        let shown = window(&lines, 2, 4);
        assert_eq!(shown, ["q ends, arrows scroll, 5 lines below", "2", "3", "4"]);
        assert_eq!(window(&lines, 0, 24).len(), 11);
    }
}
