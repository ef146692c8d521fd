//! Owners that take over at once: one look at an interface serves all of them, and each is told of its own.

use crate::addresses::{hold, start, vip};
use crate::namespace::Namespace;
use locum::agent::Holding;
use locum::net::address::{Order, Report};
use locum::vrrp::Vip;
use std::collections::BTreeMap;

const OWNERS: u32 = 100;
/// Wants what is not there.
const WRONG: u32 = 50;

fn address(owner: u32) -> Vip {
    vip(&format!("10.9.1.{owner}/32"))
}

#[test]
fn each_of_a_hundred_owners_has_its_address_and_its_announcement_and_one_failure_is_its_own() {
    let (left, _right) = Namespace::pair();
    let (holder, reports) = start(&left);
    // So long that the others wait behind it.
    holder.order(hold(OWNERS + 1, (0..250).map(|host| vip(&format!("10.9.2.{host}/32"))).collect()));
    for owner in 1..=OWNERS {
        let interface = if owner == WRONG { "eth7" } else { "eth0" }.to_owned();
        let holding = Holding { interface, vips: vec![address(owner)], ..Holding::default() };
        holder.order(Order::Hold { owner, holding, until: None });
        holder.order(Order::Announce { owner, count: 2 });
    }
    let (mut held, mut announced) = (BTreeMap::new(), BTreeMap::new());
    while announced.len() < OWNERS as usize {
        match reports.next() {
            Report::Held { owner, result } => drop(held.insert(owner, result)),
            Report::Announced { owner, sent, failed } => {
                assert!(held.contains_key(&owner), "{owner} was announced before it was there");
                announced.insert(owner, (sent, failed));
            }
            other => panic!("{other:?}"),
        }
    }
    let failed: Vec<_> = held.iter().filter(|(_, result)| result.is_err()).collect();
    let reason = "10.9.1.50/32 on eth7: there is no such interface".to_owned();
    assert_eq!(failed, [(&WRONG, &Err(reason))]);
    announced.remove(&WRONG);
    assert!(announced.values().all(|frames| *frames == (2, 0)), "{announced:?}");
    let there = left.has("eth0");
    let missing = |owner: &u32| !there.contains(&format!("10.9.1.{owner}/32"));
    assert_eq!((1..=OWNERS).filter(missing).collect::<Vec<_>>(), [WRONG]);
}

#[test]
fn who_takes_the_address_of_another_that_changes_at_once_has_it() {
    let (left, _right) = Namespace::pair();
    let (holder, reports) = start(&left);
    holder.order(hold(1, vec![address(1)]));
    assert_eq!(reports.next(), Report::Held { owner: 1, result: Ok(()) });
    // So long that the others wait behind it.
    holder.order(hold(3, (0..250).map(|host| vip(&format!("10.9.2.{host}/32"))).collect()));
    holder.order(hold(1, vec![address(2)]));
    holder.order(hold(2, vec![address(1)]));
    for owner in [3, 1, 2] {
        assert_eq!(reports.next(), Report::Held { owner, result: Ok(()) });
    }
    let there = left.has("eth0");
    for wanted in ["10.9.1.1/32", "10.9.1.2/32"] {
        assert!(there.contains(&wanted.to_owned()), "{wanted} is not there: {there:?}");
    }
}
