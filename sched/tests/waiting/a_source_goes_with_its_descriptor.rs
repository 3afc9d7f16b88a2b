//! A descriptor can leave its source, and a source can leave its shard. A fiber can wait for either
//! again afterwards.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use straightline_sched::{self as sched, Interest, Source};

/// Waits for one message and reads it.
fn receive(source: &Source<UnixStream>) -> u8 {
    let mut byte = [0];
    source.wait(Interest::Read).expect("a socket can be waited for");
    source.inner().read_exact(&mut byte).expect("woken, so there is a byte");
    byte[0]
}

/// Sends `byte` when all other fibers wait.
fn send_later(stream: &UnixStream, byte: u8) {
    let mut stream = stream.try_clone().expect("another descriptor");
    sched::spawn(move || {
        sched::sleep(Duration::from_millis(1));
        stream.write_all(&[byte]).expect("there is room for a byte");
    });
}

#[test]
fn a_descriptor_can_be_wrapped_again_and_again() {
    sched::run(|| {
        let (mut near, far) = UnixStream::pair().unwrap();
        for byte in 0..20 {
            let source = Source::new(near);
            send_later(&far, byte);
            assert_eq!(receive(&source), byte);
            near = source.into_inner();
        }
    });
}

#[test]
fn a_source_that_never_waited_gives_its_descriptor_back() {
    let (near, mut far) = UnixStream::pair().unwrap();
    let mut near = Source::new(near).into_inner(); // outside of any run
    far.write_all(b"!").unwrap();
    near.read_exact(&mut [0]).unwrap();
}

#[test]
fn a_clone_of_a_dropped_sources_descriptor_is_not_watched_any_more() {
    sched::run(|| {
        let (near, mut far) = UnixStream::pair().unwrap();
        let clone = near.try_clone().unwrap();
        let source = Source::new(near);
        send_later(&far, 1);
        assert_eq!(receive(&source), 1);
        drop(source); // the clone keeps the socket open
        far.write_all(&[2]).unwrap();
        let source = Source::new(clone);
        assert_eq!(receive(&source), 2);
    });
}

#[test]
fn a_source_can_be_used_in_a_later_run() {
    let (near, far) = UnixStream::pair().unwrap();
    let mut source = Source::new(near);
    for byte in 0..10 {
        let far = far.try_clone().unwrap();
        source = sched::run(move || {
            send_later(&far, byte);
            assert_eq!(receive(&source), byte);
            source
        });
    }
    // Outside of a shard a source can give its descriptor back, and can be dropped.
    let near = source.into_inner();
    let source = sched::run(move || {
        let source = Source::new(near);
        source.arm(Interest::Read).unwrap();
        source
    });
    drop(source);
}

#[test]
fn a_descriptor_can_go_to_another_shard() {
    let (near, far) = UnixStream::pair().unwrap();
    let clone = far.try_clone().unwrap();
    let near = sched::run(move || {
        let source = Source::new(near);
        send_later(&clone, 1);
        assert_eq!(receive(&source), 1);
        source.into_inner()
    });
    let other = std::thread::spawn(move || {
        sched::run_with(sched::Config::default(), move || {
            let source = Source::new(near);
            send_later(&far, 2);
            receive(&source)
        })
    });
    assert_eq!(other.join().unwrap().unwrap(), 2);
}

#[test]
fn a_source_that_its_cancelled_fiber_owned_is_closed() {
    sched::run(|| {
        let (near, far) = UnixStream::pair().unwrap();
        let waiter = sched::spawn(move || {
            let source = Source::new(near);
            receive(&source)
        });
        sched::yield_now();
        waiter.cancel();
        assert!(waiter.join().unwrap_err().is_cancelled());
        // The unwind dropped the source and its socket.
        assert_eq!((&far).read(&mut [0]).unwrap(), 0);
    });
}

thread_local! {
    static EARLY: RefCell<Option<Source<UnixStream>>> = const { RefCell::new(None) };
    static LATE: RefCell<Option<Source<UnixStream>>> = const { RefCell::new(None) };
}

#[test]
fn a_source_may_be_dropped_by_the_end_of_its_thread() {
    let armed = || {
        sched::run(|| {
            let (near, _far) = UnixStream::pair().unwrap();
            let source = Source::new(near);
            source.arm(Interest::Read).unwrap();
            source
        })
    };
    let thread = std::thread::spawn(move || {
        // The system chooses the order in which thread-locals are dropped. With these two, one
        // source is dropped after the shard's thread-local in either order.
        EARLY.set(None);
        sched::now();
        EARLY.set(Some(armed()));
        LATE.set(Some(armed()));
    });
    thread.join().unwrap();
}
