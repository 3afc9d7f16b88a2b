//! Addresses: TCP and Unix sockets, several hosts, TLS, and messages that name what failed.

use std::path::Path;

use straightline_db::postgres::{Postgres, tokio_postgres::Config};
use straightline_db::{Error, Manager};

use crate::server::{Server, on_a_shard, pool, process};

/// A port of the loopback interface that refuses connections as long as this lives: its socket is
/// bound, and does not listen.
fn refusing() -> (socket2::Socket, u16) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    (socket, port)
}

#[test]
#[ignore = "needs PostgreSQL: scripts/test --services"]
fn a_host_that_refuses_is_named_and_the_next_one_is_tried() {
    let server = Server::start_on_a_port(|_: &Path| Vec::new());
    let port = server.port();
    let (_socket, refusing) = refusing();
    on_a_shard(move || {
        let url = format!("postgres://tester@127.0.0.1:{port}/postgres?sslmode=prefer");
        process(&*pool(Postgres::new(&url)?, 1).get()?)?;
        let by_name = format!("host=localhost port={port} user=tester dbname=postgres");
        process(&*pool(Postgres::new(&by_name)?, 1).get()?)?;
        let two = format!("postgres://tester@127.0.0.1:{refusing},127.0.0.1:{port}/postgres");
        process(&*pool(Postgres::new(&two)?, 1).get()?)?;
        for (attributes, is_met) in [("read-write", true), ("read-only", false)] {
            let url = format!("{url}&target_session_attrs={attributes}&load_balance_hosts=random");
            let got = pool(Postgres::new(&url)?, 1).get().map(drop);
            assert_eq!(got.is_ok(), is_met, "{attributes}: {got:?}");
        }
        let wrong = [
            (format!("postgres://tester@127.0.0.1:{refusing}/postgres"), "refused"),
            (format!("postgres://tester@127.0.0.1:{port}/nothing"), "does not exist"),
        ];
        for (url, why) in wrong {
            let pool = pool(Postgres::new(&url)?, 1);
            let error = pool.get().unwrap_err();
            assert!(matches!(error, Error::Connect { .. }) && error.is_unavailable(), "{error:?}");
            let text = error.to_string();
            assert!(text.contains(why) && text.contains("127.0.0.1:"), "{text}");
            assert!(text.contains(&pool.manager().address()), "{text}");
            assert_eq!((pool.stats().connect_failures, pool.stats().created), (1, 0));
        }
        Ok(())
    });
}

#[test]
fn an_address_that_cannot_be_used_is_an_error_without_its_password() {
    let cases = [
        ("", "names no host"),
        ("mysql://a:secret@b", "cannot be read"),
        ("host=a user=u password=secret nonsense=1", "nonsense"),
        ("postgres://a:secret@b/?sslmode=require", "asks for TLS"),
        ("postgres://a:secret@b/?sslmode=verify-full", "asks for TLS"),
    ];
    for (address, why) in cases {
        let error = Postgres::new(address).unwrap_err().to_string();
        assert!(error.contains(why) && !error.contains("secret"), "{address}: {error}");
    }
    let mut config = Config::new();
    config.host("db").user("a").password("secret");
    let postgres = Postgres::builder_from(config).build().unwrap();
    assert!(!format!("{postgres:?}").contains("secret"));
}

#[cfg(all(feature = "tls", any(feature = "tls-aws-lc", feature = "tls-mbedtls")))]
mod with_tls {
    use std::fs;
    use std::path::PathBuf;
    use std::process::{Command, Stdio};

    use straightline_tls::TlsConnector;

    use super::*;

    /// A certificate for the name `localhost`, made by OpenSSL. Returns the settings of a server.
    fn certificate(folder: &Path) -> Vec<String> {
        let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let (key, certificate) = (path("server.key"), path("server.crt"));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-nodes", "-newkey", "ec", "-days", "2"])
            .args(["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=localhost"])
            .args(["-addext", "subjectAltName=DNS:localhost"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .args(["-keyout", &key, "-out", &certificate])
            .stderr(Stdio::null())
            .status();
        assert!(made.expect("the package openssl").success());
        for file in [&key, &certificate] {
            crate::postgres_server::give(Path::new(file));
        }
        let settings = ["ssl=on".to_owned(), format!("ssl_key_file={key}")];
        settings.into_iter().chain([format!("ssl_cert_file={certificate}")]).collect()
    }

    #[test]
    #[ignore = "needs PostgreSQL: scripts/test --services"]
    fn tls_is_used_and_the_certificate_is_checked() {
        let mut root = PathBuf::new();
        let server = Server::start_on_a_port(|folder| {
            root = folder.join("server.crt");
            certificate(folder)
        });
        let port = server.port();
        let pem = fs::read(&root).unwrap();
        let connector = TlsConnector::builder().roots_pem(pem).build().unwrap();
        let url = move |host, mode| {
            format!("postgres://tester@{host}:{port}/postgres?sslmode={mode}&hostaddr=127.0.0.1")
        };
        let secure = move |url: String| Postgres::builder(&url).tls(connector.clone()).build();
        on_a_shard(move || {
            let is_tls = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
            let modes =
                [("disable", false), ("prefer", true), ("require", true), ("verify-full", true)];
            for (mode, expected) in modes {
                let client = pool(secure(url("localhost", mode))?, 1).get()?;
                let row = client.query_one(is_tls, &[])?;
                assert_eq!(row.get::<_, bool>(0), expected, "{mode}");
            }
            // A name that the certificate does not have: also with `prefer` it is an error.
            for mode in ["prefer", "require"] {
                let error = pool(secure(url("elsewhere", mode))?, 1).get().unwrap_err();
                assert!(error.to_string().contains("elsewhere"), "{error}");
                assert!(matches!(error, Error::Connect { .. }), "{error:?}");
            }
            cancel_over_tls(secure(url("localhost", "require"))?)
        });
    }

    /// SCRAM is the password method that a server asks for by default.
    #[test]
    #[ignore = "needs PostgreSQL: scripts/test --services"]
    fn a_password_is_proved_by_scram() {
        let mut root = PathBuf::new();
        let server = Server::start_on_a_port(|folder| {
            let rules = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
            fs::write(folder.join("data/pg_hba.conf"), rules).unwrap();
            root = folder.join("server.crt");
            certificate(folder)
        });
        let port = server.port();
        let connector =
            TlsConnector::builder().roots_pem(fs::read(&root).unwrap()).build().unwrap();
        let local = format!("{} port={port}", server.address());
        on_a_shard(move || {
            let _server = server;
            let role = "CREATE ROLE ann LOGIN PASSWORD 'open sesame'";
            pool(Postgres::new(&local)?, 1).get()?.batch_execute(role)?;
            let ask = |password: &str, mode: &str| {
                let host = "localhost";
                let url = format!(
                    "postgres://ann:{password}@{host}:{port}/postgres\
                     ?sslmode={mode}&hostaddr=127.0.0.1"
                );
                let postgres = Postgres::builder(&url).tls(connector.clone()).build()?;
                let row = pool(postgres, 1).get()?.query_one("SELECT current_user::text", &[])?;
                Ok::<String, Error>(row.get(0))
            };
            for mode in ["disable", "require"] {
                assert_eq!(ask("open%20sesame", mode)?, "ann", "{mode}");
                let error = ask("wrong%20word", mode).unwrap_err();
                assert!(matches!(error, Error::Connect { .. }), "{error:?}");
                assert!(error.to_string().contains("password authentication failed"), "{error}");
                assert!(!error.to_string().contains("wrong word"), "{error}");
            }
            Ok(())
        });
    }

    fn cancel_over_tls(postgres: Postgres) -> Result<(), Error> {
        let (busy, watcher) = (pool(postgres.clone(), 1), pool(postgres, 1));
        let watcher = watcher.get()?;
        let late = straightline_sched::deadline(std::time::Duration::from_millis(300), || {
            busy.get()?.batch_execute("SELECT pg_sleep(600), 'secure'")
        });
        assert!(late.is_err());
        crate::server::eventually("it is gone", || {
            crate::server::running(&watcher, "'secure'").unwrap() == 0
        });
        crate::server::eventually("it is counted", || busy.stats().aborts == 1);
        Ok(())
    }
}
