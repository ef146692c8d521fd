//! The alerts that are shipped: each fires when it should, and asks for what is served.

use crate::canned;
use locum::web::{Snapshot, metrics};
use std::fs;
use std::process::Command;

const RULES: &str = "packaging/prometheus/locum.rules.yml";
const TEST: &str = "packaging/prometheus/locum.rules.test.yml";

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The words of a text that begin like a metric.
fn metrics_in(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("locum_"))
}

#[test]
fn promtool_finds_that_every_alert_fires_when_it_should() {
    for arguments in [["check", "rules", "locum.rules.yml"], ["test", "rules", "locum.rules.test.yml"]] {
        let done = Command::new("promtool")
            .args(arguments)
            .current_dir("packaging/prometheus")
            .output()
            .expect("promtool, of the Debian package prometheus");
        let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
        assert!(done.status.success() && said.contains("SUCCESS"), "{said}");
    }
    let (rules, test) = (read(RULES), read(TEST));
    let alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() >= 9, "{alerts:?}");
    for alert in alerts {
        let fires = format!("- alertname: {alert}\n");
        assert!(test.contains(&fires), "no test in which {alert} fires");
    }
}

#[test]
fn every_metric_that_an_alert_asks_for_is_served() {
    let page = metrics::page(&Snapshot::now(canned::degraded()));
    for file in [RULES, TEST] {
        for metric in metrics_in(&read(file)) {
            assert!(page.contains(&format!("# TYPE {metric} ")), "{file}: {metric}");
        }
    }
}
