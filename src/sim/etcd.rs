//! The least of an etcd: keys, leases and transactions, as `claim::etcd` uses them. It ends a lease at the first
//! moment it may.

use crate::claim::etcd::Post;
use crate::time::Time;
use data_encoding::BASE64;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Its whole state.
#[derive(Debug, Default)]
pub struct Etcd {
    revision: u64,
    keys: BTreeMap<String, Key>,
    /// When each lease ends.
    leases: BTreeMap<u64, Time>,
    last_lease: u64,
}

#[derive(Debug, Default)]
struct Key {
    value: String,
    created: u64,
    changed: u64,
    lease: u64,
}

impl Etcd {
    /// The answer to a post, by its clock: an HTTP status and the body.
    pub fn answer(&mut self, now: Time, post: &Post) -> (u16, String) {
        let over = |ends: &Time| *ends <= now;
        let ended: Vec<u64> =
            self.leases.iter().filter(|(_, ends)| over(ends)).map(|(lease, _)| *lease).collect();
        self.leases.retain(|_, ends| !over(ends));
        self.keys.retain(|_, key| !ended.contains(&key.lease));
        let body: Value = serde_json::from_str(&post.body).unwrap_or_default();
        match post.path {
            "/v3/lease/grant" => {
                let seconds = number(&body["TTL"]);
                self.last_lease += 1;
                self.leases.insert(self.last_lease, now + Duration::from_secs(seconds));
                (200, json!({ "ID": self.last_lease.to_string(), "TTL": seconds.to_string() }).to_string())
            }
            "/v3/kv/txn" => self.transact(&body),
            path => (404, format!("no {path} here")),
        }
    }

    fn transact(&mut self, body: &Value) -> (u16, String) {
        let succeeded = all(&body["compare"]).all(|compare| self.agrees(compare));
        let wanted = &body[if succeeded { "success" } else { "failure" }];
        let lease = |step: &Value| number(&step["request_put"]["lease"]);
        if all(wanted).map(lease).any(|lease| lease != 0 && !self.leases.contains_key(&lease)) {
            return (404, json!({ "message": "etcdserver: requested lease not found" }).to_string());
        }
        let changes = all(wanted).any(|step| step.get("request_range").is_none());
        self.revision += u64::from(changes);
        let responses: Vec<Value> = all(wanted).map(|step| self.step(step)).collect();
        (200, json!({ "succeeded": succeeded, "responses": responses }).to_string())
    }

    fn agrees(&self, compare: &Value) -> bool {
        let key = self.keys.get(text(&compare["key"]));
        match text(&compare["target"]) {
            "VALUE" => key.is_some_and(|key| {
                let (kept, given) = (bytes(&key.value), bytes(text(&compare["value"])));
                if text(&compare["result"]) == "LESS" { kept < given } else { kept == given }
            }),
            "CREATE" => key.map_or(0, |key| key.created) == number(&compare["create_revision"]),
            "MOD" => key.map_or(0, |key| key.changed) == number(&compare["mod_revision"]),
            _ => false,
        }
    }

    fn step(&mut self, step: &Value) -> Value {
        if let Some(range) = step.get("request_range") {
            let kept = self.keys.get(text(&range["key"])).map(|key| {
                let (changed, lease) = (key.changed.to_string(), key.lease.to_string());
                json!({ "value": key.value, "mod_revision": changed, "lease": lease })
            });
            return json!({ "response_range": { "kvs": kept.into_iter().collect::<Vec<_>>() } });
        }
        if let Some(put) = step.get("request_put") {
            let key = self.keys.entry(text(&put["key"]).to_owned()).or_default();
            if key.created == 0 {
                key.created = self.revision;
            }
            (key.value, key.changed) = (text(&put["value"]).to_owned(), self.revision);
            key.lease = number(&put["lease"]);
            return json!({ "response_put": {} });
        }
        self.keys.remove(text(&step["request_delete_range"]["key"]));
        json!({ "response_delete_range": {} })
    }
}

fn all(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn bytes(coded: &str) -> Vec<u8> {
    BASE64.decode(coded.as_bytes()).unwrap_or_default()
}

fn number(value: &Value) -> u64 {
    text(value).parse().unwrap_or(0)
}
