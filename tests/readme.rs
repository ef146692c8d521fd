//! README.md does what it says: every `sh` block runs, every `toml` block is a good configuration.
//!
//! A plain `sh` block runs in the repository. One marked `a`, `b` or `both` runs as root on servers of
//! that name: a network namespace each, joined by a cable, with all of this system's files under an
//! overlay, so that packages are really installed and files really written, into memory. Only two
//! things are not what a reader has: the package and the demo are made of debug builds, and there is
//! no systemd, so a stand-in for `systemctl` does with the unit's lines what README asks of it.

use locum::config::{Secrets, parse};
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

const README: &str = "README.md";
const PROBE: &str = "target/debug/examples/probe";
/// The demo takes half a minute, the package a build.
const WITHIN: Duration = Duration::from_mins(5);
/// What is run for a line of README.
const INSTEAD: [(&str, &str); 2] =
    [("scripts/demo", "LOCUM_BUILD=debug scripts/demo"), ("scripts/package", "scripts/package --debug")];
/// This test is part of it. Here only that it can start.
const ALL_TESTS: &str = "scripts/test";

struct Block {
    language: String,
    on: Vec<String>,
    text: String,
    line: usize,
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for (number, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), open) {
            (Some(info), false) => {
                let mut words = info.split_whitespace().map(str::to_owned);
                let language = words.next().unwrap_or_default();
                let block = Block { language, on: words.collect(), text: String::new(), line: number + 1 };
                blocks.push(block);
                open = true;
            }
            (Some(_), true) => open = false,
            (None, true) => {
                let block = blocks.last_mut().expect("an open block");
                block.text += line;
                block.text += "\n";
            }
            (None, false) => {}
        }
    }
    assert!(!open, "a block without an end");
    blocks
}

#[test]
fn every_block_is_of_a_kind_that_is_tested() {
    for block in blocks(&fs::read_to_string(README).expect(README)) {
        let on: Vec<_> = block.on.iter().map(String::as_str).collect();
        let known = matches!(
            (block.language.as_str(), on.as_slice()),
            // Those in Python are run by tests/messages/web.rs.
            ("text" | "toml" | "sh" | "python", []) | ("sh", ["a" | "b" | "both"])
        );
        assert!(known, "README.md:{}: nothing runs a block ```{} {on:?}", block.line, block.language);
    }
}

#[test]
fn every_configuration_is_good() {
    let place = tempfile::tempdir().expect("a folder");
    for entry in fs::read_dir("examples").expect("examples") {
        // Configurations refer to the secrets beside them.
        let from = entry.expect("an example").path();
        if from.is_dir() {
            continue;
        }
        let to = place.path().join(from.file_name().expect("a name"));
        fs::copy(&from, &to).expect("copied");
        fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).expect("our own");
    }
    let mut seen = 0;
    for block in blocks(&fs::read_to_string(README).expect(README)) {
        if block.language == "toml" {
            let origin = place.path().join("locum.toml");
            let loaded = parse(&block.text, &origin, Secrets::MustRead);
            let problems = loaded.err().map(|problems| problems.render(false));
            assert_eq!(problems, None, "README.md:{}", block.line);
            seen += 1;
        }
    }
    assert!(seen >= 2);
}

/// What the blocks that are taken from examples have to say.
fn taken(from: &str) -> String {
    if !from.contains('*') {
        return fs::read_to_string(from).expect(from);
    }
    let mut paths: Vec<_> =
        fs::read_dir("examples").expect("examples").map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut text = String::new();
    for path in paths {
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
        let Some(kind) =
            name.strip_prefix("check-").filter(|_| path.extension().is_some_and(|it| it == "toml"))
        else {
            continue;
        };
        let example = fs::read_to_string(&path).expect("an example");
        let (_, check) = example.split_once("\n[check.").expect("a check");
        let (_, keys) = check.split_once('\n').expect("its keys");
        let gap = if text.is_empty() { "" } else { "\n" };
        write!(text, "{gap}[check.a-{kind}]\n{keys}").expect("a string");
    }
    text
}

#[test]
fn what_is_taken_from_the_examples_is_as_they_are() {
    let text = fs::read_to_string(README).expect(README);
    let mut fresh = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("<!-- examples/") {
        let (name, after) = after.split_once(" -->\n```toml\n").expect("a block of toml");
        let (_, after) = after.split_once("```\n").expect("its end");
        let taken = taken(&format!("examples/{name}"));
        write!(fresh, "{before}<!-- examples/{name} -->\n```toml\n{taken}```\n").expect("a string");
        rest = after;
    }
    fresh += rest;
    if std::env::var_os("UPDATE_README").is_some() {
        fs::write(README, &fresh).expect(README);
    } else {
        assert!(fresh == text, "README.md lags behind examples/: UPDATE_README=1 cargo test --test readme");
    }
}

/// A shell that takes one block after the other.
struct Shell {
    name: String,
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

const END: &str = "--- end of block:";

impl Shell {
    fn start(name: &str, program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect(program);
        let (input, output) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        let (sender, lines) = channel();
        thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Shell { name: name.to_owned(), child, input, lines }
    }

    /// Runs a block that has to succeed; returns what it wrote.
    fn run(&mut self, text: &str) -> String {
        let block = format!("( set -euo pipefail\n{text}\n) </dev/null 2>&1\necho \"{END} $?\"\n");
        self.input.write_all(block.as_bytes()).expect("a shell that listens");
        let mut said = String::new();
        loop {
            let line = self.lines.recv_timeout(WITHIN);
            let line = line.unwrap_or_else(|error| panic!("on {}: {error}:\n{text}{said}", self.name));
            if let Some(code) = line.strip_prefix(END) {
                assert_eq!(code.trim(), "0", "on {}:\n{text}\n{said}", self.name);
                return said;
            }
            said += &line;
            said += "\n";
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two servers joined by a cable; gone with this.
struct Servers {
    shells: Vec<Shell>,
    namespaces: Vec<String>,
    place: TempDir,
}

/// As `systemctl` does it, of what README asks: the words of the unit decide, who runs it with which
/// capabilities among them.
const SYSTEMCTL: &str = r#"#!/bin/sh -e
unit=/usr/lib/systemd/system/locum.service
line() { sed -n "s/^$1=//p" "$unit"; }
case "$*" in
"enable --now locum")
    user=$(line User)
    capabilities=$(line AmbientCapabilities | sed 's/CAP_/+/g; s/ /,/g' | tr A-Z a-z)
    install --directory --owner "$user" --group "$user" "/run/$(line RuntimeDirectory)"
    install --directory --owner "$user" --group "$user" "/var/lib/$(line StateDirectory)"
    setsid setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs \
        --inh-caps "-all,$capabilities" --ambient-caps "-all,$capabilities" --bounding-set "-all,$capabilities" \
        $(line ExecStart) >/var/log/locum.log 2>&1 &
    for _ in $(seq 100); do [ -S /run/locum/locum.sock ] && exit; sleep 0.1; done
    cat /var/log/locum.log; exit 1 ;;
"reload locum") $(line ExecReload) ;;
*) echo "no stand-in for: systemctl $*" >&2; exit 1 ;;
esac
"#;

/// All files of this system, with memory above; the repository's as they are.
const SERVER: &str = r#"
mkdir -p "$1" && mount -t tmpfs tmpfs "$1" && cd "$1" && mkdir up work root
mount -t overlay overlay -o lowerdir=/,upperdir=up,workdir=work root
mkdir -p "root$2" && mount --bind "$2" "root$2" && cp "$3" root/usr/local/bin/systemctl
mount -t proc proc root/proc && mount --rbind /dev root/dev && mount --rbind /sys root/sys
mount -t tmpfs tmpfs root/run
# A host that runs Locum has files of its own; here they are as if they had never been.
rm -rf root/etc/locum root/var/lib/locum && mkdir -p root/root
exec chroot root /bin/bash -c 'cd /root && PATH="/usr/local/bin:$PATH" exec bash'
"#;

impl Servers {
    fn new() -> Self {
        let place = tempfile::tempdir().expect("a folder");
        let systemctl = place.path().join("systemctl");
        fs::write(&systemctl, SYSTEMCTL).expect("a file");
        fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).expect("a mode");
        let namespaces: Vec<_> =
            ["a", "b"].iter().map(|name| format!("locum-readme-{}-{name}", std::process::id())).collect();
        let mut servers = Servers { shells: Vec::new(), namespaces, place };
        for namespace in &servers.namespaces {
            ip(&format!("netns add {namespace}"));
        }
        let [a, b] = servers.namespaces.as_slice() else { panic!("two") };
        ip(&format!("-n {a} link add eth0 type veth peer name eth0 netns {b}"));
        for (namespace, address) in [(a, "10.0.0.1/24"), (b, "10.0.0.2/24")] {
            ip(&format!("-n {namespace} link set dev lo up"));
            ip(&format!("-n {namespace} link set dev eth0 up"));
            ip(&format!("-n {namespace} address add {address} dev eth0"));
        }
        let repository = std::env::current_dir().expect("a folder").display().to_string();
        for (name, namespace) in ["a", "b"].iter().zip(servers.namespaces.clone()) {
            let root = servers.place.path().join(name).display().to_string();
            let stand_in = systemctl.display().to_string();
            let into = ["netns", "exec", &namespace, "unshare", "--mount", "--pid", "--fork", "--kill-child"];
            let setup = ["sh", "-ec", SERVER, "sh", &root, &repository, &stand_in];
            servers.shells.push(Shell::start(name, "ip", &[&into[..], &setup].concat()));
        }
        // Both are in now, and keep their namespaces without names: whoever ends this test leaves none behind.
        servers.run("both", "true");
        servers.forget_names();
        servers
    }

    fn forget_names(&mut self) {
        for namespace in self.namespaces.drain(..) {
            let _ = Command::new("ip").args(["netns", "del", &namespace]).status();
        }
    }

    fn run(&mut self, on: &str, text: &str) {
        let shells = self.shells.iter_mut().filter(|shell| on == "both" || on == shell.name);
        assert!(shells.map(|shell| shell.run(text)).count() > 0, "no server {on}");
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.shells.clear();
        self.forget_names();
    }
}

fn ip(command: &str) {
    let done = Command::new("ip").args(command.split(' ')).output().expect("ip");
    assert!(done.status.success(), "ip {command}: {}", String::from_utf8_lossy(&done.stderr));
}

fn package() -> PathBuf {
    let found =
        fs::read_dir("target/debian").expect("scripts/package was run").map(|entry| entry.unwrap().path());
    let packages: Vec<_> = found.filter(|path| path.extension().is_some_and(|it| it == "deb")).collect();
    let [package] = packages.as_slice() else { panic!("one package: {packages:?}") };
    fs::canonicalize(package).expect("the package")
}

#[test]
fn every_command_does_what_the_text_says() {
    let text = fs::read_to_string(README).expect(README);
    let mut here = Shell::start("this host", "bash", &[]);
    let mut servers = Servers::new();
    let service = fs::canonicalize(PROBE).expect("cargo builds examples before tests");
    let service = format!("setsid {} service $(hostname) --port 80 >/dev/null 2>&1 &", service.display());
    servers.run("both", &service);
    for Block { language, on, text, .. } in blocks(&text) {
        match (language.as_str(), on.first()) {
            ("sh", None) if text.trim() == ALL_TESTS => {
                here.run(&format!("bash -n {ALL_TESTS} && test -x {ALL_TESTS}"));
            }
            ("sh", None) => {
                let text = INSTEAD.iter().fold(text, |text, (line, other)| text.replace(line, other));
                here.run(&text);
            }
            ("sh", Some(on)) => {
                if text.contains("./locum_*.deb") {
                    servers.run(on, &format!("cp {} .", package().display()));
                }
                servers.run(on, &text);
            }
            _ => {}
        }
    }
    // The files as README leaves them, and what has become of the two.
    let status = |shell: &mut Shell| shell.run("locum status --json || true");
    let [a, b] = servers.shells.as_mut_slice() else { panic!("two") };
    assert!(status(b).contains("\"interval_ms\": 1000"), "the interval of adverts is still the default");
    assert_eq!(a.run("ps -o user= -p \"$(pgrep -o -x locum)\"").trim(), "locum", "not root");
    let config = parse(&a.run("cat /etc/locum/locum.toml"), Path::new("locum.toml"), Secrets::MustRead);
    let config = config.unwrap_or_else(|problems| panic!("{}", problems.render(false)));
    assert_eq!(format!("{:?}", config.config.agent.routers[0].priority), "Priority(150)");
}
