//! Servers check the certificates of clients.

use rcgen::SerialNumber;
use straightline_tls::{
    ClientAuth, HandshakeError, HandshakeFailure, TlsConfigBuilder, TlsProvider,
};

use crate::common::{Authority, Pair, Side, client, meet, name_of_peer, server};

fn asking(provider: TlsProvider, authority: &Authority, auth: ClientAuth) -> TlsConfigBuilder {
    server(provider, &authority.issue(&["a.test"]))
        .client_auth(auth)
        .client_roots_pem(authority.pem())
}

#[track_caller]
fn failure(side: Side) -> HandshakeFailure {
    let error = side.unwrap_err();
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<HandshakeError>());
    inner.unwrap_or_else(|| panic!("{error:?}")).failure()
}

#[test]
fn an_accepted_certificate_reaches_the_server() {
    for &provider in TlsProvider::offered() {
        let authority = Authority::new("root");
        let pair = authority.issue(&["client.test"]);
        let trusting = client(provider, &authority);
        let connector = trusting.certificate_pem(pair.chain, pair.key).build().unwrap();
        for auth in [ClientAuth::Optional, ClientAuth::Required] {
            let config = asking(provider, &authority, auth).build().unwrap();
            let (server, client) = meet(&config, &connector, "a.test");
            client.unwrap();
            assert_eq!(name_of_peer(&server.unwrap()), "client.test");
        }
    }
}

#[test]
fn a_client_without_a_certificate_is_refused_only_if_one_is_required() {
    for &provider in TlsProvider::offered() {
        let authority = Authority::new("root");
        let connector = client(provider, &authority).build().unwrap();
        let config = asking(provider, &authority, ClientAuth::Optional).build().unwrap();
        let (server, client) = meet(&config, &connector, "a.test");
        client.unwrap();
        assert!(server.unwrap().peer_certificates().is_empty());
        let config = asking(provider, &authority, ClientAuth::Required).build().unwrap();
        let (server, client) = meet(&config, &connector, "a.test");
        assert_eq!(failure(server), HandshakeFailure::NoClientCertificate);
        assert!(client.is_err());
    }
}

#[test]
fn a_certificate_of_another_authority_is_refused() {
    for &provider in TlsProvider::offered() {
        let (authority, stranger) = (Authority::new("root"), Authority::new("stranger"));
        let pair = stranger.issue(&["client.test"]);
        let trusting = client(provider, &authority);
        let connector = trusting.certificate_pem(pair.chain, pair.key).build().unwrap();
        for auth in [ClientAuth::Optional, ClientAuth::Required] {
            let config = asking(provider, &authority, auth).build().unwrap();
            let (server, _) = meet(&config, &connector, "a.test");
            assert_eq!(failure(server), HandshakeFailure::BadCertificate);
        }
    }
}

fn numbered(authority: &Authority, serial: &SerialNumber) -> Pair {
    authority.issue_with(&["client.test"], |params| params.serial_number = Some(serial.clone()))
}

#[test]
fn a_revoked_certificate_is_refused_and_another_one_is_not() {
    for &provider in TlsProvider::offered() {
        let authority = Authority::new("root");
        let revoked = SerialNumber::from(7);
        let list = authority.revoke(&revoked, 4000);
        let asking = asking(provider, &authority, ClientAuth::Required);
        let config = asking.client_revocation_pem(list).build().unwrap();
        for (serial, is_accepted) in [(revoked, false), (SerialNumber::from(8), true)] {
            let pair = numbered(&authority, &serial);
            let trusting = client(provider, &authority);
            let connector = trusting.certificate_pem(pair.chain, pair.key).build().unwrap();
            let (server, _) = meet(&config, &connector, "a.test");
            if is_accepted {
                server.unwrap();
            } else {
                assert_eq!(failure(server), HandshakeFailure::BadCertificate);
            }
        }
    }
}

#[test]
fn nobody_is_accepted_by_a_revocation_list_that_is_overdue() {
    for &provider in TlsProvider::offered() {
        let authority = Authority::new("root");
        let list = authority.revoke(&SerialNumber::from(7), 2021);
        let asking = asking(provider, &authority, ClientAuth::Required);
        let config = asking.client_revocation_pem(list).build().unwrap();
        let pair = numbered(&authority, &SerialNumber::from(8));
        let trusting = client(provider, &authority);
        let connector = trusting.certificate_pem(pair.chain, pair.key).build().unwrap();
        let (server, _) = meet(&config, &connector, "a.test");
        assert_eq!(failure(server), HandshakeFailure::BadCertificate);
    }
}
