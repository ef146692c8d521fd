//! A file of TOML that is being written: tables with their lines, each with the place in keepalived.conf
//! that it comes from, so that comments find their way. Knows no key.

use crate::config::problem::Span;
use std::fmt::Write;

/// How wide a list may be on one line.
const WIDTH: usize = 90;

/// Something with a place, and the comments that came to it.
#[derive(Default)]
pub(super) struct Item {
    text: String,
    at: Option<usize>,
    above: Vec<String>,
    beside: Vec<String>,
}

impl Item {
    pub(super) fn new(text: String, at: Option<usize>) -> Self {
        Item { text, at, ..Item::default() }
    }

    fn beside(&self) -> String {
        if self.beside.is_empty() { String::new() } else { format!("  # {}", self.beside.join("; ")) }
    }
}

/// `key = value`
struct Line {
    key: &'static str,
    value: Item,
    /// The members, where it is a list whose members have places.
    members: Vec<Item>,
}

impl Line {
    fn at(&self) -> usize {
        let members = self.members.iter().filter_map(|member| member.at);
        self.value.at.into_iter().chain(members).min().unwrap_or(usize::MAX)
    }

    fn write(&self, out: &mut String) {
        comments(&self.value.above, "", out);
        let list: Vec<_> = self.members.iter().map(|member| member.text.as_str()).collect();
        let list = format!("[{}]", list.join(", "));
        let remarked =
            self.members.iter().any(|member| !member.above.is_empty() || !member.beside.is_empty());
        if self.members.is_empty() {
            let _ = writeln!(out, "{} = {}{}", self.key, self.value.text, self.value.beside());
        } else if remarked || list.len() > WIDTH {
            let _ = writeln!(out, "{} = [{}", self.key, self.value.beside());
            for member in &self.members {
                comments(&member.above, "    ", out);
                let _ = writeln!(out, "    {},{}", member.text, member.beside());
            }
            *out += "]\n";
        } else {
            let _ = writeln!(out, "{} = {list}{}", self.key, self.value.beside());
        }
    }
}

/// A line of a table, and a member of its list.
type Spot = (usize, Option<usize>);

/// `[title]` and what follows.
pub(super) struct Table {
    title: String,
    /// The blocks of keepalived.conf that it comes from.
    blocks: Vec<Span>,
    above: Vec<String>,
    lines: Vec<Line>,
    /// Comments behind the last line.
    end: Vec<String>,
}

impl Table {
    pub(super) fn new(title: String, blocks: Vec<Span>) -> Self {
        Table { title, blocks, above: Vec::new(), lines: Vec::new(), end: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    fn within(&self, at: usize) -> bool {
        self.blocks.iter().any(|block| block.contains(&at))
    }

    /// Adds a line; `at` is where it comes from.
    pub(super) fn put(&mut self, key: &'static str, text: String, at: Option<usize>) {
        let at = at.filter(|at| self.within(*at));
        self.lines.push(Line { key, value: Item::new(text, at), members: Vec::new() });
    }

    /// As [`Table::put`], unless it is what Locum does anyway and nobody wrote it.
    pub(super) fn differs(&mut self, key: &'static str, text: String, usual: &str, at: Option<usize>) {
        let written = at.is_some_and(|at| self.within(at));
        if text != usual || written {
            self.put(key, text, at);
        }
    }

    /// A list, where it has members.
    pub(super) fn list(&mut self, key: &'static str, mut members: Vec<Item>) {
        for member in &mut members {
            member.at = member.at.filter(|at| self.within(*at));
        }
        if !members.is_empty() {
            self.lines.push(Line { key, value: Item::default(), members });
        }
    }

    /// Everything with a place.
    fn items(&self) -> impl Iterator<Item = (usize, Spot)> {
        self.lines.iter().enumerate().flat_map(|(line, written)| {
            let members = written.members.iter().enumerate();
            let members = members.filter_map(move |(member, item)| Some((item.at?, (line, Some(member)))));
            members.chain(written.value.at.map(|at| (at, (line, None))))
        })
    }

    fn item(&mut self, (line, member): Spot) -> Option<&mut Item> {
        let line = self.lines.get_mut(line)?;
        match member {
            Some(member) => line.members.get_mut(member),
            None => Some(&mut line.value),
        }
    }

    fn write(&self, out: &mut String) {
        comments(&self.above, "", out);
        let _ = writeln!(out, "{}", self.title);
        let mut lines: Vec<_> = self.lines.iter().collect();
        lines.sort_by_key(|line| line.at());
        for line in lines {
            line.write(out);
        }
        comments(&self.end, "", out);
    }
}

/// Something that is to stand beside what it is about.
pub(super) struct Remark {
    pub(super) text: String,
    pub(super) at: usize,
    /// On a line of its own.
    pub(super) alone: bool,
    /// Not left out where what it is about was left out.
    pub(super) kept: bool,
}

/// All of it.
pub(super) struct Page {
    tables: Vec<Table>,
    end: Vec<String>,
}

impl Page {
    pub(super) fn new(tables: Vec<Table>) -> Self {
        Page { tables, end: Vec::new() }
    }

    /// Puts a remark beside what it is about. `left_out` are the blocks that have no meaning
    /// here, `inner` those inside of blocks; `on_one_line` says whether two places are.
    pub(super) fn remark(
        &mut self,
        remark: Remark,
        left_out: &[Span],
        inner: &[Span],
        on_one_line: impl Fn(usize, usize) -> bool,
    ) {
        let Remark { text, at, alone, kept } = remark;
        let mine = || self.tables.iter().enumerate().filter(|(_, table)| table.within(at));
        let places: Vec<_> = mine().map(|(place, _)| place).collect();
        let Some(last) = places.last().copied() else {
            if kept || !left_out.iter().any(|block| block.contains(&at)) {
                self.between(text, at);
            }
            return;
        };
        let mut next: Option<(usize, usize, Spot)> = None;
        for place in places {
            let Some(table) = self.tables.get_mut(place) else { continue };
            let before = table.items().filter(|(here, _)| *here <= at).max();
            let beside = before.filter(|(here, _)| !alone && on_one_line(*here, at));
            if let Some(item) = beside.and_then(|(_, spot)| table.item(spot)) {
                item.beside.push(text);
                return;
            }
            let after = table.items().filter(|(here, _)| *here > at).min();
            let after = after.map(|(here, spot)| (here, place, spot));
            next = [next, after].into_iter().flatten().min();
        }
        let place = next.map_or(last, |(_, place, _)| place);
        let Some(table) = self.tables.get_mut(place) else { return };
        let above = next.and_then(|(here, _, (line, member))| {
            // One outside of the list is about the list.
            let inside = inner.iter().any(|block| block.contains(&at) && block.contains(&here));
            table.item((line, member.filter(|_| inside)))
        });
        match above {
            Some(item) => item.above.push(text),
            None => table.end.push(text),
        }
    }

    /// Above the next table, or at the end.
    fn between(&mut self, text: String, at: usize) {
        let starts = |table: &Table| table.blocks.iter().map(|block| block.start).find(|start| *start > at);
        let next = self.tables.iter_mut().filter(|table| starts(table).is_some());
        match next.min_by_key(|table| starts(table)) {
            Some(table) => table.above.push(text),
            None => self.end.push(text),
        }
    }

    pub(super) fn write(&self) -> String {
        let mut out = String::new();
        for table in &self.tables {
            if !out.is_empty() {
                out.push('\n');
            }
            table.write(&mut out);
        }
        if !self.end.is_empty() {
            out.push('\n');
        }
        comments(&self.end, "", &mut out);
        out
    }
}

fn comments(lines: &[String], indent: &str, out: &mut String) {
    for line in lines {
        let _ = writeln!(out, "{indent}# {line}");
    }
}

/// A string as TOML has it.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A key, in quotes where it must be.
pub(super) fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { quoted(name) }
}

pub(super) fn list(members: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", members.into_iter().collect::<Vec<_>>().join(", "))
}

/// `{ key = value }`
pub(super) fn inline(pairs: &[(&str, String)]) -> String {
    let pairs: Vec<_> = pairs.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    format!("{{ {} }}", pairs.join(", "))
}
