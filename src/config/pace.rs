//! `[pace.NAME]`: the distance between announcements, on some interfaces or on all.

use super::problem::{Finding, Span};
use super::section::Section;
use super::value::{duration, interface};
use crate::agent::config::Pace;
use serde_spanned::Spanned;
use std::time::Duration;

/// One of them as written, with its place.
pub(super) struct Written {
    pub(super) span: Span,
    /// Empty for all that no other names.
    pub(super) interfaces: Vec<Spanned<String>>,
    pub(super) arp: Duration,
    pub(super) na: Duration,
}

pub(super) fn read((name, section): (Spanned<String>, Section<'_>)) -> Written {
    let time = |key| section.optional(key, duration).map(Spanned::into_inner).unwrap_or_default();
    let interfaces = section.list("interfaces", interface).map(Spanned::into_inner).unwrap_or_default();
    let written = Written { span: name.span(), interfaces, arp: time("arp"), na: time("na") };
    section.finish();
    written
}

/// What the agent hands on. Tells of an interface that has two paces; the first counts.
pub(super) fn paces(written: &[Written], tell: impl Fn(Finding, &Span)) -> Vec<Pace> {
    let mut named: Vec<&Spanned<String>> = Vec::new();
    let mut for_all: Option<&Written> = None;
    let mut paces = Vec::new();
    for one in written.iter().filter(|one| !(one.arp.is_zero() && one.na.is_zero())) {
        let again = |span: &Span, first: &Span, what: String| {
            let finding = Finding::error(span, format!("{what} has its pauses already"));
            tell(finding.also(first, "first here").help("name it once"), span);
        };
        let mut pace = Pace { arp: one.arp, na: one.na, ..Pace::default() };
        for interface in &one.interfaces {
            if let Some(first) = named.iter().find(|other| other.get_ref() == interface.get_ref()) {
                again(&interface.span(), &first.span(), format!("interface {}", interface.get_ref()));
            } else {
                named.push(interface);
                pace.interfaces.insert(interface.get_ref().clone());
            }
        }
        match for_all {
            Some(first) if one.interfaces.is_empty() => {
                again(&one.span, &first.span, "every other interface".to_owned());
            }
            _ if one.interfaces.is_empty() => {
                for_all = Some(one);
                paces.push(pace);
            }
            _ if pace.interfaces.is_empty() => {}
            _ => paces.push(pace),
        }
    }
    paces
}
