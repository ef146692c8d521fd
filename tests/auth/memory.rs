//! What outlives reloads and restarts, and what its loss costs.

use crate::host::{Host, SECOND, key, ring, usual, web};
use locum::agent::{Input, Memory};
use locum::vrrp::auth::{Auth, Secret};
use locum::vrrp::hmac::{Mode, TRAILER_LEN, claim};
use locum::vrrp::sequence::AntiReplay;
use std::time::Duration;

fn monotonic() -> Auth {
    ring(vec![key(1, 7)], 1, AntiReplay::Monotonic, Mode::Enforce)
}

fn header() -> Auth {
    Auth::Ah(Secret::new(*b"c3cr3t42"))
}

/// Every scheme that remembers, with what its routers need besides.
fn schemes() -> [(Auth, &'static str); 3] {
    [(usual(), ""), (monotonic(), ""), (header(), "version = 2")]
}

/// A process later, with what the one before has left.
fn restart(host: &Host, auth: &Auth, more: &str, memory: Option<Memory>) -> Host {
    let mut next = Host::without_clock(2, &web(100, auth.clone(), more));
    next.now = host.now;
    next.set_clock(0);
    if let Some(memory) = memory {
        next.give(Input::Remembered(memory));
    }
    next
}

#[test]
fn an_old_advert_stays_old_over_a_reload_and_over_a_restart_that_remembers() {
    for (auth, more) in schemes() {
        let mut sender = Host::new(1, &web(150, auth.clone(), more), 0);
        sender.lead();
        let mut receiver = Host::new(2, &web(100, auth.clone(), more), 0);
        let advert = sender.advertise().remove(0);
        receiver.now = sender.now;
        receiver.hear(&advert);
        let other = Box::new(web(90, auth.clone(), more));
        receiver.give(Input::Reload { ticket: None, dry_run: false, besides: Vec::new(), config: other });
        // To unicast and back: the router starts anew, twice.
        let unicast = format!("{more}\npeers = ['10.0.0.1']");
        for more in [unicast.as_str(), more] {
            let config = Box::new(web(90, auth.clone(), more));
            receiver.give(Input::Reload { ticket: None, dry_run: false, besides: Vec::new(), config });
        }
        receiver.hear(&advert);
        assert_eq!(
            (receiver.heard(), receiver.refused("replay")),
            (0, 1),
            "{auth:?}: anew, and it remembers"
        );

        let memory = receiver.kept.last().cloned().unwrap();
        let mut next = restart(&receiver, &auth, more, Some(memory));
        next.hear(&advert);
        assert_eq!((next.heard(), next.refused("replay")), (0, 1), "{auth:?}");
        // The loss of the memory costs one old advert, not older ones after it.
        let mut forgetful = restart(&receiver, &auth, more, None);
        forgetful.hear(&advert);
        forgetful.hear(&advert);
        assert_eq!((forgetful.heard(), forgetful.refused("replay")), (1, 1), "{auth:?}");
    }
}

#[test]
fn what_is_sent_after_a_restart_is_newer_even_where_the_clock_went_back() {
    let (auth, more) = (monotonic(), "");
    let mut host = Host::new(2, &web(100, auth.clone(), more), 0);
    let last = host.lead().pop().unwrap();
    host.give(Input::Stop { at_once: true });
    assert!(host.stopped);
    let farewell = host.sent.pop().unwrap();
    let mut next = restart(&host, &auth, more, host.kept.last().cloned());
    next.set_clock(-3_600_000);
    let first = next.lead().remove(0);
    let [last, farewell, first] = [&last, &farewell, &first].map(|advert| sequence(&advert.payload));
    assert!(last < farewell && farewell < first, "{last:?} {farewell:?} {first:?}");
}

#[test]
fn what_was_sent_between_the_last_writing_and_a_crash_is_not_said_again() {
    let (auth, more) = (monotonic(), "interval = '100ms'");
    let mut host = Host::new(2, &web(100, auth.clone(), more), 0);
    host.lead();
    host.wait(Duration::from_millis(2950));
    let last = host.sent.pop().unwrap();
    let mut next = restart(&host, &auth, more, host.kept.last().cloned());
    next.set_clock(-3_600_000);
    let first = next.lead().remove(0);
    let [last, first] = [&last, &first].map(|advert| sequence(&advert.payload));
    assert!(last < first, "{last:?} {first:?}");
}

fn sequence(payload: &[u8]) -> [u8; 8] {
    let trailer: &[u8; TRAILER_LEN] = payload.last_chunk().unwrap();
    claim(trailer).unwrap().1.to_wire()
}

#[test]
fn it_is_written_down_at_most_once_a_second_and_at_the_end() {
    for (auth, more) in schemes() {
        let fast = if more.is_empty() { "interval = '10ms'" } else { more };
        let mut host = Host::new(1, &web(255, auth, fast), 0);
        host.wait(SECOND * 10);
        assert!((9..=11).contains(&host.kept.len()), "{}", host.kept.len());
        let before = host.kept.len();
        host.give(Input::Stop { at_once: true });
        assert!(host.stopped && host.kept.len() == before + 1, "with the farewell in it");
    }
    let mut plain = Host::new(1, &web(255, Auth::None, ""), 0);
    plain.wait(SECOND * 10);
    plain.give(Input::Stop { at_once: true });
    assert!(plain.stopped && plain.kept.is_empty());
}

#[test]
fn an_equal_configuration_does_nothing() {
    for (auth, more) in schemes() {
        let mut host = Host::new(1, &web(255, auth.clone(), more), 0);
        host.wait(SECOND * 3 + SECOND / 2);
        let config = Box::new(web(255, auth, more));
        let effects = host
            .agent
            .handle(host.now, Input::Reload { ticket: None, dry_run: false, besides: Vec::new(), config });
        assert_eq!(effects, []);
    }
}

#[test]
fn what_somebody_else_remembers_is_left_alone() {
    let mut host = Host::new(1, &web(100, usual(), ""), 0);
    let text = r#"[{"interface":"eth9","vrid":51,"family":"ipv4","ledger":{"marks":[["10.0.0.1",1]]}},
                   {"interface":"eth0","vrid":51,"family":"ipv6","ledger":{"sent":18446744073709551615}}]"#;
    host.give(Input::Remembered(serde_json::from_str(text).unwrap()));
    host.lead();
    assert!(!serde_json::to_string(host.kept.last().unwrap()).unwrap().contains("eth9"));
}
