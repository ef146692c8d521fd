//! What the other hosts say, asked by their HTTP: whether they hear this one's adverts, and whether another holds the
//! same address. Without an answer of theirs that is not known: who listens is silent.

use super::Report;
use crate::agent::cluster::{Cluster, Node, Router};
use crate::agent::status::{RouterStatus, Status};
use crate::agent::{RouterName, Standing};
use std::net::IpAddr;

/// Judges what they say beside this host's own `status`; `cluster` is `None` where nobody was asked.
pub fn judge(status: &Status, cluster: Option<&Cluster>, report: &mut Report) {
    let nodes = cluster.map_or(&[][..], |cluster| &cluster.nodes);
    let (own, others) = nodes.split_first().map_or((None, nodes), |(own, others)| (Some(own), others));
    for line in cluster.iter().flat_map(|cluster| &cluster.rivals) {
        let why = "clients reach the one or the other, and writes go to both";
        let mend = "see which does not hear the other: locum doctor on both; locum handover on one ends it";
        report.trouble("cluster.two-masters", line.clone(), why, mend);
    }
    for node in others {
        if let (Some(peer), Some(error)) = (&node.peer, &node.error) {
            let why = "whether that host hears this one, and would take over, is not known";
            let mend = format!("see there: locum status, and its [http]; from here: curl {peer}/livez");
            report.doubt("cluster.silent", format!("{peer} does not say how it stands: {error}"), why, mend);
        }
    }
    for router in status.routers.iter().filter(|router| router.state == Standing::Master) {
        let ours = own.and_then(|own| named(own, &router.name));
        let theirs: Vec<_> = others
            .iter()
            .filter_map(|node| {
                Some((node, node.routers.iter().find(|it| ours.is_some_and(|ours| ours.is(it)))?))
            })
            .collect();
        if theirs.is_empty() {
            let what = format!("whether the other hosts hear {}", router.name);
            let why = "a Backup is silent: write peers into [http], or run locum doctor there as well";
            report.unseen(what, why);
        }
        for (node, other) in theirs {
            heard(router, node, other, report);
        }
    }
}

fn named<'a>(node: &'a Node, name: &RouterName) -> Option<&'a Router> {
    node.routers.iter().find(|router| router.name == *name.0)
}

/// Whether a node hears what this host, which is Master, sends.
fn heard(router: &RouterStatus, node: &Node, other: &Router, report: &mut Report) {
    let (name, there) = (&router.name, node.name());
    let sources: Vec<IpAddr> = router.instances.iter().filter_map(|instance| instance.source).collect();
    if sources.iter().any(|source| other.hears.contains(source)) {
        return report.fine("cluster", format!("{there} hears {name}, and is {} for it", other.state));
    }
    // It has had no time to.
    if router.since_ms <= other.patience_ms {
        return report.unseen(format!("whether {there} hears {name}"), "this host is MASTER since just now");
    }
    let what =
        format!("{there} does not hear {name}, though this host is MASTER; there it is {}", other.state);
    let why = "it takes the addresses as well, and then two hosts have them";
    let mend = "let IP protocol 112 from this host in there, and see interface, VRID, peers and auth on both: locum \
                doctor and locum sniff there";
    report.trouble("cluster.unheard", what, why, mend);
}
