//! What is said of a held address is true in the kernel.

use crate::addresses::{OURS, find, held, hold, released, start, vip};
use crate::leases::lease;
use crate::namespace::Namespace;
use locum::net::address::{Order, Report};
use locum::vrrp::{AddressFlag, Particulars, Preferred, Vip};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Instant;

#[test]
fn what_is_said_of_an_address_the_kernel_has_and_a_change_of_it_is_a_difference() {
    let (left, _right) = Namespace::pair();
    let (holder, reports) = start(&left);
    let said = |more: Particulars, text: &str| Vip { more, ..vip(text) };
    let flags = |flags: &[AddressFlag]| -> BTreeSet<AddressFlag> { flags.iter().copied().collect() };
    let broadcast = Some(Ipv4Addr::new(10, 5, 0, 255));
    let home = flags(&[AddressFlag::Home, AddressFlag::NoPrefixRoute, AddressFlag::ManageTemporary]);
    let vips = || {
        vec![
            said(Particulars { broadcast, ..Particulars::default() }, "10.5.0.100/24"),
            said(Particulars { peer: "10.6.0.1".parse().ok(), ..Particulars::default() }, "10.5.0.101/32"),
            said(Particulars { flags: home.clone(), ..Particulars::default() }, "2001:db8:5::100/64"),
            said(
                Particulars { preferred: Some(Preferred::Forever), ..Particulars::default() },
                "2001:db8:5::101/128",
            ),
            said(
                Particulars { flags: flags(&[AddressFlag::Dad]), ..Particulars::default() },
                "2001:db8:5::102/64",
            ),
        ]
    };
    for leased in [false, true] {
        holder.order(if leased { lease(OURS, vips()) } else { hold(OURS, vips()) });
        assert_eq!(reports.next(), held());
        let of = |address: &str, key: &str| find(&left, "eth0", address).expect("there")[key].clone();
        assert_eq!(of("10.5.0.100", "broadcast"), "10.5.0.255");
        assert_eq!(of("10.5.0.101", "address"), "10.6.0.1");
        assert!(left.show(&["route", "show"]).iter().any(|route| route["dst"] == "10.6.0.1"));
        for key in ["home", "noprefixroute", "mngtmpaddr", "nodad"] {
            assert_eq!(of("2001:db8:5::100", key), true, "{key}");
        }
        assert_eq!(of("2001:db8:5::101", "deprecated"), Value::Null);
        assert_eq!(of("2001:db8:5::102", "nodad"), Value::Null);
    }
    let changes = left.monitor();
    holder.order(lease(OURS, vips()));
    assert_eq!(reports.next(), held());
    assert_eq!(changes.removals(), 0);
    holder.order(lease(OURS, vec![vip("10.5.0.100/24"), vip("10.5.0.101/32"), vip("2001:db8:5::100/64")]));
    assert_eq!(reports.next(), held());
    let plain = |address: &str| find(&left, "eth0", address).expect("there");
    assert_eq!(plain("10.5.0.100")["broadcast"], Value::Null);
    assert_eq!(plain("10.5.0.101")["address"], Value::Null);
    assert_eq!(plain("2001:db8:5::100")["home"], Value::Null);
}

#[test]
fn an_address_that_is_not_tracked_stays_away_when_somebody_removes_it() {
    let (left, _right) = Namespace::pair();
    let (holder, reports) = start(&left);
    let flags = [AddressFlag::NoTrack].into();
    let vips = || {
        let more = Particulars { flags, ..Particulars::default() };
        vec![vip("10.9.0.100/32"), Vip { more, ..vip("10.9.0.101/32") }]
    };
    let order = lease(OURS, vips());
    holder.order(order.clone());
    assert_eq!(reports.next(), held());
    for address in ["10.9.0.100", "10.9.0.101"] {
        left.ip(&format!("addr del {address}/32 dev eth0"));
        holder.order(Order::Gone { interface: "eth0".to_owned(), address: address.parse().expect("one") });
    }
    let back = Report::Restored { owner: OURS, address: "10.9.0.100".parse().expect("one") };
    assert_eq!(reports.next(), back);
    holder.order(Order::Renew { at: Instant::now() });
    holder.order(Order::Check);
    holder.order(Order::Announce { owner: OURS, count: 1 });
    assert_eq!(reports.next(), Report::Announced { owner: OURS, sent: 1, failed: 0 });
    assert!(find(&left, "eth0", "10.9.0.100").is_some() && find(&left, "eth0", "10.9.0.101").is_none());
    holder.order(Order::Release { owner: OURS });
    assert_eq!(reports.next(), released());
    holder.order(order);
    assert_eq!(reports.next(), held());
    assert!(find(&left, "eth0", "10.9.0.101").is_some(), "held anew it is there anew");
}
