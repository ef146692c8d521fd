//! The server's certificate: two PEM texts that fit each other. No file is read here.

use crate::vrrp::auth::Secret;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// A certificate, ready for use.
#[derive(Clone)]
pub struct Tls {
    chain: Vec<u8>,
    key: Secret,
    config: Arc<ServerConfig>,
}

impl Tls {
    /// Of `chain`, the server's certificate and then those that lead to its authority, and the `key` of the first.
    ///
    /// # Errors
    /// One line that says what is wrong with them.
    pub fn new(chain: Vec<u8>, key: Secret) -> Result<Self, String> {
        let certificates = CertificateDer::pem_slice_iter(&chain).collect::<Result<Vec<_>, _>>();
        let certificates =
            certificates.map_err(|error| format!("the certificate is not good PEM: {error}"))?;
        if certificates.is_empty() {
            return Err("there is no certificate in it".to_owned());
        }
        let private = PrivateKeyDer::from_pem_slice(key.expose())
            .map_err(|error| format!("the key is not good PEM: {error}"))?;
        // A provider of our own, so that nothing depends on a process-wide one.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_single_cert(certificates, private)
            .map_err(|error| format!("certificate and key do not fit: {error}"))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Tls { chain, key, config: Arc::new(config) })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.clone())
    }
}

impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        (&self.chain, &self.key) == (&other.chain, &other.key)
    }
}

impl Eq for Tls {}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("key", &self.key).finish_non_exhaustive()
    }
}
