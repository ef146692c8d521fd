//! Mails on transitions: one for each new state, as keepalived sends them.
//!
//! One task sends them in their order and tries again, after ever longer pauses, what the relay did
//! not take. Where more wait than [`ROOM`], the oldest are lost, counted and reported.

use super::message::News;
use super::one_line;
use super::smtp::{self, Transport};
use crate::agent::{Standing, Subject, Transition};
use crate::stream::dial::Lane;
use crate::stream::retry::Refusal;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
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

/// How mails leave.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mail {
    /// The relay: host name or address, and port.
    pub relay: (String, u16),
    /// How the relay is spoken to.
    pub transport: Transport,
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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mailbox {
    /// As it is written in the configuration: `Ann <ann@example.org>`.
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

    /// As it stands in a header: only the name may be encoded (RFC 2047 section 5), and letters that mean
    /// something there, such as a comma, stand in quotes (RFC 5322 section 3.2.4).
    fn header(&self) -> String {
        let Some((name, _)) = self.written.rsplit_once('<') else { return self.written.clone() };
        let (name, address) = (name.trim(), &self.address);
        let plain = |c: char| c.is_ascii_alphanumeric() || " !#$%&'*+-/=?^_`{|}~".contains(c);
        let quoted = name.len() >= 2 && name.starts_with('"') && name.ends_with('"');
        if name.is_empty() {
            address.clone()
        } else if !name.is_ascii() {
            format!("{} <{address}>", header(name.trim_matches('"')))
        } else if quoted || name.chars().all(plain) {
            format!("{name} <{address}>")
        } else {
            format!("\"{}\" <{address}>", name.replace('\\', "\\\\").replace('"', "\\\""))
        }
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
        Message::of(&News::of(transition, at), node)
    }

    /// The same, of news.
    pub(super) fn of(news: &News, node: &str) -> Self {
        let News { subject, from, to, reason, priority, addresses, at, .. } = news;
        let kind = match subject {
            Subject::Router(_) => "Instance",
            Subject::Group(_) => "Group",
        };
        let name = one_line(subject.name());
        let mut body = format!(
            "{}: {} is {to} now; it was {from}.\nReason: {reason}.\n",
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
        Message::new(format!("[{node}] VRRP {kind} {name} - Entering {to} state"), body, *at)
    }

    /// A mail with this subject and these lines.
    pub(super) fn new(subject: String, body: String, at: Timestamp) -> Self {
        Message { subject, body, at }
    }

    /// The whole mail as it is sent, lines ended by CR LF, without the final dot.
    pub(super) fn text(&self, mail: &Mail) -> String {
        let to: Vec<_> = mail.to.iter().map(Mailbox::header).collect();
        let date = rfc2822::DateTimePrinter::new().timestamp_to_string(&self.at).unwrap_or_default();
        let id = format!("{}.{}@{}", self.at.as_nanosecond(), std::process::id(), mail.helo);
        let mut text = format!(
            "Date: {date}\r\nFrom: {}\r\nTo: {}\r\nSubject: {}\r\nMessage-ID: <{id}>\r\n\
             MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: 8bit\r\nAuto-Submitted: auto-generated\r\n\r\n",
            mail.from.header(),
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
    lane: Lane,
    report: Box<dyn Fn(Report) + Send + Sync>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<(Instant, Message)>,
    lost: u64,
    closed: bool,
}

impl Mailer {
    /// Starts the task. Must be called on the runtime; `report` must not block.
    #[must_use]
    pub fn start(mail: Mail, report: impl Fn(Report) + Send + Sync + 'static) -> Self {
        let (queue, wake, lane) = <_>::default();
        let shared = Arc::new(Shared { mail, queue, wake, lane, report: Box::new(report) });
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
            let refused = |why| (self.report)(Report::Failed(why));
            let text = message.text(&self.mail);
            match smtp::deliver(&self.mail, &text, &self.lane, &refused).await {
                Err(Refusal::Later(why, _)) if !closed && since.elapsed() < GIVE_UP => {
                    (self.report)(Report::Again(why, pause));
                    self.rest(pause).await;
                    pause = (pause * 2).min(RETRY_LONGEST);
                    continue;
                }
                Err(Refusal::Later(why, _) | Refusal::Never(why)) => (self.report)(Report::Failed(why)),
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
            transport: Transport::default(),
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
    fn a_name_is_encoded_or_quoted_and_its_address_never() {
        for (written, wanted) in [
            ("ann@example.org", "ann@example.org"),
            ("<ann@example.org>", "ann@example.org"),
            ("Ann Other <ann@example.org>", "Ann Other <ann@example.org>"),
            ("\"Other, Ann\" <ann@example.org>", "\"Other, Ann\" <ann@example.org>"),
            ("Ops, Night (2nd) <ops@example.org>", "\"Ops, Night (2nd)\" <ops@example.org>"),
            ("a\"b <ops@example.org>", "\"a\\\"b\" <ops@example.org>"),
            ("Zoë <zoe@example.org>", "=?UTF-8?Q?=5A=6F=C3=AB?= <zoe@example.org>"),
        ] {
            assert_eq!(Mailbox::parse(written).unwrap().header(), wanted);
        }
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
