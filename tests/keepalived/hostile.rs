//! Any bytes at all: nothing panics, nothing hangs, and what comes out is bounded.

use crate::spoken::options;
use locum::config::keepalived::{self, Options};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use std::path::Path;

const WORDS: &[&str] = &[
    "vrrp_instance",
    "vrrp_script",
    "vrrp_sync_group",
    "global_defs",
    "virtual_ipaddress",
    "track_script",
    "script",
    "notify",
    "authentication",
    "auth_pass",
    "auth_hmac",
    "key",
    "priority",
    "interface",
    "virtual_routes",
    "virtual_rules",
    "unicast_peer",
    "static_routes",
    "include",
    "virtual_server",
    "~SEQ(a,1,9)",
    "~LST(a,1,2)",
    "~LST({a,b},{1,2})",
    "$A=",
    "$A= \\",
    "$A",
    "${A}",
    "${_ENV HOME}",
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
    "10.0.0.1/24",
    "fe80::1",
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
    "ü",
    "\u{0}",
    "\n",
    "\n",
    "\n",
    "\r\n",
    "\t",
    " ",
    "hex:",
    "[",
    "*",
    "\u{feff}",
    "999999999999999999999",
];

fn holds(text: &str) {
    for lenient in [false, true] {
        let options = Options { lenient, ..options() };
        let (document, problems, _) = keepalived::document(text, Path::new("k.conf"), &options);
        for problem in &problems {
            // Drawing goes by the places, so they must be inside the text and between characters.
            assert!(!problem.render(false).is_empty());
        }
        // A little text cannot name much, however it multiplies.
        assert!(document.instances.len() <= 200_000);
        drop(keepalived::parse(text, Path::new("k.conf"), &options));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn words_of_the_language_in_any_order_are_survived(words in vec((select(WORDS), any::<bool>()), 0..80)) {
        let text: String = words.iter().flat_map(|(word, blank)| [*word, if *blank { " " } else { "" }]).collect();
        // What is on this machine is another matter.
        holds(&text.replace("include", "exclude"));
    }

    #[test]
    fn any_characters_are_survived(text in "\\PC{0,400}") {
        holds(&text.replace("include", "exclude"));
    }

    #[test]
    fn a_file_cut_and_changed_anywhere_is_survived(
        file in select(&[include_str!("conf/global.conf"), include_str!("conf/scripts.conf"), include_str!("conf/instance.conf")]),
        cuts in vec((any::<prop::sample::Index>(), 0usize..20, select(WORDS)), 1..6),
    ) {
        let mut bytes = file.as_bytes().to_vec();
        for (at, length, put) in cuts {
            let at = at.index(bytes.len() + 1);
            let end = (at + length).min(bytes.len());
            bytes.splice(at..end, put.bytes());
        }
        holds(&String::from_utf8_lossy(&bytes).replace("include", "exclude"));
    }
}

#[test]
fn deep_blocks_and_long_lines_are_survived() {
    holds(&"a {\n".repeat(20_000));
    holds(&"}".repeat(20_000));
    holds(&format!("vrrp_instance {}", "x".repeat(1_000_000)));
    holds(&"{".repeat(20_000));
    holds(&"\"".repeat(9_999));
}

#[test]
fn definitions_that_multiply_lines_are_stopped() {
    let text = "~SEQ(a,1,1000) ~SEQ(b,1,1000) ~SEQ(c,1,1000) vrrp_instance x${a}_${b}_${c} {";
    let (document, problems, _) = keepalived::document(text, Path::new("k.conf"), &options());
    assert!(problems.iter().any(|problem| problem.message.contains("more text than is read")));
    assert!(document.instances.len() <= 200_000);
    let (_, problems, _) =
        keepalived::document("~SEQ(a,1,9223372036854775807) x", Path::new("k.conf"), &options());
    assert!(problems.len() <= 1001, "{} problems", problems.len());
    let levels = (1..40).map(|n| format!("$A{n}= \\\n ${{A{0}}} \\\n ${{A{0}}}\n", n - 1));
    let text = "$A0= \\\n x \\\n y\n".to_owned() + &levels.collect::<String>() + "$A39";
    let (_, problems, _) = keepalived::document(&text, Path::new("k.conf"), &options());
    assert!(!problems.is_empty());
}
