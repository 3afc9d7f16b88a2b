//! The sample `static_site` with a directory of the test's own.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU64, Ordering};

use straightline::testing::{Client, TestResponse};

use crate::servers::{Server, output};

/// A folder with the served folder `site` in it, and the server. The folder is removed at the end.
struct Site {
    folder: PathBuf,
    server: Server,
}

impl Site {
    fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("straightline-static-{}-{number}", process::id());
        let folder = std::env::temp_dir().join(name);
        let root = folder.join("site");
        for (name, content) in FILES {
            write(&root.join(name), content);
        }
        for (link, target) in [
            ("inside.txt", "numbers.txt"),
            ("outside.txt", "../secret.txt"),
            ("outside", ".."),
            ("etc", "/etc"),
        ] {
            symlink(target, root.join(link)).expect("room on the disk");
        }
        let fifo = Command::new("mkfifo").arg(root.join("fifo")).status().expect("mkfifo runs");
        assert!(fifo.success());
        let root = root.to_str().expect("text");
        let server = Server::start("static_site", &["--workers", "1", "--root", root]);
        Self { folder, server }
    }

    fn client(&self) -> Client {
        Client::connect(self.server.address())
    }

    fn get(&self, target: &str, fields: &[(&str, &str)]) -> TestResponse {
        let client = self.client();
        let request = client.get(target);
        fields.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("room on the disk");
    fs::write(path, content).expect("room on the disk");
}

const FILES: [(&str, &str); 13] = [
    ("index.html", "<h1>root</h1>"),
    ("numbers.txt", "0123456789"),
    ("a b+ä.txt", "some text"),
    ("folder/index.html", "<h1>folder</h1>"),
    ("folder/page.html", "page"),
    ("bare/page.html", "page"),
    ("app.js", "let a = 'plain';"),
    ("app.js.gz", "gzip"),
    ("app.js.br", "br"),
    (".env", "secret"),
    (".git/config", "secret"),
    (".well-known/security.txt", "contact"),
    ("../secret.txt", "secret"),
];

#[test]
fn files_and_folders() {
    let site = Site::new();
    site.get("/", &[])
        .assert_status(200)
        .assert_text("<h1>root</h1>")
        .assert_header("content-type", "text/html; charset=utf-8")
        .assert_header("x-content-type-options", "nosniff");
    site.get("/a%20b%2B%C3%A4.txt", &[])
        .assert_text("some text")
        .assert_header("content-type", "text/plain; charset=utf-8");
    site.get("/folder/", &[]).assert_text("<h1>folder</h1>");
    site.get("/folder?a=b&c", &[]).assert_status(301).assert_header("location", "/folder/?a=b&c");
    site.get("//folder", &[]).assert_status(301).assert_header("location", "/folder/");
    site.get("/.well-known/security.txt", &[]).assert_text("contact");
    site.get("/inside.txt", &[]).assert_text("0123456789");
    let client = site.client();
    client.post("/numbers.txt").send().assert_status(405).assert_header("allow", "GET, HEAD");
    let head = client.head("/numbers.txt").send();
    head.assert_status(200).assert_header("content-length", "10").assert_text("");
}

/// Targets that name no file of the site, as they are sent.
const REFUSED: &[&str] = &[
    "/../secret.txt",
    "/folder/../../secret.txt",
    "/folder/../numbers.txt",
    "/./numbers.txt",
    "/%2e%2e/secret.txt",
    "/%2E%2E/secret.txt",
    "/.%2e/secret.txt",
    "/%2e./secret.txt",
    "/%2e%2e%2fsecret.txt",
    "/..%2fsecret.txt",
    "/folder%2fpage.html",
    "/folder%2F..%2F..%2Fsecret.txt",
    "/..\\secret.txt",
    "/..%5csecret.txt",
    "/%2e%2e%5csecret.txt",
    "/%252e%252e/secret.txt",
    "/..%252fsecret.txt",
    "/%c0%ae%c0%ae/secret.txt",
    "/..%c0%afsecret.txt",
    "/%e0%80%ae%e0%80%ae/secret.txt",
    "/%ef%bc%8e%ef%bc%8e/secret.txt",
    "/%u002e%u002e/secret.txt",
    "//../secret.txt",
    "///etc/passwd",
    "/%2fetc%2fpasswd",
    "/.../secret.txt",
    "/..;/secret.txt",
    "/..%00/secret.txt",
    "/numbers.txt%00.html",
    "/numbers.txt/",
    "/numbers.txt/x",
    "/outside.txt",
    "/outside/secret.txt",
    "/outside/",
    "/etc/passwd",
    "/.env",
    "/%2eenv",
    "/.git/config",
    "/bare/",
    "/nothing",
    "/fifo",
    "/fifo/",
    "/%",
    "/%zz",
];

#[test]
fn nothing_else_is_served() {
    let site = Site::new();
    for target in REFUSED {
        let mut stream = TcpStream::connect(site.server.address()).expect("the server listens");
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("the server reads");
        stream.shutdown(Shutdown::Write).expect("it is open");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the server answers");
        let status = answer.get(9..12).unwrap_or_default();
        assert!(matches!(status, "400" | "404"), "{target}: {answer}");
        assert!(!answer.contains("secret"), "{target}: {answer}");
    }
    // The thread has not stopped at the FIFO.
    site.get("/numbers.txt", &[]).assert_status(200);
}

#[test]
fn conditions_and_ranges() {
    let site = Site::new();
    let response = site.get("/numbers.txt", &[]);
    let tag = response.header("etag").expect("a tag");
    let date = response.header("last-modified").expect("a date");
    let weak = format!("W/{tag}");
    let (old, range) = ("Thu, 01 Jan 1970 00:00:00 GMT", ("range", "bytes=2-4"));
    for (fields, status, body) in [
        (&[("if-none-match", &*tag)][..], 304, ""),
        (&[("if-none-match", &*weak)], 304, ""),
        (&[("if-none-match", "\"other\"")], 200, "0123456789"),
        (&[("if-modified-since", &*date)], 304, ""),
        (&[("if-modified-since", old)], 200, "0123456789"),
        (&[("if-none-match", "\"other\""), ("if-modified-since", &*date)], 200, "0123456789"),
        (&[("if-match", &*tag)], 200, "0123456789"),
        (&[("if-unmodified-since", &*date)], 200, "0123456789"),
        (&[range], 206, "234"),
        (&[("range", "bytes=7-")], 206, "789"),
        (&[("range", "bytes=-2")], 206, "89"),
        (&[("range", "bytes=5-2")], 200, "0123456789"),
        (&[range, ("if-range", &*tag)], 206, "234"),
        (&[range, ("if-range", &*date)], 206, "234"),
        (&[range, ("if-range", &*weak)], 200, "0123456789"),
        (&[range, ("if-range", "\"other\"")], 200, "0123456789"),
        (&[range, ("if-none-match", &*tag)], 304, ""),
    ] {
        site.get("/numbers.txt", fields).assert_status(status).assert_text(body);
    }
    for fields in [("if-match", "\"other\""), ("if-match", &*weak), ("if-unmodified-since", old)] {
        site.get("/numbers.txt", &[fields]).assert_status(412);
    }
    let beyond = site.get("/numbers.txt", &[("range", "bytes=10-")]);
    beyond.assert_status(416).assert_header("content-range", "bytes */10");
    let several = site.get("/numbers.txt", &[("range", "bytes=0-1,-1")]);
    several.assert_status(206).assert_contains("Content-Range: bytes 0-1/10\r\n\r\n01\r\n--");
    several.assert_contains("Content-Range: bytes 9-9/10\r\n\r\n9\r\n--");
    let media_type = several.header("content-type").expect("a type");
    assert!(media_type.starts_with("multipart/byteranges; boundary="), "{media_type}");
}

#[test]
fn compressed_files_are_variants() {
    let site = Site::new();
    for (accepted, coding, body) in [
        ("gzip", Some("gzip"), "gzip"),
        ("gzip, br", Some("br"), "br"),
        ("br;q=0.1, gzip", Some("gzip"), "gzip"),
        ("gzip;q=0", None, "let a = 'plain';"),
        ("", None, "let a = 'plain';"),
    ] {
        let response = site.get("/app.js", &[("accept-encoding", accepted)]);
        response.assert_text(body).assert_header("vary", "accept-encoding");
        assert_eq!(response.header("content-encoding").as_deref(), coding, "{accepted}");
        assert!(response.header("content-type").is_some_and(|own| own.contains("javascript")));
    }
}

#[test]
fn a_directory_that_is_not_there_is_a_mistake() {
    let output = output("static_site", &["--listen", "127.0.0.1:0", "--root", "/nowhere"]);
    let text = String::from_utf8(output.stderr).expect("text");
    assert!(!output.status.success() && text.contains("/nowhere"), "{text}");
}
