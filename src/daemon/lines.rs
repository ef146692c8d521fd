//! One log line, in each of the forms in which it is written: for people, as JSON, for the journal.
//!
//! Nothing is written here, and nothing left out for being too much.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::fmt::{Debug, Write};
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

/// Fields of a change of state, whose message says them all.
const SAID: [&str; 6] = ["router", "group", "check", "from", "to", "reason"];

/// What an event says.
pub(super) struct Line<'a> {
    pub(super) level: Level,
    pub(super) module: &'a str,
    message: String,
    fields: Vec<(&'static str, Value)>,
}

impl<'a> Line<'a> {
    pub(super) fn of(event: &Event<'_>, module: &'a str) -> Self {
        let mut line =
            Line { level: *event.metadata().level(), module, message: String::new(), fields: Vec::new() };
        event.record(&mut line);
        line
    }

    pub(super) fn new(level: Level, module: &'a str, message: String) -> Self {
        Line { level, module, message, fields: Vec::new() }
    }

    fn put(&mut self, field: &Field, value: Value) {
        self.fields.push((field.name(), value));
    }

    /// Message and fields, on one line or as many as the message has.
    pub(super) fn text(&self) -> String {
        let mut text = self.message.trim_end().to_owned();
        let change = self.is_change();
        for (name, value) in &self.fields {
            let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if !(change && SAID.contains(name)) {
                let _ = write!(text, " {name}={shown}");
            }
        }
        text
    }

    /// Whether it tells of a change of state, of a router, a group or a check.
    fn is_change(&self) -> bool {
        ["from", "to"]
            .iter()
            .all(|wanted| self.fields.iter().any(|(name, value)| name == wanted && value.is_string()))
    }

    /// For people: the time where nobody else keeps it, the level, and the text.
    pub(super) fn human(&self, time: Option<Timestamp>, colours: bool) -> String {
        let time = time.map(|time| format!("{time:.6} ")).unwrap_or_default();
        let level = self.level;
        let colour = match level {
            Level::ERROR => 31,
            Level::WARN => 33,
            Level::INFO => 32,
            Level::DEBUG => 34,
            Level::TRACE => 35,
        };
        let text = self.text();
        if colours {
            format!("\x1b[2m{time}\x1b[0m\x1b[{colour}m{level:>5}\x1b[0m {text}\n")
        } else {
            format!("{time}{level:>5} {text}\n")
        }
    }

    /// A JSON object with everything apart.
    pub(super) fn json(&self, time: Timestamp) -> String {
        let mut object = Map::new();
        object.insert("time".to_owned(), json!(format!("{time:.6}")));
        object.insert("level".to_owned(), json!(self.level.as_str().to_lowercase()));
        object.insert("module".to_owned(), json!(self.module));
        object.insert("message".to_owned(), json!(self.message));
        for (name, value) in &self.fields {
            object.insert((*name).to_owned(), value.clone());
        }
        Value::Object(object).to_string() + "\n"
    }

    /// What the journal keeps of `program`: its own fields, and ours as `LOCUM_ROUTER`, `LOCUM_FROM` and so on.
    pub(super) fn journal(&self, program: &str) -> Vec<u8> {
        let priority = self.severity().to_string();
        let mut bytes = Vec::new();
        put(&mut bytes, "MESSAGE", &self.text());
        put(&mut bytes, "PRIORITY", &priority);
        put(&mut bytes, "SYSLOG_IDENTIFIER", program);
        put(&mut bytes, "LOCUM_MODULE", self.module);
        for (name, value) in &self.fields {
            let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            put(&mut bytes, &format!("LOCUM_{}", name.to_uppercase()), &shown);
        }
        bytes
    }

    /// As syslog counts (RFC 5424).
    pub(super) fn severity(&self) -> u8 {
        match self.level {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        }
    }
}

/// One field of the journal: its length goes before a value, which may then have line ends.
fn put(bytes: &mut Vec<u8>, name: &str, value: &str) {
    bytes.extend_from_slice(name.as_bytes());
    bytes.push(b'\n');
    bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
    bytes.extend_from_slice(value.as_bytes());
    bytes.push(b'\n');
}

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.put(field, json!(format!("{value:?}")));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.put(field, json!(value));
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, json!(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, json!(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line<'static> {
        let mut line = Line::new(Level::INFO, "vrrp", "web: BACKUP -> MASTER: nobody is heard".to_owned());
        line.fields = vec![
            ("router", json!("web")),
            ("from", json!("BACKUP")),
            ("to", json!("MASTER")),
            ("priority", json!(150)),
        ];
        line
    }

    #[test]
    fn who_is_meant_is_shown_though_the_message_has_the_same_letters() {
        let mut line = Line::new(Level::WARN, "vrrp", "packet refused: /srv/app".to_owned());
        line.fields = vec![("router", json!("app"))];
        assert_eq!(line.human(None, false), " WARN packet refused: /srv/app router=app\n");
    }

    #[test]
    fn people_are_not_told_twice() {
        assert_eq!(line().human(None, false), " INFO web: BACKUP -> MASTER: nobody is heard priority=150\n");
    }

    #[test]
    fn json_has_everything_apart() {
        let value: Value = serde_json::from_str(&line().json(Timestamp::UNIX_EPOCH)).unwrap();
        assert_eq!((&value["level"], &value["router"]), (&json!("info"), &json!("web")));
        assert_eq!(
            (&value["time"], &value["priority"]),
            (&json!("1970-01-01T00:00:00.000000Z"), &json!(150))
        );
    }

    #[test]
    fn a_field_of_the_journal_may_have_line_ends() {
        let bytes = Line::new(Level::WARN, "config", "two\nlines".to_owned()).journal("locum_web");
        let named = b"SYSLOG_IDENTIFIER\n\x09\0\0\0\0\0\0\0locum_web\n";
        assert!(bytes.windows(named.len()).any(|part| part == named), "{bytes:?}");
        let begin = b"MESSAGE\n\x09\0\0\0\0\0\0\0two\nlines\nPRIORITY\n\x01\0\0\0\0\0\0\x004\n";
        assert!(bytes.starts_with(begin), "{bytes:?}");
    }
}
