//! A fiber that waits for a descriptor is woken when the descriptor becomes ready in the fiber's
//! direction.

use std::cell::Cell;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use crate::common::{nonblocking_pair, take_in_events};
use crate::the_driver_is_a_choice::kinds;
use straightline_sched::{
    self as sched, Config, DriverKind, FiberBuilder, Interest, JoinHandle, Source,
};

/// Two connected streams that do not block.
fn pair() -> (Source<UnixStream>, UnixStream) {
    let (near, far) = nonblocking_pair();
    (Source::new(near), far)
}

fn read(source: &Source<UnixStream>, buffer: &mut [u8]) -> usize {
    loop {
        match source.inner().read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                source.wait(Interest::Read).expect("a socket can be waited for");
            }
            result => return result.expect("a working socket"),
        }
    }
}

fn write_all(source: &Source<UnixStream>, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match source.inner().write(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                source.wait(Interest::Write).expect("a socket can be waited for");
            }
            result => bytes = &bytes[result.expect("a working socket")..],
        }
    }
}

#[test]
fn a_reader_is_woken_by_each_message() {
    sched::run(|| {
        let (source, mut far) = pair();
        let reader = sched::spawn(move || {
            (0..100_u8).for_each(|number| {
                let mut byte = [0];
                assert_eq!(read(&source, &mut byte), 1);
                assert_eq!(byte[0], number);
            });
        });
        for number in 0..100_u8 {
            take_in_events();
            far.write_all(&[number]).unwrap();
        }
        reader.join().unwrap();
    });
}

#[test]
fn a_writer_is_woken_when_there_is_room() {
    const BYTES: usize = 4 << 20;
    sched::run(|| {
        let (source, far) = pair();
        let far = Source::new(far);
        let writer = sched::spawn(move || write_all(&source, &vec![7; BYTES]));
        let (mut buffer, mut received) = (vec![0; 1 << 16], 0);
        loop {
            let count = read(&far, &mut buffer);
            if count == 0 {
                break;
            }
            assert!(buffer[..count].iter().all(|byte| *byte == 7));
            received += count;
        }
        assert_eq!(received, BYTES);
        writer.join().unwrap();
    });
}

#[test]
fn a_reader_and_a_writer_share_a_source() {
    const BYTES: usize = 1 << 20;
    fn both_ways(source: Source<UnixStream>) -> [JoinHandle<usize>; 2] {
        let source = Rc::new(source);
        let writer = Rc::clone(&source);
        let reader = sched::spawn(move || {
            let mut buffer = vec![0; 10_000];
            std::iter::repeat_with(|| read(&source, &mut buffer)).take_while(|n| *n > 0).sum()
        });
        let writer = sched::spawn(move || {
            write_all(&writer, &vec![7; BYTES]);
            writer.inner().shutdown(Shutdown::Write).expect("the socket is connected");
            BYTES
        });
        [reader, writer]
    }
    sched::run(|| {
        let (source, far) = pair();
        let fibers = [both_ways(source), both_ways(Source::new(far))];
        for fiber in fibers.into_iter().flatten() {
            assert_eq!(fiber.join().unwrap(), BYTES);
        }
    });
}

#[test]
fn all_that_wait_for_the_same_direction_are_woken() {
    sched::run(|| {
        let (source, mut far) = pair();
        let (source, woken) = (Rc::new(source), Rc::new(Cell::new(0)));
        let waiters: Vec<_> = (0..5)
            .map(|_| {
                let (source, woken) = (Rc::clone(&source), Rc::clone(&woken));
                sched::spawn(move || {
                    source.wait(Interest::Read).unwrap();
                    woken.set(woken.get() + 1);
                })
            })
            .collect();
        take_in_events();
        assert_eq!(woken.get(), 0);
        far.write_all(b"!").unwrap();
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert_eq!(woken.get(), 5);
    });
}

#[test]
fn the_end_of_the_stream_is_seen_before_and_while_waiting() {
    sched::run(|| {
        let (source, far) = pair();
        drop(far);
        assert_eq!(read(&source, &mut [0]), 0);
        source.wait(Interest::Read).unwrap();

        let (source, far) = pair();
        let reader = sched::spawn(move || read(&source, &mut [0]));
        take_in_events();
        assert!(!reader.is_finished());
        drop(far);
        assert_eq!(reader.join().unwrap(), 0);
    });
}

#[test]
fn the_directions_are_waited_for_apart() {
    sched::run(|| {
        let (source, _far) = pair();
        let source = Rc::new(source);
        let reader = sched::spawn({
            let source = Rc::clone(&source);
            move || source.wait(Interest::Read)
        });
        sched::yield_now();
        source.wait(Interest::Write).unwrap(); // there is room
        take_in_events();
        assert!(!reader.is_finished());
        reader.cancel();
        assert!(reader.join().unwrap_err().is_cancelled());
    });
}

#[test]
#[cfg(target_os = "linux")] // kqueue takes files, too
fn a_regular_file_cannot_be_waited_for() {
    sched::run(|| {
        let executable = std::env::current_exe().unwrap();
        let source = Source::new(std::fs::File::open(executable).unwrap());
        assert!(source.wait(Interest::Read).is_err());
        assert!(source.wait(Interest::Read).is_err());
    });
}

#[test]
fn fibers_that_end_armed_do_not_pile_up() {
    sched::run(|| {
        let (_near, far) = UnixStream::pair().unwrap();
        let source = Rc::new(Source::new(far));
        let name: Rc<str> = "armed".into(); // a fiber's record holds it
        for _ in 0..1_000 {
            let (source, builder) =
                (Rc::clone(&source), FiberBuilder::new().name(Rc::clone(&name)));
            let armed = builder.spawn(move || source.arm(Interest::Read)).unwrap();
            assert!(armed.join().unwrap().unwrap());
        }
        assert!(Rc::strong_count(&name) < 50, "{} are left", Rc::strong_count(&name));
    });
}

/// The thread is kept meanwhile, as by a pause of the process. The fiber that armed first looks
/// first.
#[test]
fn a_change_in_time_is_in_time_although_another_fiber_has_looked() {
    sched::run(|| {
        let (source, mut far) = pair();
        let source = Rc::new(source);
        let watcher = sched::spawn({
            let source = Rc::clone(&source);
            move || {
                source.wait(Interest::Read).unwrap();
                source.clear(Interest::Read);
            }
        });
        let reader = sched::spawn({
            let at = sched::now() + Duration::from_millis(300);
            let source = Rc::clone(&source);
            move || source.wait_until(Interest::Read, Some(at)).unwrap()
        });
        sched::yield_now();
        far.write_all(b"!").unwrap();
        std::thread::sleep(Duration::from_millis(400));
        assert!(reader.join().unwrap());
        watcher.join().unwrap();
    });
}

/// A FIFO whose last writer has left is at its end, until there is another writer.
#[test]
fn a_hangup_ends_when_there_is_another_writer() {
    let path = std::env::temp_dir().join(format!("straightline-fifo-{}", std::process::id()));
    let made = Command::new("mkfifo").arg(&path).status().expect("POSIX has the command");
    assert!(made.success());
    for driver in kinds() {
        let path = path.clone();
        let config = Config::default().with_driver(Some(driver));
        let looks = sched::run_with(config, move || {
            let open = |options: &mut OpenOptions| {
                options.custom_flags(NONBLOCK).open(&path).expect("the FIFO is there")
            };
            let fifo = Source::new(open(OpenOptions::new().read(true)));
            drop(open(OpenOptions::new().write(true)));
            take_in_events();
            let _ = fifo.wait_until(Interest::Read, Some(sched::now()));
            let mut writer = open(OpenOptions::new().write(true));
            let (looks, reader) = (Rc::new(Cell::new(0)), sched::current());
            let counted = Rc::clone(&looks);
            let reading = sched::spawn(move || {
                let at = sched::now() + Duration::from_secs(10);
                while fifo.inner().read(&mut [0]).is_err() {
                    counted.set(counted.get() + 1);
                    fifo.wait_until(Interest::Read, Some(at)).unwrap();
                }
                reader.unpark();
            });
            sched::sleep(Duration::from_millis(100));
            let looks = looks.get();
            writer.write_all(b"!").unwrap();
            sched::park();
            reading.join().unwrap();
            looks
        });
        // An edge-triggered driver has seen the end only once, and cannot tell that it is over.
        let most = if driver == DriverKind::Epoll { 100 } else { 3 };
        let looks = looks.unwrap();
        assert!(looks <= most, "{driver}: {looks} looks in a tenth of a second");
    }
    std::fs::remove_file(&path).expect("the FIFO is there");
}

#[cfg(target_os = "linux")]
const NONBLOCK: i32 = 0o4000;
#[cfg(any(target_os = "macos", target_os = "freebsd"))]
const NONBLOCK: i32 = 4;
