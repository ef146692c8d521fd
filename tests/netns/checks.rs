//! Checks decide with real servers: a dead one moves the address, a weight moves it by priority.

use crate::lab::{Host, LONG, Lab, VIP, wait_until};
use crate::locum::{Router, settle};
use crate::process::Process;
use nix::mount::{MsFlags, mount};
use std::fmt::Write;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;

const APP: &str = r#"
[check.app]
type = "http"
url = "http://127.0.0.1:8080/"
interval = "100ms"
timeout = "90ms"
"#;

/// Files over HTTP, as long as it lives.
fn web_server(host: &Host) -> Process {
    crate::lab::need("python3", "python3");
    let server = host.spawn("python3 -m http.server 8080 --bind 127.0.0.1 --directory /run/lock");
    wait_until("the web server listens", LONG, || !host.run("ss -Hltn sport = :8080").is_empty());
    server
}

#[test]
fn the_address_leaves_a_host_whose_web_server_died_and_returns_when_it_is_back() {
    let lab = Lab::new(&["a", "b", "client"]);
    let server = web_server(&lab["a"]);
    let a = lab["a"].locum(&Router::new(150).with("checks", r#"["app"]"#).and(APP));
    lab.wait_owner(VIP, &["a"]);
    let b = lab["b"].locum(&Router::new(100));
    let (watch, probe) = (lab.watch(VIP), lab["client"].probe(VIP));
    settle(2);
    drop(server);
    lab.wait_owner(VIP, &["b"]);
    assert_eq!(a.state(), "FAULT");
    assert!(a.why().contains("check app"), "{}", a.why());
    assert!(b.why().contains("said farewell"), "{}", b.why());

    let _server = web_server(&lab["a"]);
    lab.wait_owner(VIP, &["a"]);
    b.wait_state("BACKUP");
    settle(1);
    println!("check: {}; {}", probe.end(), watch.end());
}

#[test]
fn a_weight_moves_the_address_to_whom_it_leaves_stronger() {
    let lab = Lab::new(&["a", "b"]);
    let dir = tempfile::TempDir::new().unwrap();
    let heart = dir.path().join("heart");
    fs::write(&heart, "beats").unwrap();
    let check = format!("[check.heart]\ntype = \"file\"\npath = {heart:?}\ninterval = \"100ms\"\n");
    let weighed = Router::new(150).with("checks", r#"[{ check = "heart", weight = -60 }]"#).and(&check);
    let a = lab["a"].locum(&weighed);
    lab.wait_owner(VIP, &["a"]);
    let b = lab["b"].locum(&Router::new(100));
    settle(5);
    let watch = lab.watch(VIP);
    fs::remove_file(&heart).unwrap();
    lab.wait_owner(VIP, &["b"]);
    assert_eq!(a.router()["priority"]["effective"], 90);
    assert_eq!(a.state(), "BACKUP");
    fs::write(&heart, "beats").unwrap();
    lab.wait_owner(VIP, &["a"]);
    b.wait_state("BACKUP");
    println!("weight: {}", watch.end());
    assert_eq!(a.router()["priority"]["effective"], 150);
}

/// Puts a file system over `path` whose server never answers, as long as the file lives.
fn dead_file_server(path: &std::path::Path) -> File {
    let server = File::options().read(true).write(true).open("/dev/fuse").expect("the kernel has FUSE");
    let how = format!("fd={},rootmode=40000,user_id=0,group_id=0", server.as_raw_fd());
    mount(Some("dead"), path, Some("fuse"), MsFlags::empty(), Some(how.as_str())).unwrap();
    server
}

#[test]
fn a_file_server_that_hangs_fails_the_checks_on_it_and_no_other() {
    const ON_IT: usize = 20;
    let lab = Lab::new(&["a"]);
    let dir = tempfile::TempDir::new().unwrap();
    let script = |place: &str, body: &str| {
        let path = dir.path().join(place).join("check");
        fs::create_dir(path.parent().unwrap()).unwrap();
        fs::write(&path, body).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    // Others may pass: the scripts run as nobody.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let count = dir.path().join("count");
    fs::write(&count, "").unwrap();
    fs::set_permissions(&count, fs::Permissions::from_mode(0o666)).unwrap();
    let good = script("disk", &format!("#!/bin/sh\necho >> {}\n", count.display()));
    let bad = script("server", "#!/bin/sh\n");
    let one = |name: &str, path: &std::path::Path| {
        format!("[check.{name}]\ntype = 'script'\ncommand = [{path:?}]\ninterval = '100ms'\ntimeout = '1s'\n")
    };
    let mut checks = one("good", &good);
    for number in 0..ON_IT {
        checks += &one(&format!("bad{number}"), &bad);
        // A check that no router tracks is not probed.
        let (vrid, on) = (60 + number, "interface = 'eth0'");
        let addresses = format!("addresses = ['10.0.0.{vrid}']");
        writeln!(checks, "[router.r{number}]\nvrid = {vrid}\nchecks = ['bad{number}']\n{on}\n{addresses}")
            .unwrap();
    }
    let a = lab["a"].locum(&Router::new(150).with("checks", r#"["good"]"#).and(&checks));
    lab.wait_owner(VIP, &["a"]);
    let watch = lab.watch(VIP);
    let server = dead_file_server(&dir.path().join("server"));
    let checks_that_are = |state: &str| {
        a.status()["checks"].as_array().unwrap().iter().filter(|check| check["state"] == state).count()
    };
    wait_until("all checks on it are down", LONG, || checks_that_are("down") == ON_IT);
    let before = fs::metadata(&count).unwrap().len();
    wait_until("the other one is probed on", LONG, || fs::metadata(&count).unwrap().len() > before + 20);
    assert_eq!(checks_that_are("up"), 1);
    assert_eq!(a.state(), "MASTER");
    drop(server);
    println!("dead file server: {}", watch.end());
    nix::mount::umount2(&dir.path().join("server"), nix::mount::MntFlags::MNT_DETACH).unwrap();
    drop(a);
}
