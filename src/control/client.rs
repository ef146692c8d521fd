//! The asking end of the control socket, for the command line: blocking, and never for ever.

use super::{Answer, LONGEST_ANSWER, Question, line};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};
use thiserror::Error;

/// Why there is no answer. `Display` is one line with its mend.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error(
        "the daemon is not running: nobody listens on {0}; start it (`systemctl start locum`) \
         or name its socket with --socket"
    )]
    NotRunning(String),
    /// The socket's mode keeps us out.
    #[error("may not use {0}: ask as root or as a member of the socket's group")]
    NotAllowed(String),
    /// It did not answer within the given time.
    #[error("the daemon on {0} did not answer within {1:?}; see its log")]
    TimedOut(String, Duration),
    /// It answered something that this program does not understand.
    #[error("the daemon on {0} gave no answer that this version understands: {1}")]
    Garbled(String, String),
    /// Anything else.
    #[error("control socket {0}: {1}")]
    Failed(String, io::Error),
}

/// Asks the daemon behind `path`, and waits for its answer, altogether not longer than `within`.
pub fn ask(path: &Path, question: &Question, within: Duration) -> Result<Answer, ClientError> {
    let name = || path.display().to_string();
    let failed = |error: io::Error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => ClientError::NotRunning(name()),
        ErrorKind::PermissionDenied => ClientError::NotAllowed(name()),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => ClientError::TimedOut(name(), within),
        _ => ClientError::Failed(name(), error),
    };
    let garbled = |text: &str| ClientError::Garbled(name(), text.to_owned());
    let until = Instant::now() + within;
    let mut stream = connect(path, until).map_err(failed)?;
    let question = line(question).map_err(|error| garbled(&error.to_string()))?;
    match stream.write_all(&question) {
        // Whoever refuses without listening has said why.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(failed(error)),
        _ => {}
    }
    let answer = read_line(&mut stream, until).map_err(failed)?;
    let Some(answer) = answer.strip_suffix(b"\n") else {
        return Err(garbled(if answer.is_empty() { "it hung up" } else { "it broke off or never ended" }));
    };
    serde_json::from_slice(answer).map_err(|error| garbled(&error.to_string()))
}

fn connect(path: &Path, until: Instant) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // For a connection too: a daemon that hangs has a full queue before long.
    socket.set_write_timeout(Some(left(until)?))?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(UnixStream::from(std::os::fd::OwnedFd::from(socket)))
}

fn read_line(stream: &mut UnixStream, until: Instant) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut chunk = vec![0; 64 << 10];
    while answer.last() != Some(&b'\n') && answer.len() <= LONGEST_ANSWER {
        stream.set_read_timeout(Some(left(until)?))?;
        let got = match stream.read(&mut chunk) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            got => got?,
        };
        if got == 0 {
            break;
        }
        answer.extend(chunk.iter().take(got));
    }
    Ok(answer)
}

fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}
