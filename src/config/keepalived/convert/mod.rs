//! `locum convert`: keepalived.conf as TOML that means the same, with its comments.
//!
//! The values are those the agent would run by, so nothing is read twice; the document only says
//! where they stood. `page` is the file being written, `words` are single values, the others are tables.

mod page;
mod rest;
mod router;
mod words;

use super::document::{Document, Written};
use super::keywords::{self, Block, Does};
use super::{Options, Reading, judge};
use crate::agent::{self, RouterName, Subject};
use crate::config::problem::{Problem, Problems, Severity, Span};
use crate::config::{Config, file};
use crate::process::User;
use crate::vrrp::auth::Secret;
use page::{Page, Remark, Table, key, quoted};
use std::collections::BTreeMap;
use std::path::Path;

/// What is said wherever a keyword is not done.
const NOT_DONE: &str = "known to keepalived, not done by Locum, effect: ";
/// Behind these words a comment may hold a secret.
const SECRETS: [&str; 2] = ["auth_pass", "hex:"];

/// A keepalived.conf in TOML.
#[derive(Clone, Debug)]
pub struct Converted {
    /// The file.
    pub toml: String,
    /// What it refers to as `file:NAME`, beside it. Only their owner may read them.
    pub secrets: Vec<SecretFile>,
    /// What it does not say, a line each with its place in keepalived.conf.
    pub lost: Vec<String>,
    /// What keepalived.conf stands for.
    pub config: Config,
    /// Whether a name had to be changed.
    pub renamed: bool,
}

/// A file that holds one secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretFile {
    /// Its name.
    pub name: String,
    /// Its one line.
    pub line: Secret,
}

/// Reads the keepalived.conf at `path`, and writes it as TOML. Blocks on the file system.
///
/// # Errors
/// Everything that is wrong with it.
pub fn convert(path: &Path, options: &Options) -> Result<Converted, Problems> {
    let text = super::include::read_main(path).map_err(|error| {
        let message = format!("cannot read {}: {error}", path.display());
        Problems(vec![Problem::of_file(Severity::Error, path, message, None)])
    })?;
    convert_text(&text, path, options)
}

/// As [`convert`], of `text` that stands in `path`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn convert_text(text: &str, path: &Path, options: &Options) -> Result<Converted, Problems> {
    let (reading, (mut config, _), report) = judge(text, path, options)?;
    // What the words meant is in the routers; TOML has none for them.
    config.details.dumped.clear();
    let done =
        |name: &str| keywords::find(Block::Top, name).is_some_and(|known| matches!(known.does, Does::Done));
    let left_out = reading.blocks.iter().filter(|(name, _)| !done(name));
    let left_out: Vec<Span> = left_out.map(|(_, span)| span.clone()).collect();
    let mut writer = Writer::new(&reading, &config);
    let mut page = Page::new(writer.tables());
    let mut remarks: Vec<Remark> = reading
        .comments
        .iter()
        .filter_map(|comment| {
            let text = comment_text(&report.sink.text(&comment.span))?;
            Some(Remark { text, at: comment.span.start, alone: comment.alone, kept: false })
        })
        .collect();
    let mut lost = Vec::new();
    let skipped = report.placed_skipped();
    let not_done = report.sink.placed().into_iter().filter(|(_, problem)| problem.message.contains(NOT_DONE));
    for (at, problem) in not_done.chain(skipped) {
        let text = format!("not converted: {}", problem.message.replace(NOT_DONE, ""));
        lost.push(format!("{}:{}:{}: {text}", problem.file.display(), problem.line, problem.column));
        remarks.push(Remark { text, at, alone: true, kept: true });
    }
    for names in [&writer.routers, &writer.groups, &writer.checks] {
        let changed = names.0.iter().filter(|(old, new)| old != new);
        lost.extend(changed.map(|(old, new)| format!("{}: \"{old}\" is called {new} now", path.display())));
    }
    remarks.sort_by_key(|remark| remark.at);
    for remark in remarks {
        page.remark(remark, &left_out, &reading.inner, |from, to| report.sink.on_one_line(from, to));
    }
    let renamed = [&writer.routers, &writer.groups, &writer.checks].iter().any(|names| names.changed());
    Ok(Converted { toml: page.write(), secrets: writer.secrets, lost, config, renamed })
}

impl Converted {
    /// Whether the file says the same once it is read. What depends on the moment is not compared, and
    /// nothing is where a name had to be changed.
    #[must_use]
    pub fn is_same(&self, other: &Config) -> bool {
        let mut other = other.clone();
        other.agent.start_delay = self.config.agent.start_delay;
        self.renamed || other == self.config
    }
}

/// A comment for people, on one line and without secrets.
fn comment_text(text: &str) -> Option<String> {
    let mut text = text.trim_start_matches(['#', '!']).trim().to_owned();
    for word in SECRETS {
        if let Some(at) = text.find(word) {
            text.truncate(at + word.len());
            text.push_str(" …");
        }
    }
    text.retain(|sign| !sign.is_control());
    (!text.is_empty()).then_some(text)
}

/// Where something is written.
#[expect(clippy::ref_option, reason = "it is asked of fields, dozens of times")]
fn at<T>(written: &Written<T>) -> Option<usize> {
    written.as_ref().map(|written| written.span().start)
}

/// Names of keepalived.conf, and what they are in TOML.
struct Names(BTreeMap<String, String>);

impl Names {
    fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut known: BTreeMap<String, String> = BTreeMap::new();
        for name in names {
            let fits = |sign: char| sign.is_ascii_alphanumeric() || "-_.".contains(sign);
            let mut new: String =
                name.chars().map(|sign| if fits(sign) { sign } else { '_' }).take(60).collect();
            if file::is_name(name) {
                name.clone_into(&mut new);
            }
            while known.values().any(|other| *other == new) {
                new.push('_');
            }
            known.insert(name.to_owned(), new);
        }
        Names(known)
    }

    fn changed(&self) -> bool {
        self.0.iter().any(|(old, new)| old != new)
    }

    fn name(&self, name: &str) -> String {
        self.0.get(name).cloned().unwrap_or_else(|| name.to_owned())
    }

    /// As a key.
    fn here(&self, name: &str) -> String {
        key(&self.name(name))
    }
}

/// What all tables need to know.
struct Writer<'a> {
    reading: &'a Reading,
    document: &'a Document,
    config: &'a Config,
    routers: Names,
    groups: Names,
    checks: Names,
    /// Who runs most scripts.
    usual: String,
    /// Whether there are any.
    scripts: bool,
    secrets: Vec<SecretFile>,
}

impl<'a> Writer<'a> {
    fn new(reading: &'a Reading, config: &'a Config) -> Self {
        let agent = &config.agent;
        let usual = usual(config);
        Writer {
            scripts: usual.is_some(),
            reading,
            document: &reading.document,
            config,
            routers: Names::new(agent.routers.iter().map(|router| &*router.name.0)),
            groups: Names::new(agent.groups.iter().map(|group| &*group.name.0)),
            checks: Names::new(agent.checks.iter().map(|check| &*check.name.0)),
            usual: usual.unwrap_or_else(|| crate::config::hooks::NOBODY.to_owned()),
            secrets: Vec::new(),
        }
    }

    /// All tables, in the order of the file as far as names allow it.
    fn tables(&mut self) -> Vec<Table> {
        // Whoever adds something to the configuration is led here. The delay is in `agent`.
        let agent::config::Config {
            routers,
            checks,
            groups,
            start_delay: _,
            link_delays: _,
            fixed: _,
            paces: _,
            claims: _,
        } = &self.config.agent;
        let mut placed: Vec<(usize, Table)> = self.agent().into_iter().map(|table| (0, table)).collect();
        placed
            .extend(self.links().into_iter().chain(self.paces()).chain(self.fixed()).map(|table| (1, table)));
        let mut latest = 2;
        for check in checks {
            let (table, place) = self.check(check);
            latest = latest.max(place.map_or(usize::MAX, |at| self.place(at)));
            placed.push((latest, table));
        }
        for router in routers {
            let written = self.document.instances.iter().find(|one| **one.name.get_ref() == *router.name.0);
            if let Some(instance) = written {
                let place = self.place(instance.span.start);
                placed.extend(self.router(router, instance).into_iter().map(|table| (place, table)));
            }
        }
        for group in groups {
            let written = self.document.groups.iter().find(|one| **one.name.get_ref() == *group.name.0);
            if let Some(written) = written {
                let name = self.groups.here(&group.name.0);
                let place = self.place(written.span.start);
                let mut table = Table::new(format!("[group.{name}]"), vec![written.span.clone()]);
                let members = group.routers.iter().map(|RouterName(name)| quoted(&self.routers.name(name)));
                let first = written.group.first().map(|first| first.span().start);
                table.put("routers", page::list(members), first);
                self.tracks(&mut table, group.tracks.iter(), &written.tracking);
                let subject = Subject::Group(group.name.clone());
                let title = format!("[group.{name}.notify]");
                let notify = self.notify(&title, &subject, &written.notify, written.span.clone());
                placed.extend([table].into_iter().chain(notify).map(|table| (place, table)));
            }
        }
        placed.sort_by_key(|(place, _)| *place);
        placed.into_iter().map(|(_, table)| table).collect()
    }

    /// The number of the block that is at `at`, behind all that comes first.
    fn place(&self, at: usize) -> usize {
        let found = self.reading.blocks.iter().position(|(_, block)| block.contains(&at));
        found.map_or(usize::MAX, |found| found + 3)
    }

    /// The blocks with these keywords.
    fn blocks(&self, keywords: &[&str]) -> Vec<Span> {
        let blocks = self.reading.blocks.iter();
        blocks.filter(|(name, _)| keywords.contains(&name.as_str())).map(|(_, span)| span.clone()).collect()
    }

    /// Puts a secret into a file, and returns the reference to it.
    fn secret(&mut self, name: String, bytes: Vec<u8>) -> String {
        let reference = quoted(&format!("file:{name}"));
        self.secrets.push(SecretFile { name, line: Secret::new(bytes) });
        reference
    }
}

/// Who runs most scripts; none where there are none.
fn usual(config: &Config) -> Option<String> {
    let details = &config.details;
    let hooks = details.hooks.values().flat_map(|hooks| {
        [&hooks.master, &hooks.backup, &hooks.fault, &hooks.stop, &hooks.any, &hooks.rx_lower]
    });
    let readers = details.told.fifos.iter().map(|fifo| &fifo.reader);
    let hooks = hooks.chain(readers).flatten().map(|script| &script.user);
    let checks = details.checks.values().filter_map(|spec| match &spec.probe {
        crate::check::Probe::Script(script) => Some(&script.user),
        _ => None,
    });
    let mut counted: BTreeMap<String, usize> = BTreeMap::new();
    for user in hooks.chain(checks) {
        *counted.entry(user_text(user)).or_default() += 1;
    }
    counted.into_iter().max_by_key(|(_, count)| *count).map(|(user, _)| user)
}

fn user_text(user: &User) -> String {
    words::user(user)
}
