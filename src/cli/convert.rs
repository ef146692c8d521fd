//! `locum convert`: a keepalived.conf as TOML that means the same.

use super::show::on_terminal;
use super::{Failure, NOT_DONE, Reading, WELL, complain, say};
use crate::config::keepalived::{Converted, SecretFile, convert};
use crate::config::{Secrets, is_keepalived, parse};
use clap::Args;
use std::fs::{self, OpenOptions};
use std::io::{self, Write, stderr};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The standard output, if it is a file.
const OUTPUT: &str = "/proc/self/fd/1";

/// Permission bits for anyone but the owner.
const OTHERS: u32 = 0o077;

/// Turn a keepalived.conf into a file of TOML that means the same
#[derive(Debug, Args)]
#[command(after_help = "Passwords and keys go into files of their own, mode 600, beside the TOML. What \
                        cannot be converted is told, and stands in the file as a comment. Exit status: \
                        0 converted, 1 not, or not all of it could be written.")]
pub(super) struct Convert {
    /// The keepalived.conf
    #[arg(value_name = "FILE", default_value = "/etc/keepalived/keepalived.conf")]
    file: PathBuf,
    /// Write to this new file [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    reading: Reading,
}

impl Convert {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let file = self.file.display();
        if self.file.exists() && !is_keepalived(&self.file) {
            return Err(Failure::Other(format!("{file} is no keepalived.conf: it is TOML already")));
        }
        let converted = match convert(&self.file, &self.reading.options()) {
            Ok(converted) => converted,
            Err(problems) => {
                let _ = writeln!(stderr(), "{}\n", problems.render(on_terminal(&stderr())));
                return Err(Failure::Other(format!("{file} cannot be converted")));
            }
        };
        for line in &converted.lost {
            complain(line);
        }
        let target = self.output.clone().or_else(redirected);
        let Some(target) = target else {
            say(&converted.toml)?;
            return Ok(unwritten(&converted.secrets));
        };
        let folder =
            target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        for secret in &converted.secrets {
            keep(folder, secret)?;
        }
        match &self.output {
            Some(output) => {
                write_new(output, 0o666, converted.toml.as_bytes())?;
            }
            None => say(&converted.toml)?,
        }
        same(&converted, &target)?;
        Ok(WELL)
    }
}

/// The file that standard output goes to, if it is one.
fn redirected() -> Option<PathBuf> {
    fs::metadata(OUTPUT).is_ok_and(|output| output.is_file()).then(|| fs::read_link(OUTPUT).ok())?
}

/// Writes a file that was not there before, wholly or not at all.
fn write_new(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), Failure> {
    let new = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = new.and_then(|mut file| file.write_all(bytes).inspect_err(|_| drop(fs::remove_file(path))));
    written.map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    let mend = match error.kind() {
        io::ErrorKind::AlreadyExists => ": remove it first, or name another",
        _ => "",
    };
    Failure::Other(format!("cannot write {}: {error}{mend}", path.display()))
}

/// Writes a secret for its owner alone; one that is there already stays, if it is the same.
fn keep(folder: &Path, secret: &SecretFile) -> Result<(), Failure> {
    let path = folder.join(&secret.name);
    let mut line = secret.line.expose().to_vec();
    line.push(b'\n');
    let private = |found: fs::Metadata| found.permissions().mode() & OTHERS == 0;
    if fs::read(&path).is_ok_and(|there| there == line) && fs::metadata(&path).is_ok_and(private) {
        return Ok(());
    }
    write_new(&path, 0o600, &line)?;
    complain(&format!("{} holds a secret of the configuration", path.display()));
    Ok(())
}

/// Nobody knows where the output goes, so the secrets cannot be put beside it.
fn unwritten(secrets: &[SecretFile]) -> u8 {
    let names: Vec<_> = secrets.iter().map(|secret| secret.name.as_str()).collect();
    if names.is_empty() {
        return WELL;
    }
    let names = names.join(", ");
    complain(&format!("secrets are not written: {names}; name a file with -o, and they stand beside it"));
    NOT_DONE
}

/// Reads what was written, and compares what both files stand for.
fn same(converted: &Converted, target: &Path) -> Result<(), Failure> {
    let shown = target.display();
    match parse(&converted.toml, target, Secrets::MustRead) {
        Ok(loaded) if converted.is_same(&loaded.config) => Ok(()),
        Ok(_) => {
            Err(Failure::Other(format!("{shown} does not mean the same: report this as a defect of Locum")))
        }
        Err(problems) => Err(Failure::Other(format!(
            "{shown} cannot be used; `locum check {shown}` says why: {}",
            problems.0.first().map_or("", |first| &first.message)
        ))),
    }
}
