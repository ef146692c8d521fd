//! What a manager may set, as in keepalived: the priority of a router and whether it preempts, until the
//! configuration is read again. Pure: it says what is to change, and `session` has the daemon adopt it.
//! Whether a manager may write at all is for the master agent to say (`rwcommunity` in snmpd.conf).

use super::keepalived_mib::{ROUTER, ROUTER_ACCEPT, ROUTER_PREEMPT, ROUTER_PRIORITY};
use super::oid::{Binding, Oid, Value};
use super::view::View;
use crate::agent::RouterName;
use crate::agent::config::Config;
use crate::vrrp::Priority;
use std::fmt;
use std::mem;

/// Errors of answers (RFC 3416 section 3, RFC 2741 section 7.2.4.1).
const NO_ACCESS: u16 = 6;
const WRONG_TYPE: u16 = 7;
const WRONG_VALUE: u16 = 10;
const NOT_WRITABLE: u16 = 17;

/// One thing to set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    router: RouterName,
    setting: Setting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setting {
    Priority(Priority),
    Preempt(bool),
}

impl fmt::Display for Change {
    /// For the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.setting {
            Setting::Priority(priority) => write!(f, "priority {priority} of {}", self.router),
            Setting::Preempt(preempt) => write!(f, "preempt = {preempt} of {}", self.router),
        }
    }
}

/// What these ask for.
///
/// # Errors
/// One cannot be set: the number of the error, and which it is, counted from 1.
pub(super) fn changes(bindings: &[Binding], view: &View<'_>) -> Result<Vec<Change>, (u16, u16)> {
    let one = |(index, binding)| change(binding, view).map_err(|error| (error, index));
    (1..).zip(bindings).map(one).collect()
}

fn change(binding: &Binding, view: &View<'_>) -> Result<Change, u16> {
    let is = |column| binding.name.is_within(&Oid::from(ROUTER).with(&[column]));
    let row = binding.name.parts().get(ROUTER.len() + 1..).unwrap_or_default();
    let router = view.routers().find(|(number, ..)| *row == [*number]).map(|(.., router)| router);
    let known = router.filter(|_| is(ROUTER_PRIORITY) || is(ROUTER_PREEMPT) || is(ROUTER_ACCEPT));
    let router = known.ok_or(NOT_WRITABLE)?;
    if is(ROUTER_ACCEPT) {
        return Err(NO_ACCESS);
    }
    let Value::Integer(number) = binding.value else { return Err(WRONG_TYPE) };
    let setting = if is(ROUTER_PRIORITY) {
        let priority = u8::try_from(number).ok().and_then(Priority::new);
        priority.filter(|priority| router.may_have(*priority)).map(Setting::Priority)
    } else {
        [(1, true), (2, false)]
            .iter()
            .find(|(known, _)| *known == number)
            .map(|(_, on)| Setting::Preempt(*on))
    };
    Ok(Change { router: router.name.clone(), setting: setting.ok_or(WRONG_VALUE)? })
}

/// Changes `config`, and returns what takes that back.
pub(super) fn apply(changes: &[Change], config: &mut Config) -> Vec<Change> {
    let mut back = Vec::new();
    for Change { router, setting } in changes {
        let Some(found) = config.routers.iter_mut().find(|known| known.name == *router) else { continue };
        let before = match *setting {
            Setting::Priority(priority) => Setting::Priority(mem::replace(&mut found.priority, priority)),
            Setting::Preempt(preempt) => Setting::Preempt(mem::replace(&mut found.preempt, preempt)),
        };
        back.insert(0, Change { router: router.clone(), setting: before });
    }
    back
}
