//! What is odd and works is a warning.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use rcgen::date_time_ymd;
use straightline_tls::{ClientAuth, TlsConfig, TlsProvider, TlsWarning, TlsWarningKind};

use crate::common::{Authority, Folder, client, meet, server};

/// The one warning.
#[track_caller]
fn only(warnings: &[TlsWarning]) -> &TlsWarning {
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    &warnings[0]
}

/// The beginning of that day.
fn day(days_since_1970: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(days_since_1970 * 24 * 60 * 60)
}

#[test]
fn a_good_certificate_gives_no_warning() {
    let config = server(TlsProvider::default(), &Authority::new("root").issue(&["a.test"]));
    assert_eq!(config.build().unwrap().warnings(), []);
}

#[test]
fn an_expired_certificate_is_served_with_a_warning_and_clients_refuse_it() {
    for &provider in TlsProvider::offered() {
        let authority = Authority::new("root");
        let pair = authority.issue_with(&["a.test"], |params| {
            params.not_after = date_time_ymd(2020, 1, 1);
        });
        let config = server(provider, &pair).build().unwrap();
        let warnings = config.warnings();
        let warning = only(&warnings);
        assert_eq!(*warning.kind(), TlsWarningKind::Expired { not_after: day(18_262) });
        assert_eq!(
            warning.to_string(),
            "the certificate chain given as bytes: the certificate expired at \
             2020-01-01T00:00:00Z (certificate for a.test)"
        );
        let connector = client(provider, &authority).build().unwrap();
        let (_, client) = meet(&config, &connector, "a.test");
        assert!(client.is_err());
    }
}

#[test]
fn the_first_end_of_several_certificates_is_told() {
    let authority = Authority::new("root");
    let until = |year| {
        authority.issue_with(&["a.test"], |params| params.not_after = date_time_ymd(year, 1, 1))
    };
    let (later, sooner) = (until(3001), until(3000));
    let config = server(TlsProvider::default(), &later).certificate_pem(sooner.chain, sooner.key);
    assert_eq!(config.build().unwrap().not_after(), Some(day(376_200)));
}

#[test]
fn a_certificate_that_is_not_valid_yet_gives_a_warning() {
    let pair = Authority::new("root").issue_with(&["a.test"], |params| {
        params.not_before = date_time_ymd(3000, 1, 1);
    });
    let config = server(TlsProvider::default(), &pair).build().unwrap();
    let warnings = config.warnings();
    let kind = only(&warnings).kind();
    assert_eq!(*kind, TlsWarningKind::NotYetValid { not_before: day(376_200) });
}

#[test]
fn a_certificate_without_names_gives_a_warning() {
    let pair = Authority::new("root").issue(&[]);
    let config = server(TlsProvider::default(), &pair).build().unwrap();
    assert_eq!(*only(&config.warnings()).kind(), TlsWarningKind::NoNames);
}

#[test]
fn a_name_of_two_certificates_gives_a_warning() {
    let authority = Authority::new("root");
    let other = authority.issue(&["b.test", "a.test"]);
    let config = server(TlsProvider::default(), &authority.issue(&["a.test"]));
    let config = config.certificate_pem(other.chain, other.key).build().unwrap();
    let warnings = config.warnings();
    let warning = only(&warnings);
    assert_eq!(*warning.kind(), TlsWarningKind::NameTaken { name: "a.test".into() });
    assert_eq!(warning.names().collect::<Vec<_>>(), ["b.test", "a.test"]);
}

#[test]
fn a_chain_with_a_stranger_gives_a_warning() {
    let (authority, stranger) = (Authority::new("root"), Authority::new("stranger"));
    let mut pair = authority.issue(&["a.test"]);
    pair.chain.push_str(&authority.pem());
    assert!(server(TlsProvider::default(), &pair).build().unwrap().warnings().is_empty());
    pair.chain.push_str(&stranger.pem());
    let config = server(TlsProvider::default(), &pair).build().unwrap();
    assert_eq!(*only(&config.warnings()).kind(), TlsWarningKind::ChainBroken { number: 2 });
}

#[test]
fn a_key_that_others_may_read_gives_a_warning() {
    let folder = Folder::new();
    let pair = Authority::new("root").issue(&["a.test"]);
    let chain = folder.write("chain.pem", pair.chain);
    let key = folder.write("key.pem", pair.key);
    let config = TlsConfig::builder().certificate_files(&chain, &key).build().unwrap();
    assert!(config.warnings().is_empty());
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    config.reload().unwrap();
    let warnings = config.warnings();
    let warning = only(&warnings);
    assert_eq!(*warning.kind(), TlsWarningKind::KeyReadableByOthers);
    assert_eq!(warning.path(), Some(&*key));
}

#[test]
fn a_revocation_list_that_is_overdue_gives_a_warning() {
    let authority = Authority::new("root");
    let list = authority.revoke(&rcgen::SerialNumber::from(7), 2021);
    let config = server(TlsProvider::default(), &authority.issue(&["a.test"]))
        .client_auth(ClientAuth::Required)
        .client_roots_pem(authority.pem())
        .client_revocation_pem(list)
        .build()
        .unwrap();
    let kind = TlsWarningKind::RevocationListStale { next_update: day(18_628) };
    assert_eq!(*only(&config.warnings()).kind(), kind);
}
