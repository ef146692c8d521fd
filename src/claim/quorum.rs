//! What a router may do by what the voters say: one table.

use serde::{Deserialize, Serialize};

/// Whether holding needs a claim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quorum {
    /// Plain VRRP: nobody is asked.
    #[default]
    Off,
    /// A claim is needed as long as a majority of the voters answers. Without one for a while, it is plain
    /// VRRP: somebody always holds, and two may while the network is apart.
    Prefer,
    /// A claim is needed: never two, and nobody where no majority is reached.
    Require,
}

/// What the voters say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ruling {
    /// The claim is ours.
    Ours,
    /// It is not ours: another's, or not yet asked for, or the voters have not been gone for long.
    NotOurs,
    /// No majority has answered for longer than the grace.
    Nobody,
}

impl Quorum {
    /// Whether the addresses may be taken, and kept.
    #[must_use]
    pub const fn allows(self, ruling: Ruling) -> bool {
        match (self, ruling) {
            (Quorum::Off, _) | (_, Ruling::Ours) | (Quorum::Prefer, Ruling::Nobody) => true,
            (Quorum::Require, Ruling::Nobody) | (_, Ruling::NotOurs) => false,
        }
    }
}

/// How many of `voters` are more than half; 1 of none, so that nobody holds by nobody's vote.
#[must_use]
pub const fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_always_suffices_and_only_require_always_needs_it() {
        for (quorum, expected) in [
            (Quorum::Off, [true, true, true]),
            (Quorum::Prefer, [true, false, true]),
            (Quorum::Require, [true, false, false]),
        ] {
            let allowed = [Ruling::Ours, Ruling::NotOurs, Ruling::Nobody].map(|ruling| quorum.allows(ruling));
            assert_eq!(allowed, expected, "{quorum:?}");
        }
    }

    #[test]
    fn two_majorities_always_share_a_voter() {
        for voters in 0..9 {
            assert!(majority(voters) * 2 > voters);
        }
        assert_eq!([majority(1), majority(2), majority(3), majority(4)], [1, 2, 2, 3]);
    }
}
