//! One table of the file: hands out its values read and with their place, and reports what is
//! missing, of the wrong kind, or unknown. Knows nothing of what the keys mean.

use super::problem::{Finding, Sink, Span};
use super::suggest::nearest;
use serde_spanned::Spanned;
use std::borrow::Cow;
use std::cell::RefCell;
use toml::de::{DeTable, DeValue};

/// A value as it stands in the file.
pub(super) type Value<'a> = Spanned<DeValue<'a>>;

/// What a message begins with where it is to name the key.
const SUBJECT: &str = "this ";

/// Why a value cannot be read: what is wrong, and the mend. A message that begins with "this " is
/// about the value of the key, which is then named.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Wrong {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Wrong { message: message.into(), help: None }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Wrong { help: Some(help.into()), ..self }
    }

    /// A value of another type than wanted.
    pub(super) fn kind(value: &Value<'_>, wanted: &str) -> Self {
        Wrong::new(format!("this is {}, wanted {wanted}", kind(value))).help(format!("write {wanted}"))
    }
}

/// The type of a value in words, with an article.
fn kind(value: &Value<'_>) -> &'static str {
    match value.get_ref() {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// One table of the file.
pub(super) struct Section<'a> {
    /// What people call it: `[router.web]`.
    pub(super) title: String,
    /// Where it begins: its name.
    pub(super) span: Span,
    entries: &'a DeTable<'a>,
    sink: &'a Sink,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    pub(super) fn new(title: String, span: Span, entries: &'a DeTable<'a>, sink: &'a Sink) -> Self {
        Section { title, span, entries, sink, asked: RefCell::default() }
    }

    pub(super) fn sink(&self) -> &'a Sink {
        self.sink
    }

    /// The value of `key` as it stands, if there.
    pub(super) fn raw(&self, key: &'static str) -> Option<&'a Value<'a>> {
        self.asked.borrow_mut().push(key);
        self.entries.get(key)
    }

    /// The value of `key`, read by `read`. `None` where it is absent, and where it is wrong, which
    /// is reported.
    pub(super) fn optional<T>(
        &self,
        key: &'static str,
        read: impl Fn(&Value<'a>) -> Result<T, Wrong>,
    ) -> Option<Spanned<T>> {
        self.read(key, self.raw(key)?, &read)
    }

    /// As [`Section::optional`], with an absent key reported: `example` is a line that mends it.
    pub(super) fn required<T>(
        &self,
        key: &'static str,
        example: &str,
        read: impl Fn(&Value<'a>) -> Result<T, Wrong>,
    ) -> Option<Spanned<T>> {
        if self.raw(key).is_none() {
            self.missing(key, example);
        }
        self.optional(key, read)
    }

    /// A list, each member read by `read`; wrong members are reported and left out.
    pub(super) fn list<T>(
        &self,
        key: &'static str,
        read: impl Fn(&Value<'a>) -> Result<T, Wrong>,
    ) -> Option<Spanned<Vec<Spanned<T>>>> {
        let span = self.raw(key)?.span();
        let members = self.members(key, "a list: [ … ]")?.iter();
        Some(Spanned::new(span, members.filter_map(|member| self.read(key, member, &read)).collect()))
    }

    /// The members of a list as they stand; `wanted` says what it should be a list of.
    pub(super) fn members(&self, key: &'static str, wanted: &str) -> Option<&'a [Value<'a>]> {
        let value = self.raw(key)?;
        let members = value.get_ref().as_array();
        if members.is_none() {
            self.wrong(key, value, Wrong::kind(value, wanted));
        }
        members.map(|members| &**members)
    }

    /// A list, or one value that stands for a list of one.
    pub(super) fn one_or_more<T>(
        &self,
        key: &'static str,
        read: impl Fn(&Value<'a>) -> Result<T, Wrong>,
    ) -> Option<Spanned<Vec<Spanned<T>>>> {
        let value = self.raw(key)?;
        if value.get_ref().is_array() {
            return self.list(key, read);
        }
        Some(Spanned::new(value.span(), vec![self.read(key, value, &read)?]))
    }

    /// A table inside this one.
    pub(super) fn section(&self, key: &'static str) -> Option<Section<'a>> {
        let title = format!("`{key}` of {}", self.title);
        self.inner(key, self.raw(key)?, title)
    }

    /// `value` under `key` as a table, for people `title`.
    pub(super) fn inner(&self, key: &str, value: &'a Value<'a>, title: String) -> Option<Section<'a>> {
        let Some(entries) = value.get_ref().as_table() else {
            self.wrong(key, value, Wrong::kind(value, "a table: { key = value, … }"));
            return None;
        };
        Some(Section::new(title, value.span(), entries, self.sink))
    }

    /// The tables of `[key.NAME]`, in the order of the file, as (name, section).
    pub(super) fn named(&self, key: &'static str) -> Vec<(Spanned<String>, Section<'a>)> {
        let Some(all) = self.raw(key).and_then(|value| self.inner(key, value, format!("[{key}]"))) else {
            return Vec::new();
        };
        let mut entries: Vec<_> = all.entries.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        if let Some((stray, _)) = entries.iter().find(|(_, value)| !value.get_ref().is_table()) {
            let finding =
                Finding::error(&stray.span(), format!("`{}` stands in [{key}] itself", stray.get_ref()));
            self.sink.add(finding.help(format!("give it a name: [{key}.NAME]")));
        }
        entries.retain(|(_, value)| value.get_ref().is_table());
        let sections = entries.into_iter().filter_map(|(name, value)| {
            let mut section = all.inner(name.get_ref(), value, format!("[{key}.{}]", name.get_ref()))?;
            section.span = name.span();
            Some((Spanned::new(name.span(), name.get_ref().to_string()), section))
        });
        sections.collect()
    }

    /// Every value of a table whose keys are free, read by `read`, in the order of the file.
    pub(super) fn all<T>(&self, read: impl Fn(&Value<'a>) -> Result<T, Wrong>) -> Vec<(String, Spanned<T>)> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        let read_one = |(name, value): (&Spanned<Cow<'_, str>>, _)| {
            Some((name.get_ref().to_string(), self.read(name.get_ref(), value, &read)?))
        };
        entries.into_iter().filter_map(read_one).collect()
    }

    /// Reports `key` as missing; `example` is a line that mends it.
    pub(super) fn missing(&self, key: &str, example: &str) {
        let finding = Finding::error(&self.span, format!("{} has no `{key}`", self.title));
        self.sink.add(finding.help(format!("add: {example}")));
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(self) {
        let asked = self.asked.borrow();
        let unknown = |name: &str| !asked.contains(&name);
        for name in self.entries.keys().filter(|name| unknown(name.get_ref())) {
            let message = format!("unknown key `{}` in {}", name.get_ref(), self.title);
            let unused = asked.iter().copied().filter(|known| !self.entries.contains_key(*known));
            let near =
                nearest(name.get_ref(), unused).or_else(|| nearest(name.get_ref(), asked.iter().copied()));
            let help = near.map_or_else(
                || format!("the keys here are: {}", listed(&asked)),
                |near| format!("did you mean `{near}`?"),
            );
            self.sink.add(Finding::error(&name.span(), message).help(help));
        }
    }

    fn read<T>(
        &self,
        key: &str,
        value: &Value<'a>,
        read: &impl Fn(&Value<'a>) -> Result<T, Wrong>,
    ) -> Option<Spanned<T>> {
        match read(value) {
            Ok(read) => Some(Spanned::new(value.span(), read)),
            Err(wrong) => {
                self.wrong(key, value, wrong);
                None
            }
        }
    }

    /// Reports a wrong value of `key`.
    pub(super) fn wrong(&self, key: &str, value: &Value<'_>, wrong: Wrong) {
        let message = match wrong.message.strip_prefix(SUBJECT) {
            Some(rest) => format!("`{key}` {rest}"),
            None => wrong.message,
        };
        let finding = Finding::error(&value.span(), message);
        self.sink.add(match wrong.help {
            Some(help) => finding.help(help),
            None => finding,
        });
    }
}

/// Names in alphabetical order, each once.
fn listed(names: &[&str]) -> String {
    let mut names = names.to_vec();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}
