//! Files that nobody has written: keywords at random with values at random, read by both programs. What
//! keepalived takes without a word, a strict reader takes too, and a test says so.

use crate::lab::Lab;
use crate::locum::BINARY;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// How many files, unless `LOCUM_GENERATED` says so.
const FILES: u64 = 400;

/// What may stand behind any keyword.
const WORDS: [&str; 46] = [
    "/bin/true -x",
    "/bin/true nobody",
    "",
    "0",
    "1",
    "2",
    "5",
    "10",
    "100",
    "254",
    "255",
    "256",
    "1000",
    "-1",
    "-254",
    "0.1",
    "0.5",
    "1.5",
    "1s",
    "eth0",
    "lo",
    "10.77.0.1",
    "10.77.0.2",
    "fe80::1",
    "2001:db8::2",
    "224.0.0.18",
    "ff02::12",
    "on",
    "off",
    "yes",
    "no",
    "MASTER",
    "BACKUP",
    "root",
    "nobody",
    "/bin/true",
    "\"/bin/true a b\"",
    "weight 5",
    "reverse",
    "web",
    "all",
    "10 reverse",
    "5 5",
    "0x3",
    "\"a b\"",
    "a@b.example",
];

/// What stands between the braces of those that have some, a line each.
const BLOCKS: &[(&str, &[&str])] = &[
    (
        "virtual_ipaddress",
        &[
            "10.77.0.100",
            "10.77.0.100/24 dev eth0",
            "10.77.0.101/24 brd 10.77.0.255 dev eth0 scope global label eth0:1",
            "10.77.0.102/24 brd +",
            "10.77.0.103 no_track",
            "10.77.0.104 dev lo scope host",
            "10.77.0.105 preferred_lft 0",
            "10.77.0.106 home",
        ],
    ),
    ("virtual_ipaddress_excluded", &["10.77.1.100", "2001:db8::100/64 dev eth0", "fe80::100 dev eth0 nodad"]),
    (
        "virtual_routes",
        &[
            "10.9.0.0/24 via 10.77.0.1 dev eth0",
            "src 10.77.0.100 to 10.8.0.0/24 via 10.77.0.1 dev eth0",
            "default via 10.77.0.1 dev eth0 table 100",
            "blackhole 10.9.1.0/24",
            "10.9.6.0/24 nexthop via 10.77.0.1 dev eth0 weight 2 nexthop via 10.77.0.2 dev eth0",
            "10.9.7.0/24 via 10.77.0.1 dev eth0 mtu lock 1400 quickack 1 fastopen_no_cookie 1",
            "2001:db8:9::/64 via fe80::1 dev eth0 pref high",
            "10.9.10.0/24 dev eth0 protocol boot",
        ],
    ),
    (
        "virtual_rules",
        &[
            "from 10.77.0.0/24 table 100 preference 500",
            "to 10.9.0.0/24 lookup 100 priority 501",
            "fwmark 5/0xf table 7 preference 7",
            "oif eth0 goto 900 preference 8",
            "uidrange 5-10 table 9 preference 12",
            "from all table 9 preference 20",
        ],
    ),
    ("track_interface", &["lo", "lo weight -5", "lo weight 5 reverse"]),
    ("track_script", &["c", "c weight -5 reverse"]),
    ("track_process", &["p", "p weight 5"]),
    ("track_file", &["f", "f weight 2"]),
    ("track_bfd", &["b", "b weight 5"]),
    ("unicast_peer", &["10.77.0.2", "10.77.0.3 min_ttl 3 max_ttl 9", "fe80::2"]),
    ("authentication", &["auth_type PASS\nauth_pass 1234", "auth_type AH\nauth_pass 1234", "auth_pass x"]),
    ("notification_email", &["a@b.example", "root"]),
    ("static_ipaddress", &["10.8.0.1/24 dev eth0", "2001:db8:8::1/64 dev eth0"]),
    ("static_routes", &["10.8.1.0/24 dev eth0", "blackhole 10.8.2.0/24"]),
    ("static_rules", &["from 10.8.0.0/24 table 5 preference 40"]),
    ("group", &["web"]),
    ("garp_group", &["interface eth0\ngarp_interval 0.1", "interfaces {\n eth0 lo\n}\ngna_interval 1"]),
    ("interface_up_down_delays", &["eth0 3 3", "lo 1"]),
];

/// What is needed, and replaced where the same keyword comes by chance; by block of the table of keywords.
const NEEDED: &[(&str, &str, &[&str])] = &[
    ("Global", "global_defs", &["enable_script_security", "script_user root"]),
    ("Script", "vrrp_script c", &["script /bin/false"]),
    ("Process", "vrrp_track_process p", &["process nginx"]),
    ("File", "track_file f", &["file /dev/null"]),
    ("Bfd", "bfd_instance b", &["neighbor_ip 10.77.0.3"]),
    ("Top", "", &[]),
    (
        "Instance",
        "vrrp_instance web",
        &["interface eth0", "virtual_router_id 51", "priority 100", "virtual_ipaddress {\n10.77.0.99\n}"],
    ),
    ("Group", "vrrp_sync_group g", &["group {\nweb\ndb\n}"]),
];

/// With these the two differ, and each is told of where it is met: keys of a later keepalived, a network
/// namespace that the reader would have to enter, and what stands in `NEEDED` anyway.
const APART: [&str; 5] = ["auth_hmac", "net_namespace", "global_defs", "use_ipvlan", "vrrp_instance"];

/// The blocks and names of all keywords that are not the load balancer's.
fn keywords() -> Vec<(String, String)> {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/keepalived/keywords.rs");
    let table = fs::read_to_string(table).unwrap();
    let row = |line: &str| {
        let (block, rest) = line.trim().strip_prefix("row(")?.split_once(", \"")?;
        let (name, rest) = rest.split_once('"')?;
        let block_of_its_own = NEEDED.iter().any(|(_, title, _)| title.split(' ').next() == Some(name));
        let apart = APART.contains(&name) || rest.contains("Lvs") || block == "Top" && block_of_its_own;
        (!apart && NEEDED.iter().any(|(known, ..)| *known == block)).then(|| (block.into(), name.into()))
    };
    table.lines().filter_map(row).collect()
}

/// Numbers that look like chance, always the same ones for a seed (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }

    fn one<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

fn line(chance: &mut Chance, name: &str) -> String {
    match BLOCKS.iter().find(|(known, _)| *known == name) {
        Some((_, lines)) => format!("{name} {{\n{}\n}}", chance.one(lines)),
        None => format!("{name} {}", chance.one(&WORDS)),
    }
}

/// One to three keywords, and what they need around them.
fn file(chance: &mut Chance, keywords: &[(String, String)]) -> String {
    let mut blocks: Vec<_> = NEEDED
        .iter()
        .map(|(block, title, lines)| {
            (*block, *title, lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>())
        })
        .collect();
    let mut used = BTreeSet::from(["Global", "Instance"]);
    for _ in 0..=chance.below(3) {
        let (at, name) = chance.one(keywords).clone();
        let text = line(chance, &name);
        let (block, _, lines) = blocks.iter_mut().find(|(block, ..)| *block == at).unwrap();
        used.insert(block);
        lines.retain(|line| line.split(' ').next() != Some(&name));
        lines.push(text);
    }
    for (block, tracks) in [("Script", "c"), ("Process", "p"), ("File", "f"), ("Bfd", "b")] {
        let keyword = format!("track_{}", block.to_lowercase());
        let all = blocks.iter().flat_map(|(.., lines)| lines);
        if all.clone().any(|line| line.starts_with(&keyword)) {
            used.insert(block);
        } else if used.contains(block) {
            let (.., lines) = blocks.iter_mut().find(|(block, ..)| *block == "Instance").unwrap();
            lines.push(format!("{keyword} {{\n{tracks}\n}}"));
        }
    }
    let other =
        "vrrp_instance db {\ninterface eth0\nvirtual_router_id 52\nvirtual_ipaddress {\n10.77.0.98\n}\n}\n";
    let mut text = String::new();
    for (block, title, lines) in blocks.iter().filter(|(block, ..)| used.contains(block)) {
        let body = lines.join("\n");
        match *block {
            "Top" => text.extend([&body, "\n"]),
            _ => text.extend([title, " {\n", &body, "\n}\n"]),
        }
    }
    if used.contains("Group") { text + other } else { text }
}

#[test]
fn what_keepalived_takes_without_a_word_is_taken_and_tested_well() {
    let files = std::env::var("LOCUM_GENERATED").map_or(FILES, |number| number.parse().unwrap());
    let lab = Lab::new(&["first"]);
    let dir = TempDir::new().unwrap();
    let keywords = keywords();
    assert!(keywords.len() > 150, "{}", keywords.len());
    let (mut taken, mut wrong) = (0, Vec::new());
    for seed in 0..files {
        let text = file(&mut Chance(seed), &keywords);
        if text.contains("r_ip fe80::") {
            // A neighbour of whom nobody knows on which link he is: no session comes about with either.
            continue;
        }
        fs::write(dir.path().join("keepalived.conf"), &text).unwrap();
        let run = |program: &str, arguments: &[&str]| {
            let mut command = lab["first"].command(program);
            command.args(arguments).arg("keepalived.conf").current_dir(dir.path()).env("LANG", "C.UTF-8");
            command.output().unwrap()
        };
        let theirs = run("keepalived", &["-P", "-t", "-b", "bfd", "-f"]);
        if theirs.status.code() != Some(0) || !theirs.stderr.is_empty() {
            continue;
        }
        taken += 1;
        let instead = run(BINARY, &["keepalived", "-P", "-t", "-f"]);
        let strict = run(BINARY, &["check", "--vrrp-only"]);
        for (ours, how) in [(instead, "in its place"), (strict, "strictly")] {
            if !ours.status.success() {
                let said = String::from_utf8_lossy(&ours.stderr).into_owned();
                wrong.push(format!("seed {seed}, {how}: {:?}\n{text}\n{said}", ours.status.code()));
            }
        }
    }
    println!("{files} files, {taken} of them taken by keepalived without a word");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(taken > files / 10, "{taken}");
}
