//! A daemon that is started outside, and enters the network namespace that its file names.

use crate::drop_in::node::Daemon;
use crate::lab::{Host, LONG, Lab, VIP, need, wait_until};
use crate::locum::BINARY;
use crate::process::Process;
use nix::sys::signal::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A name for the namespace of a host, as long as this lives.
struct Named(String);

impl Named {
    fn new(host: &Host) -> Named {
        let name = format!("locum-{}-{host}", host.keeper());
        let attached =
            Command::new("ip").args(["netns", "attach", &name, &host.keeper().to_string()]).status();
        assert!(attached.unwrap().success());
        Named(name)
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        // The namespace lives on; its name goes.
        let _ = Command::new("ip").args(["netns", "delete", &self.0]).status();
    }
}

const HOOK: &str = "#!/bin/sh\nreadlink /proc/self/ns/net >> \"$(dirname \"$0\")/$(basename \"$0\").said\"\n";

fn conf(name: &Named, priority: u8, hook: &Path) -> String {
    format!(
        "net_namespace {}\nglobal_defs {{\n script_user root\n enable_script_security\n}}\nvrrp_instance web {{\n \
         interface eth0\n virtual_router_id 51\n advert_int 1\n priority {priority}\n \
         virtual_ipaddress {{ {VIP}/24 }}\n notify_master {}\n}}\n",
        name.0,
        hook.display()
    )
}

/// Started in the namespace of the test.
fn start(daemon: Daemon, dir: &Path, conf: &str, host: &Host) -> (Process, PathBuf) {
    let file = dir.join(format!("{host}.conf"));
    fs::write(&file, conf).unwrap();
    let own = dir.join(&host.name);
    fs::create_dir_all(&own).unwrap();
    let pids = [own.join("parent"), own.join("child")];
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]);
    match daemon {
        Daemon::Locum => {
            command.arg(BINARY).arg("keepalived").arg("--socket").arg(own.join("socket"));
        }
        Daemon::Keepalived => {
            need("keepalived", "keepalived");
            command.arg("keepalived");
        }
    }
    command.arg("-nl").arg("-f").arg(&file).arg("-p").arg(&pids[0]).arg("-r").arg(&pids[1]);
    (Process::start(&format!("{host}/{daemon:?}"), command), own.join("socket"))
}

/// One has the address after the other, and each ran its hook where the address was.
fn follow(first: Daemon) {
    let lab = Lab::new(&["a", "b"]);
    let names = [Named::new(&lab["a"]), Named::new(&lab["b"])];
    let dir = TempDir::new_in("/run").unwrap();
    let hooks = ["a", "b"].map(|host| dir.path().join(format!("{host}-hook")));
    for hook in &hooks {
        fs::write(hook, HOOK).unwrap();
        fs::set_permissions(hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let (mut a, _) = start(first, dir.path(), &conf(&names[0], 150, &hooks[0]), &lab["a"]);
    lab.wait_owner(VIP, &["a"]);
    let (mut b, _) = start(first.other(), dir.path(), &conf(&names[1], 100, &hooks[1]), &lab["b"]);
    b.wait_for("BACKUP", LONG);
    a.signal(Signal::SIGTERM);
    lab.wait_owner(VIP, &["b"]);
    assert_eq!(a.wait(LONG).code(), Some(0));
    for (host, hook) in ["a", "b"].into_iter().zip(&hooks) {
        let said = hook.with_extension("said");
        wait_until("the hook has run", LONG, || said.exists());
        let there = fs::read_link(format!("/proc/{}/ns/net", lab[host].keeper())).unwrap();
        wait_until("and says where", LONG, || {
            fs::read_to_string(&said).unwrap().trim() == there.to_string_lossy()
        });
    }
    b.signal(Signal::SIGTERM);
    assert_eq!(b.wait(LONG).code(), Some(0));
    lab.wait_owner(VIP, &[]);
}

#[test]
fn both_daemons_enter_the_namespace_that_their_file_names_and_follow_each_other() {
    follow(Daemon::Locum);
    follow(Daemon::Keepalived);
}

#[test]
fn a_daemon_stays_in_its_namespace_and_says_which_is_missing() {
    let lab = Lab::new(&["a"]);
    let name = Named::new(&lab["a"]);
    let dir = TempDir::new_in("/run").unwrap();
    let hook = Path::new("/bin/true");
    let text = conf(&name, 150, hook);
    let (mut a, socket) = start(Daemon::Locum, dir.path(), &text, &lab["a"]);
    lab.wait_owner(VIP, &["a"]);
    let conf_of_a = dir.path().join("a.conf");
    fs::write(&conf_of_a, text.replace(&name.0, "elsewhere")).unwrap();
    let reload = Command::new(BINARY).args(["reload", "--socket"]).arg(&socket).output().unwrap();
    let said = String::from_utf8_lossy(&reload.stderr) + String::from_utf8_lossy(&reload.stdout);
    assert!(!reload.status.success() && said.contains("namespace and instance are fixed"), "{said}");
    lab.wait_owner(VIP, &["a"]);
    a.signal(Signal::SIGTERM);
    assert_eq!(a.wait(LONG).code(), Some(0));
    let (mut nowhere, _) =
        start(Daemon::Locum, dir.path(), &fs::read_to_string(&conf_of_a).unwrap(), &lab["a"]);
    assert_eq!(nowhere.wait(LONG).code(), Some(1));
    assert!(nowhere.log().contains("network namespace elsewhere: No such file"), "{}", nowhere.log());
}

#[test]
fn a_test_of_a_file_looks_for_interfaces_in_the_namespace_that_it_names() {
    let lab = Lab::new(&["a"]);
    let name = Named::new(&lab["a"]);
    let dir = TempDir::new_in("/run").unwrap();
    let file = dir.path().join("conf");
    let text = conf(&name, 150, Path::new("/bin/true"));
    let elsewhere = text.replace("eth0", "eth9");
    for (text, wanted) in [(&text, [0, 0]), (&elsewhere, [5, 5])] {
        fs::write(&file, text).unwrap();
        let codes = [(BINARY, &["keepalived"][..]), ("keepalived", &[])].map(|(program, words)| {
            let mut command = Command::new(program);
            command.args(words).arg("-t").arg("-f").arg(&file).output().unwrap().status.code()
        });
        assert_eq!(codes, wanted.map(Some), "{text}");
    }
    // keepalived says that all is well, and would run outside.
    fs::write(&file, text.replace(&name.0, "elsewhere")).unwrap();
    let ours = Command::new(BINARY).args(["keepalived", "-t", "-f"]).arg(&file).output().unwrap();
    assert_eq!(ours.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&ours.stderr).contains("network namespace elsewhere"));
}

#[test]
fn the_guardian_of_a_daemon_in_another_namespace_says_farewell_there() {
    let lab = Lab::new(&["a"]);
    let name = Named::new(&lab["a"]);
    let dir = TempDir::new_in("/run").unwrap();
    let file = dir.path().join("locum.toml");
    let text = format!(
        "[agent]\nnamespace = \"{}\"\n[router.web]\ninterface = \"eth0\"\nvrid = 51\npriority = 150\n\
         addresses = [\"{VIP}/24\"]\n",
        name.0
    );
    fs::write(&file, text).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(BINARY).args(["run", "-c"]).arg(&file);
    command.arg("--socket").arg(dir.path().join("socket"));
    let mut guardian = Process::start("guardian", command);
    lab.wait_owner(VIP, &["a"]);
    let capture = lab["a"].capture();
    let children = format!("/proc/{0}/task/{0}/children", guardian.pid());
    let daemon: i32 =
        fs::read_to_string(children).unwrap().split_whitespace().next().unwrap().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(daemon), Signal::SIGKILL).unwrap();
    guardian.wait_for("farewell in its place", LONG);
    wait_until("the address is back", LONG, || lab.owners(VIP) == ["a"] && guardian.log().contains("MASTER"));
    guardian.signal(Signal::SIGTERM);
    guardian.wait(LONG);
    lab.wait_owner(VIP, &[]);
    assert!(capture.end().priorities(&lab["a"].ipv4()).contains(&0));
}
