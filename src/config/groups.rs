//! Rules for `multicast_group`: adverts that go to other groups than those of the RFC (9568 section 5.1.1.2
//! and 5.1.2.2).

use super::file;
use super::problem::{Finding, Sink};
use crate::vrrp::Family;

/// Reports what no group of this router can be.
pub(super) fn groups(part: &file::Router, sink: &Sink) {
    let bare = |family| part.vips.is_empty() && part.family == Some(family);
    let has =
        |family| bare(family) || part.vips.iter().any(|address| Family::of(address.vip.address) == family);
    for (place, written) in part.groups.iter().enumerate() {
        let (group, family) = (*written.get_ref(), Family::of(*written.get_ref()));
        let refuse = |why: String, help: String| sink.add(Finding::error(&written.span(), why).help(help));
        let usual = family.group();
        if !group.is_multicast() {
            refuse(format!("{group} is no multicast address"), format!("write one like {usual}"));
        } else if !has(family) && !part.vips.is_empty() {
            refuse(
                format!("this router has no {family} address, and nothing to send there"),
                "remove it".into(),
            );
        }
        if part.groups.iter().take(place).any(|other| Family::of(*other.get_ref()) == family) {
            refuse(format!("a second group of {family}"), "name one group a family".into());
        }
        if let Some(peers) = &part.peers {
            let finding = Finding::error(&written.span(), "adverts to peers go to no group");
            sink.add(finding.also(&peers.span(), "because of this").help("remove one of the two"));
        }
    }
}
