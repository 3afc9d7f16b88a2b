//! The checks of settings that servers and clients have in common.

use crate::handshake_limits::HandshakeLimits;

/// Finds a name of an application protocol that cannot be sent.
pub(crate) fn check_alpn(protocols: &[Vec<u8>]) -> Result<(), &'static str> {
    let is_bad = |name: &Vec<u8>| name.is_empty() || name.len() > 255;
    if protocols.iter().any(is_bad) {
        return Err("the name of an application protocol (ALPN) must have 1 to 255 bytes");
    }
    Ok(())
}

/// Finds limits with which no handshake could succeed.
pub(crate) fn check_limits(limits: &HandshakeLimits) -> Result<(), &'static str> {
    if limits.running == 0 {
        return Err("`HandshakeLimits::running` is 0, so no handshake could ever run");
    }
    if limits.timeout.is_zero() {
        return Err("`HandshakeLimits::timeout` is 0, so each handshake would be too late");
    }
    Ok(())
}
