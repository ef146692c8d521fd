//! What `nft -j list ruleset` prints, read as chains: libnftables-json(5).

use super::filter::{Chain, Field, Filter, Rule, Test, Value, Verdict, Way};
use crate::vrrp::Family;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Reads the chains of a ruleset.
///
/// # Errors
/// One line: it is no such ruleset.
pub fn nft(text: &str) -> Result<Filter, String> {
    let json: Json = serde_json::from_str(text).map_err(|error| format!("nft wrote no JSON: {error}"))?;
    let items = json["nftables"].as_array().ok_or("nft wrote no ruleset")?;
    let mut sets = BTreeMap::new();
    for item in items {
        let named = item.get("set").or_else(|| item.get("map"));
        if let Some(set) = named {
            sets.insert(place(set, "name"), set["elem"].clone());
        }
    }
    let mut filter = Filter::default();
    filter.chains.extend(items.iter().filter_map(|item| item.get("chain")).map(chain));
    for rule in items.iter().filter_map(|item| item.get("rule")) {
        let read = Reader { sets: &sets, rule }.rules();
        let (family, table, name) = place(rule, "chain");
        let home =
            |chain: &&mut Chain| (&chain.family, &chain.table, &chain.name) == (&family, &table, &name);
        if let Some(chain) = filter.chains.iter_mut().find(home) {
            chain.rules.extend(read);
        }
    }
    Ok(filter)
}

type Place = (String, String, String);

fn text(item: &Json, key: &str) -> String {
    item[key].as_str().unwrap_or_default().to_owned()
}

fn place(item: &Json, name: &str) -> Place {
    (text(item, "family"), text(item, "table"), text(item, name))
}

fn chain(item: &Json) -> Chain {
    let (family, table, name) = place(item, "name");
    let filters = item["type"] == "filter";
    let way = match item["hook"].as_str() {
        Some("input" | "prerouting") if filters => Some(Way::In),
        Some("output" | "postrouting") if filters => Some(Way::Out),
        _ => None,
    };
    Chain { tool: "nft", family, table, name, way, drops: item["policy"] == "drop", rules: Vec::new() }
}

struct Reader<'a> {
    sets: &'a BTreeMap<Place, Json>,
    rule: &'a Json,
}

impl Reader<'_> {
    /// One rule, or with a verdict map one for each of its keys.
    fn rules(&self) -> Vec<Rule> {
        let comment = self.rule["comment"].as_str().map(|comment| format!(" ({comment})"));
        let named = format!("its rule with handle {}{}", self.rule["handle"], comment.unwrap_or_default());
        let mut tests = Vec::new();
        let mut rules = Vec::new();
        for statement in self.rule["expr"].as_array().into_iter().flatten() {
            let Some((kind, body)) = statement.as_object().and_then(|object| object.iter().next()) else {
                continue;
            };
            match &**kind {
                "match" => tests.extend(self.test(&body["left"], &body["op"], &body["right"])),
                "vmap" => rules.extend(self.map(&tests, body, &named)),
                "limit" | "quota" | "connlimit" | "xt" => tests.push(Test::unknown()),
                _ => {
                    if let Some(verdict) = verdict(kind, body) {
                        let tests = tests.clone();
                        rules.push(Rule { tests, verdict: Some(verdict), named: named.clone() });
                    }
                }
            }
        }
        rules
    }

    fn map(&self, tests: &[Test], body: &Json, named: &str) -> Vec<Rule> {
        let mut rules = Vec::new();
        for entry in self.elements(&body["data"]) {
            let (key, value) = (&entry[0], &entry[1]);
            let found = value.as_object().and_then(|object| object.iter().next());
            let mut tests = tests.to_vec();
            tests.extend(self.test(&body["key"], &Json::from("=="), key));
            let verdict = found.and_then(|(kind, body)| verdict(kind, body));
            rules.push(Rule { tests, verdict, named: named.to_owned() });
        }
        rules
    }

    /// What a match asks; several things where it says which protocol a port is of.
    fn test(&self, left: &Json, op: &Json, right: &Json) -> Vec<Test> {
        let negated = match op.as_str() {
            Some("==" | "in") => false,
            Some("!=") => true,
            _ => return vec![Test::unknown()],
        };
        let (field, implied) = field(left);
        let values = self.elements(right).iter().map(|one| value(field, one)).collect();
        let own = Test { field, negated, values };
        implied.into_iter().chain([own]).collect()
    }

    /// The elements of a set, named or written, or the one thing that stands there.
    fn elements(&self, right: &Json) -> Vec<Json> {
        if let Some(name) = right.as_str().and_then(|name| name.strip_prefix('@')) {
            let (family, table, _) = place(self.rule, "chain");
            let found = self.sets.get(&(family, table, name.to_owned()));
            // One without elements matches nothing.
            return found.and_then(Json::as_array).cloned().unwrap_or_default();
        }
        let list = right.get("set").unwrap_or(right);
        list.as_array().cloned().unwrap_or_else(|| vec![list.clone()])
    }
}

fn verdict(kind: &str, body: &Json) -> Option<Verdict> {
    Some(match kind {
        "accept" | "queue" => Verdict::Accept,
        "drop" | "reject" => Verdict::Drop,
        "return" => Verdict::Return,
        "jump" => Verdict::Jump(text(body, "target")),
        "goto" => Verdict::Goto(text(body, "target")),
        _ => return None,
    })
}

/// What the left side of a match is about, and what it means besides.
fn field(left: &Json) -> (Field, Option<Test>) {
    if let Some(key) = left["meta"]["key"].as_str() {
        let field = match key {
            "iifname" | "iif" => Field::Input,
            "oifname" | "oif" => Field::Output,
            "l4proto" => Field::Protocol,
            "nfproto" => Field::Family,
            "pkttype" => Field::Cast,
            _ => Field::Other,
        };
        return (field, None);
    }
    // An advert is no answer to anything, and nothing has changed its addresses.
    if left["ct"]["key"] == "state" || left["ct"]["key"] == "status" {
        return (Field::State, None);
    }
    if left["fib"]["result"] == "type" && left["fib"]["flags"] == serde_json::json!(["daddr"]) {
        return (Field::Cast, None);
    }
    let payload = &left["payload"];
    let (Some(protocol), Some(name)) = (payload["protocol"].as_str(), payload["field"].as_str()) else {
        return (Field::Other, None);
    };
    let family = |family: &str| Test {
        field: Field::Family,
        negated: false,
        values: vec![Value::Word(family.to_owned())],
    };
    let implied = match protocol {
        "ip" => Some(family("ipv4")),
        "ip6" => Some(family("ipv6")),
        "th" => None,
        "ether" | "vlan" | "arp" => return (Field::Other, None),
        other => {
            Some(Test { field: Field::Protocol, negated: false, values: vec![Value::Word(other.to_owned())] })
        }
    };
    let field = match (protocol, name) {
        ("ip", "protocol") | ("ip6", "nexthdr") => Field::Protocol,
        ("ip" | "ip6", "saddr") => Field::Source,
        ("ip" | "ip6", "daddr") => Field::Destination,
        ("udp" | "tcp" | "th", "dport") => Field::Port,
        _ => Field::Other,
    };
    (field, implied)
}

fn value(field: Field, one: &Json) -> Value {
    // Elements may carry a counter, a timeout or a comment.
    let one = one.get("elem").and_then(|elem| elem.get("val")).unwrap_or(one);
    let address = |text: &Json| text.as_str().and_then(|text| text.parse::<IpAddr>().ok());
    if let Some(number) = one.as_u64() {
        return Value::Range(number, number);
    }
    if let Some(word) = one.as_str() {
        let asks_address = matches!(field, Field::Source | Field::Destination);
        return match address(one) {
            Some(address) if asks_address => Value::Network(address, whole(address)),
            None if asks_address => Value::Unknown,
            _ => Value::Word(word.to_owned()),
        };
    }
    if let Some(prefix) = one.get("prefix") {
        let length = prefix["len"].as_u64().and_then(|length| u8::try_from(length).ok());
        return match (address(&prefix["addr"]), length) {
            (Some(network), Some(length)) => Value::Network(network, length),
            _ => Value::Unknown,
        };
    }
    let range = &one["range"];
    match (address(&range[0]), address(&range[1]), range[0].as_u64(), range[1].as_u64()) {
        (Some(from), Some(to), ..) => Value::Addresses(from, to),
        (_, _, Some(from), Some(to)) => Value::Range(from, to),
        _ => Value::Unknown,
    }
}

/// The prefix length of one address.
pub(super) fn whole(address: IpAddr) -> u8 {
    match Family::of(address) {
        Family::Ipv4 => 32,
        Family::Ipv6 => 128,
    }
}
