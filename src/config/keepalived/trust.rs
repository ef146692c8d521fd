//! `authentication` and `auth_hmac`: how an instance knows its peers. Never less than is written,
//! but for what keepalived leaves out on the wire too: else the peers would not hear each other.

use super::document::{AntiReplay, AuthHmac, AuthType, HmacMode, Instance};
use super::report::Report;
use crate::config::problem::{Finding, Span};
use crate::vrrp::auth::{Auth, PASSWORD_LEN, Secret};
use crate::vrrp::hmac::{Key, Keyring, Mode};
use crate::vrrp::sequence;
use crate::vrrp::{Family, Version};
use serde_spanned::Spanned;
use std::time::Duration;

/// The least that keepalived takes for a window, in seconds, and the most.
const WINDOW: (u64, u64) = (5, 300);

/// How an instance knows its peers.
#[derive(Clone, Debug, Default)]
pub(super) struct Trust {
    pub(super) auth: Auth,
    /// Why it must not take part.
    pub(super) barred: Option<String>,
}

impl Trust {
    /// Nobody can be known: rather no router than one that believes anyone.
    fn barred(span: &Span, why: &str, help: &str, report: &Report) -> Self {
        let message = format!("{why}, so this instance takes no part; keepalived would go on without");
        report.refuse(span, message.clone(), help);
        Trust { auth: Auth::None, barred: Some(why.to_owned()) }
    }
}

/// What the instance says of it, as it counts on the wire.
pub(super) fn trust(instance: &Instance, version: Version, strict: bool, report: &Report) -> Trust {
    if let Some(hmac) = &instance.auth_hmac {
        if let Some(other) = &instance.authentication {
            report.refuse(
                &other.span,
                "auth_hmac stands beside this: keepalived leaves this out",
                "remove one",
            );
        }
        return keyring(hmac, instance, report);
    }
    let Some(written) = &instance.authentication else { return Trust::default() };
    let Some(kind) = &written.auth_type else {
        let message = "authentication without an auth_type is none, as in keepalived";
        report.warning(&written.span, message, "add: auth_type PASS");
        return Trust::default();
    };
    if version == Version::V3 {
        let message =
            "version 3 of VRRP has no passwords (RFC 9568 section 9): this is left out, as in keepalived";
        report.flaw(&kind.span(), message, "remove the block, or write auth_hmac");
        return Trust::default();
    }
    if strict {
        let message = "strict mode has no authentication: this is left out, as in keepalived";
        report.flaw(&kind.span(), message, "remove vrrp_strict, or the block");
        return Trust::default();
    }
    let Some(pass) = &written.auth_pass else {
        return Trust::barred(&written.span, "there is no auth_pass", "add: auth_pass PASSWORD", report);
    };
    match kind.get_ref() {
        AuthType::Ah if family(instance) == Some(Family::Ipv6) => Trust::barred(
            &kind.span(),
            "an authentication header is for IPv4 only",
            "write auth_hmac",
            report,
        ),
        AuthType::Ah => Trust { auth: Auth::Ah(cut(pass.get_ref())), barred: None },
        AuthType::Pass => {
            let finding = Finding::warning(&pass.span(), "every host on the network can read this password");
            let help = "it keeps misconfigured neighbours apart, not attackers: filter IP protocol 112";
            report.sink.add(finding.help(help));
            Trust { auth: Auth::Pass(cut(pass.get_ref())), barred: None }
        }
    }
}

/// As much of a password as counts.
fn cut(pass: &Secret) -> Secret {
    let bytes = pass.expose();
    Secret::new(bytes.get(..PASSWORD_LEN).unwrap_or(bytes))
}

fn family(instance: &Instance) -> Option<Family> {
    instance.virtual_ipaddress.first().map(|address| Family::of(address.address))
}

fn keyring(hmac: &AuthHmac, instance: &Instance, report: &Report) -> Trust {
    let mut keys: Vec<Key> = Vec::new();
    for written in &hmac.keys {
        let (id, secret) = written.get_ref();
        if keys.iter().any(|key| key.id() == *id) {
            report.refuse(
                &written.span(),
                format!("key {id} stands here twice"),
                "give it another number on every host",
            );
        } else {
            keys.extend(Key::new(*id, secret.clone()));
        }
    }
    let Some(active) = &hmac.active_key else {
        return Trust::barred(&hmac.span, "no key signs", "add: active_key 1", report);
    };
    let mode = match hmac.mode.as_ref().map(|mode| *mode.get_ref()).unwrap_or_default() {
        HmacMode::Enforce => Mode::Enforce,
        HmacMode::Permissive => Mode::Permissive,
        HmacMode::ReceiveOnly => Mode::ReceiveOnly,
    };
    if let Some(written) = hmac.mode.as_ref().filter(|_| mode != Mode::Enforce) {
        let help = "write mode enforce as soon as every host signs";
        report.warning(&written.span(), "adverts that are not signed are believed as well", help);
    }
    if let Some(ring) = Keyring::new(keys, *active.get_ref(), anti_replay(hmac, instance), mode) {
        Trust { auth: Auth::Hmac(ring), barred: None }
    } else {
        let why = format!("there is no key {} that can be used", active.get_ref());
        Trust::barred(&active.span(), &why, "add the key, or name another", report)
    }
}

fn anti_replay(hmac: &AuthHmac, instance: &Instance) -> sequence::AntiReplay {
    if hmac.anti_replay.as_ref().is_some_and(|kind| *kind.get_ref() == AntiReplay::Monotonic) {
        return sequence::AntiReplay::Monotonic;
    }
    // Counted before any rounding of the interval, as keepalived does.
    let interval = instance.advert_int.as_ref().map_or(1, |time| time.get_ref().as_secs());
    let usual = Duration::from_secs((interval * 3).clamp(WINDOW.0, WINDOW.1));
    let window = hmac.time_window.as_ref().map_or(usual, |window| *Spanned::get_ref(window));
    sequence::AntiReplay::Time(u32::try_from(window.as_secs()).unwrap_or(u32::MAX))
}
