//! One message as a request of HTTP: to a webhook of Slack's kind, to another webhook, to a gateway for SMS.
//!
//! With a key the request is signed, so that its receiver knows who sent it and when:
//! `Locum-Signature: t=SECONDS,v1=HEX`, where HEX is the HMAC-SHA-256 of `SECONDS.BODY`, SECONDS being the time
//! of this attempt since 1970. Whoever verifies computes the same over the body as it came, compares without
//! telling where the first difference is, and refuses what is older than a few minutes.
//!
//! The URL, the values of headers and the body may hold secrets: errors and `Debug` show the host alone.

use super::message::{Batch, Receiver};
use super::template::{Escape, Field, Template};
use crate::stream::dial::Lane;
use crate::stream::http::{authority, exchange, retry_after};
use crate::stream::retry::{Refusal, judge};
use crate::stream::tls;
use crate::vrrp::auth::Secret;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Uri};
use jiff::Timestamp;
use sha2::Sha256;
use std::fmt;
use tokio::time::timeout;

/// The header with the signature; the case of its letters does not count.
pub const SIGNATURE: &str = "locum-signature";

/// A request for each message.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Post {
    /// Host and port.
    pub target: (String, u16),
    /// TLS; plain when absent.
    pub tls: Option<tls::Config>,
    /// The path with its query, from the first `/` on.
    pub path: Template,
    /// The method, in capitals.
    pub method: String,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// The body and its type; without, there is none.
    pub body: Option<(Template, String)>,
    /// How the sentence is escaped before it is put into the body.
    pub markup: Escape,
    /// What requests are signed with.
    pub key: Option<Secret>,
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").field("target", &self.target).finish_non_exhaustive()
    }
}

impl Post {
    /// Where it goes, as far as that is no secret: `https://hooks.example`.
    #[must_use]
    pub fn shown(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", authority(&self.target, self.tls.is_some()))
    }

    /// How values are escaped in a body of this type.
    #[must_use]
    pub fn escape(content_type: &str) -> Escape {
        match content_type.split(';').next().unwrap_or_default().trim() {
            "application/x-www-form-urlencoded" => Escape::Url,
            kind if kind == "application/json" || kind.ends_with("+json") => Escape::Json,
            _ => Escape::Plain,
        }
    }

    /// The request, with `value` of each place, signed at this time, in seconds since 1970.
    ///
    /// # Errors
    /// What cannot be sent, in words without secrets.
    pub fn request(
        &self,
        value: impl Fn(Field) -> String,
        seconds: i64,
    ) -> Result<Request<Full<Bytes>>, String> {
        let (body, kind) = match &self.body {
            Some((body, kind)) => (body.fill(Post::escape(kind), &value), Some(kind)),
            None => (String::new(), None),
        };
        let signature = self.key.as_ref().map(|key| signature(key, seconds, &body));
        let method = Method::from_bytes(self.method.as_bytes());
        let path = self.path.fill(Escape::Url, &value);
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = method.map_err(|_| format!("{} is no HTTP method", self.method))?;
        *request.uri_mut() =
            path.parse::<Uri>().map_err(|_| "the path of the url cannot be one".to_owned())?;
        let agent = concat!("locum/", env!("CARGO_PKG_VERSION")).to_owned();
        let own = [
            (HOST, Some(authority(&self.target, self.tls.is_some()))),
            (USER_AGENT, Some(agent)),
            (CONTENT_TYPE, kind.cloned()),
        ];
        let own = own.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let signed = signature.map(|signature| (HeaderName::from_static(SIGNATURE), signature));
        for (name, value) in own.chain(signed) {
            let value = HeaderValue::from_str(&value).map_err(|_| format!("header {name} is not allowed"))?;
            request.headers_mut().insert(name, value);
        }
        for (name, value) in &self.headers {
            let header = name.parse::<HeaderName>().map_err(|_| format!("{name} is no header name"))?;
            let value = HeaderValue::from_str(value)
                .map_err(|_| format!("the value of header {name} is not allowed"))?;
            request.headers_mut().insert(header, value);
        }
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        Ok(request)
    }
}

/// `t=SECONDS,v1=HEX`
fn signature(key: &Secret, seconds: i64, body: &str) -> String {
    // A key of any length is good for HMAC.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.expose()) else { return String::new() };
    mac.update(format!("{seconds}.{body}").as_bytes());
    format!("t={seconds},v1={}", HEXLOWER.encode(&mac.finalize().into_bytes()))
}

/// Sends a message about `batch`.
pub(super) async fn deliver(
    post: &Post,
    receiver: &Receiver,
    batch: &Batch,
    lane: &Lane,
) -> Result<(), Refusal> {
    let value = |field| receiver.value(field, post.markup, batch);
    let named = |refusal: Refusal| refusal.map(|why| format!("{}: {why}", post.shown()));
    let request = post.request(value, Timestamp::now().as_second()).map_err(Refusal::Never).map_err(named)?;
    match timeout(
        receiver.timeout,
        exchange(&post.target, post.tls.as_ref(), request, receiver.timeout, 0, lane),
    )
    .await
    {
        Ok(answer) => answer.and_then(|answer| judge(answer.status().as_u16(), retry_after(&answer))),
        Err(_) => Err(Refusal::later(format!("no answer within {:?}", receiver.timeout))),
    }
    .map_err(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with `openssl dgst -sha256 -hmac`.
    #[test]
    fn a_signature_is_one_that_others_compute_too() {
        let key = Secret::new(*b"0123456789abcdef0123456789abcdef");
        let wanted = "t=1700000000,v1=70621ae723b1125e141691d342aea2ad55105dd4be26d2c1df5dbbb5f91c47d4";
        assert_eq!(signature(&key, 1_700_000_000, "{\"to\": \"MASTER\"}"), wanted);
    }

    #[test]
    fn a_type_says_how_its_values_are_escaped() {
        assert_eq!(Post::escape("application/json; charset=utf-8"), Escape::Json);
        assert_eq!(Post::escape("application/cloudevents+json"), Escape::Json);
        assert_eq!(Post::escape("application/x-www-form-urlencoded"), Escape::Url);
        assert_eq!(Post::escape("text/plain"), Escape::Plain);
    }

    #[test]
    fn nothing_but_the_host_is_shown() {
        let post = Post {
            target: ("::1".to_owned(), 8443),
            tls: Some(tls::Config::default()),
            path: Template::parse("/hush/{to}").unwrap(),
            method: "POST".to_owned(),
            headers: vec![("Authorization".to_owned(), "Bearer hush\n".to_owned())],
            body: Some((Template::parse("hush").unwrap(), "text/plain".to_owned())),
            markup: Escape::Plain,
            key: Some(Secret::new(*b"hush")),
        };
        assert_eq!(post.shown(), "https://[::1]:8443");
        assert_eq!(format!("{post:?}"), r#"Post { target: ("::1", 8443), .. }"#);
        let refused = post.request(|_| String::new(), 0).unwrap_err();
        assert_eq!(refused, "the value of header Authorization is not allowed");
    }
}
