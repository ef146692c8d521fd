//! The name server of a lab: one zone, over TCP, for whoever signs with its key (TSIG, RFC 8945). It remembers when a
//! name came to hold something else.

use super::network::Host;
use super::zone::Zone;
use hickory_proto::op::Message;
use hickory_proto::rr::rdata::tsig::{TsigAlgorithm, TsigError};
use hickory_proto::rr::{Name, TSigResponseContext, TSigner};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// Its port.
const PORT: u16 = 53;
/// By how much clocks may differ, in seconds. All hosts of a lab have the same.
const FUDGE: u16 = 300;
/// How long whoever asks may take.
const WITHIN: Duration = Duration::from_secs(1);

/// What a name held from this moment on.
pub type Moment = (Instant, Vec<IpAddr>);

/// It runs until the lab ends.
#[derive(Clone, Debug)]
pub struct NameServer(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    zone: Zone,
    watched: Name,
    moments: Vec<Moment>,
}

impl NameServer {
    /// Starts it on a host, for this zone, with a key of this name and these bytes (HMAC-SHA-256). Remembers what
    /// `watched` holds.
    ///
    /// # Errors
    /// The port is taken, or a name is none.
    pub fn start(host: &Host, zone: &str, watched: &str, key: (&str, &[u8])) -> io::Result<Self> {
        let listener = host.within(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)))??;
        NameServer::on(listener, zone, watched, key)
    }

    fn on(listener: TcpListener, zone: &str, watched: &str, key: (&str, &[u8])) -> io::Result<Self> {
        let signer = TSigner::new(key.1.to_vec(), TsigAlgorithm::HmacSha256, name(key.0)?, FUDGE);
        let signer = signer.map_err(io::Error::other)?;
        let inner = Inner { zone: Zone::new(name(zone)?), watched: name(watched)?, moments: Vec::new() };
        let server = NameServer(Arc::new(Mutex::new(inner)));
        let serving = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Whoever asks badly hears nothing.
                let _ = serving.attend(stream, &signer);
            }
        });
        Ok(server)
    }

    /// What the watched name has held since then, each with its beginning.
    #[must_use]
    pub fn moments(&self, since: Instant) -> Vec<Moment> {
        self.inner().moments.iter().filter(|(at, _)| *at >= since).cloned().collect()
    }

    /// What the watched name holds.
    #[must_use]
    pub fn holds(&self) -> Vec<IpAddr> {
        self.inner().held()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attend(&self, mut stream: TcpStream, signer: &TSigner) -> io::Result<()> {
        stream.set_read_timeout(Some(WITHIN))?;
        stream.set_write_timeout(Some(WITHIN))?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut asked = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut asked)?;
        let answer = self.answer(&asked, signer)?;
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes(), answer.as_slice()].concat())
    }

    fn answer(&self, asked: &[u8], signer: &TSigner) -> io::Result<Vec<u8>> {
        let message = Message::from_vec(asked).map_err(io::Error::other)?;
        let now =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(io::Error::other)?.as_secs();
        let (id, code) = (message.metadata.id, message.metadata.op_code);
        let refused = || Message::error_msg(id, code, hickory_proto::op::ResponseCode::NotAuth);
        let (mut answer, context) = match signer.verify_message_byte(asked, None, true) {
            Ok((mac, _, good)) if good.contains(&now) => {
                let answer = self.inner().answer(&message);
                (answer, TSigResponseContext::new(id, now, signer.clone(), mac, None))
            }
            Ok((mac, ..)) => {
                let late = Some(TsigError::BadTime);
                (refused(), TSigResponseContext::new(id, now, signer.clone(), mac, late))
            }
            Err(_) => (refused(), TSigResponseContext::bad_signature(id, now, signer.clone())),
        };
        let unsigned = answer.to_vec().map_err(io::Error::other)?;
        answer.set_signature(context.sign(&unsigned).map_err(io::Error::other)?);
        answer.to_vec().map_err(io::Error::other)
    }
}

impl Inner {
    fn held(&self) -> Vec<IpAddr> {
        self.zone.addresses(&self.watched).into_iter().map(IpAddr::V4).collect()
    }

    fn answer(&mut self, asked: &Message) -> Message {
        let before = self.held();
        let answer = self.zone.answer(asked);
        let now = self.held();
        if now != before {
            self.moments.push((Instant::now(), now));
        }
        answer
    }
}

fn name(text: &str) -> io::Result<Name> {
    let mut name = Name::from_ascii(text).map_err(io::Error::other)?;
    name.set_fqdn(true);
    Ok(name)
}
