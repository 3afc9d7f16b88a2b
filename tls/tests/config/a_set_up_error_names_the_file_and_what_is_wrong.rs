//! An error of the set-up names the file, and what is wrong with it.

use std::fs;
use std::path::Path;

use straightline_tls::{ClientAuth, TlsConfig, TlsConfigErrorKind as Kind, TlsProvider};

use crate::common::{Authority, Folder, data};

/// Fails to build with that pair; the error is of that kind, of that file, and says that.
#[track_caller]
fn fails(chain: &Path, key: &Path, kind: Kind, at: &Path, says: &str) {
    for &provider in TlsProvider::offered() {
        let builder = TlsConfig::builder().provider(provider).certificate_files(chain, key);
        let error = builder.build().expect_err("the pair is broken");
        let text = error.to_string();
        assert_eq!(error.kind(), kind, "{text}");
        assert_eq!(error.path(), Some(at), "{text}");
        assert!(text.starts_with(&format!("{}: ", at.display())), "{text}");
        assert!(text.contains(says), "{text}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let (chain, key) = (data("prime256v1.pem"), Path::new("/no/such.key"));
    fails(&chain, key, Kind::Unreadable, key, "No such file");
    fails(key, &chain, Kind::Unreadable, key, "No such file");
}

#[test]
fn a_folder_and_a_device_are_no_files() {
    let key = data("prime256v1.sec1.key");
    let folder = data("");
    fails(&folder, &key, Kind::Unreadable, &folder, "is a directory");
    let device = Path::new("/dev/null");
    fails(device, &key, Kind::Unreadable, device, "is neither a file");
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let folder = Folder::new();
    let path = folder.write("huge.pem", vec![b'#'; 1024 * 1024 + 1]);
    fails(&path, &data("rsa_pkcs8.key"), Kind::Unreadable, &path, "more than 1048576 bytes");
}

#[test]
fn what_is_no_pem_is_called_by_its_name() {
    let folder = Folder::new();
    let key = data("prime256v1.sec1.key");
    let pem = fs::read_to_string(data("prime256v1.pem")).unwrap();
    let lines: Vec<&str> = pem.lines().collect();
    let der = data("prime256v1.der");
    fails(&der, &key, Kind::NotPem, &der, "is DER or PKCS #12");
    let without_end = lines[..lines.len() - 1].join("\n");
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(pem.bytes().flat_map(|b| [b, 0])).collect();
    let cases: [(Vec<u8>, &str); 10] = [
        (Vec::new(), "is empty"),
        (b"\xff\x00\x01".to_vec(), "is not text"),
        (utf16, "is UTF-16"),
        (format!("\u{feff}{pem}").into(), "byte order mark"),
        (without_end.clone().into(), "does not end"),
        (format!("{without_end}\n{pem}").into(), "has a marker before the end"),
        (lines[1..].join("\n").into(), "line 1 is neither in a section nor a comment"),
        (pem.replace("-----BEGIN", "----BEGIN").into(), "a marker is broken"),
        (format!("{pem}-----END CERTIFICATE-----\n").into(), "ends a section that never began"),
        (pem.replace("MII", "M!I").into(), "CERTIFICATE in line 1 is broken: base64"),
    ];
    for (bytes, says) in cases {
        let path = folder.write("chain.pem", bytes);
        fails(&path, &key, Kind::NotPem, &path, says);
    }
}

#[test]
fn a_chain_without_a_certificate_is_refused() {
    let key = data("prime256v1.sec1.key");
    fails(&key, &key, Kind::NoCertificate, &key, "has no CERTIFICATE; it has only EC PARAMETERS");
    let folder = Folder::new();
    let path = folder.write("chain.pem", "# a comment\n");
    fails(&path, &key, Kind::NoCertificate, &path, "no PEM section at all");
}

#[test]
fn a_bad_certificate_is_refused() {
    let key = data("prime256v1.sec1.key");
    let old = data("version1.pem");
    fails(&old, &key, Kind::BadCertificate, &old, "only certificates of version 3 have names");
    let folder = Folder::new();
    let junk = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let good = fs::read_to_string(data("prime256v1.pem")).unwrap();
    let path = folder.write("chain.pem", format!("{good}{junk}"));
    fails(&path, &key, Kind::BadCertificate, &path, "certificate 2 of it cannot be read");
    let request = "-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n";
    let path = folder.write("chain.pem", request);
    let says = "line 1 begins a CERTIFICATE REQUEST, where a certificate is expected";
    fails(&path, &key, Kind::BadCertificate, &path, says);
}

#[test]
fn a_file_without_one_plain_key_is_refused() {
    let chain = data("prime256v1.pem");
    fails(&chain, &chain, Kind::NoKey, &chain, "has no PRIVATE KEY; it has only CERTIFICATE");
    for name in ["encrypted_pkcs8.key", "encrypted_pkcs1.key"] {
        let key = data(name);
        fails(&chain, &key, Kind::EncryptedKey, &key, "is encrypted");
    }
    let folder = Folder::new();
    let key = fs::read_to_string(data("prime256v1.pkcs8.key")).unwrap();
    let path = folder.write("two.key", format!("{key}{key}"));
    fails(&chain, &path, Kind::SeveralKeys, &path, "in the lines 1 and 6");
    let junk = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    let path = folder.write("junk.key", junk);
    fails(&chain, &path, Kind::BadKey, &path, "cannot be used");
    let openssh = junk.replace("PRIVATE", "OPENSSH PRIVATE");
    let path = folder.write("openssh.key", openssh);
    fails(&chain, &path, Kind::BadKey, &path, "ssh-keygen");
}

#[test]
fn a_key_of_another_certificate_is_refused_with_both_names() {
    let (chain, key) = (data("prime256v1.pem"), data("secp384r1.sec1.key"));
    fails(&chain, &key, Kind::KeyMismatch, &chain, "secp384r1.sec1.key does not belong");
    let folder = Folder::new();
    let authority = Authority::new("root");
    let (one, other) = (authority.issue(&["localhost"]), authority.issue(&["localhost"]));
    let chain = folder.write("chain.pem", one.chain);
    let key = folder.write("key.pem", other.key);
    fails(&chain, &key, Kind::KeyMismatch, &chain, "key.pem does not belong");
}

#[test]
fn a_chain_in_the_wrong_order_is_refused() {
    let folder = Folder::new();
    let authority = Authority::new("root");
    let pair = authority.issue(&["localhost"]);
    let chain = folder.write("chain.pem", format!("{}{}", authority.pem(), pair.chain));
    let key = folder.write("key.pem", pair.key);
    fails(&chain, &key, Kind::ChainOrder, &chain, "belongs to certificate 2 of the chain");
}

#[test]
fn what_is_no_ocsp_response_is_refused() {
    let folder = Folder::new();
    let cases = [
        (data("rsa.pem"), "is PEM"),
        (data("try_later.ocsp"), "its status is 3"),
        (data("prime256v1.der"), "is no OCSP response"),
        (folder.write("empty.ocsp", ""), "is empty"),
    ];
    for (path, says) in cases {
        let error = TlsConfig::builder()
            .certificate_files(data("prime256v1.pem"), data("prime256v1.sec1.key"))
            .ocsp_file(&path)
            .build()
            .unwrap_err();
        assert_eq!(error.kind(), Kind::BadOcsp, "{error}");
        assert_eq!(error.path(), Some(&*path), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn bad_roots_and_revocation_lists_are_refused() {
    let folder = Folder::new();
    let junk = "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n";
    let list = folder.write("list.pem", junk);
    let key = data("prime256v1.sec1.key");
    let builder = || {
        TlsConfig::builder()
            .certificate_files(data("prime256v1.pem"), data("prime256v1.sec1.key"))
            .client_auth(ClientAuth::Required)
    };
    let error = builder().client_roots_file(&key).build().unwrap_err();
    assert_eq!((error.kind(), error.path()), (Kind::NoCertificate, Some(&*key)), "{error}");
    let trusting = builder().client_roots_file(data("rsa.pem"));
    let error = trusting.clone().client_revocation_files([&list]).build().unwrap_err();
    assert_eq!((error.kind(), error.path()), (Kind::BadRevocationList, Some(&*list)), "{error}");
    let error = trusting.client_revocation_files([data("rsa.pem")]).build().unwrap_err();
    assert_eq!(error.kind(), Kind::BadRevocationList, "{error}");
    assert!(error.to_string().contains("has no X509 CRL; it has only CERTIFICATE"), "{error}");
}

#[test]
fn bytes_of_the_program_are_named_as_such() {
    let key = fs::read(data("rsa_pkcs8.key")).unwrap();
    let error = TlsConfig::builder().certificate_pem("", key).build().unwrap_err();
    assert_eq!(error.path(), None);
    assert_eq!(error.to_string(), "the certificate chain given as bytes: is empty");
}
