//! Which log lines are wanted: a level for all, and levels for modules, as `info,vrrp=debug`.
//!
//! No writing here: `logger` asks.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use tracing::level_filters::LevelFilter;

/// The modules that have levels of their own.
pub const MODULES: [&str; 11] =
    ["vrrp", "check", "claim", "config", "daemon", "dns", "history", "net", "notify", "snmp", "web"];
/// The levels, the most silent first.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A level for all, and one for each module that has its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels {
    usual: LevelFilter,
    modules: BTreeMap<&'static str, LevelFilter>,
}

impl Default for Levels {
    fn default() -> Self {
        Levels { usual: LevelFilter::INFO, modules: BTreeMap::new() }
    }
}

impl Levels {
    /// With another level for `module`, or for all, those that have their own too.
    #[must_use]
    pub fn with(&self, module: Option<&'static str>, level: LevelFilter) -> Self {
        let Some(module) = module else { return Levels { usual: level, modules: BTreeMap::new() } };
        let mut levels = self.clone();
        levels.modules.insert(module, level);
        levels
    }

    /// Whether something of this module and level is wanted.
    #[must_use]
    pub fn want(&self, module: &str, level: tracing::Level) -> bool {
        level <= *self.modules.get(module).unwrap_or(&self.usual)
    }

    /// The most talkative of them.
    #[must_use]
    pub fn most(&self) -> LevelFilter {
        self.modules.values().copied().fold(self.usual, LevelFilter::max)
    }
}

/// A level by its name.
///
/// # Errors
/// There is none, in one line.
pub fn level(name: &str) -> Result<LevelFilter, String> {
    let known = LEVELS.contains(&name).then(|| name.parse().ok()).flatten();
    known.ok_or_else(|| format!("\"{name}\" is no level: {}", LEVELS.join(", ")))
}

/// A module by its name.
///
/// # Errors
/// There is none, in one line.
pub fn module(name: &str) -> Result<&'static str, String> {
    let known = MODULES.into_iter().find(|known| *known == name);
    known.ok_or_else(|| format!("\"{name}\" is no module: {}", MODULES.join(", ")))
}

/// The module that a line is of, by its target: `locum::net::worker` is of `net`.
pub(super) fn module_of(target: &str) -> &str {
    let inside = target.strip_prefix("locum::").unwrap_or(target);
    inside.split("::").next().unwrap_or(inside)
}

/// Whether a line of this target is the program's own, and not a library's.
pub(super) fn is_own(target: &str) -> bool {
    target.strip_prefix("locum").is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

impl FromStr for Levels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut levels = Levels::default();
        for part in text.split(',') {
            match part.split_once('=') {
                None => levels.usual = level(part)?,
                Some((name, of)) => drop(levels.modules.insert(module(name)?, level(of)?)),
            }
        }
        Ok(levels)
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.usual)?;
        self.modules.iter().try_for_each(|(module, level)| write!(f, ",{module}={level}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn levels_are_read_as_they_are_shown() {
        for text in ["info", "warn,vrrp=debug", "off,check=trace,net=info", "info,dns=debug"] {
            assert_eq!(text.parse::<Levels>().unwrap().to_string(), text);
        }
        assert_eq!("vrrp=debug".parse::<Levels>().unwrap().to_string(), "info,vrrp=debug");
        for wrong in ["", "loud", "vrrp=", "disk=debug", "info,", "5"] {
            assert!(wrong.parse::<Levels>().is_err_and(|line| !line.contains('\n')), "{wrong}");
        }
    }

    #[test]
    fn a_module_has_its_own_level_until_all_are_given_one() {
        let levels = Levels::default().with(Some("vrrp"), LevelFilter::DEBUG);
        assert!(levels.want("vrrp", Level::DEBUG) && !levels.want("net", Level::DEBUG));
        assert_eq!(levels.most(), LevelFilter::DEBUG);
        let levels = levels.with(None, LevelFilter::WARN);
        assert!(levels.want("vrrp", Level::WARN) && !levels.want("vrrp", Level::INFO));
        assert_eq!(levels.to_string(), "warn");
    }

    #[test]
    fn a_line_is_of_the_module_behind_the_programs_name() {
        assert_eq!(module_of("locum::net::worker"), "net");
        assert_eq!(module_of("locum::vrrp"), "vrrp");
        assert_eq!(module_of("rustls::client"), "rustls");
        assert!(is_own("locum") && is_own("locum::dns"));
        assert!(!is_own("hickory_proto::rr") && !is_own("locumlike::x"));
    }

    /// A level for a module that logs nothing would be a promise that nobody keeps.
    #[test]
    fn each_module_logs_something_and_nothing_logs_for_another() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/daemon");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let text: String = files.map(|path| std::fs::read_to_string(path).unwrap()).collect();
        let targets = text.split("target: \"locum::").skip(1).filter_map(|rest| rest.split('"').next());
        let mut logging: std::collections::BTreeSet<_> = targets.filter(|name| !name.contains(':')).collect();
        // What names no module is the daemon's own.
        logging.insert("daemon");
        assert_eq!(logging, MODULES.into());
    }
}
