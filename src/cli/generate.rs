//! `locum generate`: the man pages and shell completions, for whoever packages Locum.

use super::{Failure, Line, WELL};
use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate_to};
use clap_mangen::Man;
use std::fs;
use std::path::{Path, PathBuf};

/// Write man pages and shell completions into a folder
#[derive(Debug, Args)]
pub(super) struct Generate {
    /// The folder; made where it is missing
    folder: PathBuf,
}

impl Generate {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let (man, completions) = (self.folder.join("man"), self.folder.join("completions"));
        let write = || {
            fs::create_dir_all(&man)?;
            fs::create_dir_all(&completions)?;
            pages(&man)?;
            for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
                generate_to(shell, &mut Line::command(), "locum", &completions)?;
            }
            Ok(WELL)
        };
        write().map_err(|error: std::io::Error| {
            Failure::Other(format!("cannot write into {}: {error}", self.folder.display()))
        })
    }
}

/// One page a command; all of them for administrators (section 8).
fn pages(folder: &Path) -> std::io::Result<()> {
    let mut line = Line::command().disable_help_subcommand(true);
    line.build();
    let shown = line.get_subcommands().filter(|command| !command.is_hide_set());
    for command in shown.chain([&line]) {
        Man::new(command.clone()).section("8").manual("Locum").generate_to(folder)?;
    }
    Ok(())
}
