//! Readers of single words: numbers, times, addresses, names. Each says what is wrong and the mend.

use super::document::Weight;
use super::tree::Word;
use crate::config::section::Wrong;
use crate::config::suggest::nearest;
use std::net::IpAddr;
use std::time::Duration;

/// A whole number within `least..=most`.
pub(super) fn number<T: TryFrom<i64>>(least: i64, most: i64) -> impl Fn(&Word) -> Result<T, Wrong> {
    move |word| {
        let wrong =
            || Wrong::new(format!("this is \"{}\", wanted a whole number from {least} to {most}", word.text));
        let digits = word.text.strip_prefix('+').unwrap_or(&word.text);
        let found: i64 = digits.parse().map_err(|_| {
            let meant = word.text.trim_end_matches([',', ';', '.']).parse::<i64>();
            match meant.ok().filter(|meant| (least..=most).contains(meant)) {
                Some(meant) => wrong().help(format!("write {meant}")),
                None => wrong().help(format!("write digits alone, such as {}", 1.clamp(least, most))),
            }
        })?;
        let inside = Some(found).filter(|found| (least..=most).contains(found));
        let nearest = found.clamp(least, most);
        inside
            .and_then(|found| T::try_from(found).ok())
            .ok_or_else(|| wrong().help(format!("write {nearest}")))
    }
}

/// A time in seconds with decimals, within `least..=most` seconds. Finer than 1 us is cut.
pub(super) fn seconds(least: f64, most: f64) -> impl Fn(&Word) -> Result<Duration, Wrong> {
    decimal(least, most, "seconds", 1_000_000)
}

/// A time in milliseconds with decimals, the same way.
pub(super) fn millis(least: f64, most: f64) -> impl Fn(&Word) -> Result<Duration, Wrong> {
    decimal(least, most, "milliseconds", 1_000)
}

/// `unit`s with decimals, of `micros` microseconds each.
fn decimal(
    least: f64,
    most: f64,
    unit: &'static str,
    micros: u64,
) -> impl Fn(&Word) -> Result<Duration, Wrong> {
    move |word| {
        let wrong = || Wrong::new(format!("this is \"{}\", wanted {unit} from {least} to {most}", word.text));
        let (whole, fraction) = word.text.split_once('.').unwrap_or((&word.text, ""));
        let digits = |text: &str| text.chars().all(|sign| sign.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
            let meant = word.text.trim_end_matches(|sign: char| sign.is_ascii_alphabetic());
            let number = meant.parse::<f64>().is_ok();
            return Err(wrong().help(match word.text.strip_prefix('-') {
                Some(rest) if rest.parse::<f64>().is_ok() => format!("write {least}"),
                _ if meant != word.text && number => format!("write it without its unit: {meant}"),
                _ => format!("write digits alone, such as {}", 1_f64.clamp(least, most)),
            }));
        }
        let bounded = |found: f64| wrong().help(format!("write {}", found.clamp(least, most)));
        let padded: String = fraction.chars().chain("000000".chars()).take(6).collect();
        let parts = (format!("0{whole}").parse::<u64>(), padded.parse::<u64>());
        let (Ok(whole), Ok(millionths)) = parts else { return Err(bounded(most)) };
        let time = whole.saturating_mul(micros).saturating_add(millionths.saturating_mul(micros) / 1_000_000);
        let time = Duration::from_micros(time);
        let found = time.as_secs_f64() / Duration::from_micros(micros).as_secs_f64();
        if (least..=most).contains(&found) { Ok(time) } else { Err(bounded(found)) }
    }
}

const WORDS: [(&str, bool); 6] =
    [("on", true), ("off", false), ("true", true), ("false", false), ("yes", true), ("no", false)];

/// `on`, `off`, `true`, `false`, `yes` or `no`.
pub(super) fn flag(word: &Word) -> Result<bool, Wrong> {
    let found = WORDS.iter().find(|(known, _)| *known == word.text).map(|(_, flag)| *flag);
    found.ok_or_else(|| {
        let help = match nearest(&word.text, WORDS.map(|(known, _)| known)) {
            Some(near) => format!("did you mean {near}?"),
            None => "write on or off".to_owned(),
        };
        Wrong::new(format!("this is \"{}\", wanted on or off", word.text)).help(help)
    })
}

/// Anything but nothing.
pub(super) fn text(word: &Word) -> Result<String, Wrong> {
    match word.text.as_str() {
        "" => Err(Wrong::new("this is empty").help("write something, or remove the line")),
        text => Ok(text.to_owned()),
    }
}

/// An IP address.
pub(super) fn ip(word: &Word) -> Result<IpAddr, Wrong> {
    word.text.parse().map_err(|_| {
        let wrong = Wrong::new(format!("\"{}\" is not an IP address", word.text));
        match word.text.split_once('/') {
            Some((address, _)) if address.parse::<IpAddr>().is_ok() => wrong.help(format!("write {address}")),
            _ => wrong.help("write it like 10.0.0.2 or 2001:db8::2"),
        }
    })
}

/// A multicast address.
pub(super) fn group(word: &Word) -> Result<IpAddr, Wrong> {
    let group = ip(word)?;
    let help = "write one like 224.0.0.18 or ff02::12";
    if group.is_multicast() {
        Ok(group)
    } else {
        Err(Wrong::new(format!("{group} is no multicast address")).help(help))
    }
}

/// An address of a host, after which keepalived lets a prefix length stand that means nothing.
pub(super) fn host(word: &Word) -> Result<IpAddr, Wrong> {
    let Some((address, length)) = word.text.split_once('/') else { return ip(word) };
    match (address.parse::<IpAddr>(), length.parse::<u8>()) {
        (Ok(address), Ok(length)) if length <= longest(address) => Ok(address),
        _ => ip(word),
    }
}

/// An address and its prefix length, if it has one.
pub(super) fn prefixed(word: &Word) -> Result<(IpAddr, Option<u8>), Wrong> {
    let Some((address, length)) = word.text.split_once('/') else { return Ok((ip(word)?, None)) };
    let address: IpAddr = address.parse().map_err(|_| {
        Wrong::new(format!("\"{}\" is not an address", word.text)).help("write it like 10.0.0.100/24")
    })?;
    let longest = longest(address);
    let fits = length.parse().ok().filter(|length| *length <= longest);
    fits.map(|length| (address, Some(length))).ok_or_else(|| {
        let wrong =
            Wrong::new(format!("\"{length}\" is no prefix length of {address}, wanted 0 to {longest}"));
        wrong.help(format!("write {address}/{longest}, or that of its network"))
    })
}

/// The length of a whole address of its family, in bits.
pub(super) fn longest(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Whether an interface can be called so.
pub(super) fn is_interface(name: &str) -> bool {
    (1..=15).contains(&name.len()) && !name.contains(['/', '<', '>']) && !name.contains(char::is_whitespace)
}

/// The name of a network interface.
pub(super) fn interface(word: &Word) -> Result<String, Wrong> {
    let name = word.text.as_str();
    if !is_interface(name) {
        let help = "it has 1 to 15 bytes; see the names with: ip link";
        return Err(Wrong::new(format!("\"{name}\" is not an interface name")).help(help));
    }
    Ok(name.to_owned())
}

/// One of `choices`.
pub(super) fn choice<T: Copy>(choices: &'static [(&'static str, T)]) -> impl Fn(&Word) -> Result<T, Wrong> {
    move |word| {
        if let Some((_, found)) = choices.iter().find(|(name, _)| *name == word.text) {
            return Ok(*found);
        }
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        let wrong = Wrong::new(format!("\"{}\" is not known here, wanted {}", word.text, names.join(" or ")));
        let folded = choices.iter().map(|(name, _)| *name).find(|name| name.eq_ignore_ascii_case(&word.text));
        Err(match folded.or_else(|| nearest(&word.text, names.iter().copied())) {
            Some(near) => wrong.help(format!("did you mean {near}?")),
            None => wrong.help(format!("write {}", names.join(" or "))),
        })
    }
}

/// A weight, whose `reverse` is read elsewhere.
pub(super) fn weight(most: i64) -> impl Fn(&Word) -> Result<Weight, Wrong> {
    move |word| Ok(Weight { value: number(-most, most)(word)?, reverse: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Word {
        Word { text: text.to_owned(), quoted: false, span: 0..text.len() }
    }

    #[test]
    fn seconds_have_decimals_and_bounds() {
        let read = |text| seconds(0.01, 255.0)(&word(text)).ok();
        assert_eq!(read("1"), Some(Duration::from_secs(1)));
        assert_eq!(read("1.000000"), Some(Duration::from_secs(1)));
        assert_eq!(read(".25"), Some(Duration::from_millis(250)));
        assert_eq!(read("0.0100009"), Some(Duration::from_millis(10)));
        for wrong in ["0", "256", "", ".", "1s", "-1", "1e3", "99999999999999999999", "1.5.2", "inf"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn numbers_say_what_was_meant() {
        assert_eq!(number::<u8>(1, 255)(&word("100")).ok(), Some(100));
        let wrong = number::<u8>(1, 255)(&word("100,")).unwrap_err();
        assert_eq!(wrong.help.as_deref(), Some("write 100"));
        assert!(number::<u8>(1, 255)(&word("256")).is_err() && number::<u8>(1, 255)(&word("0")).is_err());
        assert!(number::<u8>(0, 999)(&word("300")).is_err());
    }

    #[test]
    fn whatever_is_wrong_has_a_mend() {
        fn help<T>(read: impl Fn(&Word) -> Result<T, Wrong>, text: &str) -> String {
            read(&word(text)).err().and_then(|wrong| wrong.help).unwrap_or_default()
        }
        assert_eq!(help(number::<u8>(1, 255), "256"), "write 255");
        assert_eq!(help(number::<u8>(2, 3), "x"), "write digits alone, such as 2");
        assert_eq!(help(number::<u8>(1, 255), "999,"), "write digits alone, such as 1");
        assert_eq!(help(seconds(0.0, 1000.0), "-5"), "write 0");
        assert_eq!(help(seconds(0.01, 255.0), "300"), "write 255");
        assert_eq!(help(seconds(0.01, 255.0), "1s"), "write it without its unit: 1");
        assert_eq!(help(seconds(0.01, 255.0), "abc"), "write digits alone, such as 1");
        assert_eq!(help(flag, "maybe"), "write on or off");
        assert_eq!(help(flag, "treu"), "did you mean true?");
        assert_eq!(help(choice(&[("MASTER", ()), ("BACKUP", ())]), "MASTR"), "did you mean MASTER?");
        assert_eq!(help(choice(&[("MASTER", ()), ("BACKUP", ())]), "ACTIVE"), "write MASTER or BACKUP");
    }

    #[test]
    fn a_host_may_have_a_prefix_length_that_means_nothing() {
        assert_eq!(host(&word("10.0.0.2/24")).ok(), "10.0.0.2".parse().ok());
        assert!(host(&word("10.0.0.2/33")).is_err() && host(&word("<peer>")).is_err());
        assert!(prefixed(&word("10.0.0.2/33")).is_err() && prefixed(&word("10.0.0.2/")).is_err());
    }
}
