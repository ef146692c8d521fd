//! `damping = { … }` of a router: when it fails too often, and how long it then takes nothing back; and how long any
//! Master has what it has.

use super::file;
use super::problem::{Finding, Sink};
use super::section::Section;
use super::value::{duration, number, some_time};
use crate::agent::damping::Damping;
use crate::vrrp::Priority;
use serde_spanned::Spanned;
use std::ops::Range;
use std::time::Duration;

/// What is written, with its place.
pub(super) type Written = Spanned<Damping>;

pub(super) fn read(section: &Section<'_>) -> Option<Written> {
    let span: Range<usize> = section.raw("damping")?.span();
    let table = section.section("damping")?;
    let usual = Damping {
        failures: 3,
        within: Duration::from_mins(10),
        pause: Duration::from_mins(1),
        hold: Duration::ZERO,
    };
    let damping = Damping {
        failures: table.optional("failures", number(2, 100)).map_or(usual.failures, Spanned::into_inner),
        within: table.optional("within", some_time).map_or(usual.within, Spanned::into_inner),
        pause: table.optional("pause", some_time).map_or(usual.pause, Spanned::into_inner),
        hold: table.optional("hold", duration).map_or(usual.hold, Spanned::into_inner),
    };
    table.finish();
    Some(Spanned::new(span, damping))
}

/// Warns of another damping than that of the first, which counts for all who share its role.
pub(super) fn of_one_role(routers: &[&file::Router], sink: &Sink) {
    let mut written =
        routers.iter().filter_map(|router| Some((router.name.get_ref(), router.damping.as_ref()?)));
    let Some((lead, ours)) = written.next() else { return };
    for (name, theirs) in written.filter(|(_, theirs)| theirs.get_ref() != ours.get_ref()) {
        let message = format!("{name} shares one role with {lead}, whose damping counts for both");
        let finding = Finding::warning(&theirs.span(), message).also(&ours.span(), "this one");
        sink.add(finding.help("write the same damping in all of the group, or in one alone"));
    }
}

/// Warns of damping that holds nothing back.
pub(super) fn lint(part: &file::Router, sink: &Sink) {
    let Some(written) = &part.damping else { return };
    let owner = part.priority.as_ref().is_some_and(|priority| priority.get_ref().is_owner());
    let never = part.preempt.as_ref().is_some_and(|preempt| !*preempt.get_ref());
    let (message, help) = if owner {
        let message = format!("priority {} takes its addresses back whatever was before", Priority::OWNER);
        (message, "write a lower priority, or remove damping")
    } else if never {
        ("without preemption nothing is taken back anyway".to_owned(), "remove damping, or preempt = false")
    } else {
        return;
    };
    sink.add(Finding::warning(&written.span(), message).help(help));
}
