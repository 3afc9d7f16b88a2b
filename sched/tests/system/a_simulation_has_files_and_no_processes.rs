//! In a simulation files are those of the system, in virtual time, and there are no processes.

use std::io::ErrorKind;
use std::time::Duration;

use crate::scratch::Scratch;
use straightline_sched as sched;
use straightline_sched::process::Command;
use straightline_sched::sim::{self, Sim};

#[test]
fn a_call_on_files_takes_virtual_time() {
    let cost = Duration::from_secs(1);
    let root = move || {
        let scratch = Scratch::new();
        sched::fs::write(scratch.join("file"), "text").unwrap();
        assert!((cost..cost * 2).contains(&sim::elapsed()));
        assert_eq!(sched::fs::read_to_string(scratch.join("file")).unwrap(), "text");
        assert!(sim::elapsed() >= cost * 2);
    };
    Sim::new(1).offload_cost(cost..=cost).run(root).unwrap();
}

#[test]
fn the_start_of_a_program_is_an_error() {
    sim::run(1, || {
        let command = Command::new("true");
        assert_eq!(command.status().unwrap_err().kind(), ErrorKind::Unsupported);
    });
}
