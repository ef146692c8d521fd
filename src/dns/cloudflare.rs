//! Cloudflare's interface, version 4, with a token that may edit the zone's records. It has no prerequisites:
//! between reading and writing somebody else can have written.

use super::{Api, Found, Record, Wrote};
use crate::stream::dial::Lane;
use crate::stream::retry::Refusal;
use crate::vrrp::auth::Secret;
use hyper::Method;
use serde_json::{Value, json};
use std::net::IpAddr;

/// A zone of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Where the interface is.
    pub api: Api,
    /// The zone's number: 32 hexadecimal digits.
    pub zone: String,
    /// The token.
    pub token: Secret,
}

impl Account {
    fn path(&self) -> String {
        format!("/zones/{}/dns_records", self.zone)
    }

    pub(super) async fn read(&self, record: &Record, lane: &Lane) -> Result<Found, Refusal> {
        let path = format!("{}?type={}&name={}", self.path(), record.kind(), record.host);
        let answer = self.api.json(Method::GET, &path, &self.token, None, lane).await?;
        self.api.records(answer, "result", |one| {
            let address = one.get("content")?.as_str()?.parse().ok()?;
            // What goes by Cloudflare's own servers has a TTL of theirs.
            let proxied = one.get("proxied").and_then(Value::as_bool) == Some(true);
            let ttl = one.get("ttl").and_then(Value::as_u64).and_then(|ttl| u32::try_from(ttl).ok());
            Some((one.get("id")?.as_str()?.to_owned(), address, ttl.filter(|_| !proxied)))
        })
    }

    pub(super) async fn write(
        &self,
        record: &Record,
        found: &Found,
        address: IpAddr,
        lane: &Lane,
    ) -> Result<Wrote, Refusal> {
        // Without a TTL of ours it is one that stays theirs.
        let ttl = if found.ttl.is_none() && !found.ids.is_empty() { 1 } else { record.ttl };
        let changed = json!({ "content": address, "ttl": ttl });
        let made = json!({ "type": record.kind(), "name": record.host, "content": address, "ttl": ttl,
                           "proxied": false });
        self.api.replace(&self.path(), &self.token, (found, address), (&changed, &made), lane).await
    }

    pub(super) async fn rehearse(
        &self,
        _: &Record,
        found: &Found,
        lane: &Lane,
    ) -> Result<Option<Wrote>, Refusal> {
        let Some((id, address)) = found.ids.first() else { return Ok(None) };
        let same = json!({ "content": address, "ttl": found.ttl.unwrap_or(1) });
        self.api.change(&format!("{}/{id}", self.path()), &self.token, &same, lane).await.map(Some)
    }
}
