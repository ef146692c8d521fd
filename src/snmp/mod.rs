//! SNMP: a sub-agent that tells a master agent, such as snmpd, how everything stands (`AgentX`, RFC 2741).
//!
//! What a manager asks is looked up in the one status snapshot; the little that it may set (`writes`) becomes
//! another configuration for the daemon to adopt. Only `session` and `connection` touch the world. In
//! `pdu` and `wire` are the bytes, in `answer` which question has which answer, and `keepalived_mib`,
//! `vrrp_mib` and `vrrpv3_mib` say what stands under which number, `traps` what is told unasked.

pub mod answer;
mod connection;
pub mod facts;
mod keepalived_checks;
mod keepalived_mib;
mod keepalived_routes;
mod master;
mod memory;
pub mod oid;
pub mod pdu;
mod reader;
mod rows;
pub mod session;
mod traps;
pub mod tree;
mod view;
mod vrrp_mib;
mod vrrpv3_mib;
mod wire;
mod writes;

pub use facts::Facts;
pub use master::Master;
pub use session::Subagent;

/// What is served, and to whom.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own in the file")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Where the master agent listens.
    pub master: Master,
    /// Serve KEEPALIVED-MIB, its part for VRRP.
    pub keepalived: bool,
    /// Serve VRRP-MIB (RFC 2787), for routers of version 2.
    pub rfc2787: bool,
    /// Serve VRRPV3-MIB (RFC 6527).
    pub rfc6527: bool,
    /// Send traps of what is served.
    pub traps: bool,
}

impl Settings {
    /// Whether anything is served at all.
    #[must_use]
    pub const fn serves(&self) -> bool {
        self.keepalived || self.rfc2787 || self.rfc6527
    }

    /// The subtrees to be asked for.
    fn subtrees(&self) -> Vec<oid::Oid> {
        let all = [
            (self.keepalived, keepalived_mib::SUBTREES),
            (self.rfc2787, vrrp_mib::SUBTREES),
            (self.rfc6527, vrrpv3_mib::SUBTREES),
        ];
        all.into_iter()
            .filter(|(wanted, _)| *wanted)
            .flat_map(|(_, of)| of)
            .map(|parts| (*parts).into())
            .collect()
    }

    /// Everything that is served, as it stands.
    fn tree(&self, view: &view::View<'_>) -> tree::Tree {
        let mut rows = rows::Rows::default();
        if self.keepalived {
            keepalived_mib::put(view, self.traps, &mut rows);
        }
        if self.rfc2787 {
            vrrp_mib::put(view, self.traps, &mut rows);
        }
        if self.rfc6527 {
            vrrpv3_mib::put(view, &mut rows);
        }
        rows.into_tree()
    }
}
