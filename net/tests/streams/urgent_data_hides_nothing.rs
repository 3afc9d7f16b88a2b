//! Data that follows an urgent byte is read, although a read stops in front of that byte.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use straightline_net::{TcpListener, TcpStream};
use straightline_sched::{self as sched, Config, DriverKind};

/// Returns the data that a waiting reader receives when `bytes`, an urgent byte and `bytes` again
/// arrive at once.
fn receive_around_an_urgent_byte(bytes: &'static [u8]) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("the socket is bound");
    let mut client = TcpStream::connect(address).expect("the listener is open");
    let (mut server, _) = listener.accept().expect("the client");
    let me = sched::current();
    let reader = sched::spawn(move || {
        let (mut received, mut buffer) = (Vec::new(), [0; 32]);
        while received.len() < 2 * bytes.len() {
            let count = server.read(&mut buffer).expect("the client is there");
            received.extend_from_slice(&buffer[..count]);
        }
        me.unpark();
        received
    });
    (0..3).for_each(|_| sched::sleep(Duration::from_millis(1)));
    assert!(!reader.is_finished());
    client.write_all(bytes).expect("there is room");
    socket2::SockRef::from(&client).send_out_of_band(b"!").expect("there is room");
    client.write_all(bytes).expect("there is room");
    sched::park_timeout(Duration::from_secs(5)); // far longer than this takes
    reader.cancel();
    reader.join().expect("the second half was never read")
}

#[test]
fn what_follows_an_urgent_byte_is_read() {
    sched::run(|| {
        assert_eq!(receive_around_an_urgent_byte(b"half"), b"halfhalf");
    });
}

/// No `peek` takes the urgent byte, so the kernel has something to report at each wait.
#[test]
fn an_urgent_byte_does_not_extend_a_timeout() {
    for driver in [DriverKind::Epoll, DriverKind::Polling] {
        if driver == DriverKind::Epoll && !cfg!(target_os = "linux") {
            continue;
        }
        let config = Config::default().with_driver(Some(driver));
        sched::run_with(config, || {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let address = listener.local_addr().expect("the socket is bound");
            let client = TcpStream::connect(address).expect("the listener is open");
            let (server, _) = listener.accept().expect("the client");
            server.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
            socket2::SockRef::from(&client).send_out_of_band(b"!").expect("there is room");
            let error = server.peek(&mut [0; 8]).expect_err("there is nothing else");
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            let looks = sched::stats().turns;
            assert!(server.peek(&mut [0; 8]).is_err());
            assert!(sched::stats().turns - looks < 20, "the fiber does not spin");
        })
        .unwrap();
    }
}
