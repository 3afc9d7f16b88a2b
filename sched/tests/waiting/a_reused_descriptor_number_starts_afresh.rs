//! An event for a closed descriptor never reaches the next owner of its number.
//!
//! The test has a process to itself, so that no other test takes the number in between.

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::Duration;

use crate::common::{nonblocking_pair, own_process::in_a_process};
use straightline_sched::{self as sched, Interest, Source};

#[test]
fn the_next_owner_of_a_number_is_woken_by_its_own_events_alone() {
    in_a_process(|| {
        sched::run(|| {
            let (near, mut far) = nonblocking_pair();
            let number = near.as_raw_fd();
            let source = Source::new(near);
            assert!(source.arm(Interest::Read).unwrap());
            far.write_all(b"stale").unwrap(); // an event that the shard has not taken in yet
            drop(source);

            let (one, other) = nonblocking_pair();
            let (near, mut far) =
                if one.as_raw_fd() == number { (one, other) } else { (other, one) };
            assert_eq!(near.as_raw_fd(), number, "the lowest free number is taken first");
            let wakes = Rc::new(Cell::new(0));
            let reader = sched::spawn({
                let wakes = Rc::clone(&wakes);
                move || {
                    let (source, mut buffer) = (Source::new(near), [0; 16]);
                    loop {
                        match source.inner().read(&mut buffer) {
                            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                                source.wait(Interest::Read).unwrap();
                                wakes.set(wakes.get() + 1);
                            }
                            count => return buffer[..count.unwrap()].to_vec(),
                        }
                    }
                }
            });
            (0..5).for_each(|_| sched::sleep(Duration::from_millis(1)));
            assert_eq!(wakes.get(), 0, "an event of the closed descriptor arrived");
            far.write_all(b"fresh").unwrap();
            assert_eq!(reader.join().unwrap(), b"fresh");
            assert_eq!(wakes.get(), 1);
        });
    });
}
