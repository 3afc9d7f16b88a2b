//! A reload takes all of the new files, or none.

use straightline_tls::{TlsConfig, TlsConfigErrorKind, TlsConnector, TlsProvider};

use crate::common::{Authority, Folder, client, meet, name_of_peer};

/// The name that the server shows.
fn shown(config: &TlsConfig, connector: &TlsConnector, asked: &str) -> String {
    let (server, client) = meet(config, connector, asked);
    server.unwrap();
    name_of_peer(&client.unwrap())
}

#[test]
fn a_half_written_pair_keeps_the_old_one_until_the_pair_is_whole() {
    for &provider in TlsProvider::offered() {
        let (folder, authority) = (Folder::new(), Authority::new("root"));
        let (old, new) =
            (authority.issue(&["old.test", "a.test"]), authority.issue(&["new.test", "a.test"]));
        let chain = folder.write("chain.pem", &old.chain);
        let key = folder.write("key.pem", &old.key);
        let builder = TlsConfig::builder().provider(provider).certificate_files(&chain, &key);
        let config = builder.build().unwrap();
        let connector = client(provider, &authority).build().unwrap();
        assert_eq!(shown(&config, &connector, "a.test"), "old.test");

        folder.write("chain.pem", &new.chain);
        let error = config.reload().unwrap_err();
        assert_eq!(error.kind(), TlsConfigErrorKind::KeyMismatch);
        assert_eq!(shown(&config, &connector, "a.test"), "old.test");

        folder.write("key.pem", &new.key[..new.key.len() / 2]);
        let error = config.reload().unwrap_err();
        assert_eq!(error.kind(), TlsConfigErrorKind::NotPem);
        assert!(config.matches("old.test") && !config.matches("new.test"));

        folder.write("key.pem", &new.key);
        config.reload().unwrap();
        let fresh = client(provider, &authority).build().unwrap();
        assert_eq!(shown(&config, &fresh, "a.test"), "new.test");
        assert!(!config.matches("old.test") && config.matches("new.test"));
    }
}

#[test]
fn a_clone_is_the_same_configuration() {
    let (folder, authority) = (Folder::new(), Authority::new("root"));
    let (old, new) = (authority.issue(&["old.test"]), authority.issue(&["new.test"]));
    let path = folder.write("both.pem", format!("{}{}", old.chain, old.key));
    let config = TlsConfig::builder().certificate_files(&path, &path).build().unwrap();
    let clone = config.clone();
    folder.write("both.pem", format!("{}{}", new.chain, new.key));
    clone.reload().unwrap();
    assert!(config.matches("new.test"));
}

#[test]
fn one_bad_certificate_among_several_keeps_all_old_ones() {
    let (folder, authority) = (Folder::new(), Authority::new("root"));
    let write = |file: &str, name: &str| {
        let pair = authority.issue(&[name]);
        folder.write(file, format!("{}{}", pair.chain, pair.key))
    };
    let (a, b) = (write("a.pem", "a.test"), write("b.pem", "b.test"));
    let builder = TlsConfig::builder().certificate_files(&a, &a).certificate_files(&b, &b);
    let config = builder.build().unwrap();
    write("a.pem", "new.test");
    std::fs::remove_file(&b).unwrap();
    let error = config.reload().unwrap_err();
    assert_eq!(error.path(), Some(&*b));
    assert!(config.matches("a.test") && !config.matches("new.test"));
}
