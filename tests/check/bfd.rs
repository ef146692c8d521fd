//! BFD packets against recorded ones, and the table of RFC 5880 6.8.6.

use locum::check::bfd_packet::{Diagnostic, Packet, State};
use locum::check::bfd_session::{Session, Timing};
use locum::time::Time;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::Duration;

fn vectors() -> Option<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance/bfd.json");
    Some(serde_json::from_str(&fs::read_to_string(path).ok()?).unwrap())
}

fn state(name: &str) -> State {
    match name {
        "AdminDown" => State::AdminDown,
        "Down" => State::Down,
        "Init" => State::Init,
        "Up" => State::Up,
        other => panic!("no state {other}"),
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.bytes().map(|digit| (digit as char).to_digit(16).unwrap().try_into().unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// What the socket judges, or a session that is authenticated, which ours never is.
const ELSEWHERE: [&str; 4] = ["ttl", "port", "no-session", "auth-missing"];

#[test]
fn recorded_packets_are_believed_or_not_as_the_rfc_has_it() {
    let Some(vectors) = vectors() else {
        println!("no recorded packets here: only the ones of the unit tests were read");
        return;
    };
    let mut judged = 0;
    for vector in vectors["vectors"].as_array().unwrap() {
        let (name, expect) = (&vector["name"], &vector["expect"]);
        let reasons: Vec<&str> =
            expect["reasons"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let ours = !vector["context"]["auth_in_use"].as_bool().unwrap();
        let refused = reasons.iter().any(|reason| !ELSEWHERE.contains(reason));
        let found = Packet::from_wire(&bytes(vector["payload_hex"].as_str().unwrap()));
        if !ours {
            continue;
        }
        judged += 1;
        assert_eq!(found.is_err(), refused, "{name}: {found:?}");
        let Ok(packet) = found else { continue };
        assert_eq!(packet.state, state(expect["state"].as_str().unwrap()), "{name}");
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap();
        for (ours, theirs) in [
            (u64::from(packet.diagnostic.0), "diag"),
            (packet.poll.into(), "poll"),
            (packet.is_final.into(), "final"),
            (packet.demand.into(), "demand"),
            (packet.multiplier.into(), "detect_mult"),
            (packet.mine.into(), "my_discr"),
            (packet.yours.into(), "your_discr"),
            (micros(packet.desired_min_tx), "desired_min_tx_us"),
            (micros(packet.required_min_rx), "required_min_rx_us"),
        ] {
            let wanted = &expect[theirs];
            let wanted = wanted.as_u64().or_else(|| wanted.as_bool().map(u64::from)).unwrap();
            assert_eq!(ours, wanted, "{name}: {theirs}");
        }
    }
    assert!(judged > 40, "only {judged}");
}

fn heard(state: State) -> Packet {
    Packet {
        diagnostic: Diagnostic::NONE,
        state,
        poll: false,
        is_final: false,
        demand: false,
        multiplier: 3,
        mine: 2,
        yours: 1,
        desired_min_tx: Duration::from_millis(50),
        required_min_rx: Duration::from_millis(50),
    }
}

/// A session that was brought to this state by packets.
fn session(wanted: State) -> Session {
    let mut session = Session::new(Time::ZERO, 1, Timing::default());
    let way: &[State] = match wanted {
        State::Init => &[State::Down],
        State::Up => &[State::Down, State::Up],
        State::Down | State::AdminDown => &[],
    };
    for state in way {
        session.hear(Time::ZERO, &heard(*state));
    }
    assert_eq!(session.state(), wanted);
    session
}

#[test]
fn every_state_follows_every_packet_as_the_table_says() {
    use State::{AdminDown, Down, Init, Up};
    // What is heard: AdminDown, Down, Init, Up.
    let table = [(Down, [Down, Init, Up, Down]), (Init, [Down, Init, Up, Up]), (Up, [Down, Down, Up, Up])];
    for (local, row) in table {
        for (theirs, next) in [AdminDown, Down, Init, Up].into_iter().zip(row) {
            let mut session = session(local);
            session.hear(Time::ZERO, &heard(theirs));
            assert_eq!(session.state(), next, "{local:?} hears {theirs:?}");
        }
    }
    let Some(vectors) = vectors() else { return };
    for row in vectors["fsm"].as_array().unwrap() {
        let [local, received, next] =
            ["local", "received", "next"].map(|key| state(row[key].as_str().unwrap()));
        // Our own end is never taken down: it ends instead.
        if local != AdminDown {
            let mut session = session(local);
            session.hear(Time::ZERO, &heard(received));
            assert_eq!(session.state(), next, "{row}");
        }
    }
}
