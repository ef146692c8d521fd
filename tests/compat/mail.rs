//! Mails to a real SMTP server, and to some that misbehave.

use crate::{AMPLE, to, until};
use jiff::Timestamp;
use locum::agent::Standing;
use locum::notify::mail::{Mail, Mailbox, Mailer, Message, ROOM, Report};
use locum::notify::smtp::Transport;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

type Reports = Arc<Mutex<Vec<Report>>>;

fn mail(port: u16, to: &[&str]) -> Mail {
    let mailbox = |text: &str| Mailbox::parse(text).expect("a mailbox");
    Mail {
        relay: ("127.0.0.1".to_owned(), port),
        transport: Transport::default(),
        helo: "lb1.example.org".to_owned(),
        from: mailbox("Locum <locum@example.org>"),
        to: to.iter().map(|to| mailbox(to)).collect(),
        timeout: Duration::from_secs(10),
        faults: true,
    }
}

fn mailer(mail: Mail) -> (Mailer, Reports) {
    let reports = Reports::default();
    let sink = Arc::clone(&reports);
    (Mailer::start(mail, move |report| sink.lock().expect("whole").push(report)), reports)
}

fn about(standing: Standing) -> Message {
    Message::about(&to(standing), "lb1", Timestamp::now())
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    listener.local_addr().expect("an address").port()
}

/// A mail server of Debian's that keeps each mail in a file; ends with the test.
struct Server(Child, TempDir);

impl Server {
    async fn start(port: u16) -> Server {
        let place = tempfile::tempdir().expect("a directory");
        let program = format!(
            "import sys, time, os\n\
             from aiosmtpd.controller import Controller\n\
             class Keep:\n\
             \x20   async def handle_RCPT(self, server, session, envelope, address, options):\n\
             \x20       if address.startswith('nobody'): return '550 no such user'\n\
             \x20       envelope.rcpt_tos.append(address)\n\
             \x20       return '250 OK'\n\
             \x20   async def handle_DATA(self, server, session, envelope):\n\
             \x20       name = os.path.join({:?}, '%020d' % time.monotonic_ns())\n\
             \x20       head = '%s|%s|%s\\n' % (session.host_name, envelope.mail_from, ','.join(envelope.rcpt_tos))\n\
             \x20       with open(name + '.part', 'wb') as file: file.write(head.encode() + envelope.content)\n\
             \x20       os.rename(name + '.part', name)\n\
             \x20       return '250 kept'\n\
             Controller(Keep(), hostname='127.0.0.1', port={port}).start()\n\
             print('ready', flush=True)\n\
             sys.stdin.read()\n",
            place.path().display()
        );
        let mut command = Command::new("/usr/bin/python3");
        let child = command.args(["-c", &program]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        let mut server = Server(child.expect("python3"), place);
        until("the mail server listens", || {
            let ended = server.0.try_wait().expect("a child");
            assert!(ended.is_none(), "scripts/test installs python3-aiosmtpd");
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        })
        .await;
        server
    }

    /// The mails so far, in their order.
    fn mails(&self) -> Vec<String> {
        let entries = fs::read_dir(self.1.path()).expect("a directory");
        let whole = |path: &PathBuf| path.extension().is_none();
        let mut files: Vec<_> = entries.map(|entry| entry.expect("a file").path()).filter(whole).collect();
        files.sort();
        let read = |path: &Path| fs::read_to_string(path).expect("a mail").replace("\r\n", "\n");
        files.iter().map(|path| read(path)).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_mail_reaches_every_recipient_with_what_filters_look_for() {
    let port = free_port().await;
    let server = Server::start(port).await;
    let (mailer, reports) = mailer(mail(port, &["Ann <ann@example.org>", "bob@example.org"]));
    mailer.send(about(Standing::Master));
    mailer.send(about(Standing::Backup));
    mailer.finish(AMPLE).await;
    let mails = server.mails();
    assert_eq!(mails.len(), 2);
    let (envelope, text) = mails[0].split_once('\n').expect("two parts");
    assert_eq!(envelope, "lb1.example.org|locum@example.org|ann@example.org,bob@example.org");
    for line in [
        "From: Locum <locum@example.org>\n",
        "To: Ann <ann@example.org>,\n bob@example.org\n",
        "Subject: [lb1] VRRP Instance web - Entering MASTER state\n",
        "\n\nlb1: router web is MASTER now; it was BACKUP.\n",
        "Priority: 150.\n192.0.2.1 is here.\n",
    ] {
        assert!(text.contains(line), "{line:?} is not in {text}");
    }
    assert!(mails[1].contains("Entering BACKUP state") && mails[1].contains("192.0.2.1 is not here"));
    assert_eq!(*reports.lock().expect("whole"), []);
}

#[tokio::test]
async fn a_relay_that_comes_back_gets_what_waited() {
    let port = free_port().await;
    let (mailer, reports) = mailer(mail(port, &["ann@example.org"]));
    mailer.send(about(Standing::Master));
    until("refused", || !reports.lock().expect("whole").is_empty()).await;
    let said = reports.lock().expect("whole")[0].to_string();
    assert!(said.contains("Connection refused") && said.ends_with("trying again in 5s"), "{said}");
    let server = Server::start(port).await;
    until("taken", || server.mails().len() == 1).await;
}

#[tokio::test]
async fn one_wrong_recipient_does_not_keep_the_mail_from_the_others() {
    let port = free_port().await;
    let server = Server::start(port).await;
    let (mailer, reports) = mailer(mail(port, &["nobody@example.org", "ann@example.org"]));
    mailer.send(about(Standing::Fault));
    mailer.finish(AMPLE).await;
    assert!(server.mails()[0].contains("|ann@example.org\n"));
    let said = reports.lock().expect("whole")[0].to_string();
    assert_eq!(said, "mail: recipient nobody@example.org not taken: 550 no such user");
}

#[tokio::test]
async fn a_mail_that_nobody_may_get_is_given_up_and_the_next_one_comes() {
    let port = free_port().await;
    let _server = Server::start(port).await;
    let (mailer, reports) = mailer(mail(port, &["nobody@example.org"]));
    mailer.send(about(Standing::Master));
    mailer.send(about(Standing::Backup));
    mailer.finish(AMPLE).await;
    let wanted = format!("mail: relay 127.0.0.1 port {port}: 550 no such user");
    let said: Vec<_> = reports.lock().expect("whole").iter().map(Report::to_string).collect();
    assert_eq!(said, [wanted.clone(), wanted]);
}

/// A server that answers each line with the next of `answers`, then hangs up.
async fn answering(answers: &'static [&'static str]) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            talk(stream, answers, &sink).await;
        }
    });
    (port, heard)
}

async fn talk(stream: TcpStream, answers: &[&str], heard: &Mutex<Vec<String>>) {
    let mut stream = BufReader::new(stream);
    for answer in answers {
        stream.write_all(answer.as_bytes()).await.expect("written");
        let mut line = String::new();
        stream.read_line(&mut line).await.expect("read");
        heard.lock().expect("whole").push(line.trim_end().to_owned());
    }
}

#[tokio::test]
async fn an_old_relay_is_greeted_as_it_wants() {
    let answers = &["220 old\r\n", "502 what?\r\n", "250-yes\r\n250 yes\r\n", "451 busy\r\n"];
    let (port, heard) = answering(answers).await;
    let (mailer, reports) = mailer(mail(port, &["ann@example.org"]));
    mailer.send(about(Standing::Master));
    until("busy", || !reports.lock().expect("whole").is_empty()).await;
    let heard = heard.lock().expect("whole").clone();
    assert_eq!(heard[..3], ["EHLO lb1.example.org", "HELO lb1.example.org", "MAIL FROM:<locum@example.org>"]);
    let said = reports.lock().expect("whole")[0].to_string();
    assert!(said.ends_with("451 busy; trying again in 5s"), "{said}");
}

#[tokio::test]
async fn what_is_no_mail_server_or_says_nothing_is_said_so() {
    let endless = "220-and so on\r\n".repeat(2000);
    let endless: &'static str = Box::leak(endless.into_boxed_str());
    let list: &'static [&'static str] = Box::leak(Box::new([endless]));
    for (answers, words) in [
        (&["HTTP/1.1 400 Bad Request\r\n"][..], "does not speak SMTP: HTTP/1.1 400"),
        (list, "its answer has no end"),
        (&[], "it hung up"),
        (&[""][..], "not done within 300ms"),
    ] {
        let (port, _) = answering(answers).await;
        let quick = Mail { timeout: Duration::from_millis(300), ..mail(port, &["ann@example.org"]) };
        let (mailer, reports) = mailer(quick);
        mailer.send(about(Standing::Master));
        until("told", || !reports.lock().expect("whole").is_empty()).await;
        let said = reports.lock().expect("whole")[0].to_string();
        assert!(said.contains(words), "{said}");
    }
}

#[tokio::test]
async fn the_newest_mails_are_kept_where_nobody_takes_any() {
    let port = free_port().await;
    let (mailer, reports) = mailer(mail(port, &["ann@example.org"]));
    for _ in 0..ROOM {
        mailer.send(about(Standing::Backup));
    }
    mailer.send(about(Standing::Master));
    assert!(reports.lock().expect("whole").contains(&Report::Lost(1)));
    let server = Server::start(port).await;
    until("all taken", || server.mails().len() == ROOM).await;
    assert!(server.mails().last().expect("a mail").contains("MASTER state"));
}
