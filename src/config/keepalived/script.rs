//! `vrrp_script`: what to run, how often, and what its results mean.

use super::command;
use super::document::Script;
use super::keywords::Block;
use super::statement::{Statement, statements};
use super::track::MOST;
use super::value;

/// The longest interval and timeout, in seconds.
const LONGEST: f64 = 4294.0;

/// Reads a `vrrp_script`.
pub(super) fn script(statement: &Statement<'_>) -> Option<Script> {
    let mut script = Script {
        name: statement.title()?,
        span: statement.node.extent(),
        script: None,
        interval: None,
        timeout: None,
        weight: None,
        rise: None,
        fall: None,
        user: None,
        init_fail: None,
    };
    for inner in statements(statement.members(), Block::Script, statement.context) {
        match inner.name {
            "script" => command::alone(&inner, &mut script.script),
            "interval" => inner.one(&mut script.interval, value::seconds(0.001, LONGEST)),
            "timeout" => inner.one(&mut script.timeout, value::seconds(0.001, LONGEST)),
            "weight" => inner.weight(&mut script.weight, MOST),
            "rise" => inner.one(&mut script.rise, value::number(1, i64::from(i32::MAX))),
            "fall" => inner.one(&mut script.fall, value::number(1, i64::from(i32::MAX))),
            "user" => command::user(&inner, &mut script.user),
            "init_fail" => inner.bare(&mut script.init_fail),
            _ => inner.not_read(),
        }
    }
    if script.script.is_none() {
        let message = format!("script {} runs nothing", script.name.get_ref());
        statement.report().refuse(&script.name.span(), message, "add: script \"/path/to/script\"");
        return None;
    }
    Some(script)
}
