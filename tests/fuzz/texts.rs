//! Configuration in both languages.

use crate::harness::Fuzz;
use locum::config::keepalived::{self, Options};
use locum::config::{self, Secrets};
use std::fs;
use std::path::Path;

const WORDS: &[&str] = &[
    "vrrp_instance",
    "vrrp_script",
    "vrrp_sync_group",
    "global_defs",
    "virtual_ipaddress",
    "track_script",
    "static_routes",
    "virtual_rules",
    "unicast_peer",
    "authentication",
    "auth_hmac",
    "virtual_server",
    "~SEQ(a,1,9)",
    "~LST({a,b},{1,2})",
    "$A=",
    "$A= \\\n",
    "${A}",
    "${_RANDOM 1 2}",
    "${_PWD}",
    "@low",
    "@^low",
    "{",
    "}",
    "\"",
    "'",
    "\\",
    "#",
    "!",
    "\r\n",
    "\n",
    "10.0.0.1/24",
    "fe80::1",
    "-1",
    "99999999999999999999",
    "1e999",
    "ü",
    "\0",
    "include a.conf",
    "include b.conf",
    "includea *.conf",
    "include {a,b}.conf",
    "script",
    "notify",
    "auth_pass",
    "key",
    "priority",
    "interface",
    "virtual_routes",
    "~LST(a,1,2)",
    "$A",
    "${_ENV HOME}",
    "dev",
    "eth0",
    "label",
    "weight",
    "-20",
    "reverse",
    "1.5",
    "default",
    "via",
    "table",
    "nexthop",
    "encap",
    "from",
    "web",
    "\t",
    " ",
    "hex:",
    "[",
    "*",
    "\u{feff}",
    "999999999999999999999",
];

const TOML_WORDS: &[&str] = &[
    "[router.web]",
    "[check.a]",
    "[group.g]",
    "[agent]",
    "interface",
    "vrid",
    "priority",
    "addresses",
    "checks",
    "= [",
    "= {",
    "]",
    "}",
    "'",
    "\"",
    "\n",
    "\"\"\"",
    "0x7fffffffffffffff",
    "-1",
    "1e999",
    "\"1s\"",
    "\"0s\"",
    "\"10.0.0.1/24\"",
    "\"::/0\"",
    "true",
    "type = 'http'",
    "type = 'dns'",
    "weight = -999",
    "\\u0000",
];

fn folder(path: &str, ending: &str) -> Vec<Vec<u8>> {
    let at = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let files = fs::read_dir(&at).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|found| found == ending)).collect();
    files.sort();
    assert!(!files.is_empty(), "no seeds in {}", at.display());
    files.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn any_keepalived_conf_is_survived_and_every_problem_can_be_shown() {
    let mut lenient = false;
    Fuzz::new(folder("tests/keepalived/conf", "conf"), WORDS).run("keepalived.conf", move |input| {
        lenient = !lenient;
        let options =
            Options { lenient, vrrp_only: true, config_id: Some("low".to_owned()), all_files: false };
        // What is on this machine is another matter.
        let text = String::from_utf8_lossy(input).replace("include", "exclude");
        let (document, problems, _) = keepalived::document(&text, Path::new("k.conf"), &options);
        assert!(problems.iter().take(20).all(|problem| !problem.render(false).is_empty()));
        assert!(document.instances.len() <= 200_000);
        drop(keepalived::parse(&text, Path::new("k.conf"), &options));
    });
}

#[test]
fn files_that_include_each_other_in_any_way_come_to_an_end() {
    let place = tempfile::tempdir().unwrap();
    let [a, b] = ["a.conf", "b.conf"].map(|name| place.path().join(name));
    let seeds = [
        "include b.conf\nglobal_defs {\n}\n\u{1}include c.conf\n",
        "$A=include b.conf\n$A\n\u{1}~SEQ(x,1,9) include a.conf\n",
    ];
    let options = Options { lenient: true, vrrp_only: true, config_id: None, all_files: false };
    Fuzz::new(seeds.map(|seed| seed.as_bytes().to_vec()).to_vec(), WORDS).run("includes", move |input| {
        let _kept = &place;
        let text = String::from_utf8_lossy(input);
        // Only these two files: no way leads out of the folder.
        let text = text.replace(['/', '~'], "");
        let (first, second) = text.split_once('\u{1}').unwrap_or((&text, ""));
        fs::write(&b, second).unwrap();
        drop(keepalived::parse(first, &a, &options));
    });
}

#[test]
fn any_toml_is_survived_and_every_problem_can_be_shown() {
    let mut seeds = folder("examples", "toml");
    seeds.extend(folder("tests/config", "toml"));
    Fuzz::new(seeds, TOML_WORDS).run("TOML", |input| {
        let text = String::from_utf8_lossy(input).replace("file:", "fill:");
        match config::parse(&text, Path::new("locum.toml"), Secrets::BarRouter) {
            Ok(loaded) => drop(loaded.problems()),
            Err(problems) => {
                assert!(problems.0.iter().take(20).all(|problem| !problem.render(false).is_empty()));
            }
        }
    });
}
