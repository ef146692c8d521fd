//! Who comes again to the stream of events has what happened meanwhile.

use crate::client::{request, unix};
use crate::core::Http;
use std::io::{BufRead, BufReader, Write};

/// What a reader hears until an event whose data is `last`; without the chunks' lengths.
fn heard(http: &Http, headers: &str, last: &str) -> Vec<(String, String, String)> {
    let mut stream = unix(&http.unix);
    stream.write_all(request("/events", headers).as_bytes()).unwrap();
    let (mut events, mut id, mut kind) = (Vec::new(), String::new(), String::new());
    for line in BufReader::new(stream).lines() {
        let line = line.unwrap();
        match line.split_once(": ") {
            Some(("id", value)) => value.clone_into(&mut id),
            Some(("event", value)) => value.clone_into(&mut kind),
            Some(("data", value)) => {
                events.push((std::mem::take(&mut id), std::mem::take(&mut kind), value.to_owned()));
                if value == last {
                    return events;
                }
            }
            _ => {}
        }
    }
    panic!("the stream ended after {events:?}");
}

fn tell(http: &Http, numbers: std::ops::Range<u32>) {
    for number in numbers {
        http.hub.tell("trouble", &number.to_string());
    }
}

#[test]
fn a_reader_hears_first_how_everything_stands_and_then_what_happens() {
    let http = Http::start();
    tell(&http, 0..1);
    let hub = http.hub.clone();
    let later = std::thread::spawn(move || {
        for _ in 0..100 {
            hub.tell("trouble", "1");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    });
    let events = heard(&http, "", "1");
    assert_eq!(events[0].1, "beat");
    assert!(events[0].2.contains(r#""routers":{"web":"MASTER"}"#), "{events:?}");
    assert!(events.iter().all(|(_, _, data)| data != "0"), "old news: {events:?}");
    later.join().unwrap();
}

#[test]
fn who_says_what_it_saw_last_hears_the_rest() {
    let http = Http::start();
    tell(&http, 0..3);
    let all = heard(&http, "Last-Event-ID: of-another-start\r\n", "2");
    let data = |events: &[(String, String, String)]| -> Vec<String> {
        events.iter().skip(1).map(|(_, _, data)| data.clone()).collect()
    };
    assert_eq!(data(&all), ["0", "1", "2"]);
    tell(&http, 3..5);
    let rest = heard(&http, &format!("Last-Event-ID: {}\r\n", all[2].0), "4");
    assert_eq!(data(&rest), ["2", "3", "4"]);
}

#[test]
fn what_is_no_longer_kept_is_a_gap() {
    let http = Http::start();
    tell(&http, 0..1000);
    let events = heard(&http, "Last-Event-ID: x-1\r\n", "999");
    assert_eq!((events[1].1.as_str(), events.len()), ("gap", 2 + 256));
}
