//! Sessions are resumed with tickets, as long as nothing changed that they were checked with.

use straightline_tls::{ClientAuth, TlsConfig, TlsConnector, TlsProvider};

use crate::common::{Authority, client, meet, server};

/// Whether a connection resumes a session; both sides must say the same.
#[track_caller]
fn resumes(config: &TlsConfig, connector: &TlsConnector) -> bool {
    let (server, client) = meet(config, connector, "a.test");
    let (server, client) = (server.unwrap(), client.unwrap());
    assert_eq!(server.is_resumed(), client.is_resumed());
    server.is_resumed()
}

#[test]
fn a_second_connection_resumes_the_session_also_after_a_reload() {
    for &provider in TlsProvider::offered() {
        let authority = Authority::new("root");
        let config = server(provider, &authority.issue(&["a.test"])).build().unwrap();
        let connector = client(provider, &authority).build().unwrap();
        assert!(!resumes(&config, &connector));
        assert!(resumes(&config, &connector));
        config.reload().unwrap();
        assert!(resumes(&config, &connector));
    }
}

#[test]
fn without_tickets_no_session_is_resumed() {
    for &provider in TlsProvider::offered() {
        let authority = Authority::new("root");
        let builder = server(provider, &authority.issue(&["a.test"]));
        let config = builder.session_tickets(false).build().unwrap();
        let connector = client(provider, &authority).build().unwrap();
        assert!(!resumes(&config, &connector));
        assert!(!resumes(&config, &connector));
    }
}

#[test]
fn tickets_of_another_configuration_are_not_accepted() {
    for &provider in TlsProvider::offered() {
        let authority = Authority::new("root");
        let pair = authority.issue(&["a.test"]);
        let (one, other) = (server(provider, &pair), server(provider, &pair));
        let connector = client(provider, &authority).build().unwrap();
        assert!(!resumes(&one.build().unwrap(), &connector));
        assert!(!resumes(&other.build().unwrap(), &connector));
    }
}

#[test]
fn a_reload_ends_the_sessions_of_clients_with_certificates() {
    for &provider in TlsProvider::offered() {
        let authority = Authority::new("root");
        let config = server(provider, &authority.issue(&["a.test"]))
            .client_auth(ClientAuth::Required)
            .client_roots_pem(authority.pem())
            .build()
            .unwrap();
        let pair = authority.issue(&["client.test"]);
        let trusting = client(provider, &authority);
        let connector = trusting.certificate_pem(pair.chain, pair.key).build().unwrap();
        assert!(!resumes(&config, &connector));
        assert!(resumes(&config, &connector));
        config.reload().unwrap();
        assert!(!resumes(&config, &connector));
        assert!(resumes(&config, &connector));
    }
}
