//! `locum dns`: how records of DNS stand, whether they could be written, and the emergency switch.

use super::confirm::confirm;
use super::{Daemon, Failure, NOT_DONE, WELL, complain, report, say, show};
use crate::agent::Request;
use crate::agent::status::DnsStatus;
use crate::control::{Answer, LONGEST_WAIT, Question};
use clap::{Args, Subcommand};
use std::io::stdout;
use std::net::IpAddr;

/// Look at records of DNS that move, prove that they could be written, or write one by hand
#[derive(Debug, Args)]
pub(super) struct Dns {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show what each record should hold, and whether it could be written
    #[command(after_help = "Exit status: 0 well, 1 one cannot be written, 3 no answer.")]
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        daemon: Daemon,
    },
    /// Prove credentials and permission: write what is there already, which changes no answer
    #[command(after_help = "Exit status: 0 proven, 1 not, 3 no answer.")]
    Test {
        /// Only this record, as the configuration calls it; all of them otherwise
        name: Option<String>,
        #[command(flatten)]
        daemon: Daemon,
    },
    /// The emergency switch: have a record hold an address, whoever is Master, until a role changes
    #[command(after_help = "Exit status: 0 written and read back, 1 not, 3 no answer.")]
    Set {
        /// The record, as the configuration calls it
        name: String,
        /// What it is to hold
        address: IpAddr,
        /// Do not ask whether that is meant
        #[arg(short, long)]
        yes: bool,
        #[command(flatten)]
        daemon: Daemon,
    },
}

impl Dns {
    pub(super) fn run(self) -> Result<u8, Failure> {
        match self.action {
            Action::Status { json, daemon } => status(json, &daemon),
            Action::Test { name, daemon } => {
                report(daemon.ask(&Question::DnsTest { record: name }, LONGEST_WAIT)?)
            }
            Action::Set { name, address, yes, daemon } => set(name, address, yes, &daemon),
        }
    }
}

fn records(daemon: &Daemon) -> Result<Result<Vec<DnsStatus>, u8>, Failure> {
    match daemon.ask(&Question::Agent(Request::Status), LONGEST_WAIT)? {
        Answer::Status(status) => Ok(Ok(status.dns)),
        other => report(other).map(Err),
    }
}

fn status(json: bool, daemon: &Daemon) -> Result<u8, Failure> {
    let records = match records(daemon)? {
        Ok(records) => records,
        Err(code) => return Ok(code),
    };
    let text = if json {
        let text = serde_json::to_string_pretty(&records);
        text.map(|text| text + "\n").map_err(|error| Failure::Other(error.to_string()))?
    } else if records.is_empty() {
        "the configuration has no [dns.NAME]\n".to_owned()
    } else {
        show::records(&records, show::on_terminal(&stdout()))
    };
    say(&text)?;
    Ok(if records.iter().any(|record| record.failing) { NOT_DONE } else { WELL })
}

fn set(name: String, address: IpAddr, yes: bool, daemon: &Daemon) -> Result<u8, Failure> {
    if !yes {
        let records = match records(daemon)? {
            Ok(records) => records,
            Err(code) => return Ok(code),
        };
        let Some(record) = records.iter().find(|record| record.name == name) else {
            complain(&format!("there is no [dns.{}]; `locum dns status` lists them", show::clean(&name)));
            return Ok(NOT_DONE);
        };
        let held = record.holds.map_or_else(String::new, |held| format!(", last written as {held}"));
        let question = format!("{}{held}: have it hold {address} now?", show::clean(&record.record));
        if let Some(code) = confirm(&question)? {
            return Ok(code);
        }
    }
    report(daemon.ask(&Question::DnsSet { record: name, address }, LONGEST_WAIT)?)
}
