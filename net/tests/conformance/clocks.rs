//! Properties without sockets that both drivers must have as well: time, and work of other threads.

use std::time::Duration;

use straightline_sched::sync::{Flag, after, mpsc, select};
use straightline_sched::{self as sched, Config, sim};

use crate::both::on_both;

const SHORT: Duration = Duration::from_millis(5);

#[test]
fn nothing_ends_before_its_time() {
    on_both(|| {
        let start = sched::now();
        sched::sleep(SHORT);
        assert!(sched::now() - start >= SHORT);
        let start = sched::now();
        assert!(sched::deadline(SHORT, || sched::sleep(Duration::from_secs(60))).is_err());
        assert!(sched::now() - start >= SHORT);
        let start = sched::now();
        let event = Flag::new();
        assert_eq!(select(&[&event, &after(SHORT)]), Ok(1));
        assert!(sched::now() - start >= SHORT);
    });
}

#[test]
fn sleepers_wake_in_the_order_of_their_times() {
    on_both(|| {
        let (sender, receiver) = mpsc::unbounded();
        for number in [3, 1, 2_u64] {
            let sender = sender.clone();
            sched::spawn(move || {
                sched::sleep(Duration::from_millis(50 * number));
                sender.send(number).unwrap();
            });
        }
        drop(sender);
        let order: Vec<u64> = receiver.iter().collect();
        // On a machine under load a sleeper may be late by more than the interval between two
        // times.
        if sim::is_simulated() {
            assert_eq!(order, [1, 2, 3]);
        }
        assert_eq!(order.len(), 3);
    });
}

#[test]
fn shards_offloaded_jobs_and_futures_work_alike() {
    on_both(|| {
        let shard = sched::spawn_shard("other", Config::default(), || 1);
        let job = sched::offload(|| 2).unwrap();
        let future = sched::block_on(async { 3 }).unwrap();
        assert_eq!(shard.unwrap().join().unwrap().unwrap() + job + future, 6);
    });
}

#[test]
fn a_system_socket_is_none_of_a_simulations() {
    crate::both::in_simulations(|| {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let stream = straightline_net::UnixStream::from_std(one).unwrap();
        let error = stream.wait_readable().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);
    });
}
