//! `notify`: commands and their user become hooks that may be run.

use super::file::Notify;
use super::problem::{Finding, Sink, Span};
use crate::notify::{Hooks, Script, User};
use crate::process::{resolve_user, vet};
use serde_spanned::Spanned;
use std::path::Path;
use std::time::Duration;

/// Who runs scripts where nobody says otherwise: never root.
pub(super) const NOBODY: &str = "nobody";
/// How long a hook may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The hooks of one router. `script_user` is the user of `[agent]`.
pub(super) fn hooks(notify: &Notify, script_user: Option<&Spanned<String>>, sink: &Sink) -> Hooks {
    let commands =
        [&notify.master, &notify.backup, &notify.fault, &notify.stop, &notify.any, &notify.rx_lower];
    let Some(first) = commands.into_iter().flatten().next() else { return Hooks::default() };
    let timeout = notify.timeout.unwrap_or(TIMEOUT);
    let Some(user) = user(notify.user.as_ref().or(script_user), &first.span(), sink) else {
        return Hooks::default();
    };
    let script = |command: &Option<Spanned<Vec<String>>>| {
        let command = command.as_ref()?;
        may_run(command, &user, sink);
        Some(Script { command: command.get_ref().clone(), user: user.clone(), timeout })
    };
    Hooks {
        master: script(&notify.master),
        backup: script(&notify.backup),
        fault: script(&notify.fault),
        stop: script(&notify.stop),
        any: script(&notify.any),
        rx_lower: script(&notify.rx_lower),
    }
}

/// The user `named`, or nobody; `fallback` is where to report where none is named.
pub(super) fn user(named: Option<&Spanned<String>>, fallback: &Span, sink: &Sink) -> Option<User> {
    let (name, span) = match named {
        Some(named) => (named.get_ref().as_str(), &named.span()),
        None => (NOBODY, fallback),
    };
    match resolve_user(name) {
        Ok(user) => Some(user),
        Err(why) => {
            sink.add(Finding::error(span, why));
            None
        }
    }
}

/// Reports a script that `user` may not or must not run.
pub(super) fn may_run(command: &Spanned<Vec<String>>, user: &User, sink: &Sink) {
    let Some(program) = command.get_ref().first() else { return };
    if let Err(why) = vet(Path::new(program), user) {
        sink.add(Finding::error(&command.span(), why));
    }
}
