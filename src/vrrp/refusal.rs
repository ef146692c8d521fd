//! Why a packet is not believed: one word per counter an operator can read, and what is odd about
//! a packet that is believed all the same. RFC 9568 section 7.1, RFC 3768 section 7.1.

use super::hmac::Untrusted;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An enum whose variants each have a counter's name and a line for people, and a list of all.
macro_rules! counted {
    ($(#[$about:meta])* $type:ident { $($variant:ident $name:literal $text:literal)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $type {
            $(#[doc = $text] #[serde(rename = $name)] $variant,)*
        }

        impl $type {
            /// All there are, in the order they are looked for.
            pub const ALL: &[$type] = &[$($type::$variant,)*];

            /// The name of the counter, in kebab case.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $($type::$variant => $name,)* }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $($type::$variant => $text,)* })
            }
        }
    };
}

counted! {
    /// Why a packet was refused. A refused packet changes nothing but a counter.
    Refusal {
        IpHeader "ip-header" "the IP header is cut short or malformed"
        IpLength "ip-length" "the IP header claims more bytes than came, or fewer than itself"
        IpProtocol "ip-protocol" "the IP packet carries something else than VRRP"
        Fragment "fragment" "the IP packet is a fragment"
        IpChecksum "ip-checksum" "the checksum of the IP header is wrong"
        Truncated "truncated" "the message is shorter than its address count says"
        Version "version" "the VRRP version is not the one this router speaks here"
        Type "type" "the message is not an advertisement"
        VridZero "vrid-zero" "the virtual router id is 0"
        CountZero "count-zero" "the message lists no address"
        TrailingBytes "trailing-bytes" "bytes follow where the message should end"
        Checksum "checksum" "the VRRP checksum is wrong"
        IntervalZero "interval-zero" "the advertisement interval is 0"
        VridUnknown "vrid-unknown" "no virtual router with this id is configured on the interface"
        Ttl "ttl" "the TTL is too low: it came through a router, or is forged"
        MulticastDestination "multicast-destination" "it was multicast, but this router speaks unicast"
        UnicastDestination "unicast-destination" "it was unicast, but this router speaks multicast"
        BadDestination "bad-destination" "it was sent to another multicast group than this router's"
        NotAPeer "not-a-peer" "the sender is not among the configured peers"
        SourceNotLinkLocal "source-not-link-local" "the IPv6 sender address is not link-local"
        AuthType "auth-type" "the authentication type differs from ours"
        WrongPassword "wrong-password" "the password differs from ours"
        BadDigest "bad-digest" "the digest of the authentication header is wrong: compare the secrets"
        OtherSpi "other-spi" "the authentication header names another sender"
        Unsigned "unsigned" "it is not signed, and this router believes signed adverts only"
        BadTrailer "bad-trailer" "the signature is of an unknown kind"
        Stale "stale" "the signature is too old or from the future: compare the clocks"
        UnknownKey "unknown-key" "it is signed with a key that this router does not have"
        BadSignature "bad-signature" "the signature is wrong: compare the keys"
        Replay "replay" "this sender has sent it, or a later one, before"
        IntervalMismatch "interval-mismatch" "the interval differs from ours, which version 2 forbids"
        LocalOwner "local-owner" "this router owns the addresses and obeys nobody (version 2, or as configured)"
        FirstNotLinkLocal "first-not-link-local" "the first IPv6 address is not link-local (strict)"
    }
}

counted! {
    /// What is odd about a packet that was believed; worth a log line, rate limited.
    Remark {
        OtherInterval "other-interval" "the sender's interval differs from ours"
        OtherAddresses "other-addresses" "the sender's list of addresses differs from ours"
        OwnerConflict "owner-conflict" "the sender claims priority 255, and so do we"
        TwoOwners "two-owners" "the sender claims priority 255, and so does another: only one host can own the addresses"
        FirstNotLinkLocal "first-not-link-local" "the first IPv6 address is not link-local"
        Password "password" "the message carries a password in the clear"
    }
}

impl From<Untrusted> for Refusal {
    fn from(untrusted: Untrusted) -> Self {
        match untrusted {
            Untrusted::Malformed => Refusal::BadTrailer,
            Untrusted::Stale => Refusal::Stale,
            Untrusted::UnknownKey => Refusal::UnknownKey,
            Untrusted::BadTag => Refusal::BadSignature,
            Untrusted::Replay => Refusal::Replay,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_stored_under_the_name_it_is_shown_with() {
        for refusal in Refusal::ALL {
            let stored = serde_json::to_value(refusal).unwrap();
            assert_eq!(stored, refusal.name());
            assert_eq!(serde_json::from_value::<Refusal>(stored).unwrap(), *refusal);
        }
    }
}
