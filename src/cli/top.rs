//! `locum top`: what the page shows, in a terminal: routers, checks with their latency, the cluster, the last incidents
//! step by step. Each second it asks anew, and what it was not told it does not show.

use super::screen::{Key, Screen, fold};
use super::span::span;
use super::told::{at, cause, tell};
use super::{Daemon, Failure, USAGE, WELL, cluster, complain, history, show};
use crate::agent::Request;
use crate::agent::cluster::Cluster;
use crate::agent::status::{CheckStatus, Status};
use crate::control::{Answer, Question};
use crate::history::{Event, Incident, Step, incidents, recent};
use clap::Args;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::stdout;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long it may take to answer; keys wait meanwhile.
const WITHIN: Duration = Duration::from_secs(1);
/// How often to ask.
const EVERY: Duration = Duration::from_secs(1);
/// How many latencies are kept of each check.
const SAMPLES: usize = 60;
/// How many of them are shown however narrow the window is.
const FEWEST: usize = 4;
/// How long the cluster may take to answer: hosts that are gone have each their time.
const CLUSTER_WITHIN: Duration = Duration::from_secs(4);
/// How many incidents are shown.
const INCIDENTS: usize = 10;
/// How much of the record's end is read for them, in bytes.
const RECENT: u64 = 64 << 10;
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
        let others = Others::start(self.daemon.clone());
        loop {
            let said = self.look(&mut memory, &others);
            let asked = Instant::now();
            loop {
                let (columns, rows) = Screen::size();
                let lines: Vec<_> = said.iter().flat_map(|line| fold(line, columns)).collect();
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

    fn look(&self, memory: &mut Memory, others: &Others) -> Vec<String> {
        let text = match self.daemon.ask(&Question::Agent(Request::Status), WITHIN) {
            Ok(Answer::Status(status)) => {
                let colour = show::on_terminal(&stdout());
                let file = status.daemon.get("config").map(PathBuf::from);
                let (alarm, cluster) = others.text(colour);
                let mut text = alarm + &show::show(&status, colour);
                let (columns, _) = Screen::size();
                text.push_str(&memory.latencies(&status, columns));
                text.push_str(&cluster);
                text.push_str(&self.happened(file.as_deref()));
                text
            }
            Ok(_) => "the daemon answered something else than was asked\n".to_owned(),
            Err(error) => format!("{error}\n"),
        };
        text.lines().map(str::to_owned).collect()
    }

    /// The last incidents of the record, the latest first.
    fn happened(&self, config: Option<&Path>) -> String {
        let told = match history::record(config, &self.daemon) {
            // One that nothing was written to yet is not there.
            Ok(path) => match std::fs::File::open(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    format!("  {} cannot be read: {error}\n", path.display())
                }
                _ => incidents(&recent(&path, RECENT), INCIDENTS).iter().map(incident).collect(),
            },
            Err(why) => format!("  {why}\n"),
        };
        if told.is_empty() { told } else { format!("\nincidents, the latest first\n{told}") }
    }
}

/// What the nodes of the cluster said last, and when that came. Somebody else asks them: a host that is gone
/// takes its time, and keys shall not wait for it.
struct Others(Arc<Mutex<Option<(Cluster, Instant)>>>);

impl Others {
    fn start(daemon: Daemon) -> Self {
        let shared = Arc::default();
        let others = Others(Arc::clone(&shared));
        // It ends with the program.
        thread::spawn(move || {
            loop {
                let asked = Instant::now();
                // Without an answer what was said grows old. An older daemon has none.
                if let Ok(Answer::Cluster(cluster)) = daemon.ask(&Question::Cluster, CLUSTER_WITHIN) {
                    let told = Some((cluster, Instant::now()));
                    *shared.lock().unwrap_or_else(PoisonError::into_inner) = told;
                }
                thread::sleep(EVERY.saturating_sub(asked.elapsed()));
            }
        });
        others
    }

    /// What comes first, and what comes in its place.
    fn text(&self, colour: bool) -> (String, String) {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            None => <_>::default(),
            Some((nodes, told)) => {
                let since = told.elapsed();
                (cluster::alarm(nodes, since, colour), cluster::show(nodes, since, colour))
            }
        }
    }
}

/// What it came to in a line, then its outages and steps.
fn incident(it: &Incident) -> String {
    let last = it.steps.iter().rev().find(|step| matches!(step.entry.event, Event::Transition(_)));
    let Some(main) = last.or(it.steps.first()) else { return String::new() };
    let subject = |step: &Step| step.entry.event.subject().unwrap_or("-").to_owned();
    let line = |step: &Step| show::clean(&format!("{}  {}", subject(step), tell(&step.entry.event, None)));
    let count = it.steps.len();
    let steps =
        if count == 1 { "1 step".to_owned() } else { format!("{count} steps in {}", span(it.took_ms)) };
    let mut text = format!("  {}  {} ({steps})\n", at(it.began), line(main));
    for outage in &it.outages {
        let _ = writeln!(
            text,
            "      outage of {}",
            show::clean(&format!("{}: {}", outage.router, cause(outage)))
        );
    }
    for step in it.steps.iter().filter(|_| count > 1) {
        let _ = writeln!(text, "      {:>6}  {}", format!("+{}", span(step.at_ms)), line(step));
    }
    text
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
    /// As many of the last as stand in one line of the window.
    fn latencies(&mut self, status: &Status, columns: usize) -> String {
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
            let most_said = format!("{most:.1}ms at most");
            let room = columns.saturating_sub(widest + most_said.len() + 6).max(FEWEST);
            let shown = list.get(list.len().saturating_sub(room)..).unwrap_or_default();
            let _ = writeln!(text, "  {name:widest$}  {}  {most_said}", bars(shown, most));
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
