//! An iterator over a folder yields every entry once, whatever its batches.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use crate::common::run;
use crate::scratch::Scratch;
use straightline_sched as sched;
use straightline_sched::sim::Sim;

fn folder_of(count: usize) -> Scratch {
    let scratch = Scratch::new();
    for number in 0..count {
        fs::write(scratch.join(&number.to_string()), "").expect("a new file");
    }
    scratch
}

#[test]
fn every_entry_comes_once() {
    run(|| {
        for count in [0, 1, 127, 128, 129, 300] {
            let folder = folder_of(count);
            let entries: Vec<_> =
                sched::fs::read_dir(folder.path()).unwrap().map(Result::unwrap).collect();
            let names: BTreeSet<_> = entries.iter().map(sched::fs::DirEntry::file_name).collect();
            assert_eq!((entries.len(), names.len()), (count, count));
            for entry in entries.iter().take(2) {
                assert!(entry.file_type().unwrap().is_file());
                assert_eq!(entry.metadata().unwrap().len(), 0);
                assert_eq!(entry.path(), folder.path().join(entry.file_name()));
            }
        }
    });
}

#[test]
fn the_loss_of_a_cancelled_step_is_an_error() {
    let cost = Duration::from_secs(1);
    let root = move || {
        let folder = folder_of(200);
        let mut entries = sched::fs::read_dir(folder.path()).unwrap();
        assert_eq!(entries.by_ref().take(128).flatten().count(), 128);
        assert!(sched::deadline(cost / 2, || entries.next().is_some()).is_err());
        assert!(entries.next().unwrap().is_err());
        assert!(entries.next().is_none());
        assert!(entries.next().is_none());
    };
    Sim::new(1).offload_cost(cost..=cost).run(root).unwrap();
}
