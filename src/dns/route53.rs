//! Amazon Route 53's interface, version 2013-04-01. A change is a batch that is done as a whole or not at all, and
//! deletes only what is written exactly as it stands: what was read, which is the prerequisite.

use super::api::Answer;
use super::signature::{Credentials, Signed, authorization};
use super::{Api, Found, Record, Wrote};
use crate::stream::dial::Lane;
use crate::stream::retry::{Refusal, judge};
use hyper::Method;
use jiff::Timestamp;
use std::net::IpAddr;

/// The region that signatures name: the service is one for all of them.
const REGION: &str = "us-east-1";
const SERVICE: &str = "route53";
const XML: &str = "application/xml";
/// How it says that the record holds something else than was written. Other batches are invalid for good.
const CHANGED: [&str; 3] =
    ["but it already exists", "but it was not found", "do not match the current values"];

/// A zone of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Where the interface is.
    pub api: Api,
    /// The hosted zone's name, such as Z148QEXAMPLE8V.
    pub zone: String,
    /// Who asks.
    pub credentials: Credentials,
}

impl Account {
    fn path(&self) -> String {
        format!("/2013-04-01/hostedzone/{}/rrset", self.zone)
    }

    pub(super) async fn read(&self, record: &Record, lane: &Lane) -> Result<Found, Refusal> {
        let query = format!("maxitems=1&name={}.&type={}", record.host, record.kind());
        let answer = self.call(Method::GET, &self.path(), &query, String::new(), lane).await?;
        self.judge(&answer)?;
        let text = String::from_utf8_lossy(&answer.body);
        let Some(set) = between(&text, "ResourceRecordSet") else { return Ok(Found::default()) };
        let is = |tag, wanted: &str| {
            between(set, tag).is_some_and(|text| text.trim_end_matches('.').eq_ignore_ascii_case(wanted))
        };
        // The list begins there, and has what comes next where there is none.
        if !is("Name", &record.host) || !is("Type", record.kind()) {
            return Ok(Found::default());
        }
        if set.contains("<SetIdentifier>") || set.contains("<AliasTarget>") {
            let why = format!("{record} is an alias, or one of several by a policy");
            return Err(Refusal::Never(self.api.named(&why)));
        }
        let bad = || Refusal::later(self.api.named("its answer is no list of records"));
        let ttl = between(set, "TTL").and_then(|ttl| ttl.parse().ok()).ok_or_else(bad)?;
        let mut found = Found { ttl: Some(ttl), ..Found::default() };
        let mut rest = set;
        while let Some(value) = between(rest, "Value") {
            found.addresses.insert(value.parse().map_err(|_| bad())?);
            rest = rest.split_once("</Value>").map_or("", |(_, rest)| rest);
        }
        Ok(found)
    }

    pub(super) async fn write(
        &self,
        record: &Record,
        found: &Found,
        address: IpAddr,
        lane: &Lane,
    ) -> Result<Wrote, Refusal> {
        let old = found.ttl.map(|ttl| change("DELETE", record, ttl, found.addresses.iter()));
        let new = change("CREATE", record, record.ttl, [address].iter());
        self.change(&(old.unwrap_or_default() + &new), lane).await
    }

    pub(super) async fn rehearse(
        &self,
        record: &Record,
        found: &Found,
        lane: &Lane,
    ) -> Result<Option<Wrote>, Refusal> {
        let Some(ttl) = found.ttl else { return Ok(None) };
        let same = ["DELETE", "CREATE"].map(|action| change(action, record, ttl, found.addresses.iter()));
        self.change(&same.concat(), lane).await.map(Some)
    }

    async fn change(&self, changes: &str, lane: &Lane) -> Result<Wrote, Refusal> {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <ChangeResourceRecordSetsRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">\
             <ChangeBatch><Changes>{changes}</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"
        );
        let answer = self.call(Method::POST, &self.path(), "", body, lane).await?;
        let text = String::from_utf8_lossy(&answer.body);
        if answer.status == 400 && CHANGED.iter().any(|said| text.contains(said)) {
            return Ok(Wrote::Conflict);
        }
        self.judge(&answer).map(|()| Wrote::Done)
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        query: &str,
        body: String,
        lane: &Lane,
    ) -> Result<Answer, Refusal> {
        let time = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let (host, whole) = (self.api.authority(), format!("{}{path}", self.api.path));
        let signed =
            Signed { method: method.as_str(), path: &whole, query, host: &host, body: &body, time: &time };
        let authorization = authorization(&self.credentials, REGION, SERVICE, &signed);
        let headers = [("authorization", authorization), ("x-amz-date", time.clone())];
        let path = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        self.api.send(method, &path, &headers, (body, XML), lane).await
    }

    fn judge(&self, answer: &Answer) -> Result<(), Refusal> {
        let text = String::from_utf8_lossy(&answer.body);
        let code = between(&text, "Code").unwrap_or_default();
        let said = [between(&text, "Code"), between(&text, "Message")].into_iter().flatten();
        let named = |why: String| self.api.named(&said.fold(why, |why, said| why + ": " + said));
        // Too many requests are a 400 here.
        let passes = ["Throttling", "PriorRequestNotComplete"].contains(&code);
        let status = if passes { 429 } else { answer.status };
        judge(status, answer.after).map_err(|refusal| refusal.map(named))
    }
}

fn change<'a>(
    action: &str,
    record: &Record,
    ttl: u32,
    addresses: impl Iterator<Item = &'a IpAddr>,
) -> String {
    let value = |address| format!("<ResourceRecord><Value>{address}</Value></ResourceRecord>");
    let values: String = addresses.map(value).collect();
    format!(
        "<Change><Action>{action}</Action><ResourceRecordSet><Name>{}.</Name><Type>{}</Type><TTL>{ttl}</TTL>\
         <ResourceRecords>{values}</ResourceRecords></ResourceRecordSet></Change>",
        record.host,
        record.kind()
    )
}

/// What stands in the first element `tag` of `text`. Addresses, names and numbers have no escapes.
fn between<'a>(text: &'a str, tag: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{tag}>"))?;
    rest.split_once(&format!("</{tag}>")).map(|(inner, _)| inner)
}
