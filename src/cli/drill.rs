//! `locum drill`: rehearses failures, measures them, and compares with what is promised.

use super::drill_live::{self, Live};
use super::drill_pace::Pace;
use super::{
    DEFAULT_CONFIG, Daemon, Failure, NO_ANSWER, NOT_DONE, Reading, USAGE, WELL, complain, drill_lab, say,
    show,
};
use crate::config::{Config, Secrets, load_as};
use crate::drill::{Kind, Objectives, Outcome, Report, Step, html};
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueHint};
use jiff::Timestamp;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Something is not as it was before.
const NOT_RESTORED: u8 = 4;

/// Rehearse a failure: do it, measure it, undo it, and compare with what [slo] promises
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[command(
    after_help = "On live hosts, of this one's daemon: connectivity, health and dns only look. failover hands the \
                  addresses over and takes them back; service runs service_stop and service_start of [drill]; daemon \
                  kills the daemon, which its guardian or systemd starts again. These three ask first, keep to \
                  the window of [drill], and refuse where the peer is not ready. With all, what cannot be done \
                  here is left out, and said.\n\nWith --lab nothing here is touched: two hosts with a service \
                  and a client, in namespaces that end with the drill, with the intervals of the router and of its \
                  slowest check.\n\nExit status: 0 everything as it should \
                  and as promised, 1 not, 2 refused or wrong usage, 3 no answer from the daemon, 4 something is \
                  not as it was before."
)]
pub(super) struct Drill {
    /// What to rehearse
    #[arg(value_name = "KIND", default_value = "all", value_parser = kinds())]
    kind: String,
    /// Only this router; otherwise all of them, and in a lab the one that takes longest to fail over
    router: Option<String>,
    /// In a throw-away lab on this machine instead of on live hosts
    #[arg(long)]
    lab: bool,
    /// Do not ask whether that is meant
    #[arg(short, long)]
    yes: bool,
    /// Outside of the maintenance window as well
    #[arg(long)]
    now: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Write the report into this folder as well: as text, JSON and HTML
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    report: Option<PathBuf>,
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// This is the first process of a lab of this pace
    #[arg(long, value_name = "PACE", hide = true, value_parser = pace)]
    inside: Option<Pace>,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    daemon: Daemon,
}

fn kinds() -> PossibleValuesParser {
    PossibleValuesParser::new(Kind::ALL.map(Kind::name).into_iter().chain(["all"]))
}

fn pace(text: &str) -> Result<Pace, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

impl Drill {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let one = Kind::ALL.into_iter().find(|kind| kind.name() == self.kind);
        let kinds: Vec<_> = one.map_or_else(|| Kind::ALL.to_vec(), |kind| vec![kind]);
        if let Some(pace) = &self.inside {
            return drill_lab::inside(&kinds, pace);
        }
        let config = match self.load() {
            Ok(config) => config,
            Err(why) => {
                complain(&why);
                return Ok(USAGE);
            }
        };
        if self.lab { self.in_lab(one, config.as_ref()) } else { self.live(one, &kinds, config.as_ref()) }
    }

    /// The configuration; `None` where nobody has named one and there is none.
    fn load(&self) -> Result<Option<Config>, String> {
        if self.config == Path::new(DEFAULT_CONFIG) && !self.config.exists() {
            return Ok(None);
        }
        let file = self.config.display();
        match load_as(&self.config, Secrets::BarRouter, &self.reading.options()) {
            Ok(loaded) => Ok(Some(loaded.config)),
            Err(_) => Err(format!("{file} cannot be used; `locum check {file}` says why")),
        }
    }

    fn in_lab(&self, kind: Option<Kind>, config: Option<&Config>) -> Result<u8, Failure> {
        let objectives = config.map(|config| config.details.objectives).unwrap_or_default();
        let pace = match (config, &self.router) {
            (Some(config), router) => Pace::of(config, router.as_deref()),
            (None, None) => Ok(Pace::default()),
            (None, Some(_)) => Err(format!(
                "there is no {}, which has that router: name the file with --config, or leave the router out",
                self.config.display()
            )),
        };
        let pace = match pace {
            Ok(pace) => pace,
            Err(why) => {
                complain(&why);
                return Ok(USAGE);
            }
        };
        if !nix::unistd::geteuid().is_root() {
            complain("a lab is made of namespaces, which takes root: sudo locum drill --lab");
            return Ok(USAGE);
        }
        let clock = Clock::start();
        let done = drill_lab::run(kind, &pace).map_err(Failure::Other)?;
        let steps = done.into_iter().map(|(kind, run)| Step::of(kind, run, &objectives)).collect();
        let node = config.map_or_else(|| "lab".to_owned(), |config| config.details.node.clone());
        self.tell(&clock.report(true, node, &objectives).with(steps))
    }

    fn live(&self, one: Option<Kind>, kinds: &[Kind], config: Option<&Config>) -> Result<u8, Failure> {
        let Some(config) = config else {
            let file = self.config.display();
            complain(&format!(
                "there is no {file}: name the daemon's with --config, or try it in a lab with --lab"
            ));
            return Ok(USAGE);
        };
        let socket = self.daemon.named().unwrap_or_else(|| config.details.control.path.clone());
        let live = match Live::find(config, socket, self.router.as_deref()) {
            Ok(live) => live,
            Err(drill_live::Why::Silent(why)) => {
                complain(&why);
                return Ok(NO_ANSWER);
            }
            Err(drill_live::Why::Refused(why)) => {
                complain(&why);
                return Ok(USAGE);
            }
        };
        let plan = live.plan(kinds, one.is_some(), self.now);
        let hindered = plan.iter().filter_map(|(_, refusal)| refusal.as_ref());
        let hindered: Vec<_> = hindered.filter(|refusal| refusal.hinders || one.is_some()).collect();
        for refusal in &hindered {
            complain(&refusal.why);
        }
        let moves = plan.iter().any(|(kind, refusal)| kind.moves() && refusal.is_none());
        let hindered = !hindered.is_empty();
        if one.is_some() && hindered {
            return Ok(USAGE);
        }
        if moves
            && !self.yes
            && let Some(code) = super::confirm::confirm(&live.question(&plan))?
        {
            return Ok(code);
        }
        let objectives = config.details.objectives;
        let clock = Clock::start();
        let (steps, ended) = live.steps(plan, &objectives)?;
        let node = config.details.node.clone();
        let code = self.tell(&clock.report(false, node, &objectives).with(steps))?;
        // A schedule should not take for done what was not.
        if let Some(why) = ended {
            complain(why);
        }
        Ok(match code {
            WELL if ended.is_some() => NOT_DONE,
            WELL if hindered => USAGE,
            code => code,
        })
    }

    /// Writes the report, and returns the exit code.
    fn tell(&self, report: &Report) -> Result<u8, Failure> {
        let json =
            serde_json::to_string_pretty(report).map_err(|error| Failure::Other(error.to_string()))? + "\n";
        // Errors of checks and the like come from elsewhere.
        let text: Vec<_> = report.text().lines().map(show::clean).collect();
        let text = text.join("\n") + "\n";
        let written = self.report.as_deref().map(|folder| write(folder, report, &text, &json)).transpose();
        say(if self.json { &json } else { &text })?;
        if let Some(place) = written?.filter(|_| !self.json) {
            say(&format!("written: {place}.txt, .json, .html\n"))?;
        }
        Ok(match report.outcome {
            Outcome::Met | Outcome::Skipped => WELL,
            Outcome::Missed => NOT_DONE,
            Outcome::NotRestored => NOT_RESTORED,
        })
    }
}

/// Writes all three forms. Returns what their names have in common.
fn write(folder: &Path, report: &Report, text: &str, json: &str) -> Result<String, Failure> {
    let place = folder.join(format!("drill-{}", report.began.strftime("%Y%m%dT%H%M%SZ")));
    let all = || {
        fs::create_dir_all(folder)?;
        fs::write(place.with_extension("txt"), text)?;
        fs::write(place.with_extension("json"), json)?;
        fs::write(place.with_extension("html"), html(report))
    };
    all().map_err(|error| {
        Failure::Other(format!("cannot write the report into {}: {error}", folder.display()))
    })?;
    Ok(place.display().to_string())
}

/// When it began.
struct Clock(Timestamp, Instant);

impl Clock {
    fn start() -> Self {
        Clock(Timestamp::now(), Instant::now())
    }

    fn report(&self, lab: bool, node: String, objectives: &Objectives) -> Report {
        let took = u64::try_from(self.1.elapsed().as_millis()).unwrap_or(u64::MAX);
        Report::new(lab, node, self.0, took, objectives)
    }
}
