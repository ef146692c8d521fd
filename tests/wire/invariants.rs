//! What holds for any bytes at all. The fuzz target runs the same function.

use locum::vrrp::Version;
use locum::vrrp::auth::Auth;
use locum::vrrp::packet::{
    Envelope, Expect, Reach, decode, encode, open_ipv4, open_ipv6, parse, peek_version, peek_vrid,
};

/// Looks at `bytes` as an IPv4 packet, an IPv6 packet and a bare message from `addressed`. Panics
/// where something is accepted that does not come back the same from its own bytes.
///
/// `ttl` stands in for the one from the kernel.
pub(crate) fn hold(bytes: &[u8], ttl: Option<u8>, addressed: &Envelope<'_>, expect: &Expect<'_>) {
    let bare = Envelope { payload: bytes, ttl, ..*addressed };
    for envelope in [open_ipv4(bytes).ok(), open_ipv6(bytes).ok(), Some(bare)].into_iter().flatten() {
        judge(&envelope, expect);
        // A receiver that happens to expect just what came goes furthest.
        if let (Some(version), Some(vrid), Ok(seen)) =
            (peek_version(envelope.payload), peek_vrid(envelope.payload), decode(&envelope))
        {
            assert_eq!((version, vrid), (seen.advert.version, seen.advert.vrid));
            judge(&envelope, &Expect { version, vrid, interval: seen.advert.interval, ..*expect });
        }
    }
}

fn judge(envelope: &Envelope<'_>, expect: &Expect<'_>) {
    let Ok(heard) = parse(envelope, expect) else {
        return;
    };
    let advert = &heard.advert;
    assert_eq!((advert.version, advert.vrid, heard.source), (expect.version, expect.vrid, envelope.source));
    assert!(advert.interval.fits(advert.version) && !advert.addresses.is_empty());
    if matches!(expect.reach, Reach::Multicast(_)) && expect.min_ttl.is_none() {
        assert_eq!(envelope.ttl, Some(255));
    }

    let form = heard.checksum.unwrap_or(locum::vrrp::Checksum::Pseudo);
    let auth = if advert.version == Version::V2 { expect.auth } else { &Auth::None };
    let written = encode(advert, envelope.source, envelope.destination, form, auth);
    assert_eq!(written.len(), envelope.payload.len());
    let again =
        parse(&Envelope { payload: &written, ..*envelope }, expect).expect("what we write, we accept");
    assert_eq!((&again.advert, &again.remarks), (advert, &heard.remarks));
}
