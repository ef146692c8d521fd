//! TLS on top of a connection; errors in words.

use super::{Stream, plain, said};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme,
};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Which certificates are good enough.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// Whether the certificate must be valid, in date and for the name. Without, any will do.
    pub verify: bool,
    /// Trust only the authorities in this PEM file, instead of the system's. Read for every connection.
    pub ca_file: Option<PathBuf>,
}

impl Default for Config {
    /// Verified by the system's authorities.
    fn default() -> Self {
        Config { verify: true, ca_file: None }
    }
}

/// Whom to trust.
#[derive(Clone, Debug)]
pub struct Trust(Option<Arc<Roots>>);

/// Authorities; and the certificates of a CA file as they stand in it, one of which may be the server's own.
#[derive(Debug)]
struct Roots {
    store: Arc<RootCertStore>,
    named: Vec<CertificateDer<'static>>,
}

static SYSTEM: OnceLock<Arc<Roots>> = OnceLock::new();

impl Config {
    /// Whom to trust, where that is known without reading a file.
    #[must_use]
    pub fn known(&self) -> Option<Trust> {
        match (self.verify, &self.ca_file) {
            (false, _) => Some(Trust(None)),
            (true, Some(_)) => None,
            (true, None) => SYSTEM.get().map(|store| Trust(Some(Arc::clone(store)))),
        }
    }

    /// Whom to trust; blocks on files.
    ///
    /// # Errors
    /// One line that names the file and what is wrong with it.
    pub fn read(&self) -> Result<Trust, String> {
        let store = match (self.known(), &self.ca_file) {
            (Some(trust), _) => return Ok(trust),
            (None, Some(path)) => read(path)?,
            (None, None) => system().map(|roots| Arc::clone(SYSTEM.get_or_init(|| roots)))?,
        };
        Ok(Trust(Some(store)))
    }
}

/// Speaks TLS to `name` over `stream`, and offers the protocols `alpn` on it.
///
/// # Errors
/// One line that says what is wrong with the certificate, or else.
pub async fn wrap<S: Stream>(
    stream: S,
    trust: Trust,
    name: &str,
    alpn: &[&[u8]],
) -> Result<TlsStream<S>, String> {
    let server = server_name(name)?;
    let mut client = client(trust)?;
    client.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    let connector = TlsConnector::from(Arc::new(client));
    connector.connect(server, stream).await.map_err(|error| handshake_text(&error, name))
}

/// The name as TLS knows names.
///
/// # Errors
/// It can be no name of a host.
pub fn server_name(name: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(name.to_owned()).map_err(|_| format!("{name} is no host name for TLS"))
}

fn client(Trust(roots): Trust) -> Result<ClientConfig, String> {
    // A provider of our own, so that nothing depends on a process-wide one.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let schemes = provider.signature_verification_algorithms.supported_schemes();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(match roots {
        Some(roots) => {
            let usual =
                WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots.store), provider).build();
            let usual = usual.map_err(|error| error.to_string())?;
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Known { usual, roots }))
                .with_no_client_auth()
        }
        None => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone(schemes)))
            .with_no_client_auth(),
    })
}

fn read(path: &Path) -> Result<Arc<Roots>, String> {
    let shown = path.display();
    let content = std::fs::read(path).map_err(|error| format!("CA file {shown}: {}", plain(&error)))?;
    let (mut store, mut named) = (RootCertStore::empty(), Vec::new());
    for certificate in CertificateDer::pem_slice_iter(&content) {
        let certificate = certificate.map_err(|error| format!("CA file {shown}: {error}"))?;
        store.add(certificate.clone()).map_err(|error| format!("CA file {shown}: {error}"))?;
        named.push(certificate);
    }
    if store.is_empty() {
        return Err(format!("CA file {shown} holds no certificate"));
    }
    Ok(Arc::new(Roots { store: Arc::new(store), named }))
}

/// The system's authorities. None at all is an error, and not remembered: they may be installed yet.
fn system() -> Result<Arc<Roots>, String> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if store.is_empty() {
        return Err("the system has no CA certificates: install ca-certificates or name a CA file".to_owned());
    }
    Ok(Arc::new(Roots { store: Arc::new(store), named: Vec::new() }))
}

fn handshake_text(error: &io::Error, name: &str) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(bad)) => certificate_text(bad, name),
        Some(rustls::Error::AlertReceived(alert)) => {
            format!("TLS refused by {name}: {}", words(&format!("{alert:?}")))
        }
        Some(rustls::Error::InvalidMessage(_)) => format!("{name} does not speak TLS"),
        Some(other) => format!("TLS with {name}: {other}"),
        None => format!("TLS handshake: {}", said(error, name)),
    }
}

fn certificate_text(bad: &CertificateError, name: &str) -> String {
    match bad {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "certificate expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "certificate not valid yet".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("certificate is not for {name}")
        }
        // A bad signature is mostly by an authority of a trusted one's name with another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "certificate is not by a trusted authority".to_owned()
        }
        CertificateError::Revoked => "certificate revoked".to_owned(),
        CertificateError::Other(other) if is_authoritys(other) => {
            "certificate is an authority's (CA:TRUE), no server's: name it in a CA file itself, or make one with \
             openssl req -x509 -addext basicConstraints=critical,CA:FALSE"
                .to_owned()
        }
        CertificateError::Other(OtherError(why)) => {
            format!("certificate not accepted: {}", words(&why.to_string()))
        }
        other => format!("certificate not accepted: {other}"),
    }
}

/// The name of an error as words: `HandshakeFailure` is a handshake failure.
fn words(name: &str) -> String {
    let spaced = name.split_inclusive(char::is_lowercase).map(|part| match part.char_indices().nth(1) {
        Some(_) if part.starts_with(char::is_uppercase) => format!(" {}", part.to_lowercase()),
        _ => part.to_owned(),
    });
    spaced.collect::<String>().trim_start().to_owned()
}

/// A server shows the certificate of an authority, as `openssl req -x509` makes it.
fn is_authoritys(OtherError(why): &OtherError) -> bool {
    // The error's own type is not to be had here.
    why.to_string() == "CaUsedAsEndEntity"
}

/// The usual rules; and a certificate that the CA file names itself is its server's, an authority's or not.
#[derive(Debug)]
struct Known {
    usual: Arc<WebPkiServerVerifier>,
    roots: Arc<Roots>,
}

impl ServerCertVerifier for Known {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        further: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict = self.usual.verify_server_cert(own, further, name, ocsp, now);
        match &verdict {
            // Its dates were looked at before; whether it has the key is asked afterwards.
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(other)))
                if is_authoritys(other) && self.roots.named.contains(own) =>
            {
                verify_server_name(&ParsedCertificate::try_from(own)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            _ => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// Accepts every certificate, for checks that ask only whether TLS is spoken.
#[derive(Debug)]
struct Anyone(Vec<SignatureScheme>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}
