//! What to do about a packet that is refused, by the reason.

use crate::agent::config::Router;
use crate::vrrp::packet::Refusal;
use std::net::IpAddr;

/// Why a refusal matters, whatever the reason.
pub(super) const WHY: &str =
    "whoever does not believe the Master takes the addresses as well: then two hosts have them";

/// The mend for what `router` refuses of `source`.
pub(super) fn mend(refusal: Refusal, router: &Router, source: IpAddr) -> String {
    let name = &router.name;
    match refusal {
        Refusal::Version => format!("write the same version for {name} on every host"),
        Refusal::AuthType | Refusal::Unsigned | Refusal::BadTrailer => {
            format!("write the same kind of auth for {name} on every host")
        }
        Refusal::TrailingBytes => {
            format!("if {source} signs its adverts, write auth for {name} here as well")
        }
        Refusal::WrongPassword | Refusal::BadDigest | Refusal::BadSignature | Refusal::UnknownKey => {
            format!("give {name} the same keys on every host: compare the files with sha256sum")
        }
        Refusal::Stale => format!("set the clocks of this host and of {source}: timedatectl set-ntp true"),
        Refusal::IntervalMismatch | Refusal::IntervalZero => {
            format!("write the same interval for {name} on every host")
        }
        Refusal::NotAPeer => {
            let listed: Vec<_> =
                router.peers.iter().chain([&source]).map(|peer| format!("\"{peer}\"")).collect();
            format!(
                "if {source} takes part, write in {name}: peers = [{}]; the address that is wrong goes out",
                listed.join(", ")
            )
        }
        Refusal::MulticastDestination => {
            format!(
                "write peers for {name} on {source} as well, or remove them here: all by unicast, or none"
            )
        }
        Refusal::UnicastDestination => {
            format!(
                "write peers = [\"{source}\"] for {name} here, or remove peers there: all by unicast, or none"
            )
        }
        Refusal::BadDestination => format!("write the same multicast_group for {name} on every host"),
        Refusal::Ttl => format!(
            "have no router between the hosts; where that is meant, write min_ttl for {name}, with peers"
        ),
        Refusal::LocalOwner => format!("write priority 255 for {name} on one host only"),
        Refusal::Checksum | Refusal::IpChecksum => format!(
            "see what changes packets between {source} and here; ethtool -K tx off there, where its network \
             card does the sums"
        ),
        Refusal::Replay => {
            format!("see who sends the adverts of {source} a second time: a loop in the network?")
        }
        Refusal::Fragment => {
            format!("give {name} fewer addresses, or the interface of {source} a larger MTU")
        }
        Refusal::CountZero => format!("give {name} the same addresses on every host"),
        _ => format!("look at the packets: locum sniff; and at what {source} runs"),
    }
}
