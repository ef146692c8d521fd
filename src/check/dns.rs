//! Probe: a name server answers a query, over UDP, and over TCP when the answer is cut short
//! (RFC 1035, RFC 7766).

use super::target::{Target, connect_one, race, resolve, said, socket};
use super::{Attempt, Pattern, Schedule, random};
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use socket2::{Protocol, Type};
use std::fmt::Write as _;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;

pub use hickory_proto::rr::{Name, RecordType};

/// What to ask, and what must come back besides success.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// The name server; its port is mostly 53.
    pub server: Target,
    /// The name to ask for; taken as absolute.
    pub name: Name,
    /// The type of record to ask for.
    pub record: RecordType,
    /// One of the answers of that type, as text ("192.0.2.1", "10 mail.example."), must match.
    /// Without, no answer at all is good too.
    pub expect: Option<Pattern>,
}

pub(super) async fn probe(config: &Config, attempt: &Attempt<'_>) -> Result<(), String> {
    let addresses = resolve(&config.server, attempt).await?;
    attempt.awaits("the answer");
    let (query, schedule) = (query(config), attempt.schedule.clone());
    let answer = race(addresses, move |address| ask(address, query.clone(), schedule.clone())).await?;
    judge(config, &answer)
}

fn query(config: &Config) -> Message {
    let mut name = config.name.clone();
    name.set_fqdn(true);
    let [high, low, ..] = random().to_be_bytes();
    let mut query = Message::new(u16::from_be_bytes([high, low]), MessageType::Query, OpCode::Query);
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(name, config.record));
    query
}

async fn ask(address: SocketAddr, query: Message, schedule: Schedule) -> Result<Message, String> {
    let bytes = query.to_vec().map_err(|error| format!("the query cannot be written: {error}"))?;
    let answer = over_udp(address, &query, &bytes, &schedule).await?;
    if answer.metadata.truncation { over_tcp(address, &query, &bytes, schedule).await } else { Ok(answer) }
}

async fn over_udp(
    address: SocketAddr,
    query: &Message,
    bytes: &[u8],
    schedule: &Schedule,
) -> Result<Message, String> {
    let failed = |error: std::io::Error| said(&error, &address.to_string());
    let plain = socket(address, Type::DGRAM, Protocol::UDP, schedule)?;
    let socket = UdpSocket::from_std(plain.into()).map_err(failed)?;
    socket.connect(address).await.map_err(failed)?;
    socket.send(bytes).await.map_err(failed)?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let length = socket.recv(&mut buffer).await.map_err(failed)?;
        // What does not fit the question may be forged or late: keep listening.
        if let Ok(answer) = Message::from_vec(buffer.get(..length).unwrap_or_default())
            && answers(query, &answer)
        {
            return Ok(answer);
        }
    }
}

async fn over_tcp(
    address: SocketAddr,
    query: &Message,
    bytes: &[u8],
    schedule: Schedule,
) -> Result<Message, String> {
    let failed = |error: std::io::Error| said(&error, &address.to_string());
    let mut stream = connect_one(address, schedule).await?;
    let length = u16::try_from(bytes.len()).map_err(|_| "the query is too long".to_owned())?;
    stream.write_all(&[&length.to_be_bytes(), bytes].concat()).await.map_err(failed)?;
    let mut buffer = vec![0; usize::from(stream.read_u16().await.map_err(failed)?)];
    stream.read_exact(&mut buffer).await.map_err(failed)?;
    match Message::from_vec(&buffer) {
        Ok(answer) if answers(query, &answer) => Ok(answer),
        Ok(_) => Err(format!("{address} answered another question")),
        Err(error) => Err(format!("{address} answered no DNS: {error}")),
    }
}

/// Whether `answer` is one to `query`. Servers that cannot read a query may leave it out.
fn answers(query: &Message, answer: &Message) -> bool {
    answer.metadata.message_type == MessageType::Response
        && answer.metadata.id == query.metadata.id
        && (answer.queries == query.queries
            || (answer.queries.is_empty() && answer.metadata.response_code != ResponseCode::NoError))
}

fn judge(config: &Config, answer: &Message) -> Result<(), String> {
    let asked = format!("{} {}", config.name, config.record);
    if answer.metadata.response_code != ResponseCode::NoError {
        return Err(format!("{asked}: {}", answer.metadata.response_code));
    }
    let Some(pattern) = &config.expect else {
        return Ok(());
    };
    let found: Vec<_> = answer
        .answers
        .iter()
        .filter(|record| record.record_type() == config.record)
        .map(|record| {
            let mut text = String::new();
            // Not `to_string`: that would panic on a record that has no text.
            let _ = write!(text, "{}", record.data);
            text
        })
        .collect();
    if found.iter().any(|text| pattern.matches(text.as_bytes())) {
        return Ok(());
    }
    Err(match found.len() {
        0 => format!("{asked}: no such record"),
        _ => format!("{asked}: no answer matches {pattern}: {}", found.join(", ")),
    })
}
