//! A server on loopback that speaks HTTP as a provider does: one zone with records, and requests that are exactly
//! right or are refused. It writes down what it was asked.

use super::request::{Request, listen};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// The tokens and keys that are good.
pub const TOKEN: &str = super::HUSH;
pub const ID: &str = "AKIDEXAMPLE";
/// The zone, by the name that each provider gives it.
pub const ZONE: &str = "0123456789abcdef0123456789abcdef";
pub const HOSTED: &str = "Z148QEXAMPLE8V";
pub const HOST: &str = "www.example.org";

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Cloudflare,
    DigitalOcean,
    Route53,
}

pub const ALL: [Kind; 3] = [Kind::Cloudflare, Kind::DigitalOcean, Kind::Route53];

/// What it does instead of its work, once each, in this order.
#[derive(Clone, Copy, Debug)]
pub enum Mood {
    Status(u16),
    /// This status, with this body.
    Says(u16, &'static str),
    /// 429 with this `Retry-After`, in seconds.
    Busy(u32),
    /// Does its work, and says nothing of it for so long.
    Slow(Duration),
}

/// One record: its number, address and TTL.
pub type Row = (u64, String, u32);

pub struct State {
    pub rows: Vec<Row>,
    pub moods: VecDeque<Mood>,
    /// `GET /path?query`
    pub asked: Vec<String>,
    /// Requests that no client of the provider would send, and why.
    pub wrong: Vec<String>,
}

pub struct Strict {
    pub port: u16,
    kind: Kind,
    state: Arc<Mutex<State>>,
}

impl Strict {
    pub async fn start(kind: Kind, rows: &[&str]) -> Strict {
        let rows = (7..).zip(rows).map(|(number, address)| (number, (*address).to_owned(), 60)).collect();
        let (moods, asked, wrong) = <_>::default();
        let state = Arc::new(Mutex::new(State { rows, moods, asked, wrong }));
        let theirs = Arc::clone(&state);
        let port = listen(move |stream, port| serve(stream, kind, port, Arc::clone(&theirs))).await;
        Strict { port, kind, state }
    }

    pub fn be(&self, moods: impl IntoIterator<Item = Mood>) {
        self.state.lock().unwrap().moods = moods.into_iter().collect();
    }

    pub fn addresses(&self) -> Vec<String> {
        self.state.lock().unwrap().rows.iter().map(|(_, address, _)| address.clone()).collect()
    }

    pub fn ttls(&self) -> Vec<u32> {
        self.state.lock().unwrap().rows.iter().map(|(_, _, ttl)| *ttl).collect()
    }

    pub fn put(&self, address: &str) {
        self.state.lock().unwrap().rows = vec![(99, address.to_owned(), 60)];
    }

    pub fn asked(&self) -> Vec<String> {
        self.state.lock().unwrap().asked.clone()
    }

    /// How many requests would have changed something.
    pub fn writes(&self) -> usize {
        self.asked().iter().filter(|line| !line.starts_with("GET ")).count()
    }

    pub fn assert_nothing_wrong(&self) {
        let state = self.state.lock().unwrap();
        assert!(state.wrong.is_empty(), "{:?}: {:?} of {:?}", self.kind, state.wrong, state.asked);
    }
}

async fn serve(mut stream: TcpStream, kind: Kind, port: u16, state: Arc<Mutex<State>>) {
    let Some(request) = Request::read(&mut stream).await else { return };
    let (mut pause, mut after) = (None, String::new());
    let (status, text) = {
        let mut state = state.lock().unwrap();
        state.asked.push(request.line());
        let mood = state.moods.pop_front();
        match mood {
            Some(Mood::Status(status)) => (status, String::new()),
            Some(Mood::Says(status, text)) => (status, text.to_owned()),
            Some(Mood::Busy(seconds)) => {
                after = format!("Retry-After: {seconds}\r\n");
                (429, String::new())
            }
            Some(Mood::Slow(_)) | None => {
                if let Some(Mood::Slow(span)) = mood {
                    pause = Some(span);
                }
                let answer = match kind {
                    Kind::Cloudflare => cloudflare(&request, &mut state),
                    Kind::DigitalOcean => digitalocean(&request, &mut state),
                    Kind::Route53 => route53(&request, port, &mut state),
                };
                answer.unwrap_or_else(|(status, why)| {
                    state.wrong.push(format!("{status} {why}: {}", request.line()));
                    (status, why)
                })
            }
        }
    };
    if let Some(pause) = pause {
        tokio::time::sleep(pause).await;
    }
    let answer = format!("HTTP/1.1 {status} X\r\n{after}Content-Length: {}\r\n\r\n{text}", text.len());
    let _ = stream.write_all(answer.as_bytes()).await;
}

type Answered = Result<(u16, String), (u16, String)>;

fn refuse(status: u16, why: &str) -> Answered {
    Err((status, why.to_owned()))
}

fn bearer(request: &Request) -> Result<(), (u16, String)> {
    if request.header("authorization") != format!("Bearer {TOKEN}") {
        // One says what it was told, the other more than anybody reads, to whoever looks at a terminal.
        let echo = format!("Unable to authenticate {}", request.header("authorization"));
        let long = "Unable to authenticate you\u{1b}[2J".repeat(100);
        return Err((401, json!({ "errors": [{ "message": echo }], "message": long }).to_string()));
    }
    if !request.body.is_empty() && request.header("content-type") != "application/json" {
        return Err((415, "no JSON".to_owned()));
    }
    Ok(())
}

/// The number behind `path/`.
fn number(request: &Request, path: &str) -> Option<u64> {
    request.path.strip_prefix(path)?.strip_prefix('/')?.parse().ok()
}

fn body(request: &Request, wanted: &[&str]) -> Result<Value, (u16, String)> {
    let body: Value = serde_json::from_str(&request.body).map_err(|error| (400, error.to_string()))?;
    let mut keys: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    if keys == wanted { Ok(body) } else { Err((400, format!("{keys:?}, wanted {wanted:?}"))) }
}

fn address(value: &Value) -> Result<String, (u16, String)> {
    let text = value.as_str().filter(|text| text.parse::<std::net::Ipv4Addr>().is_ok());
    text.map(str::to_owned).ok_or_else(|| (400, format!("{value} is no address")))
}

/// <https://developers.cloudflare.com/api/resources/dns/subresources/records/>
fn cloudflare(request: &Request, state: &mut State) -> Answered {
    bearer(request)?;
    let path = format!("/client/v4/zones/{ZONE}/dns_records");
    let show = |(id, content, ttl): &Row| {
        json!({ "id": id.to_string(), "type": "A", "name": HOST, "content": content, "ttl": ttl,
                "proxied": false })
    };
    let good =
        |result: Value| Ok((200, json!({ "success": true, "errors": [], "result": result }).to_string()));
    let identical = |state: &State, id: u64, content: &str| {
        let same = state.rows.iter().any(|row| row.0 != id && row.1 == content);
        let text = json!({ "success": false, "errors": [{ "code": 81058, "message": "An identical record already exists." }] });
        if same { Err((400, text.to_string())) } else { Ok(()) }
    };
    let missing = (404, json!({ "success": false, "errors": [{ "message": "not found" }] }).to_string());
    let ttl = |body: &Value| match body["ttl"].as_u64() {
        Some(ttl @ (1 | 60..=86_400)) => Ok(u32::try_from(ttl).unwrap()),
        _ => Err((400, format!("ttl {}", body["ttl"]))),
    };
    match (request.method.as_str(), number(request, &path)) {
        ("GET", None) if request.path == format!("{path}?type=A&name={HOST}") => {
            good(state.rows.iter().map(show).collect())
        }
        ("POST", None) if request.path == path => {
            let body = body(request, &["content", "name", "proxied", "ttl", "type"])?;
            if body["name"] != HOST || body["type"] != "A" || body["proxied"] != false {
                return refuse(400, &request.body);
            }
            state.rows.push((1, address(&body["content"])?, ttl(&body)?));
            good(show(&state.rows[0]))
        }
        ("PATCH", Some(id)) => {
            let body = body(request, &["content", "ttl"])?;
            let (content, ttl) = (address(&body["content"])?, ttl(&body)?);
            identical(state, id, &content)?;
            let Some(row) = state.rows.iter_mut().find(|row| row.0 == id) else { return Ok(missing) };
            *row = (id, content, ttl);
            good(show(row))
        }
        ("DELETE", Some(id)) => {
            state.rows.retain(|row| row.0 != id);
            good(json!({ "id": id.to_string() }))
        }
        _ => refuse(405, "no such call"),
    }
}

/// <https://docs.digitalocean.com/reference/api/digitalocean/#tag/Domain-Records>
fn digitalocean(request: &Request, state: &mut State) -> Answered {
    bearer(request)?;
    let path = "/v2/domains/example.org/records";
    let show =
        |(id, data, ttl): &Row| json!({ "id": id, "type": "A", "name": "www", "data": data, "ttl": ttl });
    let ttl = |body: &Value| match body["ttl"].as_u64() {
        Some(ttl @ 30..) => Ok(u32::try_from(ttl).unwrap()),
        _ => Err((422, format!("ttl {}", body["ttl"]))),
    };
    match (request.method.as_str(), number(request, path)) {
        ("GET", None) if request.path == format!("{path}?type=A&name={HOST}") => {
            let rows: Vec<_> = state.rows.iter().map(show).collect();
            Ok((200, json!({ "domain_records": rows }).to_string()))
        }
        ("POST", None) if request.path == path => {
            let body = body(request, &["data", "name", "ttl", "type"])?;
            if body["name"] != "www" || body["type"] != "A" {
                return refuse(422, &request.body);
            }
            state.rows.push((1, address(&body["data"])?, ttl(&body)?));
            Ok((201, json!({ "domain_record": show(&state.rows[0]) }).to_string()))
        }
        ("PATCH", Some(id)) => {
            let body = body(request, &["data", "ttl", "type"])?;
            let (data, ttl) = (address(&body["data"])?, ttl(&body)?);
            let Some(row) = state.rows.iter_mut().find(|row| row.0 == id) else {
                return Ok((404, json!({ "id": "not_found", "message": "not found" }).to_string()));
            };
            *row = (id, data, ttl);
            Ok((200, json!({ "domain_record": show(row) }).to_string()))
        }
        ("DELETE", Some(id)) => {
            state.rows.retain(|row| row.0 != id);
            Ok((204, String::new()))
        }
        _ => refuse(405, "no such call"),
    }
}

/// What the signature of a request has to be, by Amazon's own description of version 4, computed from what came.
fn signature(request: &Request, port: u16) -> Result<String, (u16, String)> {
    let time = request.header("x-amz-date");
    let sent = jiff::fmt::strtime::parse("%Y%m%dT%H%M%SZ", time).and_then(|time| time.to_datetime());
    let sent = sent.map_err(|error| (403, error.to_string()))?;
    let sent = sent.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_second();
    if (jiff::Timestamp::now().as_second() - sent).abs() > 300 {
        return Err((403, error("RequestExpired", time)));
    }
    if request.header("host") != format!("127.0.0.1:{port}") {
        return Err((400, request.header("host").to_owned()));
    }
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let mut parts: Vec<_> = query.split('&').collect();
    parts.sort_unstable();
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let canonical = [
        &request.method,
        path,
        &parts.join("&"),
        &format!("host:{}", request.header("host")),
        &format!("x-amz-date:{time}"),
        "",
        "host;x-amz-date",
        &hex(&Sha256::digest(&request.body)),
    ]
    .join("\n");
    let scope = format!("{}/us-east-1/route53/aws4_request", &time[..8]);
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let mut key = format!("AWS4{TOKEN}").into_bytes();
    for part in scope.split('/').chain([text.as_str()]) {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(part.as_bytes());
        key = mac.finalize().into_bytes().to_vec();
    }
    Ok(format!(
        "AWS4-HMAC-SHA256 Credential={ID}/{scope}, SignedHeaders=host;x-amz-date, Signature={}",
        hex(&key)
    ))
}

fn error(code: &str, message: &str) -> String {
    format!("<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>")
}

/// <https://docs.aws.amazon.com/Route53/latest/APIReference/>
fn route53(request: &Request, port: u16, state: &mut State) -> Answered {
    if request.header("authorization") != signature(request, port)? {
        return refuse(403, &error("SignatureDoesNotMatch", "The request signature does not match"));
    }
    let path = format!("/2013-04-01/hostedzone/{HOSTED}/rrset");
    if request.method == "GET" && request.path == format!("{path}?maxitems=1&name={HOST}.&type=A") {
        // What is next in the zone, where there is none.
        let mut set = "<Name>zzz.example.org.</Name><Type>TXT</Type><TTL>5</TTL>".to_owned();
        if let Some((_, _, ttl)) = state.rows.first() {
            let values = state.rows.iter().map(|row| value(&row.1)).collect::<String>();
            set = format!(
                "<Name>{HOST}.</Name><Type>A</Type><TTL>{ttl}</TTL><ResourceRecords>{values}</ResourceRecords>"
            );
        }
        let text = format!(
            "<?xml version=\"1.0\"?>\n<ListResourceRecordSetsResponse><ResourceRecordSets><ResourceRecordSet>{set}\
             </ResourceRecordSet></ResourceRecordSets><IsTruncated>false</IsTruncated></ListResourceRecordSetsResponse>"
        );
        return Ok((200, text));
    }
    if (request.method.as_str(), &request.path) != ("POST", &path) {
        return refuse(404, "no such call");
    }
    if request.header("content-type") != "application/xml" {
        return refuse(400, "no XML");
    }
    let open = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ChangeResourceRecordSetsRequest \
                xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><ChangeBatch><Changes>";
    let shut = "</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>";
    let Some(mut changes) = request.body.strip_prefix(open).and_then(|rest| rest.strip_suffix(shut)) else {
        return refuse(400, &error("InvalidInput", &request.body));
    };
    // All or nothing.
    let mut rows = state.rows.clone();
    let bad = |why: &str| (400, error("InvalidChangeBatch", why));
    let old: String = rows.iter().map(|row| value(&row.1)).collect();
    let ttl = rows.first().map_or(0, |row| row.2);
    let delete = set("DELETE", ttl, &old);
    if changes.starts_with("<Change><Action>DELETE<") {
        let Some(rest) = changes.strip_prefix(delete.as_str()).filter(|_| !rows.is_empty()) else {
            return Ok(bad("Tried to delete it, but the values provided do not match the current values"));
        };
        (changes, rows) = (rest, Vec::new());
    }
    if !rows.is_empty() {
        return Ok(bad("Tried to create it, but it already exists"));
    }
    let between =
        |open: &str| changes.split_once(open).and_then(|(_, rest)| rest.split_once("</")).map(|it| it.0);
    let Some(ttl) = between("<TTL>").and_then(|ttl| ttl.parse().ok()) else { return refuse(400, changes) };
    let addresses: Vec<_> = changes
        .split("<Value>")
        .skip(1)
        .filter_map(|rest| rest.split_once("</Value>").map(|(address, _)| address.to_owned()))
        .collect();
    let values: String = addresses.iter().map(|address| value(address)).collect();
    if changes != set("CREATE", ttl, &values) {
        return refuse(400, &error("InvalidInput", changes));
    }
    state.rows = (1..).zip(addresses).map(|(number, address)| (number, address, ttl)).collect();
    Ok((200, "<ChangeResourceRecordSetsResponse/>".to_owned()))
}

fn value(address: &str) -> String {
    format!("<ResourceRecord><Value>{address}</Value></ResourceRecord>")
}

fn set(action: &str, ttl: u32, values: &str) -> String {
    format!(
        "<Change><Action>{action}</Action><ResourceRecordSet><Name>{HOST}.</Name><Type>A</Type><TTL>{ttl}</TTL>\
         <ResourceRecords>{values}</ResourceRecords></ResourceRecordSet></Change>"
    )
}
