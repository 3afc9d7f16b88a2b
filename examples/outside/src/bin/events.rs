//! An event stream: a number each tenth of a second, until the client leaves or the server stops.

use std::time::Duration;
use std::{env, io, thread};

use straightline::sse::{Event, EventStream, Feed};
use straightline::{Request, Server};

fn events(request: &mut Request, numbers: &Feed, heartbeat: Duration) -> EventStream {
    numbers.subscribe(request).heartbeat(heartbeat)
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).expect("an address");
    let heartbeat = env::args().nth(2).map_or(12_000, |text| text.parse().expect("milliseconds"));
    let heartbeat = Duration::from_millis(heartbeat);
    let numbers = Feed::new();
    let counter = numbers.clone();
    thread::spawn(move || {
        for number in 0_u64.. {
            counter.publish(&Event::new(number.to_string()));
            thread::sleep(Duration::from_millis(100));
        }
    });
    let server = Server::builder().bind(address).shutdown_on_signals();
    let server = server.build(move |request: &mut Request| events(request, &numbers, heartbeat))?;
    println!("listening on {}", server.local_addrs()[0]);
    server.run()?;
    Ok(())
}
