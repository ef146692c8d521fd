//! `vrrp_sync_group`: instances that share one state, and the commands both kinds of block have.

use super::command;
use super::document::{Group, Notify, Tracking};
use super::keywords::Block;
use super::statement::{Statement, statements};
use super::track;
use serde_spanned::Spanned;

/// Reads a `vrrp_sync_group`.
pub(super) fn group(statement: &Statement<'_>) -> Option<Group> {
    let mut group = Group {
        name: statement.title()?,
        span: statement.node.extent(),
        group: Vec::new(),
        tracking: Tracking::default(),
        member_weights: None,
        notify: Notify::default(),
    };
    for inner in statements(statement.members(), Block::Group, statement.context) {
        match inner.name {
            "group" => {
                let words = inner.words();
                group.group.extend(words.map(|word| Spanned::new(word.span.clone(), word.text.clone())));
            }
            "sync_group_tracking_weight" => inner.bare(&mut group.member_weights),
            _ if track::tracking(&inner, &mut group.tracking) || notify(&inner, &mut group.notify) => {}
            _ => inner.not_read(),
        }
    }
    if group.group.is_empty() {
        let message = format!("sync group {} has no instances", group.name.get_ref());
        statement.report().refuse(&group.name.span(), message, "add: group { NAME … }");
        return None;
    }
    Some(group)
}

/// Reads `notify_…` and `smtp_alert`; `false` where the statement is none.
pub(super) fn notify(statement: &Statement<'_>, notify: &mut Notify) -> bool {
    let slot = match statement.name {
        "notify_master" => &mut notify.master,
        "notify_backup" => &mut notify.backup,
        "notify_fault" => &mut notify.fault,
        "notify_stop" => &mut notify.stop,
        "notify" => &mut notify.any,
        "notify_master_rx_lower_pri" => &mut notify.master_rx_lower_pri,
        "notify_deleted" => {
            let found = if statement.node.rest.is_some() {
                command::read(statement).map(Spanned::into_inner)
            } else {
                None
            };
            statement.put(&mut notify.deleted, Some(Spanned::new(statement.span(), found)));
            return true;
        }
        "notify_priority_changes" => {
            statement.flag(&mut notify.priority_changes);
            return true;
        }
        "smtp_alert" => {
            statement.flag(&mut notify.smtp_alert);
            return true;
        }
        _ => return false,
    };
    command::command(statement, slot);
    true
}
