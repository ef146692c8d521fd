//! Receivers by mail: a real mail server with STARTTLS, with TLS from the start, and with a password.

use super::{HUSH, Told, receiver};
use locum::agent::Standing::{Fault, Master};
use locum::notify::mail::{Mail, Mailbox};
use locum::notify::message::{Receiver, Way};
use locum::notify::smtp::{Login, Security, Transport};
use locum::stream::tls;
use locum::vrrp::auth::Secret;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// What a server of the test does.
#[derive(Clone, Copy, Default)]
struct Manner {
    /// Speaks TLS from the start, and does not offer STARTTLS.
    wrapped: bool,
    /// Offers no STARTTLS.
    open: bool,
    /// Lets a user log in without TLS.
    trusting: bool,
    /// Mechanisms that it does not offer.
    without: &'static str,
}

/// A mail server of Debian's with a certificate for `localhost` of its own, and a user `locum`.
struct Server {
    child: Child,
    port: u16,
    place: TempDir,
}

impl Server {
    fn start(manner: Manner) -> Server {
        let place = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(place.path().join("crt"), made.cert.pem()).unwrap();
        fs::write(place.path().join("key"), made.signing_key.serialize_pem()).unwrap();
        fs::create_dir(place.path().join("mails")).unwrap();
        let Manner { wrapped, open, trusting, without } = manner;
        let (wrapped, open) = (python(wrapped), python(open));
        let program = format!(
            "import asyncio, os, ssl, sys, time\n\
             from aiosmtpd.smtp import SMTP, AuthResult\n\
             os.chdir({:?})\n\
             class Keep:\n\
             \x20   async def handle_DATA(self, server, session, envelope):\n\
             \x20       tls = (session.ssl is not None) or {wrapped}\n\
             \x20       name = 'mails/%020d' % time.monotonic_ns()\n\
             \x20       head = 'tls=%s user=%s\\n' % (tls, (session.auth_data or b'-').decode())\n\
             \x20       with open(name + '.part', 'wb') as file: file.write(head.encode() + envelope.content)\n\
             \x20       os.rename(name + '.part', name)\n\
             \x20       return '250 kept'\n\
             def check(server, session, envelope, mechanism, data):\n\
             \x20   good = data.login == b'locum' and data.password == {HUSH:?}.encode()\n\
             \x20   if good: return AuthResult(success=True, auth_data=mechanism.encode())\n\
             \x20   return AuthResult(success=False, handled=False, message='535 not ' + data.password.decode())\n\
             context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n\
             context.load_cert_chain('crt', 'key')\n\
             def session():\n\
             \x20   return SMTP(Keep(), hostname='localhost', authenticator=check, auth_require_tls={},\n\
             \x20       auth_exclude_mechanism={without:?}.split(),\n\
             \x20       tls_context=None if {wrapped} or {open} else context)\n\
             async def main():\n\
             \x20   loop = asyncio.get_running_loop()\n\
             \x20   server = await loop.create_server(session, '127.0.0.1', 0, ssl=context if {wrapped} else None)\n\
             \x20   print(server.sockets[0].getsockname()[1], flush=True)\n\
             \x20   await server.serve_forever()\n\
             asyncio.run(main())\n",
            place.path().display(),
            python(!trusting && !manner.wrapped),
        );
        let mut command = Command::new("/usr/bin/python3");
        let command = command.args(["-c", &program]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("python3");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().expect("scripts/test installs python3-aiosmtpd");
        Server { child, port, place }
    }

    /// The mails so far, in their order.
    fn mails(&self) -> Vec<String> {
        let entries =
            fs::read_dir(self.place.path().join("mails")).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = entries.filter(|path| path.extension().is_none()).collect();
        files.sort();
        files.iter().map(|path| fs::read_to_string(path).unwrap().replace("\r\n", "\n")).collect()
    }

    /// One who gets mails from here, by a user with this password.
    fn receiver(&self, security: Security, password: Option<&str>) -> Receiver {
        let login = password
            .map(|password| Login { user: "locum".to_owned(), password: Secret::new(password.as_bytes()) });
        let tls = tls::Config { verify: true, ca_file: Some(self.place.path().join("crt")) };
        let mail = Mail {
            relay: ("localhost".to_owned(), self.port),
            transport: Transport { security, tls, login },
            helo: "lb1.example.org".to_owned(),
            from: Mailbox::parse("locum@example.org").unwrap(),
            to: vec![Mailbox::parse("ann@example.org").unwrap()],
            timeout: Duration::from_secs(10),
            faults: true,
        };
        Receiver { retries: 0, ..receiver(Way::Mail(Box::new(mail))) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn python(yes: bool) -> &'static str {
    if yes { "True" } else { "False" }
}

/// Sends one mail that is taken; returns it.
async fn sent(server: &Server, receiver: Receiver) -> String {
    let told = Told::start(receiver);
    told.tell("web", Master);
    told.until("told", |status| status.sent + status.failed > 0).await;
    assert_eq!(told.lines(), [""; 0]);
    server.mails().remove(0)
}

/// Why a mail is not taken.
async fn refused(server: &Server, receiver: Receiver) -> String {
    let told = Told::start(receiver);
    told.tell("web", Master);
    told.until("told", |status| status.sent + status.failed > 0).await;
    assert!(server.mails().is_empty(), "{:?}", server.mails());
    let error = told.status().last_error.expect("an error");
    let relay = format!("relay localhost port {}: ", server.port);
    error.strip_prefix(&relay).unwrap_or_else(|| panic!("{error}")).to_owned()
}

#[tokio::test]
async fn a_mail_goes_over_starttls_with_a_password_by_either_mechanism() {
    for (without, mechanism) in [("", "PLAIN"), ("PLAIN", "LOGIN")] {
        let server = Server::start(Manner { without, ..Manner::default() });
        let mail = sent(&server, server.receiver(Security::StartTls, Some(HUSH))).await;
        assert!(mail.starts_with(&format!("tls=True user={mechanism}\n")), "{mail}");
        assert!(mail.contains("Subject: [lb1] VRRP Instance web - Entering MASTER state\n"), "{mail}");
    }
}

#[tokio::test]
async fn a_mail_goes_over_tls_from_the_start() {
    let server = Server::start(Manner { wrapped: true, ..Manner::default() });
    let mail = sent(&server, server.receiver(Security::Tls, Some(HUSH))).await;
    assert!(mail.starts_with("tls=True user=PLAIN\n"), "{mail}");
}

#[tokio::test]
async fn a_password_goes_in_the_clear_only_where_that_is_written() {
    let open = Manner { open: true, trusting: true, ..Manner::default() };
    let server = Server::start(open);
    let why = refused(&server, server.receiver(Security::StartTls, Some(HUSH))).await;
    assert_eq!(why, "it offers no STARTTLS");
    let mail = sent(&server, server.receiver(Security::Plain, Some(HUSH))).await;
    assert!(mail.starts_with("tls=False user=PLAIN\n"), "{mail}");
}

#[tokio::test]
async fn a_wrong_password_is_said_without_what_the_relay_says_to_it() {
    let server = Server::start(Manner::default());
    let why = refused(&server, server.receiver(Security::StartTls, Some("hush-wrong"))).await;
    assert_eq!(why, "user or password not taken: 535");
}

#[tokio::test]
async fn a_relay_that_takes_no_password_gets_none() {
    let server = Server::start(Manner { without: "PLAIN LOGIN", ..Manner::default() });
    let why = refused(&server, server.receiver(Security::StartTls, Some(HUSH))).await;
    assert_eq!(why, "it offers neither AUTH PLAIN nor AUTH LOGIN");
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts_or_for_another_name_gets_no_mail() {
    let (server, other) = (Server::start(Manner::default()), Server::start(Manner::default()));
    let mut strange = server.receiver(Security::StartTls, Some(HUSH));
    if let Way::Mail(mail) = &mut strange.way {
        mail.transport.tls.ca_file = Some(other.place.path().join("crt"));
    }
    assert_eq!(refused(&server, strange).await, "certificate is not by a trusted authority");
    let mut named = server.receiver(Security::StartTls, Some(HUSH));
    if let Way::Mail(mail) = &mut named.way {
        mail.relay.0 = "127.0.0.1".to_owned();
    }
    let told = Told::start(named);
    told.tell("web", Master);
    told.until("told", |status| status.failed > 0).await;
    let error = told.status().last_error.unwrap();
    assert!(error.ends_with("certificate is not for 127.0.0.1"), "{error}");
    assert!(server.mails().is_empty());
}

#[tokio::test]
async fn a_storm_is_one_mail() {
    let server = Server::start(Manner::default());
    let told = Told::start(server.receiver(Security::StartTls, Some(HUSH)));
    for number in 0..50 {
        told.tell(&format!("r{number}"), Fault);
    }
    told.until("told", |status| status.sent == 1 && status.waiting == 0).await;
    let mails = server.mails();
    assert_eq!(mails.len(), 1);
    assert!(mails[0].contains("Subject: [lb1] VRRP summary - 50 transitions\n"), "{}", mails[0]);
    assert!(mails[0].contains("\nrouter r0: FAULT now, after 1 transition\n"), "{}", mails[0]);
}
