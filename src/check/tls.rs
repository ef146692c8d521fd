//! TLS for the probes that need it: files are read where a check may block.

use super::Attempt;
use crate::stream::tls;
pub use crate::stream::tls::Config;
pub(super) use crate::stream::tls::server_name;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Speaks TLS to `name` over `stream`.
pub(super) async fn wrap(
    stream: TcpStream,
    config: &Config,
    name: &str,
    attempt: &Attempt<'_>,
) -> Result<TlsStream<TcpStream>, String> {
    server_name(name)?;
    let trust = if let Some(trust) = config.known() {
        trust
    } else {
        let config = config.clone();
        attempt.lane.run(move || config.read()).await?
    };
    attempt.awaits("the TLS handshake");
    tls::wrap(stream, trust, name, &[b"http/1.1"]).await
}
