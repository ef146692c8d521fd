//! A pattern that looks for a command line as it is written out, and what is read out of such a pattern again.

use super::Pattern;

/// What else a command line may hold than the words that are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arguments {
    /// Nothing.
    Exact,
    /// Other words behind them.
    More,
    /// The same, and the last word itself may be longer, unless it is the program.
    Longer,
}

impl Arguments {
    /// What ends the pattern.
    const fn end(self) -> &'static str {
        match self {
            Arguments::Exact => "$",
            Arguments::More => "( |$)",
            Arguments::Longer => "",
        }
    }
}

/// The pattern of a program and its first arguments, joined by blanks as the probe sees them.
///
/// # Errors
/// They are too long for a pattern.
pub fn pattern(words: &[String], arguments: Arguments) -> Result<Pattern, regex::Error> {
    let arguments = match (arguments, words) {
        (Arguments::Longer, [_]) => Arguments::More,
        (arguments, _) => arguments,
    };
    Pattern::new(&format!("^{}{}", regex::escape(&words.join(" ")), arguments.end()))
}

/// The program and its arguments that a pattern made so looks for; `None` of any other.
#[must_use]
pub fn looked_for(pattern: &Pattern) -> Option<(String, String, Arguments)> {
    let text = pattern.as_str().strip_prefix('^')?;
    // A sign of the command itself has a backslash before it.
    let bare = |text: &&str| text.bytes().rev().take_while(|sign| *sign == b'\\').count() % 2 == 0;
    let ends = |arguments: Arguments| Some((text.strip_suffix(arguments.end()).filter(bare)?, arguments));
    let (text, arguments) =
        ends(Arguments::More).or_else(|| ends(Arguments::Exact)).unwrap_or((text, Arguments::Longer));
    let (mut line, mut escaped) = (String::new(), false);
    for sign in text.chars() {
        escaped = !escaped && sign == '\\';
        if !escaped {
            line.push(sign);
        }
    }
    (regex::escape(&line) == text).then(|| {
        let (program, rest) = line.split_once(' ').unwrap_or((&line, ""));
        (program.to_owned(), rest.to_owned(), arguments)
    })
}

#[cfg(test)]
mod tests {
    use super::Arguments::{Exact, Longer, More};
    use super::*;

    #[test]
    fn what_was_written_is_read_out_of_the_pattern() {
        for (words, arguments) in [
            (&["nginx"][..], Exact),
            (&["/usr/bin/x"], More),
            (&["x", "-a", "b.c", "(d)", "$", "\\"], Exact),
            (&["x", "$"], Longer),
            (&["x", "( |$)"], More),
            (&["x", "a\\"], Exact),
            (&["x", "a\\$"], Longer),
        ] {
            let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
            let made = pattern(&words, arguments).unwrap();
            assert_eq!(
                looked_for(&made),
                Some((words[0].clone(), words[1..].join(" "), arguments)),
                "{made}"
            );
        }
        assert_eq!(looked_for(&Pattern::new("^java .*-jar").unwrap()), None);
        assert_eq!(looked_for(&Pattern::new("nginx").unwrap()), None);
    }

    #[test]
    fn the_last_word_may_be_longer_or_others_may_follow() {
        let all = |arguments| {
            let made = pattern(&["sleep".to_owned(), "77".to_owned()], arguments).unwrap();
            [&b"sleep 77"[..], b"sleep 777", b"sleep 77 7", b"/bin/sleep 77", b"sleep 7"]
                .map(|line| made.matches(line))
        };
        assert_eq!(all(Exact), [true, false, false, false, false]);
        assert_eq!(all(More), [true, false, true, false, false]);
        assert_eq!(all(Longer), [true, true, true, false, false]);
    }
}
