//! A server runs with the driver that its builder or the environment names, and with no other.

use std::env;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread;

use straightline::sched::{DriverKind, driver_kind};
use straightline::{Request, Server};

fn name(_: &mut Request) -> String {
    driver_kind().map_or_else(|| "none".to_owned(), |kind| kind.to_string())
}

#[test]
fn the_builder_chooses() {
    let kinds: &[DriverKind] = if cfg!(target_os = "linux") {
        &[DriverKind::Epoll, DriverKind::Polling]
    } else {
        &[DriverKind::Polling]
    };
    for kind in kinds {
        let server = Server::builder().bind("127.0.0.1:0").workers(2).driver(*kind);
        let server = server.build(name).unwrap();
        let (handle, address) = (server.handle(), server.local_addrs()[0].to_string());
        let running = thread::spawn(move || server.run());
        let mut client = TcpStream::connect(&address).unwrap();
        // Two requests on one connection: before the second one, the connection is idle.
        for close in ["", "Connection: close\r\n"] {
            write!(client, "GET / HTTP/1.1\r\nHost: a\r\n{close}\r\n").unwrap();
            let (mut text, mut bytes) = (String::new(), [0; 512]);
            while !text.ends_with(&kind.to_string()) {
                let count = client.read(&mut bytes).unwrap();
                assert_ne!(count, 0, "{text}");
                text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
            }
            assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
        }
        handle.shutdown();
        running.join().unwrap().unwrap();
    }
}

#[test]
fn a_value_that_names_none_is_an_error_before_a_port_is_open() {
    let mut command = Command::new(env::current_exe().expect("this test"));
    command
        .args([
            concat!(module_path!(), "::child").split_once("::").expect("a module").1,
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env(CHILD, "1");
    let output = command.env("STRAIGHTLINE_DRIVER", "best").output().expect("a child process");
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{out}{}", String::from_utf8_lossy(&output.stderr));
    assert!(out.contains("refused: straightline: STRAIGHTLINE_DRIVER is `best`"), "{out}");
}

#[test]
#[ignore = "another test starts this one as a process"]
fn child() {
    if env::var_os(CHILD).is_some() {
        println!("refused: {}", Server::builder().bind("127.0.0.1:0").build(name).unwrap_err());
    }
}

const CHILD: &str = "STRAIGHTLINE_TEST_CHILD";
