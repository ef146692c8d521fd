//! Whole messages out of a stream. What has come of one is kept when the wait for it is given up.

use super::pdu::{HEADER, Pdu};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The reading end of a connection.
pub(super) struct Messages<R> {
    stream: R,
    come: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Messages<R> {
    pub(super) const fn new(stream: R) -> Self {
        Messages { stream, come: Vec::new() }
    }

    /// The next message. May be dropped and called again.
    ///
    /// # Errors
    /// The connection ended, or what came is no message.
    pub(super) async fn next(&mut self) -> io::Result<Pdu> {
        let wrong = |malformed| io::Error::new(io::ErrorKind::InvalidData, format!("it sent {malformed}"));
        loop {
            if let Some(header) = self.come.first_chunk::<HEADER>() {
                let length = Pdu::length(header).map_err(|why| wrong(why.to_string()))?;
                if self.come.len() >= length {
                    let message: Vec<u8> = self.come.drain(..length).collect();
                    return Pdu::decode(&message).map_err(|why| wrong(why.to_string()));
                }
            }
            if self.stream.read_buf(&mut self.come).await? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has closed the connection"));
            }
        }
    }
}
