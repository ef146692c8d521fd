//! `DigitalOcean`'s interface, version 2, with a token that may write domains. It has no prerequisites: between
//! reading and writing somebody else can have written.

use super::{Api, Found, Record, Wrote};
use crate::stream::dial::Lane;
use crate::stream::retry::Refusal;
use crate::vrrp::auth::Secret;
use hyper::Method;
use serde_json::{Value, json};
use std::net::IpAddr;

/// A domain of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Where the interface is.
    pub api: Api,
    /// The domain, in small letters, without a dot at its end.
    pub domain: String,
    /// The token.
    pub token: Secret,
}

impl Account {
    fn path(&self) -> String {
        format!("/v2/domains/{}/records", self.domain)
    }

    /// The record's name within the domain: `www`, or `@` for the domain itself.
    fn within<'a>(&self, record: &'a Record) -> &'a str {
        let inner = record.host.strip_suffix(&self.domain).and_then(|name| name.strip_suffix('.'));
        inner.unwrap_or("@")
    }

    pub(super) async fn read(&self, record: &Record, lane: &Lane) -> Result<Found, Refusal> {
        let path = format!("{}?type={}&name={}", self.path(), record.kind(), record.host);
        let answer = self.api.json(Method::GET, &path, &self.token, None, lane).await?;
        self.api.records(answer, "domain_records", |one| {
            let address = one.get("data")?.as_str()?.parse().ok()?;
            let ttl = one.get("ttl").and_then(Value::as_u64).and_then(|ttl| u32::try_from(ttl).ok());
            Some((one.get("id")?.as_u64()?.to_string(), address, ttl))
        })
    }

    pub(super) async fn write(
        &self,
        record: &Record,
        found: &Found,
        address: IpAddr,
        lane: &Lane,
    ) -> Result<Wrote, Refusal> {
        let changed = json!({ "type": record.kind(), "data": address, "ttl": record.ttl });
        let made = json!({ "type": record.kind(), "name": self.within(record), "data": address,
                           "ttl": record.ttl });
        self.api.replace(&self.path(), &self.token, (found, address), (&changed, &made), lane).await
    }

    pub(super) async fn rehearse(
        &self,
        record: &Record,
        found: &Found,
        lane: &Lane,
    ) -> Result<Option<Wrote>, Refusal> {
        let Some((id, address)) = found.ids.first() else { return Ok(None) };
        let same = json!({ "type": record.kind(), "data": address, "ttl": found.ttl });
        self.api.change(&format!("{}/{id}", self.path()), &self.token, &same, lane).await.map(Some)
    }
}
