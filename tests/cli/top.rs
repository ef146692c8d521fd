//! `locum top`, in a terminal made for it.

use crate::canned;
use crate::program::{command, locum};
use crate::stub::Stub;
use locum::agent::cluster::Cluster;
use locum::control::{Answer, Question};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Child;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(30);

/// A terminal, and the program in it.
struct Terminal {
    user: File,
    programs: OwnedFd,
    child: Child,
    written: Receiver<Vec<u8>>,
    text: String,
}

impl Terminal {
    fn start(stub: &Stub, columns: u16, rows: u16) -> Terminal {
        // Not for the program: it is hung up with the test.
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let user = openpt(flags).unwrap();
        grantpt(&user).unwrap();
        unlockpt(&user).unwrap();
        let programs = ioctl_tiocgptpeer(&user, flags).unwrap();
        tcsetwinsize(&programs, Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 })
            .unwrap();
        let mut top = command(&["top"]);
        top.arg("--socket").arg(stub.path());
        top.stdin(programs.try_clone().unwrap()).stdout(programs.try_clone().unwrap());
        let child = top.spawn().unwrap();
        let user = File::from(user);
        let (tell, written) = channel();
        let mut reader = user.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(length) = reader.read(&mut chunk) {
                if length == 0 || tell.send(chunk[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Terminal { user, programs, child, written, text: String::new() }
    }

    fn wait_for(&mut self, text: &str) {
        let end = Instant::now() + LIMIT;
        while !self.text.contains(text) {
            assert!(Instant::now() < end, "{text:?} was not written: {:?}", self.text);
            if let Ok(bytes) = self.written.recv_timeout(Duration::from_millis(100)) {
                self.text.push_str(&String::from_utf8_lossy(&bytes));
            }
        }
    }

    /// Presses a key, and waits until the screen is drawn.
    fn press(&mut self, key: &str) {
        self.user.write_all(key.as_bytes()).unwrap();
        self.text.clear();
        self.wait_for("\x1b[J");
    }

    fn quits(mut self) -> Option<i32> {
        self.user.write_all(b"q").unwrap();
        self.ended()
    }

    /// How it ends, and that the terminal is as it was.
    fn ended(mut self) -> Option<i32> {
        self.wait_for("\x1b[?25h\x1b[?1049l");
        let code = self.child.wait().unwrap().code();
        let modes = tcgetattr(&self.programs).unwrap().local_modes;
        assert!(modes.contains(LocalModes::ICANON | LocalModes::ECHO), "{modes:?}");
        code
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn daemon() -> Stub {
    Stub::new(|_| Some(Answer::Status(Box::new(canned::healthy()))))
}

#[test]
fn it_has_a_screen_of_its_own_until_q_and_leaves_the_terminal_as_it_was() {
    let stub = daemon();
    let mut terminal = Terminal::start(&stub, 100, 60);
    for text in ["\x1b[?1049h", "HEALTHY", "MASTER", "latency", "at most"] {
        terminal.wait_for(text);
    }
    assert!(!tcgetattr(&terminal.programs).unwrap().local_modes.contains(LocalModes::ECHO));
    assert_eq!(terminal.quits(), Some(0));
}

#[test]
fn it_shows_the_whole_cluster_and_the_last_incidents_step_by_step() {
    let nodes = serde_json::json!([
        {"peer": null, "node": "web-1", "age_ms": 1, "heard_ms": 1, "error": null, "health": "healthy", "routers": []},
        {"peer": "http://10.0.0.2:5113", "node": null, "age_ms": null, "heard_ms": null,
         "error": "no answer within 1s", "health": null, "routers": []}]);
    let cluster =
        Cluster { rivals: vec!["web: a and b".to_owned()], nodes: serde_json::from_value(nodes).unwrap() };
    let place = tempfile::tempdir().unwrap();
    let (config, record) = (place.path().join("locum.toml"), place.path().join("history.jsonl"));
    std::fs::write(&config, format!("[journal]\npath = \"{}\"\n", record.display())).unwrap();
    let line = |ms: u64, event: &str| {
        format!(
            "{{\"v\":1,\"time\":\"2026-03-01T10:00:00Z\",\"clock_ms\":{ms},\"event\":\"trouble\",\"text\":\"{event}\"}}\n"
        )
    };
    std::fs::write(&record, line(1000, "it began") + &line(3500, "it went on")).unwrap();
    let mut status = canned::healthy();
    status.daemon.insert("config".to_owned(), config.display().to_string());
    let stub = Stub::new(move |question| {
        Some(match question {
            Question::Cluster => Answer::Cluster(cluster.clone()),
            _ => Answer::Status(Box::new(status.clone())),
        })
    });
    let mut terminal = Terminal::start(&stub, 120, 80);
    for text in [
        "TWO MASTERS",
        "web: a and b",
        "never heard",
        "it began (2 steps in 2.5s)",
        "+0ms  -  it began",
        "+2.5s  -  it went on",
    ] {
        terminal.wait_for(text);
    }
    assert_eq!(terminal.quits(), Some(0));
}

#[test]
fn a_signal_ends_it_as_well_as_q_does() {
    let stub = daemon();
    let mut terminal = Terminal::start(&stub, 100, 60);
    terminal.wait_for("MASTER");
    for signal in [nix::sys::signal::Signal::SIGWINCH, nix::sys::signal::Signal::SIGINT] {
        let pid = nix::unistd::Pid::from_raw(terminal.child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }
    assert_eq!(terminal.ended(), Some(0));
}

#[test]
fn a_small_window_shows_what_fits_and_scrolls() {
    let stub = daemon();
    let mut terminal = Terminal::start(&stub, 40, 6);
    terminal.wait_for("lines below");
    assert!(!terminal.text.contains("latency"), "{}", terminal.text);
    for _ in 0..10 {
        terminal.press(" ");
    }
    assert!(terminal.text.contains("latency"), "{}", terminal.text);
    assert_eq!(terminal.quits(), Some(0));
}

#[test]
fn a_narrow_window_shows_every_word_and_no_line_beyond_its_edge() {
    let stub = daemon();
    let mut terminal = Terminal::start(&stub, 40, 200);
    terminal.wait_for("at most");
    let drawn = terminal.text.rsplit("\x1b[H").next().unwrap().replace("\x1b[0m", "");
    let plain =
        drawn.split("\x1b[").map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';'));
    let plain: String = plain.map(|part| part.trim_start_matches(['m', 'K', 'J'])).collect();
    let longest = plain.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(longest <= 40, "{plain}");
    let wide = canned::healthy().routers[0].why.clone();
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words(&plain).contains(&words(&wide)), "{wide}: {plain}");
    assert_eq!(terminal.quits(), Some(0));
}

#[test]
fn without_a_daemon_it_says_so_and_shows_nothing_else() {
    let stub = daemon();
    let mut terminal = Terminal::start(&stub, 120, 40);
    terminal.wait_for("MASTER");
    drop(stub);
    terminal.wait_for("the daemon is not running");
    let last = terminal.text.rsplit("\x1b[H").next().unwrap().to_owned();
    assert!(!last.contains("MASTER"), "{last}");
    assert_eq!(terminal.quits(), Some(0));
}

#[test]
fn without_a_terminal_it_says_what_to_use_instead() {
    let ran = locum(&["top"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert_eq!(ran.complaint(), "top needs a terminal; `locum status --watch` writes anywhere");
}
