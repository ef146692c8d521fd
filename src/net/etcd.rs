//! HTTP to one endpoint of an etcd: JSON posted, an answer read. What is asked and what it means is `claim::etcd`.

use crate::claim::etcd::Post;
use crate::vrrp::auth::Secret;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;

/// The longest answer that is read, in bytes: a few keys and what is said of them.
const LONGEST: usize = 64 * 1024;

/// How an etcd is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its endpoints, at least one.
    pub endpoints: Vec<Endpoint>,
    /// What every key begins with, its last slash included.
    pub prefix: String,
    /// Who asks, where that matters there.
    pub login: Option<Login>,
}

/// One of its endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// For people.
    pub name: Arc<str>,
    /// Where it is.
    pub address: SocketAddr,
}

/// A user of an etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The user's name.
    pub user: String,
    /// The password: UTF-8.
    pub password: Secret,
}

/// A connection to an endpoint, for one post after the other.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: HeaderValue,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// One line for people.
    pub async fn open(address: SocketAddr) -> Result<Self, String> {
        let stream = TcpStream::connect(address).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
            _ => error.to_string(),
        })?;
        // Small posts that wait for nothing.
        let _ = stream.set_nodelay(true);
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        // Ends with the sender; its error reaches the post as well.
        tokio::spawn(connection);
        let host = HeaderValue::from_str(&address.to_string()).map_err(|error| error.to_string())?;
        Ok(Connection { sender, host })
    }

    /// Posts, as the user of this token if any. Returns the HTTP status and the body.
    ///
    /// # Errors
    /// One line for people.
    pub async fn post(&mut self, post: &Post, token: Option<&str>) -> Result<(u16, Bytes), String> {
        let mut request = Request::post(post.path).header(HOST, &self.host);
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, token);
        }
        let request = request
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(post.body.clone())))
            .map_err(|error| error.to_string())?;
        let response = self.sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), LONGEST).collect().await;
        Ok((status, body.map_err(|error| error.to_string())?.to_bytes()))
    }
}
