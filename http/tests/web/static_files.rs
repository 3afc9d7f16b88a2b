//! The files of a directory: what is served, how, and what never is.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{CWD, Mode, mkfifoat};
use straightline::web::{Router, StaticFiles};
use straightline::{Handler, Method, Request, Response, Server, StatusCode};

use crate::common::serve;

/// A folder with a folder `site` in it. Both are removed when this is dropped.
struct Site(PathBuf);

impl Site {
    fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("straightline-site-{}-{number}", process::id());
        let site = Self(std::env::temp_dir().join(name));
        fs::create_dir_all(site.root()).expect("room on the disk");
        for (name, content) in [
            ("index.html", "<h1>root</h1>"),
            ("a b+ä.txt", "some text"),
            ("numbers", "0123456789"),
            ("sub/index.html", "<h1>sub</h1>"),
            ("sub/page.html", "page"),
            ("bare/x.css", "a{}"),
            ("odd/index.html/inside", "inside"),
            ("app.js", "let a = 'identity';"),
            ("app.js.gz", "gzipped"),
            ("app.js.br", "brotli"),
            ("zipped.js", "plain"),
            ("zipped.js.gz/x", "a folder is no variant"),
            (".env", "secret"),
            (".git/config", "secret"),
            (".well-known/security.txt", "contact"),
            (".well-known/.hidden", "secret"),
            ("..a", "secret"),
            ("not-found.html", "nothing here"),
            ("../secret.txt", "secret"),
            ("../site-other/secret.txt", "secret"),
        ] {
            site.write(name, content);
        }
        site
    }

    fn root(&self) -> PathBuf {
        self.0.join("site")
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("room on the disk");
        fs::write(&path, content).expect("room on the disk");
        path
    }

    fn files(&self) -> StaticFiles {
        StaticFiles::new(self.root())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn request(method: Method, target: &str, fields: &[(&str, &str)]) -> Request {
    let mut builder = Request::builder().method(method).target(target);
    for (name, value) in fields {
        builder = builder.header(*name, *value);
    }
    builder.build().expect("a request")
}

fn ask(files: &StaticFiles, target: &str, fields: &[(&str, &str)]) -> Response {
    files.respond(&request(Method::GET, target, fields))
}

fn body(response: Response) -> String {
    let mut bytes = Vec::new();
    let mut request = request(Method::GET, "/", &[]);
    response.into_body().write_to(&mut request, &mut bytes).expect("a body");
    String::from_utf8(bytes).expect("text")
}

#[test]
fn files_are_served_under_their_decoded_names() {
    let site = Site::new();
    let files = site.files();
    for (target, content, media_type) in [
        ("/", "<h1>root</h1>", "text/html; charset=utf-8"),
        ("/index.html", "<h1>root</h1>", "text/html; charset=utf-8"),
        ("/?a=b", "<h1>root</h1>", "text/html; charset=utf-8"),
        ("/a%20b+%C3%A4.txt", "some text", "text/plain; charset=utf-8"),
        ("/%61%20b%2b%c3%a4.txt?x", "some text", "text/plain; charset=utf-8"),
        ("/numbers", "0123456789", "application/octet-stream"),
        ("/sub/", "<h1>sub</h1>", "text/html; charset=utf-8"),
        ("/sub/page.html", "page", "text/html; charset=utf-8"),
        ("//sub///page.html", "page", "text/html; charset=utf-8"),
        ("/.well-known/security.txt", "contact", "text/plain; charset=utf-8"),
        ("http://a.example/numbers", "0123456789", "application/octet-stream"),
    ] {
        let response = ask(&files, target, &[]);
        assert_eq!(response.status(), 200, "{target}");
        let headers = response.headers();
        assert_eq!(headers.content_type(), Some(media_type), "{target}");
        assert_eq!(headers.get("x-content-type-options"), Some("nosniff"));
        assert_eq!(headers.get("accept-ranges"), Some("bytes"));
        assert_eq!(headers.get("vary"), Some("accept-encoding"));
        assert!(headers.get("etag").is_some_and(|tag| tag.starts_with('"')), "{target}");
        assert!(headers.get("last-modified").is_some_and(|date| date.ends_with(" GMT")));
        assert_eq!(response.body().length(), Some(content.len() as u64));
        assert_eq!(body(response), content, "{target}");
    }
}

/// Spellings of a way out, of hidden files and of what is no file.
const REFUSED: &[&str] = &[
    "/../secret.txt",
    "/..",
    "/../",
    "/sub/../../secret.txt",
    "/sub/../numbers",
    "/./numbers",
    "/%2e%2e/secret.txt",
    "/%2E%2E/secret.txt",
    "/.%2e/secret.txt",
    "/%2e./secret.txt",
    "/%2e%2e%2fsecret.txt",
    "/..%2fsecret.txt",
    "/..%2Fsecret.txt",
    "/sub%2fpage.html",
    "/sub%2f..%2f..%2fsecret.txt",
    "/..\\secret.txt",
    "/..%5csecret.txt",
    "/..%5Csecret.txt",
    "/%2e%2e%5csecret.txt",
    "/%252e%252e/secret.txt",
    "/%252e%252e%252fsecret.txt",
    "/..%252fsecret.txt",
    "/%c0%ae%c0%ae/secret.txt",
    "/%c0%ae%c0%ae%c0%afsecret.txt",
    "/..%c0%afsecret.txt",
    "/%e0%80%ae%e0%80%ae/secret.txt",
    "/%uff0e%uff0e/secret.txt",
    "/\u{ff0e}\u{ff0e}/secret.txt",
    "/%ef%bc%8e%ef%bc%8e/secret.txt",
    "//../secret.txt",
    "///etc/passwd",
    "/%2fetc%2fpasswd",
    "/etc/passwd",
    "/.../secret.txt",
    "/..;/secret.txt",
    "/..%00/secret.txt",
    "/numbers%00.html",
    "/%00",
    "/../site/numbers",
    "/../site-other/secret.txt",
    "/..%20/secret.txt",
    "/%20../secret.txt",
    "/numbers/",
    "/numbers/x",
    "/numbers.",
    "/numbers%20",
    "/numbers::$DATA",
    "/NUMBERS",
    "/nothing",
    "/nothing/",
    "/bare/",
    "/odd/",
    "/.env",
    "/%2eenv",
    "/.git/config",
    "/%2Egit/config",
    "/sub/.git/",
    "/.well-known/.hidden",
    "/..a",
    "/.",
    "/%",
    "/%2",
    "/%zz",
    "/%+2",
    "/~root/.bashrc",
];

#[test]
fn no_spelling_leads_out_of_the_directory() {
    let site = Site::new();
    let server = serve(site.files());
    for target in REFUSED {
        let answer = server.client().get(target);
        assert!(matches!(answer.status, 400 | 404), "{target}: {}", answer.status);
        assert!(!answer.text().contains("secret"), "{target}");
        assert_eq!(answer.field("location"), None, "{target}");
    }
    let long = format!("/{}", "a".repeat(256));
    let deep = "/a".repeat(3000);
    for target in [long, deep] {
        assert_eq!(server.client().get(&target).status, 404);
    }
    assert_eq!(server.handle.counters().panicked, 0);
}

#[test]
fn links_are_followed_inside_and_never_outside() {
    let site = Site::new();
    let root = site.root();
    for (link, target) in [
        ("inside", Path::new("sub/page.html")),
        ("sub/above", Path::new("../numbers")),
        ("folder", Path::new("sub")),
        ("absolute", &root.join("numbers")),
        ("outside", Path::new("../secret.txt")),
        ("outside-folder", Path::new("..")),
        ("absolute-outside", &site.0.join("secret.txt")),
        ("etc", Path::new("/etc")),
        ("circle", Path::new("circle")),
        ("magic", Path::new("/proc/self/root/etc/passwd")),
    ] {
        symlink(target, root.join(link)).expect("room on the disk");
    }
    // A link to what is hidden by its name is the owner's decision.
    let files = site.files();
    for (target, content) in [
        ("/inside", "page"),
        ("/sub/above", "0123456789"),
        ("/folder/page.html", "page"),
        ("/absolute", "0123456789"),
    ] {
        let response = ask(&files, target, &[]);
        assert_eq!((response.status(), body(response)), (StatusCode::OK, content.to_owned()));
    }
    for target in [
        "/outside",
        "/outside-folder/",
        "/outside-folder",
        "/outside-folder/secret.txt",
        "/absolute-outside",
        "/etc/passwd",
        "/etc/",
        "/circle",
        "/magic",
    ] {
        assert_eq!(ask(&files, target, &[]).status(), 404, "{target}");
    }
    let files = site.files().with_symlinks(false);
    assert_eq!(ask(&files, "/inside", &[]).status(), 404);
    assert_eq!(ask(&files, "/sub/page.html", &[]).status(), 200);
}

#[test]
fn what_is_no_regular_file_stops_no_thread() {
    let site = Site::new();
    mkfifoat(CWD, site.root().join("fifo"), Mode::RUSR | Mode::WUSR).expect("room on the disk");
    mkfifoat(CWD, site.root().join("app.css.gz"), Mode::RUSR).expect("room on the disk");
    site.write("app.css", "a{}");
    let _listener = UnixListener::bind(site.root().join("socket")).expect("room on the disk");
    symlink("/dev/zero", site.root().join("device")).expect("room on the disk");
    let server = serve(site.files());
    let mut client = server.client();
    for target in ["/fifo", "/socket", "/device", "/fifo/", "/fifo/x"] {
        assert_eq!(client.get(target).status, 404, "{target}");
    }
    let answer = client.ask("GET /app.css HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
    assert_eq!((answer.status, answer.text()), (200, "a{}"));
}

#[test]
fn a_file_that_may_not_be_read_is_a_403() {
    let site = Site::new();
    let path = site.write("locked", "secret");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o0)).expect("it is ours");
    // Root may read everything.
    let expected = if fs::read(&path).is_ok() { 200 } else { 403 };
    assert_eq!(ask(&site.files(), "/locked", &[]).status(), expected);
}

#[test]
fn a_folder_without_its_slash_is_redirected_on_its_site() {
    let site = Site::new();
    for name in ["evil.example", "\\evil.example", "a?b", "c\r\nd"] {
        site.write(&format!("{name}/index.html"), "x");
    }
    let files = site.files();
    for (target, location) in [
        ("/sub", "/sub/"),
        ("/sub?a=b&c=//d", "/sub/?a=b&c=//d"),
        ("/sub?", "/sub/?"),
        ("//sub", "/sub/"),
        ("//evil.example", "/evil.example/"),
        ("///evil.example?//x", "/evil.example/?//x"),
        ("/\\evil.example", "/%5Cevil.example/"),
        ("/%5cevil.example", "/%5Cevil.example/"),
        ("/a%3fb", "/a%3Fb/"),
        ("/c%0d%0ad", "/c%0D%0Ad/"),
        ("http://other.example/sub?x", "/sub/?x"),
        ("/odd/index.html", "/odd/index.html/"),
        ("/bare", "/bare/"),
    ] {
        let response = ask(&files, target, &[]);
        assert_eq!(response.status(), 301, "{target}");
        assert_eq!(response.headers().get("location"), Some(location), "{target}");
        assert!(!location.starts_with("//"));
    }
}

#[test]
fn a_prefix_is_taken_off_and_stays_in_redirects() {
    let site = Site::new();
    for prefix in ["/assets", "assets/", "//assets//"] {
        let files = site.files().with_prefix(prefix);
        for target in ["/", "/numbers", "/assetsnumbers", "/assets-old/numbers", "//assets/numbers"]
        {
            assert_eq!(ask(&files, target, &[]).status(), 404, "{target}");
        }
        assert_eq!(body(ask(&files, "/assets/numbers", &[])), "0123456789");
        assert_eq!(body(ask(&files, "/assets/", &[])), "<h1>root</h1>");
        assert_eq!(ask(&files, "/assets/../numbers", &[]).status(), 404);
        for (target, location) in [("/assets?q", "/assets/?q"), ("/assets/sub", "/assets/sub/")] {
            let response = ask(&files, target, &[]);
            assert_eq!(response.headers().get("location"), Some(location), "{target}");
        }
    }
}

#[test]
fn a_router_takes_its_prefix_off_and_redirects_keep_it() {
    let site = Site::new();
    let admin = Router::new().mount("/{tenant}/files", site.files());
    let router = Router::new()
        .mount("/assets", site.files())
        .nest("/admin", admin)
        .fallback(|_: &mut Request| (StatusCode::NOT_FOUND, "elsewhere"));
    let ask = |target: &str| router.handle(&mut request(Method::GET, target, &[]));
    for (target, location) in [
        ("/assets/sub?a=b", "/assets/sub/?a=b"),
        ("/admin/me/files/sub", "/admin/me/files/sub/"),
        ("/admin/%5Cme/files/sub", "/admin/%5Cme/files/sub/"),
        ("/admin/a\\b/files/sub", "/admin/a%5Cb/files/sub/"),
    ] {
        let response = ask(target);
        assert_eq!(response.status(), 301, "{target}");
        assert_eq!(response.headers().get("location"), Some(location), "{target}");
    }
    for target in ["/assets/numbers", "/admin/me/files/numbers"] {
        assert_eq!(body(ask(target)), "0123456789");
    }
    assert_eq!(body(ask("/assets/")), "<h1>root</h1>");
    for target in REFUSED {
        let status = ask_status(&router, &format!("/assets{target}"));
        assert!(matches!(status, 0 | 400 | 404), "{target}: {status}");
    }
}

/// The status; 0 for a target that no request can have.
fn ask_status(router: &Router, target: &str) -> u16 {
    match Request::builder().target(target).build() {
        Ok(mut request) => router.handle(&mut request).status().as_u16(),
        Err(_) => 0,
    }
}

#[test]
fn variants_are_chosen_by_what_the_client_accepts() {
    let site = Site::new();
    let files = site.files().with_cache_control("max-age=60");
    let mut tags = Vec::new();
    for (accepted, coding, content) in [
        ("", None, "let a = 'identity';"),
        ("gzip", Some("gzip"), "gzipped"),
        ("gzip, deflate, br, zstd", Some("br"), "brotli"),
        ("gzip, br;q=0.5", Some("gzip"), "gzipped"),
        ("br;q=0, gzip;q=0", None, "let a = 'identity';"),
        ("zstd", None, "let a = 'identity';"),
        ("identity, gzip;q=0.2", None, "let a = 'identity';"),
    ] {
        let response = ask(&files, "/app.js", &[("accept-encoding", accepted)]);
        let headers = response.headers();
        assert_eq!(headers.get("content-encoding"), coding, "{accepted}");
        assert!(headers.content_type().is_some_and(|own| own.contains("javascript; charset")));
        assert_eq!(headers.get("vary"), Some("accept-encoding"));
        let tag = headers.get("etag").expect("a tag").to_owned();
        assert_eq!(response.body().length(), Some(content.len() as u64));
        assert_eq!(body(response), content, "{accepted}");

        let fields = [("accept-encoding", accepted), ("if-none-match", &*tag)];
        let known = ask(&files, "/app.js", &fields);
        assert_eq!(known.status(), 304);
        assert_eq!(known.headers().get("vary"), Some("accept-encoding"));
        assert_eq!(known.headers().get("etag"), Some(&*tag));
        assert_eq!(known.headers().get("cache-control"), Some("max-age=60"));

        let fields = [("accept-encoding", accepted), ("range", "bytes=1-2")];
        let part = ask(&files, "/app.js", &fields);
        assert_eq!(
            (part.status(), part.headers().get("content-encoding")),
            (StatusCode::PARTIAL_CONTENT, coding)
        );
        assert_eq!(body(part), content[1..3]);
        tags.push(tag);
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 3, "each variant has a tag of its own");

    let response = ask(&files, "/zipped.js", &[("accept-encoding", "gzip")]);
    assert_eq!(response.headers().get("content-encoding"), None);
    let response = ask(&files, "/app.js.gz", &[("accept-encoding", "gzip")]);
    assert_eq!(response.headers().get("content-encoding"), None);
    assert_eq!(response.headers().content_type(), Some("application/gzip"));

    let files = site.files().with_variants(false);
    let response = ask(&files, "/app.js", &[("accept-encoding", "gzip")]);
    assert_eq!(response.headers().get("vary"), None);
    assert_eq!(body(response), "let a = 'identity';");
}

#[test]
fn a_date_names_no_variant() {
    let site = Site::new();
    let files = site.files();
    let ranged = |files: &StaticFiles, target: &str, accepted: &str, if_range: &str| {
        let fields =
            [("accept-encoding", accepted), ("range", "bytes=1-2"), ("if-range", if_range)];
        ask(files, target, &fields).status().as_u16()
    };
    // Half of the compressed file, and then half of the other one with the same date, would make a
    // file that never was (RFC 9110 section 13.1.5). The tags tell them apart.
    for accepted in ["", "gzip", "br"] {
        let whole = ask(&files, "/app.js", &[("accept-encoding", accepted)]);
        let date = whole.headers().get("last-modified").expect("a date");
        let tag = whole.headers().get("etag").expect("a tag");
        assert_eq!(ranged(&files, "/app.js", accepted, date), 200, "{accepted}");
        assert_eq!(ranged(&files, "/app.js", accepted, tag), 206, "{accepted}");
    }
    // A file without variants, and a folder whose variants are not served.
    for (files, target) in [(&files, "/numbers"), (&site.files().with_variants(false), "/app.js")] {
        let whole = ask(files, target, &[]);
        let date = whole.headers().get("last-modified").expect("a date");
        assert_eq!(ranged(files, target, "gzip", date), 206, "{target}");
    }
}

#[test]
fn a_change_changes_the_tag() {
    let site = Site::new();
    let files = site.files();
    let tag = |target: &str| {
        ask(&files, target, &[]).headers().get("etag").map(str::to_owned).expect("a tag")
    };
    let before = tag("/numbers");
    assert_eq!(tag("/numbers"), before);
    let path = site.write("numbers", "9876543210 and more");
    assert_ne!(tag("/numbers"), before);
    // The same length, and a time of less than a second later.
    let file = fs::File::options().write(true).open(path).expect("it is there");
    let changed = file.metadata().and_then(|metadata| metadata.modified()).expect("a time");
    let before = tag("/numbers");
    file.set_modified(changed + std::time::Duration::from_nanos(1)).expect("it is ours");
    assert_ne!(tag("/numbers"), before);
}

#[test]
fn other_methods_are_refused_and_head_has_the_head_of_get() {
    let site = Site::new();
    let server = serve(site.files());
    let mut client = server.client();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"] {
        let answer = client.ask(format!("{method} /numbers HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!((answer.status, answer.field("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    let lines = |head: &str| head.lines().filter(|line| !line.starts_with("Date")).count();
    for target in ["/numbers", "/app.js", "/sub", "/nothing"] {
        let fields = "HTTP/1.1\r\nHost: a\r\nAccept-Encoding: br\r\n\r\n";
        let full = client.ask(format!("GET {target} {fields}"));
        let bare = client.send(format!("HEAD {target} {fields}")).receive_with(false);
        assert_eq!(bare.status, full.status);
        assert_eq!(lines(&bare.head), lines(&full.head), "{}{}", bare.head, full.head);
        assert_eq!(bare.field("content-length"), full.field("content-length"));
        assert_eq!(bare.field("content-encoding"), full.field("content-encoding"));
    }
}

#[test]
fn a_large_file_is_sent_in_parts_from_the_kernel() {
    let site = Site::new();
    let content: String = (0..200_000).map(|number| format!("{number} ")).collect();
    site.write("large.txt", &content);
    let server = serve(site.files());
    let mut client = server.client();
    assert!(client.get("/large.txt").text() == content);
    let head = "GET /large.txt HTTP/1.1\r\nHost: a\r\nRange: bytes=";
    let answer = client.ask(format!("{head}1000-999999\r\n\r\n"));
    assert!(answer.status == 206 && answer.text() == &content[1000..1_000_000]);
    let answer = client.ask(format!("{head}-500000,3-900,100000-200000\r\n\r\n"));
    assert_eq!(answer.status, 206);
    for part in [&content[content.len() - 500_000..], &content[3..901], &content[100_000..200_001]]
    {
        assert!(answer.text().contains(&format!("\r\n\r\n{part}\r\n--")));
    }
    assert_eq!(server.handle.counters().accepted, 1);
}

#[test]
fn pages_in_place_of_files() {
    let site = Site::new();
    let page = site.files().with_fallback("index.html");
    for target in ["/users/7", "/nothing.js", "/.env", "/sub/nothing/"] {
        let response = ask(&page, target, &[]);
        assert_eq!(
            (response.status(), body(response)),
            (StatusCode::OK, "<h1>root</h1>".to_owned())
        );
    }
    assert_eq!(body(ask(&page, "/numbers", &[])), "0123456789");
    assert_eq!(ask(&page, "/%zz", &[]).status(), 400);

    let page = site.files().with_not_found("not-found.html");
    let response = ask(&page, "/nothing", &[("range", "bytes=0-0"), ("if-none-match", "*")]);
    assert_eq!(response.status(), 404);
    assert_eq!(response.headers().get("accept-ranges"), None);
    assert_eq!(body(response), "nothing here");

    let missing = site.files().with_fallback("missing").with_not_found("missing");
    assert_eq!(ask(&missing, "/nothing", &[]).status(), 404);
    let other = site.files().with_index("numbers").with_dotfiles(true);
    assert_eq!(body(ask(&other, "/", &[])), "0123456789");
    assert_eq!(body(ask(&other, "/.env", &[])), "secret");
    assert_eq!(ask(&other, "/../secret.txt", &[]).status(), 404);
}

#[test]
fn a_directory_that_is_not_there_is_an_error_of_the_build() {
    let files = StaticFiles::new("/nowhere/at/all");
    let error = files.check().expect_err("it is not there");
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    assert_eq!(ask(&files, "/", &[]).status(), 500);
    let built = Server::builder().bind("127.0.0.1:0").build(files);
    assert!(built.expect_err("it is not there").to_string().contains("/nowhere/at/all"));
    for router in [
        Router::new().mount("/assets", StaticFiles::new("/nowhere/at/all")),
        Router::new().fallback(StaticFiles::new("/nowhere/at/all")),
    ] {
        let error = Router::new().nest("/inner", router).check().expect_err("it is not there");
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    }
    assert!(StaticFiles::new("/etc/hostname").check().is_err(), "a file is no directory");
}
