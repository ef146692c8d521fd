//! To be the only Locum in a network namespace, and the only one for a virtual router there: names of abstract unix
//! sockets, which the kernel scopes to the namespace and drops with the process.
//!
//! One socket says for which virtual routers of an interface and family this daemon is: a bit each, in its name. So a
//! thousand routers need no thousand sockets. Whoever wants some looks at the names of the others.

use crate::vrrp::{Family, Vrid};
use data_encoding::HEXLOWER;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::thread::sleep;
use std::time::Duration;

/// Who has this looks and then names itself; nobody else does meanwhile.
const TURN: &str = "locum/turn";
/// How often the turn is asked for, and the pause in between: longer than anybody has it.
const ATTEMPTS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(1);
/// The kernel's list of them, by their names.
const SOCKETS: &str = "/proc/thread-self/net/unix";

/// A name that nobody else has, for as long as this lives.
pub(super) struct Name {
    _socket: UnixDatagram,
}

impl Name {
    fn take(name: &str) -> io::Result<Self> {
        UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name)?).map(|socket| Name { _socket: socket })
    }

    /// Has a turn; waits for it while another has it. Nobody has it for long but who wants to be in the way: then
    /// it goes without.
    fn turn() -> Option<Self> {
        (0..ATTEMPTS).find_map(|_| Name::take(TURN).inspect_err(|_| sleep(PAUSE)).ok())
    }
}

/// Claims to be the only Locum in this network namespace.
pub(super) fn sole() -> io::Result<Name> {
    Name::take("locum")
}

/// The index of an interface, and a family.
type Place = (u32, Family);

/// A bit for each VRID.
type Bits = [u8; 32];

/// The virtual routers that this daemon is the only one for.
#[derive(Default)]
pub(super) struct Claims(BTreeMap<Place, (Bits, Name)>);

impl Claims {
    /// Lets go of those that are at no such place.
    pub(super) fn retain(&mut self, wanted: impl Fn(u32, Family) -> bool) {
        self.0.retain(|(index, family), _| wanted(*index, *family));
    }

    /// These and no others at that place; where another daemon has one of them, as before.
    ///
    /// # Errors
    /// One line for people: which one another has, and the mend; or why the kernel gives no name.
    pub(super) fn claim(&mut self, interface: &str, place: Place, vrids: &BTreeSet<Vrid>) -> io::Result<()> {
        let wanted = bits(vrids);
        let own = self.0.get(&place).map(|(bits, _)| *bits);
        if own == Some(wanted) {
            return Ok(());
        }
        let _turn = Name::turn();
        // Without the list a daemon is refused that is for the very same routers.
        let all = fs::read_to_string(SOCKETS).unwrap_or_default();
        let others: Vec<Bits> = named(&all, place).filter(|bits| Some(*bits) != own).collect();
        let of_another = |vrid: &&Vrid| others.iter().any(|other| has(other, **vrid));
        let refused = |vrid: Vrid| {
            io::Error::other(format!(
                "another locum on this host runs VRID {vrid} on {interface} already: stop one of them"
            ))
        };
        if let Some(vrid) = vrids.iter().find(of_another) {
            return Err(refused(*vrid));
        }
        let name = format!("{}{}", prefix(place), HEXLOWER.encode(&wanted));
        let name = Name::take(&name).map_err(|error| match (error.kind(), vrids.first()) {
            (io::ErrorKind::AddrInUse, Some(vrid)) => refused(*vrid),
            _ => error,
        })?;
        self.0.insert(place, (wanted, name));
        Ok(())
    }
}

fn prefix((index, family): Place) -> String {
    format!("locum/{index}/{family}/")
}

fn bits(vrids: &BTreeSet<Vrid>) -> Bits {
    let mut bits = Bits::default();
    for vrid in vrids {
        if let Some(byte) = bits.get_mut(usize::from(vrid.get() / 8)) {
            *byte |= 1 << (vrid.get() % 8);
        }
    }
    bits
}

fn has(bits: &Bits, vrid: Vrid) -> bool {
    bits.get(usize::from(vrid.get() / 8)).is_some_and(|byte| byte & 1 << (vrid.get() % 8) != 0)
}

/// What daemons say of a place in the kernel's list.
fn named(sockets: &str, place: Place) -> impl Iterator<Item = Bits> {
    let prefix = format!(" @{}", prefix(place));
    sockets.lines().filter_map(move |line| {
        let (_, hex) = line.split_once(&prefix)?;
        HEXLOWER.decode(hex.as_bytes()).ok()?.try_into().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No interface has such a number.
    const PLACE: Place = (u32::MAX, Family::Ipv4);

    fn claim(claims: &mut Claims, place: Place, vrids: &[u8]) -> Result<(), String> {
        let vrids = vrids.iter().map(|vrid| Vrid::new(*vrid).unwrap()).collect();
        claims.claim("eth0", place, &vrids).map_err(|error| error.to_string())
    }

    #[test]
    fn a_virtual_router_is_one_daemons_alone_and_free_when_that_lets_go() {
        let (mut first, mut second) = (Claims::default(), Claims::default());
        claim(&mut first, PLACE, &[1, 255]).unwrap();
        claim(&mut second, PLACE, &[2]).unwrap();
        let refused = "another locum on this host runs VRID 255 on eth0 already: stop one of them";
        assert_eq!(claim(&mut second, PLACE, &[2, 255]).unwrap_err(), refused);
        assert_eq!(claim(&mut Claims::default(), PLACE, &[1, 255]).unwrap_err(), refused.replace("255", "1"));
        claim(&mut second, (PLACE.0, Family::Ipv6), &[1, 255]).unwrap();
        assert!(claim(&mut first, PLACE, &[1, 2]).is_err(), "the second has kept what it had");
        claim(&mut first, PLACE, &[1]).unwrap();
        claim(&mut second, PLACE, &[2, 255]).unwrap();
        second.retain(|_, family| family == Family::Ipv6);
        claim(&mut first, PLACE, &[1, 2, 255]).unwrap();
    }

    #[test]
    fn whoever_sits_on_the_turn_keeps_nobody_from_running() {
        let _squatter = Name::turn();
        assert!(Name::turn().is_none());
        claim(&mut Claims::default(), (u32::MAX - 9, Family::Ipv4), &[1]).unwrap();
    }

    #[test]
    fn a_thousand_virtual_routers_are_claimed_by_a_socket_for_each_interface() {
        let mut claims = Claims::default();
        let all: Vec<u8> = (1..=255).collect();
        for index in 1..=4 {
            claim(&mut claims, (u32::MAX - index, Family::Ipv4), &all).unwrap();
        }
        assert_eq!(claims.0.len(), 4);
    }
}
