//! Commands that can be run here: program found, user known, nobody else able to change either.

use super::document::{Command, Document, is_on};
use super::report::Report;
use crate::config::problem::{Finding, Span};
use crate::process::{Inherit, User, resolve_user, vet};
use serde_spanned::Spanned;
use std::cell::RefCell;
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// Where programs without a path are looked for.
const FOLDERS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// Before the name of a group: with the other groups of the user besides.
const ALL_GROUPS: char = ':';
/// The user that keepalived takes where none is named, if there is one.
const USUAL: &str = "keepalived_script";

/// What of the daemon's environment scripts have, as with keepalived.
pub(super) const INHERIT: Inherit = Inherit::Environment;

/// Who runs scripts where the script does not say.
pub(super) struct Runner<'a> {
    report: &'a Report,
    /// `set_supplementary_groups`
    all_groups: bool,
    usual: Option<User>,
    /// Script security leaves nobody to run what names no user.
    nobody: bool,
    /// The first command that there is.
    first: RefCell<Option<Span>>,
}

impl<'a> Runner<'a> {
    pub(super) fn new(document: &Document, report: &'a Report) -> Self {
        let all_groups = is_on(&document.global.set_supplementary_groups);
        let runner = Runner { report, all_groups, usual: None, nobody: false, first: RefCell::default() };
        let mut nobody = false;
        let usual = match &document.global.script_user {
            Some(named) => {
                let (user, group) = named.get_ref();
                runner.named(user, group.as_deref(), &named.span())
            }
            None => resolve_user(USUAL).ok().map(|user| runner.with_groups(user, None)).or_else(|| {
                nobody = is_on(&document.global.enable_script_security);
                if nobody {
                    return None;
                }
                runner.nobody_named(document);
                Some(User::own())
            }),
        };
        Runner { usual, nobody, ..runner }
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

    /// Where the first command stands that there is.
    pub(super) fn first(&self) -> Option<Span> {
        self.first.borrow().clone()
    }

    pub(super) fn named(&self, user: &str, group: Option<&str>, span: &Span) -> Option<User> {
        self.resolved(user, group, span, Says::Loud)
    }

    /// As [`Runner::named`], of the owner of a FIFO.
    pub(super) fn owner(&self, user: &str, group: Option<&str>, span: &Span) -> Option<User> {
        self.resolved(user, group, span, Says::Nothing)
    }

    fn resolved(&self, user: &str, group: Option<&str>, span: &Span, says: Says) -> Option<User> {
        let refuse = |why: String| {
            self.refuse(span, &why, says);
            None
        };
        let mut user = match resolve_user(user) {
            Ok(user) => user,
            Err(why) => return refuse(why),
        };
        let name = group.map(|group| group.strip_prefix(ALL_GROUPS).unwrap_or(group));
        if let Some(name) = name {
            match nix::unistd::Group::from_name(name) {
                Ok(Some(group)) => user.gid = group.gid.as_raw(),
                _ => return refuse(format!("there is no group \"{name}\" on this machine")),
            }
        }
        Some(self.with_groups(user, group))
    }

    /// The user in all of its groups where that is asked for.
    fn with_groups(&self, user: User, group: Option<&str>) -> User {
        let all = self.all_groups || group.is_some_and(|group| group.starts_with(ALL_GROUPS));
        if all { user.in_all_groups() } else { user }
    }

    /// A script ready to run, and who runs it; `None` where it cannot be, which is told of.
    pub(super) fn script(
        &self,
        command: &Spanned<Command>,
        user: Option<&Spanned<(String, Option<String>)>>,
    ) -> Option<(Vec<String>, User)> {
        self.ready(command, user, Says::Loud)
    }

    /// As [`Runner::script`], of what is told of a change.
    pub(super) fn hook(&self, command: &Spanned<Command>) -> Option<(Vec<String>, User)> {
        self.ready(command, None, Says::Nothing)
    }

    fn ready(
        &self,
        command: &Spanned<Command>,
        user: Option<&Spanned<(String, Option<String>)>>,
        says: Says,
    ) -> Option<(Vec<String>, User)> {
        let (written, span) = (command.get_ref(), command.span());
        let mut words = written.words.clone();
        let program = words.first_mut()?;
        let found = find(program);
        let user = match (&written.user, user) {
            (Some(named), _) => {
                let group = written.group.as_ref().map(|group| group.get_ref().as_str());
                self.resolved(named.get_ref(), group, &named.span(), says)?
            }
            (None, Some(named)) => {
                self.named(&named.get_ref().0, named.get_ref().1.as_deref(), &named.span())?
            }
            (None, None) if self.nobody => {
                let message =
                    "no user is named for this, and enable_script_security has nothing run as root unasked";
                let help = format!("name one in global_defs: script_user NAME, or make the user {USUAL}");
                self.report.refuse(&span, message, help);
                return None;
            }
            (None, None) => self.usual.clone()?,
        };
        if found.as_ref().is_some_and(|path| path.is_file()) {
            self.first.borrow_mut().get_or_insert(span.clone());
        }
        let Some(path) = found else {
            let why = format!("there is no program {program} in {}", FOLDERS.join(", "));
            self.refuse(&span, &why, says);
            return None;
        };
        if let Err(why) = vet(&path, &user) {
            self.refuse(&span, &why, says);
            return None;
        }
        *program = path.to_string_lossy().into_owned();
        Some((words, user))
    }

    fn refuse(&self, span: &Span, why: &dyn Display, says: Says) {
        let finding = Finding::told(span, &why.to_string());
        match says {
            Says::Loud => self.report.refuse_finding(finding, span),
            Says::Nothing => self.report.skip(finding, span),
        }
    }
}

/// What keepalived says of a command that it cannot run.
#[derive(Clone, Copy, Debug)]
enum Says {
    Loud,
    Nothing,
}

/// Where a program is: as written, or in the usual folders.
fn find(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program));
    }
    FOLDERS.iter().map(|folder| Path::new(folder).join(program)).find(|path| path.is_file())
}
