//! The settings of the sample `service`: which value wins, what is refused and how that is said,
//! and that no output has a secret.

use std::fs;
use std::io::{BufRead, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use straightline::testing::Client;

use super::{Folder, TOKEN, admin_of, authorized, service};
use crate::servers::{Server, binary};

/// `--check-config` with a file, variables and flags.
fn check(file: &str, variables: &[(&str, &str)], flags: &[&str]) -> Output {
    let mut command = Command::new(binary("service"));
    command.args(["--check-config", "--config", file]).args(flags);
    command.envs(variables.iter().copied()).output().expect("the example is built")
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// The lines on stderr of a start that is refused, each without the name of the program.
fn faults(output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.stderr.clone()).expect("text");
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    assert!(!text.contains("panicked"), "{text}");
    let line = |line: &str| line.strip_prefix("service: ").expect("the name").to_owned();
    text.lines().map(line).collect()
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file_and_that_over_the_default() {
    let folder = Folder::new();
    let file = folder.file(
        "a.toml",
        "# a comment\nworkers = 1\nready-delay = \"1s\"\ndrain-timeout = \"1s\"\n\
         proxy-protocol = [\"10.0.0.0/8\", \"192.0.2.1\"]\n",
    );
    let variables = [("SERVICE_READY_DELAY", "2s"), ("SERVICE_DRAIN_TIMEOUT", "2s")];
    let text = stdout(&check(&file, &variables, &["--drain-timeout", "3s"]));
    for line in [
        "listen = 127.0.0.1:8080 (default)".to_owned(),
        "admin = none (default)".to_owned(),
        format!("workers = 1 ({file}:2)"),
        "ready-delay = 2s (SERVICE_READY_DELAY)".to_owned(),
        "drain-timeout = 3s (--drain-timeout)".to_owned(),
        format!("proxy-protocol = 10.0.0.0/8, 192.0.2.1 ({file}:5)"),
    ] {
        assert!(text.lines().any(|found| found == line), "no {line}: {text}");
    }
    let lists = [("SERVICE_PROXY_PROTOCOL", "10.0.0.0/8, 192.0.2.1")];
    let text = stdout(&check(&file, &lists, &[]));
    assert!(text.contains("proxy-protocol = 10.0.0.0/8, 192.0.2.1 (SERVICE_PROXY_PROTOCOL)\n"));
    let flags = ["--proxy-protocol", "10.0.0.0/8", "--proxy-protocol", "192.0.2.1"];
    let text = stdout(&check(&file, &lists, &flags));
    assert!(text.contains("proxy-protocol = 10.0.0.0/8, 192.0.2.1 (--proxy-protocol)\n"));
    let by_variable = Command::new(binary("service"))
        .arg("--check-config")
        .env("SERVICE_CONFIG", &file)
        .output()
        .expect("the example is built");
    assert!(stdout(&by_variable).contains(&format!("workers = 1 ({file}:2)\n")));
}

#[test]
fn the_start_says_each_setting_in_a_line_of_the_log() {
    let mut server = Server::start("service", &["--workers", "1"]);
    for line in ["listen = 127.0.0.1:0 (--listen)", "workers = 1 (--workers)", "log-level = info"] {
        server.wait_for_stderr(line);
    }
    server.wait_for_stderr("there is no token");
}

#[test]
fn all_that_is_wrong_is_said_at_once_with_its_origin() {
    let folder = Folder::new();
    let file = folder.file(
        "a.toml",
        "lissten = \"127.0.0.1:1\"\nworkers = \"two\"\ndatabase = true\nhandler-timeout = 5\n\
         [tls]\ncert = \"a.pem\"\n",
    );
    let variables = [
        ("SERVICE_BODY_BYTES", "-1"),
        ("SERVICE_LOG_LEVEL", "loud"),
        ("SERVICE_TYPO", "1"),
        ("SERVICE_TOKEN", "too short"),
        ("SERVICE_TOKEN_FILE", "/nowhere/token"),
    ];
    let flags = ["--listen", "nowhere", "--proxy-protocol", "10.0.0.1/8", "--tls-cert", "a.pem"];
    let found = faults(&check(&file, &variables, &flags));
    let expected = [
        format!("{file}:1: lissten: there is no such setting"),
        format!("{file}:2: workers: \"two\": wanted is a number of threads, at least 1"),
        format!("{file}:3: database: wanted is a text or a number"),
        format!("{file}:4: handler-timeout: \"5\": wanted is a time with a unit"),
        format!("{file}:5: tls: there is no such setting"),
        "SERVICE_BODY_BYTES: \"-1\": wanted is a whole number".to_owned(),
        "SERVICE_LOG_LEVEL: \"loud\": wanted is error, warning".to_owned(),
        "SERVICE_TYPO: there is no such setting".to_owned(),
        "SERVICE_TOKEN: wanted are at least 16 printable characters".to_owned(),
        "SERVICE_TOKEN_FILE: there is a token already, by SERVICE_TOKEN".to_owned(),
        "--listen: \"nowhere\" is not an address".to_owned(),
        "--proxy-protocol: \"10.0.0.1/8\" is not a network".to_owned(),
        "--tls-cert: tls-key is missing".to_owned(),
    ];
    for fault in &expected {
        assert!(found.iter().any(|found| found.starts_with(fault)), "no {fault}: {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    let folder = Folder::new();
    let no_toml = folder.file("no.toml", "listen = \"127.0.0.1:0\"\nworkers 1\n");
    let twice = folder.file("twice.toml", "workers = 1\n\nworkers = 2\n");
    let empty = folder.file("empty", "");
    let (missing, folder_path) = (folder.path("missing"), folder.path(""));
    let cases: &[(&str, &[&str], String)] = &[
        (&missing, &[], format!("{missing}: No such file")),
        (&folder_path, &[], format!("{folder_path}: Is a directory")),
        (&no_toml, &[], format!("{no_toml}:2: ")),
        (&twice, &[], format!("{twice}:3: ")),
        (&empty, &["--token-file", &missing], format!("--token-file: {missing}: No such file")),
        (&empty, &["--token-file", &empty], format!("--token-file: {empty}: wanted are")),
        (&empty, &["--tls-key", &empty], "--tls-key: tls-cert is missing".to_owned()),
        (&empty, &["--tls-cert", &empty, "--tls-key", &empty], format!("--tls-cert: {empty}")),
    ];
    for (file, flags, expected) in cases {
        let found = faults(&check(file, &[], flags));
        assert!(found[0].starts_with(expected), "{expected}: {found:?}");
        assert_eq!(found.len(), 1, "{found:?}");
    }
}

#[test]
fn a_database_or_a_log_that_cannot_be_opened_ends_the_start() {
    let folder = Folder::new();
    let text = folder.file("text", &"no database, but a text of some length\n".repeat(100));
    let newer = folder.path("newer.db");
    let database = rusqlite::Connection::open(&newer).expect("a database");
    database.pragma_update(None, "user_version", 1000).expect("it is written");
    drop(database);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().expect("it is bound").to_string();
    for (flag, value) in [
        ("--database", &*text),
        ("--database", &*newer),
        ("--database", &*folder.path("")),
        ("--database", "/proc/notes.db"),
        ("--access-log", "/nowhere/access.log"),
        ("--admin", &*taken),
    ] {
        let output = service().args(["--listen", "127.0.0.1:0", flag, value]).output();
        let found = faults(&output.expect("the example is built"));
        assert!(found.len() == 1 && found[0].contains(value), "{flag} {value}: {found:?}");
    }
}

#[test]
fn no_output_has_the_secret() {
    let folder = Folder::new();
    let log = folder.path("access.log");
    let (config, token) = (
        folder.file("a.toml", &format!("token = \"{TOKEN}\"\n")),
        folder.file("token", &format!("{TOKEN}\n")),
    );
    let sources: [(&str, &[&str]); 3] =
        [("SERVICE_TOKEN", &[]), ("", &["--config", &config]), ("", &["--token-file", &token])];
    for (variable, flags) in sources {
        let mut command = Command::new(binary("service"));
        if !variable.is_empty() {
            command.env(variable, TOKEN);
        }
        let more = ["--admin", "127.0.0.1:0", "--log-level", "trace", "--access-log", &log];
        let mut server = Server::start_by(&mut command, &[flags, &more].concat());
        let admin = admin_of(&mut server);
        let client = server.client();
        let created = super::post(&client, "a").send();
        created.assert_status(201);
        authorized(client.post("/notes")).body("no JSON").send().assert_status(415);
        let admin = Client::connect(admin);
        let mut seen: String = ["/settings", "/metrics", "/fibers?backtraces=10"]
            .map(|path| admin.get(path).send().text().to_owned())
            .concat();
        let mut stderr = server.stderr.take().expect("it is read");
        for (signal, answer) in [("HUP", "SIGHUP: "), ("QUIT", "fiber `acceptor`")] {
            server.signal(signal);
            while !seen.contains(answer) {
                assert!(stderr.read_line(&mut seen).expect("text") > 0, "no {answer}: {seen}");
            }
        }
        assert!(server.stop().success());
        stderr.read_to_string(&mut seen).expect("text");
        server.stdout.read_to_string(&mut seen).expect("text");
        seen += created.text();
        seen += &fs::read_to_string(&log).expect("the log");
        assert!(seen.contains("/notes") && !seen.contains(TOKEN), "{variable} {flags:?}");

        let mut command = Command::new(binary("service"));
        command.arg("--check-config").args(flags);
        if !variable.is_empty() {
            command.env(variable, TOKEN);
        }
        let text = stdout(&command.output().expect("the example is built"));
        assert!(!text.contains(TOKEN), "{text}");
        assert!(flags.contains(&"--token-file") || text.contains("\ntoken = *** ("), "{text}");
    }
    // There is no flag for it, and the message about that does not repeat it.
    let in_one = format!("--token={TOKEN}");
    for flags in [&["--token", TOKEN][..], &[in_one.as_str()]] {
        let output = service().args(flags).output().expect("the example is built");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains("--token"), "{text}");
        assert!(!text.contains(TOKEN), "{text}");
    }
    // A mistake in the line of a secret, or in the secret, does not show it.
    let mistakes = [
        format!("token = {TOKEN}\n"),
        format!("token = \"{TOKEN}\n"),
        format!("token = [\"{TOKEN}\"]\n"),
        format!("token = \"{TOKEN} ä\"\n"),
    ];
    for text in mistakes {
        let output = check(&folder.file("b.toml", &text), &[], &[]);
        let found = faults(&output).concat();
        assert!(found.contains("b.toml:1: ") && !found.contains(TOKEN), "{found}");
    }
}

#[test]
fn the_file_beside_it_has_each_setting_with_its_default() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("service/service.toml");
    let text = fs::read_to_string(path).expect("the file");
    let settings = text.lines().filter_map(|line| line.strip_prefix("# "));
    let rows: Vec<_> = settings.filter(|line| line.contains(" = ")).collect();
    let defaults = Command::new(binary("service")).arg("--check-config").output();
    let defaults = stdout(&defaults.expect("the example is built"));
    for line in defaults.lines() {
        let (name, rest) = line.split_once(" = ").expect("a setting");
        let row = rows.iter().find(|row| row.starts_with(&format!("{name} = ")));
        let row = row.unwrap_or_else(|| panic!("no {name}"));
        let default = rest.strip_suffix(" (default)").expect("nothing is given");
        let value = row.split_once(" = ").expect("a value").1.replace('"', "");
        assert!(default == "none" || value.starts_with(default), "{line}: {row}");
    }
    assert_eq!(rows.len(), defaults.lines().count());
    // As it is, and with all of it, but for the files that are not there, and the second token.
    let folder = Folder::new();
    let file = folder.file("as-is.toml", &text);
    assert_eq!(stdout(&check(&file, &[], &[])), defaults);
    let given: Vec<_> = rows
        .iter()
        .filter(|row| !row.starts_with("tls-") && !row.starts_with("token-file"))
        .copied()
        .collect();
    let file = folder.file("all.toml", &given.join("\n"));
    assert_eq!(stdout(&check(&file, &[], &[])).matches("(default)").count(), 3);
}

#[test]
fn the_settings_of_the_files_for_deployment_are_valid() {
    let folder = Folder::new();
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    let read = |name: &str| fs::read_to_string(deploy.join(name)).expect("a file");
    let manifest = read("kubernetes/config.yaml");
    let (_, in_manifest) = manifest.split_once("  service.toml: |\n").expect("the settings");
    let in_manifest: String =
        in_manifest.lines().map(|line| line.trim_start().to_owned() + "\n").collect();
    let token = folder.file("token", TOKEN);
    let in_manifest = in_manifest.replace("/run/secrets/app/token", &token);
    for text in [read("systemd/service.toml"), read("docker/service.toml"), in_manifest] {
        let checked = stdout(&check(&folder.file("a.toml", &text), &[], &[]));
        assert!(checked.contains("\naccess-log = - ("), "{checked}");
    }
}
