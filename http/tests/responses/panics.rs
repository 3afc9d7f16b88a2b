//! If a handler panics, its client gets a 500, and no other client is harmed.

use std::io::Read;
use std::sync::mpsc;

use crate::common::serve;
use straightline::{Request, sched};

fn fragile(request: &mut Request) -> &'static str {
    match request.path() {
        "/panic" => panic!("as asked"),
        "/panic-with-body" => {
            let _ = request.body().read(&mut [0; 3]);
            panic!("in mid-body")
        }
        "/panic-in-drop" => {
            struct Sleepy;
            impl Drop for Sleepy {
                fn drop(&mut self) {
                    // This returns at once, because a fiber that unwinds does not wait.
                    sched::sleep(std::time::Duration::MAX);
                }
            }
            let _sleepy = Sleepy;
            panic!("with a blocking destructor")
        }
        _ => "fine",
    }
}

#[test]
fn a_panic_is_a_500_and_the_connection_goes_on() {
    let server = serve(fragile);
    let mut client = server.client();
    for path in ["/panic", "/fine", "/panic-in-drop", "/fine"] {
        let answer = client.get(path);
        assert_eq!(answer.status == 500, path != "/fine", "{path}");
    }
    let body = "POST /panic-with-body HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabcdef";
    assert_eq!(client.ask(body).status, 500);
    assert_eq!(client.get("/fine").text(), "fine");
    assert_eq!(server.handle.counters().panicked, 3);
}

#[test]
fn a_bad_header_value_is_a_500_and_never_on_the_wire() {
    use straightline::{Response, StatusCode, header};
    let server = serve(|request: &mut Request| {
        let value = format!("/{}\r\nSet-Cookie: evil=1", request.path());
        Response::new(StatusCode::FOUND).header(header::LOCATION, value)
    });
    let answer = server.client().get("/");
    assert_eq!(answer.status, 500);
    assert!(!answer.head.contains("evil"));
}

#[test]
fn a_panic_while_others_wait_harms_none_of_them() {
    let (sender, receiver) = mpsc::channel();
    let server = serve(move |request: &mut Request| {
        if request.path() == "/wait" {
            sender.send(sched::current()).unwrap();
            sched::park();
            assert!(!std::thread::panicking());
        } else {
            panic!("as asked");
        }
        "waited"
    });
    let mut waiting = server.client();
    waiting.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    let fiber = receiver.recv().unwrap();
    for _ in 0..10 {
        assert_eq!(server.client().get("/panic").status, 500);
    }
    fiber.unpark();
    assert_eq!(waiting.receive().text(), "waited");
}
