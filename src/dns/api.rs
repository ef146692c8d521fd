//! One call of a provider's interface over HTTP, and what its answer comes to.

use super::{Found, Wrote};
use crate::stream::dial::Lane;
use crate::stream::http::{authority, exchange, retry_after};
use crate::stream::retry::{Refusal, judge};
use crate::stream::tls;
use crate::vrrp::auth::Secret;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Uri};
use serde_json::Value;
use std::net::IpAddr;
use std::time::Duration;

/// The longest answer, in bytes: what is asked for is one record.
const MOST: usize = 1 << 20;
/// Connecting ends after this; the caller limits all of it, mostly to less.
const WITHIN: Duration = Duration::from_secs(60);
const JSON: &str = "application/json";

/// Where an interface is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// Host and port.
    pub target: (String, u16),
    /// TLS; plain when absent.
    pub tls: Option<tls::Config>,
    /// What all paths begin with; without a slash at its end.
    pub path: String,
}

/// What was answered.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) after: Option<Duration>,
    pub(super) body: Bytes,
}

impl Api {
    /// What the `Host` header says.
    pub(super) fn authority(&self) -> String {
        authority(&self.target, self.tls.is_some())
    }

    /// Names the host, and nothing that may be a secret.
    pub(super) fn named(&self, why: &str) -> String {
        format!("{}: {why}", self.authority())
    }

    /// Sends a request, whose body is of type `kind` unless it is empty.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, String)],
        (body, kind): (String, &'static str),
        lane: &Lane,
    ) -> Result<Answer, Refusal> {
        let never = |why: &str| Refusal::Never(self.named(why));
        let typed = !body.is_empty();
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = method;
        *request.uri_mut() =
            format!("{}{path}", self.path).parse::<Uri>().map_err(|_| never("its path cannot be one"))?;
        let host = HeaderValue::from_str(&self.authority()).map_err(|_| never("it is no host"))?;
        let all = request.headers_mut();
        all.insert(HOST, host);
        all.insert(USER_AGENT, HeaderValue::from_static(concat!("locum/", env!("CARGO_PKG_VERSION"))));
        all.insert(CONNECTION, HeaderValue::from_static("close"));
        if typed {
            all.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        for (name, value) in headers {
            let mut value =
                HeaderValue::from_str(value).map_err(|_| never(&format!("header {name} is not allowed")))?;
            value.set_sensitive(true);
            all.insert(HeaderName::from_static(name), value);
        }
        let answer = exchange(&self.target, self.tls.as_ref(), request, WITHIN, MOST, lane).await;
        let answer = answer.map_err(|refusal| refusal.map(|why| self.named(&why)))?;
        let (status, after) = (answer.status().as_u16(), retry_after(&answer));
        Ok(Answer { status, after, body: answer.into_body() })
    }

    /// Speaks JSON, with a bearer's token. `None` where there is nothing at `path`.
    pub(super) async fn json(
        &self,
        method: Method,
        path: &str,
        token: &Secret,
        body: Option<&Value>,
        lane: &Lane,
    ) -> Result<Option<Value>, Refusal> {
        let secret = String::from_utf8_lossy(token.expose());
        let headers = [("authorization", format!("Bearer {secret}")), ("accept", JSON.to_owned())];
        let body = body.map(Value::to_string).unwrap_or_default();
        let answer = self.send(method, path, &headers, (body, JSON), lane).await?;
        let read = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
        if answer.status == 404 {
            return Ok(None);
        }
        let said = ["/errors/0/message", "/message"].iter().find_map(|at| read.pointer(at)?.as_str());
        let named = |why: String| match said.filter(|said| !said.contains(secret.as_ref())) {
            Some(said) => self.named(&format!("{why}: {said}")),
            None => self.named(&why),
        };
        judge(answer.status, answer.after).map_err(|refusal| refusal.map(named))?;
        Ok(Some(read))
    }

    /// Changes what is at `item`, which may be gone.
    pub(super) async fn change(
        &self,
        item: &str,
        token: &Secret,
        changed: &Value,
        lane: &Lane,
    ) -> Result<Wrote, Refusal> {
        let answer = self.json(Method::PATCH, item, token, Some(changed), lane).await?;
        Ok(if answer.is_some() { Wrote::Done } else { Wrote::Conflict })
    }

    /// Changes one of what was `found` below `path`, or makes one, and deletes the others.
    pub(super) async fn replace(
        &self,
        path: &str,
        token: &Secret,
        (found, address): (&Found, IpAddr),
        (changed, made): (&Value, &Value),
        lane: &Lane,
    ) -> Result<Wrote, Refusal> {
        // One that has the address already, if there is: another with the same address would be refused.
        let (right, others): (Vec<_>, Vec<_>) = found.ids.iter().partition(|(_, held)| *held == address);
        let mut ids = right.into_iter().chain(others).map(|(id, _)| format!("{path}/{id}"));
        if let Some(item) = ids.next() {
            if self.change(&item, token, changed, lane).await? == Wrote::Conflict {
                return Ok(Wrote::Conflict);
            }
        } else {
            let made = self.json(Method::POST, path, token, Some(made), lane).await?;
            made.ok_or_else(|| Refusal::Never(self.named("there is no such zone")))?;
        }
        for item in ids {
            // Gone is what it is to be.
            let _ = self.json(Method::DELETE, &item, token, None, lane).await?;
        }
        Ok(Wrote::Done)
    }

    /// The records in the list at `list` of `answer`; `read` gives the id, address and TTL of one.
    pub(super) fn records(
        &self,
        answer: Option<Value>,
        list: &str,
        read: impl Fn(&Value) -> Option<(String, IpAddr, Option<u32>)>,
    ) -> Result<Found, Refusal> {
        let answer = answer.ok_or_else(|| Refusal::Never(self.named("there is no such zone")))?;
        let bad = || Refusal::later(self.named("its answer is no list of records"));
        let mut found = Found::default();
        for one in answer.get(list).and_then(Value::as_array).ok_or_else(bad)? {
            let (id, address, ttl) = read(one).ok_or_else(bad)?;
            found.addresses.insert(address);
            found.ids.push((id, address));
            found.ttl = ttl;
        }
        Ok(found)
    }
}
