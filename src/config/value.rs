//! Readers of single values: numbers, durations, addresses. Each says what is wrong and the mend.

use super::section::{Value, Wrong};
use super::suggest::nearest;
use crate::agent::VirtualMac;
use crate::check::{Pattern, Target};
use jiff::SignedDuration;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use toml::de::DeValue;

/// A string that is not empty.
pub(super) fn text(value: &Value<'_>) -> Result<String, Wrong> {
    match value.get_ref().as_str() {
        Some("") => Err(Wrong::new("this is empty").help("write something, or remove the line")),
        Some(text) => Ok(text.to_owned()),
        None => {
            let wrong = Wrong::kind(value, "a string: \"…\"");
            let single = !value.get_ref().is_array() && !value.get_ref().is_table();
            Err(if single { wrong.help("put it in quotes") } else { wrong })
        }
    }
}

/// `true` or `false`.
pub(super) fn flag(value: &Value<'_>) -> Result<bool, Wrong> {
    let wrong = || Wrong::kind(value, "true or false, without quotes");
    value.get_ref().as_bool().ok_or_else(|| unquoted::<bool>(value, wrong()))
}

/// The same, with the mend where a value stands in quotes that do not belong there.
fn unquoted<T: FromStr>(value: &Value<'_>, wrong: Wrong) -> Wrong {
    match value.get_ref().as_str() {
        Some(text) if text.parse::<T>().is_ok() => wrong.help(format!("write {text} without quotes")),
        _ => wrong,
    }
}

/// A whole number within `least..=most`.
pub(super) fn whole(least: i64, most: i64) -> impl Fn(&Value<'_>) -> Result<i64, Wrong> {
    move |value| {
        let wanted = format!("a whole number from {least} to {most}");
        let DeValue::Integer(digits) = value.get_ref() else {
            return Err(unquoted::<i64>(value, Wrong::kind(value, &wanted)));
        };
        let number = i64::from_str_radix(digits.as_str(), digits.radix()).ok();
        number.filter(|number| (least..=most).contains(number)).ok_or_else(|| {
            let low = number.map_or(digits.as_str().starts_with('-'), |number| number < least);
            let help = if low { format!("write {least} or more") } else { format!("write {most} or less") };
            Wrong::new(format!("this is {digits}, wanted {wanted}")).help(help)
        })
    }
}

/// As [`whole`], of a smaller type; the bounds are those of `T` where they are narrower.
pub(super) fn number<T: TryFrom<i64>>(least: i64, most: i64) -> impl Fn(&Value<'_>) -> Result<T, Wrong> {
    move |value| {
        let number = whole(least, most)(value)?;
        let wrong = || Wrong::new(format!("{number} is too large")).help("write a smaller number");
        T::try_from(number).map_err(|_| wrong())
    }
}

/// A span of time with its unit: `"1s 500ms"`.
pub(super) fn duration(value: &Value<'_>) -> Result<Duration, Wrong> {
    let text = match value.get_ref() {
        DeValue::String(text) => text,
        DeValue::Integer(digits) => {
            let digits = digits.as_str();
            return Err(Wrong::new("this has no unit").help(format!("write \"{digits}s\" or \"{digits}ms\"")));
        }
        _ => return Err(Wrong::kind(value, "a duration: \"1s\", \"500ms\", \"1m 30s\"")),
    };
    if text.parse::<f64>().is_ok() {
        return Err(Wrong::new("this has no unit").help(format!("write \"{text}s\" or \"{text}ms\"")));
    }
    let wrong = || {
        Wrong::new(format!("\"{text}\" is not a duration"))
            .help("write a number and its unit: \"1s\", \"500ms\", \"1m 30s\"")
    };
    let signed = text.parse::<SignedDuration>().map_err(|_| wrong())?;
    Duration::try_from(signed)
        .map_err(|_| Wrong::new("this cannot be negative").help("write it without the sign"))
}

/// A duration as people write it in the file, to the millisecond: `1.5s`, `500ms`.
#[must_use]
pub fn show(time: Duration) -> String {
    let milliseconds = time.as_nanos().div_ceil(1_000_000);
    if milliseconds < 1000 {
        return format!("{milliseconds}ms");
    }
    let text = format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000);
    format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Which addresses have the virtual MAC address: a flag for those on the own interface, or a word.
pub(super) fn virtual_mac(value: &Value<'_>) -> Result<VirtualMac, Wrong> {
    let words = choice(&[("everywhere", VirtualMac::Everywhere), ("elsewhere", VirtualMac::Elsewhere)]);
    if let Ok(own) = flag(value) { Ok(VirtualMac::of(own, false)) } else { words(value) }
}

/// A [`duration`] longer than nothing.
pub(super) fn some_time(value: &Value<'_>) -> Result<Duration, Wrong> {
    match duration(value)? {
        Duration::ZERO => {
            Err(Wrong::new("this cannot be zero").help("write a time such as \"1s\", or remove the line"))
        }
        time => Ok(time),
    }
}

/// The longest time between two looks at anything: a day.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

/// A [`duration`] of a day at most.
pub(super) fn pause(value: &Value<'_>) -> Result<Duration, Wrong> {
    match duration(value)? {
        time if time > LONGEST_PAUSE => {
            Err(Wrong::new("this is longer than a day").help("write \"1d\" or less"))
        }
        time => Ok(time),
    }
}

/// A [`pause`] longer than nothing.
pub(super) fn some_pause(value: &Value<'_>) -> Result<Duration, Wrong> {
    some_time(value).and_then(|_| pause(value))
}

/// A [`some_time`], or `off`.
pub(super) fn time_or_off(value: &Value<'_>) -> Result<Option<Duration>, Wrong> {
    match value.get_ref().as_str() {
        Some("off") => Ok(None),
        _ => some_time(value)
            .map(Some)
            .map_err(|wrong| wrong.help("write a duration such as \"60s\", or \"off\"")),
    }
}

/// An IP address.
pub(super) fn ip(value: &Value<'_>) -> Result<IpAddr, Wrong> {
    let text = text(value)?;
    text.parse().map_err(|_| {
        let wrong = Wrong::new(format!("\"{text}\" is not an IP address"));
        match text.split_once('/') {
            Some((address, _)) if address.parse::<IpAddr>().is_ok() => {
                wrong.help(format!("write \"{address}\" without a prefix length"))
            }
            _ => wrong.help("write it like \"10.0.0.2\" or \"2001:db8::2\""),
        }
    })
}

/// An address with or without a prefix length: `10.0.0.100`, `10.0.0.101/24`.
pub(super) fn address(value: &Value<'_>) -> Result<(IpAddr, Option<u8>), Wrong> {
    let text = text(value)?;
    let wrong = || {
        Wrong::new(format!("\"{text}\" is not an address"))
            .help("write it like \"10.0.0.100\", \"10.0.0.100/24\" or \"2001:db8::100/64\"")
    };
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text.as_str(), None),
    };
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix.map(str::parse) {
        None => None,
        Some(Ok(length)) if length <= most => Some(length),
        Some(_) => {
            let usual = if address.is_ipv4() { 24 } else { 64 };
            return Err(Wrong::new(format!("the prefix length of {address} must be 0 to {most}"))
                .help(format!("write the subnet's, such as \"{address}/{usual}\", or none at all")));
        }
    };
    Ok((address, prefix))
}

/// A network: `10.0.0.0/24`.
pub(super) fn subnet(value: &Value<'_>) -> Result<(IpAddr, u8), Wrong> {
    let (address, prefix) = address(value)?;
    let Some(prefix) = prefix else {
        return Err(Wrong::new(format!("{address} has no prefix length"))
            .help(format!("write the subnet: \"{address}/24\"")));
    };
    let network = network(address, prefix);
    if network == address {
        Ok((address, prefix))
    } else {
        Err(Wrong::new(format!("{address} is an address inside the subnet {network}/{prefix}"))
            .help(format!("write \"{network}/{prefix}\"")))
    }
}

/// The network that `address` is in.
pub(super) fn network(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

/// One of the words of `choices`, for what stands beside it.
pub(super) fn choice<T: Copy>(
    choices: &'static [(&'static str, T)],
) -> impl Fn(&Value<'_>) -> Result<T, Wrong> {
    move |value| {
        let words = || choices.iter().map(|(word, _)| *word);
        let quoted: Vec<_> = words().map(|word| format!("\"{word}\"")).collect();
        let wanted = format!("one of {}", quoted.join(", "));
        let text = value.get_ref().as_str().ok_or_else(|| Wrong::kind(value, &wanted))?;
        let found = choices.iter().find(|(word, _)| *word == text);
        found.map(|(_, choice)| *choice).ok_or_else(|| {
            let wrong = Wrong::new(format!("\"{text}\" is not known here, wanted {wanted}"));
            match nearest(text, words()) {
                Some(near) => wrong.help(format!("did you mean \"{near}\"?")),
                None => wrong.help(format!("write {wanted}")),
            }
        })
    }
}

/// An absolute path.
pub(super) fn path(value: &Value<'_>) -> Result<PathBuf, Wrong> {
    let path = PathBuf::from(text(value)?);
    if path.is_absolute() {
        Ok(path)
    } else {
        let wrong = Wrong::new(format!("{} is not an absolute path", path.display()));
        Err(wrong.help("write it from / on"))
    }
}

/// The name of a network interface: 1 to 15 bytes, no slash, no blank.
pub(super) fn interface(value: &Value<'_>) -> Result<String, Wrong> {
    let name = text(value)?;
    if name.len() > 15 {
        return Err(Wrong::new(format!("\"{name}\" is longer than the 15 bytes of an interface name"))
            .help("see the names with: ip link"));
    }
    if name.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control()) {
        return Err(
            Wrong::new(format!("\"{name}\" is not an interface name")).help("see the names with: ip link")
        );
    }
    Ok(name)
}

/// Whether this can be a host: an IP address, or a name.
pub(super) fn is_host(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    text.parse::<IpAddr>().is_ok() || !text.is_empty() && text.chars().all(fits)
}

/// A host: an IP address, in brackets or not, or a name.
pub(super) fn host(value: &Value<'_>) -> Result<String, Wrong> {
    let text = text(value)?;
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&text);
    if is_host(bare) {
        Ok(bare.to_owned())
    } else {
        Err(Wrong::new(format!("\"{text}\" is no IP address or host name"))
            .help("write it like \"10.0.0.1\", \"2001:db8::1\" or \"db.example\""))
    }
}

/// A host and its port: `10.0.0.1:80`, `[::1]:80`, `db.example:80`; without a port `usual` is meant.
pub(super) fn host_and_port(usual: Option<u16>) -> impl Fn(&Value<'_>) -> Result<Target, Wrong> {
    move |value| {
        let text = text(value)?;
        let wrong = |why| {
            Wrong::new(why).help("write it like \"10.0.0.1:80\", \"[2001:db8::1]:80\" or \"db.example:80\"")
        };
        let (name, port) = match text.rsplit_once(':') {
            _ if text.parse::<IpAddr>().is_ok() || text.ends_with(']') => (text.as_str(), None),
            Some((name, port)) => (name, Some(port)),
            None => (text.as_str(), None),
        };
        let port = match (port.map(str::parse), usual) {
            (Some(Ok(port)), _) if port != 0 => port,
            (Some(_), _) => return Err(wrong("the port must be 1 to 65535")),
            (None, Some(usual)) => usual,
            (None, None) => return Err(wrong("this has no port")),
        };
        let name = host(&Value::new(value.span(), DeValue::String(name.into())))?;
        Ok(Target::new(&name, port))
    }
}

/// A regular expression.
pub(super) fn pattern(value: &Value<'_>) -> Result<Pattern, Wrong> {
    let text = text(value)?;
    Pattern::new(&text).map_err(|error| {
        // The last line of the error says what is wrong, those before it draw the place.
        let error = error.to_string();
        let why = error.lines().next_back().unwrap_or_default().trim_start_matches("error: ");
        Wrong::new(format!("this is not a regular expression: {why}"))
            .help("put a \\ before . * + ? ( ) [ ] { } ^ $ | where the sign itself is meant, in '…' quotes")
    })
}

/// A command: a list of program and arguments, or a string split at blanks. No shell reads it.
pub(super) fn command(value: &Value<'_>) -> Result<Vec<String>, Wrong> {
    let words: Vec<String> = match value.get_ref() {
        DeValue::Array(words) => words.iter().map(text).collect::<Result<_, _>>()?,
        DeValue::String(line) => {
            let special = line.chars().find(|c| "'\"\\|&;<>$`*?".contains(*c));
            if let Some(special) = special {
                let wrong =
                    Wrong::new(format!("no shell reads this: `{special}` would not do what it does there"));
                return Err(wrong.help(
                    "write the command as a list, [\"/path\", \"an argument\"], or put it into a script",
                ));
            }
            line.split_whitespace().map(str::to_owned).collect()
        }
        _ => return Err(Wrong::kind(value, "a command: \"/path argument\" or [\"/path\", \"argument\"]")),
    };
    match words.first() {
        Some(program) if program.starts_with('/') => Ok(words),
        Some(program) => {
            let wrong = Wrong::new(format!("{program} is not an absolute path"));
            Err(wrong
                .help(format!("write where it is, such as /usr/bin/{program}; see: command -v {program}")))
        }
        None => Err(Wrong::new("this is empty").help("name a program, or remove the line")),
    }
}
