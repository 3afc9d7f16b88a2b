//! A file that never answers keeps its own fiber waiting, and a thread of the pool.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use crate::common::own_process::in_a_process;
use crate::common::{on_a_shard, run};
use crate::scratch::{Scratch, until};
use straightline_sched::sync::mpsc;
use straightline_sched::{self as sched, OffloadError};

#[test]
fn other_fibers_run_while_a_fifo_has_no_writer() {
    run(|| {
        let scratch = Scratch::new();
        let path = Rc::new(scratch.fifo());
        let reader = sched::spawn({
            let path = Rc::clone(&path);
            move || sched::fs::read_to_string(&*path).unwrap()
        });
        // These need the shard a hundred times, and the reader has nothing to read meanwhile.
        let (sender, receiver) = mpsc::channel(1);
        sched::spawn(move || (0..100).try_for_each(|number| sender.send(number)));
        assert_eq!((0..100).filter(|_| receiver.recv().is_ok()).count(), 100);
        assert!(!reader.is_finished());
        sched::fs::write(&*path, "at last").unwrap();
        assert_eq!(reader.join().unwrap(), "at last");
    });
}

#[test]
fn a_deadline_ends_the_wait_and_the_thread_comes_back() {
    in_a_process(|| {
        on_a_shard(|| {
            let scratch = Scratch::new();
            let path = scratch.fifo();
            let late =
                sched::deadline(Duration::from_millis(5), || sched::fs::File::open(&path).is_ok());
            assert!(late.is_err());
            assert_eq!(sched::fs::pool().stats().lost, 1);
            // The job's open ends, and closes the descriptor that no fiber wants.
            let writer = sched::fs::OpenOptions::new().write(true).open(&path).unwrap();
            until("the lost job ends", || sched::fs::pool().stats().lost == 0);
            let error = (&writer).write_all(b"x").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        });
    });
}

#[test]
fn a_read_whose_caller_has_left_touches_no_buffer_of_the_caller() {
    run(|| {
        let scratch = Scratch::new();
        let mut options = sched::fs::OpenOptions::new();
        // With both directions the open of a FIFO does not wait.
        let mut file = options.read(true).write(true).open(scratch.fifo()).unwrap();
        let mut buffer = [7; 8];
        let late = sched::deadline(Duration::from_millis(5), || file.read(&mut buffer));
        assert!(late.is_err());
        // The job still has the file, so this is a duplicate.
        let mut std = file.into_std().unwrap();
        std.write_all(b"late").unwrap(); // the job reads these
        std.write_all(b"more").unwrap();
        assert_eq!(buffer, [7; 8]);
    });
}

#[test]
fn a_full_pool_is_an_error() {
    in_a_process(|| {
        on_a_shard(|| {
            let scratch = Scratch::new();
            let path = Rc::new(scratch.fifo());
            let fit = 64 + 1_024; // threads, and jobs that wait for one
            let open = || {
                let path = Rc::clone(&path);
                sched::spawn(move || sched::fs::File::open(&*path).map(drop))
            };
            let opens: Vec<_> = (0..fit).map(|_| open()).collect();
            sched::yield_now();
            let error = open().join().unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ResourceBusy);
            let inner = error.get_ref().unwrap().downcast_ref::<OffloadError>().unwrap();
            assert!(inner.is_full());
            assert!(opens.iter().all(|open| !open.is_finished()));
            // Another pool, so a slow file system does not stop other jobs.
            assert_eq!(sched::offload(|| 1).unwrap(), 1);
            let _writer = fs::OpenOptions::new().write(true).open(&*path).unwrap();
            opens.into_iter().for_each(|open| open.join().unwrap().unwrap());
        });
    });
}

#[test]
fn a_destructor_of_a_fiber_that_unwinds_changes_no_file() {
    struct WritesAtDrop(std::path::PathBuf, Rc<std::cell::Cell<bool>>);
    impl Drop for WritesAtDrop {
        fn drop(&mut self) {
            let error = sched::fs::write(&self.0, "").unwrap_err();
            let inner = error.get_ref().unwrap().downcast_ref::<OffloadError>().unwrap();
            self.1.set(inner.is_unwinding());
        }
    }
    run(|| {
        let scratch = Scratch::new();
        let (path, was_refused) = (scratch.join("file"), Rc::default());
        let writes = WritesAtDrop(path.clone(), Rc::clone(&was_refused));
        let fiber = sched::spawn(move || {
            let _writes = writes;
            sched::sleep(Duration::MAX);
        });
        sched::yield_now();
        fiber.cancel();
        assert!(fiber.join().unwrap_err().is_cancelled());
        assert!(was_refused.get() && !path.exists());
    });
}
