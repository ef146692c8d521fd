//! Mails on transitions, by plain SMTP to a relay nearby (RFC 5321): one for each new state.
//!
//! One task sends them in their order and tries again, after ever longer pauses, what the relay did
//! not take. Where more wait than [`ROOM`], the oldest are lost, counted and reported. No TLS and no
//! password: the relay is this host or one that trusts it.

use super::one_line;
use crate::agent::{Standing, Subject, Transition};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Mails that wait at most.
pub const ROOM: usize = 100;
/// The first pause after a mail was not taken. Doubles.
const RETRY_FIRST: Duration = Duration::from_secs(5);
/// The longest such pause.
const RETRY_LONGEST: Duration = Duration::from_mins(5);
/// A mail that was not taken for so long is news no more.
const GIVE_UP: Duration = Duration::from_hours(4);
/// The longest reply that is read, in bytes.
const LONGEST_REPLY: u64 = 16 << 10;
/// The longest text of a reason in a mail, in characters: a line may have 998 bytes.
const LONGEST_REASON: usize = 200;

/// How mails leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The relay: host name or address, and port.
    pub relay: (String, u16),
    /// How this host introduces itself.
    pub helo: String,
    /// The sender.
    pub from: Mailbox,
    /// The recipients; at least one.
    pub to: Vec<Mailbox>,
    /// How long the relay may take for one mail.
    pub timeout: Duration,
    /// Whether faults are told of.
    pub faults: bool,
}

/// An address, perhaps with the name of its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// As it stands in the header: `Ann <ann@example.org>`.
    pub written: String,
    /// The address alone.
    pub address: String,
}

impl Mailbox {
    /// Reads `ann@example.org` or `Ann <ann@example.org>`; `None` where it is neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let written = text.trim();
        let address = match written.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
            Some((name, address)) if !name.contains(['<', '>']) => address,
            Some(_) => return None,
            None => written,
        };
        let fits = |c: char| c.is_ascii_graphic() && !"<>(),:;\"\\[]".contains(c);
        let good = !address.is_empty() && address.chars().all(fits) && !written.contains(char::is_control);
        good.then(|| Mailbox { written: written.to_owned(), address: address.to_owned() })
    }
}

/// What to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    subject: String,
    body: String,
    at: Timestamp,
}

impl Message {
    /// The mail about `transition` on the host called `node`.
    #[must_use]
    pub fn about(transition: &Transition, node: &str, at: Timestamp) -> Self {
        let Transition { subject, from, to, why, priority, addresses, .. } = transition;
        let kind = match subject {
            Subject::Router(_) => "Instance",
            Subject::Group(_) => "Group",
        };
        let name = one_line(subject.name());
        let why: String = one_line(&why.to_string()).chars().take(LONGEST_REASON).collect();
        let mut body = format!(
            "{}: {} is {to} now; it was {from}.\nReason: {why}.\n",
            one_line(node),
            one_line(&subject.to_string())
        );
        if *priority > 0 {
            let _ = writeln!(body, "Priority: {priority}.");
        }
        for address in addresses {
            let where_to = if *to == Standing::Master { "is here" } else { "is not here" };
            let _ = writeln!(body, "{address} {where_to}.");
        }
        let subject = format!("[{node}] VRRP {kind} {name} - Entering {to} state");
        Message { subject, body, at }
    }

    /// The whole mail as it is sent, lines ended by CR LF, without the final dot.
    fn text(&self, mail: &Mail) -> String {
        let to: Vec<_> = mail.to.iter().map(|mailbox| header(&mailbox.written)).collect();
        let date = rfc2822::DateTimePrinter::new().timestamp_to_string(&self.at).unwrap_or_default();
        let id = format!("{}.{}@{}", self.at.as_nanosecond(), std::process::id(), mail.helo);
        let mut text = format!(
            "Date: {date}\r\nFrom: {}\r\nTo: {}\r\nSubject: {}\r\nMessage-ID: <{id}>\r\n\
             MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: 8bit\r\nAuto-Submitted: auto-generated\r\n\r\n",
            header(&mail.from.written),
            to.join(",\r\n "),
            header(&self.subject),
        );
        for line in self.body.lines() {
            // RFC 5321 section 4.5.2: a leading dot is doubled.
            let dot = if line.starts_with('.') { "." } else { "" };
            let _ = write!(text, "{dot}{line}\r\n");
        }
        text
    }
}

/// A header's value; what is not ASCII as encoded words (RFC 2047), each within its 75 characters.
fn header(text: &str) -> String {
    const BYTES_A_WORD: usize = 20;
    let text = one_line(text);
    if text.is_ascii() {
        return text;
    }
    let mut words = vec![Vec::new()];
    for letter in text.chars() {
        let mut buffer = [0; 4];
        let bytes = letter.encode_utf8(&mut buffer).as_bytes();
        match words.last_mut() {
            Some(word) if word.len() + bytes.len() <= BYTES_A_WORD => word.extend_from_slice(bytes),
            _ => words.push(bytes.to_vec()),
        }
    }
    let encoded = words.iter().map(|word| {
        let mut letters = String::new();
        for byte in word {
            let _ = write!(letters, "={byte:02X}");
        }
        format!("=?UTF-8?Q?{letters}?=")
    });
    encoded.collect::<Vec<_>>().join("\r\n ")
}

/// What is worth a line in the log. `Display` is that line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// Not taken; tried again after the pause.
    Again(String, Duration),
    /// This mail will not be taken, or not by this recipient.
    Failed(String),
    /// So many mails were lost so far, because the relay takes none.
    Lost(u64),
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Report::Again(why, pause) => write!(f, "mail: {why}; trying again in {}s", pause.as_secs()),
            Report::Failed(why) => write!(f, "mail: {why}"),
            Report::Lost(count) => write!(f, "mail: {count} lost so far, the relay takes none"),
        }
    }
}

/// Sends mails.
#[derive(Debug)]
pub struct Mailer {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    mail: Mail,
    queue: Mutex<Queue>,
    wake: Notify,
    report: Box<dyn Fn(Report) + Send + Sync>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<(Instant, Message)>,
    lost: u64,
    closed: bool,
}

/// Why a mail was not taken.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// It may be taken later.
    Later(String),
    /// It never will.
    Never(String),
}

impl Mailer {
    /// Starts the task. Must be called on the runtime; `report` must not block.
    #[must_use]
    pub fn start(mail: Mail, report: impl Fn(Report) + Send + Sync + 'static) -> Self {
        let shared = Shared { mail, queue: Mutex::default(), wake: Notify::new(), report: Box::new(report) };
        let shared = Arc::new(shared);
        Mailer { task: tokio::spawn(Arc::clone(&shared).work()), shared }
    }

    /// How its mails leave.
    #[must_use]
    pub fn mail(&self) -> &Mail {
        &self.shared.mail
    }

    /// Queues a mail and returns at once.
    pub fn send(&self, message: Message) {
        let lost = {
            let mut queue = self.shared.queue();
            queue.waiting.push_back((Instant::now(), message));
            let full = queue.waiting.len() > ROOM;
            if full {
                queue.waiting.pop_front();
                queue.lost += 1;
            }
            full.then_some(queue.lost)
        };
        self.shared.wake.notify_one();
        if let Some(lost) = lost {
            (self.shared.report)(Report::Lost(lost));
        }
    }

    /// Sends what waits, each once more at most, but not longer than `within`.
    pub async fn finish(mut self, within: Duration) {
        self.shared.queue().closed = true;
        self.shared.wake.notify_one();
        if timeout(within, &mut self.task).await.is_err() {
            self.task.abort();
            let left = self.shared.queue().waiting.len();
            (self.shared.report)(Report::Failed(format!("no time was left for {left} of them")));
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("mail", &self.mail).finish_non_exhaustive()
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn work(self: Arc<Self>) {
        let mut pause = RETRY_FIRST;
        loop {
            let (next, closed) = {
                let queue = self.queue();
                (queue.waiting.front().cloned(), queue.closed)
            };
            let Some((since, message)) = next else {
                if closed {
                    return;
                }
                self.wake.notified().await;
                continue;
            };
            match deliver(&self.mail, &message, &*self.report).await {
                Err(Refusal::Later(why)) if !closed && since.elapsed() < GIVE_UP => {
                    (self.report)(Report::Again(why, pause));
                    self.rest(pause).await;
                    pause = (pause * 2).min(RETRY_LONGEST);
                    continue;
                }
                Err(Refusal::Later(why) | Refusal::Never(why)) => (self.report)(Report::Failed(why)),
                Ok(()) => {}
            }
            pause = RETRY_FIRST;
            let mut queue = self.queue();
            // It may have been pushed out meanwhile.
            if queue.waiting.front().is_some_and(|(at, _)| *at == since) {
                queue.waiting.pop_front();
            }
        }
    }

    /// Pauses, but not once closed.
    async fn rest(&self, pause: Duration) {
        let _ = timeout(pause, async {
            while !self.queue().closed {
                self.wake.notified().await;
            }
        })
        .await;
    }
}

async fn deliver(
    mail: &Mail,
    message: &Message,
    report: &(dyn Fn(Report) + Send + Sync),
) -> Result<(), Refusal> {
    let (host, port) = &mail.relay;
    let session = async {
        let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(|error| later(&error))?;
        Session { stream: BufReader::new(stream) }.deliver(mail, message, report).await
    };
    let named = |why: String| format!("relay {host} port {port}: {why}");
    match timeout(mail.timeout, session).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(Refusal::Later(why))) => Err(Refusal::Later(named(why))),
        Ok(Err(Refusal::Never(why))) => Err(Refusal::Never(named(why))),
        Err(_) => Err(Refusal::Later(named(format!("not done within {:?}", mail.timeout)))),
    }
}

fn later(error: &io::Error) -> Refusal {
    Refusal::Later(error.to_string())
}

struct Session {
    stream: BufReader<TcpStream>,
}

impl Session {
    async fn deliver(
        &mut self,
        mail: &Mail,
        message: &Message,
        report: &(dyn Fn(Report) + Send + Sync),
    ) -> Result<(), Refusal> {
        self.reply(2).await?;
        if let Err(Refusal::Never(_)) = self.say(&format!("EHLO {}", mail.helo), 2).await {
            self.say(&format!("HELO {}", mail.helo), 2).await?;
        }
        self.say(&format!("MAIL FROM:<{}>", mail.from.address), 2).await?;
        let mut refused = Vec::new();
        for mailbox in &mail.to {
            match self.say(&format!("RCPT TO:<{}>", mailbox.address), 2).await {
                Ok(()) => {}
                Err(why) => refused.push((&mailbox.address, why)),
            }
        }
        if refused.len() == mail.to.len() {
            // One that may be taken later decides.
            refused.sort_by_key(|(_, why)| matches!(why, Refusal::Never(_)));
            return refused.into_iter().next().map_or(Ok(()), |(_, why)| Err(why));
        }
        for (address, Refusal::Later(why) | Refusal::Never(why)) in refused {
            report(Report::Failed(format!("recipient {address} not taken: {why}")));
        }
        self.say("DATA", 3).await?;
        self.stream.write_all(message.text(mail).as_bytes()).await.map_err(|error| later(&error))?;
        self.say(".", 2).await?;
        // It is taken; how the relay ends the talk is its own affair.
        let _ = self.stream.write_all(b"QUIT\r\n").await;
        Ok(())
    }

    async fn say(&mut self, line: &str, wanted: u8) -> Result<(), Refusal> {
        self.stream.write_all(format!("{line}\r\n").as_bytes()).await.map_err(|error| later(&error))?;
        self.reply(wanted).await
    }

    /// Reads a reply of one or more lines, and judges it by its first digit.
    async fn reply(&mut self, wanted: u8) -> Result<(), Refusal> {
        let mut reader = (&mut self.stream).take(LONGEST_REPLY);
        loop {
            let mut line = Vec::new();
            reader.read_until(b'\n', &mut line).await.map_err(|error| later(&error))?;
            let text = one_line(String::from_utf8_lossy(&line).trim_end());
            match line.as_slice() {
                [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b'-', ..] if line.ends_with(b"\n") => {}
                [first, b'0'..=b'9', b'0'..=b'9', ..] if line.ends_with(b"\n") => {
                    return match first.wrapping_sub(b'0') {
                        digit if digit == wanted => Ok(()),
                        5 => Err(Refusal::Never(text)),
                        _ => Err(Refusal::Later(text)),
                    };
                }
                _ if reader.limit() == 0 => return Err(Refusal::Later("its answer has no end".to_owned())),
                [] => return Err(Refusal::Later("it hung up".to_owned())),
                _ => return Err(Refusal::Later(format!("it does not speak SMTP: {text}"))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::RouterName;
    use crate::vrrp::why::Why;

    fn message(name: &str) -> Message {
        let transition = Transition {
            subject: Subject::Router(RouterName(name.into())),
            from: Standing::Backup,
            to: Standing::Master,
            why: Why::Silence,
            priority: 150,
            addresses: vec!["192.0.2.1".parse().unwrap()],
            peer: None,
            term: None,
        };
        Message::about(&transition, "lb1", Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn the_subject_is_the_one_that_filters_know() {
        assert_eq!(message("web").subject, "[lb1] VRRP Instance web - Entering MASTER state");
    }

    #[test]
    fn a_name_can_neither_add_a_header_nor_end_the_mail() {
        let mut wrong = message("web\r\nBcc: eve@example.org\r\n\r\n.\r\n");
        wrong.body.push_str(".\n..\nend\n");
        let mailbox = Mailbox::parse("root").unwrap();
        let mail = Mail {
            relay: ("::1".to_owned(), 25),
            helo: "lb1".to_owned(),
            from: mailbox.clone(),
            to: vec![mailbox],
            timeout: GIVE_UP,
            faults: true,
        };
        let text = wrong.text(&mail);
        assert!(!text.contains("\r\nBcc") && !text.contains("\r\n.\r\n"), "{text}");
        assert!(text.contains("\r\n..\r\n...\r\nend\r\n"), "{text}");
        assert!(text.starts_with("Date: Thu, 1 Jan 1970 00:00:00 "), "{text}");
    }

    #[test]
    fn letters_beyond_ascii_are_encoded_in_words_of_at_most_75() {
        let encoded = header("Zürich überall, überall");
        assert!(encoded.starts_with("=?UTF-8?Q?=5A=C3=BC"), "{encoded}");
        assert!(encoded.split("\r\n ").all(|word| word.len() <= 75), "{encoded}");
        assert_eq!(header("plain"), "plain");
    }

    #[test]
    fn only_what_can_stand_in_an_envelope_is_a_mailbox() {
        let address = |text| Mailbox::parse(text).map(|mailbox| mailbox.address);
        assert_eq!(address("Ann Other <ann@example.org>").as_deref(), Some("ann@example.org"));
        assert_eq!(address(" root ").as_deref(), Some("root"));
        for wrong in ["", "<>", "a b", "a<b<c>", "a@b>", "Ann <a@b>\r\nBcc: c", "ü@b", "<a@b> c"] {
            assert_eq!(address(wrong), None, "{wrong}");
        }
    }
}
