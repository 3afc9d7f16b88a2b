//! A lease ends a body that does not renew it in time. Children share the lease of their parent.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use straightline_sched as sched;
use straightline_sched::{DeadlineExceeded, Lease, is_cancel, sim};

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Runs `body` in simulation, where time is exact.
fn simulated(body: impl Fn() + 'static) {
    sim::run(1, body);
}

#[test]
fn what_is_renewed_lasts_as_long_as_it_likes() {
    simulated(|| {
        let lease = Lease::new();
        let begin = sched::turn_start();
        let done = lease.hold(ms(10), || {
            for _ in 0..100 {
                sched::sleep(ms(9));
                lease.renew(ms(10));
            }
            "done"
        });
        assert_eq!(done, Ok("done"));
        assert!(sched::turn_start() - begin >= ms(900));
    });
}

#[test]
fn what_stands_still_is_unwound_on_time() {
    simulated(|| {
        let lease = Lease::new();
        let begin = sched::turn_start();
        let held = lease.hold(ms(10), || {
            sched::sleep(ms(9));
            lease.renew(ms(20));
            sched::sleep(ms(100));
        });
        assert_eq!(held, Err(DeadlineExceeded));
        let took = sched::turn_start() - begin;
        assert!(took >= ms(29) && took < ms(30), "{took:?}");
    });
}

#[test]
fn a_shorter_renewal_counts_at_once() {
    simulated(|| {
        let lease = Lease::new();
        let begin = sched::turn_start();
        let held = lease.hold(Duration::MAX, || {
            lease.renew(ms(5));
            sched::sleep(ms(100));
        });
        assert_eq!(held, Err(DeadlineExceeded));
        assert!(sched::turn_start() - begin < ms(6));
    });
}

#[test]
fn children_of_a_scope_live_as_long_as_it_is_renewed_and_no_longer() {
    simulated(|| {
        let lease = Lease::new();
        let begin = sched::turn_start();
        let held = lease.hold(ms(10), || {
            sched::scope(|scope| {
                let child = scope.spawn(|| {
                    sched::sleep(ms(25)); // longer than the lease's time at the begin of the child
                    sched::remaining().expect("a lease")
                });
                for _ in 0..3 {
                    sched::sleep(ms(9));
                    lease.renew(ms(10));
                }
                assert!(child.join().expect("not unwound") <= ms(10));
                scope.spawn(sched::park);
                sched::park();
            });
        });
        assert_eq!(held, Err(DeadlineExceeded));
        let took = sched::turn_start() - begin;
        assert!(took >= ms(37) && took < ms(38), "{took:?}");
    });
}

#[test]
fn deadlines_inside_and_outside_hold_as_ever() {
    simulated(|| {
        let lease = Lease::new();
        let inner = lease.hold(ms(10), || {
            // This deadline is later than the end of the lease at this time, and earlier than its
            // end after the renewal.
            sched::deadline(ms(15), || {
                loop {
                    lease.renew(ms(10));
                    sched::sleep(ms(1));
                }
            })
        });
        assert_eq!(inner, Ok(Err::<(), _>(DeadlineExceeded)));
        let outer = sched::deadline(ms(5), || lease.hold(ms(10), || sched::sleep(ms(100))));
        assert_eq!(outer, Err(DeadlineExceeded));
        // After the call neither the lease nor a deadline is left.
        assert_eq!(sched::remaining(), None);
        sched::sleep(ms(1_000));
    });
}

#[test]
fn a_lease_within_another_ends_with_it() {
    simulated(|| {
        let (outer, inner) = (Lease::new(), Lease::new());
        let held = outer.hold(ms(10), || inner.hold(ms(1_000), || sched::sleep(ms(100))));
        assert_eq!(held, Err(DeadlineExceeded));
        let held = outer.hold(ms(1_000), || inner.hold(ms(10), || sched::sleep(ms(100))));
        assert_eq!(held, Ok(Err(DeadlineExceeded)));
    });
}

#[test]
fn an_end_that_is_swallowed_comes_again() {
    simulated(|| {
        let lease = Lease::new();
        let mut swallowed = 0;
        let held = lease.hold(ms(10), || {
            loop {
                let caught = catch_unwind(AssertUnwindSafe(|| sched::sleep(ms(100))));
                match caught {
                    Err(payload) if is_cancel(&*payload) => swallowed += 1,
                    other => panic!("{other:?}"),
                }
                if swallowed == 3 {
                    sched::sleep(ms(100));
                }
            }
        });
        assert_eq!(held, Err::<(), _>(DeadlineExceeded));
        assert_eq!(swallowed, 3);
        // The next hold of the lease begins with a count of zero.
        assert_eq!(lease.hold(ms(10), || sched::sleep(ms(100))), Err(DeadlineExceeded));
    });
}

#[test]
fn a_section_that_is_not_cancelled_is_not_ended_either() {
    simulated(|| {
        let lease = Lease::new();
        let mut committed = false;
        let held = lease.hold(ms(10), || {
            sched::uncancellable(|| {
                sched::sleep(ms(50));
                committed = true;
            });
            sched::sleep(ms(1));
        });
        assert_eq!(held, Err(DeadlineExceeded));
        assert!(committed);
    });
}

#[test]
fn a_lease_that_is_held_again_has_an_end_for_each_hold() {
    simulated(|| {
        let lease = Lease::new();
        let begin = sched::turn_start();
        let outer = lease.hold(ms(100), || {
            assert_eq!(lease.hold(ms(10), sched::park), Err(DeadlineExceeded));
            sched::sleep(ms(50)); // the outer hold has its own time
            assert_eq!(lease.hold(ms(10), || "in time"), Ok("in time"));
            assert!(sched::remaining().is_some_and(|left| left > ms(39) && left < ms(41)));
            // An inner hold does not make the outer hold longer.
            let _ = lease.hold(ms(1_000), sched::park);
            unreachable!("the outer one's end is not the inner one's");
        });
        assert_eq!(outer, Err::<(), _>(DeadlineExceeded));
        let took = sched::turn_start() - begin;
        assert!(took >= ms(100) && took < ms(101), "{took:?}");
        assert_eq!(sched::remaining(), None);
        assert_eq!(lease.hold(ms(10), sched::park), Err(DeadlineExceeded));
    });
}

#[test]
fn a_renewal_is_for_all_holds_of_the_lease() {
    simulated(|| {
        let lease = Lease::new();
        let held = lease.hold(ms(10), || {
            let inner = lease.hold(ms(10), || {
                for _ in 0..20 {
                    sched::sleep(ms(9));
                    lease.renew(ms(10));
                }
                "done"
            });
            sched::sleep(ms(5));
            inner
        });
        assert_eq!(held, Ok(Ok("done")));
    });
}

#[test]
fn a_child_may_hold_its_parents_lease() {
    simulated(|| {
        let lease = Lease::new();
        let begin = sched::turn_start();
        let held = lease.hold(ms(100), || {
            sched::scope(|scope| {
                let child = scope.spawn(|| {
                    let own = lease.hold(ms(10), sched::park);
                    (own, sched::turn_start() - begin)
                });
                let (own, after) = child.join().expect("the child is not unwound as a whole");
                assert_eq!(own, Err(DeadlineExceeded));
                assert!(after < ms(11), "{after:?}");
                // The end of the parent's hold also unwinds the child, and the parent catches it.
                scope.spawn(|| {
                    let _ = lease.hold(ms(1_000), sched::park);
                    unreachable!("the parent's end is not the child's to catch");
                });
                sched::park();
            });
        });
        assert_eq!(held, Err(DeadlineExceeded));
        let took = sched::turn_start() - begin;
        assert!(took >= ms(100) && took < ms(101), "{took:?}");
    });
}

#[test]
fn a_lease_ends_for_all_fibers_that_hold_it() {
    simulated(|| {
        let lease = Lease::new();
        let fibers: Vec<_> = (0..3)
            .map(|_| {
                let lease = lease.clone();
                sched::spawn(move || lease.hold(ms(1_000), || lease.hold(ms(2_000), sched::park)))
            })
            .collect();
        sched::sleep(ms(1));
        let begin = sched::turn_start();
        lease.end();
        for fiber in fibers {
            assert_eq!(fiber.join().expect("the fiber catches the end"), Err(DeadlineExceeded));
        }
        assert!(sched::turn_start() - begin < ms(1));
    });
}

/// Each round begins a hold of its own, and swallows the end of the one around it.
#[test]
fn an_outer_end_that_is_swallowed_is_counted_through_inner_holds() {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        sim::run(1, move || {
            let fiber = sched::spawn(|| {
                let (outer, inner) = (Lease::new(), Lease::new());
                let _ = outer.hold(ms(10), || {
                    loop {
                        let hold = || inner.hold(ms(1_000), || sched::sleep(ms(100)));
                        let _ = catch_unwind(AssertUnwindSafe(hold));
                    }
                });
            });
            sender.send(fiber.join().is_err_and(|error| error.is_abandoned()))
        })
    });
    let is_abandoned = receiver.recv_timeout(Duration::from_secs(60));
    assert_eq!(is_abandoned, Ok(true), "the fiber is abandoned in the end");
}
