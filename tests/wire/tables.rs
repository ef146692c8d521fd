//! The tables: timers, and the two bytes that mean different things in the two versions.

use crate::folder;
use crate::sum::sum;
use locum::vrrp::packet::{Envelope, Refusal, decode};
use locum::vrrp::{GROUP_V4, Interval, Priority, Version};
use serde::Deserialize;
use std::net::IpAddr;

#[derive(Deserialize)]
struct Tables {
    timers: Vec<Timer>,
    interval_field: Vec<Field>,
}

#[derive(Deserialize)]
struct Timer {
    version: u8,
    priority: u8,
    interval_cs: u16,
    skew_us_exact: String,
    down_us: f64,
}

#[derive(Deserialize)]
struct Field {
    wire_bytes_4_5: String,
    v3_interval_cs: u16,
    v2_auth_type: u8,
    v2_interval_s: u16,
    v3_acceptable: bool,
}

fn tables() -> Vec<Tables> {
    let paths = folder::all().into_iter().flat_map(|folder| folder::files(&folder, "tables", ".json"));
    let tables: Vec<Tables> = paths.map(|path| folder::json(&path)).collect();
    assert!(!tables.is_empty(), "no tables.json");
    tables
}

/// Whole nanoseconds of a fraction of microseconds, "46875/4" or "12".
fn nanoseconds(fraction: &str) -> u128 {
    let (over, under) = fraction.split_once('/').unwrap_or((fraction, "1"));
    over.parse::<u128>().unwrap() * 1000 / under.parse::<u128>().unwrap()
}

#[test]
fn timers_are_those_of_the_formulas_to_the_nanosecond() {
    for timer in tables().into_iter().flat_map(|tables| tables.timers) {
        let version = if timer.version == 2 { Version::V2 } else { Version::V3 };
        let priority = Priority::new(timer.priority).unwrap();
        let interval = Interval::from_centiseconds(timer.interval_cs).unwrap();
        let what = format!("version {version}, priority {priority}, interval {interval}");

        let skew = nanoseconds(&timer.skew_us_exact);
        assert_eq!(interval.skew(version, priority).as_nanos(), skew, "skew of {what}");

        let down = interval.down(version, priority);
        assert_eq!(down.as_nanos(), interval.duration().as_nanos() * 3 + skew, "down interval of {what}");
        let off = down.as_secs_f64() * 1e6 - timer.down_us;
        assert!(off.abs() < 0.01, "down interval of {what}: off by {off} microseconds");
    }
}

/// A message with one address whose fifth and sixth byte are these, its checksum set right.
fn message(version: u8, field: &[u8]) -> Vec<u8> {
    let mut message = [&[version << 4 | 1, 7, 100, 1], field, &[0, 0, 192, 0, 2, 1]].concat();
    if version == 2 {
        message.extend([0; 8]);
    }
    let checksum = !sum(&message);
    message[6..8].copy_from_slice(&checksum.to_be_bytes());
    message
}

#[test]
fn the_interval_is_read_from_the_bits_its_version_gives_it() {
    let interval = |version, bytes: &[u8]| {
        let payload = message(version, bytes);
        let source = IpAddr::from([192, 0, 2, 9]);
        let envelope =
            Envelope { source, destination: GROUP_V4.into(), ttl: Some(255), ah: None, payload: &payload };
        decode(&envelope).map(|heard| heard.advert.interval.centiseconds())
    };
    for field in tables().into_iter().flat_map(|tables| tables.interval_field) {
        let bytes = folder::hex(&field.wire_bytes_4_5);
        let acceptable = |cs: u16| {
            if cs == 0 { Err(Refusal::IntervalZero) } else { Ok(cs) }
        };
        let what = &field.wire_bytes_4_5;

        assert_eq!(interval(3, &bytes), acceptable(field.v3_interval_cs), "version 3, {what}");
        assert_eq!(interval(3, &bytes).is_ok(), field.v3_acceptable, "version 3, {what}");
        // Version 2 has the authentication type in the first byte, which says nothing of the interval.
        assert_eq!(bytes[0], field.v2_auth_type, "{what}");
        assert_eq!(interval(2, &bytes), acceptable(field.v2_interval_s * 100), "version 2, {what}");
    }
}
