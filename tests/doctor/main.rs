//! The doctor's judgements: each finding from the facts that make it, and its good neighbour.

mod daemon;
mod firewall;
mod host;
mod peer_file;
mod wire;

use locum::agent::{Link, LinkAddress};
use locum::config::{Config, Secrets, parse};
use locum::doctor::{Report, Severity};
use std::path::Path;
use tempfile::NamedTempFile;

/// A file with a router `web` of these lines, beside what every one has, and `more` after it.
fn config(lines: &str, more: &str) -> Config {
    let usual = ["interface = \"eth0\"", "vrid = 51", "addresses = [\"10.0.0.100/24\"]"];
    let key = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
    let kept = usual.iter().filter(|line| !lines.lines().any(|own| key(own) == key(line)));
    let kept: Vec<&str> = kept.copied().collect();
    let text = format!("[router.web]\n{}\n{lines}\n{more}", kept.join("\n"));
    let loaded = parse(&text, Path::new("a.toml"), Secrets::MustRead);
    loaded.unwrap_or_else(|problems| panic!("{problems:?}: {text}")).config
}

/// `eth0` with 10.0.0.1/24 and a link-local address.
fn eth0() -> Link {
    let own = |address: &str, prefix| LinkAddress {
        address: address.parse().unwrap(),
        prefix,
        tentative: false,
        secondary: false,
    };
    let addresses = vec![own("10.0.0.1", 24), own("fe80::1", 64)];
    Link { name: "eth0".to_owned(), index: 2, up: true, mac: Some([2, 0, 0, 0, 0, 1]), mtu: 1500, addresses }
}

/// A secret in a file that its owner alone can read.
fn secret(text: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

/// What a judge says.
fn judged(judge: impl FnOnce(&mut Report)) -> Report {
    let mut report = Report::default();
    judge(&mut report);
    report
}

/// Exactly one thing is wrong, and this is it; it has its reason and its mend, with these words somewhere.
fn assert_found(report: &Report, severity: Severity, id: &str, words: &[&str]) {
    let wrong: Vec<_> = report.findings.iter().filter(|one| one.severity != Severity::Fine).collect();
    let [one] = *wrong else { panic!("not one finding {id}: {wrong:#?}") };
    assert_eq!((one.severity, &*one.id), (severity, id), "{one:#?}");
    assert!(!one.why.is_empty() && !one.mend.is_empty(), "{one:#?}");
    let all = format!("{} {} {}", one.what, one.why, one.mend);
    for word in words {
        assert!(all.contains(word), "no {word}: {one:#?}");
    }
}

/// Something was looked at, and is fine; nothing else.
fn assert_fine(report: &Report, id: &str) {
    assert!(report.findings.iter().all(|one| one.severity == Severity::Fine), "{report:#?}");
    assert!(report.findings.iter().any(|one| one.id == id), "{report:#?}");
}
