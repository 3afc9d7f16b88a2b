//! Events come one by one, with heartbeats between them, and a stop ends the stream in order.

use std::io::{BufRead, BufReader, Read, Write};

use crate::process::{Process, connect};

#[test]
fn events_and_heartbeats_come_until_the_server_stops() {
    for name in ["events", "axum_events"] {
        let program = Process::program(name, &["10"]);
        let mut stream = connect(&program.address);
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("the program reads");
        let mut stream = BufReader::new(stream);
        let mut text = String::new();
        let mut read_until = |is_enough: &dyn Fn(&str) -> bool| {
            while !is_enough(&text) {
                let count = stream.read_line(&mut text).expect("an event");
                assert!(count > 0, "{name} has closed: {text}");
            }
        };
        read_until(&|text| text.matches("data: ").count() == 3);
        // Ten times as often as numbers.
        read_until(&|text| text.lines().any(|line| line.starts_with(':')));
        assert!(text.to_ascii_lowercase().contains("content-type: text/event-stream"), "{text}");
        let numbers: Vec<u64> =
            text.lines().filter_map(|line| line.strip_prefix("data: ")?.parse().ok()).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{numbers:?}");
        program.terminate();
        stream.read_to_string(&mut text).expect("the rest");
        assert!(text.ends_with("\r\n0\r\n\r\n"), "{name}: the body is complete: {text}");
        program.stop();
    }
}
