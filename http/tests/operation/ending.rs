//! The phases of a shutdown and its report, in simulation, where times are exact.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use straightline::net::TcpStream;
use straightline::net::sim::network;
use straightline::sched::{self, JoinHandle, sim};
use straightline::{
    Event, Phase, Request, Server, ServerBuilder, ServerHandle, ShutdownReport, Timeout,
};

const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn answer(request: &mut Request) -> &'static str {
    match request.path() {
        "/slow" => sched::sleep(secs(5)),
        "/never" => sched::park(),
        _ => {}
    }
    "served"
}

type Serving = JoinHandle<io::Result<ShutdownReport>>;

fn serve(
    configure: impl FnOnce(ServerBuilder) -> ServerBuilder,
) -> (SocketAddr, ServerHandle, Serving) {
    let builder = configure(Server::builder().bind("127.0.0.1:0").workers(1));
    let server = builder.build(answer).expect("a port");
    let address = server.local_addrs()[0].as_tcp().expect("a TCP address");
    let handle = server.handle();
    (address, handle, sched::spawn(|| server.run()))
}

fn ask(address: SocketAddr, path: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())?;
    Ok(stream)
}

/// All text until `served` has arrived or the connection has ended.
fn answer_of(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"served") {
        let mut piece = [0; 1_000];
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => break,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
        }
    }
    String::from_utf8(bytes).expect("text")
}

#[test]
fn a_load_balancer_has_time_to_notice() {
    sim::run(1, || {
        let phases = Arc::new(Mutex::new(Vec::new()));
        let reached = Arc::clone(&phases);
        let (address, handle, serving) = serve(|builder| {
            builder.ready_delay(secs(10)).observer(move |event: &Event<'_>| {
                if let Event::ShutdownAdvanced { phase, .. } = event {
                    reached.lock().expect("no panic").push((*phase, sim::elapsed().as_secs()));
                }
            })
        });
        assert!(handle.is_ready());
        let [mut idle, mut kept, mut slow] =
            ["/", "/", "/slow"].map(|path| ask(address, path).expect("the port is open"));
        for stream in [&mut idle, &mut kept] {
            assert!(!answer_of(stream).contains("Connection: close"));
        }
        handle.shutdown();
        assert!(!handle.is_ready());
        sched::sleep(secs(9));
        // The server still serves, with `Connection: close` in each response. A client that
        // honours it loses no request.
        let mut early = ask(address, "/").expect("the port is open");
        kept.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("it is open");
        for stream in [&mut early, &mut kept, &mut slow] {
            assert!(answer_of(stream).contains("\r\nConnection: close\r\n"));
            assert_eq!(stream.read(&mut [0]).expect("a good end"), 0);
        }
        // Idle connections stay open until the port is closed.
        assert_eq!(sim::elapsed().as_secs(), 9);
        assert_eq!(idle.read(&mut [0]).expect("a good end"), 0);
        assert_eq!(sim::elapsed().as_secs(), 10);
        sched::sleep(secs(1));
        assert!(ask(address, "/").is_err());
        let report = serving.join().expect("no panic").expect("a good end");
        assert_eq!((report.idle, report.took.as_secs()), (1, 10), "{report}");
        let phases = phases.lock().expect("no panic").clone();
        assert_eq!(phases, [(Phase::Unready, 0), (Phase::Draining, 10)]);
    });
}

#[test]
fn the_report_says_what_became_of_each_connection() {
    sim::run(1, || {
        let (address, handle, serving) = serve(|builder| builder.drain_timeout(secs(20)));
        let mut idle: Vec<_> = (0..3).map(|_| ask(address, "/").expect("open")).collect();
        idle.iter_mut().for_each(|stream| assert!(answer_of(stream).ends_with("served")));
        let mut slow: Vec<_> = (0..2).map(|_| ask(address, "/slow").expect("open")).collect();
        let mut never: Vec<_> = (0..4).map(|_| ask(address, "/never").expect("open")).collect();
        sched::sleep(secs(1));
        handle.shutdown();
        for stream in &mut slow {
            assert!(answer_of(stream).contains("Connection: close\r\n"));
        }
        let report = serving.join().expect("no panic").expect("a good end");
        never.iter_mut().for_each(|stream| assert_eq!(answer_of(stream), ""));
        assert_eq!((report.idle, report.finished), (3, 2), "{report}");
        assert_eq!((report.cancelled, report.abandoned, report.stuck), (4, 0, 0), "{report}");
        assert_eq!(report.took.as_secs(), 20, "{report}");
    });
}

#[test]
fn a_second_call_hurries_in_every_phase() {
    for delay in [0, 100] {
        sim::run(1, move || {
            let (address, handle, serving) = serve(|builder| builder.ready_delay(secs(delay)));
            let _client = ask(address, "/never").expect("open");
            sched::sleep(secs(1));
            handle.shutdown();
            sched::sleep(secs(1));
            handle.shutdown();
            handle.shutdown();
            let report = serving.join().expect("no panic").expect("a good end");
            assert_eq!((report.cancelled, report.took.as_secs()), (1, 1), "{report}");
        });
    }
}

#[test]
fn a_drain_does_not_wait_for_slow_clients_longer_than_their_timeouts() {
    sim::run(1, || {
        let (address, handle, serving) = serve(|builder| builder.drain_timeout(secs(1_000)));
        let mut half = TcpStream::connect(address).expect("open");
        half.write_all(b"GET / HT").expect("the server reads");
        sched::sleep(secs(1));
        handle.shutdown();
        let report = serving.join().expect("no panic").expect("a good end");
        assert_eq!((report.finished, handle.counters().timed_out(Timeout::Head)), (1, 1));
        assert!(report.took < secs(20), "{report}");
    });
}

#[test]
fn without_descriptors_connected_clients_are_served_and_the_others_later() {
    sim::run(1, || {
        let (address, handle, serving) = serve(|builder| builder);
        let mut first = ask(address, "/").expect("open");
        assert!(answer_of(&mut first).ends_with("served"));
        // Enough for the listener, both ends of the first connection, and the client's end of the
        // second one.
        network().set_descriptors_max(Some(network().open_sockets() + 1));
        let mut second = ask(address, "/").expect("a descriptor is free");
        sched::sleep(secs(60));
        let errors = handle.counters().accept_errors;
        // After the first failures, the server accepts twice a second at most.
        assert!((10..=200).contains(&errors), "{errors}");
        // The first connection was idle for too long. It was closed, which freed a descriptor.
        assert!(answer_of(&mut second).ends_with("served"));
        drop(first);
        sched::sleep(secs(1));
        let mut waiting = ask(address, "/slow").expect("a descriptor is free");
        sched::sleep(secs(1));
        network().set_descriptors_max(None);
        assert!(answer_of(&mut waiting).ends_with("served"));
        drop((second, waiting));
        handle.shutdown();
        serving.join().expect("no panic").expect("a good end");
        let counters = handle.counters();
        assert_eq!((counters.accepted, counters.closed, counters.answered), (3, 3, 3));
    });
}
