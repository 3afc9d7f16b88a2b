//! Session tickets: the state of a session, encrypted, in the hands of the client (RFC 5077,
//! RFC 8446, 4.6.1).
//!
//! A ticket is the name of a key (16 bytes), a nonce (12 bytes), and the encrypted state. The
//! encryption is AES-256-GCM by whichever provider the configuration has, through the record
//! encryption of TLS 1.3, as that is the cipher that each provider has. A ticket of 200 bytes costs
//! about a microsecond with AWS-LC and three with mbedTLS, which is little beside its handshake.
//!
//! All shards share the keys, so a client may come back to any of them. There are two: the current
//! one makes tickets for half of the lifetime and then becomes the previous one, which opens
//! tickets for the other half. So a ticket can be used for at least half of the lifetime, and never
//! for longer than the lifetime: then its key is gone, and what was recorded with the ticket stays
//! secret.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, Iv, NONCE_LEN, OutboundChunks, OutboundPlainMessage,
};
use rustls::crypto::{CryptoProvider, GetRandomFailed};
use rustls::server::ProducesTickets;
use rustls::{CipherSuite, ContentType, ProtocolVersion, SupportedCipherSuite, Tls13CipherSuite};
use straightline_sched as sched;

/// The keys of tickets. One value is shared by all handshakes of a configuration.
pub(crate) struct Tickets {
    crypto: Arc<CryptoProvider>,
    suite: &'static Tls13CipherSuite,
    lifetime: Duration,
    keys: Mutex<Keys>,
}

/// No tickets can be made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TicketsError {
    NoCipher,
    NoRandomness,
}

struct Keys {
    current: Arc<Key>,
    /// Opens tickets, and makes none.
    previous: Option<Arc<Key>>,
    /// How many tickets the current key has made.
    made: u32,
}

struct Key {
    name: [u8; NAME_BYTES],
    secret: [u8; SECRET_BYTES],
    since: Instant,
}

impl Tickets {
    pub(crate) fn new(
        crypto: Arc<CryptoProvider>,
        lifetime: Duration,
    ) -> Result<Self, TicketsError> {
        let suite = crypto.cipher_suites.iter().find_map(|suite| match suite {
            SupportedCipherSuite::Tls13(tls13) if suite.suite() == CIPHER => Some(*tls13),
            _ => None,
        });
        let suite = suite.ok_or(TicketsError::NoCipher)?;
        let current = Key::draw(&crypto, sched::now()).map_err(|_| TicketsError::NoRandomness)?;
        let keys = Keys { current: Arc::new(current), previous: None, made: 0 };
        Ok(Self { crypto, suite, lifetime, keys: Mutex::new(keys) })
    }

    /// The key for a new ticket. It is a new one if the current one is old or has made too many.
    fn key_to_make(&self, now: Instant) -> Option<Arc<Key>> {
        let mut keys = self.keys.lock();
        if keys.current.age(now) >= self.lifetime / 2 || keys.made >= TICKETS_PER_KEY_MAX {
            let next = Arc::new(Key::draw(&self.crypto, now).ok()?);
            keys.previous = Some(std::mem::replace(&mut keys.current, next));
            keys.made = 0;
        }
        keys.made += 1;
        Some(Arc::clone(&keys.current))
    }

    /// The key of that name, if its time is not over.
    fn key_to_open(&self, name: &[u8], now: Instant) -> Option<Arc<Key>> {
        let mut keys = self.keys.lock();
        let is_over = |key: &Arc<Key>| key.age(now) >= self.lifetime;
        if keys.previous.as_ref().is_some_and(is_over) {
            keys.previous = None;
        }
        let known = [Some(&keys.current), keys.previous.as_ref()];
        let found = known.into_iter().flatten().find(|key| key.name == name && !is_over(key));
        found.map(Arc::clone)
    }

    fn make(&self, state: &[u8], now: Instant) -> Option<Vec<u8>> {
        if state.len() > STATE_BYTES_MAX {
            return None;
        }
        let key = self.key_to_make(now)?;
        let mut nonce = [0; NONCE_LEN];
        self.crypto.secure_random.fill(&mut nonce).ok()?;
        let message = OutboundPlainMessage {
            typ: ContentType::ApplicationData,
            version: ProtocolVersion::TLSv1_2,
            payload: OutboundChunks::Single(state),
        };
        let mut encrypter = self.suite.aead_alg.encrypter(key.secret(), Iv::from(nonce));
        let sealed = encrypter.encrypt(message, 0).ok()?;
        Some([&key.name, &nonce[..], sealed.payload.as_ref()].concat())
    }

    fn open(&self, ticket: &[u8], now: Instant) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_at_checked(NAME_BYTES)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let key = self.key_to_open(name, now)?;
        let mut sealed = sealed.to_vec();
        let message = InboundOpaqueMessage::new(
            ContentType::ApplicationData,
            ProtocolVersion::TLSv1_2,
            &mut sealed,
        );
        let mut decrypter = self.suite.aead_alg.decrypter(key.secret(), Iv::from(*nonce));
        Some(decrypter.decrypt(message, 0).ok()?.payload.to_vec())
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(self.lifetime.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.make(plain, sched::now())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.open(cipher, sched::now())
    }
}

impl Key {
    fn draw(crypto: &CryptoProvider, now: Instant) -> Result<Self, GetRandomFailed> {
        let mut key = Self { name: [0; NAME_BYTES], secret: [0; SECRET_BYTES], since: now };
        crypto.secure_random.fill(&mut key.name)?;
        crypto.secure_random.fill(&mut key.secret)?;
        Ok(key)
    }

    fn secret(&self) -> AeadKey {
        AeadKey::from(self.secret)
    }

    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.secret);
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

impl fmt::Display for TicketsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCipher => "the provider has no AES-256-GCM",
            Self::NoRandomness => "the system gave no random bytes",
        })
    }
}

impl std::error::Error for TicketsError {}

const CIPHER: CipherSuite = CipherSuite::TLS13_AES_256_GCM_SHA384;
const NAME_BYTES: usize = 16;
const SECRET_BYTES: usize = 32;

/// The most bytes of a session's state, because it is encrypted as one record. A client's chain is
/// part of it; a session with a longer one gets no ticket.
const STATE_BYTES_MAX: usize = 16 * 1024;

/// The most tickets of one key. Random nonces of 96 bits are safe for 2^32 messages (NIST SP
/// 800-38D, 8.3).
const TICKETS_PER_KEY_MAX: u32 = 1 << 31;

#[cfg(any(feature = "mbedtls", feature = "aws-lc-rs"))]
#[cfg(test)]
mod tests {
    use quickcheck::{TestResult, quickcheck};

    use super::*;
    use crate::provider::TlsProvider;

    const LIFETIME: Duration = Duration::from_secs(100);

    fn each_provider() -> impl Iterator<Item = Tickets> {
        TlsProvider::offered()
            .iter()
            .map(|provider| Tickets::new(provider.crypto().unwrap(), LIFETIME).unwrap())
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    quickcheck! {
        fn a_ticket_opens_to_its_state(state: Vec<u8>) -> bool {
            each_provider().all(|tickets| {
                let ticket = tickets.encrypt(&state).unwrap();
                tickets.decrypt(&ticket).as_ref() == Some(&state)
            })
        }

        fn a_ticket_with_a_flipped_bit_does_not_open(state: Vec<u8>, bit: usize) -> bool {
            each_provider().all(|tickets| {
                let mut ticket = tickets.encrypt(&state).unwrap();
                let bit = bit % (ticket.len() * 8);
                ticket[bit / 8] ^= 1 << (bit % 8);
                tickets.decrypt(&ticket).is_none()
            })
        }

        fn a_ticket_that_is_cut_or_longer_does_not_open(state: Vec<u8>, more: Vec<u8>) -> bool {
            each_provider().all(|tickets| {
                let ticket = tickets.encrypt(&state).unwrap();
                let longer = [&ticket[..], &more, &[0]].concat();
                let is_refused = |ticket: &[u8]| tickets.decrypt(ticket).is_none();
                (0..ticket.len()).all(|length| is_refused(&ticket[..length])) && is_refused(&longer)
            })
        }

        fn what_is_no_ticket_does_not_open(bytes: Vec<u8>) -> bool {
            each_provider().all(|tickets| {
                // With the name of a key, so that the bytes reach the cipher.
                let named = [&tickets.keys.lock().current.name[..], &bytes].concat();
                tickets.decrypt(&bytes).is_none() && tickets.decrypt(&named).is_none()
            })
        }

        fn a_ticket_opens_for_half_of_the_lifetime_and_never_beyond_it(
            made: u16, uses: Vec<u16>
        ) -> TestResult {
            let start = sched::now();
            let made = start + Duration::from_millis(u64::from(made));
            let after = |time: &u16| Duration::from_millis(u64::from(*time) * 2);
            let mut times: Vec<Instant> = uses.iter().map(|use_| made + after(use_)).collect();
            times.sort();
            for tickets in each_provider() {
                let ticket = tickets.make(b"state", made).unwrap();
                for &time in &times {
                    // Others use the keys too.
                    tickets.make(b"other", time).unwrap();
                    let opens = tickets.open(&ticket, time).is_some();
                    let age = time - made;
                    if (age < LIFETIME / 2 && !opens) || (age >= LIFETIME && opens) {
                        return TestResult::error(format!("{age:?}: {opens}"));
                    }
                }
            }
            TestResult::passed()
        }
    }

    #[test]
    fn each_ticket_is_another_one() {
        for tickets in each_provider() {
            assert_ne!(tickets.encrypt(b"state"), tickets.encrypt(b"state"));
        }
    }

    #[test]
    fn the_keys_change_at_half_of_the_lifetime_and_the_previous_one_still_opens() {
        for tickets in each_provider() {
            let start = tickets.keys.lock().current.since;
            let first = tickets.make(b"first", start).unwrap();
            let same = tickets.make(b"same", start + seconds(49)).unwrap();
            let next = tickets.make(b"next", start + seconds(50)).unwrap();
            assert_eq!(first[..NAME_BYTES], same[..NAME_BYTES]);
            assert_ne!(first[..NAME_BYTES], next[..NAME_BYTES]);
            assert!(tickets.open(&first, start + seconds(99)).is_some());
            assert!(tickets.open(&first, start + seconds(100)).is_none());
            // Its key is gone, even if the clock went back.
            assert!(tickets.keys.lock().previous.is_none());
            assert!(tickets.open(&next, start + seconds(149)).is_some());
            assert!(tickets.open(&next, start + seconds(150)).is_none());
        }
    }

    #[test]
    fn a_key_that_has_made_too_many_tickets_is_replaced() {
        for tickets in each_provider() {
            let first = tickets.encrypt(b"first").unwrap();
            tickets.keys.lock().made = TICKETS_PER_KEY_MAX - 1;
            let last = tickets.encrypt(b"last").unwrap();
            let next = tickets.encrypt(b"next").unwrap();
            assert_eq!(first[..NAME_BYTES], last[..NAME_BYTES]);
            assert_ne!(first[..NAME_BYTES], next[..NAME_BYTES]);
            assert!(tickets.decrypt(&first).is_some() && tickets.decrypt(&next).is_some());
        }
    }

    #[test]
    fn a_state_beyond_a_record_gets_no_ticket() {
        for tickets in each_provider() {
            let largest = vec![7; STATE_BYTES_MAX];
            let ticket = tickets.encrypt(&largest).unwrap();
            assert_eq!(tickets.decrypt(&ticket), Some(largest));
            assert_eq!(tickets.encrypt(&vec![7; STATE_BYTES_MAX + 1]), None);
        }
    }
}
