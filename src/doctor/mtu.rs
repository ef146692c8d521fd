//! Whether an advert with all its addresses fits into one packet.

use super::Report;
use crate::agent::Link;
use crate::explain::Wire;

/// Judges each kind of advert on its interface.
pub fn judge(wires: &[Wire], links: &[Link], report: &mut Report) {
    for wire in wires {
        let link = wire.interface.as_ref().and_then(|name| links.iter().find(|link| link.name == *name));
        let Some(link) = link else { continue };
        let (router, family, bytes, mtu) = (&wire.router, wire.family, wire.bytes, link.mtu);
        let place = &link.name;
        if usize::try_from(mtu).is_ok_and(|mtu| bytes > mtu) {
            let what =
                format!("an {family} advert of {router} has {bytes} bytes, and {place} an MTU of {mtu}");
            let why = "it cannot be sent, or goes in fragments, which are refused: every host becomes Master";
            let mend =
                format!("write most addresses as excluded in {router}, or: ip link set {place} mtu {bytes}");
            report.trouble("mtu", what, why, mend);
        } else {
            report.fine("mtu", format!("an {family} advert of {router}, {bytes} bytes, fits {place}"));
        }
    }
}
