//! One mail over SMTP (RFC 5321): plain, with STARTTLS (RFC 3207) or over TLS from the start (RFC 8314),
//! with AUTH PLAIN or LOGIN (RFC 4954) where there is a password.
//!
//! What the relay does not offer is not gone without: no mail in the clear in place of TLS, and no password
//! in the clear unless that is written. Replies to a password are shown as their number alone.

use super::mail::{Mail, Mailbox};
use super::one_line;
use crate::stream::dial::Lane;
use crate::stream::retry::Refusal;
use crate::stream::{Stream, tls};
use crate::vrrp::auth::Secret;
use data_encoding::BASE64;
use std::io;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::time::timeout;

/// The longest reply that is read, in bytes.
const LONGEST_REPLY: u64 = 16 << 10;

/// How the relay is spoken to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Transport {
    /// What hides the mail on its way.
    pub security: Security,
    /// Which certificates are good enough.
    pub tls: tls::Config,
    /// Who we are to the relay, where it has to know.
    pub login: Option<Login>,
}

/// What hides a mail on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Security {
    /// Nothing.
    #[default]
    Plain,
    /// TLS, asked for once connected.
    StartTls,
    /// TLS from the start.
    Tls,
}

/// A user of the relay.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Login {
    /// The name.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// Hands `text`, ended by CR LF and with its dots doubled, to the relay. `refused` is told of recipients that
/// are not taken while others are.
pub(super) async fn deliver(
    mail: &Mail,
    text: &str,
    lane: &Lane,
    refused: &(dyn Fn(String) + Send + Sync),
) -> Result<(), Refusal> {
    let (host, port) = &mail.relay;
    let named = |why: String| format!("relay {host} port {port}: {why}");
    match timeout(mail.timeout, talk(mail, text, lane, refused)).await {
        Ok(result) => result.map_err(|refusal| refusal.map(named)),
        Err(_) => Err(Refusal::later(named(format!("not done within {:?}", mail.timeout)))),
    }
}

async fn talk(
    mail: &Mail,
    text: &str,
    lane: &Lane,
    refused: &(dyn Fn(String) + Send + Sync),
) -> Result<(), Refusal> {
    let (host, port) = &mail.relay;
    let tcp = lane.connect(host, *port, mail.timeout).await.map_err(|error| later(&error))?;
    let security = mail.transport.security;
    let mut session = Session::over(match security {
        Security::Tls => encrypted(tcp, mail, lane).await?,
        Security::Plain | Security::StartTls => Box::new(tcp),
    });
    session.reply(2).await?;
    let mut offers = session.greet(mail).await?;
    if security == Security::StartTls {
        if !offers.iter().any(|line| line.eq_ignore_ascii_case("STARTTLS")) {
            return Err(Refusal::Never("it offers no STARTTLS".to_owned()));
        }
        session.say("STARTTLS", 2).await?;
        // Whatever is here already was said by somebody on the way.
        if !session.stream.buffer().is_empty() {
            return Err(Refusal::Never("it goes on in the clear behind STARTTLS".to_owned()));
        }
        session = Session::over(encrypted(session.stream.into_inner(), mail, lane).await?);
        offers = session.greet(mail).await?;
    }
    session.hand_over(mail, &offers, text, refused).await
}

async fn encrypted(
    stream: impl Stream + 'static,
    mail: &Mail,
    lane: &Lane,
) -> Result<Box<dyn Stream>, Refusal> {
    let stream = lane.encrypt(stream, &mail.transport.tls, &mail.relay.0, &[]).await;
    Ok(Box::new(stream.map_err(Refusal::later)?))
}

fn later(error: &io::Error) -> Refusal {
    Refusal::later(error.to_string())
}

struct Session {
    stream: BufReader<Box<dyn Stream>>,
}

impl Session {
    fn over(stream: Box<dyn Stream>) -> Self {
        Session { stream: BufReader::new(stream) }
    }

    /// Introduces us. Returns what the relay offers, a line each.
    async fn greet(&mut self, mail: &Mail) -> Result<Vec<String>, Refusal> {
        match self.say(&format!("EHLO {}", mail.helo), 2).await {
            Err(Refusal::Never(_)) => {
                self.say(&format!("HELO {}", mail.helo), 2).await?;
                Ok(Vec::new())
            }
            offers => offers,
        }
    }

    async fn hand_over(
        &mut self,
        mail: &Mail,
        offers: &[String],
        text: &str,
        report: &(dyn Fn(String) + Send + Sync),
    ) -> Result<(), Refusal> {
        if let Some(login) = &mail.transport.login {
            self.log_in(login, offers).await?;
        }
        self.say(&format!("MAIL FROM:<{}>", mail.from.address), 2).await?;
        let mut refused: Vec<(&Mailbox, Refusal)> = Vec::new();
        for mailbox in &mail.to {
            if let Err(why) = self.say(&format!("RCPT TO:<{}>", mailbox.address), 2).await {
                refused.push((mailbox, why));
            }
        }
        if refused.len() == mail.to.len() {
            // One that may be taken later decides.
            refused.sort_by_key(|(_, why)| matches!(why, Refusal::Never(_)));
            return refused.into_iter().next().map_or(Ok(()), |(_, why)| Err(why));
        }
        for (mailbox, why) in refused {
            report(format!("recipient {} not taken: {}", mailbox.address, why.why()));
        }
        self.say("DATA", 3).await?;
        self.stream.write_all(text.as_bytes()).await.map_err(|error| later(&error))?;
        self.say(".", 2).await?;
        // It is taken; how the relay ends the talk is its own affair.
        let _ = self.stream.write_all(b"QUIT\r\n").await;
        let _ = self.stream.flush().await;
        Ok(())
    }

    async fn log_in(&mut self, login: &Login, offers: &[String]) -> Result<(), Refusal> {
        let user = login.user.as_bytes();
        let password = login.password.expose();
        let said = if offers_auth(offers, "PLAIN") {
            let both = [b"\0", user, b"\0", password].concat();
            self.say(&format!("AUTH PLAIN {}", BASE64.encode(&both)), 2).await
        } else if offers_auth(offers, "LOGIN") {
            self.say("AUTH LOGIN", 3).await?;
            self.say(&BASE64.encode(user), 3).await?;
            self.say(&BASE64.encode(password), 2).await
        } else {
            return Err(Refusal::Never("it offers neither AUTH PLAIN nor AUTH LOGIN".to_owned()));
        };
        said.map(drop).map_err(|refusal| match refusal {
            Refusal::Never(why) => Refusal::Never(format!("user or password not taken: {}", bare(&why))),
            later @ Refusal::Later(..) => later.map(|why| format!("no log-in: {}", bare(&why))),
        })
    }

    async fn say(&mut self, line: &str, wanted: u8) -> Result<Vec<String>, Refusal> {
        self.stream.write_all(format!("{line}\r\n").as_bytes()).await.map_err(|error| later(&error))?;
        self.stream.flush().await.map_err(|error| later(&error))?;
        self.reply(wanted).await
    }

    /// Reads a reply of one or more lines, and judges it by its first digit. Returns its lines without their
    /// numbers.
    async fn reply(&mut self, wanted: u8) -> Result<Vec<String>, Refusal> {
        let mut reader = (&mut self.stream).take(LONGEST_REPLY);
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            reader.read_until(b'\n', &mut line).await.map_err(|error| later(&error))?;
            let text = one_line(String::from_utf8_lossy(&line).trim_end());
            match line.as_slice() {
                [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b'-', ..] if line.ends_with(b"\n") => {
                    lines.push(text.chars().skip(4).collect());
                }
                [first, b'0'..=b'9', b'0'..=b'9', ..] if line.ends_with(b"\n") => {
                    lines.push(text.chars().skip(4).collect());
                    return match first.wrapping_sub(b'0') {
                        digit if digit == wanted => Ok(lines),
                        5 => Err(Refusal::Never(text)),
                        _ => Err(Refusal::later(text)),
                    };
                }
                _ if reader.limit() == 0 => return Err(Refusal::later("its answer has no end")),
                [] => return Err(Refusal::later("it hung up")),
                _ => return Err(Refusal::later(format!("it does not speak SMTP: {text}"))),
            }
        }
    }
}

/// The number of a reply, or our own words: the rest may say again what the relay was told.
fn bare(why: &str) -> &str {
    match why.find(|c: char| !c.is_ascii_digit()) {
        Some(0) => why.split(':').next().unwrap_or_default(),
        Some(end) => &why[..end],
        None => why,
    }
}

/// Whether one of the lines is `AUTH …` with this mechanism.
fn offers_auth(offers: &[String], mechanism: &str) -> bool {
    offers.iter().any(|line| {
        // Some write AUTH=, as it was before there was a standard.
        let mut words = line.split([' ', '=']);
        words.next().is_some_and(|word| word.eq_ignore_ascii_case("AUTH"))
            && words.any(|word| word.eq_ignore_ascii_case(mechanism))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_a_password_is_not_said_again() {
        assert_eq!(bare("535 no such password: hush"), "535");
        assert_eq!(bare("535"), "535");
        assert_eq!(bare("it does not speak SMTP: hush"), "it does not speak SMTP");
        assert_eq!(bare("it hung up"), "it hung up");
    }

    #[test]
    fn a_mechanism_is_offered_as_a_word_of_the_auth_line_alone() {
        let offers = ["SIZE 100", "auth PLAIN-CLIENTTOKEN Login", "PLAIN"].map(str::to_owned);
        assert!(offers_auth(&offers, "LOGIN") && !offers_auth(&offers, "PLAIN"));
        assert!(offers_auth(&["AUTH=LOGIN PLAIN".to_owned()], "LOGIN"));
        assert!(!offers_auth(&[], "PLAIN"));
    }
}
