//! What SNMP tells of the configuration: hosts, commands and names out of the details. See `snmp`.

use super::inbox::{Arrival, Inbox};
use crate::agent::{Input, Request, Response};
use crate::check::Probe;
use crate::config::keepalived::document::ParamMatch;
use crate::config::keepalived::process::looked_for;
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
        let input = Input::Reload { ticket: None, dry_run: false, config: Box::new(config) };
        to.put(Arrival::Input(input));
    };
    *running = Some(Subagent::start(settings, facts, ask, adopt, |report| match report {
        Report::Served(line) => info!("{line}"),
        Report::Trouble(line) => warn!("{line}"),
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
            let (name, parameters, matching) = match &wanted.command {
                None => (wanted.name.clone().unwrap_or_default(), String::new(), None),
                Some(pattern) => looked_for(pattern).unwrap_or_else(|| {
                    let name = wanted.name.clone().unwrap_or_default();
                    (name, pattern.as_str().to_owned(), Some(ParamMatch::Partial))
                }),
            };
            let matching = match matching {
                None => 0,
                Some(ParamMatch::Exact) => 1,
                Some(ParamMatch::Partial) => 2,
                Some(ParamMatch::Initial) => 3,
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
