//! Tests that depend on the number of threads of the process, or on its main thread. libtest starts
//! threads of its own and uses the main thread, so this is a plain program. A test fails by a
//! panic.
//!
//! A test that needs a child process starts this program again, with the name of a case in a
//! variable.

mod a_process_ends_although_fibers_are_left;
mod a_program_that_cannot_go_on_is_reported;
mod a_wait_for_another_process_is_no_deadlock;
mod case;

use std::env;

use case::CASE;

fn main() {
    match env::var(CASE).as_deref() {
        Ok(a_program_that_cannot_go_on_is_reported::CASE) => {
            a_program_that_cannot_go_on_is_reported::run_case();
        }
        Ok(case) => a_process_ends_although_fibers_are_left::run_case(case),
        Err(_) => {
            a_process_ends_although_fibers_are_left::test();
            a_program_that_cannot_go_on_is_reported::test();
            a_wait_for_another_process_is_no_deadlock::test();
        }
    }
}
