//! Probe: a host answers an ICMP echo request (RFC 792, RFC 4443). Needs `CAP_NET_RAW`.

use super::target::{Target, race, resolve, said, socket};
use super::{Attempt, Schedule, random};
use socket2::{Protocol, Type};
use std::net::SocketAddr;
use tokio::net::UdpSocket;

/// Echo request and reply of ICMP over IPv4.
const V4: (u8, u8) = (8, 0);
/// Echo request and reply of `ICMPv6`.
const V6: (u8, u8) = (128, 129);

/// Whom to ping.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// An IP address or a name.
    pub host: String,
}

pub(super) async fn probe(config: &Config, attempt: &Attempt<'_>) -> Result<(), String> {
    let addresses = resolve(&Target::new(&config.host, 0), attempt).await?;
    attempt.awaits("the echo");
    let schedule = attempt.schedule.clone();
    race(addresses, move |address| echo(address, schedule.clone())).await
}

async fn echo(address: SocketAddr, schedule: Schedule) -> Result<(), String> {
    let (protocol, (request, reply)) =
        if address.is_ipv4() { (Protocol::ICMPV4, V4) } else { (Protocol::ICMPV6, V6) };
    let raw = socket(address, Type::RAW, protocol, &schedule)?;
    let failed = |error: std::io::Error| said(&error, &address.ip().to_string());
    // A raw socket is sent to and received from like a UDP one. Connected, it hears only this
    // address. A router's "unreachable" is left to the timeout: it may be about another's ping.
    let socket = UdpSocket::from_std(raw.into()).map_err(failed)?;
    socket.connect(address).await.map_err(failed)?;
    let sent = message(request, random(), random());
    socket.send(&sent).await.map_err(failed)?;
    let mut buffer = [0; 1500];
    loop {
        let length = socket.recv(&mut buffer).await.map_err(failed)?;
        let packet = buffer.get(..length).unwrap_or_default();
        let answer = if address.is_ipv4() { past_ip_header(packet) } else { packet };
        if answers(&sent, answer, reply) {
            return Ok(());
        }
    }
}

/// An echo message: type, code 0, checksum, identifier and sequence number, a token.
fn message(kind: u8, name: u64, token: u64) -> Vec<u8> {
    let mut bytes = vec![kind, 0, 0, 0];
    let [a, b, c, d, ..] = name.to_be_bytes();
    bytes.extend_from_slice(&[a, b, c, d]);
    bytes.extend_from_slice(&token.to_be_bytes());
    // For ICMPv6 the kernel computes it, with the addresses, in this one's place.
    let sum = checksum(&bytes);
    bytes.splice(2..4, sum.to_be_bytes());
    bytes
}

/// The internet checksum (RFC 1071) of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 =
        bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

/// What an IPv4 packet carries; the kernel hands over its header as well.
fn past_ip_header(packet: &[u8]) -> &[u8] {
    let header = packet.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
    packet.get(header..).unwrap_or_default()
}

/// Whether `answer` is the reply to `sent`: same identifier, sequence number and token.
fn answers(sent: &[u8], answer: &[u8], reply: u8) -> bool {
    answer.starts_with(&[reply, 0]) && answer.get(4..) == sent.get(4..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_checks_to_zero() {
        assert_eq!(checksum(&message(8, u64::MAX, 0x0123_4567_89ab_cdef)), 0);
    }

    #[test]
    fn only_the_reply_to_our_own_request_counts() {
        let sent = message(8, 1 << 48, 7);
        let reply = |name, token| message(0, name, token);
        assert!(answers(&sent, &reply(1 << 48, 7), 0));
        assert!(!answers(&sent, &sent, 0), "our own request, seen on loopback");
        assert!(!answers(&sent, &reply(1 << 32, 7), 0), "another sequence number");
        assert!(!answers(&sent, &reply(2 << 48, 7), 0), "another identifier");
        assert!(!answers(&sent, &reply(1 << 48, 8), 0), "another token");
        assert!(!answers(&sent, &[0, 0], 0), "cut short");
    }

    #[test]
    fn packets_cut_short_hold_nothing() {
        assert_eq!(past_ip_header(&[]), b"");
        assert_eq!(past_ip_header(&[0x4f, 0, 0]), b"");
        assert_eq!(past_ip_header(&[[0x45; 20].as_slice(), b"x"].concat()), b"x");
    }
}
