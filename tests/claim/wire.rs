//! The datagrams of the vote: their bytes, who is believed, and that nothing is believed twice.

use locum::claim::channel::{Channel, Heard};
use locum::claim::datagram::{Body, Datagram, Key, LONGEST, Refusal};
use locum::claim::{Answer, Ask, Office, Plea, Release, Request, Stamp, Term, Ttl, Verdict, VoterId};

fn key() -> Key {
    Key::new(b"0123456789abcdef0123456789abcdef").unwrap()
}

fn id(host: u8) -> VoterId {
    VoterId { address: [10, 0, 0, host].into(), port: 5112 }
}

fn office() -> Office {
    Office::new("web").unwrap()
}

fn vote() -> Plea {
    let (stamp, ttl) = (Stamp { session: 7, number: 8 }, Ttl::from_millis(3000).unwrap());
    Plea::Request(Request { ask: Ask::Vote, office: office(), term: Term::new(9), ttl, stamp })
}

fn datagram(body: Body) -> Datagram {
    let ipv6 = VoterId { address: "2001:db8::2".parse().unwrap(), port: 1 };
    Datagram { from: id(1), to: ipv6, session: 3, token: 4, counter: 5, body }
}

/// One of each kind.
fn all() -> Vec<Datagram> {
    let stamp = Stamp { session: 7, number: 8 };
    let (term, known) = (Term::new(9), Term::new(10));
    let answer = |ask, verdict| Body::Answer(Answer { ask, office: office(), term, stamp, verdict, known });
    let verdicts =
        [Verdict::Granted, Verdict::Held, Verdict::Silent, Verdict::OldTerm, Verdict::TooLong, Verdict::Full];
    let mut all = vec![
        Body::Greeting { session: 1, counter: 2, token: 3 },
        Body::Plea(vote()),
        Body::Plea(Plea::Release(Release { office: Office::new(&"x".repeat(255)).unwrap(), term })),
        answer(Ask::Probe, Verdict::Held),
    ];
    all.extend(verdicts.map(|verdict| answer(Ask::Vote, verdict)));
    all.into_iter().map(datagram).collect()
}

#[test]
#[expect(clippy::format_collect, reason = "a hundred bytes, once")]
fn a_vote_is_these_bytes() {
    let bytes = datagram(Body::Plea(vote())).encode(&key());
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let head = "4c510103\
                00000000000000000000ffff0a00000113f8\
                20010db80000000000000000000000020001\
                000000000000000300000000000000040000000000000005\
                000000000000000900000000000000070000000000000008\
                00000bb803776562";
    assert_eq!(&hex[..hex.len() - 64], head);
    assert_eq!(&hex[hex.len() - 64..], "2157e81cb3ca85a3885841a802072d3a4205c9a58be6dba0a2b1831b22b872d5");
}

#[test]
fn every_kind_reads_the_same_again() {
    for datagram in all() {
        let bytes = datagram.encode(&key());
        assert!(bytes.len() <= LONGEST, "{datagram:?}");
        assert_eq!(Datagram::decode(&bytes, &key()), Ok(datagram));
    }
}

#[test]
fn a_changed_bit_and_a_cut_end_are_refused() {
    let bytes = datagram(Body::Plea(vote())).encode(&key());
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let expected = match bit / 8 {
            0 | 1 => Refusal::NotAVote,
            2 => Refusal::Version(changed[2]),
            _ => Refusal::BadTag,
        };
        assert_eq!(Datagram::decode(&changed, &key()), Err(expected), "bit {bit}");
    }
    for length in 0..bytes.len() {
        assert!(Datagram::decode(&bytes[..length], &key()).is_err(), "{length}");
    }
}

#[test]
fn another_key_is_refused_and_a_short_one_is_none() {
    let other = Key::new(&[7; 32]).unwrap();
    let bytes = datagram(Body::Plea(vote())).encode(&other);
    assert_eq!(Datagram::decode(&bytes, &key()), Err(Refusal::BadTag));
    assert!(Key::new(&[7; 31]).is_none());
    assert_eq!(format!("{:?}", key()), "Key(…)");
}

/// Two channels that know each other, with what 1 has said in the course.
fn acquainted() -> (Channel, Channel) {
    let (mut one, mut two) = (Channel::new(id(1), key(), 11), Channel::new(id(2), key(), 22));
    let first = one.plead(id(2), vote());
    let Ok(Heard::Stranger(from, greeting)) = two.hear(&first, 101) else { panic!("no stranger") };
    assert_eq!(from, id(1));
    assert_eq!(one.hear(&greeting, 0), Ok(Heard::Greeted(id(2))));
    (one, two)
}

#[expect(clippy::unnecessary_wraps, reason = "as it is compared with")]
fn plea() -> Result<Heard, Refusal> {
    Ok(Heard::Plea(id(1), vote()))
}

#[test]
fn a_stranger_is_greeted_and_then_believed() {
    let (mut one, mut two) = acquainted();
    assert_eq!(two.hear(&one.plead(id(2), vote()), 103), plea());
}

/// Two that are on their way at once are both greeted; a token of its own for each would void the other's.
#[test]
fn a_stranger_that_says_two_things_at_once_is_believed_by_either_greeting() {
    let (mut one, mut two) = (Channel::new(id(1), key(), 11), Channel::new(id(2), key(), 22));
    let said = [one.plead(id(2), vote()), one.plead(id(2), vote())];
    let mut greetings = Vec::new();
    for (bytes, chance) in said.iter().zip([101, 102]) {
        let heard = two.hear(bytes, chance);
        let Ok(Heard::Stranger(_, greeting) | Heard::Unproven(_, greeting)) = heard else {
            panic!("no stranger")
        };
        greetings.push(greeting);
    }
    // The second says nothing new: else whoever asks for a thousand would say all of it a thousand times.
    for (greeting, heard) in greetings.iter().zip([Heard::Greeted(id(2)), Heard::GreetedAgain(id(2))]) {
        assert_eq!(one.hear(greeting, 0), Ok(heard));
        assert_eq!(two.hear(&one.plead(id(2), vote()), 103), plea());
    }
}

#[test]
fn what_was_believed_is_not_believed_again_and_late_ones_are_believed_once() {
    let (mut one, mut two) = acquainted();
    let [first, second] = [one.plead(id(2), vote()), one.plead(id(2), vote())];
    for bytes in [&second, &first] {
        assert_eq!(two.hear(bytes, 102), plea());
        assert_eq!(two.hear(bytes, 103), Err(Refusal::Replay));
    }
    let late = one.plead(id(2), vote());
    for _ in 0..64 {
        assert_eq!(two.hear(&one.plead(id(2), vote()), 104), plea());
    }
    assert_eq!(two.hear(&late, 105), Err(Refusal::Replay), "too late to tell");
}

#[test]
fn what_gives_back_is_believed_however_late_it_comes_and_nothing_else_is() {
    let (mut one, mut two) = acquainted();
    let release = Release { office: office(), term: Term::new(9) };
    assert_eq!(one.give_back_ahead(id(3), release.clone()), None, "it does not know us");
    let ahead = one.give_back_ahead(id(2), release.clone()).unwrap();
    for _ in 0..100 {
        assert_eq!(two.hear(&one.plead(id(2), vote()), 102), plea());
    }
    for _ in 0..2 {
        assert_eq!(two.hear(&ahead, 103), Ok(Heard::Plea(id(1), Plea::Release(release.clone()))));
    }
    let like_it = |body| Datagram { body, ..Datagram::decode(&ahead, &key()).unwrap() }.encode(&key());
    assert_eq!(two.hear(&like_it(Body::Plea(vote())), 104), Err(Refusal::Replay));
    // Whoever comes after it has given nothing back.
    let mut reborn = Channel::new(id(1), key(), 12);
    let Ok(Heard::Stranger(_, greeting)) = two.hear(&reborn.plead(id(2), vote()), 105) else { panic!() };
    assert_eq!(reborn.hear(&greeting, 0), Ok(Heard::Greeted(id(2))));
    assert_eq!(two.hear(&reborn.plead(id(2), vote()), 106), plea());
    assert!(matches!(two.hear(&ahead, 107), Ok(Heard::Stranger(..))));
}

#[test]
fn what_an_earlier_life_has_said_or_heard_is_believed_by_nobody() {
    let (mut one, mut two) = acquainted();
    let said = one.plead(id(2), vote());
    assert_eq!(two.hear(&said, 102), plea());
    // The receiver starts again: the old token is worth nothing.
    let mut again = Channel::new(id(2), key(), 23);
    assert!(matches!(again.hear(&said, 103), Ok(Heard::Stranger(..))));
    assert!(matches!(again.hear(&said, 104), Ok(Heard::Unproven(..))));
    // The sender starts again: once it is known, its old session is over.
    let mut reborn = Channel::new(id(1), key(), 12);
    let Ok(Heard::Stranger(_, greeting)) = two.hear(&reborn.plead(id(2), vote()), 105) else { panic!() };
    assert_eq!(reborn.hear(&greeting, 0), Ok(Heard::Greeted(id(2))));
    assert_eq!(two.hear(&reborn.plead(id(2), vote()), 106), plea());
    assert!(matches!(two.hear(&said, 107), Ok(Heard::Stranger(..))));
    assert_eq!(two.hear(&reborn.plead(id(2), vote()), 108), plea(), "and the new one goes on");
}

#[test]
fn a_greeting_counts_once_and_only_as_an_answer() {
    let (mut one, mut two) = (Channel::new(id(1), key(), 11), Channel::new(id(2), key(), 22));
    let Ok(Heard::Stranger(_, greeting)) = two.hear(&one.plead(id(2), vote()), 101) else { panic!() };
    let mut other = Channel::new(id(1), key(), 99);
    assert_eq!(other.hear(&greeting, 0), Err(Refusal::Replay), "another session");
    assert_eq!(one.hear(&greeting, 0), Ok(Heard::Greeted(id(2))));
    assert_eq!(one.hear(&greeting, 0), Err(Refusal::Replay), "a second time");
}

#[test]
fn what_is_meant_for_another_and_what_comes_back_is_refused() {
    let mut one = Channel::new(id(1), key(), 11);
    let bytes = one.plead(id(2), vote());
    assert_eq!(Channel::new(id(3), key(), 33).hear(&bytes, 1), Err(Refusal::NotForUs));
    assert_eq!(one.hear(&bytes, 1), Err(Refusal::NotForUs));
}
