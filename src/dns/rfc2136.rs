//! Dynamic updates (RFC 2136) of a name server, signed (TSIG, RFC 8945), over TCP (RFC 7766).
//!
//! What was read is the prerequisite of what is written: the server changes all or nothing. Its answers have to
//! be signed as well, so that nobody else can say that it did.

use super::{Found, Record, Wrote};
use crate::stream::dial::Lane;
use crate::stream::retry::Refusal;
use crate::stream::said;
use crate::vrrp::Family;
use crate::vrrp::auth::Secret;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
use hickory_proto::rr::{DNSClass, Name, RData, Record as Entry, RecordType, TSigner};
use jiff::Timestamp;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::IpAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// By how much clocks may differ, in seconds (RFC 8945 section 10).
const FUDGE: u16 = 300;

/// A name server that takes updates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Host and port.
    pub target: (String, u16),
    /// The zone that the record is in, without a dot at its end.
    pub zone: String,
    /// What the key is called.
    pub key_name: String,
    /// How messages are signed.
    pub algorithm: Algorithm,
    /// The key.
    pub key: Secret,
}

/// How messages are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// hmac-sha256
    #[default]
    Sha256,
    /// hmac-sha384
    Sha384,
    /// hmac-sha512
    Sha512,
}

impl Server {
    pub(super) async fn read(&self, record: &Record, lane: &Lane) -> Result<Found, Refusal> {
        let (host, kind) = (name(&record.host)?, kind(record));
        let mut query = message(OpCode::Query);
        query.add_query(Query::query(host.clone(), kind));
        let answer = self.ask(query, lane).await?;
        match answer.metadata.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain if !answer.metadata.authoritative => {
                return Err(Refusal::Never(self.named(&format!("it is no authority for {}", record.host))));
            }
            ResponseCode::NoError | ResponseCode::NXDomain => {}
            other => return Err(self.refusal(other)),
        }
        let mut found = Found::default();
        for entry in answer.answers.iter().filter(|entry| entry.name == host) {
            let address = match &entry.data {
                RData::A(address) => IpAddr::V4(address.0),
                RData::AAAA(address) => IpAddr::V6(address.0),
                RData::CNAME(_) => {
                    return Err(Refusal::Never(self.named(&format!("{} is an alias", record.host))));
                }
                _ => continue,
            };
            found.addresses.insert(address);
            found.ttl = Some(entry.ttl);
        }
        Ok(found)
    }

    pub(super) async fn write(
        &self,
        record: &Record,
        found: &Found,
        address: IpAddr,
        lane: &Lane,
    ) -> Result<Wrote, Refusal> {
        let (host, kind) = (name(&record.host)?, kind(record));
        let mut update = self.update(record, found)?;
        if !found.addresses.is_empty() {
            update.add_authority(none_of(&host, kind, DNSClass::ANY));
        }
        update.add_authority(Entry::from_rdata(host, record.ttl, data(address)));
        self.send(update, lane).await
    }

    /// Adds what is there, or deletes what is not there (RFC 2136 section 3.4.2).
    pub(super) async fn rehearse(
        &self,
        record: &Record,
        found: &Found,
        lane: &Lane,
    ) -> Result<Option<Wrote>, Refusal> {
        let (host, kind) = (name(&record.host)?, kind(record));
        let mut update = self.update(record, found)?;
        match (found.addresses.first(), found.ttl) {
            (Some(address), Some(ttl)) => {
                update.add_authority(Entry::from_rdata(host, ttl, data(*address)));
            }
            _ => drop(update.add_authority(none_of(&host, kind, DNSClass::ANY))),
        }
        self.send(update, lane).await.map(Some)
    }

    /// An update of nothing yet, provided that the record still holds what was `found`.
    fn update(&self, record: &Record, found: &Found) -> Result<Message, Refusal> {
        let mut zone = Query::query(name(&self.zone)?, RecordType::SOA);
        zone.set_query_class(DNSClass::IN);
        let mut update = message(OpCode::Update);
        update.add_query(zone);
        let host = name(&record.host)?;
        if found.addresses.is_empty() {
            // Section 2.4.3: no such records are there.
            update.add_answer(none_of(&host, kind(record), DNSClass::NONE));
        }
        for address in &found.addresses {
            // Section 2.4.2: exactly these are.
            update.add_answer(Entry::from_rdata(host.clone(), 0, data(*address)));
        }
        Ok(update)
    }

    async fn send(&self, update: Message, lane: &Lane) -> Result<Wrote, Refusal> {
        match self.ask(update, lane).await?.metadata.response_code {
            ResponseCode::NoError => Ok(Wrote::Done),
            ResponseCode::YXDomain
            | ResponseCode::NXDomain
            | ResponseCode::YXRRSet
            | ResponseCode::NXRRSet => Ok(Wrote::Conflict),
            other => Err(self.refusal(other)),
        }
    }

    fn refusal(&self, code: ResponseCode) -> Refusal {
        let why = match code {
            ResponseCode::Refused | ResponseCode::NotAuth => {
                format!("the key {} may not do that", self.key_name)
            }
            ResponseCode::NotZone => format!("the record is not in its zone {}", self.zone),
            other => return Refusal::later(self.named(&other.to_string())),
        };
        Refusal::Never(self.named(&why))
    }

    fn named(&self, why: &str) -> String {
        format!("name server {}: {why}", self.target.0)
    }

    async fn ask(&self, mut question: Message, lane: &Lane) -> Result<Message, Refusal> {
        let later = |why: String| Refusal::later(self.named(&why));
        let never = |why: String| Refusal::Never(self.named(&why));
        let algorithm = match self.algorithm {
            Algorithm::Sha256 => TsigAlgorithm::HmacSha256,
            Algorithm::Sha384 => TsigAlgorithm::HmacSha384,
            Algorithm::Sha512 => TsigAlgorithm::HmacSha512,
        };
        let signer = TSigner::new(self.key.expose().to_vec(), algorithm, name(&self.key_name)?, FUDGE);
        let signer = signer.map_err(|error| never(error.to_string()))?;
        let now = u64::try_from(Timestamp::now().as_second()).unwrap_or_default();
        let verifier = question.finalize(&signer, now).map_err(|error| never(error.to_string()))?;
        let bytes = question.to_vec().map_err(|error| never(error.to_string()))?;
        let (host, port) = &self.target;
        // The caller limits all of it.
        let stream = lane.connect(host, *port, std::time::Duration::from_secs(60)).await;
        let answer = match stream {
            Ok(stream) => exchange(stream, &bytes).await,
            Err(error) => Err(error),
        };
        let answer = answer.map_err(|error| Refusal::later(said(&error, host)))?;
        let read = Message::from_vec(&answer).map_err(|error| later(format!("no good answer: {error}")))?;
        if read.metadata.id != question.metadata.id {
            return Err(later("it answered another question".to_owned()));
        }
        if verifier.is_none_or(|mut verifier| verifier.verify(&answer).is_ok()) {
            return Ok(read);
        }
        // Who does not know the key cannot sign with it, and Knot does not where the key may not do that.
        Err(if read.metadata.response_code == ResponseCode::NotAuth {
            let why = "is unknown to it, may not do that, or its clock is another than ours";
            never(format!("the key {} {why}", self.key_name))
        } else {
            later("its answer is not signed with the key".to_owned())
        })
    }
}

async fn exchange(mut stream: TcpStream, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), bytes].concat()).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

fn message(code: OpCode) -> Message {
    // Signatures tell answers apart; this is for those who look for it.
    let chance = RandomState::new().build_hasher().finish();
    let [high, low, ..] = chance.to_be_bytes();
    Message::new(u16::from_be_bytes([high, low]), MessageType::Query, code)
}

fn name(text: &str) -> Result<Name, Refusal> {
    let mut name =
        Name::from_ascii(text).map_err(|error| Refusal::Never(format!("{text} is no name: {error}")))?;
    name.set_fqdn(true);
    Ok(name)
}

const fn kind(record: &Record) -> RecordType {
    match record.family {
        Family::Ipv4 => RecordType::A,
        Family::Ipv6 => RecordType::AAAA,
    }
}

/// The records of this kind as a whole: with class NONE as a prerequisite, with ANY as what goes.
fn none_of(host: &Name, kind: RecordType, class: DNSClass) -> Entry {
    let mut entry = Entry::update0(host.clone(), 0, kind);
    entry.dns_class = class;
    entry
}

fn data(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(address) => RData::A(address.into()),
        IpAddr::V6(address) => RData::AAAA(address.into()),
    }
}

/// Whether this can be a name in DNS.
#[must_use]
pub fn is_name(text: &str) -> bool {
    Name::from_ascii(text).is_ok_and(|name| !name.is_root())
}
