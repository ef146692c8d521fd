//! `notify`: commands and their user become hooks that may be run.

use super::file::{Command, Notify};
use super::problem::{Finding, Sink, Span};
use crate::notify::{Hooks, Script, User};
use crate::process::{Inherit, resolve_user, vet};
use serde_spanned::Spanned;
use std::path::Path;
use std::time::Duration;

/// Who runs scripts where nobody says otherwise: never root.
pub(super) const NOBODY: &str = "nobody";
/// Behind a user: in all of its groups.
pub(super) const ALL_GROUPS: char = '+';
/// How long a hook may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What `[agent]` says of all scripts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usual<'a> {
    /// Who runs those that name no user.
    pub(super) user: Option<&'a Spanned<String>>,
    /// What of the daemon's environment they have.
    pub(super) inherit: Inherit,
}

/// The hooks of one router.
pub(super) fn hooks(notify: &Notify, all: Usual<'_>, sink: &Sink) -> Hooks {
    let commands = [
        &notify.master,
        &notify.backup,
        &notify.fault,
        &notify.stop,
        &notify.any,
        &notify.rx_lower,
        &notify.dual_master,
    ];
    let timeout = notify.timeout.unwrap_or(TIMEOUT);
    // One that does not exist is told of once.
    let first = commands.into_iter().flatten().find(|command| command.user.is_none());
    let usual = match (first, &notify.user) {
        (Some(first), named) => user(named.as_ref().or(all.user), &first.words.span(), sink),
        // Nobody is run as this user, and one that does not exist is a mistake all the same.
        (None, Some(named)) => user(Some(named), &named.span(), sink),
        (None, None) => None,
    };
    let script = |command: &Option<Command>| {
        let command = command.as_ref()?;
        let user = match &command.user {
            Some(named) => user(Some(named), &named.span(), sink),
            None => usual.clone(),
        };
        may_run(&command.words, user.as_ref(), sink);
        Some(Script { command: command.words.get_ref().clone(), user: user?, inherit: all.inherit, timeout })
    };
    Hooks {
        master: script(&notify.master),
        backup: script(&notify.backup),
        fault: script(&notify.fault),
        stop: script(&notify.stop),
        any: script(&notify.any),
        rx_lower: script(&notify.rx_lower),
        dual_master: script(&notify.dual_master),
    }
}

/// The user `named`, perhaps with a group behind a colon and in all of its groups by a `+` at the end, or nobody;
/// `fallback` is where to report where none is named.
pub(super) fn user(named: Option<&Spanned<String>>, fallback: &Span, sink: &Sink) -> Option<User> {
    let (text, span) = match named {
        Some(named) => (named.get_ref().as_str(), &named.span()),
        None => (NOBODY, fallback),
    };
    let all = text.strip_suffix(ALL_GROUPS);
    let text = all.unwrap_or(text);
    let (name, group) = match text.split_once(':') {
        Some((name, group)) => (name, Some(group)),
        None => (text, None),
    };
    let found = resolve_user(name).map_err(|why| sink.add(Finding::told(span, &why)));
    let mut user = found.ok()?;
    if let Some(group) = group {
        user.gid = super::group_id(&Spanned::new(span.clone(), group.to_owned()), sink)?;
    }
    Some(if all.is_some() { user.in_all_groups() } else { user })
}

/// Reports a script that `user` may not or must not run; of a user that there is not, one that does not exist.
pub(super) fn may_run(command: &Spanned<Vec<String>>, user: Option<&User>, sink: &Sink) {
    let Some(program) = command.get_ref().first().map(Path::new) else { return };
    let there = || program.try_exists().unwrap_or(true);
    let root = User { name: "root".to_owned(), uid: 0, gid: 0, groups: Vec::new() };
    let vetted = match user {
        Some(user) => vet(program, user),
        None if there() => Ok(()),
        None => vet(program, &root),
    };
    if let Err(why) = vetted {
        sink.add(Finding::told(&command.span(), &why));
    }
}
