//! `locum simulate`: whole agents on a LAN that exists in memory only.

use super::{Failure, NOT_DONE, WELL, rules, say};
use crate::sim;
use clap::{ArgGroup, Args};
use std::path::{Path, PathBuf};

/// Play routers against each other on a simulated network, with faults
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true))]
#[command(after_help = "Each seed is one run: random faults, healing, one clean loss, and the laws of the \
                        protocol throughout. The same seed does the same again, to the bit.\n\n\
                        Exit status: 0 every law was kept, or the scenario went as expected; 1 not.")]
pub(super) struct Simulate {
    /// Run so many seeds
    #[arg(long, value_name = "N", group = "what", value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// Begin with this seed
    #[arg(long, value_name = "S", default_value_t = 1, conflicts_with = "scenario")]
    seed: u64,
    /// The configuration of one node; once for each node. Random nodes otherwise
    #[arg(long, value_name = "FILE", conflicts_with = "scenario")]
    config: Vec<PathBuf>,
    /// Random nodes need the claim of a majority, two of them with a witness, and clocks are up to 1 % off
    #[arg(long, conflicts_with_all = ["scenario", "config"])]
    quorum: bool,
    /// Random nodes are on two networks, and adverts and votes take both
    #[arg(long, conflicts_with_all = ["scenario", "config"])]
    second_path: bool,
    /// Random nodes that fail too often as Master take nothing back for a while
    #[arg(long, conflicts_with_all = ["scenario", "config"])]
    damping: bool,
    /// Play this scenario file, and compare what comes of it with what it expects
    #[arg(long, value_name = "FILE", group = "what")]
    scenario: Option<PathBuf>,
}

impl Simulate {
    pub(super) fn run(self) -> Result<u8, Failure> {
        self.scenario.as_ref().map_or_else(|| self.random(), |file| play(file))
    }

    fn random(&self) -> Result<u8, Failure> {
        let configs: Vec<_> = self.config.iter().map(|file| rules(file)).collect::<Result<_, _>>()?;
        let configs = Some(configs.as_slice()).filter(|configs| !configs.is_empty());
        let (voting, second_path, damping) = (self.quorum, self.second_path, self.damping);
        let run = sim::Run { configs, voting, second_path, damping, ..sim::Run::default() };
        let outcome = sim::run_seeds(self.seed, self.seeds.unwrap_or(1), run);
        say(&outcome.text())?;
        Ok(if outcome.failures.is_empty() { WELL } else { NOT_DONE })
    }
}

fn play(file: &Path) -> Result<u8, Failure> {
    let named = |error: &dyn std::fmt::Display| Failure::Other(format!("{}: {error}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| named(&error))?;
    let reports = sim::run_scenario(&text).map_err(|error| named(&error))?;
    for report in &reports {
        say(&report.text())?;
    }
    Ok(if reports.iter().all(sim::Report::passed) { WELL } else { NOT_DONE })
}
