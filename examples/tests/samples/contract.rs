//! The contract of every sample server: its flags, its line on stdout, its exit status.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::SERVERS;
use crate::servers::{Server, output};

#[test]
fn it_says_where_it_listens_and_a_signal_drains_it() {
    for name in SERVERS {
        for signal in ["TERM", "INT"] {
            let mut server = Server::start(name, &["--workers", "2"]);
            let address = server.address().to_string();
            assert!(!address.ends_with(":0"), "{name}: the real port");
            server.get("/nowhere").assert_status(404);
            let idle = TcpStream::connect(&address).expect("the server listens");
            server.signal(signal);
            let status = server.child.wait().expect("the server ends");
            assert!(status.success(), "{name} after {signal}: {status}");
            drop(idle);
        }
    }
}

#[test]
fn sigquit_lists_the_fibers_and_the_server_goes_on() {
    for name in SERVERS {
        let mut server = Server::start(name, &["--workers", "1"]);
        // Once the server has responded, its fibers exist.
        server.get("/nowhere").assert_status(404);
        server.signal("QUIT");
        server.wait_for_stderr("fiber `acceptor`");
        server.get("/nowhere").assert_status(404);
    }
}

#[test]
fn the_reader_of_stderr_may_go_away() {
    for name in SERVERS {
        let mut server = Server::start(name, &["--workers", "1"]);
        drop(server.stderr.take());
        server.signal("QUIT");
        server.get("/nowhere").assert_status(404);
        let status = server.stop();
        assert!(status.success(), "{name}: {status}");
    }
}

#[test]
fn fanout_answers_with_the_first_three_and_cancels_the_rest() {
    let server = Server::start("fanout", &["--workers", "1"]);
    let answer = server.get("/");
    // On a busy machine these need not be the three with the shortest delays.
    let answers = answer.text().lines().filter(|line| line.starts_with("answer "));
    assert_eq!(answers.count(), 3, "{answer}");
}

#[test]
fn fanout_has_a_deadline() {
    let server = Server::start("fanout", &["--workers", "1", "--deadline", "1"]);
    server.get("/").assert_status(504);
}

#[test]
fn fanout_says_when_its_upstreams_fail() {
    // An upstream that closes each connection. The port of a listener that is gone would be free
    // for the servers of other tests.
    let upstream = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = upstream.local_addr().unwrap().to_string();
    std::thread::spawn(move || upstream.incoming().for_each(drop));
    let args = ["--workers", "1", "--deadline", "60000", "--upstream", &address];
    Server::start("fanout", &args).get("/").assert_status(502);
}

#[test]
fn echo_sends_back_what_a_client_sends_and_a_signal_ends_it() {
    let mut server = Server::start("echo", &[]);
    let address = server.line.trim_end().strip_prefix("listening on tcp://").expect("its line");
    let mut client = TcpStream::connect(address).expect("the server listens");
    client.write_all(b"hello").expect("the server reads");
    let mut echoed = [0; 5];
    client.read_exact(&mut echoed).expect("the server answers");
    assert_eq!(&echoed, b"hello");
    server.signal("TERM");
    client.shutdown(std::net::Shutdown::Write).expect("it is open");
    assert_eq!(client.read(&mut echoed).expect("an orderly end"), 0);
    assert!(server.child.wait().expect("the server ends").success());

    assert!(!output("echo", &["--listen", "nowhere"]).status.success());
    let text = String::from_utf8(output("echo", &["--help"]).stdout).unwrap();
    assert!(text.contains("--listen"), "{text}");
}

#[test]
fn a_thousand_of_a_million() {
    let output = output("million", &["--fibers", "1000"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(text.starts_with("fibers=1000 rss_per_fiber_bytes="), "{text}");
    assert!(text.contains(" spawn_ns=") && text.contains(" wake_ns="), "{text}");
}

#[test]
fn hello_says_hello() {
    let server = Server::start("hello", &[]);
    server.get("/").assert_status(200).assert_text("Hello, World!\n");
}

#[test]
fn the_responses_to_be_measured_are_as_expected() {
    let server = Server::start("bench_server", &["--workers", "1"]);
    server.get("/plaintext").assert_text("Hello, World!");
    server.get("/json").assert_text("{\"message\":\"Hello, World!\"}");
    assert_eq!(server.get("/big").bytes().len(), 1 << 20);
}

#[test]
fn help_explains_itself() {
    for name in SERVERS {
        let output = output(name, &["--help"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success());
        assert!(text.contains("--listen") && text.contains("--workers"), "{name}: {text}");
        assert!(text.contains("127.0.0.1:8080"), "{name}: {text}");
    }
}

#[test]
fn mistakes_are_reported_on_stderr_with_a_failure() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for name in SERVERS {
        let faults: [&[&str]; 4] =
            [&["--nonsense"], &["--listen", "nowhere"], &["--workers", "0"], &["--listen", &taken]];
        for args in faults {
            let output = output(name, args);
            let text = String::from_utf8(output.stderr).unwrap();
            assert!(!output.status.success(), "{name} {args:?}");
            assert!(output.stdout.is_empty() && !text.contains("panicked"), "{name}: {text}");
            let first = text.lines().next().expect("a line on stderr");
            let about = args.last().expect("an argument");
            assert!(first.contains(about), "{name} {args:?}: {first}");
            // A value that is wrong is one line, which says what is wanted.
            let is_value = matches!(args, ["--workers", _] | ["--listen", "nowhere"]);
            let says_all = first.contains("wanted is") && text.lines().count() == 1;
            assert!(!is_value || says_all, "{name} {args:?}: {text}");
        }
    }
}

#[test]
fn a_simulated_history_is_the_same_each_time() {
    let trace = |seed: &str| output("simulated", &["--seed", seed, "--trace"]);
    for seed in ["3", "4", "5"] {
        let (one, other) = (trace(seed), trace(seed));
        assert!(one.status.success() && other.status.success(), "{one:?}");
        assert!(one.stdout == other.stdout, "seed {seed} has two histories");
        let text = String::from_utf8(one.stdout).expect("text");
        assert!(text.lines().all(|line| line.starts_with(' ')), "every line has a time");
        assert!(text.contains("client 1#") && text.contains("is connected"), "{seed}");
    }
    assert!(trace("3").stdout != trace("4").stdout);
}

#[test]
fn simulated_histories_are_counted() {
    let ended = output("simulated", &["--seeds", "20"]);
    assert!(ended.status.success(), "{ended:?}");
    let text = String::from_utf8(ended.stdout).expect("text");
    let rate =
        text.strip_prefix("seeds=20 failures=0 seeds_per_second=").expect("the promised line");
    assert!(rate.trim_end().parse::<u64>().is_ok(), "{text}");
    let refused = output("simulated", &["--seeds", "2", "--trace"]);
    assert!(!refused.status.success() && !refused.stderr.is_empty());
}
