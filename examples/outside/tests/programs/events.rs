//! Events come one by one, and a stop ends the stream in order.

use std::io::{BufRead, BufReader, Read, Write};

use crate::process::{Process, connect};

#[test]
fn events_come_until_the_server_stops() {
    for name in ["events", "axum_events"] {
        let program = Process::program(name, &[]);
        let mut stream = connect(&program.address);
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("the program reads");
        let mut stream = BufReader::new(stream);
        let mut text = String::new();
        for number in 0..3 {
            while !text.contains(&format!("data: {number}\n\n")) {
                let count = stream.read_line(&mut text).expect("an event");
                assert!(count > 0, "{name} has closed: {text}");
            }
        }
        assert!(text.to_ascii_lowercase().contains("content-type: text/event-stream"), "{text}");
        program.terminate();
        stream.read_to_string(&mut text).expect("the rest");
        assert!(text.ends_with("\r\n0\r\n\r\n"), "{name}: the body is complete: {text}");
        program.stop();
    }
}
