//! What is large beyond measure: nothing panics, nothing hangs, and what comes out is bounded. Any bytes
//! at all are the fuzz targets' matter.

use crate::spoken::options;
use locum::config::keepalived::{self, Options};
use std::path::Path;

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
