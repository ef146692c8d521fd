//! Commands that can be run here: program found, user known, nobody else able to change either.

use super::document::{Command, Document};
use super::report::Report;
use crate::config::problem::{Finding, Span};
use crate::process::{User, resolve_user, vet};
use serde_spanned::Spanned;
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// Where programs without a path are looked for.
const FOLDERS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// The user that keepalived takes where none is named, if there is one.
const USUAL: &str = "keepalived_script";

/// Who runs scripts where the script does not say.
pub(super) struct Runner<'a> {
    report: &'a Report,
    usual: Option<User>,
}

impl<'a> Runner<'a> {
    pub(super) fn new(document: &Document, report: &'a Report) -> Self {
        let runner = Runner { report, usual: None };
        let usual = match &document.global.script_user {
            Some(named) => {
                let (user, group) = named.get_ref();
                runner.named(user, group.as_deref(), &named.span())
            }
            None => Some(resolve_user(USUAL).unwrap_or_else(|_| {
                runner.nobody_named(document);
                User::own()
            })),
        };
        Runner { usual, ..runner }
    }

    /// keepalived runs scripts as itself, usually root, where it is not told otherwise.
    fn nobody_named(&self, document: &Document) {
        let scripts = document
            .scripts
            .iter()
            .filter(|script| script.user.is_none())
            .filter_map(|script| script.script.as_ref());
        let hooks = document.instances.iter().map(|instance| &instance.notify);
        let hooks = hooks.chain(document.groups.iter().map(|group| &group.notify));
        let hooks = hooks
            .flat_map(|notify| [&notify.master, &notify.backup, &notify.fault, &notify.stop, &notify.any])
            .flatten();
        let first = scripts.chain(hooks).find(|command| command.get_ref().user.is_none());
        if let Some(first) = first {
            let finding = Finding::warning(
                &first.span(),
                format!("no user is named for this, so it runs as {}, as in keepalived", User::own().name),
            );
            self.report.sink.add(finding.help("name one in global_defs: script_user NAME"));
        }
    }

    pub(super) fn named(&self, user: &str, group: Option<&str>, span: &Span) -> Option<User> {
        let refuse = |why: String| {
            self.report.refuse_finding(Finding::error(span, why), span);
            None
        };
        let mut user = match resolve_user(user) {
            Ok(user) => user,
            Err(why) => return refuse(why),
        };
        if let Some(name) = group {
            match nix::unistd::Group::from_name(name) {
                Ok(Some(group)) => user.gid = group.gid.as_raw(),
                _ => return refuse(format!("there is no group \"{name}\" on this machine")),
            }
        }
        Some(user)
    }

    /// A command ready to run, and who runs it; `None` where it cannot be, which is told of.
    pub(super) fn ready(
        &self,
        command: &Spanned<Command>,
        user: Option<&Spanned<(String, Option<String>)>>,
    ) -> Option<(Vec<String>, User)> {
        let (written, span) = (command.get_ref(), command.span());
        let user = match (&written.user, user) {
            (Some(named), _) => {
                let group = written.group.as_ref().map(|group| group.get_ref().as_str());
                self.named(named.get_ref(), group, &named.span())?
            }
            (None, Some(named)) => {
                self.named(&named.get_ref().0, named.get_ref().1.as_deref(), &named.span())?
            }
            (None, None) => self.usual.clone()?,
        };
        let mut words = written.words.clone();
        let refuse = |why: &dyn Display| {
            self.report.refuse_finding(Finding::error(&span, why.to_string()), &span);
        };
        let program = words.first_mut()?;
        let Some(path) = find(program) else {
            refuse(&format!("there is no program {program} in {}", FOLDERS.join(", ")));
            return None;
        };
        if let Err(why) = vet(&path, &user) {
            refuse(&why);
            return None;
        }
        *program = path.to_string_lossy().into_owned();
        Some((words, user))
    }
}

/// Where a program is: as written, or in the usual folders.
fn find(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program));
    }
    FOLDERS.iter().map(|folder| Path::new(folder).join(program)).find(|path| path.is_file())
}
