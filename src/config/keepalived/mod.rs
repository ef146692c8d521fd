//! The second front door: keepalived.conf.
//!
//! `text` and `include` make lines, `expand` and `sequence` replace definitions, `tree` makes words
//! and blocks. `keywords` is the one list of what exists and what is done, `statement` reads one line
//! by it, and one file a block makes the `document`.

mod address;
mod announcing;
mod bfd;
mod checks;
mod command;
mod convert;
pub mod document;
#[cfg(test)]
mod every_keyword;
mod expand;
mod global;
mod group;
mod hmac_key;
mod holds;
mod include;
mod inspection;
mod instance;
mod keywords;
mod lower;
mod particulars;
mod pattern;
mod peers;
mod process;
mod report;
mod route;
mod router;
mod routing;
mod runs;
mod script;
mod sequence;
mod statement;
mod statics;
mod tells;
mod text;
mod track;
mod tree;
mod trust;
mod value;
mod vmac;

pub use address::{Address, Broadcast};
pub use convert::{Converted, SecretFile, convert, convert_text};
pub use inspection::{Inspection, Verdict, is_incomplete, log_of, write_log};
pub use report::Skipped;
pub use route::{Insertion, Network, Nexthop, Route, RouteKind, Rule, Table};

use super::problem::{Finding, Problem, Problems, Span};
use super::{Config, Loaded, Severity};
use document::Document;
use expand::Reader;
use keywords::Block;
use report::Report;
use statement::{Context, Statement, statements};
use std::collections::BTreeMap;
use std::path::Path;
use text::Comment;
use tree::Node;

/// How keepalived.conf is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Leave out what keepalived would leave out, and list it, instead of refusing the file.
    pub lenient: bool,
    /// Leave the load balancer's part out with a warning, instead of refusing the file.
    pub vrrp_only: bool,
    /// What `@id` is compared with; the host name up to its first dot where `None`.
    pub config_id: Option<String>,
    /// Every file that is included has to be there, as with `includea`.
    pub all_files: bool,
}

/// Reads the file at `path`, what it includes, and the scripts and keys it refers to. Blocks on the
/// file system.
pub fn load(path: &Path, options: &Options) -> Result<Loaded, Problems> {
    let text = include::read_main(path).map_err(|error| {
        let message = format!("cannot read {}: {error}", path.display());
        Problems(vec![Problem::of_file(Severity::Error, path, message, None)])
    })?;
    let mut loaded = parse(&text, path, options)?;
    loaded.warnings.extend(super::writable(path));
    Ok(loaded)
}

/// As [`load`], of `text` that stands in `path`; relative paths of includes begin beside it.
pub fn parse(text: &str, path: &Path, options: &Options) -> Result<Loaded, Problems> {
    let (_, (config, inspection), report) = judge(text, path, options)?;
    let (warnings, skipped) = report.into_parts();
    Ok(Loaded { config, warnings, skipped, inspection })
}

/// What is written, what it stands for, and what is to be said of it.
fn judge(
    text: &str,
    path: &Path,
    options: &Options,
) -> Result<(Reading, (Config, Inspection), Report), Problems> {
    let report = Report::new(path, text, options.lenient);
    let reading = read(text, path, options, &report);
    let lowered = lower::lower(&reading.document, &report);
    if !report.sink.has_errors() {
        return Ok((reading, lowered, report));
    }
    let refused = report.refused();
    let (mut found, skipped) = report.into_parts();
    found.extend(skipped.into_iter().map(|skipped| skipped.problem));
    if refused > 0 {
        let message =
            format!("keepalived leaves out what is wrong in {refused} of these places, and goes on");
        let help = "mend them; or do as keepalived does, and have them listed: --lenient".to_owned();
        found.push(Problem::of_file(Severity::Warning, path, message, Some(help)));
    }
    Err(Problems(found))
}

/// The document alone, and everything that is wrong with it; nothing outside of it is looked at but
/// the files it includes, and those that hold keys.
#[must_use]
pub fn document(text: &str, path: &Path, options: &Options) -> (Document, Vec<Problem>, Vec<Skipped>) {
    let report = Report::new(path, text, options.lenient);
    let reading = read(text, path, options, &report);
    let (found, skipped) = report.into_parts();
    (reading.document, found, skipped)
}

/// One reading: what is written, and what stands between it for people.
struct Reading {
    document: Document,
    /// The statements on top: keyword, and from its first word to its last.
    blocks: Vec<(String, Span)>,
    /// The blocks inside them.
    inner: Vec<Span>,
    /// What `convert` puts beside the keys.
    comments: Vec<Comment>,
}

fn read(text: &str, path: &Path, options: &Options, report: &Report) -> Reading {
    let who = reader(options);
    let gathered = include::gather(text, path, &who, report);
    let lines = expand::expand(&gathered.lines, &who, report);
    let nodes = tree::grow(&lines, report);
    let context = Context { report, balancer: Vec::new().into(), named: BTreeMap::new().into() };
    let document = document_of(&nodes, &context);
    balancer(&context, options);
    let blocks = nodes.iter().map(|node| (node.keyword().to_owned(), node.extent())).collect();
    let inner =
        nodes.iter().flat_map(Node::nodes).filter(|node| node.block.is_some()).map(Node::extent).collect();
    Reading { document, blocks, inner, comments: gathered.comments }
}

fn reader(options: &Options) -> Reader {
    let config_id = options.config_id.clone().unwrap_or_else(|| {
        let name = super::host_name();
        name.split('.').next().unwrap_or_default().to_owned()
    });
    Reader { config_id, all_files: options.all_files }
}

fn document_of(nodes: &[Node], context: &Context<'_>) -> Document {
    let mut document = Document::default();
    for statement in statements(nodes, Block::Top, context) {
        match statement.name {
            "global_defs" => global::global(&statement, &mut document.global),
            "vrrp_script" => {
                add(&statement, &mut document.scripts, script::script(&statement), |script| &script.name);
            }
            "vrrp_instance" => {
                let found = instance::instance(&statement);
                add(&statement, &mut document.instances, found, |instance| &instance.name);
            }
            "vrrp_sync_group" => {
                add(&statement, &mut document.groups, group::group(&statement), |group| &group.name);
            }
            "vrrp_track_process" => {
                add(&statement, &mut document.processes, track::process(&statement), |process| &process.name);
            }
            "bfd_instance" => {
                let found = bfd::session(&statement);
                let found = found.filter(|bfd| !bfd::is_taken(bfd, &document.sessions, context.report));
                add(&statement, &mut document.sessions, found, |bfd| &bfd.name);
            }
            "track_file" => add(&statement, &mut document.files, track::file(&statement), |file| &file.name),
            "static_ipaddress" => address::addresses(&statement, &mut document.static_addresses),
            "static_routes" => route::routes(&statement, &mut document.static_routes),
            "static_rules" => route::rules(&statement, &mut document.static_rules),
            "track_group" => {
                let found = statics::track_group(&statement);
                add(&statement, &mut document.track_groups, found, |group| &group.name);
            }
            "interface_up_down_delays" => statics::delays(&statement, &mut document.delays),
            "garp_group" => document.pacing.push(statics::pacing(&statement)),
            "net_namespace" => statement.one(&mut document.net_namespace, value::text),
            "instance" => statement.one(&mut document.instance, value::text),
            _ => statement.not_read(),
        }
    }
    document
}

/// Keeps a named block, unless its name is taken.
fn add<T>(
    statement: &Statement<'_>,
    list: &mut Vec<T>,
    found: Option<T>,
    name: impl Fn(&T) -> &serde_spanned::Spanned<String>,
) {
    let Some(found) = found else { return };
    let span = name(&found).span();
    let key = (statement.name, name(&found).get_ref().clone());
    let Some(first) = statement.context.named.borrow().get(&key).cloned() else {
        statement.context.named.borrow_mut().insert(key, span);
        return list.push(found);
    };
    let message = format!("{} {} is there already", statement.name, name(&found).get_ref());
    let finding =
        Finding::error(&span, message).also(&first, "first here").help("give it another name, or remove it");
    match statement.name {
        // Of these keepalived takes the first without a word.
        "vrrp_script" | "vrrp_track_process" | "track_file" => {
            statement.report().add(finding.softened(), &span);
        }
        _ => statement.report().refuse_finding(finding, &span),
    }
}

/// One word on all that is the load balancer's.
fn balancer(context: &Context<'_>, options: &Options) {
    let found = context.balancer.borrow();
    let Some(first) = found.first() else { return };
    let how_many = match found.len() {
        1 => "this statement is left out".to_owned(),
        count => format!("{count} statements are left out, this is the first"),
    };
    let message = format!("known to keepalived, not done by Locum, effect: no load is balanced ({how_many})");
    let finding = Finding::error(first, message);
    if options.vrrp_only {
        context.report.sink.add(finding.softened().help("run keepalived --check beside Locum for that part"));
    } else {
        context
            .report
            .sink
            .add(finding.help("have Locum read the VRRP part only: --vrrp-only; or remove it"));
    }
}
