//! `auth` of a router: how it knows the others, where the secrets are, and why it must not take part
//! where one cannot be read. Never less than what is written: no key, no router.

use super::Secrets;
use super::file;
use super::problem::{Finding, Sink, Span};
use super::router::Keys;
use super::secret;
use super::section::{Section, Wrong};
use super::value::{choice, number, some_time, text};
use crate::vrrp::auth::{Auth, PASSWORD_LEN, Secret};
use crate::vrrp::hmac::{Key, Keyring, Mode};
use crate::vrrp::sequence::AntiReplay;
use crate::vrrp::{Interval, Version};
use serde_spanned::Spanned;
use std::num::NonZeroU8;
use std::time::Duration;

/// `auth` as written. A secret is where it is to be found.
pub(super) enum Written {
    Pass(Spanned<String>),
    Ah(Spanned<String>),
    Hmac(Hmac),
}

/// `auth.hmac`
pub(super) struct Hmac {
    pub(super) span: Span,
    pub(super) keys: Vec<(NonZeroU8, Spanned<String>)>,
    pub(super) active: Option<Spanned<NonZeroU8>>,
    pub(super) by_clock: bool,
    pub(super) window: Option<Spanned<Duration>>,
    pub(super) mode: Option<Spanned<Mode>>,
}

const ANTI_REPLAY: &[(&str, bool)] = &[("time", true), ("monotonic", false)];
const MODES: &[(&str, Mode)] =
    &[("enforce", Mode::Enforce), ("permissive", Mode::Permissive), ("receive-only", Mode::ReceiveOnly)];
const EXAMPLE: &str = "hmac = { keys = { 1 = \"file:/etc/locum/NAME.key\" } }";
/// The windows that keepalived takes.
const LEAST_WINDOW: Duration = Duration::from_secs(1);
/// See [`LEAST_WINDOW`].
const MOST_WINDOW: Duration = Duration::from_secs(300);
/// The shortest window that is not asked for.
const USUAL_WINDOW: u64 = 5;

/// Reads `auth` of a router.
pub(super) fn read(router: &Section<'_>) -> Option<Written> {
    let section = router.section("auth")?;
    let hmac = section.section("hmac").map(|inner| hmac(inner, section.span.clone())).map(Written::Hmac);
    let ah = section.optional("ah", text).map(Written::Ah);
    let pass = section.optional("pass", text).map(Written::Pass);
    let named = ["hmac", "ah", "pass"].iter().filter(|scheme| section.raw(scheme).is_some()).count();
    if named != 1 {
        let message =
            format!("{} names {}", section.title, if named == 0 { "no scheme" } else { "several schemes" });
        let finding = Finding::error(&section.span, message);
        section.sink().add(finding.help(format!("write one of them: {EXAMPLE}, or ah, or pass")));
    }
    section.finish();
    hmac.or(ah).or(pass).filter(|_| named == 1)
}

fn hmac(section: Section<'_>, span: Span) -> Hmac {
    let mut keys: Vec<(NonZeroU8, Spanned<String>)> = Vec::new();
    if section.raw("keys").is_none() {
        section.missing("keys", "keys = { 1 = \"file:/etc/locum/NAME.key\" }");
    }
    let written = section.section("keys").map(|table| table.all(text)).unwrap_or_default();
    for (name, reference) in written {
        match name.parse::<NonZeroU8>() {
            Ok(id) if !keys.iter().any(|(known, _)| *known == id) => keys.push((id, reference)),
            Ok(id) => {
                let finding = Finding::error(&reference.span(), format!("key {id} stands here twice"));
                section.sink().add(finding.help("give it another number, the same on every host"));
            }
            Err(_) => {
                let finding =
                    Finding::error(&reference.span(), format!("\"{name}\" is not the number of a key"));
                section.sink().add(finding.help("keys go by numbers from 1 to 255, the same on every host"));
            }
        }
    }
    let hmac = Hmac {
        span,
        keys,
        active: section.optional("active", |value| {
            NonZeroU8::new(number::<u8>(1, 255)(value)?).ok_or_else(|| Wrong::new("a key cannot be 0"))
        }),
        by_clock: section.optional("anti_replay", choice(ANTI_REPLAY)).is_none_or(Spanned::into_inner),
        window: section.optional("window", some_time),
        mode: section.optional("mode", choice(MODES)),
    };
    section.finish();
    hmac
}

/// What is written, with its secrets; and why the router must not take part.
pub(super) fn auth(
    part: &file::Router,
    version: Version,
    interval: Interval,
    keys: &Keys<'_>,
    sink: &Sink,
) -> (Auth, Option<String>) {
    let reader = Reader { part, keys, sink };
    let read = match &part.auth {
        None => Ok(Auth::None),
        Some(Written::Pass(at)) => reader.password(at, version).map(Auth::Pass),
        Some(Written::Ah(at)) => reader.header(at, version).map(Auth::Ah),
        Some(Written::Hmac(written)) => reader.keyring(written, interval).map(Auth::Hmac),
    };
    match read {
        Ok(auth) => (auth, None),
        Err(barred) => (Auth::None, Some(barred)),
    }
}

/// Reads secrets. Errors are reported, and say in one line why the router must not take part.
struct Reader<'a> {
    part: &'a file::Router,
    keys: &'a Keys<'a>,
    sink: &'a Sink,
}

impl Reader<'_> {
    fn password(&self, at: &Spanned<String>, version: Version) -> Result<Secret, String> {
        if version == Version::V3 {
            return Err(self.of_version_2(at, "version 3 of VRRP has no passwords (RFC 9568 section 9)"));
        }
        let secret = self.secret(at, secret::password)?;
        let finding = Finding::warning(&at.span(), "every host on the network can read this password");
        self.sink.add(
            finding.help("it keeps misconfigured neighbours apart, not attackers: filter IP protocol 112"),
        );
        Ok(secret)
    }

    fn header(&self, at: &Spanned<String>, version: Version) -> Result<Secret, String> {
        if version == Version::V3 {
            let rule = "version 3 of VRRP has no authentication header (RFC 9568 section 9)";
            return Err(self.of_version_2(at, rule));
        }
        let secret = self.secret(at, secret::password)?;
        if secret.expose().len() < PASSWORD_LEN {
            let length = secret.expose().len();
            let finding = Finding::warning(&at.span(), format!("a secret of {length} bytes is soon guessed"));
            self.sink.add(finding.help(format!(
                "use {PASSWORD_LEN} bytes of chance; better, sign adverts where every host can: {EXAMPLE}"
            )));
        }
        Ok(secret)
    }

    fn keyring(&self, written: &Hmac, interval: Interval) -> Result<Keyring, String> {
        let anti_replay = self.anti_replay(written, interval);
        let mode = written.mode.as_ref().map_or(Mode::Enforce, |mode| *mode.get_ref());
        if let Some(at) = written.mode.as_ref().filter(|_| mode != Mode::Enforce) {
            let finding = Finding::warning(&at.span(), "adverts that are not signed are believed as well");
            self.sink.add(finding.help("write mode = \"enforce\" as soon as every host signs"));
        }
        let mut ring = Vec::new();
        let mut barred = None;
        for (id, at) in &written.keys {
            match self.secret(at, secret::key).map(|secret| Key::new(*id, secret)) {
                Ok(key) => ring.extend(key),
                Err(line) => barred = Some(line),
            }
        }
        if let Some(line) = barred {
            return Err(line);
        }
        let active = match (&written.active, written.keys.as_slice()) {
            (Some(active), _) => *active.get_ref(),
            (None, [(only, _)]) => *only,
            (None, keys) => {
                let ids = listed(keys);
                if !keys.is_empty() {
                    let finding =
                        Finding::error(&written.span, "of several keys, `active` says which one signs");
                    self.sink.add(finding.help(format!("add active = N, one of {ids}")));
                }
                return Err(format!("no key signs, of {ids}"));
            }
        };
        Keyring::new(ring, active, anti_replay, mode).ok_or_else(|| {
            let line = format!("there is no key {active}");
            if let Some(at) = &written.active {
                let help = format!("write one of {}, or add the key", listed(&written.keys));
                self.sink.add(Finding::error(&at.span(), line.clone()).help(help));
            }
            line
        })
    }

    fn anti_replay(&self, written: &Hmac, interval: Interval) -> AntiReplay {
        let usual =
            Duration::from_secs((interval.duration().as_secs() * 3).max(USUAL_WINDOW)).min(MOST_WINDOW);
        let window = written.window.as_ref().map_or(usual, |window| *window.get_ref());
        if let Some(at) = &written.window {
            if !written.by_clock {
                let finding = Finding::error(&at.span(), "without a clock there is no window");
                self.sink.add(finding.help("remove it, or write anti_replay = \"time\""));
            } else if window.subsec_nanos() != 0 || !(LEAST_WINDOW..=MOST_WINDOW).contains(&window) {
                let finding = Finding::error(&at.span(), "a window has 1 to 300 whole seconds");
                self.sink.add(finding.help("write it like \"5s\", the same on every host"));
            }
        }
        if written.by_clock {
            AntiReplay::Time(u32::try_from(window.as_secs()).unwrap_or(u32::MAX))
        } else {
            AntiReplay::Monotonic
        }
    }

    fn of_version_2(&self, at: &Spanned<String>, rule: &str) -> String {
        let help = format!("sign adverts instead: {EXAMPLE}; or write version = 2");
        self.sink.add(Finding::error(&at.span(), rule).help(help));
        rule.to_owned()
    }

    fn secret(&self, at: &Spanned<String>, read: secret::Reading) -> Result<Secret, String> {
        let wrong = match read(at.get_ref(), self.keys.directory, self.keys.credentials) {
            Ok(secret) => return Ok(secret),
            Err(wrong) => wrong,
        };
        let barred = match &wrong.help {
            Some(help) => format!("{} ({help})", wrong.message),
            None => wrong.message.clone(),
        };
        // A literal in the file is a mistake in the file, whoever loads it.
        let bar = self.keys.policy == Secrets::BarRouter && secret::is_reference(at.get_ref());
        let finding = if bar {
            let message = format!("router {} takes no part: {}", self.part.name.get_ref(), wrong.message);
            Finding::warning(&at.span(), message)
        } else {
            Finding::error(&at.span(), wrong.message)
        };
        self.sink.add(match wrong.help {
            Some(help) => finding.help(help),
            None => finding,
        });
        Err(barred)
    }
}

fn listed(keys: &[(NonZeroU8, Spanned<String>)]) -> String {
    keys.iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>().join(", ")
}
