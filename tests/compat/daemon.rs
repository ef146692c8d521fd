//! The real daemon in keepalived's place, in a namespace of its own: real signals, FIFOs, readers
//! and mails, and a neighbour that sends losing adverts.

use crate::namespace::{Namespace, eventually};
use crate::readers;
use locum::net::raw_socket::{Outgoing, RawSocket};
use locum::vrrp::auth::Auth;
use locum::vrrp::packet::encode;
use locum::vrrp::{Advert, Checksum, Family, GROUP_V4, Interval, Priority, Version, Vrid};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const LOCUM: &str = env!("CARGO_BIN_EXE_locum");

/// Two hosts, of which the left one runs the daemon, and a directory for all of its files.
struct Place {
    left: Namespace,
    right: Namespace,
    /// The left namespace, for nsenter.
    handle: fs::File,
    dir: TempDir,
}

/// Dies with the test, whose thread started it.
struct Daemon(Child);

impl Daemon {
    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.0.id()).expect("a process id"))
    }

    fn signal(&self, number: i32) {
        // SIGRTMIN + 2 and the like have no name in nix.
        let status = Command::new("kill").arg(format!("-{number}")).arg(self.pid().to_string()).status();
        assert!(status.expect("kill").success());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Place {
    fn new() -> Place {
        let (left, right) = Namespace::pair();
        let dir = tempfile::tempdir().expect("a directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("own directory");
        fs::create_dir(dir.path().join("out")).expect("a directory");
        fs::set_permissions(dir.path().join("out"), fs::Permissions::from_mode(0o1777))
            .expect("own directory");
        let handle = left.run(|| fs::File::open("/proc/thread-self/ns/net").expect("its handle"));
        Place { left, right, handle, dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn script(&self, name: &str, body: &str) -> String {
        let (path, out) = (self.path(name), self.path("out"));
        fs::write(&path, format!("#!/bin/sh\nout={}\n{body}\n", out.display())).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("own file");
        path.to_str().expect("UTF-8").to_owned()
    }

    /// `locum keepalived` on the left with its files here.
    fn command(&self, more: &[&str]) -> Command {
        let namespace = format!("--net=/proc/{}/fd/{}", std::process::id(), self.handle.as_raw_fd());
        let mut command = Command::new("nsenter");
        command.args([&namespace, "--", "setpriv", "--pdeathsig", "KILL", "--", LOCUM, "keepalived"]);
        for (option, file) in [("-f", "conf"), ("-p", "pid"), ("-r", "vrrp.pid"), ("--socket", "socket")] {
            command.arg(option).arg(self.path(file));
        }
        command.args(more).env("TMPDIR", self.path("dumps")).stdin(Stdio::null());
        command
    }

    /// Starts it in the foreground and waits until it serves.
    fn start(&self, config: &str) -> Daemon {
        fs::write(self.path("conf"), config).expect("written");
        let _ = fs::create_dir(self.path("dumps"));
        let log = fs::File::create(self.path("log")).expect("made");
        let mut command = self.command(&["-n"]);
        command.stdout(log.try_clone().expect("a file")).stderr(log);
        let daemon = Daemon(command.spawn().expect("nsenter"));
        eventually("the daemon runs", || self.read("log").contains(" runs"));
        daemon
    }

    /// An advert from the right.
    fn advertise(&self, vrid: u8, priority: u8) {
        let source: IpAddr = "10.9.0.2".parse().expect("an address");
        let vrid = Vrid::new(vrid).expect("a number");
        let advert = Advert {
            version: Version::V3,
            vrid,
            priority: Priority::new(priority),
            interval: Interval::SECOND,
            addresses: ["10.9.0.100".parse().expect("an address")].into(),
        };
        let destination = IpAddr::V4(GROUP_V4);
        let payload = encode(&advert, source, destination, Checksum::Pseudo, &Auth::None);
        let index = self.right.index("eth0");
        self.right.run(|| {
            let socket =
                RawSocket::open("eth0", index, Family::Ipv4, 112, [destination], [vrid]).expect("a socket");
            let sent = Outgoing {
                source,
                destination,
                ttl: 255,
                protocol: 112,
                identification: 0,
                payload: payload.into(),
            };
            socket.send(&sent).expect("sent");
        });
    }
}

/// Two routers in one group, every kind of telling, and a check that can be switched.
fn config(place: &Place, relay: u16) -> String {
    let reader = place.script("reader", "exec cat \"$1\" >> $out/events");
    let hook = place.script("hook", "echo \"$@\" >> $out/hooks");
    let fifo = place.path("fifo");
    format!(
        "[agent]\nnode = 'lb1'\nscript_user = 'nobody'\n\
         notify_fifo = {{ path = '{}', script = '{reader}', priority_changes = true }}\n\
         mail = {{ relay = '127.0.0.1:{relay}', to = 'ann@example.org', helo = 'lb1', faults = false }}\n\
         [router.web]\ninterface = 'eth0'\nvrid = 7\npriority = 150\ninterval = '100ms'\n\
         addresses = ['10.9.0.100']\nchecks = [{{ check = 'flag', weight = -20 }}]\n\
         notify = {{ master = ['{hook}', 'master'], any = '{hook}', rx_lower = ['{hook}', 'lower'] }}\n\
         [router.db]\ninterface = 'eth0'\nvrid = 8\npriority = 150\ninterval = '100ms'\n\
         addresses = ['10.9.0.101']\n\
         [group.all]\nrouters = ['web', 'db']\nnotify = {{ any = '{hook}' }}\n\
         [check.flag]\ntype = 'file'\npath = '{}'\ninterval = '50ms'\nfall = 1\n",
        fifo.display(),
        place.path("flag").display(),
    )
}

/// The recipients and subjects that came to a relay of ours.
fn talk(listener: &TcpListener) -> String {
    let (stream, _) = listener.accept().expect("a mail");
    let (mut writer, mut lines) = (stream.try_clone().expect("a socket"), BufReader::new(stream).lines());
    let mut subject = String::new();
    let mut answer = |text: &str| writer.write_all(format!("{text}\r\n").as_bytes()).expect("written");
    answer("220 here");
    while let Some(Ok(line)) = lines.next() {
        match line.split(' ').next().expect("a word") {
            "EHLO" | "MAIL" | "RCPT" => answer("250 yes"),
            "DATA" => answer("354 go on"),
            "." => answer("250 kept"),
            "Subject:" => subject = line,
            _ => {}
        }
    }
    subject
}

#[test]
fn everybody_is_told_in_keepalived_s_order_and_words() {
    let place = Place::new();
    let listener = place.left.run(|| TcpListener::bind("127.0.0.1:0").expect("a port"));
    let relay = listener.local_addr().expect("an address").port();
    fs::write(place.path("flag"), "").expect("written");
    let mut daemon = place.start(&config(&place, relay));
    eventually("Master", || place.read("out/events").contains("GROUP \"all\" MASTER 0\n"));
    let group = |state| {
        format!("INSTANCE \"web\" {state} 150\nINSTANCE \"db\" {state} 150\nGROUP \"all\" {state} 0\n")
    };
    assert_eq!(place.read("out/events"), group("BACKUP") + &group("MASTER"));
    // The group's hooks do not wait for those of its members, which have a queue each.
    eventually("hooks", || place.read("out/hooks").lines().count() == 5);
    let hooks = place.read("out/hooks");
    let web: Vec<_> = hooks.lines().filter(|line| !line.starts_with("GROUP")).collect();
    assert_eq!(web, ["INSTANCE web BACKUP 150", "master", "INSTANCE web MASTER 150"]);

    place.advertise(7, 50);
    eventually("a losing advert", || {
        place.read("out/events").contains("\nINSTANCE \"web\" MASTER_RX_LOWER_PRI 150\n")
    });
    eventually("its hook", || place.read("out/hooks").contains("\nlower\n"));
    fs::remove_file(place.path("flag")).expect("it was there");
    eventually("a priority", || place.read("out/events").ends_with("INSTANCE \"web\" MASTER_PRIORITY 130\n"));

    let mut subjects: Vec<_> = (0..6).map(|_| talk(&listener)).collect();
    subjects.truncate(3);
    let backup = |what: &str| format!("Subject: [lb1] VRRP {what} - Entering BACKUP state");
    assert_eq!(subjects, ["Instance web", "Instance db", "Group all"].map(backup));

    daemon.signal(nix::libc::SIGTERM);
    let relayed = std::thread::spawn(move || (0..3).map(|_| talk(&listener)).collect::<Vec<_>>());
    assert_eq!(daemon.0.wait().expect("a child").code(), Some(0));
    let stops = "INSTANCE \"web\" STOP 130\nINSTANCE \"db\" STOP 150\nGROUP \"all\" STOP 0\n";
    let events = place.read("out/events");
    assert!(events.ends_with(stops), "{events}");
    assert_eq!(
        relayed.join().expect("three mails")[2],
        "Subject: [lb1] VRRP Group all - Entering STOP state"
    );
    assert!(!place.path("fifo").exists());
}

const PLAIN: &str = "[router.web]\ninterface = 'eth0'\nvrid = 7\npriority = 150\ninterval = '100ms'\n\
                     addresses = ['10.9.0.100/24']\n";

#[test]
fn signals_write_what_exporters_read_and_nobody_else_can() {
    let place = Place::new();
    fs::create_dir(place.path("dumps")).expect("a directory");
    fs::write(place.path("precious"), "kept").expect("written");
    symlink(place.path("precious"), place.path("dumps/keepalived.json")).expect("linked");
    let daemon = place.start(PLAIN);
    eventually("Master", || place.left.has("eth0").contains(&"10.9.0.100/24".to_owned()));

    daemon.signal(nix::libc::SIGRTMIN() + 2);
    eventually("JSON", || {
        fs::symlink_metadata(place.path("dumps/keepalived.json")).is_ok_and(|m| m.is_file())
    });
    let entries = readers::json(&place.read("dumps/keepalived.json"));
    assert_eq!(
        (entries[0].data.state, entries[0].data.vips[0].as_str()),
        (2, "10.9.0.100/24 dev eth0 scope global set")
    );
    assert_eq!(place.read("precious"), "kept");

    daemon.signal(nix::libc::SIGUSR1);
    eventually("data", || place.path("dumps/keepalived.data").exists());
    assert_eq!(readers::data(&place.read("dumps/keepalived.data"))["web"].0["State"], "MASTER");

    daemon.signal(nix::libc::SIGRTMAX() - 1);
    eventually("stats", || place.path("dumps/keepalived.stats").exists());
    assert_eq!(readers::stats(&place.read("dumps/keepalived.stats"))["web"]["Became master"], 1);
    fs::remove_file(place.path("dumps/keepalived.stats")).expect("it is there");
    daemon.signal(nix::libc::SIGUSR2);
    eventually("stats", || place.path("dumps/keepalived.stats").exists());
    assert_eq!(readers::stats(&place.read("dumps/keepalived.stats"))["web"]["Became master"], 0);

    for name in ["data", "stats", "json"] {
        let found =
            fs::metadata(place.path("dumps").join(format!("keepalived.{name}"))).expect("it is there");
        assert_eq!(found.mode() & 0o777, 0o600, "{name}");
    }
    assert_eq!(fs::read_dir(place.path("dumps")).expect("a directory").count(), 3, "nothing half-written");
}

#[test]
fn the_daemon_is_found_by_pid_file_and_name_and_keeps_a_second_one_out() {
    let place = Place::new();
    let mut daemon = place.start(PLAIN);
    let pid = daemon.pid();
    assert_eq!(place.read("pid"), format!("{pid}\n"));
    assert_eq!(place.read("vrrp.pid"), format!("{pid}\n"));
    assert_eq!(fs::read_to_string(format!("/proc/{pid}/comm")).expect("it runs"), "keepalived\n");
    let second = place.command(&["-n"]).output().expect("locum");
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(0));
    assert!(said.contains("another daemon runs"), "{said}");
    assert_eq!(place.read("pid"), format!("{pid}\n"));
    daemon.signal(nix::libc::SIGTERM);
    assert_eq!(daemon.0.wait().expect("a child").code(), Some(0));
    assert!(!place.path("pid").exists() && !place.path("vrrp.pid").exists());
}

#[test]
fn a_real_keepalived_is_not_joined() {
    let place = Place::new();
    fs::write(place.path("conf"), PLAIN).expect("written");
    // What a keepalived looks like from outside: its name, and its number in the pid file.
    // Not by this process: what it has open for writing while another test starts a program cannot be run.
    let copied = Command::new("cp").arg("/bin/sleep").arg(place.path("keepalived")).status();
    assert!(copied.expect("cp").success());
    let mut other = Command::new(place.path("keepalived")).arg("60").spawn().expect("sleep");
    fs::write(place.path("pid"), format!("{}\n", other.id())).expect("written");
    eventually("it runs", || {
        fs::read_to_string(format!("/proc/{}/comm", other.id())).is_ok_and(|name| name == "keepalived\n")
    });
    let refused = place.command(&["-n"]).output().expect("locum");
    let _ = other.kill();
    let _ = other.wait();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("keepalived runs already, as process"), "{said}");
    assert_eq!(refused.status.code(), Some(0));
}

/// A daemon that left its parent; ended by its number.
struct Background(Pid);

impl Background {
    fn runs(&self) -> bool {
        let state = fs::read_to_string(format!("/proc/{}/stat", self.0));
        // Whoever it was left to may not have waited for it yet.
        state.is_ok_and(|line| line.rsplit(") ").next().is_some_and(|rest| !rest.starts_with('Z')))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if self.runs() {
            let _ = kill(self.0, Signal::SIGKILL);
        }
    }
}

#[test]
fn without_n_it_goes_to_the_background_logs_to_its_file_and_ends_by_its_pid_file() {
    let place = Place::new();
    fs::write(place.path("conf"), PLAIN).expect("written");
    fs::create_dir(place.path("dumps")).expect("a directory");
    // By paths that the background does not find: it has another directory.
    let mut command = place.command(&["-D", "-g", "daemon.log", "-f", "conf", "-p", "pid"]);
    let started = command.current_dir(place.dir.path()).output().expect("locum");
    assert_eq!((started.status.code(), started.stderr.as_slice()), (Some(0), &b""[..]));
    eventually("its number", || place.read("pid").ends_with('\n'));
    let daemon = Background(Pid::from_raw(place.read("pid").trim().parse().expect("a number")));
    eventually("it runs", || place.read("daemon.log").contains(" runs"));
    eventually("Master", || place.left.has("eth0").contains(&"10.9.0.100/24".to_owned()));
    kill(daemon.0, Signal::SIGTERM).expect("it runs");
    eventually("it has ended", || !daemon.runs());
    assert!(place.read("daemon.log").contains("everything is given up"));
    assert!(!place.path("pid").exists() && !place.left.has("eth0").contains(&"10.9.0.100/24".to_owned()));
}

#[test]
fn in_the_background_it_is_started_again_where_it_was_killed_as_keepalived_does_it() {
    let place = Place::new();
    fs::write(place.path("conf"), PLAIN).expect("written");
    let started = place.command(&["-g", "daemon.log"]).current_dir(place.dir.path()).output().expect("locum");
    assert_eq!(started.status.code(), Some(0));
    let held = || place.left.has("eth0").contains(&"10.9.0.100/24".to_owned());
    let number = || Background(Pid::from_raw(place.read("pid").trim().parse().unwrap_or(0)));
    eventually("it has a guardian", || place.read("daemon.log").contains("a guardian watches"));
    eventually("Master", held);
    let first = number();
    kill(first.0, Signal::SIGKILL).expect("it runs");
    eventually("another runs", || place.read("daemon.log").matches(" runs").count() == 2);
    eventually("Master again", held);
    let second = number();
    assert!(second.runs() && second.0 != first.0);
    kill(second.0, Signal::SIGTERM).expect("it runs");
    eventually("it has ended", || !second.runs());
    assert!(!place.path("pid").exists() && !held());
}

#[test]
fn a_wrong_configuration_is_said_before_it_goes_to_the_background() {
    let place = Place::new();
    fs::write(place.path("conf"), PLAIN.replace("vrid", "vird")).expect("written");
    let started = place.command(&[]).output().expect("locum");
    let said = String::from_utf8_lossy(&started.stderr).into_owned();
    assert_eq!(started.status.code(), Some(2));
    assert!(said.contains("did you mean `vrid`?"), "{said}");
    assert!(!place.path("pid").exists());
}

#[test]
fn a_reload_moves_the_fifo_and_tells_nothing_twice() {
    let place = Place::new();
    let agent =
        |fifo: &str| format!("[agent]\nnotify_fifo = {{ path = '{}' }}\n", place.path(fifo).display());
    let daemon = place.start(&(agent("one") + PLAIN));
    eventually("Master", || place.left.has("eth0").contains(&"10.9.0.100/24".to_owned()));
    assert!(place.path("one").exists());
    fs::write(place.path("conf"), agent("two") + PLAIN).expect("written");
    daemon.signal(nix::libc::SIGHUP);
    eventually("moved", || place.path("two").exists() && !place.path("one").exists());
    fs::write(place.path("conf"), agent("two") + &PLAIN.replace("150", "160")).expect("written");
    daemon.signal(nix::libc::SIGHUP);
    eventually("read again", || place.read("log").contains("priority 150 -> 160"));
    let mut reader = fs::OpenOptions::new().read(true).write(true).open(place.path("two")).expect("a FIFO");
    daemon.signal(nix::libc::SIGTERM);
    let mut line = String::new();
    BufReader::new(&mut reader).read_line(&mut line).expect("a line");
    assert_eq!(line, "INSTANCE \"web\" STOP 160\n");
}

#[test]
fn what_was_left_out_is_in_the_log_and_in_the_status_until_it_is_mended() {
    let place = Place::new();
    let with = |lines: &str| {
        format!(
            "vrrp_instance web {{\n state MASTER\n interface eth0\n virtual_router_id 7\n priority 150\n \
             advert_int 0.1\n version 3\n virtual_ipaddress {{\n 10.9.0.100/24\n }}\n{lines}}}\n"
        )
    };
    let status = |more: &[&str]| {
        let mut command = Command::new(LOCUM);
        command.args(["status", "--socket"]).arg(place.path("socket")).args(more);
        let output = command.output().expect("the binary runs");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        // A line is broken where the path of this place happens to be long.
        (output.status.code(), text.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let daemon = place.start(&with(" no_such_thing\n prioritiy 3\n"));
    let log = place.read("log");
    assert!(log.contains("left out: ") && log.contains("unknown keyword no_such_thing"), "{log}");
    eventually("Master", || status(&[]).1.contains("web MASTER"));
    let (code, text) = status(&[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.starts_with("DEGRADED") && text.contains("2 things left out of the configuration"),
        "{text}"
    );
    assert!(text.contains("conf:11:2: unknown keyword no_such_thing"), "{text}");
    let (code, text) = status(&["--json"]);
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((code, &json["health"]), (Some(1), &"degraded".into()), "{text}");
    assert!(json["skipped"][1].as_str().is_some_and(|line| line.contains("conf:12:2: ")), "{text}");

    fs::write(place.path("conf"), with("")).expect("written");
    daemon.signal(nix::libc::SIGHUP);
    eventually("healthy", || status(&[]).0 == Some(0));
    let json: serde_json::Value = serde_json::from_str(&status(&["--json"]).1).expect("JSON");
    assert_eq!(json["skipped"], serde_json::json!([]));
}
