//! Signed trailers: what is sent, what is believed, and what nobody without the key can move.

use crate::host::{Host, SECOND, config, key, ring, usual, web};
use locum::agent::{Input, Note, Standing};
use locum::vrrp::auth::Auth;
use locum::vrrp::hmac::{Mode, TRAILER_LEN, claim};
use locum::vrrp::sequence::AntiReplay;

const WINDOW: AntiReplay = AntiReplay::Time(5);

/// The sender leads, the receiver is Backup at the same time.
fn sender_and_receiver(auth: &Auth) -> (Host, Host) {
    let mut sender = Host::new(1, &web(150, auth.clone(), ""), 0);
    sender.lead();
    let mut receiver = Host::new(2, &web(100, auth.clone(), ""), 0);
    receiver.now = sender.now;
    (sender, receiver)
}

fn trailer(payload: &[u8]) -> &[u8; TRAILER_LEN] {
    payload.last_chunk().unwrap()
}

#[test]
fn every_flipped_bit_of_every_kind_of_advert_moves_nothing_but_a_counter() {
    let kinds = [
        config("['10.0.0.100']", 150, usual(), ""),
        config("['fe80::100', '2001:db8::100']", 150, usual(), ""),
        config("['10.0.0.100']", 150, usual(), "version = 2"),
    ];
    for config in kinds {
        let mut sender = Host::new(1, &config, 0);
        sender.lead();
        let mut receiver = Host::new(2, &config, 0);
        receiver.now = sender.now;
        let first = sender.advertise().remove(0);
        let second = sender.advertise().remove(0);
        receiver.hear(&first);
        assert_eq!(receiver.heard(), 1);
        let before = (receiver.agent.deadline(), receiver.standing());
        for bit in 0..second.payload.len() * 8 {
            let mut forged = second.clone();
            forged.payload[bit / 8] ^= 1 << (bit % 8);
            receiver.hear(&forged);
            assert_eq!((receiver.agent.deadline(), receiver.standing()), before, "bit {bit}");
        }
        assert_eq!(receiver.heard(), 1);
        for reason in ["bad-signature", "bad-trailer", "unknown-key", "stale", "checksum"] {
            // The sum of the kernel covers the trailer over IPv6, and is looked at first.
            let expected = reason == "checksum" || second.source.is_ipv4();
            assert_eq!(receiver.refused(reason) > 0, expected, "{reason}");
        }
        // And no forged sequence stands in the way of the true one.
        receiver.hear(&second);
        assert_eq!(receiver.heard(), 2);
    }
}

#[test]
fn an_advert_is_believed_once_by_each_receiver() {
    let (mut sender, mut receiver) = sender_and_receiver(&usual());
    let mut other = Host::new(3, &web(100, usual(), ""), 0);
    other.now = sender.now;
    let (first, second) = (sender.advertise().remove(0), sender.advertise().remove(0));
    for host in [&mut receiver, &mut other] {
        host.hear(&second);
        host.hear(&second);
        // Overtaken on the way, or kept back by somebody.
        host.hear(&first);
        assert_eq!((host.heard(), host.refused("replay")), (1, 2));
    }
}

#[test]
fn clocks_may_differ_by_the_window_and_a_wide_difference_is_told_once() {
    for (ahead, believed, told) in [
        (0, true, false),
        (2_400, true, false),
        (-2_400, true, false),
        (2_600, true, true),
        (5_000, true, true),
        (-5_000, true, true),
        (6_000, false, false),
        (-6_000, false, false),
        (100_000, false, false),
    ] {
        let mut sender = Host::new(1, &web(150, usual(), ""), ahead);
        sender.lead();
        let mut receiver = Host::new(2, &web(100, usual(), ""), 0);
        for _ in 0..2 {
            let advert = sender.advertise().remove(0);
            receiver.now = sender.now;
            receiver.hear(&advert);
        }
        assert_eq!(receiver.heard(), if believed { 2 } else { 0 }, "{ahead}");
        assert_eq!(receiver.refused("stale"), if believed { 0 } else { 2 }, "{ahead}");
        let peer = receiver.instance().peers.remove(0);
        // Sequences have fractions of 15 microseconds.
        let shown = |shown: i64| (ahead - 1..=ahead).contains(&shown);
        assert_eq!(peer.clock_ms.is_some_and(shown), believed, "{ahead}: {peer:?}");
        let said = |note: &&Note| matches!(note, Note::Warning(_, line) if line.contains("mend the clocks"));
        assert_eq!(receiver.notes.iter().filter(said).count(), usize::from(told), "{ahead}");
        let complaints = receiver.agent.status(receiver.now).complaints;
        assert_eq!(
            complaints.iter().any(|line| line.contains("the clock of 10.0.0.1")),
            told,
            "{complaints:?}"
        );
    }
}

#[test]
fn what_is_present_must_hold_in_every_mode_and_what_is_absent_only_where_enforced() {
    let with = |byte, mode| ring(vec![key(1, byte)], 1, WINDOW, mode);
    let senders = [
        with(7, Mode::Enforce),
        with(7, Mode::Permissive),
        with(7, Mode::ReceiveOnly),
        Auth::None,
        with(8, Mode::Enforce),
    ];
    let none = "";
    for (mode, verdicts) in [
        (Mode::Enforce, [none, none, "unsigned", "unsigned", "bad-signature"]),
        (Mode::Permissive, [none, none, none, none, "bad-signature"]),
        (Mode::ReceiveOnly, [none, none, none, none, "bad-signature"]),
    ] {
        for (sender, verdict) in senders.iter().zip(verdicts) {
            let mut sender = Host::new(1, &web(150, sender.clone(), ""), 0);
            let advert = sender.lead().pop().unwrap();
            let mut receiver = Host::new(2, &web(100, with(7, mode), ""), 0);
            receiver.now = sender.now;
            receiver.hear(&advert);
            let refused: Vec<_> = receiver.instance().refused.into_keys().collect();
            let expected: Vec<_> = [verdict].into_iter().filter(|word| !word.is_empty()).collect();
            assert_eq!(refused, expected, "{mode:?}");
            assert_eq!(receiver.heard(), u64::from(verdict.is_empty()), "{mode:?}");
        }
    }
}

#[test]
fn without_keys_a_signed_advert_is_too_long_and_receive_only_adds_nothing() {
    let (mut sender, _) = sender_and_receiver(&usual());
    let signed = sender.advertise().remove(0);
    let mut receiver = Host::new(2, &web(100, Auth::None, ""), 0);
    receiver.hear(&signed);
    assert_eq!(receiver.refused("trailing-bytes"), 1);
    let plain = Host::new(1, &web(150, Auth::None, ""), 0).lead().remove(0);
    let receive_only = ring(vec![key(1, 7)], 1, WINDOW, Mode::ReceiveOnly);
    assert_eq!(Host::new(1, &web(150, receive_only, ""), 0).lead().remove(0).payload, plain.payload);
    assert_eq!(signed.payload.len(), plain.payload.len() + TRAILER_LEN);
    assert_eq!(signed.payload[..plain.payload.len()], plain.payload);
}

#[test]
fn any_key_verifies_and_the_active_one_signs() {
    let (one, two) = (key(1, 7), key(2, 8));
    let both = |active| ring(vec![one.clone(), two.clone()], active, WINDOW, Mode::Enforce);
    let (mut sender, mut receiver) = sender_and_receiver(&both(1));
    for (auth, id, refused) in [
        (both(1), 1, 0),
        (both(2), 2, 0),
        (ring(vec![two.clone()], 2, WINDOW, Mode::Enforce), 2, 0),
        (ring(vec![key(3, 8)], 3, WINDOW, Mode::Enforce), 3, 1),
    ] {
        let reload = Box::new(web(150, auth, ""));
        sender.give(Input::Reload { ticket: None, dry_run: false, besides: Vec::new(), config: reload });
        assert_eq!(sender.standing(), Standing::Master, "a new key is no reason to move");
        let advert = sender.advertise().remove(0);
        receiver.now = sender.now;
        receiver.hear(&advert);
        assert_eq!(claim(trailer(&advert.payload)).unwrap().0, id);
        assert_eq!(receiver.refused("unknown-key"), refused);
    }
    assert_eq!(receiver.heard(), 3);
}

#[test]
fn all_peers_get_one_signature_and_nobody_else_is_heard() {
    let to = |peers: &str| web(150, usual(), &format!("peers = {peers}"));
    let mut sender = Host::new(1, &to("['10.0.0.2', '10.0.0.3']"), 0);
    sender.lead();
    let adverts = sender.advertise();
    assert_eq!(adverts.len(), 2);
    let [one, two] = [0, 1].map(|at| &adverts[at].payload);
    assert_eq!(trailer(one), trailer(two));
    assert_eq!(one[..6], two[..6]);
    assert_ne!(one[6..8], two[6..8], "the sum covers the destination");
    for (n, advert) in [(2, &adverts[0]), (3, &adverts[1])] {
        let mut receiver = Host::new(n, &to("['10.0.0.1']"), 0);
        receiver.now = sender.now;
        receiver.hear(advert);
        assert_eq!(receiver.heard(), 1);
    }
    let mut stranger = Host::new(2, &to("['10.0.0.9']"), 0);
    stranger.now = sender.now;
    stranger.hear(&adverts[0]);
    assert_eq!(stranger.refused("not-a-peer"), 1);
}

#[test]
fn a_signature_is_of_one_source_and_one_router() {
    let (mut sender, mut receiver) = sender_and_receiver(&usual());
    let mut spliced = sender.advertise().remove(0);
    spliced.source = "10.0.0.9".parse().unwrap();
    // As a forger would, with the right sum.
    let sum = |payload: &[u8]| u16::from_be_bytes([payload[6], payload[7]]);
    let mended = (!sum(&spliced.payload)).wrapping_add(8);
    spliced.payload[6..8].copy_from_slice(&(!mended).to_be_bytes());
    receiver.hear(&spliced);
    assert_eq!(receiver.refused("bad-signature"), 1);
}

#[test]
fn priority_255_and_0_of_a_stranger_take_nothing() {
    let (mut sender, mut receiver) = sender_and_receiver(&usual());
    let mut stranger = Host::new(9, &web(255, ring(vec![key(1, 9)], 1, WINDOW, Mode::Enforce), ""), 0);
    let mut forged = std::mem::take(&mut stranger.sent);
    stranger.give(Input::Stop { at_once: true });
    forged.append(&mut stranger.sent);
    assert_eq!(forged.iter().map(|advert| advert.payload[2]).collect::<Vec<_>>(), [255, 0, 0]);
    let advert = sender.advertise().remove(0);
    receiver.now = sender.now;
    receiver.hear(&advert);
    let before = [sender.agent.deadline(), receiver.agent.deadline()];
    for _ in 0..10_000 {
        for advert in &forged {
            sender.hear(advert);
            receiver.hear(advert);
        }
    }
    assert_eq!([sender.agent.deadline(), receiver.agent.deadline()], before);
    assert_eq!((sender.standing(), receiver.standing()), (Standing::Master, Standing::Backup));
    for host in [&sender, &receiver] {
        assert!(host.refused("bad-signature") + host.refused("stale") >= 30_000);
        assert!(host.notes.len() <= 6, "a flood must not fill the log: {}", host.notes.len());
    }
    let next = sender.advertise().remove(0);
    receiver.now = sender.now;
    receiver.hear(&next);
    assert_eq!(receiver.heard(), 2);
}

#[test]
fn without_a_clock_a_router_takes_no_part_until_it_is_told() {
    let mut host = Host::without_clock(1, &web(255, usual(), ""));
    host.wait(SECOND * 10);
    assert_eq!((host.standing(), host.sent.len()), (Standing::Fault, 0));
    assert!(host.router().why.contains("wall clock"), "{}", host.router().why);
    host.set_clock(0);
    assert_eq!(host.standing(), Standing::Master);
    assert_eq!(
        claim(trailer(&host.sent[0].payload)).unwrap().1.ahead_of(crate::host::START + SECOND * 10),
        0
    );
    assert!(host.agent.needs_clock());
    assert!(!Host::without_clock(1, &web(255, Auth::None, "")).agent.needs_clock());
}

#[test]
fn a_clock_set_back_is_followed_where_signatures_go_by_it_and_not_where_they_only_grow() {
    for mode in [WINDOW, AntiReplay::Monotonic] {
        let auth = ring(vec![key(1, 7)], 1, mode, Mode::Enforce);
        let (mut sender, mut receiver) = sender_and_receiver(&auth);
        sender.set_clock(3_600_000);
        receiver.set_clock(3_600_000);
        let ahead = sender.advertise().remove(0);
        receiver.now = sender.now;
        receiver.hear(&ahead);
        sender.set_clock(0);
        receiver.set_clock(0);
        let back = sender.advertise().remove(0);
        receiver.now = sender.now;
        receiver.hear(&back);
        assert_eq!(receiver.heard(), 2, "{mode:?}: {:?}", receiver.instance().refused);
        let [ahead, back] =
            [&ahead, &back].map(|advert| claim(trailer(&advert.payload)).unwrap().1.to_wire());
        match mode {
            AntiReplay::Time(_) => assert!(back < ahead),
            AntiReplay::Monotonic => {
                assert_eq!(u64::from_be_bytes(back), u64::from_be_bytes(ahead) + 1);
            }
        }
    }
}
