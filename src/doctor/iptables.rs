//! What `iptables-save` and `ip6tables-save` print, read as chains: iptables(8).

use super::filter::{Chain, Field, Filter, Rule, Test, Value, Verdict, Way};
use super::nft::whole;
use crate::vrrp::Family;
use std::net::IpAddr;

/// Reads the chains that drop or accept for one family; `tool` changes them.
#[must_use]
pub fn iptables(text: &str, tool: &'static str, family: Family) -> Filter {
    let named = match family {
        Family::Ipv4 => "ip",
        Family::Ipv6 => "ip6",
    };
    let mut filter = Filter::default();
    let mut table = String::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let Some(name) = line.strip_prefix('*') {
            name.trim().clone_into(&mut table);
        } else if let Some(name) = words.first().and_then(|word| word.strip_prefix(':')) {
            filter.chains.push(Chain {
                tool,
                family: named.to_owned(),
                table: table.clone(),
                name: name.to_owned(),
                way: way(&table, name),
                drops: words.get(1) == Some(&"DROP"),
                rules: Vec::new(),
            });
        } else if let [flag, name, rest @ ..] = &*words
            && *flag == "-A"
        {
            let home = |chain: &&mut Chain| chain.table == table && chain.name == *name;
            if let Some(chain) = filter.chains.iter_mut().find(home) {
                chain.rules.push(rule(line, rest));
            }
        }
    }
    filter
}

/// Those of `nat` see first packets alone, and change them.
fn way(table: &str, name: &str) -> Option<Way> {
    match name {
        "INPUT" | "PREROUTING" if table != "nat" => Some(Way::In),
        "OUTPUT" | "POSTROUTING" if table != "nat" => Some(Way::Out),
        _ => None,
    }
}

fn rule(line: &str, words: &[&str]) -> Rule {
    let mut rule = Rule { named: format!("its rule \"{line}\""), ..Rule::default() };
    let (mut negated, mut quoted) = (false, false);
    let mut words = words.iter().copied();
    while let Some(word) = words.next() {
        if quoted {
            quoted = !word.ends_with('"');
            continue;
        }
        let mut list = |field, one: fn(&str) -> Value| {
            let values = words.next().unwrap_or_default().split(',').map(one).collect();
            rule.tests.push(Test { field, negated, values });
        };
        match word {
            "!" => {
                negated = true;
                continue;
            }
            "-p" => list(Field::Protocol, |name| Value::Word(name.to_owned())),
            "-i" => list(Field::Input, interface),
            "-o" => list(Field::Output, interface),
            "-s" => list(Field::Source, network),
            "-d" => list(Field::Destination, network),
            "--dport" | "--dports" => list(Field::Port, ports),
            "--ctstate" | "--state" => list(Field::State, |name| Value::Word(name.to_lowercase())),
            "--pkt-type" => list(Field::Cast, |name| Value::Word(name.to_lowercase())),
            "--dst-type" => list(Field::Cast, |name| Value::Word(name.to_lowercase())),
            "--comment" => quoted = words.next().is_some_and(opens),
            "-m" => {
                const KNOWN: [&str; 8] =
                    ["conntrack", "state", "udp", "tcp", "comment", "multiport", "pkttype", "addrtype"];
                if !words.next().is_some_and(|module| KNOWN.contains(&module)) {
                    rule.tests.push(Test::unknown());
                }
            }
            "-j" => rule.verdict = words.next().and_then(target),
            "-g" => rule.verdict = words.next().map(|name| Verdict::Goto(name.to_owned())),
            // What a target is told decides nothing.
            _ if rule.verdict.is_some() => {}
            flag if flag.starts_with('-') => rule.tests.push(Test::unknown()),
            _ => {}
        }
        negated = false;
    }
    rule
}

/// Whether a quote begins here that does not end here.
fn opens(word: &str) -> bool {
    word.starts_with('"') && !(word.len() > 1 && word.ends_with('"'))
}

fn target(name: &str) -> Option<Verdict> {
    Some(match name {
        "ACCEPT" | "NFQUEUE" => Verdict::Accept,
        "DROP" | "REJECT" => Verdict::Drop,
        "RETURN" => Verdict::Return,
        // These go on, whatever they do.
        "LOG" | "NFLOG" | "MARK" | "CONNMARK" | "CT" | "TCPMSS" | "TRACE" | "NOTRACK" | "DSCP" | "TTL" => {
            return None;
        }
        chain => Verdict::Jump(chain.to_owned()),
    })
}

fn interface(name: &str) -> Value {
    Value::Word(name.strip_suffix('+').map_or(name.to_owned(), |start| format!("{start}*")))
}

fn network(text: &str) -> Value {
    let (address, prefix) =
        text.split_once('/').map_or((text, None), |(it, prefix)| (it, prefix.parse().ok()));
    address
        .parse::<IpAddr>()
        .map_or(Value::Unknown, |address| Value::Network(address, prefix.unwrap_or_else(|| whole(address))))
}

fn ports(text: &str) -> Value {
    let (from, to) = text.split_once(':').unwrap_or((text, text));
    match (from.parse(), to.parse()) {
        (Ok(from), Ok(to)) => Value::Range(from, to),
        _ => Value::Unknown,
    }
}
