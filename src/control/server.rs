//! The daemon's end of the control socket: binds it, checks who asks, and passes questions on.
//!
//! A client that sends garbage, hangs or floods costs nobody else anything: each has its own task,
//! its own time, and only so many are served at once.

use super::{Answer, LONGEST_ANSWER, LONGEST_QUESTION, LONGEST_WAIT, Question, line};
use nix::unistd::{Gid, Uid, chown};
use socket2::{Domain, SockAddr, Socket, Type};
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream, unix::UCred};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// The most clients served at once.
const MOST_CLIENTS: usize = 32;
/// How long a client may take for its question, and how long to read its answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a client may be silent before it makes room for another.
const MOMENT: Duration = Duration::from_millis(50);
/// The pause after a connection could not be accepted, for want of files for instance.
const PAUSE: Duration = Duration::from_millis(100);

/// A question and where its answer goes. Dropping `answer` tells the client that the daemon stops.
#[derive(Debug)]
pub struct Asked {
    /// What is asked.
    pub question: Question,
    /// Who asks.
    pub who: Who,
    /// Takes the answer.
    pub answer: oneshot::Sender<Answer>,
}

/// Who asks, as the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who {
    /// The user.
    pub uid: u32,
    /// The process.
    pub pid: Option<i32>,
}

/// Makes a socket like the control socket at `path`, and its folder where that is missing. Mode 0600; with a
/// `group`, 0660 and that group's. The socket file of a dead daemon is replaced. Needs a runtime.
///
/// Errors name the path: a live daemon has it (`AddrInUse`), it is no socket (`AlreadyExists`), or
/// whatever the system says.
pub fn bind(path: &Path, group: Option<u32>) -> io::Result<UnixListener> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("socket {}: {error}", path.display()));
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(named)?;
    }
    // Two daemons that start together must not both find the other's socket dead.
    let _lock = lock(path).map_err(named)?;
    remove_dead(path).map_err(named)?;
    // Until the mode is set the umask decides who may connect; credentials are checked anyway.
    let listener = UnixListener::bind(path).map_err(named)?;
    if let Some(group) = group {
        chown(path, None, Some(Gid::from_raw(group))).map_err(|errno| {
            let why = format!("cannot give it to group {group}: {errno}; the unit has to put the daemon into it (SupplementaryGroups=)");
            named(io::Error::other(why))
        })?;
    }
    let mode = if group.is_some() { 0o660 } else { 0o600 };
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(named)?;
    Ok(listener)
}

fn lock(path: &Path) -> io::Result<File> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(PathBuf::from(beside))?;
    file.lock()?;
    Ok(file)
}

fn remove_dead(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(file) if !file.file_type().is_socket() => {
            let text = "there is a file of another kind; remove it or name another path";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        Ok(_) => {}
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        // A live one whose queue is full answers "try again".
        Ok(()) | Err(_) => {
            let text = "another daemon listens there; stop it first or name another path";
            Err(io::Error::new(io::ErrorKind::AddrInUse, text))
        }
    }
}

/// Serves clients for ever: root, the daemon's own user, and members of `group`.
pub async fn serve(listener: UnixListener, group: Option<u32>, questions: mpsc::Sender<Asked>) {
    let mut clients: VecDeque<Client> = VecDeque::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        if !make_room(&mut clients).await {
            refuse_now(&stream, "the daemon is busy with other clients; try again");
            continue;
        }
        let asked = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(attend(stream, group, questions.clone(), asked.clone()));
        clients.push_back(Client { task: task.abort_handle(), asked, since: Instant::now() });
    }
}

/// Has at most one client less than allowed; where all have asked and wait, does nothing and
/// returns false. Whoever has been silent longest makes room, but for the first moment.
async fn make_room(clients: &mut VecDeque<Client>) -> bool {
    loop {
        clients.retain(|client| !client.task.is_finished());
        if clients.len() < MOST_CLIENTS {
            return true;
        }
        let mut places = clients.iter().enumerate();
        let silent = places.find(|(_, client)| !client.asked.load(Ordering::Relaxed));
        let Some((place, due)) = silent.map(|(place, client)| (place, client.since + MOMENT)) else {
            return false;
        };
        if due > Instant::now() {
            sleep_until(due).await;
        } else if let Some(client) = clients.remove(place) {
            client.task.abort();
        }
    }
}

struct Client {
    task: AbortHandle,
    /// Whether its question has come.
    asked: Arc<AtomicBool>,
    since: Instant,
}

async fn attend(
    mut stream: UnixStream,
    group: Option<u32>,
    questions: mpsc::Sender<Asked>,
    asked: Arc<AtomicBool>,
) {
    let Ok(who) = stream.peer_cred() else { return };
    if !admitted(who, group) {
        let text = "only root, the daemon's user and members of its control group may ask";
        return refuse_now(&stream, text);
    }
    let answer = match timeout(PATIENCE, question(&mut stream)).await {
        Err(_) | Ok(Ok(None) | Err(_)) => return,
        Ok(Ok(Some(Err(text)))) => refused(&text),
        Ok(Ok(Some(Ok(question)))) => {
            asked.store(true, Ordering::Relaxed);
            pass_on(question, Who { uid: who.uid(), pid: who.pid() }, &questions).await
        }
    };
    let Ok(mut bytes) = line(&answer) else { return };
    if bytes.len() > LONGEST_ANSWER {
        let Ok(short) = line(&refused("the answer is too long for the control socket")) else { return };
        bytes = short;
    }
    // A client that went away or does not read is no loss.
    let _ = timeout(PATIENCE, stream.write_all(&bytes)).await;
}

/// Reads one line. `None` where the client went away; `Err` inside for what is no question.
async fn question(stream: &mut UnixStream) -> io::Result<Option<Result<Question, String>>> {
    let mut line = Vec::new();
    let mut chunk = [0; 4096];
    let end = loop {
        let got = stream.read(&mut chunk).await?;
        let Some(new) = chunk.get(..got).filter(|new| !new.is_empty()) else { return Ok(None) };
        let newline = new.iter().position(|byte| *byte == b'\n');
        line.extend_from_slice(new);
        if line.len() > LONGEST_QUESTION {
            return Ok(Some(Err(format!("a question has at most {LONGEST_QUESTION} bytes"))));
        }
        if let Some(at) = newline {
            break line.len() - got + at;
        }
    };
    let question = serde_json::from_slice(line.get(..end).unwrap_or_default());
    Ok(Some(question.map_err(|error| format!("this is no question: {error}"))))
}

async fn pass_on(question: Question, who: Who, questions: &mpsc::Sender<Asked>) -> Answer {
    let (answer, answered) = oneshot::channel();
    let asking = async {
        questions.send(Asked { question, who, answer }).await.ok()?;
        answered.await.ok()
    };
    match timeout(LONGEST_WAIT, asking).await {
        Ok(Some(answer)) => answer,
        Ok(None) => refused("the daemon is stopping"),
        Err(_) => refused("the daemon did not answer in time"),
    }
}

/// Root, the daemon's own user, members of `group`. The socket's mode says the same; here it is
/// asked of who really connected.
fn admitted(who: UCred, group: Option<u32>) -> bool {
    let (uid, gid) = (who.uid(), who.gid());
    let member = |group| gid == group || who.pid().is_some_and(|pid| further_groups(pid).contains(&group));
    uid == 0 || uid == Uid::effective().as_raw() || group.is_some_and(member)
}

/// The supplementary groups of a process as the kernel knows them; none where it is gone.
fn further_groups(pid: i32) -> Vec<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let groups = status.lines().find_map(|line| line.strip_prefix("Groups:"));
    groups.unwrap_or_default().split_whitespace().filter_map(|group| group.parse().ok()).collect()
}

fn refused(text: &str) -> Answer {
    Answer::Refused { lines: vec![text.to_owned()] }
}

/// Says no without waiting: what does not fit into the empty queue of a new connection is lost.
fn refuse_now(stream: &UnixStream, text: &str) {
    if let Ok(bytes) = line(&refused(text)) {
        let _ = stream.try_write(&bytes);
    }
}
