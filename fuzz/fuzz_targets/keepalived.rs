//! Any text as keepalived.conf: nothing panics or hangs, and every problem can be drawn.
//!
//! `cargo +nightly fuzz run keepalived`; `tests/keepalived/hostile.rs` does the same with words of the
//! language, and plain `cargo test` runs it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use locum::config::keepalived::{Options, document};
use std::path::Path;

fuzz_target!(|input: (&str, bool)| {
    let (text, lenient) = input;
    // What other files hold is another matter.
    if text.contains("include") || text.contains("file:") {
        return;
    }
    let options = Options { lenient, vrrp_only: true, config_id: Some("low".to_owned()), instance: None };
    let (_, problems, skipped) = document(text, Path::new("k.conf"), &options);
    for problem in problems.iter().chain(skipped.iter().map(|skipped| &skipped.problem)).take(3) {
        assert!(!problem.render(false).is_empty());
    }
});
