//! What a router has counted, under keepalived's names: a part of [`super::dump`]. No disk here.
//!
//! `addr_list_err` counts what was refused for its addresses; a differing list alone is a remark in
//! `locum status`. Counters of packets that keepalived has no name for (checksum, version, strangers)
//! are in `locum status` only.

use crate::agent::RouterName;
use crate::agent::status::{RouterStatus, Status, refusals};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The counters of each router when they were last cleared.
pub type Cleared = BTreeMap<RouterName, Counters>;

/// The counters of one router, under keepalived's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names are all there is to say, and they are keepalived's")]
pub struct Counters {
    pub advert_rcvd: u64,
    pub advert_sent: u64,
    pub become_master: u64,
    pub release_master: u64,
    pub packet_len_err: u64,
    pub advert_interval_err: u64,
    pub ip_ttl_err: u64,
    pub invalid_type_rcvd: u64,
    pub addr_list_err: u64,
    pub invalid_authtype: u64,
    pub authtype_mismatch: u64,
    pub auth_failure: u64,
    pub auth_ext_missing: u64,
    pub auth_ext_malformed: u64,
    pub auth_ext_unknown_key: u64,
    pub auth_ext_invalid_hmac: u64,
    pub auth_ext_stale: u64,
    pub auth_ext_replay: u64,
    pub pri_zero_rcvd: u64,
    pub pri_zero_sent: u64,
}

impl Counters {
    /// Those of `router` since the daemon began.
    #[must_use]
    pub fn of(router: &RouterStatus) -> Self {
        let mut sum = Counters {
            become_master: router.became_master,
            release_master: router.left_master,
            ..Counters::default()
        };
        for instance in &router.instances {
            let refused = |names| instance.refusals(names);
            sum.advert_rcvd += instance.heard;
            sum.advert_sent += instance.sent;
            sum.packet_len_err += refused(refusals::LENGTH);
            sum.advert_interval_err += refused(refusals::INTERVAL);
            sum.ip_ttl_err += refused(refusals::TTL);
            sum.invalid_type_rcvd += refused(refusals::TYPE);
            sum.addr_list_err += refused(refusals::ADDRESSES);
            sum.authtype_mismatch += refused(refusals::AUTH_TYPE);
            sum.auth_failure += refused(refusals::AUTH_FAILURE);
            sum.auth_ext_missing += refused(&["unsigned"]);
            sum.auth_ext_malformed += refused(&["bad-trailer"]);
            sum.auth_ext_unknown_key += refused(&["unknown-key"]);
            sum.auth_ext_invalid_hmac += refused(&["bad-signature"]);
            sum.auth_ext_stale += refused(&["stale"]);
            sum.auth_ext_replay += refused(&["replay"]);
            sum.pri_zero_rcvd += instance.farewells_heard;
            sum.pri_zero_sent += instance.farewells_sent;
        }
        sum
    }

    /// What has come since they were `cleared`.
    #[must_use]
    pub fn since(self, cleared: &Counters) -> Self {
        macro_rules! less {
            ($($name:ident)*) => { Counters { $($name: self.$name.saturating_sub(cleared.$name),)* } };
        }
        less!(advert_rcvd advert_sent become_master release_master packet_len_err advert_interval_err
              ip_ttl_err invalid_type_rcvd addr_list_err invalid_authtype authtype_mismatch auth_failure
              auth_ext_missing auth_ext_malformed auth_ext_unknown_key auth_ext_invalid_hmac
              auth_ext_stale auth_ext_replay pri_zero_rcvd pri_zero_sent)
    }
}

/// The counters of every router now, to be kept when they are cleared.
#[must_use]
pub fn counters(status: &Status) -> Cleared {
    status.routers.iter().map(|router| (router.name.clone(), Counters::of(router))).collect()
}

pub(super) fn counted(router: &RouterStatus, cleared: &Cleared) -> Counters {
    let counters = Counters::of(router);
    cleared.get(&router.name).map_or(counters, |cleared| counters.since(cleared))
}

/// The text dump of counters.
#[must_use]
pub fn stats(status: &Status, cleared: &Cleared) -> String {
    let mut text = String::new();
    for router in &status.routers {
        let c = counted(router, cleared);
        let _ = write!(
            text,
            "VRRP Instance: {}\n  Advertisements:\n    Received: {}\n    Sent: {}\n  Became master: {}\n  \
             Released master: {}\n  Packet Errors:\n    Length: {}\n    TTL: {}\n    Invalid Type: {}\n    \
             Advertisement Interval: {}\n    Address List: {}\n  Authentication Errors:\n    Invalid Type: {}\n    \
             Type Mismatch: {}\n    Failure: {}\n  Priority Zero:\n    Received: {}\n    Sent: {}\n",
            router.name,
            c.advert_rcvd,
            c.advert_sent,
            c.become_master,
            c.release_master,
            c.packet_len_err,
            c.ip_ttl_err,
            c.invalid_type_rcvd,
            c.advert_interval_err,
            c.addr_list_err,
            c.invalid_authtype,
            c.authtype_mismatch,
            c.auth_failure,
            c.pri_zero_rcvd,
            c.pri_zero_sent,
        );
    }
    text
}
