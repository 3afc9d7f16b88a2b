//! A program of one thread whose fibers all wait for each other is reported as stuck. A program
//! with a fiber that waits for a descriptor, in any way, is not reported, because another process
//! may write to the descriptor.

use std::future::poll_fn;
use std::process::{ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use straightline_sched::sync::{Ready, mpsc, select};
use straightline_sched::{self as sched, Config, Interest, Report, Reporter, Source};

pub(crate) fn test() {
    // On other systems the threads of a process are not counted.
    if cfg!(target_os = "linux") {
        fibers_that_wait_for_each_other_are_stuck();
        fibers_that_wait_for_a_descriptor_are_not();
    }
}

fn fibers_that_wait_for_each_other_are_stuck() {
    let (sender, receiver) = mpsc::unbounded();
    let sender = Mutex::new(sender);
    let reporter = Reporter::new(move |report| {
        let text = report.to_string();
        let _ = sender.lock().expect("no panic").send(text); // which ends the wait
    });
    let report = sched::run_with(Config::default().with_reporter(reporter), move || {
        receiver.recv().expect("a report")
    });
    let report = report.expect("a shard");
    assert!(report.starts_with("deadlock: all fibers wait"), "{report}");
    assert!(report.contains("Receiver::recv"), "{report}");
}

fn fibers_that_wait_for_a_descriptor_are_not() {
    let reports = Arc::new(AtomicU32::new(0));
    let reporter = Reporter::new({
        let reports = Arc::clone(&reports);
        move |report| {
            assert!(matches!(report, Report::Deadlock(_)), "{report}");
            reports.fetch_add(1, Ordering::SeqCst);
        }
    });
    sched::run_with(Config::default().with_reporter(reporter), || {
        sched::scope(|s| {
            s.spawn(|| assert_eq!(select(&[&Ready::to_read(&comes_late())]), Ok(0)));
            s.spawn(|| {
                let source = comes_late();
                while source.arm(Interest::Read).expect("a pipe can be watched") {
                    sched::wait_for_armed(None).expect("the fiber does not unwind");
                }
            });
            s.spawn(|| {
                let source = comes_late();
                let ready = poll_fn(|cx| source.poll_ready(Interest::Read, cx));
                assert!(matches!(sched::block_on(ready), Ok(Ok(()))));
            });
        });
    })
    .expect("a shard");
    assert_eq!(reports.load(Ordering::SeqCst), 0);
}

/// A pipe that another process writes to, after the shard has been idle for long enough to be
/// reported.
fn comes_late() -> Source<ChildStdout> {
    let mut child = Command::new("sh");
    let child = child.args(["-c", "sleep 1.5; echo"]).stdout(Stdio::piped()).spawn();
    Source::new(child.expect("a shell").stdout.take().expect("the output is piped"))
}
