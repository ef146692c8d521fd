//! Which of several daemons on one host this is: by its network namespace, and by a name of its own.

use super::SOCKET;
use super::section::{Value, Wrong};
use super::value::text;
use std::path::{Path, PathBuf};

/// Both are there from the start to the end of the daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The named network namespace that the daemon enters at its start, if any.
    pub namespace: Option<String>,
    /// What it is called among several in one namespace.
    pub instance: Option<String>,
}

impl Identity {
    /// What its files and its log lines are told apart by: `None` for the only daemon of a host.
    #[must_use]
    pub fn suffix(&self) -> Option<String> {
        let parts: Vec<&str> =
            [&self.namespace, &self.instance].into_iter().flatten().map(String::as_str).collect();
        // A name is one file, not a path to somewhere else.
        (!parts.is_empty()).then(|| parts.join("_").replace('/', "_"))
    }

    /// Whether a daemon that runs can go on with a file that says `other`.
    ///
    /// # Errors
    /// One line for people, where it would have to be started anew.
    pub fn is_still(&self, other: &Identity) -> Result<(), String> {
        let line = "namespace and instance are fixed while the daemon runs: stop it, and start it anew";
        (self == other).then_some(()).ok_or_else(|| line.to_owned())
    }

    /// Where its control socket is unless the file says otherwise.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        let usual = Path::new(SOCKET);
        self.suffix().map_or_else(|| usual.to_owned(), |suffix| usual.with_file_name(suffix + ".sock"))
    }
}

/// A name that can be a file's.
pub(super) fn name(value: &Value<'_>) -> Result<String, Wrong> {
    let name = text(value)?;
    if name.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control()) || name.starts_with('.') {
        return Err(Wrong::new(format!("\"{name}\" is not a name")).help("write letters, digits, - or _"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_daemons_have_a_socket_each() {
        let socket = |namespace: Option<&str>, instance: Option<&str>| {
            let [namespace, instance] = [namespace, instance].map(|name| name.map(str::to_owned));
            Identity { namespace, instance }.socket().to_string_lossy().into_owned()
        };
        assert_eq!(socket(None, None), SOCKET);
        assert_eq!(socket(Some("blue"), None), "/run/locum/blue.sock");
        assert_eq!(socket(None, Some("../x")), "/run/locum/.._x.sock");
        assert_eq!(socket(Some("blue"), Some("web")), "/run/locum/blue_web.sock");
    }
}
