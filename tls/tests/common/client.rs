//! A raw client. An engine of rustls speaks the handshake; each record passes through the test's
//! hands, and after the handshake the test protects records itself.

use std::io::{ErrorKind, Read, Write};
use std::sync::{Arc, Mutex};

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::{CipherSuite, ClientConfig, ClientConnection, KeyLog};
use straightline_net::TcpStream;

use super::certificate::Certificates;
use super::record::{ALERT, CHANGE_CIPHER_SPEC, DATA, HANDSHAKE, Protection, Record};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Tls12,
    Tls13,
}

/// What came from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Data(Vec<u8>),
    /// Level and description.
    Alert(u8, u8),
    /// Another record, decrypted if it could be.
    Other(u8, Vec<u8>),
    /// A record that could not be decrypted.
    Sealed(Record),
    End,
    Reset,
}

/// A connection of the raw client.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    unread: Vec<u8>,
    version: Version,
    engine: ClientConnection,
    secrets: Arc<Secrets>,
    server_random: Vec<u8>,
    /// The server's protection in the handshake of TLS 1.3.
    handshake_rx: Option<Protection>,
    rx: Option<Protection>,
    tx: Option<Protection>,
    /// In TLS 1.2, whether the server's records are protected by now.
    is_rx_protected: bool,
}

impl Client {
    pub(crate) fn connect(address: &str, version: Version) -> Self {
        Self::with_groups(address, version, vec![kx_group::X25519])
    }

    /// The hello has a share for the first group.
    pub(crate) fn with_groups(
        address: &str,
        version: Version,
        groups: Vec<&'static dyn SupportedKxGroup>,
    ) -> Self {
        let stream = TcpStream::connect(address).expect("a listener");
        let secrets = Arc::new(Secrets::default());
        let mut config = config(version, groups);
        config.key_log = Arc::<Secrets>::clone(&secrets);
        let name = "localhost".try_into().expect("a name");
        let engine = ClientConnection::new(Arc::new(config), name).expect("a client");
        Self {
            stream,
            unread: Vec::new(),
            version,
            engine,
            secrets,
            server_random: Vec::new(),
            handshake_rx: None,
            rx: None,
            tx: None,
            is_rx_protected: false,
        }
    }

    /// The next records that the engine has to send, after what has to be received before.
    pub(crate) fn flight(&mut self) -> Vec<Record> {
        let mut bytes = Vec::new();
        loop {
            while self.engine.wants_write() {
                self.engine.write_tls(&mut bytes).expect("a vector takes all");
            }
            let records = Record::parse_all(&bytes);
            if records.iter().any(|record| record.kind != CHANGE_CIPHER_SPEC) {
                return records;
            }
            match self.receive() {
                Received::End | Received::Reset => panic!("the server left in the handshake"),
                Received::Alert(level, alert) => panic!("alert {alert} of level {level}"),
                _ => {}
            }
        }
    }

    /// Sends the engine's hello and all that follows, up to the end of the handshake.
    pub(crate) fn handshake(&mut self) {
        while self.engine.is_handshaking() {
            let flight = self.flight();
            self.send_all(&flight);
            if self.version == Version::Tls12 && flight.len() > 1 {
                self.receive_finished();
            }
        }
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.engine.is_handshaking()
    }

    /// In TLS 1.2 the server has the last word.
    pub(crate) fn receive_finished(&mut self) {
        while self.engine.is_handshaking() {
            let received = self.receive();
            assert!(matches!(received, Received::Other(..)), "{received:?}");
        }
    }

    /// The client's protection after the handshake.
    pub(crate) fn tx(&mut self) -> &mut Protection {
        if self.tx.is_none() {
            self.tx = Some(match self.version {
                Version::Tls13 => self.secrets.tls13("CLIENT_TRAFFIC_SECRET_0").expect("a secret"),
                Version::Tls12 => {
                    let (mut tx, _) = self.tls12().expect("a secret");
                    tx.sequence = 1; // the Finished was 0
                    tx
                }
            });
        }
        self.tx.as_mut().expect("set above")
    }

    /// The client's protection in the handshake: of its Finished.
    pub(crate) fn handshake_tx(&self) -> Protection {
        match self.version {
            Version::Tls13 => {
                self.secrets.tls13("CLIENT_HANDSHAKE_TRAFFIC_SECRET").expect("a secret")
            }
            Version::Tls12 => self.tls12().expect("a secret").0,
        }
    }

    /// The server's protection after the handshake, at the next record.
    pub(crate) fn rx(&mut self) -> &mut Protection {
        self.find_secrets();
        self.rx.as_mut().expect("the handshake is over")
    }

    fn tls12(&self) -> Option<(Protection, Protection)> {
        let (client_random, master) = self.secrets.get("CLIENT_RANDOM")?;
        Some(Protection::tls12(&master, &client_random, &self.server_random))
    }

    fn find_secrets(&mut self) {
        if self.handshake_rx.is_none() {
            self.handshake_rx = self.secrets.tls13("SERVER_HANDSHAKE_TRAFFIC_SECRET");
        }
        if self.rx.is_none() {
            self.rx = match self.version {
                Version::Tls13 => self.secrets.tls13("SERVER_TRAFFIC_SECRET_0"),
                Version::Tls12 => self.tls12().map(|(_, rx)| rx),
            };
        }
    }

    /// Sends protected application data.
    pub(crate) fn send_data(&mut self, bytes: &[u8]) {
        let record = self.tx().seal(DATA, bytes);
        self.send(&record);
    }

    /// Sends a protected record of that type.
    pub(crate) fn send_sealed(&mut self, kind: u8, bytes: &[u8]) {
        let record = self.tx().seal(kind, bytes);
        self.send(&record);
    }

    pub(crate) fn send(&mut self, record: &Record) {
        self.send_bytes(&record.bytes());
    }

    pub(crate) fn send_all(&mut self, records: &[Record]) {
        let bytes: Vec<u8> = records.iter().flat_map(Record::bytes).collect();
        self.send_bytes(&bytes);
    }

    /// A server that has refused something need not take it.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = (&self.stream).write_all(bytes);
    }

    /// No more bytes come from the client.
    pub(crate) fn end(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }

    /// The next record as it is on the wire; an error is the end of the stream.
    pub(crate) fn record(&mut self) -> Result<Record, Received> {
        loop {
            if let Some((record, rest)) = Record::parse(&self.unread) {
                self.unread = rest.to_vec();
                return Ok(record);
            }
            let mut buffer = vec![0; 16_384];
            match (&self.stream).read(&mut buffer) {
                Ok(0) => {
                    assert!(self.unread.is_empty(), "part of a record: {:?}", self.unread);
                    return Err(Received::End);
                }
                Ok(count) => self.unread.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    return Err(Received::Reset);
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The next record, decrypted. The engine gets it too while the handshake lasts.
    pub(crate) fn receive(&mut self) -> Received {
        let record = match self.record() {
            Ok(record) => record,
            Err(end) => return end,
        };
        if self.engine.is_handshaking() {
            if self.server_random.is_empty()
                && (record.kind, record.payload.first()) == (HANDSHAKE, Some(&2))
            {
                self.server_random = record.payload[6..38].to_vec();
            }
            let bytes = record.bytes();
            let mut bytes = &bytes[..];
            while !bytes.is_empty() && self.engine.read_tls(&mut bytes).is_ok() {
                // The engine of a test that breaks the protocol may not understand the answer.
                let _ = self.engine.process_new_packets();
            }
        }
        let Some((kind, plain)) = self.decrypt(&record) else { return Received::Sealed(record) };
        match (kind, &plain[..]) {
            (ALERT, &[level, description]) => Received::Alert(level, description),
            (DATA, _) => Received::Data(plain),
            _ => Received::Other(kind, plain),
        }
    }

    fn decrypt(&mut self, record: &Record) -> Option<(u8, Vec<u8>)> {
        self.find_secrets();
        match self.version {
            Version::Tls13 if record.kind == DATA => {
                let opened = self.handshake_rx.as_mut().and_then(|rx| rx.open(record));
                opened.or_else(|| self.rx.as_mut().and_then(|rx| rx.open(record)))
            }
            Version::Tls12 if self.is_rx_protected => self.rx.as_mut()?.open(record),
            _ => {
                self.is_rx_protected |= record.kind == CHANGE_CIPHER_SPEC;
                Some((record.kind, record.payload.clone()))
            }
        }
    }

    /// The next data; tickets of the server are passed over.
    pub(crate) fn receive_data(&mut self) -> Vec<u8> {
        loop {
            match self.receive() {
                Received::Data(data) => return data,
                Received::Other(..) => {}
                other => panic!("{other:?} in place of data"),
            }
        }
    }

    /// As many bytes of data.
    pub(crate) fn receive_exactly(&mut self, count: usize) -> Vec<u8> {
        let mut data = Vec::new();
        while data.len() < count {
            data.extend(self.receive_data());
        }
        data
    }

    /// Reads until the server has closed. Returns everything.
    pub(crate) fn receive_to_end(&mut self) -> Vec<Received> {
        let mut all = Vec::new();
        loop {
            let received = self.receive();
            let is_end = matches!(received, Received::End | Received::Reset);
            all.push(received);
            if is_end {
                return all;
            }
        }
    }

    /// Reads until the server has closed. Returns the description of its alert, which was the last
    /// record; `None` if there was none.
    pub(crate) fn receive_alert(&mut self) -> Option<u8> {
        let all = self.receive_to_end();
        match &all[..] {
            // Bytes that came after the alert was sent may reset the connection.
            [.., Received::Alert(_, description), _] => Some(*description),
            _ => None,
        }
    }
}

/// A configuration of the engine: one version, and one cipher suite of each.
fn config(version: Version, groups: Vec<&'static dyn SupportedKxGroup>) -> ClientConfig {
    let mut provider: CryptoProvider = aws_lc_rs::default_provider();
    provider.kx_groups = groups;
    provider.cipher_suites.retain(|suite| {
        matches!(
            suite.suite(),
            CipherSuite::TLS13_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        )
    });
    let version = match version {
        Version::Tls12 => &rustls::version::TLS12,
        Version::Tls13 => &rustls::version::TLS13,
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])
        .expect("a version of the provider")
        .with_root_certificates(Certificates::shared().roots())
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config
}

/// The secrets that the engine tells.
#[derive(Debug, Default)]
struct Secrets(Mutex<Vec<Secret>>);

/// Its label, the random bytes of the client's hello, and the secret itself.
type Secret = (String, Vec<u8>, Vec<u8>);

impl Secrets {
    fn get(&self, label: &str) -> Option<(Vec<u8>, Vec<u8>)> {
        let all = self.0.lock().expect("not poisoned");
        let found = all.iter().rfind(|(one, _, _)| one == label);
        found.map(|(_, random, secret)| (random.clone(), secret.clone()))
    }

    fn tls13(&self, label: &str) -> Option<Protection> {
        self.get(label).map(|(_, secret)| Protection::tls13(&secret))
    }
}

impl KeyLog for Secrets {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let mut all = self.0.lock().expect("not poisoned");
        all.push((label.to_owned(), client_random.to_vec(), secret.to_vec()));
    }
}
