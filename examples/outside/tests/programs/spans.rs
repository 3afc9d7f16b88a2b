//! Requests overlap, and each line of the log has the span of its own request.

use std::fs;
use std::thread;

use crate::process::{Folder, Process, get};

#[test]
fn each_line_has_the_span_of_its_request() {
    for name in ["spans", "axum_spans"] {
        let folder = Folder::new();
        let log = folder.path("log");
        let program = Process::program_logging(name, &log);
        let paths = ["/a", "/b", "/c", "/d"];
        let clients = paths.map(|path| {
            let address = program.address.clone();
            thread::spawn(move || get(&address, path).1)
        });
        for (path, client) in paths.iter().zip(clients) {
            assert_eq!(client.join().expect("an answer"), format!("{path}\n"), "{name}");
        }
        program.stop();
        let log = fs::read_to_string(log).expect("text");
        let lines = |text: &str| -> Vec<_> {
            log.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
        };
        let awake = lines("awake");
        assert_eq!(awake.len(), paths.len(), "{name}: {log}");
        for path in paths {
            let span = format!("request{{path=\"{path}\"}}: ");
            for what in ["awake", "answered"] {
                let found = lines(what).iter().filter(|line| line.contains(&span)).count();
                assert_eq!(found, 1, "{name}: {what} under {span}: {log}");
            }
            assert!(!log.contains(&format!("{span}request")), "{name}: a span in a span: {log}");
        }
    }
}
