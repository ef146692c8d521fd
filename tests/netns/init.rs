//! `locum init` on two hosts by one command: what it writes runs, and with the firewall rules that it shows the pair
//! finds each other behind a firewall that drops everything else.

use crate::lab::{Host, LONG, Lab, VIP, need, wait_until};
use crate::locum::{BINARY, settle};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;

/// Nothing but what a host says to itself; what comes behind the last rule is not looked at.
const CLOSED: &str = "table inet filter {\n chain input {\n  type filter hook input priority 0; policy accept\n  \
                      iifname lo accept\n  drop\n }\n chain output {\n  type filter hook output priority 0; policy accept\n  \
                      oifname lo accept\n  drop\n }\n}\n";

/// Exit code, what was said, and the file, on one host.
struct Made {
    code: Option<i32>,
    out: String,
    err: String,
    config: PathBuf,
}

fn init(host: &Host, folder: &Path, more: &[&str]) -> Made {
    let config = folder.join(&host.name).join("locum.toml");
    let mut command = host.command(BINARY);
    command.arg("init").args(more).arg("-c").arg(&config).stdin(Stdio::null());
    let output = command.output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    Made { code: output.status.code(), out, err, config }
}

/// The one command for hosts a and b.
fn pair(host: &Host, folder: &Path, more: &[&str]) -> Made {
    let vip = format!("{VIP}/24");
    let command = ["--vip", &vip, "--hosts", "10.77.0.1,10.77.0.2", "--check", "http://:8080"];
    init(host, folder, &[&command, more].concat())
}

fn nft(host: &Host, rules: &str) {
    need("nft", "nftables");
    let mut child = host.command("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(rules.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "nft: {rules}");
}

#[test]
fn one_command_on_both_hosts_makes_a_pair_that_finds_each_other_through_the_firewall() {
    need("python3", "python3");
    let lab = Lab::new(&["a", "b"]);
    let folder = TempDir::new().unwrap();
    let hosts = ["a", "b"].map(|name| &lab[name]);
    let made = hosts.map(|host| pair(host, folder.path(), &["--sign"]));
    assert_eq!((made[0].code, made[0].err.as_str()), (Some(0), ""), "{}", made[0].out);
    // The key of the first has to be on the second.
    assert_eq!(made[1].code, Some(1), "{}", made[1].out);
    assert!(made[1].err.contains("run this on 10.77.0.1 first, and copy the file"), "{}", made[1].err);
    let key = |made: &Made| made.config.with_file_name("locum.key");
    fs::create_dir_all(made[1].config.parent().unwrap()).unwrap();
    fs::copy(key(&made[0]), key(&made[1])).unwrap();
    let second = pair(hosts[1], folder.path(), &["--sign"]);
    assert_eq!((second.code, second.err.as_str()), (Some(0), ""), "{}", second.out);
    let made = [&made[0], &second];

    let command =
        "locum init --vip 10.77.0.100/24 --hosts 10.77.0.1,10.77.0.2 --check 'http://127.0.0.1:8080/' --sign";
    assert!(second.out.contains(&format!("and on 10.77.0.1: {command}\n")), "{}", second.out);
    for (host, made) in hosts.iter().zip(made) {
        let (good, said) = host.attempt(&format!("{BINARY} check {}", made.config.display()));
        assert!(good, "{said}");
        nft(host, CLOSED);
    }
    let _servers = hosts.map(|host| {
        let server = host.spawn("python3 -m http.server 8080 --bind 127.0.0.1 --directory /run/lock");
        wait_until("the web server listens", LONG, || !host.run("ss -Hltn sport = :8080").is_empty());
        server
    });
    let [a, b] = [0, 1]
        .map(|n| hosts[n].locum_toml(&in_place(&fs::read_to_string(&made[n].config).unwrap(), made[0])));
    // Neither hears the other.
    lab.wait_owner(VIP, &["a", "b"]);
    for (host, made) in hosts.iter().zip(made) {
        let rules: Vec<_> = made.out.lines().map(str::trim).filter(|line| line.starts_with("nft ")).collect();
        assert!(!rules.is_empty(), "{}", made.out);
        let pasted = host.command("sh").args(["-ec", &rules.join("\n")]).status().unwrap();
        assert!(pasted.success(), "{rules:?}");
    }
    lab.wait_owner(VIP, &["a"]);
    b.wait_state("BACKUP");
    settle(20);
    assert_eq!((a.state(), b.state()), ("MASTER".to_owned(), "BACKUP".to_owned()));
    assert_eq!(lab.owners(VIP), ["a"]);
}

/// The daemons of these tests have their files elsewhere.
fn in_place(toml: &str, first: &Made) -> String {
    let key = first.config.with_file_name("locum.key");
    toml.replace("file:locum.key", &format!("file:{}", key.display()))
}

#[test]
fn what_is_missing_or_there_already_is_one_line() {
    let lab = Lab::new(&["a"]);
    let folder = TempDir::new().unwrap();
    let missing = init(&lab["a"], folder.path(), &["--vip", VIP]);
    assert_eq!((missing.code, missing.err.lines().count()), (Some(2), 1), "{}", missing.err);
    assert!(missing.err.contains("needs --hosts, --check, as in"), "{}", missing.err);
    assert!(!missing.config.exists());

    let stranger = ["--vip", VIP, "--hosts", "10.77.0.8,10.77.0.9", "--check", "none"];
    let stranger = init(&lab["a"], folder.path(), &stranger);
    assert_eq!((stranger.code, stranger.err.lines().count()), (Some(1), 1), "{}", stranger.err);
    assert!(stranger.err.contains("this host has none of the addresses"), "{}", stranger.err);

    let first = pair(&lab["a"], folder.path(), &[]);
    assert_eq!(first.code, Some(0), "{}", first.err);
    let before = fs::read_to_string(&first.config).unwrap();
    let again = pair(&lab["a"], folder.path(), &["--vrid", "7"]);
    assert_eq!((again.code, again.err.lines().count()), (Some(1), 1), "{}", again.err);
    assert!(again.err.contains("--force"), "{}", again.err);
    assert_eq!(fs::read_to_string(&first.config).unwrap(), before);
    let forced = pair(&lab["a"], folder.path(), &["--vrid", "7", "--force"]);
    assert_eq!(forced.code, Some(0), "{}", forced.err);
    assert!(fs::read_to_string(&first.config).unwrap().contains("vrid = 7\n"));
}

#[test]
fn an_address_that_this_host_cannot_have_is_one_line_and_no_file() {
    let lab = Lab::new(&["a"]);
    let folder = TempDir::new().unwrap();
    lab["a"].run("ip address add 10.77.0.200/24 dev eth0");
    let hosts = ["--hosts", "10.77.0.1, 10.77.0.2", "--check", "none"];
    for (vip, more, why) in [
        ("10.78.0.100/24", &[][..], "10.78.0.100 is in no network of eth0, which has 10.77.0.1/24"),
        ("10.77.0.100/16", &[], "write 10.77.0.100/24"),
        ("10.77.0.200/24", &[], "10.77.0.200 is on eth0 of this host already"),
        ("224.0.0.18", &["--interface", "eth0"], "224.0.0.18"),
        ("10.77.0.100/24", &["--interface", "lo"], "no other host is heard on lo"),
        ("10.77.0.100/24", &["--interface", "eth7"], "there is no interface eth7"),
    ] {
        let made = init(&lab["a"], folder.path(), &[&["--vip", vip][..], &hosts, more].concat());
        assert_eq!((made.code, made.err.lines().count()), (Some(1), 1), "{}", made.err);
        assert!(made.err.contains(why) && !made.config.exists(), "{}", made.err);
    }
    let named = ["--vip", "10.77.0.100/24", "--interface", "eth0"];
    let made = init(&lab["a"], folder.path(), &[&named[..], &hosts].concat());
    assert!(made.out.contains("--check none --interface eth0\n"), "{}{}", made.out, made.err);
}

#[test]
fn on_a_terminal_it_asks_until_the_answers_are_good() {
    need("script", "bsdutils");
    let lab = Lab::new(&["a", "b"]);
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("locum.toml");
    let mut command = lab["b"].command("script");
    command.args(["-qec", &format!("{BINARY} init -c {}", config.display()), "/dev/null"]);
    let mut asking = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let answers = "10.77.0.100/24\nnobody\n10.77.0.1, 10.77.0.2\nftp://:21\ntcp://:5432\neth9\n\n";
    asking.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
    let output = asking.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    for why in ["these are no addresses", "nothing here checks that", "there is no interface eth9"] {
        assert!(said.contains(why), "{why}: {said}");
    }
    let written = fs::read_to_string(&config).unwrap();
    for line in
        ["interface = \"eth0\"", "priority = 125", "source = [\"10.77.0.2\"]", "target = \"127.0.0.1:5432\""]
    {
        assert!(written.contains(line), "{line}: {written}");
    }
}
