//! The certificate is chosen by the name that the client asks for.

use straightline_tls::{TlsConfig, TlsConnector, TlsProvider};

use crate::common::{Authority, client, meet, name_of_peer, server};

/// A server with a default certificate, two others, and one for a wildcard.
fn several(provider: TlsProvider, authority: &Authority) -> TlsConfig {
    let mut builder = server(provider, &authority.issue(&["default.test", "127.0.0.1"]));
    for names in [&["one.test", "Both.test"][..], &["two.test", "both.test"], &["*.many.test"]] {
        let pair = authority.issue(names);
        builder = builder.certificate_pem(pair.chain, pair.key);
    }
    builder.build().unwrap()
}

fn shown(config: &TlsConfig, connector: &TlsConnector, asked: &str) -> Option<String> {
    let (server, client) = meet(config, connector, asked);
    // The server's handshake may end with the client's alert.
    drop(server);
    client.ok().map(|info| name_of_peer(&info))
}

#[test]
fn each_name_gets_its_certificate() {
    for &provider in TlsProvider::offered() {
        let authority = Authority::new("root");
        let config = several(provider, &authority);
        let connector = client(provider, &authority).build().unwrap();
        let shown = |asked| shown(&config, &connector, asked);
        assert_eq!(shown("default.test").as_deref(), Some("default.test"));
        assert_eq!(shown("one.test").as_deref(), Some("one.test"));
        assert_eq!(shown("TWO.test").as_deref(), Some("two.test"));
        assert_eq!(shown("a.many.test").as_deref(), Some("*.many.test"));
        // Two certificates have it: the first one is chosen.
        assert_eq!(shown("both.test").as_deref(), Some("one.test"));
        assert_eq!(config.sni_misses(), 0);
    }
}

#[test]
fn an_unknown_name_is_counted_and_gets_the_default() {
    for &provider in TlsProvider::offered() {
        let authority = Authority::new("root");
        let config = several(provider, &authority);
        let connector = client(provider, &authority).build().unwrap();
        // The client refuses the default certificate.
        assert_eq!(shown(&config, &connector, "unknown.test"), None);
        assert_eq!(config.sni_misses(), 1);
        // A wildcard stands for one label.
        assert_eq!(shown(&config, &connector, "a.b.many.test"), None);
        assert_eq!(shown(&config, &connector, "many.test"), None);
        assert_eq!(config.sni_misses(), 3);
        config.reload().unwrap();
        assert_eq!(config.sni_misses(), 3);
    }
}

#[test]
fn an_address_is_no_name_and_gets_the_default() {
    for &provider in TlsProvider::offered() {
        let authority = Authority::new("root");
        let config = several(provider, &authority);
        let connector = client(provider, &authority).build().unwrap();
        assert_eq!(shown(&config, &connector, "127.0.0.1").as_deref(), Some("default.test"));
        assert_eq!(config.sni_misses(), 0);
    }
}

#[test]
fn a_name_matches_in_any_case_and_with_the_final_dot() {
    let config = several(TlsProvider::default(), &Authority::new("root"));
    for name in ["default.test", "DEFAULT.test", "one.test.", "x.many.test"] {
        assert!(config.matches(name), "{name}");
    }
    for name in ["", ".", "test", "many.test", ".many.test.x", "a.b.many.test", "127.0.0.1"] {
        assert!(!config.matches(name), "{name}");
    }
}
