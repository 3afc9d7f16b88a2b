//! The sample `https`, as its users try it: with `curl` and `openssl`.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use straightline::testing::Client as TestClient;
use straightline::tls::TlsProvider;

use crate::servers::{Server, output};

#[test]
fn without_a_certificate_it_makes_one_and_prints_a_command_that_works() {
    for provider in TlsProvider::offered() {
        let mut server = Server::start("https", &["--tls-provider", provider.as_str()]);
        server.wait_for_stderr(&format!("TLS is done by {provider}"));
        let line = server.wait_for_stderr("SHA-256 ");
        let fingerprint = line.split_once("SHA-256 ").expect("a fingerprint").1;
        let line = server.wait_for_stderr("try: ");
        let command = line.split_once("try: ").expect("a command").1;
        let output = Command::new("sh").args(["-c", command]).output().expect("a shell");
        assert_eq!(text(&output.stdout), "Hello, World!\n", "{command}: {output:?}");
        let file = PathBuf::from(command.split(' ').nth(2).expect("a file"));
        let url = format!("https://{}/", server.address());
        assert_eq!(text(&curl(&["--cacert", str(&file), &url]).stdout), "Hello, World!\n");
        let shown = openssl(&["x509", "-in", str(&file), "-noout", "-fingerprint", "-sha256"]);
        assert!(shown.trim_end().ends_with(fingerprint), "{shown} is not {fingerprint}");
        let key = fs::read_to_string(&file).expect("the file").contains("PRIVATE KEY");
        assert!(!key, "the key stays in memory");
        assert!(server.stop().success());
        assert!(!file.exists(), "{}", file.display());
    }
}

#[test]
fn it_serves_what_the_playground_serves() {
    for provider in TlsProvider::offered() {
        let folder = Folder::new(&format!("serves-{provider}"));
        let pair = folder.pair("a", "localhost");
        let server = pair.server(&["--tls-provider", provider.as_str()]);
        for path in ["/", "/hello"] {
            assert_eq!(pair.get(&server, path, &[]), "Hello, World!\n");
        }
        assert_eq!(pair.get(&server, "/echo", &["-d", "some text"]), "some text");
        let status = |path, method| {
            pair.get(&server, path, &["-X", method, "-o", "/dev/null", "-w", "%{http_code}"])
        };
        assert_eq!(status("/nowhere", "GET"), "404");
        assert_eq!(status("/hello", "DELETE"), "405");
        assert!(pair.get(&server, "/metrics", &[]).contains("straightline_tls_"));
        for (number, version) in [("1.2", "TLSv1.2"), ("1.3", "TLSv1.3")] {
            let agreed = pair.get(&server, "/tls", &["--tls-max", number]);
            let begin = format!("version: {version}\ncipher suite: TLS_");
            assert!(agreed.starts_with(&begin), "{provider}: {agreed}");
            let end = "\nserver name: localhost\nresumed: no\nclient certificate: none\n";
            assert!(agreed.ends_with(end), "{provider}: {agreed}");
        }
    }
}

#[test]
fn the_name_that_a_client_asks_for_chooses_the_certificate() {
    let folder = Folder::new("names");
    let (first, second) = (folder.pair("a", "localhost"), folder.pair("b", "b.example"));
    let server = first.server(&["--cert", str(&second.cert), "--key", str(&second.key)]);
    for (name, subject) in [
        ("localhost", "CN = localhost"),
        ("b.example", "CN = b.example"),
        ("c.example", "CN = localhost"),
    ] {
        let shown = s_client(&server, &["-servername", name]);
        assert!(text(&shown.stdout).contains(&format!("subject={subject}\n")), "{name}: {shown:?}");
    }
    let answer = curl_to(&server, "b.example", &second.cert, "/tls", &[]);
    assert!(text(&answer.stdout).contains("server name: b.example\n"), "{answer:?}");
    let refused = curl_to(&server, "c.example", &first.cert, "/", &[]);
    assert_eq!(refused.status.code(), Some(60), "the name is another: {refused:?}");
}

#[test]
fn old_versions_are_refused() {
    let folder = Folder::new("versions");
    let pair = folder.pair("a", "localhost");
    let server = pair.server(&[]);
    // `openssl` itself speaks 1.1 only at its lowest level.
    let old = s_client(&server, &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]);
    assert!(!old.status.success(), "{old:?}");
    assert!(text(&old.stderr).contains("SSL alert number "), "{old:?}");
    for version in ["-tls1_2", "-tls1_3"] {
        let shown = s_client(&server, &[version, "-CAfile", str(&pair.cert)]);
        assert!(text(&shown.stdout).contains("Verify return code: 0 (ok)"), "{shown:?}");
    }
    let server = pair.server(&["--min-tls", "1.3"]);
    let refused = curl_to(&server, "localhost", &pair.cert, "/", &["--tls-max", "1.2"]);
    assert_eq!(refused.status.code(), Some(35), "{refused:?}");
    assert!(pair.get(&server, "/tls", &[]).starts_with("version: TLSv1.3\n"));
}

#[test]
fn sighup_takes_a_new_pair_and_keeps_the_old_one_if_the_new_one_is_broken() {
    let folder = Folder::new("reload");
    let pair = folder.pair("a", "localhost");
    let mut server = pair.server(&[]);
    let old = fs::read(&pair.cert).expect("the certificate");
    let new = folder.pair("b", "localhost");
    // Only one of the two files is replaced.
    fs::copy(&new.cert, &pair.cert).expect("a copy");
    server.signal("HUP");
    let line = server.wait_for_stderr(str(&pair.key));
    assert!(line.contains("belong"), "{line}");
    fs::write(folder.path.join("old.crt"), old).expect("a file");
    let old = folder.path.join("old.crt");
    assert_eq!(text(&curl_to(&server, "localhost", &old, "/", &[]).stdout), "Hello, World!\n");
    fs::copy(&new.key, &pair.key).expect("a copy");
    server.signal("HUP");
    server.wait_for_stderr("TLS: the certificates are reloaded");
    assert_eq!(new.get(&server, "/", &[]), "Hello, World!\n");
    assert_eq!(curl_to(&server, "localhost", &old, "/", &[]).status.code(), Some(60));
    assert!(server.stop().success());
}

#[test]
fn client_certificates_are_asked_for_as_told() {
    for provider in TlsProvider::offered() {
        let folder = Folder::new(&format!("clients-{provider}"));
        let (pair, client) = (folder.pair("a", "localhost"), folder.client("c"));
        let flags = ["--tls-provider", provider.as_str(), "--client-ca", str(&client.roots)]
            .map(str::to_owned);
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        let with = ["--cert", str(&client.pair.cert), "--key", str(&client.pair.key)];
        let print =
            openssl(&["x509", "-in", str(&client.pair.cert), "-noout", "-fingerprint", "-sha256"]);
        let print = format!("client certificate: {}", print.split_once('=').expect("a value").1);

        let server = pair.server(&flags);
        assert!(pair.get(&server, "/tls", &with).ends_with(&print), "{provider}: {print}");
        let refused = curl_to(&server, "localhost", &pair.cert, "/", &[]);
        assert!(!refused.status.success() && refused.stdout.is_empty(), "{refused:?}");
        let foreign = ["--cert", str(&pair.cert), "--key", str(&pair.key)];
        let refused = curl_to(&server, "localhost", &pair.cert, "/", &foreign);
        assert!(!refused.status.success() && refused.stdout.is_empty(), "{refused:?}");

        let server = pair.server(&[&flags[..], &["--client-auth", "optional"]].concat());
        assert!(pair.get(&server, "/tls", &with).ends_with(&print), "{provider}: {print}");
        assert!(pair.get(&server, "/tls", &[]).ends_with("client certificate: none\n"));
    }
}

#[test]
fn http_is_redirected_and_browsers_are_told_to_stay() {
    let folder = Folder::new("redirect");
    let pair = folder.pair("a", "localhost");
    let flags = ["--redirect-from", "127.0.0.1:0", "--hsts", "1h", "--workers", "1"];
    let mut server = pair.server(&flags);
    let line = server.wait_for_stderr("which redirects");
    let rest = line.split_once("http://").expect("an address").1;
    let address = rest.split(',').next().expect("an address");
    let answer = TestClient::connect(address).get("/hello?x=1").header("host", "a").send();
    let port = server.address().rsplit(':').next().expect("a port");
    answer
        .assert_status(308)
        .assert_header("location", &format!("https://a:{port}/hello?x=1"))
        .assert_no_header("strict-transport-security");
    let answer = pair.get(&server, "/", &["-i"]).to_ascii_lowercase();
    assert!(answer.contains("\r\nstrict-transport-security: max-age=3600\r\n"), "{answer}");
    // Through the redirect to the answer, by the port that the location names.
    let url = format!("http://localhost:{}/hello", address.rsplit(':').next().expect("a port"));
    let output = curl(&["-L", "--cacert", str(&pair.cert), &url]);
    assert_eq!(text(&output.stdout), "Hello, World!\n", "{output:?}");
    assert!(server.stop().success());
}

#[test]
fn a_client_that_speaks_http_reads_what_is_wrong() {
    let folder = Folder::new("plain");
    let server = folder.pair("a", "localhost").server(&["--verbose"]);
    server.get("/").assert_status(400).assert_contains("HTTPS");
}

#[test]
fn a_signal_drains_it_and_idle_clients_do_not_hold_it() {
    let folder = Folder::new("drain");
    let pair = folder.pair("a", "localhost");
    let mut server = pair.server(&["--workers", "2"]);
    // One client has said nothing, and another one half a hello.
    let silent = TcpStream::connect(server.address()).expect("the server listens");
    let mut half = TcpStream::connect(server.address()).expect("the server listens");
    half.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01").expect("the server reads");
    // A third one has its answer, and keeps its connection.
    let mut idle = Command::new("openssl")
        .args(["s_client", "-quiet", "-connect", server.address()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl is installed");
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    idle.stdin.as_mut().expect("piped").write_all(request).expect("it reads");
    let mut begin = [0; 13];
    idle.stdout.as_mut().expect("piped").read_exact(&mut begin).expect("the server answers");
    assert_eq!(&begin, b"HTTP/1.1 200 ");
    assert!(server.stop().success());
    drop((silent, half));
    idle.wait().expect("the server has closed its connection");
}

#[test]
fn a_mistake_is_one_line_that_names_it() {
    let folder = Folder::new("mistakes");
    let (a, b) = (folder.pair("a", "localhost"), folder.pair("b", "b.example"));
    let (crt, key) = (str(&a.cert), str(&a.key));
    let empty = folder.path.join("empty.pem");
    fs::write(&empty, "").expect("a file");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let faults: &[(&[&str], &str)] = &[
        (&["--nonsense"], "--nonsense"),
        (&["--listen", "nowhere"], "nowhere"),
        (&["--listen", &taken], &taken),
        (&["--workers", "0"], "--workers"),
        (&["--cert", crt], "--key"),
        (&["--key", key], "--cert"),
        (&["--cert", crt, "--cert", str(&b.cert), "--key", key], "2 times"),
        (&["--cert", "/no/such.pem", "--key", key], "/no/such.pem"),
        (&["--cert", str(&empty), "--key", key], str(&empty)),
        (&["--cert", crt, "--key", str(&b.key)], str(&b.key)),
        (&["--cert", crt, "--key", str(&empty)], str(&empty)),
        (&["--min-tls", "1.1"], "1.1"),
        (&["--tls-provider", "openssl"], "openssl"),
        (&["--client-auth", "optional"], "--client-ca"),
        (&["--client-ca", "/no/ca.pem"], "/no/ca.pem"),
        (&["--client-ca", crt, "--client-crl", str(&empty)], str(&empty)),
        (&["--redirect-from", &taken], &taken),
        (&["--handshakes-running", "0"], "--handshakes-running"),
        (&["--hsts", "soon"], "soon"),
    ];
    for (args, about) in faults {
        // The flag may be given once, so it is left out where it is the fault.
        let listen: &[&str] =
            if args.contains(&"--listen") { &[] } else { &["--listen", "127.0.0.1:0"] };
        let output = output("https", &[listen, args].concat());
        let stderr = text(&output.stderr);
        assert!(!output.status.success(), "{args:?}");
        assert!(output.stdout.is_empty() && !stderr.contains("panicked"), "{args:?}: {stderr}");
        let told = stderr.split("\nUsage:").next().unwrap_or(&stderr);
        assert!(told.contains(about), "{args:?}: {stderr}");
    }
    // What the parser of flags does not find is one line.
    let output = output("https", &["--cert", crt, "--key", str(&b.key)]);
    assert_eq!(text(&output.stderr).lines().count(), 1, "{output:?}");
}

#[test]
fn its_help_says_what_its_defaults_are() {
    let output = output("https", &["--help"]);
    let help = text(&output.stdout);
    let provider = format!("[default: {}]", TlsProvider::default());
    for part in ["--listen", "127.0.0.1:8080", &provider, "[default: 1.2]", "SIGHUP"] {
        assert!(help.contains(part), "{part}: {help}");
    }
}

/// A folder for the files of a test.
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
}

/// A certificate that is signed with its own key.
pub(crate) struct Pair {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    name: String,
}

/// A client's certificate, and the root that has issued it.
struct Client {
    pair: Pair,
    roots: PathBuf,
}

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("https").join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder");
        Self { path }
    }

    pub(crate) fn pair(&self, file: &str, name: &str) -> Pair {
        let pair = self.files(file, name);
        let names = format!("subjectAltName=DNS:{name}");
        pair.make(&["-addext", &names, "-addext", "basicConstraints=critical,CA:FALSE"]);
        pair
    }

    fn client(&self, file: &str) -> Client {
        let root = self.files(&format!("{file}-root"), "a root");
        root.make(&["-addext", "basicConstraints=critical,CA:TRUE"]);
        let pair = self.files(file, "a client");
        let names = "subjectAltName=DNS:client";
        let issuer = ["-CA", str(&root.cert), "-CAkey", str(&root.key), "-addext", names];
        pair.make(&[&issuer[..], &["-addext", "basicConstraints=critical,CA:FALSE"]].concat());
        Client { pair, roots: root.cert }
    }

    fn files(&self, file: &str, name: &str) -> Pair {
        let path = |ending| self.path.join(format!("{file}.{ending}"));
        Pair { cert: path("crt"), key: path("key"), name: name.to_owned() }
    }
}

impl Pair {
    fn make(&self, more: &[&str]) {
        let subject = format!("/CN={}", self.name);
        let kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let files = ["-keyout", str(&self.key), "-out", str(&self.cert)];
        let begin = ["req", "-x509", "-days", "2", "-subj", &subject];
        openssl(&[&begin[..], &kind, &files, more].concat());
    }

    /// A server with this certificate.
    fn server(&self, flags: &[&str]) -> Server {
        let pair = ["--cert", str(&self.cert), "--key", str(&self.key)];
        Server::start("https", &[&pair[..], flags].concat())
    }

    /// What the server answers to a client that trusts only this certificate.
    pub(crate) fn get(&self, server: &Server, path: &str, flags: &[&str]) -> String {
        let output = curl_to(server, &self.name, &self.cert, path, flags);
        assert!(output.status.success(), "{path} {flags:?}: {output:?}");
        text(&output.stdout)
    }
}

/// Asks the server under a name of it.
pub(crate) fn curl_to(
    server: &Server,
    name: &str,
    roots: &Path,
    target: &str,
    flags: &[&str],
) -> Output {
    let port = server.address().rsplit(':').next().expect("a port");
    let (resolve, url) =
        (format!("{name}:{port}:127.0.0.1"), format!("https://{name}:{port}{target}"));
    curl(&[&["--resolve", &resolve, "--cacert", str(roots), &url], flags].concat())
}

fn curl(args: &[&str]) -> Output {
    // Without the settings and the proxies of the user.
    let mut command = Command::new("curl");
    command.args(["-q", "--noproxy", "*", "--silent", "--show-error", "--max-time", "60"]);
    command.args(args).output().expect("curl is installed")
}

fn openssl(args: &[&str]) -> String {
    let output = Command::new("openssl").args(args).output().expect("openssl is installed");
    assert!(output.status.success(), "openssl {args:?}: {output:?}");
    text(&output.stdout)
}

/// A handshake by `openssl`, which then closes.
fn s_client(server: &Server, args: &[&str]) -> Output {
    Command::new("openssl")
        .args(["s_client", "-connect", server.address()])
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("openssl is installed")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn str(path: &Path) -> &str {
    path.to_str().expect("the path of the repository is UTF-8")
}
