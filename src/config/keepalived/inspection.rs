//! What keepalived's own test of a file finds (`-t`), which `reload_check_config` demands to be nothing:
//! lines that it tells of, interfaces that are not there, scripts without script security.
//!
//! Complaints that are Locum's alone do not count here.

use super::Options;
use super::document::{Document, is_on};
use super::report::Report;
use super::runs::Runner;
use crate::config::problem::{Finding, Problem};
use nix::net::if_::if_nametoindex;
use serde_spanned::Spanned;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What keepalived would say of a file, the worst of it last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing.
    #[default]
    Well,
    /// A delay of an interface that is not there.
    Odd,
    /// Something is left out or changed, or an interface is not there.
    Flawed,
    /// Scripts run, and not the word that has unsafe ones refused.
    Insecure,
}

/// What is to be looked at once the process is where the daemon will be; nothing for another file than
/// keepalived.conf.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inspection {
    /// How many things keepalived would have told of while it read.
    flaws: usize,
    /// The interfaces that are to be there.
    interfaces: Vec<Needed>,
    /// What is said where scripts run that nobody vets.
    insecure: Option<Problem>,
    demand: Option<Demand>,
}

/// An interface that is named, what is said where it is not there, and how bad that is.
#[derive(Clone, Debug, PartialEq)]
struct Needed {
    name: String,
    missing: Problem,
    then: Verdict,
}

/// `reload_check_config`
#[derive(Clone, Debug, PartialEq)]
struct Demand {
    /// What is said where something was found.
    refusal: Problem,
    log: Option<PathBuf>,
}

impl Inspection {
    pub(super) fn new(document: &Document, runner: &Runner<'_>, report: &Report) -> Self {
        let problem = |finding| report.sink.problem(finding);
        let global = &document.global;
        let insecure = runner.first().filter(|_| !is_on(&global.enable_script_security)).map(|span| {
            let line =
                "no enable_script_security: keepalived runs a script that others can change, Locum never does";
            problem(Finding::warning(&span, line).help("add to global_defs: enable_script_security"))
        });
        let demand = global.reload_check_config.as_ref().map(|written| Demand {
            refusal: problem(
                Finding::error(&written.span(), "a file with findings is refused, and there are some")
                    .help("mend what is told of, or remove this line"),
            ),
            log: written.get_ref().as_ref().map(PathBuf::from),
        });
        let interfaces = if is_on(&global.dynamic_interfaces) {
            Vec::new()
        } else {
            let need = |(written, then): (&Spanned<String>, Verdict)| {
                let name = written.get_ref().clone();
                let finding = Finding::warning(&written.span(), format!("there is no interface {name} yet"));
                let help = "add it, mend the name, or write dynamic_interfaces in global_defs";
                Needed { name, missing: problem(finding.help(help)), then }
            };
            needed(document).map(need).collect()
        };
        if let (Some(written), true) = (&global.reload_check_config, report.flaws() > 0 || insecure.is_some())
        {
            let message = "the daemon refuses this file, for keepalived would complain of it as it stands";
            report.warning(&written.span(), message, "mend what is told of, or remove this line");
        }
        Inspection { flaws: report.flaws(), interfaces, insecure, demand }
    }

    /// How the file is found, and what [`crate::config::Loaded::problems`] does not say of it. Interfaces
    /// are looked for in the network namespace of the calling thread.
    #[must_use]
    pub fn verdict(&self) -> (Verdict, Vec<Problem>) {
        let mut worst = if self.flaws > 0 { Verdict::Flawed } else { Verdict::Well };
        let mut found = Vec::new();
        for needed in &self.interfaces {
            if if_nametoindex(needed.name.as_str()).is_err() {
                worst = worst.max(needed.then);
                found.push(needed.missing.clone());
            }
        }
        if let Some(insecure) = &self.insecure {
            worst = Verdict::Insecure;
            found.push(insecure.clone());
        }
        (worst, found)
    }

    /// What has the file refused, where `reload_check_config` demands that nothing is found.
    #[must_use]
    pub(in crate::config) fn refusal(&self) -> Option<Vec<Problem>> {
        let demand = self.demand.as_ref()?;
        let (verdict, mut found) = self.verdict();
        found.push(demand.refusal.clone());
        (verdict != Verdict::Well).then_some(found)
    }

    /// Where findings of a reload are to be written.
    #[must_use]
    pub fn log(&self) -> Option<&Path> {
        self.demand.as_ref()?.log.as_deref()
    }
}

/// Where findings of a reload are to be written, of a file that cannot be used.
#[must_use]
pub fn log_of(path: &Path, options: &Options) -> Option<PathBuf> {
    let text = super::include::read_main(path).ok()?;
    let (document, ..) = super::document(&text, path, options);
    document.global.reload_check_config.and_then(Spanned::into_inner).map(PathBuf::from)
}

/// Whether `path` cannot be used for want of a file that it has to include.
#[must_use]
pub fn is_incomplete(path: &Path, options: &Options) -> bool {
    super::include::read_main(path).is_ok_and(|text| {
        let report = Report::new(path, &text, options.lenient);
        super::include::gather(&text, path, &super::reader(options), &report);
        report.is_incomplete()
    })
}

/// Writes what was found at a reload: a line each, nothing where all is well; readable for its owner alone.
///
/// # Errors
/// The file cannot be written.
pub fn write_log(path: &Path, found: &[Problem]) -> io::Result<()> {
    // A link that somebody else has put there is not followed.
    let flags = nix::libc::O_NOFOLLOW;
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(flags)
        .open(path)?;
    found.iter().try_for_each(|problem| writeln!(file, "{problem}"))
}

/// Every interface that is to be there before the daemon is, and how bad it is where it is not.
fn needed(document: &Document) -> impl Iterator<Item = (&Spanned<String>, Verdict)> {
    let instances = document.instances.iter();
    let made: Vec<&String> = instances
        .clone()
        .filter_map(|instance| instance.use_vmac.as_ref()?.get_ref().words.first())
        .collect();
    let tracked = instances.clone().map(|instance| &instance.tracking);
    let tracked = tracked.chain(document.groups.iter().map(|group| &group.tracking));
    let addresses = instances
        .clone()
        .flat_map(|instance| instance.virtual_ipaddress.iter().chain(&instance.virtual_ipaddress_excluded))
        .chain(&document.static_addresses);
    let routes =
        instances.clone().flat_map(|instance| &instance.virtual_routes).chain(&document.static_routes);
    let rules = instances.clone().flat_map(|instance| &instance.virtual_rules).chain(&document.static_rules);
    let named = instances.filter_map(|instance| instance.interface.as_ref());
    let named = named
        .chain(tracked.flat_map(|tracking| &tracking.interfaces).map(|track| &track.name))
        .chain(addresses.filter_map(|address| address.dev.as_ref()))
        .chain(routes.clone().filter_map(|route| route.dev.as_ref()))
        .chain(routes.flat_map(|route| &route.nexthops).filter_map(|hop| hop.dev.as_ref()))
        .chain(rules.flat_map(|rule| [&rule.iif, &rule.oif]).flatten())
        .chain(document.pacing.iter().flat_map(|pacing| &pacing.interfaces));
    let delayed = document.delays.iter().map(|delay| (&delay.interface, Verdict::Odd));
    named
        .map(|written| (written, Verdict::Flawed))
        .chain(delayed)
        // What an instance makes for itself is there by then.
        .filter(move |(written, _)| !made.contains(&written.get_ref()) && !is_vmac(written.get_ref()))
}

/// Whether keepalived would give an interface of its own this name: `vrrp.51`, `vrrp6.51`.
fn is_vmac(name: &str) -> bool {
    let number = name.strip_prefix("vrrp").map(|rest| rest.strip_prefix('6').unwrap_or(rest));
    number.and_then(|rest| rest.strip_prefix('.')).is_some_and(|number| number.parse::<u8>().is_ok())
}
