//! Connections that end by a reset.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;

use straightline_net::TcpStream;
use straightline_sched as sched;

use crate::both::{arrival, arrived, kind, on_both, write_until_it_fails};
use crate::common::tcp_pair;

/// A stream whose peer sent `sent`, and then closed its end with unread data.
fn reset_after(sent: &[u8]) -> TcpStream {
    let (mut client, mut server) = tcp_pair();
    server.write_all(b"this is not read!").expect("room");
    arrived(&client, 17);
    client.write_all(sent).expect("room");
    drop(client);
    server
}

#[test]
fn a_close_with_unread_data_is_a_reset_after_what_was_sent() {
    on_both(|| {
        let mut server = reset_after(b"last words");
        let mut text = Vec::new();
        let error = server.read_to_end(&mut text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(text, b"last words");
        // The reset is reported once.
        assert_eq!(server.read(&mut [0]).unwrap(), 0);
        assert_eq!(kind(server.write(b"x")), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_writer_gets_a_reset_once_and_then_a_broken_pipe() {
    on_both(|| {
        let mut server = reset_after(b"");
        let error = write_until_it_fails(&mut server);
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(kind(server.write(b"x")), ErrorKind::BrokenPipe);
        assert_eq!(server.read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn a_reset_connection_has_no_peer() {
    on_both(|| {
        let mut server = reset_after(b"");
        assert_eq!(kind(arrival(&server)), ErrorKind::ConnectionReset);
        assert_eq!(kind(server.peer_addr()), ErrorKind::NotConnected);
        assert_eq!(kind(server.shutdown(Shutdown::Both)), ErrorKind::NotConnected);
        assert!(server.local_addr().is_ok());
        assert_eq!(server.read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn data_for_a_closed_peer_is_answered_by_a_reset() {
    on_both(|| {
        for closer_has_connected in [true, false] {
            let (client, server) = tcp_pair();
            let (closer, mut writer) =
                if closer_has_connected { (client, server) } else { (server, client) };
            closer.shutdown(Shutdown::Write).unwrap();
            drop(closer); // no data was unread, so there is no reset yet
            assert_eq!(writer.read(&mut [0]).unwrap(), 0);
            writer.write_all(b"too late").unwrap();
            let error = write_until_it_fails(&mut writer);
            // The end of stream had arrived before the reset.
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        }
    });
}

#[test]
fn a_waiting_reader_and_a_waiting_writer_both_hear_of_a_reset() {
    on_both(|| {
        let (client, server) = tcp_pair();
        let (reader, writer) = (std::rc::Rc::new(server), client);
        let other = std::rc::Rc::clone(&reader);
        let filling = sched::spawn(move || {
            let block = vec![0; 64 * 1024];
            loop {
                if let Err(error) = (&*other).write_all(&block) {
                    return error.kind();
                }
            }
        });
        let reading = sched::spawn(move || (&*reader).read(&mut [0]).map_err(|error| error.kind()));
        arrived(&writer, 1);
        drop(writer); // with unread data
        let outcomes =
            [filling.join().unwrap(), reading.join().unwrap().err().unwrap_or(ErrorKind::Other)];
        // The first fiber that runs gets the reset, the other one finds a closed connection.
        assert!(
            outcomes == [ErrorKind::ConnectionReset, ErrorKind::Other]
                || outcomes == [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset],
            "{outcomes:?}"
        );
    });
}

#[test]
fn a_close_without_lingering_is_a_reset() {
    on_both(|| {
        let (mut client, server) = tcp_pair();
        server.set_zero_linger().unwrap();
        drop(server);
        assert_eq!(kind(client.read(&mut [0])), ErrorKind::ConnectionReset);
    });
}
