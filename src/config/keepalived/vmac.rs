//! The words of `use_vmac`: `[[name] IF] [MAC] [netlink_notify_msg] [group G]`.

use super::document::{Document, Instance};
use super::report::Report;
use super::{routing, value};
use crate::config::problem::Span;
use crate::config::virtual_interface::{Written, is_of_many, octets};
use crate::vrrp::Vrid;
use serde_spanned::Spanned;
use std::fs;

/// Where names of groups are.
const GROUPS: &str = "/etc/iproute2/group";
/// What a router's own MAC address begins with: no other may.
const RESERVED: [u8; 4] = [0, 0, 0x5e, 0];

/// What the words say. What keepalived leaves out, it leaves out, and tells.
pub(super) fn written(instance: &Instance, document: &Document, strict: bool, report: &Report) -> Written {
    let Some(vmac) = instance.use_vmac.as_ref().filter(|vmac| !vmac.get_ref().ipvlan) else {
        return Written::default();
    };
    let (span, mut found) = (vmac.span(), Written::default());
    let mut words = vmac.get_ref().words.iter().map(String::as_str).peekable();
    while let Some(word) = words.next() {
        let result = match word {
            // Other programs are told by the kernel.
            "netlink_notify_msg" => Ok(()),
            "group" if words.peek().is_some() => {
                group(words.next().unwrap_or_default()).map(|group| found.group = Some(group))
            }
            word if word.contains(':') => {
                mac(word, instance, strict).map(|mac| found.mac = Some(Spanned::new(span.clone(), mac)))
            }
            word => {
                let name = if word == "name" { words.next().unwrap_or(word) } else { word };
                named(name, &found, instance, document)
                    .map(|()| found.name = Some(Spanned::new(span.clone(), name.to_owned())))
            }
        };
        tell(result, &span, report);
    }
    found
}

fn tell(result: Result<(), (String, &str)>, span: &Span, report: &Report) {
    if let Err((message, help)) = result {
        report.flaw(span, message, help);
    }
}

fn named(
    name: &str,
    found: &Written,
    instance: &Instance,
    document: &Document,
) -> Result<(), (String, &'static str)> {
    if let Some(first) = &found.name {
        let message = format!("the interface is called {} already, {name} is left out", first.get_ref());
        return Err((message, "write: use_vmac NAME"));
    }
    if !value::is_interface(name) {
        let message = format!("an interface cannot be called {name}: it is called as without a name");
        return Err((message, "write at most 15 letters"));
    }
    let earlier = document.instances.iter().take_while(|other| !std::ptr::eq(*other, instance));
    let words = earlier.filter_map(|other| other.use_vmac.as_ref()).flat_map(|vmac| &vmac.get_ref().words);
    if words.into_iter().any(|word| word == name) {
        let message = format!("an earlier instance has {name}: the interface is called as without a name");
        return Err((message, "give each instance another name"));
    }
    Ok(())
}

fn group(word: &str) -> Result<u32, (String, &'static str)> {
    let known = || routing::named(&fs::read_to_string(GROUPS).ok()?, word);
    word.parse().ok().or_else(known).ok_or_else(|| {
        (format!("there is no group {word} in {GROUPS}: the interface is in none"), "write its number")
    })
}

/// Five octets leave the last to the VRID.
fn mac(word: &str, instance: &Instance, strict: bool) -> Result<[u8; 6], (String, &'static str)> {
    let help = "write none, or a local one: 02:00:00:00:00:51";
    let vrid = instance.virtual_router_id.as_ref().and_then(|vrid| Vrid::new(*vrid.get_ref()));
    let mut octets = octets(word).unwrap_or_default();
    if octets.len() == 5 {
        octets.extend(vrid.map(Vrid::get));
    }
    octets.truncate(6);
    let why = match <[u8; 6]>::try_from(octets) {
        Err(_) => "is no MAC address",
        Ok(_) if strict => "is another than that of the VRID, which strict mode refuses",
        Ok(mac) if is_of_many(mac) => "is a multicast address",
        Ok(mac) if mac.starts_with(&RESERVED) && matches!(mac[4], 1 | 2) => "is one of the RFC",
        Ok(mac) => return Ok(mac),
    };
    Err((format!("{word} {why}: the interface has that of the VRID"), help))
}
