//! A fiber that keeps its thread is reported as stalled and then as stuck, with its label.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use straightline_sched::{self as sched, Config, Label, Report, Reporter};

#[test]
fn it_is_reported_as_stalled_and_then_as_stuck() {
    static GO_ON: AtomicBool = AtomicBool::new(false);
    let (sender, reports) = mpsc::channel();
    let reporter = Reporter::new(move |report| {
        let entry = match report {
            Report::Stalled(stall) => ("stalled", stall.label.clone()),
            Report::Stuck(stall) => ("stuck", stall.label.clone()),
            other => panic!("{other}"),
        };
        // The test may have ended, so this may fail.
        let _ = sender.send(entry);
    });
    let config = Config::default()
        .with_stall_limit(Some(Duration::from_millis(20)))
        .with_stuck_limit(Some(Duration::from_millis(60)))
        .with_reporter(reporter);
    let collector = std::thread::spawn(move || {
        // On a busy machine both limits may have passed when the watchdog looks.
        let mut entries: Vec<(&str, Option<String>)> = Vec::new();
        while entries.last().is_none_or(|last| last.0 != "stuck") {
            entries.push(reports.recv().expect("a report"));
        }
        GO_ON.store(true, Ordering::SeqCst);
        entries
    });
    sched::run_with(config, || {
        let label = Label::new();
        sched::set_label(Some(&label));
        label.set(b"counting sheep");
        while !GO_ON.load(Ordering::SeqCst) {
            std::hint::spin_loop();
        }
    })
    .expect("a shard");
    let entries = collector.join().expect("the reports");
    assert!(entries.len() <= 2, "{entries:?}");
    // The report has the label if the watchdog can sample the thread, which it always can on Linux.
    if cfg!(target_os = "linux") {
        assert_eq!(entries[0].1.as_deref(), Some("counting sheep"));
    }
}

#[test]
fn a_label_shows_in_the_listing_and_goes_with_the_last_one() {
    sched::run(|| {
        let label = Label::new();
        label.set(&[b'x'; 1_000]);
        sched::set_label(Some(&label));
        let find = || sched::inspect().into_iter().find_map(|fiber| fiber.label);
        assert_eq!(find().map(|text| text.len()), Some(120));
        label.set(b"evil\n\x1b[2J");
        let line = sched::inspect()[0].to_string();
        assert!(line.contains(r"at `evil\n\u{1b}[2J`"), "{line}");
        label.set(b"");
        assert_eq!(find(), None);
        sched::set_label(None);
        label.set(b"no fiber's");
        assert_eq!(find(), None);
    });
}
