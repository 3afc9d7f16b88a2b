//! A file is served whole and in ranges.

use std::fs;

use crate::process::{Folder, Process, ask, get, status};

#[test]
fn a_file_is_served_whole_and_in_ranges() {
    let folder = Folder::new();
    fs::write(folder.path("digits"), "0123456789").expect("a file");
    for name in ["file", "axum_file"] {
        let program = Process::program(name, &[&folder.path("digits")]);
        let (head, body) = get(&program.address, "/");
        assert_eq!((status(&head), &*body), ("200", "0123456789"), "{name}");
        assert!(head.contains("accept-ranges: bytes"), "{name}: {head}");
        for (range, expected, place) in [
            ("0-3", "0123", "0-3"),
            ("8-", "89", "8-9"),
            ("-2", "89", "8-9"),
            ("7-99", "789", "7-9"),
        ] {
            let field = format!("Range: bytes={range}\r\n");
            let (head, body) = ask(&program.address, "GET /", &field, "");
            assert_eq!((status(&head), &*body), ("206", expected), "{name}: {range}");
            let place = format!("content-range: bytes {place}/10");
            assert!(head.contains(&place), "{name}: {range}: {head}");
        }
        for range in ["10-", "99-100"] {
            let field = format!("Range: bytes={range}\r\n");
            let (head, _) = ask(&program.address, "GET /", &field, "");
            assert_eq!(status(&head), "416", "{name}: {range}");
            assert!(head.contains("content-range: bytes */10"), "{name}: {range}: {head}");
        }
        program.stop();
    }
}
