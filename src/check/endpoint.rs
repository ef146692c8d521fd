//! The web server that an HTTP or WebSocket probe speaks to: how to reach it, what to ask it.

use super::target::{Target, connect};
use super::{Attempt, tls};
use crate::stream::Stream;
use hyper::header::{HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Uri};
use std::fmt;

/// A web server and a resource on it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Where to connect.
    pub target: Target,
    /// TLS; plain when absent.
    pub tls: Option<tls::Config>,
    /// The name asked for in TLS (SNI) and in the `Host` header, when not the target's host.
    pub server_name: Option<String>,
    /// The path with its query, from the first `/` on.
    pub path: String,
    /// Further headers; `Host` and `User-Agent` replace ours.
    pub headers: Vec<(String, String)>,
    /// Why something that belongs into the request cannot be read: then it is never sent.
    pub unread: Option<String>,
}

impl fmt::Debug for Endpoint {
    /// Without the query and the header values: both can hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("target", &self.target)
            .field("tls", &self.tls)
            .field("server_name", &self.server_name)
            .field("path", &self.path.split('?').next().unwrap_or_default())
            .field("headers", &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("unread", &self.unread)
            .finish()
    }
}

impl Endpoint {
    /// The resource `path` on `target`, without TLS and further headers.
    #[must_use]
    pub fn new(target: Target, path: &str) -> Self {
        let (headers, path) = (Vec::new(), path.to_owned());
        Endpoint { target, tls: None, server_name: None, path, headers, unread: None }
    }

    fn name(&self) -> &str {
        self.server_name.as_ref().unwrap_or(&self.target.host)
    }

    /// Host and port as they stand in a URL, the scheme's own port left out.
    fn authority(&self) -> String {
        let usual = if self.tls.is_some() { 443 } else { 80 };
        let whole = Target::new(self.name(), self.target.port).to_string();
        match whole.strip_suffix(&format!(":{usual}")) {
            Some(host) if self.target.port == usual => host.to_owned(),
            _ => whole,
        }
    }

    /// A request for the resource. With a `scheme` its URI is absolute.
    pub(super) fn request<B>(
        &self,
        method: Method,
        scheme: Option<&str>,
        body: B,
    ) -> Result<Request<B>, String> {
        if !self.path.starts_with('/') {
            return Err(format!("path {} does not begin with /", self.path));
        }
        if self.tls.is_some() {
            tls::server_name(self.name())?;
        }
        let authority = self.authority();
        let uri = match scheme {
            Some(scheme) => format!("{scheme}://{authority}{}", self.path),
            None => self.path.clone(),
        };
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri.parse::<Uri>().map_err(|error| format!("path {}: {error}", self.path))?;
        let host = HeaderValue::from_str(&authority).map_err(|_| format!("{authority} is no host name"))?;
        request.headers_mut().insert(HOST, host);
        let agent = concat!("locum/", env!("CARGO_PKG_VERSION"));
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(agent));
        self.add_headers(&mut request)?;
        Ok(request)
    }

    fn add_headers<B>(&self, request: &mut Request<B>) -> Result<(), String> {
        for (name, value) in &self.headers {
            let header = name.parse::<HeaderName>().map_err(|_| format!("{name} is no header name"))?;
            let value = HeaderValue::from_str(value)
                .map_err(|_| format!("the value of header {name} is not allowed"))?;
            if header == HOST || header == USER_AGENT {
                request.headers_mut().insert(header, value);
            } else {
                request.headers_mut().append(header, value);
            }
        }
        Ok(())
    }

    /// Connects, with TLS where wanted.
    pub(super) async fn open(&self, attempt: &Attempt<'_>) -> Result<Box<dyn Stream>, String> {
        if let Some(why) = &self.unread {
            return Err(why.clone());
        }
        let stream = connect(&self.target, attempt).await?;
        // One small request: nothing to gain from waiting for more to send.
        let _ = stream.set_nodelay(true);
        Ok(match &self.tls {
            Some(config) => Box::new(tls::wrap(stream, config, self.name(), attempt).await?),
            None => Box::new(stream),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint::new(Target::new("10.0.0.5", 80), "/health?token=hush")
    }

    fn host(endpoint: &Endpoint) -> String {
        let request = endpoint.request(Method::GET, None, ()).unwrap();
        request.headers()[HOST].to_str().unwrap().to_owned()
    }

    #[test]
    fn the_host_header_names_the_server_and_an_unusual_port() {
        assert_eq!(host(&endpoint()), "10.0.0.5");
        let tls = Some(tls::Config::default());
        assert_eq!(host(&Endpoint { tls, ..endpoint() }), "10.0.0.5:80");
        let named = Endpoint { server_name: Some("www.example".into()), ..endpoint() };
        assert_eq!(host(&named), "www.example");
        let six = Endpoint { target: Target::new("::1", 8080), ..endpoint() };
        assert_eq!(host(&six), "[::1]:8080");
        let headers = vec![("host".to_owned(), "other".to_owned())];
        assert_eq!(host(&Endpoint { headers, ..endpoint() }), "other");
    }

    #[test]
    fn a_request_that_cannot_be_sent_is_refused_with_its_reason() {
        let refused = |endpoint: Endpoint| endpoint.request(Method::GET, None, ()).unwrap_err();
        assert_eq!(refused(Endpoint { path: "x".into(), ..endpoint() }), "path x does not begin with /");
        let split = vec![("X-A".to_owned(), "b\r\nEvil: c".to_owned())];
        assert_eq!(
            refused(Endpoint { headers: split, ..endpoint() }),
            "the value of header X-A is not allowed"
        );
        let name = vec![("a b".to_owned(), "c".to_owned())];
        assert_eq!(refused(Endpoint { headers: name, ..endpoint() }), "a b is no header name");
    }

    #[test]
    fn debug_output_shows_no_secrets() {
        let headers = vec![("Authorization".to_owned(), "Bearer hush".to_owned())];
        let shown = format!("{:?}", Endpoint { headers, ..endpoint() });
        assert!(shown.contains("Authorization") && shown.contains("/health"), "{shown}");
        assert!(!shown.contains("hush"), "{shown}");
    }
}
