//! After `shutdown(Write)` the peer reads an end of stream. The peer's answer can still be read,
//! and peeked at.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::rc::Rc;

use straightline_net::{TcpListener, TcpStream, UnixStream};
use straightline_sched as sched;

const BYTES: usize = 1 << 20;

fn answers_after_the_end<S: 'static>(near: S, far: S, shutdown: impl Fn(&S, Shutdown) + 'static)
where
    for<'s> &'s S: Read + Write,
{
    let near = Rc::new(near);
    // The reader waits before the write side is shut down. The shutdown does not disturb it.
    let reader = sched::spawn({
        let near = Rc::clone(&near);
        move || {
            let mut answer = Vec::new();
            (&*near).read_to_end(&mut answer).map(|_| answer)
        }
    });
    sched::yield_now();
    let server = sched::spawn(move || {
        let mut question = Vec::new();
        (&far).read_to_end(&mut question).expect("the question");
        question.reverse();
        (&far).write_all(&question).expect("the answer");
    });
    let question: Vec<u8> = (0..=255).cycle().take(BYTES).collect();
    (&*near).write_all(&question).expect("the question");
    shutdown(&near, Shutdown::Write);
    assert!((&*near).write(b"!").is_err(), "this half is closed");
    let answer = reader.join().expect("the fiber ends").expect("the answer");
    assert!(answer.into_iter().eq(question.into_iter().rev()));
    server.join().expect("the fiber ends");
}

#[test]
fn tcp() {
    sched::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, _) = listener.accept().unwrap();
        answers_after_the_end(near, far, |stream, how| stream.shutdown(how).unwrap());
    });
}

#[test]
fn unix() {
    sched::run(|| {
        let (near, far) = UnixStream::pair().unwrap();
        answers_after_the_end(near, far, |stream, how| stream.shutdown(how).unwrap());
    });
}

#[test]
fn a_peek_waits_and_takes_nothing() {
    sched::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        let peeker = sched::spawn(move || {
            let mut buffer = [0; 8];
            for _ in 0..3 {
                assert_eq!(far.peek(&mut buffer).unwrap(), 5);
                assert_eq!(&buffer[..5], b"there");
            }
            assert_eq!(far.read(&mut buffer).unwrap(), 5);
            far.peek(&mut buffer).unwrap()
        });
        sched::yield_now();
        near.write_all(b"there").unwrap();
        near.shutdown(Shutdown::Write).unwrap();
        assert_eq!(peeker.join().unwrap(), 0, "a peek sees the end of stream as well");
    });
}
