//! What is read from disk and from the control socket.

use crate::harness::Fuzz;
use locum::agent::{Memory, Response};
use locum::control::Question;

#[test]
fn any_question_is_one_or_is_refused_and_comes_back_the_same() {
    let seeds = [
        r#"{"ask":"status"}"#,
        r#"{"ask":"reload","dry_run":true}"#,
        r#"{"ask":"handover","router":"web"}"#,
        r#"{"ask":"resume","router":null}"#,
    ];
    for seed in seeds {
        assert!(serde_json::from_str::<Question>(seed).is_ok(), "{seed}");
    }
    let seeds = seeds.map(|seed| seed.as_bytes().to_vec()).to_vec();
    Fuzz::new(seeds, &["\"ask\":", "null", "{", "[", "\\ud800", "1e999", "\"router\":"]).run(
        "questions",
        |input| {
            if let Ok(question) = serde_json::from_slice::<Question>(input) {
                let again = serde_json::to_vec(&question).unwrap();
                assert_eq!(serde_json::from_slice::<Question>(&again).unwrap(), question);
            }
            drop(serde_json::from_slice::<Response>(input));
        },
    );
}

#[test]
fn any_state_file_is_read_or_is_of_no_use() {
    let seed = br#"[{"interface":"eth0","vrid":51,"family":"ipv4","ledger":{}}]"#.to_vec();
    assert_eq!(serde_json::from_slice::<Memory>(&seed).unwrap().0.len(), 1);
    Fuzz::new(vec![seed, b"[]".to_vec()], &["\"vrid\":0", "{", "[", "18446744073709551616", "-1", "null"])
        .run("state file", |input| drop(serde_json::from_slice::<Memory>(input)));
}

#[test]
fn any_journal_is_read() {
    let seed = b"eth0 10.0.0.1/32\neth1 fe80::1/64\n".to_vec();
    Fuzz::new(vec![seed], &["\n", " ", "/", "::", "256"]).run("journal", |input| {
        let text = String::from_utf8_lossy(input);
        assert!(locum::net::decoders::journal(&text) <= text.lines().count());
    });
}

#[test]
fn any_record_of_what_happened_is_read_and_outages_are_made_of_it() {
    let lines = [
        r#"{"v":1,"time":"2026-03-01T10:00:00Z","clock_ms":1,"event":"started","version":"1","node":"a","pid":7,"config":"c","boot":"x","last":{"end":"none"}}"#,
        r#"{"v":1,"time":"2026-03-01T10:10:00Z","clock_ms":6,"event":"check","check":"app","from":"up","to":"down","error":"x","after_ms":2004}"#,
        r#"{"v":1,"time":"2026-03-01T10:10:00Z","clock_ms":6,"event":"transition","router":"web","from":"MASTER","to":"FAULT","cause":"fault","why":"check app: x","priority":150,"addresses":["10.0.0.100"],"peer":null}"#,
        r#"{"v":1,"time":"2026-03-01T10:10:00.7Z","clock_ms":7,"event":"master_heard","router":"web","source":"10.0.0.2","priority":100}"#,
        r#"{"v":1,"time":"2026-03-01T10:00:03Z","clock_ms":9,"event":"transition","router":"web","from":"BACKUP","to":"MASTER","cause":"silence","why":"w","priority":150,"addresses":[],"peer":null,"silent_ms":3600}"#,
        r#"{"v":1,"time":"2026-03-01T11:00:00Z","clock_ms":1,"event":"started","version":"1","node":"a","pid":9,"config":"c","boot":"y","last":{"end":"broken","seen":"2026-03-01T10:30:01Z","rebooted":true}}"#,
    ];
    let path = std::path::Path::new("record");
    let seed = (lines.join("\n") + "\n").into_bytes();
    assert_eq!(locum::history::parse(&seed, path).lines.len(), lines.len());
    let words =
        &["\n", "18446744073709551615", "-1", "null", "{", "}", "\"silent_ms\":", "-009999-01-02T01:59:59Z"];
    Fuzz::new(vec![seed], words).run("record", move |input| {
        let record = locum::history::parse(input, path);
        assert!(record.lines.len() + record.damage.len() <= input.len());
        drop(locum::history::outages(record.lines.iter().map(|line| &line.entry)));
    });
}
