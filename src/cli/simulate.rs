//! `locum simulate`: whole agents on a LAN that exists in memory only.

use super::{Failure, NOT_DONE, WELL, say};
use crate::sim;
use clap::Args;
use std::path::{Path, PathBuf};

/// Play routers against each other on a simulated network, with faults
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 as expected, 1 not.")]
pub(super) struct Simulate {
    /// Play this scenario file, and compare what comes of it with what it expects
    #[arg(long, value_name = "FILE")]
    scenario: PathBuf,
}

impl Simulate {
    pub(super) fn run(self) -> Result<u8, Failure> {
        play(&self.scenario)
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
