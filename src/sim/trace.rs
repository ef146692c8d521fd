//! What happened, in order: always as a number to compare, as readable lines where wanted.

use crate::time::Time;
use std::fmt;

/// The record of one run.
#[derive(Clone, Debug)]
pub struct Trace {
    keep: bool,
    lines: Vec<String>,
    hash: u64,
}

impl Trace {
    /// An empty record; `keep` also keeps readable lines.
    #[must_use]
    pub const fn new(keep: bool) -> Self {
        Trace { keep, lines: Vec::new(), hash: 0xCBF2_9CE4_8422_2325 }
    }

    /// The same for two runs that went the same way.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// The readable lines, oldest first.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Something happened to `node`: `kind` and `bytes` go into the number, `line` is for people.
    pub(super) fn note<D: fmt::Display>(
        &mut self,
        now: Time,
        node: &str,
        kind: u8,
        bytes: &[u8],
        line: impl FnOnce() -> D,
    ) {
        let parts = [&now.as_nanos().to_le_bytes()[..], node.as_bytes(), &[kind], bytes];
        for byte in parts.into_iter().flatten() {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3);
        }
        if self.keep {
            self.lines.push(format!("{} {node:>4}  {}", clock(now), line()));
        }
    }
}

/// A time as people read it: seconds with microseconds.
pub(super) fn clock(at: Time) -> String {
    let micros = at.as_nanos() / 1000;
    format!("{:>5}.{:06} s", micros / 1_000_000, micros % 1_000_000)
}
