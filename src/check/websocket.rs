//! Probe: a WebSocket (RFC 6455) opens, answers, and closes.

use super::endpoint::Endpoint;
use super::{Attempt, Pattern, random};
use crate::stream::Stream;
use futures_util::{SinkExt, StreamExt};
use hyper::header::{CONNECTION, HeaderName, HeaderValue, UPGRADE};
use hyper::{Method, Request};
use std::fmt;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// The longest message that is read, in bytes.
pub const MESSAGE: usize = 64 * 1024;
/// How many messages are looked at before giving up.
pub const MESSAGES: usize = 256;
/// How long the server may take to return our farewell. It has passed by then.
const FAREWELL: Duration = Duration::from_millis(500);

/// What to open and say. Without `send` and `expect` a ping must be answered by its pong.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Config {
    /// The server and the resource.
    pub endpoint: Endpoint,
    /// Sent as a text message once open.
    pub send: Option<String>,
    /// One of the first [`MESSAGES`] messages must match.
    pub expect: Option<Pattern>,
}

impl fmt::Debug for Config {
    /// Without what is sent, which can hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("endpoint", &self.endpoint)
            .field("send", &self.send.as_ref().map(|_| "…"))
            .field("expect", &self.expect)
            .finish()
    }
}

impl Config {
    pub(super) fn request(&self) -> Result<Request<()>, String> {
        let scheme = if self.endpoint.tls.is_some() { "wss" } else { "ws" };
        let mut request = self.endpoint.request(Method::GET, Some(scheme), ())?;
        let key = HeaderValue::from_str(&generate_key()).map_err(|error| error.to_string())?;
        let headers = request.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(HeaderName::from_static("sec-websocket-version"), HeaderValue::from_static("13"));
        headers.insert(HeaderName::from_static("sec-websocket-key"), key);
        Ok(request)
    }
}

type Socket = WebSocketStream<Box<dyn Stream>>;

pub(super) async fn probe(config: &Config, attempt: &Attempt<'_>) -> Result<(), String> {
    let request = config.request()?;
    let stream = config.endpoint.open(attempt).await?;
    attempt.awaits("the upgrade");
    let limits = WebSocketConfig::default().max_message_size(Some(MESSAGE)).max_frame_size(Some(MESSAGE));
    let opened = client_async_with_config(request, stream, Some(limits)).await;
    let (mut socket, _) = opened.map_err(|error| text(&error))?;
    if let Some(line) = &config.send {
        socket.send(Message::text(line.as_str())).await.map_err(|error| text(&error))?;
    }
    if let Some(pattern) = &config.expect {
        attempt.awaits("a message that matches");
        expect(&mut socket, pattern).await?;
    } else {
        attempt.awaits("the pong");
        ping(&mut socket).await?;
    }
    close(&mut socket, attempt).await;
    Ok(())
}

async fn next(socket: &mut Socket) -> Result<Message, String> {
    match socket.next().await {
        Some(Ok(Message::Close(Some(frame)))) => {
            Err(format!("closed by the server with code {}", frame.code))
        }
        Some(Ok(Message::Close(None))) | None => Err("closed by the server".to_owned()),
        Some(Ok(message)) => Ok(message),
        Some(Err(error)) => Err(text(&error)),
    }
}

async fn expect(socket: &mut Socket, pattern: &Pattern) -> Result<(), String> {
    for _ in 0..MESSAGES {
        if let message @ (Message::Text(_) | Message::Binary(_)) = next(socket).await?
            && pattern.matches(&message.into_data())
        {
            return Ok(());
        }
    }
    Err(format!("none of {MESSAGES} messages matches {pattern}"))
}

async fn ping(socket: &mut Socket) -> Result<(), String> {
    let token = random().to_be_bytes().to_vec();
    socket.send(Message::Ping(token.clone().into())).await.map_err(|error| text(&error))?;
    for _ in 0..MESSAGES {
        if matches!(next(socket).await?, Message::Pong(answer) if answer == token) {
            return Ok(());
        }
    }
    Err(format!("no pong among {MESSAGES} messages"))
}

/// Says goodbye, and hears the server out for a moment; the verdict stands whatever comes.
async fn close(socket: &mut Socket, attempt: &Attempt<'_>) {
    let left = attempt.deadline.saturating_duration_since(Instant::now());
    let farewell = async {
        if socket.close(None).await.is_ok() {
            for _ in 0..MESSAGES {
                if !matches!(socket.next().await, Some(Ok(_))) {
                    break;
                }
            }
        }
    };
    let _ = timeout(FAREWELL.min(left / 2), farewell).await;
}

fn text(error: &Error) -> String {
    match error {
        Error::Http(response) => format!("status {}, wanted 101", response.status().as_u16()),
        Error::Io(error) => format!("connection lost: {error}"),
        Error::ConnectionClosed | Error::AlreadyClosed => "closed by the server".to_owned(),
        Error::Capacity(_) => format!("a message of more than {MESSAGE} bytes"),
        Error::Protocol(error) => format!("the answer is not a WebSocket: {error}"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Target;

    #[test]
    fn debug_output_hides_what_is_sent() {
        let endpoint = Endpoint::new(Target::new("10.0.0.5", 80), "/");
        let config = Config { endpoint, send: Some("login hush".to_owned()), expect: None };
        assert!(!format!("{config:?}").contains("hush"));
    }
}
