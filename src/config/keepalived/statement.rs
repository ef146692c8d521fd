//! One statement read: its keyword looked up, its arguments put into their places in the document.
//!
//! What is missing, wrong, twice or too much is told of here, the same way for every keyword.

use super::document::Weight;
use super::keywords::{self, Block, Does};
use super::report::Report;
use super::tree::{Node, Word};
use super::value;
use crate::config::problem::{Finding, Span};
use crate::config::section::Wrong;
use crate::config::suggest::nearest;
use serde_spanned::Spanned;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// What readers of all blocks share.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) report: &'a Report,
    /// The load balancer's statements that were met.
    pub(super) balancer: RefCell<Vec<Span>>,
    /// Where the name of each block stands, by keyword and name.
    pub(super) named: RefCell<BTreeMap<(&'static str, String), Span>>,
}

/// A statement whose keyword is known and to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Statement<'a> {
    /// Its keyword, by its present name.
    pub(super) name: &'static str,
    pub(super) node: &'a Node,
    pub(super) context: &'a Context<'a>,
}

/// The statements of `block` to be read; the others are told of.
pub(super) fn statements<'a>(
    nodes: &'a [Node],
    block: Block,
    context: &'a Context<'a>,
) -> impl Iterator<Item = Statement<'a>> {
    nodes.iter().filter_map(move |node| {
        let name = known(node, block, context)?;
        Some(Statement { name, node, context })
    })
}

/// What is said wherever a keyword is not done.
fn not_done(effect: &str) -> String {
    format!("known to keepalived, not done by Locum, effect: {effect}")
}

fn known(node: &Node, block: Block, context: &Context<'_>) -> Option<&'static str> {
    let (name, span) = (node.keyword(), node.span());
    let Some(mut keyword) = keywords::find(block, name) else {
        unknown(node, block, context);
        return None;
    };
    if let Does::Instead(present) = keyword.does {
        let message = format!("{name} is the old name of {present}");
        context.report.warning(&span, message, format!("write {present}"));
        keyword = keywords::find(block, present)?;
    }
    match keyword.does {
        Does::Done | Does::Instead(_) => Some(keyword.name),
        Does::Later(effect) => {
            context.report.add(Finding::warning(&span, format!("{name}: {}", not_done(effect))), &span);
            Some(keyword.name)
        }
        Does::Effect(effect) => {
            if keywords::is_gone(keyword) {
                context.report.count_flaw();
            }
            context.report.add(Finding::warning(&span, format!("{name}: {}", not_done(effect))), &span);
            None
        }
        Does::Lvs => {
            context.balancer.borrow_mut().push(span);
            None
        }
    }
}

fn unknown(node: &Node, block: Block, context: &Context<'_>) {
    if context.report.is_full() {
        return;
    }
    let (name, title) = (node.keyword(), block.name());
    let finding = Finding::error(&node.span(), format!("unknown keyword {name} in {title}"));
    let near = nearest(name, keywords::of(block).map(|keyword| keyword.name));
    let help = match (near, keywords::elsewhere(block, name)) {
        (Some(near), None) => format!("did you mean {near}?"),
        (_, Some(other)) => format!("{name} belongs into {}", other.name()),
        (None, None) => "see the keywords in the manual of keepalived.conf, or remove the line".to_owned(),
    };
    context.report.refuse_finding(finding.help(help), &node.span());
}

impl<'a> Statement<'a> {
    pub(super) fn report(&self) -> &'a Report {
        self.context.report
    }

    pub(super) fn span(&self) -> Span {
        self.node.span()
    }

    /// Reports an argument that cannot be read; a message that begins with "this " is about it.
    pub(super) fn wrong(&self, word: &Word, wrong: Wrong) {
        let message = match wrong.message.strip_prefix("this ") {
            Some(rest) => format!("{} {rest}", self.name),
            None => wrong.message,
        };
        let finding = Finding::error(&word.span, message);
        let finding = match wrong.help {
            Some(help) => finding.help(help),
            None => finding,
        };
        self.report().refuse_finding(finding, &word.span);
    }

    /// The argument number `place`, read; reported where it is wrong, not where it is missing.
    pub(super) fn argument<T>(
        &self,
        place: usize,
        read: impl Fn(&Word) -> Result<T, Wrong>,
    ) -> Option<Spanned<T>> {
        let word = self.node.arguments().get(place)?;
        match read(word) {
            Ok(value) => Some(Spanned::new(word.span.clone(), value)),
            Err(wrong) => {
                self.wrong(word, wrong);
                None
            }
        }
    }

    /// As [`Statement::argument`], with a missing one reported.
    pub(super) fn required<T>(
        &self,
        place: usize,
        read: impl Fn(&Word) -> Result<T, Wrong>,
    ) -> Option<Spanned<T>> {
        if self.node.arguments().len() <= place {
            let help = "write it on the same line; what stands after # or ! is a comment";
            self.report().refuse(&self.span(), format!("{} has no value", self.name), help);
        }
        self.argument(place, read)
    }

    /// Reports what stands after the first `most` arguments, and a block where none belongs.
    pub(super) fn no_more_than(&self, most: usize) {
        if let Some(surplus @ [first, ..]) = self.node.arguments().get(most..) {
            let message = format!("{} takes {}: nothing reads the rest of the line", self.name, plural(most));
            let end = surplus.last().map_or(first.span.end, |last| last.span.end);
            let span = first.span.start..end.max(first.span.start);
            let help = "put it on a line of its own, or remove it";
            self.report().skip(Finding::error(&span, message).help(help), &span);
        }
        if let Some(block) = &self.node.block {
            self.report().refuse(&block.open, format!("{} has no block", self.name), "remove the braces");
        }
    }

    /// Reports words between the keyword of a block and its brace.
    pub(super) fn no_more_words(&self) {
        if let Some(first) = self.node.arguments().first() {
            let message = format!("nothing stands between {} and its {{", self.name);
            self.report().skip(Finding::error(&first.span, message).help("remove it"), &first.span);
        }
    }

    /// Warns where keepalived does not do what is written.
    pub(super) fn trap(&self, span: &Span, keepalived: &str, help: &str) {
        let message = format!("keepalived does otherwise here: {keepalived}; Locum does what is written");
        self.report().warning(span, message, help);
    }

    /// For a keyword that the table says is read, and no reader reads: a defect, found by a test.
    pub(super) fn not_read(&self) {
        self.report().error(
            &self.span(),
            format!("{} is not read", self.name),
            "report this as a defect of Locum",
        );
    }

    /// Puts a value into its place; tells of one that was there.
    pub(super) fn put<T>(&self, slot: &mut Option<Spanned<T>>, value: Option<Spanned<T>>) {
        let Some(value) = value else { return };
        if let Some(earlier) = slot {
            let finding = Finding::warning(
                &self.span(),
                format!("{} stands here twice: the last one counts", self.name),
            );
            self.report().add(finding.also(&earlier.span(), "first here").help("remove one"), &self.span());
        }
        *slot = Some(value);
    }

    /// One argument.
    pub(super) fn one<T>(&self, slot: &mut Option<Spanned<T>>, read: impl Fn(&Word) -> Result<T, Wrong>) {
        let value = self.required(0, read);
        self.put(slot, value);
        self.no_more_than(1);
    }

    /// A keyword that alone means yes.
    pub(super) fn flag(&self, slot: &mut Option<Spanned<bool>>) {
        let value = match self.node.arguments() {
            [] => Some(Spanned::new(self.span(), true)),
            _ => self.argument(0, value::flag),
        };
        self.put(slot, value);
        self.no_more_than(1);
    }

    /// A keyword that means yes to keepalived, whatever stands behind it.
    pub(super) fn sign(&self, slot: &mut Option<Spanned<bool>>) {
        let Some(Ok(said)) = self.node.arguments().first().map(value::flag) else {
            return self.bare(slot);
        };
        if !said {
            let keepalived = format!("any use of {} here turns it on", self.name);
            self.trap(&self.span(), &keepalived, "remove the line");
        }
        self.put(slot, Some(Spanned::new(self.span(), said)));
        self.no_more_than(1);
    }

    /// A keyword without arguments.
    pub(super) fn bare(&self, slot: &mut Option<Spanned<bool>>) {
        self.put(slot, Some(Spanned::new(self.span(), true)));
        self.no_more_than(0);
    }

    /// `N [reverse]`.
    pub(super) fn weight(&self, slot: &mut Option<Spanned<Weight>>, most: i64) {
        let mut found = self.required(0, value::weight(most));
        let reverse = self.argument(1, value::choice(&[("reverse", true), ("noreverse", false)]));
        if let (Some(found), Some(reverse)) = (&mut found, reverse) {
            found.get_mut().reverse = reverse.into_inner();
        }
        self.put(slot, found);
        self.no_more_than(2);
    }

    /// The lines of its block; reported where it has none.
    pub(super) fn members(&self) -> &'a [Node] {
        if self.node.block.is_none() {
            let help = format!("write {} {{ … }}", self.name);
            self.report().refuse(&self.span(), format!("{} has no block", self.name), help);
        }
        self.node.nodes()
    }

    /// The words of its block, however they are spread over lines.
    pub(super) fn words(&self) -> impl Iterator<Item = &'a Word> + use<'a> {
        self.members().iter().flat_map(|node| &node.words)
    }

    /// The name after the keyword of a block.
    pub(super) fn title(&self) -> Option<Spanned<String>> {
        let Some(word) = self.node.arguments().first() else {
            let help = format!("write {} NAME {{", self.name);
            self.report().refuse(&self.span(), format!("this {} has no name", self.name), help);
            return None;
        };
        if let Some(second) = self.node.arguments().get(1) {
            let message = format!("a name is one word: nothing reads {}", second.text);
            let finding = Finding::error(&second.span, message).help("put it in quotes, or remove it");
            self.report().skip(finding, &second.span);
        }
        Some(Spanned::new(word.span.clone(), word.text.clone()))
    }
}

fn plural(count: usize) -> String {
    match count {
        0 => "no value".to_owned(),
        1 => "one value".to_owned(),
        count => format!("{count} values"),
    }
}
