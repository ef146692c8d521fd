//! The control socket: one question a connection, one JSON line each way. What both ends share.
//!
//! Questions and answers are the agent's own types; this folder carries them and means nothing by
//! them.

pub mod client;
pub mod server;

pub use client::{ClientError, ask};
pub use server::{Asked, Who, bind, serve};

use crate::agent;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;

/// Where the socket is, unless the configuration, `--socket` or [`ENVIRONMENT`] says otherwise.
pub const DEFAULT_PATH: &str = "/run/locum/locum.sock";
/// The environment variable that names another socket for the command line.
pub const ENVIRONMENT: &str = "LOCUM_SOCKET";

/// The longest question, in bytes with its newline.
pub const LONGEST_QUESTION: usize = 16 << 10;
/// The longest answer, in bytes with its newline: the status of hundreds of routers, each of which
/// remembers as many senders as it may.
pub const LONGEST_ANSWER: usize = 8 << 20;
/// The longest that any answer takes: a handover waits for its successor.
pub const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// What can be asked. `{"ask":"status"}`, `{"ask":"reload","dry_run":true}`, and so on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Question {
    /// Read the configuration file again.
    Reload {
        /// Say what would change, and change nothing.
        dry_run: bool,
    },
    /// Let the program as it is installed now take the place of this process. No answer but the end of the
    /// connection says that it does.
    Restart {
        /// Whose unit this is starts that program once this process has ended, so that it only has to end.
        #[serde(default, skip_serializing_if = "is_false")]
        started_by_service: bool,
    },
    /// Ask the providers of records of DNS whether they would let us write, which changes no answer.
    DnsTest {
        /// Which record; all where `None`.
        record: Option<String>,
    },
    /// Have a record of DNS hold this address, whoever has which role.
    DnsSet {
        /// Which record.
        record: String,
        /// The address.
        address: IpAddr,
    },
    /// How do the nodes of the cluster stand? Takes as long as those need to answer.
    Cluster,
    /// Log more or less than now, or say how much that is.
    Log(LogOrder),
    /// Something for the agent.
    #[serde(untagged)]
    Agent(agent::Request),
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_false(is: &bool) -> bool {
    !is
}

/// What to log from now on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogOrder {
    /// `debug`, `info` and so on; `None`: only say what is logged now.
    pub level: Option<String>,
    /// Of this module; of all where `None`.
    pub module: Option<String>,
    /// For so many milliseconds, and then as before; for good where `None`.
    pub for_ms: Option<u64>,
}

/// What is answered.
pub type Answer = agent::Response;

/// One line of JSON, with its newline.
fn line(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{Request, RouterName};

    #[test]
    fn every_question_is_a_flat_object_and_comes_back_the_same() {
        let web = || Some(RouterName("web".into()));
        for (question, json) in [
            (Question::Agent(Request::Status), r#"{"ask":"status"}"#),
            (Question::Agent(Request::Handover { router: web() }), r#"{"ask":"handover","router":"web"}"#),
            (Question::Agent(Request::Resume { router: None }), r#"{"ask":"resume","router":null}"#),
            (Question::Reload { dry_run: true }, r#"{"ask":"reload","dry_run":true}"#),
            (Question::Restart { started_by_service: false }, r#"{"ask":"restart"}"#),
            (
                Question::Restart { started_by_service: true },
                r#"{"ask":"restart","started_by_service":true}"#,
            ),
            (Question::Cluster, r#"{"ask":"cluster"}"#),
            (Question::DnsTest { record: None }, r#"{"ask":"dns_test","record":null}"#),
            (
                Question::DnsSet { record: "www".to_owned(), address: [192, 0, 2, 1].into() },
                r#"{"ask":"dns_set","record":"www","address":"192.0.2.1"}"#,
            ),
            (
                Question::Log(LogOrder { level: Some("debug".to_owned()), module: None, for_ms: Some(5) }),
                r#"{"ask":"log","level":"debug","module":null,"for_ms":5}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&question).unwrap(), json);
            assert_eq!(serde_json::from_str::<Question>(json).unwrap(), question);
        }
    }

    #[test]
    fn what_is_no_question_is_none() {
        for json in [r#"{"ask":"reboot"}"#, r#"{"ask":"reload"}"#, "{}", "[]", "null", ""] {
            assert!(serde_json::from_str::<Question>(json).is_err(), "{json}");
        }
    }
}
