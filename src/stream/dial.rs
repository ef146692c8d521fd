//! A connection to a receiver or provider, by name or address, with TLS or without.
//!
//! A name server that does not answer keeps a thread for each name that is looked up. Checks need these
//! threads too, so that all of these take only `LOOKUPS` of them, and one receiver takes one.

use super::{Stream, tls};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

/// How many names of receivers are looked up at once.
static LOOKUPS: Semaphore = Semaphore::const_new(4);

/// Where one receiver's blocking calls wait for each other.
#[derive(Debug)]
pub struct Lane(Arc<Semaphore>);

impl Default for Lane {
    fn default() -> Self {
        Lane(Arc::new(Semaphore::new(1)))
    }
}

impl Lane {
    /// Runs `call` off the runtime, after the one before it has ended.
    ///
    /// # Errors
    /// It could not be run to its end.
    pub async fn run<T: Send + 'static>(&self, call: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let own = Arc::clone(&self.0).acquire_owned().await.map_err(io::Error::other)?;
        let shared = LOOKUPS.acquire().await.map_err(io::Error::other)?;
        let running = tokio::task::spawn_blocking(move || {
            // Held until the call ends, whoever still waits for it.
            let _held = (own, shared);
            call()
        });
        running.await.map_err(io::Error::other)
    }

    /// Connects to `host`, trying its addresses in their order; each gets its share of `within`.
    ///
    /// # Errors
    /// The last that failed.
    pub async fn connect(&self, host: &str, port: u16, within: Duration) -> io::Result<TcpStream> {
        let addresses = self.resolve(host, port).await?;
        let share = within / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
        let mut failure = io::Error::other("the name has no address");
        for address in addresses {
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failure = error,
                Err(_) => failure = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(failure)
    }

    /// Speaks TLS to `host` over `stream`, and offers the protocols `alpn` on it.
    ///
    /// # Errors
    /// One line that says what is wrong with the certificate, or else.
    pub async fn encrypt<S: Stream>(
        &self,
        stream: S,
        config: &tls::Config,
        host: &str,
        alpn: &[&[u8]],
    ) -> Result<TlsStream<S>, String> {
        let trust = if let Some(trust) = config.known() {
            trust
        } else {
            let config = config.clone();
            self.run(move || config.read()).await.map_err(|error| error.to_string())??
        };
        tls::wrap(stream, trust, host, alpn).await
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let host = host.to_owned();
        self.run(move || (host.as_str(), port).to_socket_addrs().map(Iterator::collect)).await?
    }
}
