//! The command line: what can be written, and one file per subcommand. Decides nothing about VRRP.

mod ack;
mod check;
mod cluster;
mod confirm;
mod convert;
mod daemon;
mod dns;
mod doctor;
mod drill;
mod drill_lab;
mod drill_lab_dns;
mod drill_live;
mod drill_moves;
mod drill_pace;
mod drill_watch;
mod ending;
mod generate;
mod getopt;
mod handover;
mod history;
mod init;
mod keepalived;
mod log;
pub mod pcap;
mod pid_file;
mod plan;
mod reload;
mod restart;
mod resume;
mod screen;
mod show;
mod simulate;
mod sniff;
mod span;
mod status;
mod told;
mod top;
mod witness;

use crate::agent::{self, RouterName};
use crate::config::keepalived::Options;
use crate::config::{Secrets, is_keepalived, load_as};
use crate::control::{self, Answer, ClientError, Question};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// The configuration file, unless another is named.
pub const DEFAULT_CONFIG: &str = "/etc/locum/locum.toml";

/// Everything went well.
const WELL: u8 = 0;
/// What was asked for did not happen.
const NOT_DONE: u8 = 1;
/// The arguments make no sense.
const USAGE: u8 = 2;
/// The daemon is not running, or gives no answer.
const NO_ANSWER: u8 = 3;

/// Keeps a virtual IP on exactly one healthy server: a VRRP agent that explains itself.
#[derive(Debug, Parser)]
#[command(name = "locum", version, arg_required_else_help = true, max_term_width = 100)]
#[command(after_help = "Exit status: 0 well, 1 not done, 2 wrong usage, 3 no answer from the daemon; \
                        `locum status` and `locum drill` have their own.")]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Init),
    Run(daemon::Run),
    Check(check::Check),
    Doctor(doctor::Doctor),
    Convert(convert::Convert),
    Status(status::Status),
    Top(top::Top),
    Log(log::Log),
    Reload(reload::Reload),
    Restart(restart::Restart),
    Handover(handover::Handover),
    Resume(resume::Resume),
    Ack(ack::Ack),
    Dns(dns::Dns),
    Drill(drill::Drill),
    History(history::History),
    Sniff(sniff::Sniff),
    Simulate(simulate::Simulate),
    Keepalived(Box<keepalived::Keepalived>),
    Witness(witness::Witness),
    #[command(hide = true)]
    Generate(generate::Generate),
}

/// How a keepalived.conf is read.
#[derive(Clone, Debug, Args)]
struct Reading {
    /// In a keepalived.conf, leave out what keepalived would leave out, and list it
    #[arg(long)]
    lenient: bool,
    /// In a keepalived.conf, leave out the load balancer's part with a warning
    #[arg(long)]
    vrrp_only: bool,
    /// In a keepalived.conf, read it as the host that `@ID` in it names [default: this host's name]
    #[arg(short = 'i', long, value_name = "ID")]
    config_id: Option<String>,
}

impl Reading {
    fn options(&self) -> Options {
        Options {
            lenient: self.lenient,
            vrrp_only: self.vrrp_only,
            config_id: self.config_id.clone(),
            ..Options::default()
        }
    }
}

/// Which daemon to ask.
#[derive(Clone, Debug, Args)]
struct Daemon {
    /// The daemon's control socket [default: `LOCUM_SOCKET`, else /run/locum/locum.sock]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

impl Daemon {
    fn ask(&self, question: &Question, within: Duration) -> Result<Answer, ClientError> {
        control::ask(&self.named().unwrap_or_else(|| control::DEFAULT_PATH.into()), question, within)
    }

    /// The socket that the arguments or the environment name.
    fn named(&self) -> Option<PathBuf> {
        let named = std::env::var_os(control::ENVIRONMENT).filter(|path| !path.is_empty());
        self.socket.clone().or(named.map(PathBuf::from))
    }
}

/// Why a command came to nothing. `Display` is one line with its mend.
#[derive(Debug, Error)]
enum Failure {
    /// The daemon gave no answer.
    #[error(transparent)]
    Daemon(#[from] ClientError),
    /// Whoever reads our output has gone.
    #[error("nobody reads the output")]
    Unread,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Failure {
    const fn code(&self) -> u8 {
        match self {
            Failure::Daemon(_) => NO_ANSWER,
            Failure::Unread | Failure::Other(_) => NOT_DONE,
        }
    }
}

/// Runs the command that `arguments` ask for, the program's name first. Returns the exit code.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments = by_name(arguments.into_iter().collect());
    if arguments.get(1).is_some_and(|first| first == crate::daemon::STARTS) {
        return crate::daemon::serve_as_starter();
    }
    if self::daemon::is_guardian(&arguments, crate::daemon::managed()) {
        return crate::daemon::guard();
    }
    let (arguments, as_keepalived) = as_keepalived(arguments);
    let line = match Line::try_parse_from(arguments) {
        Ok(line) => line,
        Err(error) => {
            let _ = error.print();
            let help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            // keepalived's own code for it.
            let usage = if as_keepalived { NOT_DONE } else { USAGE };
            return if help { WELL } else { usage };
        }
    };
    let outcome = match line.command {
        Command::Init(command) => command.run(),
        Command::Run(command) => Ok(command.run()),
        Command::Check(command) => command.run(),
        Command::Doctor(command) => command.run(),
        Command::Convert(command) => command.run(),
        Command::Status(command) => command.run(),
        Command::Top(command) => command.run(),
        Command::Log(command) => command.run(),
        Command::Reload(command) => command.run(),
        Command::Restart(command) => command.run(),
        Command::Handover(command) => command.run(),
        Command::Resume(command) => command.run(),
        Command::Ack(command) => command.run(),
        Command::Dns(command) => command.run(),
        Command::Drill(command) => command.run(),
        Command::History(command) => command.run(),
        Command::Sniff(command) => command.run(),
        Command::Simulate(command) => command.run(),
        Command::Keepalived(command) => command.run(),
        Command::Witness(command) => command.run(),
        Command::Generate(command) => command.run(),
    };
    outcome.unwrap_or_else(|failure| {
        if !matches!(failure, Failure::Unread) {
            complain(&failure.to_string());
        }
        failure.code()
    })
}

/// Whoever calls this program `keepalived` means that command.
fn by_name(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let name = arguments.first().and_then(|program| Path::new(program).file_name());
    if name.is_some_and(|name| name == "keepalived") {
        arguments.insert(1, "keepalived".into());
    }
    arguments
}

/// The arguments for clap, and whether they are keepalived's.
fn as_keepalived(mut arguments: Vec<OsString>) -> (Vec<OsString>, bool) {
    if arguments.get(1).is_none_or(|command| command != "keepalived") {
        return (arguments, false);
    }
    let mut line = <Line as CommandFactory>::command();
    line.build();
    if let Some(options) = line.find_subcommand("keepalived") {
        let (normal, stray) = getopt::normal(options, &arguments.split_off(2));
        arguments.extend(normal);
        if !stray.is_empty() {
            let stray = stray.join(" ".as_ref());
            complain(&format!("left out, for no option asks for it: {}", stray.display()));
        }
    }
    (arguments, true)
}

/// Writes to standard output, at once.
fn say(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::Unread,
        _ => Failure::Other(format!("cannot write the output: {error}")),
    })
}

/// Writes one line to standard error; one that nobody reads is lost.
fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "locum: {line}");
}

/// Says what was done, or why it was not. Returns the exit code.
fn report(answer: Answer) -> Result<u8, Failure> {
    match answer {
        Answer::Done { lines } => {
            say(&lines.iter().map(|line| show::clean(line) + "\n").collect::<String>())?;
            Ok(WELL)
        }
        Answer::Refused { lines } => {
            for line in &lines {
                complain(&show::clean(line));
            }
            Ok(NOT_DONE)
        }
        Answer::Status(_) | Answer::Moved { .. } | Answer::Cluster(_) => {
            Err(Failure::Other("the daemon answered something else than was asked".to_owned()))
        }
    }
}

/// The router of an order, by the name that was written.
fn router(name: Option<String>) -> Option<RouterName> {
    name.map(|name| RouterName(name.into()))
}

/// What a configuration file lets the agent decide by; a secret that cannot be read bars its router.
fn rules(file: &Path) -> Result<agent::Config, Failure> {
    let unusable =
        |_| Failure::Other(format!("{0} cannot be used; `locum check {0}` says why", file.display()));
    // Nothing is decided by them, so what can be read is enough.
    let lenient = is_keepalived(file);
    let options = Options { lenient, vrrp_only: lenient, ..Options::default() };
    load_as(file, Secrets::BarRouter, &options).map(|loaded| loaded.config.agent).map_err(unusable)
}
