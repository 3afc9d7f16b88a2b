//! The bytes that must not be guessed: from the system, or from the seed of a simulation.
//!
//! The providers have generators of their own. That of mbedTLS seeds a new one for each call, which
//! costs more than the system call; and none of them knows a simulation.

use std::cell::RefCell;

use rustls::crypto::{GetRandomFailed, SecureRandom};
use straightline_sched::sim;

/// The source of randomness of all providers.
#[cfg_attr(not(any(feature = "mbedtls", feature = "aws-lc-rs")), expect(dead_code))]
pub(crate) static RANDOM: &dyn SecureRandom = &Random;

#[derive(Debug)]
struct Random;

impl SecureRandom for Random {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        if sim::is_simulated() {
            sim::local(SimulatedRandom::fork).fill(bytes);
            return Ok(());
        }
        fill_by_system(bytes)
    }
}

/// By the system call itself. The crate `getrandom` looks the call up in the C library, and does not
/// find it in a program that is linked statically: then it reads `/dev/urandom`, which a `chroot`
/// does not have.
#[cfg(target_os = "linux")]
fn fill_by_system(mut bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
    use rustix::io::Errno;
    use rustix::rand::{GetRandomFlags, getrandom};

    while !bytes.is_empty() {
        match getrandom(&mut *bytes, GetRandomFlags::empty()) {
            Ok(filled) => bytes = &mut bytes[filled..],
            Err(Errno::INTR) => {}
            Err(_) => return Err(GetRandomFailed),
        }
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn fill_by_system(bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
    getrandom::fill(bytes).map_err(|_| GetRandomFailed)
}

/// The stream of a simulation. It is one of its own, so that a program's draws stay the same if it
/// has more handshakes.
struct SimulatedRandom(RefCell<sim::Random>);

impl SimulatedRandom {
    fn fork() -> Self {
        Self(RefCell::new(sim::fork_random()))
    }

    fn fill(&self, bytes: &mut [u8]) {
        let mut random = self.0.borrow_mut();
        for piece in bytes.chunks_mut(size_of::<u64>()) {
            piece.copy_from_slice(&random.u64().to_le_bytes()[..piece.len()]);
        }
    }
}
