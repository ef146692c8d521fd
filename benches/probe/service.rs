//! A small real service: HTTP on `/` and `/health`, and a WebSocket echo, on one port.

use futures_util::{SinkExt, StreamExt};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::accept_async;

const LONGEST_HEAD: usize = 4 << 10;
const HEAD_WITHIN: Duration = Duration::from_secs(5);
const HEAD_AGAIN: Duration = Duration::from_millis(1);

/// Serves until the process is ended.
pub fn serve(name: &str, port: u16) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // One socket for both families; IPv4 alone where there is no IPv6.
        let listener = match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?,
        };
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let name = name.to_owned();
            tokio::spawn(async move {
                // A client that hangs up or talks nonsense concerns nobody else.
                let _ = converse(stream, &name).await;
            });
        }
    })
}

/// One connection: a WebSocket until it closes, or one HTTP request.
async fn converse(mut stream: TcpStream, name: &str) -> io::Result<()> {
    let head = timeout(HEAD_WITHIN, peek_head(&stream)).await??;
    if head.to_ascii_lowercase().contains("\r\nupgrade: websocket") {
        return echo(stream).await;
    }
    stream.read_exact(&mut vec![0; head.len()]).await?;
    let path = head.split_whitespace().nth(1).unwrap_or_default();
    let (status, body) = match path {
        "/" => ("200 OK", format!("{name}\n")),
        "/health" => ("200 OK", "ok\n".to_owned()),
        _ => ("404 Not Found", "not here\n".to_owned()),
    };
    let length = body.len();
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// Reads the head without taking it: the WebSocket handshake wants to read it itself.
async fn peek_head(stream: &TcpStream) -> io::Result<String> {
    let mut bytes = vec![0; LONGEST_HEAD];
    loop {
        let length = stream.peek(&mut bytes).await?;
        let text = String::from_utf8_lossy(bytes.get(..length).unwrap_or_default());
        match text.find("\r\n\r\n") {
            Some(end) => return Ok(text[..end + 4].to_owned()),
            None if length == 0 || length == LONGEST_HEAD => return Err(io::ErrorKind::InvalidData.into()),
            None => sleep(HEAD_AGAIN).await,
        }
    }
}

async fn echo(stream: TcpStream) -> io::Result<()> {
    let mut socket = accept_async(stream).await.map_err(io::Error::other)?;
    while let Some(message) = socket.next().await {
        let message = message.map_err(io::Error::other)?;
        if message.is_text() || message.is_binary() {
            socket.send(message).await.map_err(io::Error::other)?;
        }
    }
    Ok(())
}
