//! A listener's options for accepted streams are set on each accepted stream.

use std::time::Duration;

use socket2::SockRef;
use straightline_net::{BoundTcpListener, Keepalive, ListenOptions, TcpListener, TcpStream};
use straightline_sched as sched;

/// The next stream that `listener` accepts, as the standard library's type.
fn accepted(listener: &TcpListener) -> std::net::TcpStream {
    let address = listener.local_addr().expect("the socket is bound");
    let client = TcpStream::connect(address).expect("the listener is open");
    let (stream, peer) = listener.accept().expect("the client");
    assert_eq!(peer, client.local_addr().expect("the socket is connected"));
    stream.into_std()
}

fn listener(options: &ListenOptions) -> TcpListener {
    let listener = options.bind("127.0.0.1:0").expect("a free port");
    TcpListener::from_bound(listener).expect("a socket can be made non-blocking")
}

#[test]
fn small_writes_leave_at_once_by_default() {
    sched::run(|| {
        let bound = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(accepted(&bound).nodelay().unwrap());
        assert!(accepted(&listener(&ListenOptions::new())).nodelay().unwrap());
        assert!(accepted(&listener(&ListenOptions::default())).nodelay().unwrap());
    });
}

#[test]
fn small_writes_are_gathered_if_the_listener_says_so() {
    sched::run(|| {
        let listener = listener(&ListenOptions::new().nodelay(false));
        let stream = accepted(&listener);
        assert!(!stream.nodelay().unwrap());
        let stream = TcpStream::from_std(stream).unwrap();
        stream.set_nodelay(true).unwrap();
        assert!(stream.into_std().nodelay().unwrap());
    });
}

#[test]
fn options_are_set_on_a_listener_that_is_open() {
    sched::run(|| {
        let bound = BoundTcpListener::from(std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let options = ListenOptions::new().keepalive(Some(Keepalive::default()));
        options.apply(&bound).unwrap();
        let stream = accepted(&TcpListener::from_bound(bound).unwrap());
        assert!(stream.nodelay().unwrap());
        assert!(SockRef::from(&stream).keepalive().unwrap());
    });
}

#[test]
fn each_member_of_a_group_passes_its_options_on() {
    for nodelay in [true, false] {
        let options = ListenOptions::new().nodelay(nodelay);
        for member in options.bind_group("127.0.0.1:0", 3).unwrap() {
            assert_eq!(socket2::SockRef::from(&member).tcp_nodelay().unwrap(), nodelay);
        }
    }
}

#[test]
fn what_is_bound_and_accepted_does_not_block_the_thread() {
    sched::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = accepted(&listener);
        for socket in [socket2::SockRef::from(&listener), socket2::SockRef::from(&stream)] {
            assert!(socket.nonblocking().unwrap());
        }
    });
}

#[test]
#[cfg(target_os = "linux")]
fn buffers_and_keepalive_are_set_on_accepted_streams() {
    sched::run(|| {
        let keepalive = Keepalive::default()
            .with_idle(Duration::from_secs(7))
            .with_interval(Duration::from_secs(5))
            .with_probes(3);
        let options = ListenOptions::new()
            .send_buffer(Some(40_000))
            .receive_buffer(Some(30_000))
            .notsent_lowat(Some(20_000))
            .keepalive(Some(keepalive));
        let stream = accepted(&listener(&options));
        let socket = SockRef::from(&stream);
        assert_eq!(socket.send_buffer_size().unwrap(), 80_000); // Linux doubles it
        assert_eq!(socket.recv_buffer_size().unwrap(), 60_000);
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), 20_000);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), keepalive.idle);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), keepalive.interval);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), keepalive.probes);
        // By default the system chooses all of these, as with the standard library.
        let stream = accepted(&listener(&ListenOptions::new()));
        let plain = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = SockRef::from(&stream);
        assert!(!socket.keepalive().unwrap());
        let lowat = SockRef::from(&plain).tcp_notsent_lowat().unwrap();
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), lowat);
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_peer_that_reads_nothing_holds_little_of_what_is_written() {
    sched::run(|| {
        let options = ListenOptions::new().notsent_lowat(Some(64 << 10));
        let listener = listener(&options);
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        // The kernel of the client has acknowledged its part. The rest stays in the server's
        // kernel.
        let (block, mut unchanged) = (vec![0; 64 << 10], 0);
        while unchanged < 20 {
            match stream.try_write(&block) {
                Ok(_) => unchanged = 0,
                Err(_) => unchanged += 1,
            }
            sched::sleep(Duration::from_millis(1));
        }
        let held = stream.unacknowledged().unwrap();
        assert!((1..512 << 10).contains(&held), "{held} bytes");
        drop(client);
    });
}
