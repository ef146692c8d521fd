//! An etcd in the place of the voters: what it is asked, step by step, and what its answers mean (JSON of its v3
//! API, `etcdserverpb`).
//!
//! To a claimant it is the only voter there is, one that forgets nothing: [`STORE`]. An office has two keys, which
//! say whose it is:
//! - `PREFIX/OFFICE/holder` is there as long as etcd's lease on it: while it is, nobody else gets the office.
//! - `PREFIX/OFFICE/term` stays. Whoever takes the office replaces it in the same transaction, by a greater term and
//!   only if it still is what was read. Who gives the office back leaves the bare number there.
//!
//! A renewal puts `holder` on a lease of its own, if `term` still is the holder's. It is no keepalive: an etcd
//! leader that is one no more, and does not know it yet, answers those as if they counted, and has leases of its
//! past revoked that were renewed elsewhere (etcd's issue 15247, in Debian's version too). Leases that nobody
//! renews can end too late by such a leader, but not too early. The price is a revision of the key for each.
//! A renewal that comes late must not put the key back on its older lease: `holder` has the number of the request
//! that put it there, and that only grows.
//!
//! Pure: no connection, no clock.

use super::{Answer, Ask, Plea, Request, Term, Ttl, Verdict, VoterId};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// What the store is called where voters are called by their addresses: no voter's.
pub const STORE: VoterId = VoterId { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), port: 0 };

/// The least that an etcd of usual settings grants, in seconds: half again its election timeout.
pub const LEAST: u32 = 2;

/// How late it ends a lease: it looks twice a second, and then asks its members.
pub const LATE: Duration = Duration::from_secs(1);

/// How long one question may take, through all the endpoints: the next one is due then.
#[must_use]
pub fn patience(ttl: Ttl) -> Duration {
    ttl.grant() / 4
}

/// The least time between two questions.
#[must_use]
pub fn pace(ttl: Ttl) -> Duration {
    ttl.grant() / 10
}

/// Where the keys of a claimant are, and what it is called in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What every key begins with, its last slash included.
    pub prefix: String,
    /// For people.
    pub node: String,
    /// Drawn by chance when the claimant started: nobody else has it.
    pub session: u64,
}

/// What to POST, and where.
#[derive(Clone, PartialEq, Eq)]
pub struct Post {
    /// The path of the URL.
    pub path: &'static str,
    /// JSON.
    pub body: String,
}

impl Post {
    /// As a connection to `host`, an address and port, has it in HTTP: the only one there.
    #[must_use]
    pub fn whole(&self, host: &str) -> Vec<u8> {
        let Post { path, body } = self;
        let length = body.len();
        let text = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        );
        text.into_bytes()
    }
}

impl fmt::Debug for Post {
    /// Without the body: it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").field("path", &self.path).finish_non_exhaustive()
    }
}

/// What came of an errand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The answer to the claimant; nothing answers a release.
    pub answer: Option<Answer>,
    /// Something to look at, in one line.
    pub remark: Option<String>,
}

/// One plea on its way through an etcd.
#[derive(Clone, Debug)]
pub struct Errand {
    plea: Plea,
    /// What `term` says while the office is ours, and `holder` once this request has put it there.
    ours: String,
    renewed: String,
    holder: String,
    term: String,
    step: Step,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Look,
    Lease,
    Renew { lease: String },
    Take { lease: String, seen: String },
    GiveBack,
}

/// What stands in the keys, in this order: of two that differ in the request alone, the later is the greater text.
#[derive(Clone, Serialize, Deserialize)]
struct Whose {
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    /// Of as many digits as the greatest number has.
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    term: Term,
}

#[derive(Deserialize)]
struct Granted {
    #[serde(rename = "ID", default)]
    id: String,
    #[serde(rename = "TTL", default)]
    ttl: String,
}

#[derive(Deserialize)]
struct Done {
    #[serde(default)]
    succeeded: bool,
    #[serde(default)]
    responses: Vec<Response>,
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    response_range: Range,
}

#[derive(Default, Deserialize)]
struct Range {
    #[serde(default)]
    kvs: Vec<Kept>,
}

/// A key. What is zero may be left out.
#[derive(Deserialize)]
struct Kept {
    #[serde(default)]
    value: String,
    #[serde(default)]
    mod_revision: String,
    #[serde(default)]
    lease: String,
}

impl Kept {
    fn whose(&self) -> Option<Whose> {
        let bytes = BASE64.decode(self.value.as_bytes()).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}

impl Errand {
    /// The errand of `plea`.
    #[must_use]
    pub fn new(place: &Place, plea: Plea) -> Self {
        let (office, term, number, step) = match &plea {
            Plea::Request(Request { ask, office, term, stamp, .. }) => {
                let step = if *ask == Ask::Probe { Step::Look } else { Step::Lease };
                (office, *term, stamp.number, step)
            }
            Plea::Release(release) => (&release.office, release.term, 0, Step::GiveBack),
        };
        let key = |last: &str| format!("{}{}/{last}", place.prefix, office.name());
        let (holder, last) = (key("holder"), key("term"));
        let session = Some(format!("{:016x}", place.session));
        let whose = Whose { node: Some(place.node.clone()), request: None, session, term };
        let ours = json!(whose).to_string();
        let renewed = json!(Whose { request: Some(format!("{number:020}")), ..whose }).to_string();
        Errand { plea, ours, renewed, holder, term: last, step }
    }

    /// What to ask now.
    #[must_use]
    pub fn post(&self) -> Post {
        let both = [&self.holder, &self.term].map(|key| json!({ "request_range": { "key": coded(key) } }));
        let is = |result: &str, key, target: &str, (field, what): (&str, &str)| json!({ "result": result, "target": target, "key": coded(key), field: what });
        let is_ours = || is("EQUAL", &self.term, "VALUE", ("value", &coded(&self.ours)));
        let put = |key, value, lease: &str| json!({ "request_put": { "key": coded(key), "value": coded(value), "lease": lease } });
        let transaction = |compare: Vec<Value>, success: Vec<Value>| Post {
            path: "/v3/kv/txn",
            body: json!({ "compare": compare, "success": success, "failure": both }).to_string(),
        };
        match &self.step {
            Step::Look => transaction(Vec::new(), both.to_vec()),
            Step::Lease => Post {
                path: "/v3/lease/grant",
                body: json!({ "TTL": self.seconds().to_string(), "ID": "0" }).to_string(),
            },
            Step::Renew { lease } => transaction(
                vec![is_ours(), is("LESS", &self.holder, "VALUE", ("value", &coded(&self.renewed)))],
                vec![put(&self.holder, &self.renewed, lease)],
            ),
            Step::Take { lease, seen } => transaction(
                vec![
                    is("EQUAL", &self.holder, "CREATE", ("create_revision", "0")),
                    is("EQUAL", &self.term, "MOD", ("mod_revision", seen)),
                ],
                vec![put(&self.term, &self.ours, "0"), put(&self.holder, &self.renewed, lease)],
            ),
            Step::GiveBack => transaction(
                vec![is_ours()],
                vec![
                    put(&self.term, &json!({ "term": self.asked() }).to_string(), "0"),
                    json!({ "request_delete_range": { "key": coded(&self.holder) } }),
                ],
            ),
        }
    }

    /// Reads the answer to [`Errand::post`], of this HTTP status. `None`: there is more to ask.
    ///
    /// # Errors
    /// It is no answer to that, or etcd says what is wrong: one line for people.
    pub fn hear(&mut self, status: u16, body: &[u8]) -> Result<Option<Reply>, String> {
        if status != 200 {
            return Err(complaint(status, body));
        }
        if self.step == Step::Lease {
            let Granted { id, ttl } = read(body)?;
            if id.is_empty() || ttl.parse::<u32>().map_or(true, |seconds| seconds < self.seconds()) {
                return Err(format!("granted a lease of {ttl} s where {} were asked for", self.seconds()));
            }
            self.step = Step::Renew { lease: id };
            return Ok(None);
        }
        let Done { succeeded, responses } = read(body)?;
        match &self.step {
            Step::GiveBack => return Ok(Some(Reply { answer: None, remark: None })),
            Step::Renew { .. } | Step::Take { .. } if succeeded => {
                return Ok(Some(self.reply(Verdict::Granted, self.asked(), None)));
            }
            _ => {}
        }
        let mut ranges = responses.into_iter().map(|response| response.response_range.kvs.into_iter().next());
        let (Some(holder), Some(term)) = (ranges.next(), ranges.next()) else {
            return Err("the answer leaves out the keys that were asked for".to_owned());
        };
        let known = match &term {
            Some(term) => self.number(term)?,
            None => Term::NONE,
        };
        let is_ours = term.as_ref().is_some_and(|term| term.value == coded(&self.ours));
        if let Some(holder) = holder {
            // This request has put it there already, or a later one.
            if is_ours && self.step != Step::Look && holder.whose().is_some_and(|whose| self.is_by_us(whose))
            {
                return Ok(Some(self.reply(Verdict::Granted, known, None)));
            }
            let forever = ["", "0"].contains(&holder.lease.as_str());
            let remark = forever.then(|| {
                let key = &self.holder;
                format!("{key} is there without a lease, put by somebody else: etcdctl del {key}")
            });
            return Ok(Some(self.reply(Verdict::Held, known, remark)));
        }
        match &self.step {
            Step::Look => Ok(Some(self.reply(Verdict::Granted, known, None))),
            Step::Renew { lease } if self.asked() > known => {
                let seen = term.map_or("0".to_owned(), |term| term.mod_revision);
                self.step = Step::Take { lease: lease.clone(), seen };
                Ok(None)
            }
            // Somebody had it in between.
            _ => Ok(Some(self.reply(Verdict::Held, known, None))),
        }
    }

    /// The term that the plea is about.
    fn asked(&self) -> Term {
        match &self.plea {
            Plea::Request(request) => request.term,
            Plea::Release(release) => release.term,
        }
    }

    fn seconds(&self) -> u32 {
        match &self.plea {
            Plea::Request(request) => request.ttl.in_seconds().millis() / 1000,
            Plea::Release(_) => 0,
        }
    }

    fn number(&self, term: &Kept) -> Result<Term, String> {
        let number = term.whose().map(|whose| whose.term);
        number.ok_or_else(|| format!("{} has no term in it: somebody else wrote there", self.term))
    }

    fn is_by_us(&self, whose: Whose) -> bool {
        let text = json!(Whose { request: None, ..whose }).to_string();
        text == self.ours
    }

    fn reply(&self, verdict: Verdict, known: Term, remark: Option<String>) -> Reply {
        let answer = match &self.plea {
            Plea::Request(Request { ask, office, term, stamp, .. }) => {
                Some(Answer { ask: *ask, office: office.clone(), term: *term, stamp: *stamp, verdict, known })
            }
            Plea::Release(_) => None,
        };
        Reply { answer, remark }
    }
}

/// Asks for a token, with which whatever is posted then is by this user.
#[must_use]
pub fn authenticate(user: &str, password: &str) -> Post {
    Post { path: "/v3/auth/authenticate", body: json!({ "name": user, "password": password }).to_string() }
}

/// The token in the answer to [`authenticate`].
///
/// # Errors
/// There is none: one line for people.
pub fn token(status: u16, body: &[u8]) -> Result<String, String> {
    #[derive(Deserialize)]
    struct Authenticated {
        token: String,
    }
    if status != 200 {
        return Err(complaint(status, body));
    }
    read(body).map(|Authenticated { token }| token)
}

fn coded(text: &str) -> String {
    BASE64.encode(text.as_bytes())
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("the answer is none of an etcd: {error}"))
}

/// What etcd says is wrong.
fn complaint(status: u16, body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Complaint {
        message: String,
    }
    match serde_json::from_slice(body) {
        Ok(Complaint { message }) => message,
        Err(_) => format!("status {status}, and no word of an etcd"),
    }
}
