//! What the RFCs leave open, and Locum decides: handovers, late reports, both families of one router.

use crate::desk::{
    ABOVE, BELOW, DOWN_100, Desk, OWN, SECOND, advert, advert6, adverts, config, eth0, handover, ip,
    moved_to, words,
};
use locum::agent::{Effect, Input, InstanceId, Note, Response, Standing, Ticket};
use locum::sim::wire::Crafted;
use locum::vrrp::Vrid;
use std::time::Duration;

// Ours: the operator can move the addresses, and they come back where nobody takes them.
#[test]
fn a_handover_ends_with_the_successor_or_where_it_began() {
    let mut taken = Desk::master("");
    assert_eq!(adverts(&taken.ask(handover())), [0, 0]);
    taken.wait(Duration::from_millis(300));
    taken.hear(&advert(ABOVE, 90));
    let rest: Vec<Effect> = taken.wait(SECOND).into_iter().map(|(_, effect)| effect).collect();
    assert_eq!((moved_to(&rest), taken.state()), (Some(vec![ip(ABOVE)]), Standing::Backup));
    let mut alone = Desk::master("");
    alone.ask(handover());
    let rest: Vec<Effect> = alone.wait(SECOND * 5).into_iter().map(|(_, effect)| effect).collect();
    assert_eq!((moved_to(&rest), alone.state()), (Some(Vec::new()), Standing::Master));
}

// Ours: what a Backup hears again and again is not read anew, and does the same.
#[test]
fn an_advert_that_comes_again_is_counted_and_puts_off_the_takeover_until_it_is_another() {
    let mut desk = Desk::backup("");
    // Their kernel counts packets.
    let again = |number: u8| {
        let mut datagram = advert(ABOVE, 200).datagram("eth0");
        let sum = u16::from_be_bytes([datagram.packet[10], datagram.packet[11]]);
        datagram.packet[5] = number;
        let sum = sum.checked_sub(u16::from(number)).expect("no carry");
        datagram.packet[10..12].copy_from_slice(&sum.to_be_bytes());
        datagram
    };
    for number in 1..=5 {
        desk.wait(SECOND);
        let effects = desk.give(Input::Datagram(again(number)));
        assert_eq!(effects.len(), usize::from(number == 1), "{effects:?}");
        assert_eq!((desk.due(), desk.heard()), (DOWN_100, u64::from(number)));
        let peer = &desk.status().instances[0].peers[0];
        assert_eq!((peer.adverts, peer.heard_ms), (u64::from(number), Some(0)));
    }
    // Damaged where nothing else is compared.
    let mut damaged = again(6);
    damaged.packet[5] ^= 1;
    desk.unmoved(|desk| desk.give(Input::Datagram(damaged)));
    assert_eq!((desk.refused("ip-checksum"), desk.heard()), (1, 5));
    // One that is below counts as such, however often the one above was heard.
    desk.give(Input::Datagram(again(7)));
    desk.give(Input::Datagram(again(8)));
    desk.unmoved(|desk| desk.hear(&advert(ABOVE, 90)));
    assert_eq!((desk.discarded("lower-priority"), desk.heard()), (1, 8));
    desk.give(Input::Datagram(again(9)));
    desk.wait(desk.due());
    assert_eq!(desk.state(), Standing::Master);
}

// Ours: what a Master says again and again is not made anew, until something has come in between.
#[test]
fn a_master_that_goes_on_says_the_same_each_interval_and_heeds_whatever_comes_between() {
    let mut desk = Desk::master("");
    let payload = |effect: &Effect| match effect {
        Effect::Send(outgoing) => Some(outgoing.payload.clone()),
        _ => None,
    };
    let (began, before) = (desk.now, desk.status().instances[0].sent);
    let said: Vec<_> = desk.wait(SECOND * 20).iter().filter_map(|(at, e)| Some((*at, payload(e)?))).collect();
    let spans: Vec<_> = said.iter().map(|(at, _)| at.since(began)).collect();
    assert_eq!(spans, (1..=20).map(|second| SECOND * second).collect::<Vec<_>>());
    assert!(said.iter().all(|(_, payload)| *payload == said[0].1));
    assert_eq!(desk.status().instances[0].sent, before + 20);
    // At the daemon's door.
    assert!(desk.agent.say_again(desk.now).is_none(), "nothing is due");
    for _ in 0..3 {
        desk.now = desk.now + desk.due();
        let (due, again) = desk.agent.say_again(desk.now).expect("the same");
        assert_eq!((due, again.len(), &again[0].payload), (desk.now, 1, &said[0].1));
    }
    assert_eq!((desk.status().instances[0].sent, desk.due()), (before + 23, SECOND));
    // Late, it looks first what it has missed.
    desk.now = desk.now + SECOND * 8 / 5;
    assert!(desk.agent.say_again(desk.now).is_none());
    desk.wait(SECOND);
    // The one below is answered at once, and the next advert is made anew.
    let answer = desk.hear(&advert(BELOW, 50));
    assert_eq!(adverts(&answer), [100]);
    desk.now = desk.now + desk.due();
    assert!(desk.agent.say_again(desk.now).is_none());
    assert_eq!(adverts(&desk.give(Input::Tick)), [100]);
    // Whom a better one has taken over from says nothing again.
    desk.hear(&advert(ABOVE, 200));
    desk.now = desk.now + SECOND;
    assert!(desk.agent.say_again(desk.now).is_none());
    assert_eq!(desk.state(), Standing::Backup);
}

// Ours: the skew lets better Backups go first. Where there can be no other, nobody waits for them.
#[test]
fn who_is_the_only_backup_follows_a_farewell_at_once() {
    let due = |more: &str, lone: bool, from: &str| {
        let mut config = config(more);
        config.routers[0].manner.lone_backup = lone;
        let (mut desk, _) = Desk::start(&config);
        let destination = if more.is_empty() { ip("224.0.0.18") } else { ip(OWN) };
        desk.hear(&Crafted { destination, ..advert(from, 200) });
        desk.hear(&Crafted { destination, ..advert(from, 0) });
        desk.due()
    };
    let at_once = Duration::from_micros(500);
    assert_eq!(due("peers = ['10.0.0.9']", false, ABOVE), at_once);
    assert_eq!(due("", true, ABOVE), at_once);
    let skew = Duration::from_micros(609_375);
    assert_eq!(due("", false, ABOVE), skew);
    assert_eq!(due("peers = ['10.0.0.9', '10.0.0.2']", false, ABOVE), skew);
}

// Ours: an owner that was handed over stays out, also when its link comes and goes.
#[test]
fn a_drained_owner_does_not_start_as_master_when_a_fault_heals() {
    let (mut desk, _) = Desk::start(&config("priority = 255"));
    desk.ask(handover());
    desk.hear(&advert(ABOVE, 90));
    desk.wait(SECOND);
    assert_eq!(desk.state(), Standing::Backup);
    desk.give(Input::Link(eth0(false)));
    let effects = desk.give(Input::Link(eth0(true)));
    assert_eq!(words(&effects), ["notify"]);
    assert_eq!(desk.state(), Standing::Backup);
}

/// A Master of the desk's router, its link gone after `more` since its second advert.
fn unplugged(more: Duration) -> Desk {
    let mut desk = Desk::master("");
    desk.wait(SECOND + more);
    desk.give(Input::Link(eth0(false)));
    assert_eq!(desk.state(), Standing::Fault);
    desk
}

// Ours: nobody can have taken over yet, so nothing moves.
#[test]
fn a_master_goes_on_at_once_where_its_link_was_gone_for_less_than_three_adverts() {
    let mut desk = unplugged(Duration::from_millis(300));
    desk.wait(Duration::from_millis(100));
    let effects = desk.give(Input::Link(eth0(true)));
    assert_eq!(words(&effects), ["send", "hold", "announce", "notify"]);
    assert_eq!((adverts(&effects), desk.state()), (vec![100], Standing::Master));
}

// Ours: a Backup that has missed three adverts takes over, and is not disturbed.
#[test]
fn a_master_waits_as_a_backup_where_its_link_was_gone_for_three_adverts() {
    let mut desk = unplugged(Duration::from_millis(300));
    desk.wait(Duration::from_millis(2701));
    desk.give(Input::Link(eth0(true)));
    assert_eq!(desk.state(), Standing::Backup);
}

// Ours: who has heard another Master meanwhile is not one any more.
#[test]
fn a_master_waits_as_a_backup_where_another_was_heard_in_between() {
    let mut desk = unplugged(Duration::from_millis(300));
    desk.hear(&advert(BELOW, 50));
    desk.give(Input::Link(eth0(true)));
    assert_eq!(desk.state(), Standing::Backup);
}

// Ours: an interface that was made anew has lost more than its carrier.
#[test]
fn a_master_whose_interface_was_made_anew_waits_as_a_backup() {
    let mut desk = unplugged(Duration::from_millis(300));
    desk.give(Input::LinkGone("eth0".to_owned()));
    desk.give(Input::Link(eth0(true)));
    assert_eq!(desk.state(), Standing::Backup);
}

// Ours: a cable with a loose contact shall not keep the addresses.
#[test]
fn a_link_that_goes_again_at_once_leaves_the_addresses_to_a_backup() {
    let mut desk = unplugged(Duration::from_millis(300));
    desk.give(Input::Link(eth0(true)));
    desk.wait(SECOND);
    desk.give(Input::Link(eth0(false)));
    desk.give(Input::Link(eth0(true)));
    assert_eq!(desk.state(), Standing::Backup);
}

/// One that preempts a Master of priority 50 this very moment, what it did, and its instances.
fn preempting(more: &str) -> (Desk, Vec<Effect>, Vec<InstanceId>) {
    let mut desk = Desk::backup(more);
    desk.wait(SECOND * 3);
    desk.hear(&advert(ABOVE, 50));
    desk.hear(&advert6("fe80::9", 50));
    let effects: Vec<Effect> = desk.wait(desk.due()).into_iter().map(|(_, effect)| effect).collect();
    let held = |effect: &Effect| match effect {
        Effect::Hold { instance, .. } => Some(*instance),
        _ => None,
    };
    let instances = effects.iter().filter_map(held).collect();
    assert_eq!(desk.state(), Standing::Master);
    (desk, effects, instances)
}

fn announced(desk: &mut Desk, instance: InstanceId) -> Vec<Effect> {
    desk.give(Input::Announced { instance, sent: 1, failed: 0 })
}

// Ours: make before break. The old Master gives up once it hears us, and not before the addresses are here.
#[test]
fn who_preempts_has_and_announces_the_addresses_before_it_advertises() {
    let (mut desk, effects, instances) = preempting("");
    assert_eq!(words(&effects), ["hold", "announce", "notify"]);
    assert_eq!(words(&desk.hear(&advert(ABOVE, 50))), ["tell"], "the old Master is not answered yet");
    assert_eq!(announced(&mut desk, instances[0]), [], "told of an earlier time");
    assert_eq!(
        words(&desk.give(Input::Held { instance: instances[0], result: Ok(()) })),
        ["note"],
        "its lease"
    );
    assert_eq!(adverts(&announced(&mut desk, instances[0])), [100]);
    assert_eq!(announced(&mut desk, instances[0]), [], "said once");
    assert!(words(&desk.hear(&advert(ABOVE, 50))).contains(&"send"), "from now on it is answered");
}

// Ours: a Master is never silent for longer than an interval, however long the addresses take.
#[test]
fn who_preempts_advertises_after_an_interval_at_the_latest() {
    let (mut desk, _, instances) = preempting("");
    let sent = |(at, effect): (_, Effect)| matches!(effect, Effect::Send(_)).then_some(at);
    let began = desk.now;
    let first: Vec<_> = desk.wait(SECOND).into_iter().filter_map(sent).collect();
    assert_eq!(first, [began + SECOND]);
    desk.give(Input::Held { instance: instances[0], result: Ok(()) });
    assert_eq!(announced(&mut desk, instances[0]), []);
}

// Ours: the first advert of either family would end the old Master's rule over both.
#[test]
fn both_families_are_announced_before_either_advertises() {
    let (mut desk, effects, instances) = preempting("addresses = ['10.0.0.100', 'fe80::100']");
    assert_eq!((adverts(&effects), instances.len()), (vec![], 2));
    for instance in &instances {
        desk.give(Input::Held { instance: *instance, result: Ok(()) });
    }
    assert_eq!(announced(&mut desk, instances[1]), []);
    assert_eq!(adverts(&announced(&mut desk, instances[0])), [100, 100]);
}

// Ours: an address that was put back after it was given up is not announced.
#[test]
fn a_late_report_of_a_restored_address_announces_nothing() {
    let mut desk = Desk::master("");
    let effects: Vec<Effect> = desk.wait(SECOND).into_iter().map(|(_, effect)| effect).collect();
    let Some(Effect::Announce { instance, .. }) =
        effects.iter().find(|effect| matches!(effect, Effect::Announce { .. })).cloned()
    else {
        panic!("{effects:?}");
    };
    let address = ip("10.0.0.100");
    assert_eq!(words(&desk.give(Input::Restored { instance, address })), ["note", "announce"]);
    desk.hear(&advert(ABOVE, 200));
    desk.unmoved(|desk| desk.give(Input::Restored { instance, address }));
}

// Ours: another prefix of the same address is for the kernel to know.
#[test]
fn a_reload_of_another_prefix_holds_the_address_anew() {
    let mut desk = Desk::master("addresses = ['10.0.0.100/24']");
    let other = Box::new(config("addresses = ['10.0.0.100/32']"));
    let effects =
        desk.give(Input::Reload { ticket: None, dry_run: false, besides: Vec::new(), config: other.clone() });
    assert!(words(&effects).contains(&"hold"), "{effects:?}");
    assert_eq!(
        desk.give(Input::Reload { ticket: None, dry_run: false, besides: Vec::new(), config: other }),
        []
    );
}

// Ours: whoever loses against us may have told the neighbours of both families' addresses.
#[test]
fn a_losing_advert_in_one_family_has_both_announced_as_often_as_is_said_for_that() {
    let more = "addresses = ['10.0.0.100', 'fe80::100']\nannounce = { count = 2, again = [], refresh = 'off', \
                losing_count = 3, losing_again = '2s' }";
    let mut desk = Desk::master(more);
    desk.wait(SECOND);
    let counts = |effects: &[Effect]| -> Vec<u8> {
        let count = |effect: &Effect| match effect {
            Effect::Announce { count, .. } => Some(*count),
            _ => None,
        };
        effects.iter().filter_map(count).collect()
    };
    assert_eq!(counts(&desk.hear(&advert(BELOW, 50))), [3, 3]);
    let later: Vec<Effect> = desk.wait(SECOND * 4).into_iter().map(|(_, effect)| effect).collect();
    assert_eq!(counts(&later), [3, 3], "once more, and then no more");
}

// Ours: keepalived's strict owner hears nobody.
#[test]
fn an_owner_that_ignores_others_stays_master_whatever_is_heard() {
    let (mut desk, _) = Desk::start(&config("priority = 255\nowner_ignores = true"));
    desk.hear(&advert(ABOVE, 255));
    assert_eq!(desk.state(), Standing::Master);
    assert_eq!(desk.refused("local-owner"), 1);
}

// Ours: what a host answers to ARP for its addresses is told for as long as it has them.
#[test]
fn the_self_test_of_a_virtual_mac_address_is_told_until_the_addresses_go() {
    let mut desk = Desk::master("virtual_mac = true");
    desk.give(Input::Held { instance: InstanceId(1), result: Ok(()) });
    let test = |desk: &Desk| desk.status().instances[0].arp_test.clone();
    let give = |desk: &mut Desk, result: Result<(), &str>| {
        words(&desk.give(Input::Answered { instance: InstanceId(1), result: result.map_err(str::to_owned) }))
    };
    assert_eq!(test(&desk), None);
    assert_eq!(give(&mut desk, Err("eth1 answered")), ["note"]);
    assert_eq!(test(&desk).as_deref(), Some("eth1 answered"));
    assert_eq!(desk.agent.status(desk.now).complaints, ["web: eth1 answered"]);
    assert!(give(&mut desk, Ok(())).is_empty());
    assert_eq!(test(&desk).as_deref(), Some("passed"));
    assert_eq!(desk.agent.status(desk.now).complaints, [""; 0]);
    desk.hear(&advert(ABOVE, 200));
    assert_eq!((desk.state(), test(&desk)), (Standing::Backup, None));
    assert!(give(&mut desk, Err("late")).is_empty());
    assert_eq!(test(&desk), None);
}

// Ours: what a reload changes is told in the words of the file.
#[test]
fn a_reload_is_told_in_the_words_of_the_file() {
    let told = |desk: &mut Desk, more: &str| {
        let config = Box::new(config(more));
        let effects =
            desk.give(Input::Reload { ticket: Some(Ticket(1)), dry_run: true, config, besides: Vec::new() });
        match effects.as_slice() {
            [Effect::Reply(_, response)] => match &**response {
                Response::Done { lines } => lines.clone(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    };
    let mut desk = Desk::master("lease = '2s'");
    assert_eq!(
        told(&mut desk, "lease = 'off'\nchecksum = 'rfc9568'\nsource = '10.0.0.5'"),
        ["web: lease 2s -> off; checksum auto -> rfc9568; source none -> 10.0.0.5"]
    );
    assert_eq!(
        told(&mut desk, "lease = '2s'\npeers = ['10.0.0.9', '10.0.0.2']\nmin_ttl = 254"),
        [
            "web: starts anew: min_ttl not set -> 254; peers none -> 10.0.0.9, 10.0.0.2 (MASTER here: the addresses move)"
        ]
    );
    let mut elsewhere = config("lease = '2s'");
    elsewhere.routers[0].vrid = Vrid::new(52).unwrap();
    let effects = desk.give(Input::Reload {
        ticket: None,
        dry_run: false,
        config: Box::new(elsewhere),
        besides: Vec::new(),
    });
    let lines = ["web: added", "web: removed, says farewell (MASTER here: the addresses move)"];
    assert!(
        effects.iter().any(|effect| matches!(effect, Effect::Note(Note::Reloaded(told)) if *told == lines)),
        "{effects:?}"
    );
}

// Ours: the first advert finds its socket open.
#[test]
fn the_sockets_of_an_owner_are_opened_before_its_first_advert() {
    let (_, effects) = Desk::start(&config("priority = 255"));
    let place = |wanted: fn(&Effect) -> bool| effects.iter().position(wanted).expect("one");
    let opened = place(|effect| matches!(effect, Effect::Listen(_)));
    assert!(opened < place(|effect| matches!(effect, Effect::Send(_))), "{effects:?}");
}

// Ours: a Master is news once, of a router with two families too.
#[test]
fn the_master_of_both_families_is_told_of_once() {
    let mut desk = Desk::backup("priority = 1\naddresses = ['10.0.0.100', 'fe80::100']");
    let mut told = 0;
    for _ in 0..5 {
        for advert in [advert(ABOVE, 200), advert6("fe80::9", 200)] {
            let effects = desk.hear(&advert);
            told += effects.iter().filter(|it| matches!(it, Effect::Note(Note::MasterHeard { .. }))).count();
        }
        desk.wait(SECOND);
    }
    assert_eq!(told, 1);
}
