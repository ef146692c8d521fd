//! `checks` of routers and groups: how they are read, and what is wrong with them.

use super::file::{File, Group, Router, inner};
use super::problem::{Finding, Sink};
use super::section::{Section, Value, Wrong};
use super::suggest::nearest;
use super::value::{number, text};
use crate::health::{self, CheckName, OnFail};
use serde_spanned::Spanned;
use std::ops::Range;

/// One of `checks`.
#[derive(Clone)]
pub(super) struct Track {
    pub(super) check: Spanned<String>,
    pub(super) on_fail: OnFail,
    pub(super) span: Range<usize>,
    /// Written for a whole group.
    pub(super) shared: bool,
}

/// Reads `checks`.
pub(super) fn tracks(section: &Section<'_>) -> Vec<Track> {
    let members = section.members("checks", "a list of check names: [\"app\"]").unwrap_or_default();
    members.iter().filter_map(|value| track(section, value)).collect()
}

fn track<'a>(section: &Section<'a>, value: &'a Value<'a>) -> Option<Track> {
    let span = value.span();
    if !value.get_ref().is_table() {
        return match text(value) {
            Ok(name) => Some(Track {
                check: Spanned::new(span.clone(), name),
                on_fail: OnFail::Fault,
                span,
                shared: false,
            }),
            Err(wrong) => {
                section.wrong("checks", value, wrong);
                None
            }
        };
    }
    let table = section.inner("checks", value, format!("a check of {}", section.title))?;
    let check = table.required("check", "check = \"NAME\"", text);
    let weight = inner(table.optional("weight", weight)).map(OnFail::Weight);
    let times = inner(table.optional("times", number(-254, 254))).map(OnFail::Times);
    table.finish();
    Some(Track { check: check?, on_fail: times.or(weight).unwrap_or(OnFail::Fault), span, shared: false })
}

fn weight(value: &Value<'_>) -> Result<i32, Wrong> {
    match number(-254, 254)(value)? {
        0 => Err(Wrong::new("a weight of 0 changes nothing").help(
            "write a number such as -60; or no weight, and the router is in Fault while the check is down",
        )),
        weight => Ok(weight),
    }
}

/// Gives each router what its group tracks.
pub(super) fn spread(file: &mut File<'_>, checks: &[Spanned<String>], sink: &Sink) {
    for Group { routers, tracks, .. } in &file.groups {
        let known: Vec<&Track> = tracks.iter().filter(|track| is_known(track, checks, sink)).collect();
        let mine =
            |router: &&mut Router| routers.iter().any(|name| **name.get_ref() == *router.name.get_ref().0);
        for router in file.routers.iter_mut().filter(mine) {
            router.tracks.extend(known.iter().map(|track| Track { shared: true, ..(*track).clone() }));
        }
    }
}

/// Reports checks that do not exist, and those that stand twice.
pub(super) fn judge(router: &Router, checks: &[Spanned<String>], sink: &Sink) {
    for (place, track) in router.tracks.iter().enumerate() {
        is_known(track, checks, sink);
        let name = track.check.get_ref();
        let earlier = router.tracks.iter().take(place).find(|other| other.check.get_ref() == name);
        if let Some(first) = earlier {
            let finding = Finding::error(&track.span, format!("check {name} stands here twice"));
            sink.add(finding.also(&first.span, "first here").help("remove one"));
        }
    }
}

fn is_known(track: &Track, checks: &[Spanned<String>], sink: &Sink) -> bool {
    let name = track.check.get_ref();
    let known = checks.iter().any(|check| check.get_ref() == name);
    if !known {
        let finding = Finding::error(&track.check.span(), format!("there is no check \"{name}\""));
        let near = nearest(name, checks.iter().map(|check| check.get_ref().as_str()));
        sink.add(match near {
            Some(near) => finding.help(format!("did you mean \"{near}\"?")),
            None => finding.help(format!("add a section [check.{name}]")),
        });
    }
    known
}

/// As the agent has them.
pub(super) fn judged<'a>(tracks: impl IntoIterator<Item = &'a Track>) -> Vec<health::Track> {
    let one = |track: &Track| {
        let check = CheckName(track.check.get_ref().as_str().into());
        health::Track { check, on_fail: track.on_fail }
    };
    tracks.into_iter().map(one).collect()
}
