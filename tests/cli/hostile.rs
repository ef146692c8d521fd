//! Clients and daemons that misbehave: nobody else may notice.

use crate::canned;
use crate::program::Ran;
use crate::stub::Stub;
use locum::agent::Request;
use locum::control::{Answer, ClientError, LONGEST_QUESTION, Question, ask, bind};
use std::fs::{self, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

/// More than any answer takes, even on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many are served at once.
const MOST_CLIENTS: usize = 32;
/// A group that nobody is in.
const GROUP: u32 = 54_321;

/// Answers a status at once, and nothing else ever.
fn daemon(group: Option<u32>) -> Stub {
    Stub::in_group(group, |question| {
        (question == Question::Agent(Request::Status)).then(|| Answer::Status(Box::new(canned::healthy())))
    })
}

fn connect(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// What the daemon answers to these bytes before it hangs up.
fn answer(path: &Path, bytes: &[u8]) -> String {
    let mut stream = connect(path);
    let _ = stream.write_all(bytes);
    to_the_end(stream)
}

fn to_the_end(mut stream: UnixStream) -> String {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("it does not hang up: {error}"),
        _ => String::from_utf8(answer).unwrap(),
    }
}

fn is_served(path: &Path) -> bool {
    matches!(ask(path, &Question::Agent(Request::Status), PATIENCE), Ok(Answer::Status(_)))
}

#[test]
fn garbage_is_refused_with_a_reason() {
    let stub = daemon(None);
    for garbage in
        [&b"\n"[..], b"GET / HTTP/1.1\r\n\r\n", b"\xff\xfe\x00\n", b"{\"ask\":\"reboot\"}\n", b"[[[[[[\n"]
    {
        let answer = answer(&stub.path(), garbage);
        assert!(answer.contains("\"refused\"") && answer.contains("this is no question"), "{answer}");
    }
    assert!(is_served(&stub.path()));
}

#[test]
fn deeply_nested_garbage_is_refused_as_well() {
    let stub = daemon(None);
    let nested = [vec![b'['; LONGEST_QUESTION - 1], vec![b'\n']].concat();
    assert!(answer(&stub.path(), &nested).contains("this is no question"));
    assert!(is_served(&stub.path()));
}

#[test]
fn a_line_without_end_is_refused_at_its_limit() {
    let stub = daemon(None);
    let endless = vec![b'a'; LONGEST_QUESTION + 1];
    assert!(answer(&stub.path(), &endless).contains("a question has at most 16384 bytes"));
    assert!(is_served(&stub.path()));
}

#[test]
fn whoever_dawdles_is_hung_up_on() {
    let stub = daemon(None);
    assert_eq!(answer(&stub.path(), b"{\"ask\":"), "");
    assert!(is_served(&stub.path()));
}

#[test]
fn a_hundred_idle_connections_keep_nobody_out() {
    let stub = daemon(None);
    let idle: Vec<_> = (0..100).map(|_| connect(&stub.path())).collect();
    for _ in 0..10 {
        assert!(is_served(&stub.path()));
    }
    drop(idle);
}

#[test]
fn too_many_orders_at_once_are_refused_and_not_kept_waiting() {
    let stub = daemon(None);
    let order = b"{\"ask\":\"handover\",\"router\":null}\n";
    let waiting: Vec<_> = (0..100)
        .map(|_| {
            let mut stream = connect(&stub.path());
            // A server that is full has hung up already.
            let _ = stream.write_all(order);
            stream
        })
        .collect();
    for stream in waiting.into_iter().skip(MOST_CLIENTS) {
        let answer = to_the_end(stream);
        assert!(answer.contains("the daemon is busy"), "{answer}");
    }
}

#[test]
fn the_socket_is_its_owners_alone_or_its_groups_too() {
    for (group, mode) in [(None, 0o600), (Some(GROUP), 0o660)] {
        let stub = daemon(group);
        let file = fs::metadata(stub.path()).unwrap();
        assert_eq!((file.mode() & 0o777, file.gid()), (mode, group.unwrap_or(0)));
    }
}

/// `locum status` as another user, with the socket's mode set aside.
fn status_as(stub: &Stub, identity: &[&str], open_mode: bool) -> Ran {
    fs::set_permissions(stub.folder(), Permissions::from_mode(0o755)).unwrap();
    if open_mode {
        fs::set_permissions(stub.path(), Permissions::from_mode(0o666)).unwrap();
    }
    // The folder of the build may be closed to others.
    let program = stub.folder().join("locum");
    // Not by this process: what it has open for writing while another test starts a program cannot be run.
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_locum")).arg(&program).status().unwrap();
    assert!(copied.success());
    let output = Command::new("setpriv")
        .args(["--reuid", "65534"])
        .args(identity)
        .arg(&program)
        .args(["status", "--json", "--socket"])
        .arg(stub.path())
        .output();
    output.expect("setpriv(1) of util-linux").into()
}

#[test]
fn strangers_are_kept_out_by_the_mode_and_by_who_they_are() {
    for group in [None, Some(GROUP)] {
        let stub = daemon(group);
        let stranger = ["--regid", "65534", "--clear-groups"];
        let by_mode = status_as(&stub, &stranger, false);
        assert_eq!((by_mode.code, by_mode.out.as_str()), (3, ""), "{by_mode:?}");
        assert!(by_mode.complaint().contains("ask as root or as a member"), "{by_mode:?}");
        let by_credentials = status_as(&stub, &stranger, true);
        assert_eq!((by_credentials.code, by_credentials.out.as_str()), (1, ""), "{by_credentials:?}");
        assert!(by_credentials.complaint().contains("only root, the daemon's user and members"));
    }
}

#[test]
fn members_of_the_group_are_let_in() {
    let stub = daemon(Some(GROUP));
    let group = GROUP.to_string();
    for member in
        [["--regid", &group, "--clear-groups"].as_slice(), &["--regid", "65534", "--groups", &group]]
    {
        let ran = status_as(&stub, member, false);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{member:?}: {ran:?}");
    }
}

fn bound(path: &Path) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async { bind(path, None).map(drop) })
}

#[test]
fn the_socket_of_a_dead_daemon_is_replaced_and_that_of_a_live_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let dead = folder.path().join("new/locum.sock");
    bound(&dead).unwrap();
    assert!(dead.exists());
    bound(&dead).unwrap();

    let stub = daemon(None);
    let error = bound(&stub.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&*stub.path().to_string_lossy()), "{error}");
    assert!(is_served(&stub.path()));
}

#[test]
fn a_live_daemon_whose_queue_is_full_is_live_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("locum.sock");
    // Nobody accepts: connections pile up until the kernel takes no more.
    let _listener = UnixListener::bind(&path).unwrap();
    let mut queued = Vec::new();
    loop {
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        match socket.connect(&socket2::SockAddr::unix(&path).unwrap()) {
            Ok(()) => queued.push(socket),
            Err(_) => break,
        }
        assert!(queued.len() < 100_000, "the queue never fills");
    }
    assert_eq!(bound(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
    let question = Question::Agent(Request::Status);
    let error = ask(&path, &question, Duration::from_millis(50)).unwrap_err();
    assert!(matches!(error, ClientError::TimedOut(..)), "{error}");
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("locum.sock");
    fs::write(&path, "precious").unwrap();
    assert_eq!(bound(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

/// Asks a daemon that behaves so once connected.
fn ask_one_that(behaves: impl FnOnce(UnixStream) + Send + 'static) -> ClientError {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("locum.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let daemon = thread::spawn(move || behaves(listener.accept().unwrap().0));
    let error = ask(&path, &Question::Agent(Request::Status), Duration::from_millis(300)).unwrap_err();
    daemon.join().unwrap();
    error
}

fn drained(mut stream: UnixStream) {
    let _ = stream.read_to_end(&mut Vec::new());
}

#[test]
fn a_daemon_that_hangs_or_trickles_is_given_up_in_time() {
    let hangs = ask_one_that(drained);
    assert!(matches!(hangs, ClientError::TimedOut(..)), "{hangs}");
    let trickles = ask_one_that(|mut stream| {
        while stream.write_all(b" ").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    assert!(matches!(trickles, ClientError::TimedOut(..)), "{trickles}");
}

#[test]
fn a_daemon_that_talks_nonsense_or_hangs_up_is_told_apart() {
    let nonsense = ask_one_that(|mut stream| {
        stream.write_all(b"{\"answer\":\"maybe\"}\n").unwrap();
        drained(stream);
    });
    assert!(matches!(nonsense, ClientError::Garbled(..)), "{nonsense}");
    let gone = ask_one_that(drop);
    assert!(gone.to_string().contains("it hung up"), "{gone}");
}
