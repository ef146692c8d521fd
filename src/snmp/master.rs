//! Where the master agent listens, as people write it. No socket here.

use std::fmt;
use std::path::PathBuf;

/// The port of `AgentX` (RFC 2741 section 8.1.1).
const PORT: u16 = 705;
/// How an address is written.
const LIKE: &str = "write it like unix:/var/agentx/master or tcp:localhost:705";

/// Where the master agent listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Master {
    /// A socket of this host.
    Unix(PathBuf),
    /// A host, by name or address, and its port.
    Tcp(String, u16),
}

impl Default for Master {
    /// Where snmpd listens unless told otherwise.
    fn default() -> Self {
        Master::Unix(PathBuf::from("/var/agentx/master"))
    }
}

impl Master {
    /// Reads `unix:PATH`, `PATH`, `tcp:HOST:PORT`, `tcp:PORT` or `HOST:PORT`.
    ///
    /// # Errors
    /// It is none of these; one line with the mend.
    pub fn parse(text: &str) -> Result<Self, String> {
        let path = text.strip_prefix("unix:").unwrap_or(text);
        if path.starts_with('/') {
            return Ok(Master::Unix(PathBuf::from(path)));
        }
        let wrong = || format!("\"{}\" is not where a master agent can listen: {LIKE}", text.escape_debug());
        let named = text.strip_prefix("tcp:").or_else(|| text.strip_prefix("tcp6:"));
        let (host, port) = match (named.unwrap_or(text), named.is_some()) {
            (only, true) if only.parse::<u16>().is_ok() => ("localhost", only),
            (host, true) if !host.contains(':') || host.ends_with(']') => (host, ""),
            (both, _) => both.rsplit_once(':').ok_or_else(wrong)?,
        };
        let port = if port.is_empty() { Some(PORT) } else { port.parse().ok().filter(|port| *port > 0) };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.:%".contains(c);
        match port {
            Some(port) if !host.is_empty() && host.chars().all(fits) && !is_transport(host) => {
                Ok(Master::Tcp(host.to_owned(), port))
            }
            _ => Err(wrong()),
        }
    }
}

/// Whether it is the name of a way to speak and not of a host.
fn is_transport(host: &str) -> bool {
    let first = host.split(':').next().unwrap_or_default();
    ["unix", "udp", "udp6", "tcp", "tcp6", "ssh", "dtlsudp", "tlstcp"].contains(&first)
}

impl fmt::Display for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Master::Unix(path) => write!(f, "unix:{}", path.display()),
            Master::Tcp(host, port) if host.contains(':') => write!(f, "tcp:[{host}]:{port}"),
            Master::Tcp(host, port) => write!(f, "tcp:{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_snmpd_reads_it_and_shown_as_it_is_read() {
        let tcp = |host: &str, port| Ok(Master::Tcp(host.to_owned(), port));
        for (text, read) in [
            ("unix:/var/agentx/master", Ok(Master::default())),
            ("/run/x", Ok(Master::Unix("/run/x".into()))),
            ("tcp:localhost:705", tcp("localhost", 705)),
            ("tcp:10.0.0.1:1705", tcp("10.0.0.1", 1705)),
            ("tcp:1705", tcp("localhost", 1705)),
            ("tcp:snmp.example.org", tcp("snmp.example.org", 705)),
            ("localhost:705", tcp("localhost", 705)),
            ("tcp6:[::1]:705", tcp("::1", 705)),
            ("tcp:[::1]", tcp("::1", 705)),
        ] {
            assert_eq!(Master::parse(text), read, "{text}");
            let shown = read.map(|master: Master| master.to_string()).unwrap_or_default();
            assert_eq!(Master::parse(&shown), Master::parse(text), "{shown}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_an_example() {
        for text in
            ["", "x", "unix:x", "unix:", "udp:localhost:705", "tcp:", "tcp:a b:1", "a:0", "tcp:h:70000"]
        {
            assert!(Master::parse(text).is_err_and(|said| said.contains(LIKE)), "{text}");
        }
    }
}
