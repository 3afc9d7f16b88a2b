//! Visits are counted in a file of SQLite, by several clients at once, and by the next process.

use std::collections::BTreeSet;
use std::thread;

use crate::process::{Folder, Process, get};

#[test]
fn visits_are_counted_in_a_file() {
    let folder = Folder::new();
    let mut seen = BTreeSet::new();
    for _ in 0..2 {
        let program = Process::program("sqlite", &[&folder.path("visits.db")]);
        let clients = [(); 8].map(|()| {
            let address = program.address.clone();
            thread::spawn(move || [(); 5].map(|()| get(&address, "/").1))
        });
        for text in clients.into_iter().flat_map(|client| client.join().expect("answers")) {
            let number = text.strip_prefix("visitor ").map(str::trim_end);
            let number = number.unwrap_or_else(|| panic!("{text}")).parse::<u32>();
            assert!(seen.insert(number.expect("a number")), "twice: {text}");
        }
        program.stop();
    }
    assert_eq!(seen, (1..=80).collect());
}
