//! The end of a stream: half-closes, and the reads and writes after a half-close.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;

use crate::both::{arrival, kind, on_both, read_to_end, write_until_it_fails};
use crate::common::tcp_pair;

#[test]
fn the_end_comes_after_all_data_and_repeats() {
    on_both(|| {
        let (mut client, mut server) = tcp_pair();
        client.write_all(b"the last words").unwrap();
        drop(client);
        assert_eq!(read_to_end(&server), b"the last words");
        for _ in 0..3 {
            assert_eq!(server.read(&mut [0; 8]).unwrap(), 0);
            assert_eq!(server.try_read(&mut [0; 8]).unwrap(), 0);
            assert_eq!(server.peek(&mut [0; 8]).unwrap(), 0);
        }
    });
}

#[test]
fn a_half_closed_stream_goes_on_in_the_other_direction() {
    on_both(|| {
        let (mut client, mut server) = tcp_pair();
        client.write_all(b"question").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_to_end(&server), b"question");
        server.write_all(b"answer, part one; ").unwrap();
        server.write_all(b"part two").unwrap();
        server.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_to_end(&client), b"answer, part one; part two");
    });
}

#[test]
fn a_write_after_ones_own_shutdown_is_a_broken_pipe() {
    on_both(|| {
        let (mut client, server) = tcp_pair();
        client.shutdown(Shutdown::Write).unwrap();
        for _ in 0..2 {
            assert_eq!(kind(client.write(b"x")), ErrorKind::BrokenPipe);
        }
        client.shutdown(Shutdown::Write).unwrap(); // a second shutdown is no error
        assert_eq!(arrival(&server).unwrap(), 0);
        assert_eq!(server.local_addr().unwrap(), client.peer_addr().unwrap());
    });
}

#[test]
fn a_shut_down_reader_gets_what_is_there_and_then_the_end() {
    on_both(|| {
        let (mut client, mut server) = tcp_pair();
        server.write_all(b"!").unwrap();
        assert_eq!(arrival(&client).unwrap(), 1);
        client.shutdown(Shutdown::Read).unwrap();
        assert_eq!(client.read(&mut [0; 8]).unwrap(), 1);
        assert_eq!(client.read(&mut [0; 8]).unwrap(), 0);
        client.write_all(b"still open this way").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_to_end(&server), b"still open this way");
    });
}

#[test]
fn reads_and_writes_of_nothing_say_nothing() {
    on_both(|| {
        let (mut client, mut server) = tcp_pair();
        assert_eq!(client.write(&[]).unwrap(), 0);
        assert_eq!(kind(client.try_read(&mut [])), ErrorKind::WouldBlock);
        server.write_all(b"!").unwrap();
        assert_eq!(client.read(&mut []).unwrap(), 0);
        assert_eq!(client.read(&mut [0; 8]).unwrap(), 1);
    });
}

#[test]
fn both_ends_may_close_at_once() {
    on_both(|| {
        let (client, server) = tcp_pair();
        client.shutdown(Shutdown::Both).unwrap();
        server.shutdown(Shutdown::Both).unwrap();
        assert_eq!(read_to_end(&client), b"");
        assert_eq!(read_to_end(&server), b"");
    });
}

#[test]
fn a_connection_that_ended_both_ways_has_no_peer() {
    on_both(|| {
        let (client, server) = tcp_pair();
        let address = client.local_addr().unwrap();
        server.shutdown(Shutdown::Write).unwrap();
        assert_eq!(arrival(&client).unwrap(), 0);
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(arrival(&server).unwrap(), 0);
        // When the acknowledgement of its FIN arrives, the end that closed last is not connected
        // any more.
        while client.peer_addr().is_ok() {
            straightline_sched::yield_now();
        }
        assert_eq!(kind(client.peer_addr()), ErrorKind::NotConnected);
        assert_eq!(kind(client.shutdown(Shutdown::Write)), ErrorKind::NotConnected);
        assert_eq!(client.local_addr().unwrap(), address);
    });
}

#[test]
fn an_end_is_seen_by_peers_that_only_write() {
    on_both(|| {
        let (client, mut server) = tcp_pair();
        drop(client);
        assert_eq!(arrival(&server).unwrap(), 0);
        // The first write may succeed. The peer answers it with a reset, and then all writes fail.
        let error = write_until_it_fails(&mut server);
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        assert_eq!(kind(server.write(b"x")), ErrorKind::BrokenPipe);
        assert_eq!(server.read(&mut [0]).unwrap(), 0);
    });
}
