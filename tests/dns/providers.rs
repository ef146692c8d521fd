//! Cloudflare, Route 53 and `DigitalOcean`, as far as their interfaces are described: what is sent, and what follows
//! from what they answer.

use super::strict::{ALL, HOST, HOSTED, ID, Kind, Mood, Strict, TOKEN, ZONE};
use super::{A, B, Kept, record};
use locum::control::LONGEST_WAIT;
use locum::dns::clerk::{BY_HAND, READ_BACK};
use locum::dns::signature::Credentials;
use locum::dns::{Api, Provider, Record, cloudflare, digitalocean, route53};
use locum::vrrp::auth::Secret;
use std::time::Duration;

fn keeps(kind: Kind, server: &Strict, secret: &str) -> Record {
    let path = if kind == Kind::Cloudflare { "/client/v4" } else { "" };
    let api = Api { target: ("127.0.0.1".to_owned(), server.port), tls: None, path: path.to_owned() };
    let secret = Secret::new(secret.as_bytes());
    let provider = match kind {
        Kind::Cloudflare => {
            Provider::Cloudflare(cloudflare::Account { api, zone: ZONE.to_owned(), token: secret })
        }
        Kind::DigitalOcean => Provider::DigitalOcean(digitalocean::Account {
            api,
            domain: "example.org".to_owned(),
            token: secret,
        }),
        Kind::Route53 => {
            let credentials = Credentials { id: ID.to_owned(), key: secret };
            Provider::Route53(route53::Account { api, zone: HOSTED.to_owned(), credentials })
        }
    };
    record(HOST, provider)
}

fn kept(kind: Kind, server: &Strict) -> Kept {
    Kept::start(keeps(kind, server, TOKEN))
}

/// Its first question is refused, and a wish that comes then makes it ask no other.
async fn refused_once(kind: Kind, server: &Strict, secret: &str) -> Kept {
    let kept = Kept::start(keeps(kind, server, secret));
    kept.clerk.wish(Some(A));
    kept.until("it is refused", |status| status.failing && status.paused).await;
    kept.clerk.wish(Some(B));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((server.asked().len(), server.addresses()), (1, vec!["192.0.2.9".to_owned()]), "{kind:?}");
    kept
}

#[tokio::test]
async fn a_record_is_made_changed_and_left_alone_where_it_is_as_wished() {
    for kind in ALL {
        let server = Strict::start(kind, &[]).await;
        let kept = kept(kind, &server);
        kept.clerk.wish(Some(A));
        kept.until_it_holds(A).await;
        kept.clerk.wish(Some(B));
        kept.until_it_holds(B).await;
        assert_eq!((server.addresses(), server.ttls()), (vec![B.to_string()], vec![60]), "{kind:?}");
        kept.clerk.wish(None);
        kept.clerk.wish(Some(B));
        kept.until("it is looked at", |_| server.asked().last().unwrap().starts_with("GET")).await;
        kept.until_it_holds(B).await;
        assert_eq!((server.writes(), kept.status().written), (2, 2), "{kind:?}: {:?}", server.asked());
        server.assert_nothing_wrong();
    }
}

#[tokio::test]
async fn of_several_addresses_one_is_left() {
    for kind in ALL {
        let server = Strict::start(kind, &["192.0.2.7", "192.0.2.8", "192.0.2.9"]).await;
        let kept = kept(kind, &server);
        kept.clerk.wish(Some(A));
        kept.until_it_holds(A).await;
        assert_eq!(server.addresses(), [A.to_string()], "{kind:?}");
        server.assert_nothing_wrong();
    }
}

#[tokio::test]
async fn of_several_addresses_the_one_that_is_wished_is_left() {
    for kind in ALL {
        let server = Strict::start(kind, &["192.0.2.1", "192.0.2.2", "192.0.2.9"]).await;
        let kept = kept(kind, &server);
        kept.clerk.wish(Some(B));
        kept.until_it_holds(B).await;
        assert_eq!((server.addresses(), kept.status().failed), (vec![B.to_string()], 0), "{kind:?}");
        server.assert_nothing_wrong();
    }
}

/// As after a cut network, in which the other host was Master too.
#[tokio::test]
async fn what_somebody_else_has_written_since_is_written_over_by_whoever_has_the_role() {
    for kind in ALL {
        let server = Strict::start(kind, &[]).await;
        let kept = Kept::looking(keeps(kind, &server, TOKEN), Duration::from_millis(200));
        kept.clerk.wish(Some(A));
        kept.until_it_holds(A).await;
        let looks = server.asked().len() + 3;
        kept.until("it is looked at", |_| server.asked().len() >= looks).await;
        assert_eq!((server.writes(), kept.status().written), (1, 1), "{kind:?}: looking writes nothing");
        // A look that fails is nobody's trouble.
        server.be([Mood::Status(500)]);
        server.put(&B.to_string());
        kept.until("it is written again", |status| status.written == 2).await;
        assert_eq!((server.addresses(), kept.status().failed), (vec![A.to_string()], 0), "{kind:?}");
        assert_eq!(kept.written()[1].was, [B]);
        let said = kept.clerk.set(B).await;
        assert!(said.is_ok(), "{said:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(server.addresses(), [B.to_string()], "{kind:?}: a person has said so");
        server.assert_nothing_wrong();
    }
}

#[tokio::test]
async fn what_route_53_never_takes_is_said_in_its_own_words() {
    let server = Strict::start(Kind::Route53, &[]).await;
    let refused = "<InvalidChangeBatch><Messages><Message>RRSet of type A with DNS name www.example.org. is not \
                   permitted because a conflicting RRSet of type CNAME with the same DNS name already exists\
                   </Message></Messages></InvalidChangeBatch>";
    server.be([Mood::Slow(Duration::ZERO), Mood::Says(400, refused)]);
    let kept = kept(Kind::Route53, &server);
    kept.clerk.wish(Some(A));
    kept.until("it is refused", |status| status.failing && status.paused).await;
    let error = kept.status().last_error.unwrap();
    assert!(error.contains("status 400: RRSet of type A") && server.writes() == 1, "{error}");
}

#[tokio::test]
async fn a_wrong_secret_is_said_at_once_and_tried_no_more_for_minutes() {
    for kind in ALL {
        let server = Strict::start(kind, &["192.0.2.9"]).await;
        let kept = refused_once(kind, &server, "hushhush-wrong").await;
        let status = if kind == Kind::Route53 { "status 403" } else { "status 401" };
        let error = kept.status().last_error.unwrap();
        assert!(error.contains(status) && error.len() <= 300, "{kind:?}: {error}");
        assert!(!error.contains(char::is_control), "{kind:?}: {error}");
        let said = kept.clerk.test().await.unwrap_err();
        assert!(said.contains(status) && !said.contains("hush"), "{said}");
    }
}

#[tokio::test]
async fn who_has_had_too_many_requests_is_left_alone_for_as_long_as_it_says() {
    for kind in ALL {
        let server = Strict::start(kind, &["192.0.2.9"]).await;
        server.be([Mood::Busy(3)]);
        let kept = refused_once(kind, &server, TOKEN).await;
        kept.until_it_holds(B).await;
        assert_eq!((server.addresses(), server.writes()), (vec![B.to_string()], 1), "{kind:?}");
        server.assert_nothing_wrong();
    }
}

#[tokio::test]
async fn after_an_outage_there_is_exactly_one_write_and_it_is_the_last_wish() {
    for kind in ALL {
        let server = Strict::start(kind, &["192.0.2.9"]).await;
        server.be([500, 502, 503, 500].map(Mood::Status));
        let kept = kept(kind, &server);
        for wish in [Some(A), Some(B), None, Some(A), Some(B)] {
            kept.clerk.wish(wish);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        kept.until_it_holds(B).await;
        assert_eq!(
            (server.addresses(), server.writes()),
            (vec![B.to_string()], 1),
            "{kind:?}: {:?}",
            server.asked()
        );
        server.assert_nothing_wrong();
    }
}

#[tokio::test]
async fn a_write_whose_answer_comes_too_late_is_not_made_again() {
    for kind in ALL {
        let server = Strict::start(kind, &["192.0.2.9"]).await;
        // The read is answered at once, the write after it is done and not answered in time.
        server.be([Mood::Slow(Duration::ZERO), Mood::Slow(Duration::from_secs(30))]);
        let kept = kept(kind, &server);
        kept.clerk.wish(Some(A));
        kept.until("it is too slow", |status| status.failing).await;
        assert!(kept.status().last_error.unwrap().contains("no answer within 2s"));
        kept.until_it_holds(A).await;
        assert_eq!((server.addresses(), server.writes()), (vec![A.to_string()], 1), "{kind:?}");
        server.assert_nothing_wrong();
    }
}

#[tokio::test]
async fn a_test_writes_what_is_there_and_says_where_nothing_is() {
    for kind in ALL {
        let server = Strict::start(kind, &["192.0.2.9"]).await;
        let said = kept(kind, &server).clerk.test().await;
        assert_eq!(said.as_deref(), Ok("dns www: www.example.org A holds 192.0.2.9; it could be written"));
        assert_eq!((server.addresses(), server.ttls()), (vec!["192.0.2.9".to_owned()], vec![60]), "{kind:?}");
        server.assert_nothing_wrong();
        let server = Strict::start(kind, &[]).await;
        let said = kept(kind, &server).clerk.test().await.unwrap();
        assert!(said.contains("holds nothing; it could be read, and nothing is there to prove"), "{said}");
        assert!(server.addresses().is_empty());
    }
}

#[tokio::test]
async fn what_is_set_by_hand_is_read_back() {
    for kind in ALL {
        let server = Strict::start(kind, &["192.0.2.9"]).await;
        let said = kept(kind, &server).clerk.set(B).await;
        assert_eq!(said.as_deref(), Ok("dns www: www.example.org A holds 192.0.2.2, it held 192.0.2.9"));
        assert_eq!(server.asked().last().map(|line| line.starts_with("GET")), Some(true));
        server.assert_nothing_wrong();
    }
}

#[test]
fn who_orders_by_hand_is_answered_before_the_wait_for_the_answer_ends() {
    assert!(BY_HAND + READ_BACK < LONGEST_WAIT);
}

/// Route 53 sees to it; the others write whatever is there.
#[tokio::test]
async fn what_somebody_else_has_written_meanwhile_is_read_again_first() {
    let server = Strict::start(Kind::Route53, &["192.0.2.9"]).await;
    server.be([Mood::Slow(Duration::from_millis(500))]);
    let kept = kept(Kind::Route53, &server);
    kept.clerk.wish(Some(A));
    kept.until("it is read", |_| server.asked().len() == 1).await;
    server.put("192.0.2.77");
    kept.until_it_holds(A).await;
    assert_eq!((server.writes(), kept.status().failed), (2, 0), "the first one was refused");
    assert_eq!(kept.written()[0].was, ["192.0.2.77".parse::<std::net::IpAddr>().unwrap()]);
    server.assert_nothing_wrong();
}

#[tokio::test]
async fn who_has_lost_the_role_when_a_write_is_refused_does_not_write_again() {
    let server = Strict::start(Kind::Route53, &["192.0.2.9"]).await;
    server.be([Mood::Slow(Duration::from_millis(500))]);
    let kept = kept(Kind::Route53, &server);
    kept.clerk.wish(Some(A));
    kept.until("it is read", |_| server.asked().len() == 1).await;
    server.put("192.0.2.77");
    kept.until("it is refused", |_| server.writes() == 1).await;
    kept.clerk.wish(None);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!((server.addresses(), server.writes()), (vec!["192.0.2.77".to_owned()], 1));
}
