//! The health of what is checked: rise and fall, weights, faults. Counts results; runs nothing.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The name of a check, as in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CheckName(pub Arc<str>);

impl fmt::Display for CheckName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What one probe, with its retries, came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// `Ok`, or one line that says what failed, for people: "connection refused".
    pub verdict: Result<(), String>,
    /// From the start of the last attempt to its end.
    pub latency: Duration,
}
