//! A real Prometheus on a host: scrapes others, and is asked by its API.

use crate::lab::{Host, SOON, need, wait_until};
use crate::process::Process;
use serde_json::Value;
use std::fs;
use tempfile::TempDir;

/// It ends when this is dropped.
pub struct Prometheus<'a> {
    host: &'a Host,
    _process: Process,
    _dir: TempDir,
}

impl<'a> Prometheus<'a> {
    /// Scrapes these targets five times a second; `more`: lines for its configuration.
    pub fn start(host: &'a Host, targets: &[String], more: &str) -> Prometheus<'a> {
        need("prometheus", "prometheus");
        need("curl", "curl");
        let dir = TempDir::new().unwrap();
        let targets = serde_json::to_string(targets).unwrap();
        let config = format!(
            "global: {{ scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms }}\n\
             scrape_configs:\n  - job_name: locum\n    static_configs:\n      - targets: {targets}\n        labels: {{ cluster: lab }}\n{more}"
        );
        let file = dir.path().join("prometheus.yml");
        fs::write(&file, config).unwrap();
        let line = format!(
            "prometheus --config.file={} --storage.tsdb.path={} --web.listen-address=127.0.0.1:9090",
            file.display(),
            dir.path().join("data").display()
        );
        let process = host.spawn(&line);
        wait_until("Prometheus is ready", SOON * 3, || {
            host.attempt("curl -sSf http://127.0.0.1:9090/-/ready").0
        });
        Prometheus { host, _process: process, _dir: dir }
    }

    /// What an expression comes to at this moment: a list of samples with labels and value.
    pub fn query(&self, expression: &str) -> Vec<Value> {
        let url = "http://127.0.0.1:9090/api/v1/query";
        let mut command = self.host.command("curl");
        command.args(["-sS", url, "--data-urlencode"]).arg(format!("query={expression}"));
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let answer: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        answer["data"]["result"].as_array().unwrap_or_else(|| panic!("{answer}")).clone()
    }

    /// The instances of the samples of an expression, in order.
    pub fn instances(&self, expression: &str) -> Vec<String> {
        let samples = self.query(expression);
        let name = |sample: &Value| sample["metric"]["instance"].as_str().map(str::to_owned);
        let mut names: Vec<_> = samples.iter().filter_map(name).collect();
        names.sort();
        names
    }
}
