//! What is tracked becomes checks: scripts, processes, files with a number in them, interfaces.

use super::bfd;
use super::document::{Document, File, Instance, Script, Track, Tracking, Weight};
use super::process;
use super::report::Report;
use super::runs::{INHERIT, Runner};
use super::statics;
use super::tells::rooted;
use crate::check::{self, Probe, Schedule, Spec};
use crate::config::problem::{Finding, Span};
use crate::config::suggest::nearest;
use crate::config::{Config, lint, tracking};
use crate::health::{self, CheckName, Initial, OnFail};
use serde_spanned::Spanned;
use std::iter;
use std::path::PathBuf;
use std::time::Duration;

/// What the name of a check ends in that is tracked in `reverse`.
const REVERSED: &str = ".reverse";
/// What the name of a check begins with that is not a script's.
const LINK: &str = "interface.";
const PROCESS: &str = "process.";
const NUMBER: &str = "file.";
const BFD: &str = "bfd.";
/// How often a script runs that does not say.
const SCRIPT_INTERVAL: Duration = Duration::from_secs(1);
/// How often processes and files are looked at; keepalived is told of them by the kernel.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// All that instances and groups track, in their order.
fn all(document: &Document) -> impl Iterator<Item = &Tracking> {
    let instances = document.instances.iter().map(|instance| &instance.tracking);
    instances.chain(document.groups.iter().map(|group| &group.tracking))
}

/// Adds every check that is tracked.
pub(super) fn checks(document: &Document, runner: &Runner<'_>, report: &Report, config: &mut Config) {
    for script in &document.scripts {
        let weights =
            weights(document, &script.name, script.weight.as_ref(), |tracking| &tracking.scripts, report);
        // One that nobody tracks is vetted all the same, as in keepalived.
        if let Some(spec) = script_spec(script, runner, report).filter(|_| !weights.is_empty()) {
            let initial = if script.init_fail.is_some() { Initial::Down } else { Initial::Pending };
            let counted = (count(script.rise.as_ref()), count(script.fall.as_ref()), initial);
            add(config, script.name.get_ref(), &weights, counted, Some(&spec), None);
        }
    }
    for tracked in &document.processes {
        let weights =
            weights(document, &tracked.name, tracked.weight.as_ref(), |tracking| &tracking.processes, report);
        let name = format!("{PROCESS}{}", tracked.name.get_ref());
        if let Some(spec) = process::spec(tracked, report).filter(|_| !weights.is_empty()) {
            let counted = (
                looks(tracked.fork_delay.as_ref()),
                looks(tracked.terminate_delay.as_ref()),
                Initial::Pending,
            );
            add(config, &name, &weights, counted, Some(&spec), None);
        }
    }
    for file in &document.files {
        let weights = weights(document, &file.name, file.weight.as_ref(), |tracking| &tracking.files, report);
        let name = format!("{NUMBER}{}", file.name.get_ref());
        if let Some(spec) = file_spec(file, report).filter(|_| !weights.is_empty()) {
            // The number says what is wrong; the check itself never fails.
            add(config, &name, &[Weight::default()], (1, 1, Initial::Up), Some(&spec), None);
        }
    }
    for session in &document.sessions {
        let weights =
            weights(document, &session.name, session.weight.as_ref(), |tracking| &tracking.sessions, report);
        if let Some(spec) = bfd::spec(session).filter(|_| !weights.is_empty()) {
            let name = format!("{BFD}{}", session.name.get_ref());
            add(config, &name, &weights, (1, 1, Initial::Pending), Some(&spec), None);
        }
    }
    interfaces(document, config);
}

fn interfaces(document: &Document, config: &mut Config) {
    let tied = document.instances.iter().flat_map(|instance| statics::tracks(document, instance));
    let written = all(document).flat_map(|tracking| &tracking.interfaces).cloned();
    let tracks: Vec<Track> = written.chain(tied).collect();
    let mut names: Vec<&String> = Vec::new();
    for track in &tracks {
        if !names.contains(&track.name.get_ref()) {
            names.push(track.name.get_ref());
        }
    }
    for name in names {
        let tracks = tracks.iter().filter(|track| track.name.get_ref() == name);
        let weights: Vec<_> = tracks.map(|track| weight(track, None)).collect();
        add(config, &format!("{LINK}{name}"), &weights, (1, 1, Initial::Pending), None, Some(name));
    }
}

/// Adds a check, and one the other way round where it is tracked so.
fn add(
    config: &mut Config,
    name: &str,
    weights: &[Weight],
    (rise, fall, initial): (u32, u32, Initial),
    spec: Option<&Spec>,
    link: Option<&str>,
) {
    for inverse in [false, true] {
        if !weights.iter().any(|weight| weight.reverse == inverse) {
            continue;
        }
        let name = CheckName(if inverse { format!("{name}{REVERSED}") } else { name.to_owned() }.into());
        let ((rise, fall), initial) = match (inverse, initial) {
            (false, _) => ((rise, fall), initial),
            (true, Initial::Down) => ((fall, rise), Initial::Up),
            (true, other) => ((fall, rise), other),
        };
        let fingerprint = spec.map_or(0, Spec::fingerprint);
        let link = link.map(str::to_owned);
        config.agent.checks.push(health::Config {
            name: name.clone(),
            rise,
            fall,
            initial,
            inverse,
            link,
            fingerprint,
        });
        config.details.checks.extend(spec.map(|spec| (name, spec.clone())));
    }
}

fn count(written: Option<&Spanned<u32>>) -> u32 {
    written.map_or(1, |count| *count.get_ref())
}

/// How many looks in a row make a delay.
fn looks(delay: Option<&Spanned<Duration>>) -> u32 {
    let delay = delay.map_or(Duration::ZERO, |delay| *delay.get_ref());
    u32::try_from(delay.as_millis().div_ceil(LOOK_INTERVAL.as_millis())).unwrap_or(u32::MAX).saturating_add(1)
}

/// The weights that something is tracked with; a warning where there are none.
fn weights(
    document: &Document,
    name: &Spanned<String>,
    own: Option<&Spanned<Weight>>,
    list: impl Fn(&Tracking) -> &Vec<Track>,
    report: &Report,
) -> Vec<Weight> {
    let tracks = all(document).flat_map(list).filter(|track| track.name.get_ref() == name.get_ref());
    let weights: Vec<_> = tracks.map(|track| weight(track, own)).collect();
    if weights.is_empty() {
        let finding =
            Finding::warning(&name.span(), format!("no instance tracks {}: it does nothing", name.get_ref()));
        report.sink.add(finding.help("track it in an instance, or remove it"));
    }
    weights
}

/// The weight that counts: the tracker's own, or that of what it tracks.
fn weight(track: &Track, own: Option<&Spanned<Weight>>) -> Weight {
    track.weight.as_ref().or(own).map(|weight| *weight.get_ref()).unwrap_or_default()
}

pub(super) fn schedule(interval: Duration, timeout: Duration) -> Schedule {
    Schedule { interval, timeout, ..Schedule::default() }
}

/// `</path` looks whether the file can be opened; anything else is run.
fn script_spec(script: &Script, runner: &Runner<'_>, report: &Report) -> Option<Spec> {
    let command = script.script.as_ref()?;
    let interval = script.interval.as_ref().map_or(SCRIPT_INTERVAL, |interval| *interval.get_ref());
    let timeout = script.timeout.as_ref().map_or(interval, |timeout| *timeout.get_ref());
    let probe = if let Some(path) = command.get_ref().program().strip_prefix('<') {
        Probe::File(check::file::Config { readable: true, ..looked_at(path) })
    } else {
        let (argv, user) = runner.script(command, script.user.as_ref())?;
        if let Some(finding) = lint::never_fails(&command.get_ref().words, &command.span()) {
            report.add(finding, &command.span());
        }
        Probe::Script(check::script::Config { argv, user, inherit: INHERIT })
    };
    Some(Spec { probe, schedule: schedule(interval, timeout) })
}

fn looked_at(path: &str) -> check::file::Config {
    check::file::Config {
        path: PathBuf::from(path),
        readable: false,
        contains: None,
        younger_than: None,
        number: false,
        make: None,
    }
}

fn file_spec(file: &File, report: &Report) -> Option<Spec> {
    let path = file.file.as_ref()?;
    let path = rooted(path.get_ref(), &path.span(), report);
    let make = file.init_file.as_ref().map(Spanned::get_ref);
    let make = make.map(|(number, overwrite)| check::file::Make { number: *number, overwrite: *overwrite });
    let probe = Probe::File(check::file::Config { number: true, make, ..looked_at(&path) });
    Some(Spec { probe, schedule: schedule(LOOK_INTERVAL, LOOK_INTERVAL) })
}

/// What an instance tracks, by itself and by its sync group.
pub(super) fn tracks(
    instance: &Instance,
    document: &Document,
    config: &Config,
    report: &Report,
) -> Vec<tracking::Track> {
    let mine = |name: &Spanned<String>| name.get_ref() == instance.name.get_ref();
    let groups = document.groups.iter().filter(|group| group.group.iter().any(mine));
    let mut found = Tracks { document, config, report, shared: false, found: Vec::new() };
    // Before all else: a fault, whatever weight is written elsewhere, as in keepalived.
    for track in statics::tracks(document, instance) {
        found.interface(&track, instance);
    }
    for (at, tracking) in
        iter::once(&instance.tracking).chain(groups.map(|group| &group.tracking)).enumerate()
    {
        found.shared = at > 0;
        for track in &tracking.scripts {
            let names = document.scripts.iter().map(|script| (&script.name, script.weight.as_ref()));
            found.add(track, "vrrp_script", "", names);
        }
        for track in &tracking.processes {
            let names = document.processes.iter().map(|process| (&process.name, process.weight.as_ref()));
            found.add(track, "vrrp_track_process", PROCESS, names);
        }
        for track in &tracking.sessions {
            let names = document.sessions.iter().map(|session| (&session.name, session.weight.as_ref()));
            found.add(track, "bfd_instance", BFD, names);
        }
        for track in &tracking.files {
            found.file(track);
        }
        for track in &tracking.interfaces {
            found.interface(track, instance);
        }
    }
    found.found
}

struct Tracks<'a> {
    document: &'a Document,
    config: &'a Config,
    report: &'a Report,
    /// What comes now is written for a whole group.
    shared: bool,
    found: Vec<tracking::Track>,
}

impl<'a> Tracks<'a> {
    fn push(&mut self, track: &Track, check: String, on_fail: OnFail) {
        // One that cannot be run was told of where it stands.
        let known = self.config.agent.checks.iter().any(|known| *known.name.0 == *check);
        let earlier = self.found.iter().find(|other| *other.check.get_ref() == check);
        let told = check.starts_with(LINK) || check.starts_with(NUMBER);
        if told && earlier.is_some_and(|earlier| self.shared && !earlier.shared) {
            let message =
                format!("an instance of this group tracks {} by itself as well", track.name.get_ref());
            self.report.flaw(&track.name.span(), message, "remove one of the two lines");
        }
        if known && earlier.is_none() {
            let span = track.name.span();
            self.found.push(tracking::Track {
                check: Spanned::new(span.clone(), check),
                on_fail,
                span,
                shared: self.shared,
            });
        }
    }

    fn weighted(&mut self, track: &Track, name: &str, weight: Weight) {
        let (check, value) = if weight.reverse {
            (format!("{name}{REVERSED}"), -weight.value)
        } else {
            (name.to_owned(), weight.value)
        };
        self.push(track, check, if weight.is_fault() { OnFail::Fault } else { OnFail::Weight(value) });
    }

    fn add(
        &mut self,
        track: &Track,
        block: &str,
        prefix: &str,
        known: impl Iterator<Item = (&'a Spanned<String>, Option<&'a Spanned<Weight>>)>,
    ) {
        let name = track.name.get_ref();
        let known: Vec<_> = known.collect();
        match known.iter().find(|(other, _)| other.get_ref() == name) {
            Some((_, own)) => self.weighted(track, &format!("{prefix}{name}"), weight(track, *own)),
            None => self.unknown(track, block, known.iter().map(|(name, _)| name.get_ref().as_str())),
        }
    }

    fn unknown<'b>(&self, track: &Track, block: &str, known: impl Iterator<Item = &'b str>) {
        let name = track.name.get_ref();
        let help = nearest(name, known)
            .map_or(format!("add: {block} {name} {{ … }}"), |near| format!("did you mean {near}?"));
        self.report.refuse(&track.name.span(), format!("there is no {block} {name}"), help);
    }

    fn file(&mut self, track: &Track) {
        let name = track.name.get_ref();
        let known = self.document.files.iter();
        let Some(file) = known.clone().find(|file| file.name.get_ref() == name) else {
            return self.unknown(track, "track_file", known.map(|file| file.name.get_ref().as_str()));
        };
        let one = Weight { value: 1, reverse: false };
        let weight = track.weight.as_ref().or(file.weight.as_ref()).map_or(one, |weight| *weight.get_ref());
        let times = if weight.reverse { -weight.value } else { weight.value };
        self.push(track, format!("{NUMBER}{name}"), OnFail::Times(times));
    }

    fn interface(&mut self, track: &Track, instance: &Instance) {
        let name = track.name.get_ref();
        let own = instance.interface.as_ref().is_some_and(|own| own.get_ref() == name);
        if own && instance.dont_track_primary.is_none() {
            let message = format!("{name} is the instance's own interface, which is tracked anyway");
            return self.report.flaw(&track.name.span(), message, "remove the line");
        }
        self.weighted(track, &format!("{LINK}{name}"), weight(track, None));
    }
}

/// The first tracker of an instance whose weight moves the priority.
pub(super) fn weighted(instance: &Instance, document: &Document) -> Option<Span> {
    let script = |name: &str| document.scripts.iter().find(|it| it.name.get_ref() == name)?.weight.as_ref();
    let process =
        |name: &str| document.processes.iter().find(|it| it.name.get_ref() == name)?.weight.as_ref();
    let moves = |track: &&Track, own| !weight(track, own).is_fault();
    let session = |name: &str| document.sessions.iter().find(|it| it.name.get_ref() == name)?.weight.as_ref();
    let Tracking { scripts, interfaces, files, processes, sessions } = &instance.tracking;
    let scripts = scripts.iter().find(|track| moves(track, script(track.name.get_ref())));
    let processes = || processes.iter().find(|track| moves(track, process(track.name.get_ref())));
    let interfaces = || interfaces.iter().find(|track| moves(track, None));
    let sessions = || sessions.iter().find(|track| moves(track, session(track.name.get_ref())));
    let first = scripts.or_else(processes).or_else(sessions).or_else(interfaces).or_else(|| files.first());
    first.map(|track| track.name.span())
}
