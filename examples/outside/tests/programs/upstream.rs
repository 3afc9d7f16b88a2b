//! A handler asks an upstream: it answers, it fails, it is silent.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use crate::process::{Process, get, status};

#[test]
fn the_answer_of_the_upstream_is_relayed() {
    let upstream = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", upstream.local_addr().expect("an address"));
    thread::spawn(move || {
        let mut silent = Vec::new();
        for stream in upstream.incoming() {
            let mut stream = stream.expect("a client");
            let mut request = [0; 1024];
            let count = stream.read(&mut request).expect("a request");
            match &request[..count] {
                request if request.starts_with(b"GET /silent ") => silent.push(stream),
                request if request.starts_with(b"GET /good?a ") => {
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
                    stream.write_all(answer).expect("it reads");
                }
                request if request.starts_with(b"GET /error ") => {
                    let answer = b"HTTP/1.1 500 Oops\r\nContent-Length: 5\r\n\r\nhello";
                    stream.write_all(answer).expect("it reads");
                }
                _ => drop(stream),
            }
        }
    });
    for name in ["upstream", "axum_upstream"] {
        let program = Process::program(name, &[&url]);
        assert_eq!(get(&program.address, "/good?a").1, "HELLO", "{name}");
        assert_eq!(status(&get(&program.address, "/bad").0), "502", "{name}");
        assert_eq!(status(&get(&program.address, "/error").0), "502", "{name}");
        assert_eq!(status(&get(&program.address, "/silent").0), "504", "{name}");
        program.stop();
    }
}
