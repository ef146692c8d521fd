//! What comes over the wire of the vote: datagrams, to a channel.

use crate::harness::Fuzz;
use locum::claim::channel::Channel;
use locum::claim::datagram::{Body, Datagram, Key};
use locum::claim::{Answer, Ask, Office, Plea, Release, Request, Stamp, Term, Ttl, Verdict, VoterId};

const TAG: usize = 32;

fn key() -> Key {
    Key::new(&[7; 32]).unwrap()
}

/// One of each kind.
fn seeds() -> Vec<Vec<u8>> {
    let [from, to] = [1, 2].map(|host| VoterId { address: [10, 0, 0, host].into(), port: 5112 });
    let (office, term) = (Office::new("web").unwrap(), Term::new(9));
    let (stamp, ttl) = (Stamp { session: 7, number: 8 }, Ttl::from_millis(3000).unwrap());
    let bodies = [
        Body::Greeting { session: 22, counter: 1, token: 3 },
        Body::Plea(Plea::Request(Request { ask: Ask::Vote, office: office.clone(), term, ttl, stamp })),
        Body::Plea(Plea::Release(Release { office: office.clone(), term })),
        Body::Answer(Answer { ask: Ask::Probe, office, term, stamp, verdict: Verdict::Held, known: term }),
    ];
    let encode = |body| Datagram { from, to, session: 3, token: 4, counter: 5, body }.encode(&key());
    bodies.into_iter().map(encode).collect()
}

/// Changed as they are, and signed anew after the change, so that what lies behind the tag is reached.
#[test]
fn any_datagram_of_the_vote_is_refused_or_reads_the_same_again() {
    let own = VoterId { address: [10, 0, 0, 2].into(), port: 5112 };
    let mut channel = Channel::new(own, key(), 22);
    Fuzz::new(seeds(), &["LQ"]).run("votes", move |input| {
        let signed = key().sign(&input[..input.len().saturating_sub(TAG)]);
        for bytes in [input, &signed] {
            if let Ok(datagram) = Datagram::decode(bytes, &key()) {
                assert_eq!(datagram.encode(&key()), bytes);
            }
            drop(channel.hear(bytes, 1));
        }
    });
}
