//! What the configuration tells, as plain words: whoever reads it here needs no part of `config`.

use crate::agent::Subject;
use crate::agent::config::Config;
use crate::health::CheckName;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What is told besides how everything stands.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// This program and its version.
    pub version: String,
    /// What this host is called.
    pub node: String,
    /// The network namespace that it was to enter, where it was to.
    pub namespace: Option<String>,
    /// What the agent runs by.
    pub config: Config,
    /// How mails leave, where they do.
    pub mail: Option<Mail>,
    /// The routers and groups that mails tell of.
    pub mailed: BTreeSet<Subject>,
    /// The scripts of each router and group that has any.
    pub scripts: BTreeMap<Subject, Scripts>,
    /// What each check looks at; nothing for those of links.
    pub probes: BTreeMap<CheckName, Probe>,
}

/// How mails leave.
#[derive(Clone, Debug, Default)]
pub struct Mail {
    /// The relay.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How long it may take.
    pub timeout: Duration,
    /// The sender.
    pub from: String,
    /// The recipients.
    pub to: Vec<String>,
    /// Whether faults are told of.
    pub faults: bool,
}

/// The command lines of scripts.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "each is run when its name says so")]
pub struct Scripts {
    pub master: Option<String>,
    pub backup: Option<String>,
    pub fault: Option<String>,
    pub stop: Option<String>,
    pub any: Option<String>,
    pub rx_lower: Option<String>,
}

/// What a check looks at.
#[derive(Clone, Debug)]
pub enum Probe {
    /// How a command ends, or what else Locum can probe and keepalived cannot.
    Command {
        /// The command line, or the kind of the check.
        command: String,
        /// How often.
        interval: Duration,
    },
    /// What is in a file.
    File {
        /// Which.
        path: String,
    },
    /// Whether a neighbour is alive.
    Bfd,
    /// Whether processes run.
    Process {
        /// The name they have, or how they are run.
        name: String,
        /// Their arguments.
        parameters: String,
        /// How those are compared, as in `vrrpProcessParamMatch`.
        matching: i32,
        /// How often is looked.
        interval: Duration,
        /// At least so many.
        min: usize,
        /// At most so many.
        max: Option<usize>,
        /// Whether arguments count too.
        full: bool,
    },
}
