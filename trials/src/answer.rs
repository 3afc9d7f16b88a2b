//! The responses of the server, as far as the trials check them.

use std::io;

use straightline_harness::{FromReply, Head};

use crate::body::Hash;

/// A whole response.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names are in lower case.
    fields: Vec<(String, String)>,
    /// The first [`BODY_KEPT_BYTES`] of the body.
    pub(crate) body: Vec<u8>,
    /// The length of the whole body.
    pub(crate) body_bytes: u64,
    /// The hash of the whole body.
    pub(crate) body_hash: Hash,
}

impl Answer {
    /// The value of a field; the first one, if there are several.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.0 == name).map(|field| field.1.as_str())
    }
}

impl FromReply for Answer {
    fn from_head(head: &Head<'_>) -> io::Result<Self> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let fields = head.fields().map(|(name, value)| (name.to_ascii_lowercase(), text(value)));
        Ok(Self {
            status: head.status(),
            fields: fields.collect(),
            body: Vec::new(),
            body_bytes: 0,
            body_hash: Hash::default(),
        })
    }

    fn add_body(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.body_bytes += bytes.len() as u64;
        self.body_hash.add(bytes);
        let room = BODY_KEPT_BYTES - self.body.len();
        self.body.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(())
    }
}

/// More than any body that a trial reads, the metrics included.
const BODY_KEPT_BYTES: usize = 64 * 1024;
