//! Printed lines wait in a queue with a bound in bytes, and the caller does not wait for the
//! reader.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use straightline_sched::QueuedWriter;

/// The limit for events that must happen. Only a failure takes so long.
const LONG: Duration = Duration::from_secs(60);

/// A reader that takes bytes only when the test allows it.
struct Paused {
    text: Arc<Mutex<Vec<u8>>>,
    begun: Sender<()>,
    goes_on: Receiver<()>,
}

struct Controls {
    text: Arc<Mutex<Vec<u8>>>,
    begun: Receiver<()>,
    go_on: Sender<()>,
}

fn paused() -> (Paused, Controls) {
    let (begins, begun) = channel();
    let (go_on, goes_on) = channel();
    let text = Arc::<Mutex<Vec<u8>>>::default();
    (Paused { text: Arc::clone(&text), begun: begins, goes_on }, Controls { text, begun, go_on })
}

impl Write for Paused {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.begun.send(());
        // A receive fails at once after the test has dropped its sender. Then the reader pauses no
        // more.
        let _ = self.goes_on.recv();
        self.text.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn lines_arrive_in_order_and_whole() {
    let (writer, controls) = paused();
    drop(controls.go_on);
    let log = QueuedWriter::new(writer, 1 << 20).unwrap();
    let threads = [0, 1, 2].map(|thread| {
        let mut log = log.clone();
        std::thread::spawn(move || {
            (0..200).for_each(|line| writeln!(log, "{thread} says {line}").unwrap());
        })
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(log.flush_within(LONG));
    let text = String::from_utf8(controls.text.lock().unwrap().clone()).unwrap();
    for thread in 0..3 {
        let begin = format!("{thread} says ");
        let lines: Vec<_> = text.lines().filter_map(|line| line.strip_prefix(&begin)).collect();
        let expected: Vec<_> = (0..200).map(|line| line.to_string()).collect();
        assert_eq!(lines, expected);
    }
    assert_eq!(log.dropped(), 0);
}

#[test]
fn a_reader_that_stalls_costs_lines_and_no_callers_time() {
    const BOUND: usize = 64 * 1024;
    let (writer, controls) = paused();
    let log = QueuedWriter::new(writer, BOUND).unwrap();
    assert!(log.put("the first line\n"));
    controls.begun.recv_timeout(LONG).expect("the line is being written");
    let line = "x".repeat(99) + "\n";
    let taken = (0..10_000).filter(|_| log.put(&line)).count();
    assert!(taken > 0 && taken * line.len() <= BOUND, "{taken} lines");
    assert_eq!(log.dropped(), 10_000 - taken as u64);
    assert!(!log.flush_within(Duration::from_millis(1)));
    assert!(!log.put_patiently(&line, Duration::from_millis(1)));
    // When there is room again, all accepted lines are written.
    drop(controls.go_on);
    assert!(log.put_patiently("the last line\n", LONG));
    assert!(log.flush_within(LONG));
    let text = String::from_utf8(controls.text.lock().unwrap().clone()).unwrap();
    assert_eq!(text.lines().count(), taken + 2);
    assert!(text.starts_with("the first line\n") && text.ends_with("\nthe last line\n"));
    assert_eq!(log.dropped(), 10_001 - taken as u64);
}

#[test]
fn a_wait_that_was_in_vain_is_not_repeated() {
    let (writer, controls) = paused();
    let log = QueuedWriter::new(writer, 1 << 20).unwrap();
    assert!(log.put_through("one\n", Duration::from_millis(1)));
    controls.begun.recv_timeout(LONG).expect("the line is being written");
    assert!(!log.flush_within(Duration::from_secs(1)));
    // With a wait for each line this would take hours.
    (0..10_000).for_each(|_| assert!(log.put_through("another\n", Duration::from_secs(1))));
    drop(controls.go_on);
    assert!(log.flush_within(LONG));
}

#[test]
fn a_long_line_is_cut() {
    let (writer, controls) = paused();
    drop(controls.go_on);
    let log = QueuedWriter::new(writer, 4_096).unwrap();
    assert!(log.put("y".repeat(100_000)));
    assert!(log.flush_within(LONG));
    let text = controls.text.lock().unwrap().clone();
    assert_eq!(text, ("y".repeat(1_024) + "...\n").into_bytes());
}

struct Broken(bool);

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        assert!(!self.0, "the test asked for a panic");
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn lines_that_cannot_be_written_are_counted() {
    let log = QueuedWriter::new(Broken(false), 1 << 20).unwrap();
    assert!(log.put("one\ntwo\nthree"));
    assert!(log.flush_within(LONG));
    assert_eq!(log.dropped(), 3);
}

#[test]
fn a_writer_that_panics_is_the_end_of_the_log_and_of_nothing_else() {
    let log = QueuedWriter::new(Broken(true), 1 << 20).unwrap();
    log.put("one\n");
    assert!(log.flush_within(LONG), "no caller waits for it");
    while log.put("another\n") {
        std::thread::yield_now();
    }
    assert!(log.dropped() > 0 && log.flush_within(LONG));
}

#[test]
fn what_was_put_is_written_after_the_last_clone_is_gone() {
    let (writer, controls) = paused();
    let log = QueuedWriter::new(writer, 1 << 20).unwrap();
    log.put("one\n");
    controls.begun.recv_timeout(LONG).expect("the line is being written");
    log.clone().put("two\n");
    drop(log);
    drop(controls.go_on);
    // The writer's thread ends, and drops its sender.
    while controls.begun.recv_timeout(LONG).is_ok() {}
    assert_eq!(*controls.text.lock().unwrap(), b"one\ntwo\n");
}
