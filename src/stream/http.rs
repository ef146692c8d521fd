//! One request over HTTP/1.1, with TLS or without, on a connection of its own.
//!
//! Redirections are not followed: what a request holds would go where nobody has sent it.

use super::dial::Lane;
use super::retry::Refusal;
use super::{Stream, said, tls};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::RETRY_AFTER;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use std::time::Duration;

/// The longest head of an answer, in bytes.
const HEAD: usize = 64 << 10;

/// Host and port as they stand in a URL, the scheme's own port left out.
#[must_use]
pub fn authority((host, port): &(String, u16), encrypted: bool) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let usual = if encrypted { 443 } else { 80 };
    if *port == usual { host } else { format!("{host}:{port}") }
}

/// Sends `request` to `target`. Of the answer's body up to `most` bytes are read, and a longer one is an
/// error; with 0 none is waited for. Looking up and connecting end after `within`; the rest is the caller's
/// to limit.
///
/// # Errors
/// There is no answer, in words without secrets.
pub async fn exchange(
    target: &(String, u16),
    tls: Option<&tls::Config>,
    request: Request<Full<Bytes>>,
    within: Duration,
    most: usize,
    lane: &Lane,
) -> Result<Response<Bytes>, Refusal> {
    let (name, port) = target;
    let stream = lane.connect(name, *port, within).await;
    let stream = stream.map_err(|error| Refusal::later(said(&error, name)))?;
    match tls {
        None => ask(stream, request, most).await,
        Some(config) => {
            let stream = lane.encrypt(stream, config, name, &[b"http/1.1"]).await;
            ask(stream.map_err(Refusal::later)?, request, most).await
        }
    }
}

async fn ask(
    stream: impl Stream,
    request: Request<Full<Bytes>>,
    most: usize,
) -> Result<Response<Bytes>, Refusal> {
    let later = |error: hyper::Error| Refusal::later(format!("no good answer: {error}"));
    let mut builder = http1::Builder::new();
    builder.max_header_size(HEAD);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(later)?;
    let answer = async {
        let (head, body) = sender.send_request(request).await.map_err(later)?.into_parts();
        if most == 0 {
            return Ok(Response::from_parts(head, Bytes::new()));
        }
        let body = Limited::new(body, most).collect().await;
        let body = body.map_err(|error| Refusal::later(format!("no good answer: {error}")))?;
        Ok(Response::from_parts(head, body.to_bytes()))
    };
    let drive = async {
        // Its error reaches the request as well.
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = answer => answer,
        () = drive => Err(Refusal::later("connection closed")),
    }
}

/// After how long to come again, where the answer says it: in seconds, or as a date.
#[must_use]
pub fn retry_after<T>(answer: &Response<T>) -> Option<Duration> {
    after(answer.headers().get(RETRY_AFTER)?.to_str().ok()?, Timestamp::now())
}

fn after(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
    Some(Duration::try_from(at.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_names_a_time_in_seconds_or_as_a_date() {
        let now = Timestamp::from_second(1_445_412_400).unwrap();
        assert_eq!(after("120", now), Some(Duration::from_secs(120)));
        assert_eq!(after("Wed, 21 Oct 2015 07:28:00 GMT", now), Some(Duration::from_secs(80)));
        assert_eq!(after("Wed, 21 Oct 2015 07:20:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(after("soon", now), None);
    }
}
