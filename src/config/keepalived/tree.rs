//! Words and blocks, each with its place. Braces that are missing or too many are told of here.

use super::report::Report;
use super::text::Line;
use crate::config::problem::{Finding, Span};

/// How deep blocks may stand in blocks.
const DEPTH: usize = 16;

/// Keywords after which the rest of the line is a command with its own quoting.
const COMMANDS: [&str; 26] = [
    "checker_notify_fifo_script",
    "lvs_notify_fifo_script",
    "misc_path",
    "notify",
    "notify_backup",
    "notify_deleted",
    "notify_down",
    "notify_fault",
    "notify_fifo_script",
    "notify_master",
    "notify_master_rx_lower_pri",
    "notify_stop",
    "notify_up",
    "quorum_down",
    "quorum_up",
    "script",
    "shutdown_script",
    "startup_script",
    "vrrp_notify_fifo_script",
    // As people misspell them; the line is still read as one.
    "netify_backup",
    "netify_fault",
    "netify_master",
    "notfy_backup",
    "notfy_fault",
    "notfy_master",
    "scirpt",
];

/// Keywords that only stand outside all blocks: inside one, its `}` is missing.
const OUTSIDE: [&str; 13] = [
    "global_defs",
    "vrrp_instance",
    "vrrp_script",
    "vrrp_sync_group",
    "vrrp_track_process",
    "vrrp_track_file",
    "virtual_server",
    "virtual_server_group",
    "static_ipaddress",
    "static_routes",
    "static_rules",
    "bfd_instance",
    "garp_group",
];

/// A word, without its quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) quoted: bool,
    pub(super) span: Span,
}

/// A statement: words, and maybe a block.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// The keyword first; never empty.
    pub(super) words: Vec<Word>,
    /// What stands after the keyword of a command, as written.
    pub(super) rest: Option<Line>,
    pub(super) block: Option<Block>,
}

/// What stands in braces.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) open: Span,
    /// The place of `}`, or of the last thing before it where that is missing.
    pub(super) close: Span,
    pub(super) nodes: Vec<Node>,
}

impl Node {
    /// The keyword.
    pub(super) fn keyword(&self) -> &str {
        self.words.first().map_or("", |word| &word.text)
    }

    /// The place of the keyword.
    pub(super) fn span(&self) -> Span {
        self.words.first().map_or(0..0, |word| word.span.clone())
    }

    /// The words after the keyword.
    pub(super) fn arguments(&self) -> &[Word] {
        self.words.get(1..).unwrap_or_default()
    }

    /// What stands in its block.
    pub(super) fn nodes(&self) -> &[Node] {
        self.block.as_ref().map_or(&[], |block| &block.nodes)
    }

    /// From its first word to its last, or to the end of its block.
    pub(super) fn extent(&self) -> Span {
        let end = self.words.last().map_or(0, |word| word.span.end);
        let end = self.block.as_ref().map_or(end, |block| block.close.end.max(end));
        let start = self.span().start;
        start..end.max(start)
    }
}

#[derive(Debug)]
enum Token {
    Word(Word),
    /// Words after a command's keyword, and the text they were cut from.
    Rest(Vec<Word>, Line),
    Open(Span),
    Close(Span),
}

/// The statements of a configuration.
pub(super) fn grow(lines: &[Line], report: &Report) -> Vec<Node> {
    let mut builder =
        Builder { report, stack: Vec::new(), top: Vec::new(), words: Vec::new(), rest: None, last: 0..0 };
    for line in lines {
        for token in tokens(line, report) {
            builder.token(token);
        }
        builder.end_statement();
    }
    builder.finish()
}

struct Builder<'a> {
    report: &'a Report,
    /// Statements whose blocks are open, the outermost first.
    stack: Vec<Node>,
    top: Vec<Node>,
    words: Vec<Word>,
    rest: Option<Line>,
    /// The place of the last token.
    last: Span,
}

impl Builder<'_> {
    fn token(&mut self, token: Token) {
        match token {
            Token::Word(word) => {
                self.last = word.span.clone();
                self.words.push(word);
            }
            Token::Rest(words, rest) => {
                self.last = rest.whole();
                self.words.extend(words);
                self.rest = Some(rest);
            }
            Token::Open(span) => {
                self.last = span.clone();
                self.open(span);
            }
            Token::Close(span) => {
                self.end_statement();
                self.last = span.clone();
                match self.stack.pop() {
                    Some(node) => self.close(node, span),
                    None => self.report.refuse(
                        &span,
                        "this } closes nothing",
                        "remove it, or add the { it closes",
                    ),
                }
            }
        }
    }

    fn siblings(&mut self) -> &mut Vec<Node> {
        match self.stack.last_mut().and_then(|node| node.block.as_mut()) {
            Some(block) => &mut block.nodes,
            None => &mut self.top,
        }
    }

    fn statement(&mut self) -> Option<Node> {
        let (words, rest) = (std::mem::take(&mut self.words), self.rest.take());
        (!words.is_empty()).then_some(Node { words, rest, block: None })
    }

    fn end_statement(&mut self) {
        let Some(node) = self.statement() else { return };
        self.unclosed_above(&node);
        self.siblings().push(node);
    }

    fn open(&mut self, span: Span) {
        let node = self.statement().inspect(|node| self.unclosed_above(node));
        // A brace on a line of its own belongs to the statement above it.
        let node = node.or_else(|| {
            let before = self.siblings();
            let fits = before.last().is_some_and(|node| node.block.is_none());
            if fits { before.pop() } else { None }
        });
        let Some(node) = node else {
            self.report.refuse(
                &span,
                "this { has nothing before it",
                "write the keyword it belongs to, or remove it",
            );
            // What it holds is kept out of the way, so that its } finds it.
            let nameless = Word { text: String::new(), quoted: false, span: span.clone() };
            self.push(Node { words: vec![nameless], rest: None, block: None }, span);
            return;
        };
        self.push(node, span);
    }

    fn push(&mut self, mut node: Node, span: Span) {
        node.block = Some(Block { open: span.clone(), close: span.clone(), nodes: Vec::new() });
        self.stack.push(node);
        if self.stack.len() > DEPTH {
            self.report.refuse(&span, "blocks stand too deep in blocks", "close the blocks above");
            let close = self.last.clone();
            if let Some(node) = self.stack.pop() {
                self.close(node, close);
            }
        }
    }

    fn close(&mut self, mut node: Node, span: Span) {
        if let Some(block) = &mut node.block {
            block.close = span;
        }
        if !node.keyword().is_empty() {
            self.siblings().push(node);
        }
    }

    /// Closes the blocks around a statement that stands in none.
    fn unclosed_above(&mut self, node: &Node) {
        if !OUTSIDE.contains(&node.keyword()) {
            return;
        }
        while let Some(open) = self.stack.pop() {
            self.unclosed(&open, Some(node));
            let close = self.last.clone();
            self.close(open, close);
        }
    }

    fn unclosed(&self, open: &Node, seen: Option<&Node>) {
        let Some(block) = &open.block else { return };
        let message = match seen {
            Some(node) => format!("this block of {} is not closed before {}", open.keyword(), node.keyword()),
            None => format!("this block of {} is not closed before the end", open.keyword()),
        };
        let finding = Finding::error(&block.open, message).help("add a } where it ends");
        let finding = match seen {
            Some(node) => finding.also(&node.span(), "it should end before this"),
            None => finding,
        };
        self.report.refuse_finding(finding, &block.open);
    }

    fn finish(mut self) -> Vec<Node> {
        while let Some(open) = self.stack.pop() {
            self.unclosed(&open, None);
            let close = self.last.clone();
            self.close(open, close);
        }
        self.top
    }
}

/// The tokens of one line.
fn tokens(line: &Line, report: &Report) -> Vec<Token> {
    let (mut found, mut at, mut first) = (Vec::new(), 0, true);
    while let Some(start) = line.text.get(at..).and_then(|rest| rest.find(|sign: char| !sign.is_whitespace()))
    {
        let start = at + start;
        if let Some(Token::Word(Word { text, quoted: false, .. })) = found.last()
            && first
            && COMMANDS.contains(&text.as_str())
            && !line.text[start..].starts_with(['{', '}'])
        {
            let end = command_end(&line.text, start);
            let rest = line.slice(start..end);
            let mut words = Vec::new();
            let mut from = start;
            while let Some((word, end)) = word(line, from, end, report) {
                words.push(word);
                from = end;
            }
            found.push(Token::Rest(words, rest));
            at = end;
            first = false;
            continue;
        }
        let sign = |at: usize| line.span(at..at + 1);
        at = match line.text.as_bytes().get(start) {
            Some(b'{') => {
                found.push(Token::Open(sign(start)));
                first = true;
                start + 1
            }
            Some(b'}') => {
                found.push(Token::Close(sign(start)));
                first = true;
                start + 1
            }
            _ => {
                first = matches!(found.last(), None | Some(Token::Open(_) | Token::Close(_)));
                let Some((word, end)) = word(line, start, line.text.len(), report) else { break };
                found.push(Token::Word(word));
                end
            }
        };
    }
    found
}

/// The word at or after byte `from`, and where it ends.
fn word(line: &Line, from: usize, limit: usize, report: &Report) -> Option<(Word, usize)> {
    let text = line.text.get(..limit)?;
    let start = from + text.get(from..)?.find(|sign: char| !sign.is_whitespace())?;
    let rest = &text[start..];
    if let Some(inner) = rest.strip_prefix('"') {
        let length = inner.find('"').unwrap_or_else(|| {
            let span = line.span(start..start + 1);
            report.refuse(&span, "this quote is not closed", "add a \" where it ends, on the same line");
            inner.len()
        });
        let end = (start + length + 2).min(limit);
        let word = Word { text: inner[..length].to_owned(), quoted: true, span: line.span(start..end) };
        return Some((word, end));
    }
    let length = rest.find(|sign: char| sign.is_whitespace() || sign == '"').unwrap_or(rest.len());
    let length = without_braces(&rest[..length]);
    let word =
        Word { text: rest[..length].to_owned(), quoted: false, span: line.span(start..start + length) };
    Some((word, start + length))
}

/// How much of a word is before a brace glued to its end. `${X}` and `a{b}` keep theirs.
fn without_braces(word: &str) -> usize {
    let bare = word.trim_end_matches(['{', '}']);
    let closed = bare.matches('{').count().saturating_sub(bare.matches('}').count());
    let kept = word[bare.len()..].bytes().take(closed).take_while(|sign| *sign == b'}').count();
    // A word of braces only is not asked for.
    (bare.len() + kept).max(1)
}

/// Where a command ends: at a `}` outside quotes, after a blank, or at the end of the line.
fn command_end(text: &str, start: usize) -> usize {
    let (mut quote, mut escaped, mut before) = (None, false, ' ');
    for (at, sign) in text.char_indices().skip_while(|(at, _)| *at < start) {
        match (sign, quote) {
            _ if escaped => {}
            ('"' | '\'', None) => quote = Some(sign),
            (sign, Some(open)) if sign == open => quote = None,
            ('}', None) if before.is_whitespace() => return at,
            _ => {}
        }
        escaped = sign == '\\' && !escaped;
        before = sign;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::super::text::lines;
    use super::*;
    use std::path::Path;

    fn show(nodes: &[Node]) -> String {
        let shown = nodes.iter().map(|node| {
            let words: Vec<_> = node.words.iter().map(|word| word.text.clone()).collect();
            let block = node.block.as_ref().map(|block| format!(" {{{}}}", show(&block.nodes)));
            words.join("|") + &block.unwrap_or_default()
        });
        shown.collect::<Vec<_>>().join("; ")
    }

    fn read(text: &str) -> (String, Vec<String>) {
        let report = Report::new(Path::new("x"), text, false);
        let (lines, _) = lines(text, 0, &Path::new("/").into(), &report);
        let tree = show(&grow(&lines, &report));
        (tree, report.into_parts().0.iter().map(ToString::to_string).collect())
    }

    #[track_caller]
    fn grows(text: &str, wanted: &str) {
        assert_eq!(read(text), (wanted.to_owned(), vec![]));
    }

    #[test]
    fn braces_may_stand_anywhere() {
        let wanted = "a|b {c|d; e {f}}";
        grows("a b {\n c d\n e {\n f\n }\n}", wanted);
        grows("a b{\nc d\ne{\nf}}", wanted);
        grows("a b\n\n{ c d\ne\n{f\n}\n}", wanted);
        grows("a { } b {}", "a {}; b {}");
    }

    #[test]
    fn quotes_make_one_word_and_end_the_one_before() {
        grows("a\"b c\"d \"{\" \"\"", "a|b c|d|{|");
    }

    #[test]
    fn a_brace_inside_a_word_belongs_to_it() {
        grows("a ${X} b{c}d x${Y}{\n}", "a|${X}|b{c}d|x${Y} {}");
    }

    #[test]
    fn the_rest_of_a_command_is_kept_with_its_braces() {
        grows("s { script 'awk {print} x' y }", "s {script|'awk|{print}|x'|y}");
        grows("vrrp_script a { script \"/bin/true\" }", "vrrp_script|a {script|/bin/true}");
        grows("a {\n notify \"x } y\"\n}", "a {notify|x } y}");
    }

    #[test]
    fn a_missing_brace_is_told_of_at_the_one_that_opens() {
        let (tree, said) = read("vrrp_instance a {\n x {\n y\n}\nvrrp_instance b {\n}");
        assert_eq!(tree, "vrrp_instance|a {x {y}}; vrrp_instance|b {}");
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with("x:1:17: error: this block of vrrp_instance is not closed"), "{said:?}");
        let (_, said) = read("a {\n b");
        assert!(
            said[0].starts_with("x:1:3: error: this block of a is not closed before the end"),
            "{said:?}"
        );
    }

    #[test]
    fn a_brace_too_many_is_told_of() {
        assert!(read("a\n}\n").1[0].starts_with("x:2:1: error: this } closes nothing"));
        let (tree, said) = read("{ a }\nb");
        assert_eq!(tree, "b");
        assert!(said[0].starts_with("x:1:1: error: this { has nothing before it"), "{said:?}");
    }

    #[test]
    fn an_open_quote_is_told_of() {
        let (tree, said) = read("a \"b c");
        assert_eq!(tree, "a|b c");
        assert!(said[0].starts_with("x:1:3: error: this quote is not closed"), "{said:?}");
    }
}
