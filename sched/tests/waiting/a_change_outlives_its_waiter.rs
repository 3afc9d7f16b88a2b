//! If no fiber waits for a descriptor, or its waiter has left, a change of the descriptor is kept
//! for the next fiber that waits.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use crate::common::{joined_unless_it_hangs, take_in_events};
use straightline_sched::{self as sched, Interest, Source};

fn source_and_far_end() -> (Rc<Source<UnixStream>>, UnixStream) {
    let (near, far) = UnixStream::pair().expect("a pair of sockets");
    (Rc::new(Source::new(near)), far)
}

#[test]
fn a_change_without_a_waiter_is_kept() {
    sched::run(|| {
        let (source, mut far) = source_and_far_end();
        assert!(source.arm(Interest::Read).unwrap());
        far.write_all(b"!").unwrap();
        sched::park(); // until the change has come
        source.inner().read_exact(&mut [0]).unwrap();
        far.write_all(b"!").unwrap();
        take_in_events();
        let waited = Rc::clone(&source);
        joined_unless_it_hangs(move || waited.wait(Interest::Read)).unwrap().unwrap();
        source.inner().read_exact(&mut [0]).unwrap();
        far.write_all(b"!").unwrap();
        take_in_events();
        if source.arm(Interest::Read).unwrap() {
            sched::park(); // an armed source reports the data that is already there
        }
    });
}

#[test]
fn a_change_after_the_waiter_was_cancelled_is_for_the_next() {
    sched::run(|| {
        let (source, mut far) = source_and_far_end();
        let waiter = sched::spawn({
            let source = Rc::clone(&source);
            move || source.wait(Interest::Read)
        });
        sched::yield_now();
        waiter.cancel();
        assert!(waiter.join().unwrap_err().is_cancelled());
        far.write_all(b"!").unwrap();
        take_in_events();
        joined_unless_it_hangs(move || source.wait(Interest::Read)).unwrap().unwrap();
    });
}

#[test]
fn a_change_after_the_waiter_was_woken_early_is_for_its_next_wait() {
    sched::run(|| {
        let (source, mut far) = source_and_far_end();
        source.arm(Interest::Read).unwrap();
        sched::current().unpark();
        sched::park(); // woken, but not by the descriptor
        far.write_all(b"!").unwrap();
        take_in_events();
        joined_unless_it_hangs(move || source.wait(Interest::Read)).unwrap().unwrap();
    });
}

#[test]
fn a_change_that_woke_a_fiber_which_was_cancelled_then_is_for_the_next() {
    sched::run(|| {
        let (source, mut far) = source_and_far_end();
        let (signal, mut far_signal) = source_and_far_end();
        let waiter = sched::spawn({
            let source = Rc::clone(&source);
            move || source.wait(Interest::Read)
        });
        let canceller = sched::spawn(move || {
            signal.wait(Interest::Read).unwrap();
            waiter.cancel();
            waiter.join().map(drop)
        });
        sched::yield_now();
        // Both changes come in one poll of the driver, the canceller's first.
        far_signal.write_all(b"!").unwrap();
        far.write_all(b"!").unwrap();
        assert!(canceller.join().unwrap().unwrap_err().is_cancelled());
        joined_unless_it_hangs(move || source.wait(Interest::Read)).unwrap().unwrap();
    });
}
