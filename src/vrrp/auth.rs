//! Who may speak: the schemes there are, and the secrets, which live here and never print.
//!
//! The simple password of RFC 2338 section 5.3.6 is here itself; it keeps misconfigured neighbours
//! apart, not attackers. Signed trailers are in `hmac`, the Authentication Header is in `ah`.

use super::hmac::Keyring;
use super::sequence::Sequence;
use std::fmt;
use std::hash::{Hash, Hasher};
use subtle::ConstantTimeEq;

/// The bytes of authentication data at the end of every version 2 message.
pub const PASSWORD_LEN: usize = 8;

/// Something that must not be seen: it does not print, does not serialize, and compares in a time
/// that does not depend on the bytes.
#[derive(Clone)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Takes the bytes of a secret.
    #[must_use]
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        Secret(bytes.into())
    }

    /// The bytes themselves, for putting on the wire or into a digest.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// As a password on the wire: the first eight bytes, filled up with zeros.
    #[must_use]
    pub fn password(&self) -> [u8; PASSWORD_LEN] {
        let mut field = [0; PASSWORD_LEN];
        field.iter_mut().zip(&self.0).for_each(|(to, from)| *to = *from);
        field
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Secret {}

impl Hash for Secret {
    /// For fingerprints, which never leave the process.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hidden")
    }
}

/// How the routers of one virtual router know each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// Not at all: version 3 (RFC 9568 section 9), and version 2 by RFC 3768.
    #[default]
    None,
    /// By a password in the clear, version 2 only (RFC 2338, authentication type 1).
    Pass(Secret),
    /// By an Authentication Header, version 2 over IPv4 only (RFC 2338, authentication type 2). The first
    /// eight bytes of the secret count.
    Ah(Secret),
    /// By a signed trailer, either version and family.
    Hmac(Keyring),
}

/// What an advert carries to show that its sender may speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Seal {
    /// Nothing, or a password.
    #[default]
    None,
    /// A signed trailer.
    Signed {
        /// The number of the key.
        key: u8,
        /// When it was signed, and in which order.
        sequence: Sequence,
    },
    /// An Authentication Header.
    Ah {
        /// The Security Parameters Index.
        spi: u32,
        /// In which order it was sent.
        sequence: u32,
    },
}

impl Auth {
    /// The authentication type on the wire of version 2.
    #[must_use]
    pub const fn wire_type(&self) -> u8 {
        match self {
            Auth::None | Auth::Hmac(_) => 0,
            Auth::Pass(_) => 1,
            Auth::Ah(_) => 2,
        }
    }

    /// The authentication data on the wire of version 2.
    #[must_use]
    pub fn wire_data(&self) -> [u8; PASSWORD_LEN] {
        match self {
            Auth::None | Auth::Hmac(_) | Auth::Ah(_) => [0; PASSWORD_LEN],
            Auth::Pass(secret) => secret.password(),
        }
    }

    /// Whether received authentication data is ours. Only a password is looked at.
    #[must_use]
    pub fn admits(&self, data: &[u8]) -> bool {
        match self {
            Auth::None | Auth::Hmac(_) | Auth::Ah(_) => true,
            Auth::Pass(secret) => secret.password().as_slice().ct_eq(data).into(),
        }
    }
}

impl fmt::Display for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Auth::None => f.write_str("none"),
            Auth::Pass(_) => f.write_str("a password in the clear"),
            Auth::Ah(_) => f.write_str("an authentication header"),
            Auth::Hmac(ring) => ring.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        let auth = Auth::Pass(Secret::new(*b"s3cr3t"));
        let printed = format!("{auth:?} {}", Secret::new(*b"s3cr3t"));
        assert!(!printed.contains("s3cr3t") && !printed.contains("115"), "{printed}");
    }

    #[test]
    fn a_password_is_cut_and_filled_to_eight_bytes() {
        assert_eq!(&Secret::new(*b"s3cr3t").password(), b"s3cr3t\0\0");
        assert_eq!(&Secret::new(*b"longer-than-eight").password(), b"longer-t");
    }

    #[test]
    fn only_the_same_password_is_admitted() {
        let auth = Auth::Pass(Secret::new(*b"s3cr3t"));
        assert!(auth.admits(b"s3cr3t\0\0"));
        assert!(!auth.admits(b"s3cr3t\0\x01") && !auth.admits(b"s3cr3t") && !auth.admits(b""));
        assert!(Auth::None.admits(b"anything"));
        assert_ne!(Secret::new(*b"s3cr3t"), Secret::new(*b"s3cr3u"));
        assert_eq!(Secret::new(*b"s3cr3t"), Secret::new(*b"s3cr3t"));
    }
}
