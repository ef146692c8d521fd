//! Probe: an HTTP or HTTPS answer has the wanted status and body. Redirects are not followed: a
//! 3xx is a status like another.

use super::endpoint::Endpoint;
use super::{Attempt, Pattern};
use crate::stream::Stream;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use std::ops::RangeInclusive;

/// How much of the body is looked through for a pattern, in bytes.
pub const BODY: usize = 64 * 1024;
/// The longest head of an answer, in bytes.
const HEAD: usize = 64 * 1024;

/// What to ask and which answers are good.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// The server and the resource.
    pub endpoint: Endpoint,
    /// The method, in capitals.
    pub method: String,
    /// The accepted status codes; empty for 200 to 299.
    pub status: Vec<RangeInclusive<u16>>,
    /// What the first [`BODY`] bytes of the body must match. Without, the body is not read.
    pub body: Option<Pattern>,
}

impl Config {
    /// `GET`, 200 to 299, any body.
    #[must_use]
    pub fn get(endpoint: Endpoint) -> Self {
        Config { endpoint, method: "GET".to_owned(), status: Vec::new(), body: None }
    }

    pub(super) fn request(&self) -> Result<Request<Empty<Bytes>>, String> {
        let method = Method::from_bytes(self.method.as_bytes())
            .map_err(|_| format!("{} is no HTTP method", self.method))?;
        let mut request = self.endpoint.request(method, None, Empty::new())?;
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        Ok(request)
    }

    fn accepts(&self, status: u16) -> Result<(), String> {
        let usual = [200..=299];
        let accepted = if self.status.is_empty() { &usual[..] } else { &self.status };
        if accepted.iter().any(|range| range.contains(&status)) {
            return Ok(());
        }
        let wanted: Vec<_> = accepted.iter().map(range_text).collect();
        Err(format!("status {status}, wanted {}", wanted.join(", ")))
    }
}

fn range_text(range: &RangeInclusive<u16>) -> String {
    if range.start() == range.end() {
        range.start().to_string()
    } else {
        format!("{}-{}", range.start(), range.end())
    }
}

pub(super) async fn probe(config: &Config, attempt: &Attempt<'_>) -> Result<(), String> {
    let request = config.request()?;
    let stream = config.endpoint.open(attempt).await?;
    attempt.awaits("the response");
    exchange(config, request, stream, attempt).await
}

async fn exchange(
    config: &Config,
    request: Request<Empty<Bytes>>,
    stream: Box<dyn Stream>,
    attempt: &Attempt<'_>,
) -> Result<(), String> {
    let mut builder = http1::Builder::new();
    builder.max_header_size(HEAD);
    let opened = builder.handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = opened.map_err(|error| text(&error))?;
    let talk = async {
        let response = sender.send_request(request).await.map_err(|error| text(&error))?;
        config.accepts(response.status().as_u16())?;
        let Some(pattern) = &config.body else {
            return Ok(());
        };
        attempt.awaits("the body");
        let body = read(response.into_body()).await?;
        if pattern.matches(&body) { Ok(()) } else { Err(format!("the body does not match {pattern}")) }
    };
    let drive = async {
        // Its error reaches the request as well, which says more.
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        verdict = talk => verdict,
        () = drive => Err("connection closed".to_owned()),
    }
}

async fn read(mut body: Incoming) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    while content.len() < BODY {
        let Some(frame) = body.frame().await else { break };
        if let Ok(data) = frame.map_err(|error| text(&error))?.into_data() {
            let room = BODY - content.len();
            content.extend(data.iter().take(room));
        }
    }
    Ok(content)
}

fn text(error: &hyper::Error) -> String {
    if error.is_parse() {
        format!("the answer is not good HTTP: {error}")
    } else if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        "connection closed before the answer was complete".to_owned()
    } else {
        match std::error::Error::source(error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Target;

    fn config(status: Vec<RangeInclusive<u16>>) -> Config {
        Config { status, ..Config::get(Endpoint::new(Target::new("10.0.0.5", 80), "/")) }
    }

    #[test]
    fn statuses_are_accepted_by_their_ranges() {
        assert_eq!(config(vec![]).accepts(204), Ok(()));
        assert_eq!(config(vec![]).accepts(503).unwrap_err(), "status 503, wanted 200-299");
        assert_eq!(config(vec![200..=200, 301..=302]).accepts(302), Ok(()));
        let refused = config(vec![200..=200, 301..=302]).accepts(303);
        assert_eq!(refused.unwrap_err(), "status 303, wanted 200, 301-302");
    }

    #[test]
    fn a_method_that_is_none_is_refused() {
        let wrong = Config { method: "GET /".to_owned(), ..config(vec![]) };
        assert_eq!(wrong.request().unwrap_err(), "GET / is no HTTP method");
    }
}
