//! Text with places to fill in: `{router} is {to}`. What is filled in is escaped for where it stands.
//!
//! A `{` that no lower-case word and `}` follow is itself, so that JSON can be written as it is. The text may
//! hold a secret, so it does not print.

use std::fmt::{self, Write as _};

/// What can be filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// The router or group.
    Router,
    /// The state that it had.
    From,
    /// The state that it has.
    To,
    /// Why.
    Reason,
    /// This host.
    Node,
    /// The effective priority.
    Priority,
    /// The virtual addresses.
    Addresses,
    /// When, in UTC.
    Time,
    /// How bad it is.
    Severity,
    /// How many transitions are told of.
    Count,
    /// All of it as a sentence, or as the summary of a storm.
    Text,
}

/// The words between braces.
pub const FIELDS: [(&str, Field); 11] = [
    ("router", Field::Router),
    ("from", Field::From),
    ("to", Field::To),
    ("reason", Field::Reason),
    ("node", Field::Node),
    ("priority", Field::Priority),
    ("addresses", Field::Addresses),
    ("time", Field::Time),
    ("severity", Field::Severity),
    ("count", Field::Count),
    ("text", Field::Text),
];

/// Where a value is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Escape {
    /// Into text: no control characters but the ends of lines.
    Plain,
    /// Into a string of JSON.
    Json,
    /// Into a URL or a form.
    Url,
    /// Into a text of Slack's, where `&`, `<` and `>` would link and call people.
    Slack,
}

impl Escape {
    /// `value` as it can stand there.
    #[must_use]
    pub fn apply(self, value: &str) -> String {
        // A reason can quote what another machine said.
        let plain = || value.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c });
        match self {
            Escape::Plain => plain().collect(),
            Escape::Json => {
                let quoted = serde_json::Value::String(value.to_owned()).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
            Escape::Url => value.bytes().fold(String::new(), |mut text, byte| {
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    text.push(char::from(byte));
                } else {
                    let _ = write!(text, "%{byte:02X}");
                }
                text
            }),
            Escape::Slack => plain().fold(String::new(), |mut text, letter| {
                match letter {
                    '&' => text.push_str("&amp;"),
                    '<' => text.push_str("&lt;"),
                    '>' => text.push_str("&gt;"),
                    other => text.push(other),
                }
                text
            }),
        }
    }
}

/// A text with places to fill in.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Template(Vec<Part>);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Part {
    Literal(String),
    Field(Field),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// The word of a place that nothing is known for.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('{') {
            literal.push_str(before);
            let Some((word, after)) = behind.split_once('}').filter(|(word, _)| is_word(word)) else {
                literal.push('{');
                rest = behind;
                continue;
            };
            let known = FIELDS.iter().find(|(name, _)| *name == word);
            let (_, field) = known.ok_or_else(|| word.to_owned())?;
            parts.push(Part::Literal(std::mem::take(&mut literal)));
            parts.push(Part::Field(*field));
            rest = after;
        }
        literal.push_str(rest);
        parts.push(Part::Literal(literal));
        Ok(Template(parts))
    }

    /// Whether `field` is filled in anywhere.
    #[must_use]
    pub fn has(&self, field: Field) -> bool {
        self.0.contains(&Part::Field(field))
    }

    /// The text with `value` of each place in it.
    #[must_use]
    pub fn fill(&self, escape: Escape, value: impl Fn(Field) -> String) -> String {
        let part = |part: &Part| match part {
            Part::Literal(text) => text.clone(),
            Part::Field(field) => escape.apply(&value(*field)),
        };
        self.0.iter().map(part).collect()
    }
}

impl fmt::Debug for Template {
    /// The places alone: the text may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self.0.iter().filter_map(|part| match part {
            Part::Field(field) => Some(field),
            Part::Literal(_) => None,
        });
        f.debug_list().entries(fields).finish()
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(text: &str, escape: Escape, value: &str) -> String {
        Template::parse(text).unwrap().fill(escape, |_| value.to_owned())
    }

    #[test]
    fn places_are_filled_in_and_other_braces_stay() {
        assert_eq!(fill("{router} is {to}", Escape::Plain, "x"), "x is x");
        assert_eq!(fill(r#"{"a": {"b": "{to}"}, {}}"#, Escape::Json, "x"), r#"{"a": {"b": "x"}, {}}"#);
        assert_eq!(fill("{A} {1} { to } {to", Escape::Plain, "x"), "{A} {1} { to } {to");
        assert_eq!(fill("{{to}}", Escape::Plain, "x"), "{x}");
        assert_eq!(fill("", Escape::Plain, "x"), "");
    }

    #[test]
    fn an_unknown_place_is_an_error_that_names_it() {
        assert_eq!(Template::parse("{router} {sate}").unwrap_err(), "sate");
    }

    #[test]
    fn what_is_filled_in_cannot_leave_its_place() {
        let wild = "a\"b\\c\r\n<d>&e=f{to}";
        let json = fill(r#"{"text": "{text}"}"#, Escape::Json, wild);
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["text"], wild);
        assert_eq!(fill("/?q={text}", Escape::Url, "a b&c=ä/"), "/?q=a%20b%26c%3D%C3%A4%2F");
        assert_eq!(fill("{text}", Escape::Slack, "<!channel> & co"), "&lt;!channel&gt; &amp; co");
        assert_eq!(fill("{text}", Escape::Plain, "a\u{1b}[2J\nb"), "a [2J\nb");
    }

    #[test]
    fn a_template_shows_its_places_and_not_its_text() {
        let shown = format!("{:?}", Template::parse("/send?key=hush&text={text}").unwrap());
        assert_eq!(shown, "[Text]");
    }
}
