//! What a listener's options say of accepted streams is true of each of them.

use straightline_net::{ListenOptions, TcpListener, TcpStream};
use straightline_sched as sched;

/// The next stream that `listener` accepts, in the standard library's type.
fn accepted(listener: &TcpListener) -> std::net::TcpStream {
    let address = listener.local_addr().expect("it is bound");
    let client = TcpStream::connect(address).expect("somebody listens");
    let (stream, peer) = listener.accept().expect("somebody connected");
    assert_eq!(peer, client.local_addr().expect("it is connected"));
    stream.into_std()
}

fn listener(options: &ListenOptions) -> TcpListener {
    let listener = options.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    TcpListener::from_bound(listener).expect("it can be made non-blocking")
}

#[test]
fn small_writes_leave_at_once_by_default() {
    sched::run(|| {
        let bound = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(accepted(&bound).nodelay().unwrap());
        assert!(accepted(&listener(&ListenOptions::new())).nodelay().unwrap());
        assert!(accepted(&listener(&ListenOptions::default())).nodelay().unwrap());
    })
    .unwrap();
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
    })
    .unwrap();
}

#[test]
fn each_member_of_a_group_passes_its_options_on() {
    for nodelay in [true, false] {
        let options = ListenOptions::new().nodelay(nodelay);
        for member in options.bind_group(([127, 0, 0, 1], 0).into(), 3).unwrap() {
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
    })
    .unwrap();
}
