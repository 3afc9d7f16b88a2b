//! A hello of a client in its parts (RFC 8446 section 4.1.2), so that a test can change them.

use super::record::{HANDSHAKE, Record};

#[derive(Clone, Debug)]
pub(crate) struct Hello {
    pub(crate) version: u16,
    pub(crate) random: Vec<u8>,
    pub(crate) session: Vec<u8>,
    pub(crate) suites: Vec<u16>,
    pub(crate) compressions: Vec<u8>,
    /// Types and contents, in their order.
    pub(crate) extensions: Vec<(u16, Vec<u8>)>,
}

impl Hello {
    /// The hello in a record.
    pub(crate) fn parse(record: &Record) -> Self {
        let mut rest = &record.payload[4..];
        let version = number(&mut rest, 2);
        let random = take(&mut rest, 32).to_vec();
        let session = vector(&mut rest, 1).to_vec();
        let mut suites_bytes = vector(&mut rest, 2);
        let mut suites = Vec::new();
        while !suites_bytes.is_empty() {
            suites.push(number(&mut suites_bytes, 2));
        }
        let compressions = vector(&mut rest, 1).to_vec();
        let mut extensions_bytes = vector(&mut rest, 2);
        let mut extensions = Vec::new();
        while !extensions_bytes.is_empty() {
            let kind = number(&mut extensions_bytes, 2);
            extensions.push((kind, vector(&mut extensions_bytes, 2).to_vec()));
        }
        Self { version, random, session, suites, compressions, extensions }
    }

    /// The handshake message.
    pub(crate) fn message(&self) -> Vec<u8> {
        let mut body = self.version.to_be_bytes().to_vec();
        body.extend_from_slice(&self.random);
        push(&mut body, 1, &self.session);
        let suites: Vec<u8> = self.suites.iter().flat_map(|suite| suite.to_be_bytes()).collect();
        push(&mut body, 2, &suites);
        push(&mut body, 1, &self.compressions);
        let mut extensions = Vec::new();
        for (kind, content) in &self.extensions {
            extensions.extend_from_slice(&kind.to_be_bytes());
            push(&mut extensions, 2, content);
        }
        push(&mut body, 2, &extensions);
        let mut message = vec![1];
        push(&mut message, 3, &body);
        message
    }

    /// The message in one record.
    pub(crate) fn record(&self) -> Record {
        Record { version: 0x0301, ..Record::new(HANDSHAKE, self.message()) }
    }

    /// The content of the extension of that type.
    pub(crate) fn extension(&mut self, kind: u16) -> &mut Vec<u8> {
        let found = self.extensions.iter_mut().find(|(one, _)| *one == kind);
        &mut found.expect("the engine sends it").1
    }
}

/// A vector with its length in that many bytes before it.
pub(crate) fn push(target: &mut Vec<u8>, length_bytes: usize, content: &[u8]) {
    target.extend_from_slice(&content.len().to_be_bytes()[8 - length_bytes..]);
    target.extend_from_slice(content);
}

fn take<'b>(bytes: &mut &'b [u8], count: usize) -> &'b [u8] {
    let (taken, rest) = bytes.split_at(count);
    *bytes = rest;
    taken
}

fn number(bytes: &mut &[u8], count: usize) -> u16 {
    take(bytes, count).iter().fold(0, |number, byte| number << 8 | u16::from(*byte))
}

fn vector<'b>(bytes: &mut &'b [u8], length_bytes: usize) -> &'b [u8] {
    let length = number(bytes, length_bytes);
    take(bytes, usize::from(length))
}

pub(crate) const SUPPORTED_GROUPS: u16 = 10;
pub(crate) const SUPPORTED_VERSIONS: u16 = 43;
pub(crate) const KEY_SHARE: u16 = 51;
