//! Probe: a TCP connection is accepted.

use super::Attempt;
use super::target::{Target, reach};

/// Where to connect.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// Host and port.
    pub target: Target,
}

pub(super) async fn probe(config: &Config, attempt: &Attempt<'_>) -> Result<(), String> {
    reach(&config.target, attempt).await.map(drop)
}
