//! Addresses that are leased: renewed by orders or by whoever decides, and gone where nobody does it.

use crate::addresses::{OURS, find, held, hold, released, start, vip};
use crate::namespace::{Namespace, eventually};
use locum::agent::Holding;
use locum::net::address::{Order, Report};
use locum::vrrp::Vip;
use std::cell::RefCell;
use std::thread;
use std::time::{Duration, Instant};

/// As [`hold`], leased for a second.
pub fn lease(owner: u32, vips: Vec<Vip>) -> Order {
    let Order::Hold { holding, .. } = hold(owner, vips) else { unreachable!() };
    Order::Hold { until: None, owner, holding: Holding { lease: Some(Duration::from_secs(1)), ..holding } }
}

#[test]
fn a_leased_address_stays_while_it_is_renewed_and_the_kernel_removes_it_when_nobody_does() {
    let (left, _right) = Namespace::pair();
    let before = left.has("eth0");
    let (holder, reports) = start(&left);
    let (changes, long_ago) = (left.monitor(), Instant::now());
    holder.order(lease(OURS, vec![vip("10.9.0.100/24"), vip("10.9.0.101/32"), vip("2001:db8:9::100/128")]));
    assert_eq!(reports.next(), held());
    let host = find(&left, "eth0", "2001:db8:9::100").expect("there");
    assert_eq!((&host["preferred_life_time"], &host["valid_life_time"]), (&0.into(), &1.into()));
    for _ in 0..12 {
        thread::sleep(Duration::from_millis(300));
        holder.order(Order::Renew { at: Instant::now() });
    }
    assert_eq!(left.has("eth0").len(), before.len() + 3);
    assert_eq!(changes.removals(), 0, "it was there all the time");
    // Of a second, and what the kernel is late by.
    eventually("they are gone", || left.has("eth0") == before);
    // As it would come from a thread that was stopped before and is not any more.
    holder.order(Order::Renew { at: long_ago });
    holder.order(Order::Release { owner: OURS });
    assert_eq!(reports.next(), released());
    assert_eq!(left.has("eth0"), before);
}

#[test]
fn what_was_renewed_is_renewed_again_by_whoever_decides_until_anything_else_is_ordered() {
    let (left, _right) = Namespace::pair();
    let before = left.has("eth0");
    let (holder, reports) = start(&left);
    let renewer = RefCell::new(left.run(|| holder.renewer().expect("a renewer")));
    let renew = || renewer.borrow_mut().renew();
    let changes = left.monitor();
    holder.order(lease(OURS, vec![vip("10.9.0.100/32")]));
    assert_eq!(reports.next(), held());
    thread::sleep(Duration::from_millis(300));
    assert!(!renew(), "nobody has done it before");
    holder.order(Order::Renew { at: Instant::now() });
    eventually("it has been renewed", renew);
    for _ in 0..12 {
        thread::sleep(Duration::from_millis(300));
        assert!(renew());
    }
    assert_eq!(changes.removals(), 0, "it was there all the time");
    holder.order(Order::Release { owner: OURS });
    assert_eq!(reports.next(), released());
    assert!(!renew(), "it would be put there anew");
    assert_eq!(left.has("eth0"), before);

    holder.order(lease(OURS, vec![vip("10.9.0.100/32")]));
    assert_eq!(reports.next(), held());
    thread::sleep(Duration::from_millis(300));
    holder.order(Order::Renew { at: Instant::now() });
    eventually("it has been renewed", renew);
    eventually("it is gone", || left.has("eth0") == before);
    assert!(!renew(), "what has ended is the worker's to mend");
}

#[test]
fn a_lease_that_ended_while_somebody_lives_is_put_back_and_told() {
    let (left, _right) = Namespace::pair();
    let (holder, reports) = start(&left);
    holder.order(lease(OURS, vec![vip("10.9.0.100/32")]));
    assert_eq!(reports.next(), held());
    eventually("it is gone", || find(&left, "eth0", "10.9.0.100").is_none());
    holder.order(Order::Renew { at: Instant::now() });
    let address = "10.9.0.100".parse().expect("an address");
    assert_eq!(reports.next(), Report::Restored { owner: OURS, address });
}

#[test]
fn what_somebody_else_has_put_there_is_never_given_a_lease() {
    let (left, _right) = Namespace::pair();
    left.ip("address add 10.9.0.100/32 dev eth0");
    let (holder, reports) = start(&left);
    holder.order(lease(OURS, vec![vip("10.9.0.100/32"), vip("10.9.0.101/32")]));
    assert_eq!(reports.next(), held());
    // Somebody takes one of Locum's for good.
    left.ip("address del 10.9.0.101/32 dev eth0");
    left.ip("address add 10.9.0.101/32 dev eth0");
    holder.order(Order::Check);
    thread::sleep(Duration::from_millis(200));
    holder.order(Order::Renew { at: Instant::now() });
    holder.order(Order::Release { owner: OURS });
    assert_eq!(reports.next(), released());
    for address in ["10.9.0.100", "10.9.0.101"] {
        let there = find(&left, "eth0", address).expect("there");
        assert_eq!(there["valid_life_time"], u32::MAX, "{address}");
    }
}

#[test]
fn a_lease_comes_and_goes_with_the_configuration_and_the_address_stays() {
    let (left, _right) = Namespace::pair();
    let (holder, reports) = start(&left);
    let changes = left.monitor();
    let valid = || find(&left, "eth0", "10.9.0.100").expect("there")["valid_life_time"].clone();
    for leased in [false, true, false] {
        let vips = vec![vip("10.9.0.100/32")];
        holder.order(if leased { lease(OURS, vips) } else { hold(OURS, vips) });
        assert_eq!(reports.next(), held());
        assert_eq!(valid(), if leased { 1 } else { u32::MAX });
    }
    assert_eq!(changes.removals(), 0);
}
