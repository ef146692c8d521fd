//! The nodes of a cluster as text, as the page shows them: each as it says itself, and what two of them say that only
//! one may. What is too old is not shown.

use super::show::{Page, RED, clean, health, paint};
use super::span::span;
use crate::agent::cluster::{Cluster, Node, Router};
use std::time::Duration;

/// What was told longer ago is not believed, as on the page.
const OLD: Duration = Duration::from_secs(5);

/// What comes before all else: nodes that are Master of the same. `since`: how long ago this was told.
pub(super) fn alarm(cluster: &Cluster, since: Duration, colour: bool) -> String {
    let mut page = Page { text: String::new(), colour };
    if since <= OLD && !cluster.rivals.is_empty() {
        page.head("TWO MASTERS", RED, &cluster.rivals.join("; "));
    }
    page.text
}

/// Every node; nothing where there is but one.
pub(super) fn show(cluster: &Cluster, since: Duration, colour: bool) -> String {
    if cluster.nodes.len() < 2 {
        return String::new();
    }
    let mut page = Page { text: "\ncluster\n".to_owned(), colour };
    if since > OLD {
        page.text.push_str("  how the other nodes stand is not known at present\n");
        return page.text;
    }
    let since = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    for node in &cluster.nodes {
        one(&mut page, node, since);
    }
    page.text
}

fn one(page: &mut Page, node: &Node, since: u64) {
    let place = node.peer.as_deref().unwrap_or("this host");
    let name = clean(node.node.as_deref().unwrap_or(place));
    let ago = |ms: u64| format!("{} ago", span(ms.saturating_add(since)));
    match (node.health, &node.error) {
        (Some(of), None) => {
            let (word, paint) = health(of);
            let age = node.age_ms.map_or_else(String::new, |age| format!(", as of {}", ago(age)));
            page.head(&format!("  {name}  {word}"), paint, &format!("{place}{age}"));
        }
        (_, error) => {
            let heard = node
                .heard_ms
                .map_or_else(|| "never heard".to_owned(), |ms| format!("last heard {}", ago(ms)));
            let error = error.as_deref().unwrap_or("it says nothing of itself");
            page.head(&format!("  {name}  NO ANSWER"), RED, &format!("{error}; {heard}"));
        }
    }
    for Router { name, state, since_ms, why, drained, priority, .. } in &node.routers {
        let drained = if *drained { ", handed over" } else { "" };
        let text =
            format!("for {}{drained}, priority {priority}: {why}", span(since_ms.saturating_add(since)));
        page.head(&format!("    {}  {state}", clean(name)), paint(*state), &text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cluster() -> Cluster {
        let web = json!({"name": "web", "state": "MASTER", "since_ms": 3000, "why": "just started", "drained": false,
                         "priority": 110, "addresses": ["10.0.0.100"]});
        let own = json!({"peer": null, "node": "web-1", "age_ms": 5, "heard_ms": 5, "error": null,
                         "health": "healthy", "routers": [web]});
        let gone = json!({"peer": "http://10.0.0.2:5113", "node": null, "age_ms": null, "heard_ms": 19_000,
                          "error": "no answer within 1s", "health": null, "routers": []});
        let rivals = ["10.0.0.100: web-1 and web-2 are both MASTER"];
        serde_json::from_value(json!({"rivals": rivals, "nodes": [own, gone]})).unwrap()
    }

    #[test]
    fn each_node_is_shown_as_it_says_itself_and_a_silent_one_has_no_state() {
        let text = show(&cluster(), Duration::from_secs(1), false);
        let lines: Vec<_> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            lines,
            [
                "",
                "cluster",
                "web-1 HEALTHY this host, as of 1s ago",
                "web MASTER for 4s, priority 110: just started",
                "http://10.0.0.2:5113 NO ANSWER no answer within 1s; last heard 20s ago"
            ]
        );
        let alarm = alarm(&cluster(), Duration::from_secs(1), false);
        assert!(alarm.starts_with("TWO MASTERS  10.0.0.100: web-1 and web-2"), "{alarm}");
    }

    #[test]
    fn what_is_old_says_nothing_and_who_is_alone_is_no_cluster() {
        let late = Duration::from_secs(6);
        let text = show(&cluster(), late, false);
        assert!(text.contains("not known at present") && !text.contains("MASTER"), "{text}");
        assert_eq!(alarm(&cluster(), late, false), "");
        let mut alone = cluster();
        alone.nodes.truncate(1);
        assert_eq!(show(&alone, Duration::ZERO, false), "");
    }
}
