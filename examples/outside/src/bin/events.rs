//! An event stream: a number each tenth of a second, until the client leaves or the server stops.

use std::io::Write;
use std::time::Duration;
use std::{env, io, thread};

use straightline::sched::sync::{after, broadcast, select};
use straightline::{Request, Response, Server};

type Numbers = broadcast::Sender<u64>;

fn events(numbers: &Numbers, heartbeat: Duration) -> Response {
    let numbers = numbers.subscribe();
    Response::stream(move |request, body| {
        let draining = request.draining();
        loop {
            body.flush()?;
            match select(&[&numbers, &draining, &after(heartbeat)])? {
                0 => write!(body, "data: {}\n\n", numbers.recv().map_err(io::Error::other)?)?,
                1 => return Ok(()),
                _ => body.write_all(b": \n\n")?,
            }
        }
    })
    .content_type("text/event-stream")
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).expect("an address");
    let heartbeat = env::args().nth(2).map_or(15_000, |text| text.parse().expect("milliseconds"));
    let heartbeat = Duration::from_millis(heartbeat);
    let (numbers, _) = broadcast::channel(16);
    let counter: Numbers = numbers.clone();
    thread::spawn(move || {
        for number in 0.. {
            let _ = counter.send(number); // an error if there is no client
            thread::sleep(Duration::from_millis(100));
        }
    });
    let server = Server::builder().bind(address).shutdown_on_signals();
    let server = server.build(move |_: &mut Request| events(&numbers, heartbeat))?;
    println!("listening on {}", server.local_addrs()[0]);
    server.run()?;
    Ok(())
}
