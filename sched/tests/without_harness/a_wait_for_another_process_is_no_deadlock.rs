//! A program of one thread whose fibers all wait for each other is reported as stuck; one that
//! waits for a descriptor, in whatever way, is not.
//!
//! Without libtest, whose threads could wake anybody, as far as the scheduler knows.

#[cfg(target_os = "linux")]
fn main() {
    tests::fibers_that_wait_for_each_other_are_stuck();
    tests::who_waits_for_a_descriptor_is_not();
}

#[cfg(not(target_os = "linux"))]
fn main() {} // elsewhere nobody can tell whether there are other threads

#[cfg(target_os = "linux")]
mod tests {
    use std::future::poll_fn;
    use std::process::{ChildStdout, Command, Stdio};
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Arc, Mutex};

    use straightline_sched::sync::{Readable, mpsc, select};
    use straightline_sched::{self as sched, Config, Interest, Report, Reporter, Source};

    pub(super) fn fibers_that_wait_for_each_other_are_stuck() {
        let (sender, receiver) = mpsc::unbounded();
        let sender = Mutex::new(sender);
        let reporter = Reporter::new(move |report| {
            let text = report.to_string();
            let _ = sender.lock().expect("no panic").send(text); // which ends the wait
        });
        let report = sched::run_with(Config { reporter, ..Config::default() }, move || {
            receiver.recv().expect("a report")
        });
        let report = report.expect("a shard");
        assert!(report.starts_with("deadlock: all fibers wait"), "{report}");
        assert!(report.contains("Receiver::recv"), "{report}");
    }

    pub(super) fn who_waits_for_a_descriptor_is_not() {
        let reports = Arc::new(AtomicU32::new(0));
        let reporter = Reporter::new({
            let reports = Arc::clone(&reports);
            move |report| {
                assert!(matches!(report, Report::Deadlock(_)), "{report}");
                reports.fetch_add(1, Ordering::SeqCst);
            }
        });
        sched::run_with(Config { reporter, ..Config::default() }, || {
            sched::scope(|s| {
                s.spawn(|| assert_eq!(select(&[&Readable(&comes_late())]), Ok(0)));
                s.spawn(|| {
                    let source = comes_late();
                    while source.arm(Interest::Read).expect("a pipe can be watched") {
                        sched::wait_for_armed(None).expect("it does not unwind");
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

    /// Becomes readable by another process, after the shard has been quiet for long enough.
    fn comes_late() -> Source<ChildStdout> {
        let mut child = Command::new("sh");
        let child = child.args(["-c", "sleep 1.5; echo"]).stdout(Stdio::piped()).spawn();
        Source::new(child.expect("a shell").stdout.take().expect("it is piped"))
    }
}
