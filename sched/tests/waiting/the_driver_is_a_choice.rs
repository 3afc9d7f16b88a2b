//! The program chooses a shard's driver. If it does not, the environment chooses, and otherwise the
//! system. A driver that does not exist is an error, and the shard does not get another one.

use std::env;
use std::io::{ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use straightline_sched::{self as sched, Config, DriverKind, Interest, Source, sim, spawn_shard};

/// A configuration that chooses this driver.
fn chosen(kind: DriverKind) -> Config {
    Config::default().with_driver(Some(kind))
}

/// The drivers of this system.
pub(crate) fn kinds() -> Vec<DriverKind> {
    if cfg!(target_os = "linux") {
        vec![DriverKind::Epoll, DriverKind::Polling]
    } else {
        vec![DriverKind::Polling]
    }
}

#[test]
fn the_program_chooses() {
    for kind in kinds() {
        assert_eq!(sched::run_with(chosen(kind), sched::driver_kind).unwrap(), Some(kind));
        let shard = spawn_shard("chosen", chosen(kind), sched::driver_kind).unwrap();
        assert_eq!(shard.join().unwrap().unwrap(), Some(kind));
    }
}

/// The difference between the two drivers: epoll reports each change once, and polling reports
/// readiness again at each wait.
#[test]
fn each_is_what_it_says() {
    for kind in kinds() {
        let is_reported_again = sched::run_with(chosen(kind), || {
            let (mut near, far) = UnixStream::pair().unwrap();
            let source = Source::new(far);
            near.write_all(b"!").unwrap();
            source.wait(Interest::Read).unwrap();
            let at = Instant::now() + Duration::from_millis(20);
            source.wait_until(Interest::Read, Some(at)).unwrap()
        });
        assert_eq!(is_reported_again.unwrap(), kind == DriverKind::Polling, "{kind}");
    }
}

#[test]
fn shards_of_one_process_may_differ() {
    let shards = kinds().into_iter().map(|kind| {
        let echo = move || {
            let (near, far) = UnixStream::pair().unwrap();
            let (near, far) = (Source::new(near), Source::new(far));
            sched::spawn(move || near.inner().write_all(b"!").unwrap());
            far.wait(Interest::Read).unwrap();
            sched::driver_kind()
        };
        (kind, spawn_shard("one of them", chosen(kind), echo).unwrap())
    });
    for (kind, shard) in shards.collect::<Vec<_>>() {
        assert_eq!(shard.join().unwrap().unwrap(), Some(kind));
    }
}

#[test]
fn a_simulation_has_its_own() {
    assert_eq!(sim::run(7, sched::driver_kind), None);
    assert_eq!(sched::driver_kind(), None, "no shard runs here");
}

#[test]
#[cfg(not(target_os = "linux"))]
fn what_the_system_has_not_is_an_error() {
    let error = sched::run_with(chosen(DriverKind::Epoll), || ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(spawn_shard("never", chosen(DriverKind::Epoll), || ()).is_err());
}

#[test]
fn the_environment_chooses_where_the_program_does_not() {
    for kind in kinds() {
        assert_eq!(with_variable(Some(&kind.to_string())), format!("{kind} polling"));
    }
    let own = kinds()[0];
    assert_eq!(with_variable(None), format!("{own} polling"));
}

#[test]
fn a_value_that_names_none_is_an_error_and_no_default() {
    for value in ["kqueue", "Epoll", "epoll ", ""] {
        let text = with_variable(Some(value));
        assert!(text.starts_with("refused polling"), "{value:?}: {text}");
        assert!(text.contains(&format!("STRAIGHTLINE_DRIVER is `{value}`")), "{text}");
    }
}

/// The output of a process with this value of the variable: see [`child`].
fn with_variable(value: Option<&str>) -> String {
    let mut command = Command::new(env::current_exe().expect("this test"));
    command
        .args([
            concat!(module_path!(), "::child").split_once("::").expect("a module").1,
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env(CHILD, "1");
    match value {
        Some(value) => command.env("STRAIGHTLINE_DRIVER", value),
        None => command.env_remove("STRAIGHTLINE_DRIVER"),
    };
    let output = command.output().expect("a child process");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    let line = stdout.lines().find_map(|line| line.split_once(PREFIX));
    line.unwrap_or_else(|| panic!("the child prints no driver: {stdout}")).1.to_owned()
}

/// Prints the driver of a shard whose program chooses none, or `refused`. Then prints the driver of
/// a shard whose program chooses polling, and the error, if there was one.
#[test]
#[ignore = "what other tests start as a process"]
fn child() {
    if env::var_os(CHILD).is_none() {
        return;
    }
    let own = sched::run_with(sched::Config::default(), sched::driver_kind);
    let shard = spawn_shard("own", Config::default(), sched::driver_kind);
    assert_eq!(own.is_ok(), shard.is_ok());
    let polling = sched::run_with(chosen(DriverKind::Polling), sched::driver_kind);
    let polling = polling.expect("the program wins").expect("no simulation");
    match own {
        Ok(kind) => println!("{PREFIX}{} {polling}", kind.expect("no simulation")),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert_eq!(shard.unwrap_err().to_string(), error.to_string());
            println!("{PREFIX}refused {polling} {error}");
        }
    }
}

const CHILD: &str = "STRAIGHTLINE_TEST_CHILD";

const PREFIX: &str = "the driver: ";
