//! Records made by hand (RFC 8446 section 5, RFC 5246 section 6.2), and their protection with
//! AES-128-GCM, so that a test can send what no correct client sends.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk};
use aws_lc_rs::hmac;

pub(crate) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(crate) const ALERT: u8 = 21;
pub(crate) const HANDSHAKE: u8 = 22;
pub(crate) const DATA: u8 = 23;

/// A record as it is on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) kind: u8,
    pub(crate) version: u16,
    pub(crate) payload: Vec<u8>,
}

impl Record {
    pub(crate) fn new(kind: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self { kind, version: 0x0303, payload: payload.into() }
    }

    pub(crate) fn alert(level: u8, description: u8) -> Self {
        Self::new(ALERT, [level, description])
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.header(self.payload.len()).to_vec();
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    fn header(&self, length: usize) -> [u8; 5] {
        let [major, minor] = self.version.to_be_bytes();
        let [high, low] = u16::try_from(length).expect("a length of 16 bits").to_be_bytes();
        [self.kind, major, minor, high, low]
    }

    /// The first record in `bytes`, if all of it is there, and the rest.
    pub(crate) fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (&[kind, major, minor, high, low], rest) = bytes.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (payload, rest) = rest.split_at_checked(length)?;
        let version = u16::from_be_bytes([major, minor]);
        Some((Self { kind, version, payload: payload.to_vec() }, rest))
    }

    /// All of `bytes`, which are whole records.
    pub(crate) fn parse_all(mut bytes: &[u8]) -> Vec<Self> {
        let mut records = Vec::new();
        while !bytes.is_empty() {
            let (record, rest) = Self::parse(bytes).expect("whole records");
            records.push(record);
            bytes = rest;
        }
        records
    }
}

/// The protection of one direction: its key, and its sequence number.
#[derive(Clone)]
pub(crate) struct Protection {
    key: Key,
    pub(crate) sequence: u64,
}

#[derive(Clone)]
enum Key {
    Tls13 { secret: Vec<u8>, key: [u8; 16], iv: [u8; 12] },
    Tls12 { key: [u8; 16], salt: [u8; 4] },
}

impl Protection {
    /// RFC 8446 section 7.3.
    pub(crate) fn tls13(secret: &[u8]) -> Self {
        let (mut key, mut iv) = ([0; 16], [0; 12]);
        expand_label(secret, b"key", &mut key);
        expand_label(secret, b"iv", &mut iv);
        Self { key: Key::Tls13 { secret: secret.to_vec(), key, iv }, sequence: 0 }
    }

    /// The client's and the server's (RFC 5246 section 6.3, RFC 5288).
    pub(crate) fn tls12(master: &[u8], client_random: &[u8], server_random: &[u8]) -> (Self, Self) {
        let seed = [server_random, client_random].concat();
        let block = pseudo_random(master, b"key expansion", &seed, 40);
        let of = |key: usize, salt: usize| Self {
            key: Key::Tls12 {
                key: block[key..key + 16].try_into().expect("16 bytes"),
                salt: block[salt..salt + 4].try_into().expect("4 bytes"),
            },
            sequence: 0,
        };
        (of(0, 32), of(16, 36))
    }

    /// The next keys (RFC 8446 section 7.2).
    pub(crate) fn update(&mut self) {
        let Key::Tls13 { secret, .. } = &self.key else { panic!("TLS 1.2 has no key update") };
        let mut next = [0; 32];
        expand_label(secret, b"traffic upd", &mut next);
        *self = Self::tls13(&next);
    }

    /// One record that contains `plain`, as correct peers make it.
    pub(crate) fn seal(&mut self, kind: u8, plain: &[u8]) -> Record {
        match self.key {
            Key::Tls13 { .. } => self.seal_inner([plain, &[kind]].concat()),
            Key::Tls12 { key, salt } => {
                let explicit = self.sequence.to_be_bytes();
                let nonce = [&salt[..], &explicit].concat().try_into().expect("12 bytes");
                let record = Record::new(kind, []);
                let length = u16::try_from(plain.len()).expect("a length of 16 bits");
                let header = record.header(plain.len());
                let aad = [&explicit[..], &header[..3], &length.to_be_bytes()].concat();
                let mut sealed = plain.to_vec();
                seal(&key, nonce, &aad, &mut sealed);
                self.sequence += 1;
                Record::new(kind, [&explicit[..], &sealed].concat())
            }
        }
    }

    /// A record of TLS 1.3 with that inner plaintext: the content, its type, and the padding.
    pub(crate) fn seal_inner(&mut self, mut inner: Vec<u8>) -> Record {
        let Key::Tls13 { key, iv, .. } = &self.key else { panic!("TLS 1.2 has no padding") };
        let header = Record::new(DATA, []).header(inner.len() + TAG_BYTES);
        seal(key, nonce(iv, self.sequence), &header, &mut inner);
        self.sequence += 1;
        Record::new(DATA, inner)
    }

    /// The type and the content of a record; `None` if it is not one of this protection and this
    /// sequence number.
    pub(crate) fn open(&mut self, record: &Record) -> Option<(u8, Vec<u8>)> {
        match &self.key {
            Key::Tls13 { key, iv, .. } => {
                let header = record.header(record.payload.len());
                let nonce = nonce(iv, self.sequence);
                let mut inner = open(key, nonce, &header, record.payload.clone())?;
                self.sequence += 1;
                while inner.last() == Some(&0) {
                    inner.pop();
                }
                let kind = inner.pop()?;
                Some((kind, inner))
            }
            Key::Tls12 { key, salt } => {
                let (explicit, sealed) = record.payload.split_at_checked(8)?;
                let nonce = [&salt[..], explicit].concat().try_into().ok()?;
                let length = u16::try_from(sealed.len().checked_sub(TAG_BYTES)?).ok()?;
                let header = record.header(0);
                let sequence = self.sequence.to_be_bytes();
                let aad = [&sequence[..], &header[..3], &length.to_be_bytes()].concat();
                let plain = open(key, nonce, &aad, sealed.to_vec())?;
                self.sequence += 1;
                Some((record.kind, plain))
            }
        }
    }
}

fn nonce(iv: &[u8; 12], sequence: u64) -> [u8; 12] {
    let mut nonce = *iv;
    nonce[4..].iter_mut().zip(sequence.to_be_bytes()).for_each(|(byte, number)| *byte ^= number);
    nonce
}

fn seal(key: &[u8; 16], nonce: [u8; 12], aad: &[u8], bytes: &mut Vec<u8>) {
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key).expect("16 bytes"));
    let nonce = Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(nonce, Aad::from(aad), bytes).expect("few bytes");
}

fn open(key: &[u8; 16], nonce: [u8; 12], aad: &[u8], mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key).expect("16 bytes"));
    let nonce = Nonce::assume_unique_for_key(nonce);
    let length = key.open_in_place(nonce, Aad::from(aad), &mut bytes).ok()?.len();
    bytes.truncate(length);
    Some(bytes)
}

/// RFC 8446 section 7.1, with SHA-256.
fn expand_label(secret: &[u8], label: &[u8], target: &mut [u8]) {
    let length = u16::try_from(target.len()).expect("a length of 16 bits");
    let label = [b"tls13 ", label].concat();
    let label_length = [u8::try_from(label.len()).expect("a short label")];
    let info = [&length.to_be_bytes()[..], &label_length, &label, &[0]];
    let key = Prk::new_less_safe(HKDF_SHA256, secret);
    let expanded = key.expand(&info, Length(target.len())).expect("few bytes");
    expanded.fill(target).expect("the same length");
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// RFC 5246 section 5, with SHA-256.
fn pseudo_random(secret: &[u8], label: &[u8], seed: &[u8], length: usize) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let seed = [label, seed].concat();
    let mut chain = hmac::sign(&key, &seed);
    let mut bytes = Vec::new();
    while bytes.len() < length {
        bytes.extend_from_slice(hmac::sign(&key, &[chain.as_ref(), &seed].concat()).as_ref());
        chain = hmac::sign(&key, chain.as_ref());
    }
    bytes.truncate(length);
    bytes
}

pub(crate) const TAG_BYTES: usize = 16;
