//! What is said of a text, for all tests.

use locum::config::keepalived::document::Document;
use locum::config::keepalived::{self, Options};
use locum::config::{Config, Loaded};
use std::path::Path;

/// Strict, with the load balancer's part left out, on the host `low`.
pub fn options() -> Options {
    Options { lenient: false, vrrp_only: true, config_id: Some("low".to_owned()), all_files: false }
}

/// The document and all that is said of it, a line each.
pub fn document(text: &str) -> (Document, Vec<String>) {
    let (document, problems, _) = keepalived::document(text, Path::new("k.conf"), &options());
    (document, problems.iter().map(ToString::to_string).collect())
}

/// The document of a text that nothing is wrong with, though not all of it may be done.
#[track_caller]
pub fn clean(text: &str) -> Document {
    let (document, mut said) = document(text);
    said.retain(|line| !line.contains("known to keepalived, not done by Locum"));
    assert_eq!(said, [""; 0], "{text}");
    document
}

/// Everything said of a text on the way to what the agent runs by.
pub fn said(text: &str) -> Vec<String> {
    match keepalived::parse(text, Path::new("k.conf"), &options()) {
        Ok(Loaded { warnings, .. }) => warnings.iter().map(ToString::to_string).collect(),
        Err(problems) => problems.0.iter().map(ToString::to_string).collect(),
    }
}

/// What the agent runs by.
#[track_caller]
pub fn config(text: &str) -> Config {
    match keepalived::parse(text, Path::new("k.conf"), &options()) {
        Ok(loaded) => loaded.config,
        Err(problems) => panic!("{problems}\n{text}"),
    }
}

/// An instance with these lines in it.
pub fn instance(lines: &str) -> String {
    format!(
        "global_defs {{\n script_user root\n}}\nvrrp_instance web {{\n interface eth0\n virtual_router_id 51\n \
         virtual_ipaddress {{ 10.0.0.100 }}\n{lines}\n}}\n"
    )
}
