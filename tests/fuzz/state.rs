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
