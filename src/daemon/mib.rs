//! What SNMP tells of the configuration: hosts, commands and names out of the details. See `snmp`.

use super::inbox::{Arrival, Inbox};
use crate::agent::{Input, Request, Response};
use crate::check::Probe;
use crate::check::command_line::{Arguments, looked_for};
use crate::config::{Config, Details};
use crate::control::{Asked, Question, Who};
use crate::notify::{Hooks, Script};
use crate::snmp::facts::{Mail, Probe as Told, Scripts};
use crate::snmp::session::Report;
use crate::snmp::{Facts, Settings, Subagent};
use tokio::sync::oneshot;
use tracing::{info, warn};

/// What a sub-agent runs by.
pub(super) struct Setup {
    pub(super) settings: Settings,
    facts: Facts,
}

/// What `config` says of it; `None` where there is no SNMP.
pub(super) fn setup(config: &Config) -> Option<Box<Setup>> {
    let settings = config.details.snmp.clone().filter(Settings::serves)?;
    Some(Box::new(Setup { settings, facts: facts(config) }))
}

/// Adopts what is set up: what stays as it is does not notice.
pub(super) fn adopt(running: &mut Option<Subagent>, setup: Option<Box<Setup>>, inbox: &Inbox) {
    let Some(Setup { settings, facts }) = setup.map(|setup| *setup) else { return };
    if let Some(running) = running {
        running.know(facts);
        return;
    }
    let to = inbox.clone();
    let ask = move |answer: oneshot::Sender<Response>| {
        let who = Who { uid: nix::unistd::getuid().as_raw(), pid: None };
        to.put(Arrival::Asked(Asked { question: Question::Agent(Request::Status), who, answer }));
    };
    let to = inbox.clone();
    let adopt = move |config| {
        let input =
            Input::Reload { ticket: None, dry_run: false, besides: Vec::new(), config: Box::new(config) };
        to.put(Arrival::Input(input));
    };
    *running = Some(Subagent::start(settings, facts, ask, adopt, |report| match report {
        Report::Served(line) => info!(target: "locum::snmp", "{line}"),
        Report::Trouble(line) => warn!(target: "locum::snmp", "{line}"),
    }));
}

/// What SNMP tells of `config`.
#[must_use]
pub fn facts(config: &Config) -> Facts {
    let Details { checks, hooks, told, node, .. } = &config.details;
    Facts {
        version: format!("Locum {}", crate::VERSION),
        node: node.clone(),
        namespace: config.details.identity.namespace.clone(),
        config: config.agent.clone(),
        mail: told.mail.as_ref().map(|mail| Mail {
            host: mail.relay.0.clone(),
            port: mail.relay.1,
            timeout: mail.timeout,
            from: mail.from.address.clone(),
            to: mail.to.iter().map(|to| to.address.clone()).collect(),
            faults: mail.faults,
        }),
        mailed: told.mailed.clone(),
        scripts: hooks.iter().map(|(subject, hooks)| (subject.clone(), scripts(hooks))).collect(),
        probes: checks
            .iter()
            .map(|(name, spec)| (name.clone(), probe(&spec.probe, spec.schedule.interval)))
            .collect(),
    }
}

fn scripts(hooks: &Hooks) -> Scripts {
    let line = |script: &Option<Script>| script.as_ref().map(|script| quoted(&script.command));
    Scripts {
        master: line(&hooks.master),
        backup: line(&hooks.backup),
        fault: line(&hooks.fault),
        stop: line(&hooks.stop),
        any: line(&hooks.any),
        rx_lower: line(&hooks.rx_lower),
    }
}

/// A command line as keepalived shows it.
fn quoted(words: &[String]) -> String {
    words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ")
}

fn probe(probe: &Probe, interval: std::time::Duration) -> Told {
    let command = |command: &str| Told::Command { command: command.to_owned(), interval };
    match probe {
        Probe::Script(script) => command(&quoted(&script.argv)),
        Probe::File(file) => Told::File { path: file.path.display().to_string() },
        Probe::Process(wanted) => {
            let name = || wanted.name.clone().unwrap_or_default();
            let (name, parameters, matching) = match wanted.command.as_ref().map(|it| (it, looked_for(it))) {
                None => (name(), String::new(), 0),
                Some((pattern, None)) => (name(), pattern.as_str().to_owned(), 2),
                Some((_, Some((program, parameters, arguments)))) => {
                    let matching = match arguments {
                        Arguments::Exact => 1,
                        Arguments::More if parameters.is_empty() => 0,
                        Arguments::More => 2,
                        Arguments::Longer => 3,
                    };
                    (program, parameters, matching)
                }
            };
            let (min, max, full) = (wanted.min, wanted.max, wanted.command.is_some());
            Told::Process { name, parameters, matching, interval, min, max, full }
        }
        Probe::Tcp(_) => command("tcp"),
        Probe::Http(_) => command("http"),
        Probe::Websocket(_) => command("websocket"),
        Probe::Ping(_) => command("ping"),
        Probe::Dns(_) => command("dns"),
        Probe::Bfd(_) => Told::Bfd,
    }
}
