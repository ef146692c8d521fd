//! `[router.NAME.announce]` as written: how often and when the neighbours are told.

use super::file::inner;
use super::problem::Finding;
use super::section::Section;
use super::value::{number, some_time, time_or_off};
use crate::vrrp::announcing::Announcing;
use serde_spanned::Spanned;

pub(super) fn read(section: &Section<'_>) -> Announcing {
    let mut announcing = Announcing::default();
    let Some(table) = section.section("announce") else { return announcing };
    announcing.count = inner(table.optional("count", number(1, 100))).unwrap_or(announcing.count);
    if let Some(again) = table.list("again", some_time) {
        let span = again.span();
        announcing.again = again.into_inner().into_iter().map(Spanned::into_inner).collect();
        if !announcing.again.is_sorted_by(|a, b| a < b) {
            let finding = Finding::error(
                &span,
                "these times count from becoming Master, so each must be later than the one before",
            );
            section.sink().add(finding.help("write them ascending, such as [\"200ms\", \"1s\", \"5s\"]"));
        }
    }
    let time = |key, usual| table.optional(key, time_or_off).map_or(usual, Spanned::into_inner);
    announcing.refresh = time("refresh", announcing.refresh);
    announcing.refresh_count = inner(table.optional("refresh_count", number(1, 100))).unwrap_or(1);
    announcing.losing_count =
        inner(table.optional("losing_count", number(0, 100))).unwrap_or(announcing.count);
    announcing.losing_again = time("losing_again", None);
    announcing.elsewhere = time("elsewhere", None);
    table.finish();
    announcing
}
