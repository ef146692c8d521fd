//! A headless Chromium on a host of the lab, driven by `WebDriver` (W3C), which curl speaks there.

use crate::lab::{Host, LONG, reached, wait_until};
use crate::process::Process;
use serde_json::{Value, json};
use std::fs;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Where its driver listens, on the host alone.
const PORT: u16 = 9515;

/// One window. It is closed when this is dropped.
pub struct Browser<'a> {
    host: &'a Host,
    session: String,
    _driver: Process,
    _home: TempDir,
}

impl Browser<'_> {
    pub fn start(host: &Host) -> Browser<'_> {
        let home = TempDir::new().unwrap();
        let mut command = host.command("chromedriver");
        command.arg(format!("--port={PORT}")).env("HOME", home.path()).env("TMPDIR", home.path());
        let driver = Process::start(&format!("{host}/chromedriver"), command);
        let base = format!("http://127.0.0.1:{PORT}");
        wait_until("the driver of Chromium answers", LONG, || {
            host.attempt(&format!("curl -sf {base}/status")).0
        });
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "binary": "/usr/bin/chromium", "args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--lang=en-GB",
                "--disable-background-networking", "--disable-component-update", "--no-first-run"
            ] }
        } } });
        let made = ask(host, "POST", &format!("{base}/session"), &wanted);
        let session = format!("{base}/session/{}", made["sessionId"].as_str().unwrap());
        Browser { host, session, _driver: driver, _home: home }
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        ask(self.host, "POST", &format!("{}/{path}", self.session), body)
    }

    pub fn open(&self, url: &str) {
        self.post("url", &json!({ "url": url }));
    }

    /// What a script returns.
    pub fn run(&self, script: &str) -> Value {
        self.post("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// The text that is shown.
    pub fn text(&self) -> String {
        self.run("return document.body.innerText").as_str().unwrap().to_owned()
    }

    pub fn wait_text(&self, text: &str) {
        assert!(reached(LONG, || self.text().contains(text)), "{text:?} is not shown: {}", self.text());
    }

    /// Types into what has the focus.
    pub fn types(&self, text: &str) {
        let focused = ask(self.host, "GET", &format!("{}/element/active", self.session), &Value::Null);
        let id = focused.as_object().unwrap().values().next().unwrap().as_str().unwrap();
        self.post(&format!("element/{id}/value"), &json!({ "text": text }));
    }

    /// A window of this width and height in pixels.
    pub fn size(&self, width: u32, height: u32) {
        let params = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &params);
    }

    /// As a user who likes it dark, or light.
    pub fn scheme(&self, scheme: &str) {
        let params = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", &params);
    }

    fn devtools(&self, command: &str, params: &Value) {
        self.post("goog/cdp/execute", &json!({ "cmd": command, "params": params }));
    }

    /// What the console says since this was last asked, a line each.
    pub fn console(&self) -> Vec<String> {
        let lines = self.post("se/log", &json!({ "type": "browser" }));
        lines.as_array().unwrap().iter().map(|line| line["message"].to_string()).collect()
    }

    /// A picture of the window, as PNG.
    pub fn picture(&self) -> Vec<u8> {
        let shot = ask(self.host, "GET", &format!("{}/screenshot", self.session), &Value::Null);
        data_encoding::BASE64.decode(shot.as_str().unwrap().as_bytes()).unwrap()
    }
}

impl Drop for Browser<'_> {
    fn drop(&mut self) {
        // The browser is not the driver's child for long: this ends it.
        let _ = self.host.attempt(&format!("curl -s -m 20 -X DELETE {}", self.session));
    }
}

/// The `value` of an answer.
fn ask(host: &Host, method: &str, url: &str, body: &Value) -> Value {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), body.to_string()).unwrap();
    let mut command: Command = host.command("curl");
    command.args(["-sS", "-m", "120", "-X", method, url]).stdin(Stdio::null());
    if method == "POST" {
        command.arg("-H").arg("Content-Type: application/json");
        command.arg("--data-binary").arg(format!("@{}", file.path().display()));
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let answer: Value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{url}: {error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    let value = &answer["value"];
    assert!(value["error"].is_null(), "{url}: {}: {}", value["error"], value["message"]);
    value.clone()
}
