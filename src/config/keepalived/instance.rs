//! `vrrp_instance`: one virtual router of one family.

use super::address;
use super::document::{
    Advertising, AntiReplay, AuthHmac, AuthType, Authentication, HmacMode, Instance, Notify, Peer, State,
    Tracking, VirtualMac,
};
use super::global::advertising;
use super::group::notify;
use super::hmac_key;
use super::keywords::Block;
use super::route;
use super::statement::{Statement, statements};
use super::track;
use super::tree::{Node, Word};
use super::value;
use crate::config::section::Wrong;
use crate::vrrp::auth::{PASSWORD_LEN, Secret};
use serde_spanned::Spanned;
use std::num::NonZeroU8;

const STATES: &[(&str, State)] = &[("MASTER", State::Master), ("BACKUP", State::Backup)];
const AUTH_TYPES: &[(&str, AuthType)] = &[("PASS", AuthType::Pass), ("AH", AuthType::Ah)];
const ANTI_REPLAY: &[(&str, AntiReplay)] =
    &[("time", AntiReplay::Time), ("monotonic", AntiReplay::Monotonic)];
const MODES: &[(&str, HmacMode)] = &[
    ("enforce", HmacMode::Enforce),
    ("permissive", HmacMode::Permissive),
    ("receive-only", HmacMode::ReceiveOnly),
];

/// Reads a `vrrp_instance`.
pub(super) fn instance(statement: &Statement<'_>) -> Option<Instance> {
    let mut instance = empty(statement)?;
    for inner in statements(statement.members(), Block::Instance, statement.context) {
        let read = core(&inner, &mut instance)
            || addresses(&inner, &mut instance)
            || security(&inner, &mut instance)
            || track::tracking(&inner, &mut instance.tracking)
            || advertising(&inner, &mut instance.advertising)
            || notify(&inner, &mut instance.notify);
        if !read {
            inner.not_read();
        }
    }
    Some(instance)
}

fn empty(statement: &Statement<'_>) -> Option<Instance> {
    Some(Instance {
        name: statement.title()?,
        span: statement.node.extent(),
        state: None,
        interface: None,
        virtual_router_id: None,
        priority: None,
        advert_int: None,
        version: None,
        virtual_ipaddress: Vec::new(),
        virtual_ipaddress_excluded: Vec::new(),
        no_virtual_ipaddress: None,
        virtual_routes: Vec::new(),
        virtual_rules: Vec::new(),
        authentication: None,
        auth_hmac: None,
        nopreempt: None,
        preempt: None,
        preempt_delay: None,
        strict_mode: None,
        accept: None,
        mcast_src_ip: None,
        mcast_dst_ip: None,
        unicast_src_ip: None,
        unicast_peer: None,
        unicast_ttl: None,
        unicast_fault_no_peer: None,
        check_unicast_src: None,
        v3_checksum_as_v2: None,
        skip_check_adv_addr: None,
        tracking: Tracking::default(),
        dont_track_primary: None,
        use_vmac: None,
        use_vmac_addr: None,
        vmac_xmit_base: None,
        advertising: Advertising::default(),
        notify: Notify::default(),
    })
}

fn core(inner: &Statement<'_>, instance: &mut Instance) -> bool {
    match inner.name {
        "state" => inner.one(&mut instance.state, value::choice(STATES)),
        "interface" => inner.one(&mut instance.interface, value::interface),
        "virtual_router_id" => inner.one(&mut instance.virtual_router_id, value::number(1, 255)),
        "priority" => inner.one(&mut instance.priority, value::number(1, 255)),
        "advert_int" => inner.one(&mut instance.advert_int, value::seconds(0.01, 255.0)),
        "version" => inner.one(&mut instance.version, value::number(2, 3)),
        "nopreempt" => inner.bare(&mut instance.nopreempt),
        "preempt" => inner.bare(&mut instance.preempt),
        "preempt_delay" => inner.one(&mut instance.preempt_delay, value::seconds(0.0, 1000.0)),
        "strict_mode" => inner.flag(&mut instance.strict_mode),
        "skip_check_adv_addr" => {
            inner.flag(&mut instance.skip_check_adv_addr);
            if let Some(no) = inner.node.arguments().first().filter(|word| word.text == "no") {
                inner.trap(&no.span, "\"no\" turns skip_check_adv_addr on", "write off");
            }
        }
        "dont_track_primary" => inner.bare(&mut instance.dont_track_primary),
        "use_vmac" | "use_ipvlan" => {
            let words = inner.node.arguments().iter().map(|word| word.text.clone()).collect();
            let found = VirtualMac { ipvlan: inner.name == "use_ipvlan", words };
            inner.put(&mut instance.use_vmac, Some(Spanned::new(inner.span(), found)));
        }
        "use_vmac_addr" => inner.bare(&mut instance.use_vmac_addr),
        "vmac_xmit_base" => inner.bare(&mut instance.vmac_xmit_base),
        "v3_checksum_as_v2" => inner.flag(&mut instance.v3_checksum_as_v2),
        _ => return false,
    }
    true
}

fn addresses(inner: &Statement<'_>, instance: &mut Instance) -> bool {
    match inner.name {
        "virtual_ipaddress" => address::addresses(inner, &mut instance.virtual_ipaddress),
        "virtual_ipaddress_excluded" => address::addresses(inner, &mut instance.virtual_ipaddress_excluded),
        "no_virtual_ipaddress" => inner.bare(&mut instance.no_virtual_ipaddress),
        "virtual_routes" => route::routes(inner, &mut instance.virtual_routes),
        "virtual_rules" => route::rules(inner, &mut instance.virtual_rules),
        "mcast_src_ip" => inner.one(&mut instance.mcast_src_ip, value::host),
        "mcast_dst_ip" => inner.one(&mut instance.mcast_dst_ip, value::group),
        "unicast_src_ip" => inner.one(&mut instance.unicast_src_ip, value::host),
        "unicast_peer" => {
            let peers = inner.members().iter().filter_map(|node| peer(node, inner));
            match &mut instance.unicast_peer {
                Some(earlier) => earlier.get_mut().extend(peers),
                None => instance.unicast_peer = Some(Spanned::new(inner.span(), peers.collect())),
            }
        }
        "unicast_ttl" => inner.one(&mut instance.unicast_ttl, value::number(0, 255)),
        "unicast_fault_no_peer" => inner.bare(&mut instance.unicast_fault_no_peer),
        "check_unicast_src" => inner.sign(&mut instance.check_unicast_src),
        _ => return false,
    }
    true
}

/// `IP [min_ttl N] [max_ttl N]`
fn peer(node: &Node, inner: &Statement<'_>) -> Option<Peer> {
    let (first, mut rest) = node.words.split_first()?;
    let read = |word: &Word| match value::host(word) {
        Ok(found) => Some(Spanned::new(word.span.clone(), found)),
        Err(wrong) => {
            inner.wrong(word, wrong);
            None
        }
    };
    let mut peer = Peer { address: read(first)?, min_ttl: None, max_ttl: None };
    while let Some((name, after)) = rest.split_first() {
        let slot = match name.text.as_str() {
            "min_ttl" => &mut peer.min_ttl,
            "max_ttl" => &mut peer.max_ttl,
            other => {
                let message = format!("unknown word {other} after a peer");
                inner.report().refuse(&name.span, message, "write one peer a line: IP min_ttl N max_ttl N");
                rest = after;
                continue;
            }
        };
        let Some((number, after)) = after.split_first() else {
            inner.report().refuse(
                &name.span,
                format!("{} has no value", name.text),
                "write a number from 0 to 255",
            );
            break;
        };
        match value::number(0, 255)(number) {
            Ok(ttl) => *slot = Some(Spanned::new(number.span.clone(), ttl)),
            Err(wrong) => {
                inner
                    .wrong(number, Wrong { message: wrong.message.replacen("this", &name.text, 1), ..wrong });
            }
        }
        rest = after;
    }
    Some(peer)
}

fn security(inner: &Statement<'_>, instance: &mut Instance) -> bool {
    match inner.name {
        "authentication" => authentication(inner, instance),
        "auth_hmac" => auth_hmac(inner, instance),
        "accept" | "no_accept" => {
            let found = Spanned::new(inner.span(), inner.name == "accept");
            inner.put(&mut instance.accept, Some(found));
            inner.no_more_than(0);
        }
        _ => return false,
    }
    true
}

fn authentication(outer: &Statement<'_>, instance: &mut Instance) {
    let new = Authentication { span: outer.span(), auth_type: None, auth_pass: None };
    let found = instance.authentication.get_or_insert(new);
    for inner in statements(outer.members(), Block::Authentication, outer.context) {
        match inner.name {
            "auth_type" => inner.one(&mut found.auth_type, value::choice(AUTH_TYPES)),
            "auth_pass" => {
                let read = |word: &Word| value::text(word).map(|text| Secret::new(text.into_bytes()));
                inner.one(&mut found.auth_pass, read);
                let length = found.auth_pass.as_ref().map_or(0, |pass| pass.get_ref().expose().len());
                if length > PASSWORD_LEN {
                    let message = format!(
                        "this password has {length} bytes: the first {PASSWORD_LEN} are used, as by keepalived"
                    );
                    inner.report().flaw(&inner.span(), message, "cut it to 8 bytes on every host");
                }
            }
            _ => inner.not_read(),
        }
    }
}

fn auth_hmac(outer: &Statement<'_>, instance: &mut Instance) {
    let new = AuthHmac {
        span: outer.span(),
        keys: Vec::new(),
        active_key: None,
        anti_replay: None,
        time_window: None,
        mode: None,
    };
    let found = instance.auth_hmac.get_or_insert(new);
    let id = |word: &Word| -> Result<NonZeroU8, Wrong> {
        NonZeroU8::new(value::number(1, 255)(word)?)
            .ok_or_else(|| Wrong::new("a key has a number from 1 to 255"))
    };
    for inner in statements(outer.members(), Block::Hmac, outer.context) {
        match inner.name {
            "key" => {
                let (id, key) = (inner.required(0, id), inner.required(1, hmac_key::key));
                found.keys.extend(
                    id.zip(key).map(|(id, key)| Spanned::new(id.span(), (id.into_inner(), key.into_inner()))),
                );
                inner.no_more_than(2);
            }
            "active_key" => inner.one(&mut found.active_key, id),
            "anti_replay" => inner.one(&mut found.anti_replay, value::choice(ANTI_REPLAY)),
            "time_window" => inner.one(&mut found.time_window, value::seconds(1.0, 300.0)),
            "mode" => inner.one(&mut found.mode, value::choice(MODES)),
            _ => inner.not_read(),
        }
    }
}
