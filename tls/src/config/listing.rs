//! A configuration as text, for a line in a log at the start or for a page.

use std::fmt::Display;

use crate::config::identity::{IdentitySource, Leaf};
use crate::config::settings::{ClientAuth, Settings};
use crate::config::source::Source;

/// One of the effective settings of a [`TlsConfig`](crate::TlsConfig), as text. No setting is a
/// secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsSetting {
    /// The name, such as `tls.min_version`. A setting that can be given several times is there as
    /// often.
    pub name: &'static str,
    /// The value, as text.
    pub value: String,
    /// Whether it is the default.
    pub is_default: bool,
}

/// All settings, in the order of the builder's methods.
pub(crate) fn list(settings: &Settings, leaves: &[Leaf]) -> Vec<TlsSetting> {
    // Each field is named, so that none is forgotten.
    let Settings {
        identities,
        stray_ocsp: _,
        min_version,
        alpn,
        has_tickets,
        ticket_lifetime,
        client_auth,
        client_roots,
        client_revocations,
        limits,
        provider,
    } = settings;
    let default = Settings::default();
    let mut all = Vec::new();
    let mut put = |name, value: String, is_default| {
        all.push(TlsSetting { name, value, is_default });
    };
    put("tls.provider", provider.as_str().to_owned(), *provider == default.provider);
    leaves.iter().for_each(|leaf| put("tls.certificate", leaf.to_string(), false));
    for IdentitySource { ocsp, .. } in identities {
        ocsp.iter().for_each(|ocsp| put("tls.ocsp", text(ocsp), false));
    }
    put("tls.min_version", min_version.to_string(), *min_version == default.min_version);
    let protocols: Vec<_> = alpn.iter().map(|name| name.escape_ascii().to_string()).collect();
    put("tls.alpn", protocols.join(", "), *alpn == default.alpn);
    put("tls.session_tickets", has_tickets.to_string(), *has_tickets == default.has_tickets);
    let is_default = *ticket_lifetime == default.ticket_lifetime;
    put("tls.ticket_lifetime", format!("{ticket_lifetime:?}"), is_default);
    let auth = match client_auth {
        ClientAuth::None => "none",
        ClientAuth::Optional => "optional",
        ClientAuth::Required => "required",
    };
    put("tls.client_auth", auth.to_owned(), *client_auth == default.client_auth);
    client_roots.iter().for_each(|source| put("tls.client_roots", text(source), false));
    client_revocations.iter().for_each(|source| put("tls.client_revocations", text(source), false));
    let (timeout, running, waiting) = (limits.timeout, limits.running, limits.waiting);
    let default = default.limits;
    put("tls.handshake_limits.timeout", format!("{timeout:?}"), timeout == default.timeout);
    put("tls.handshake_limits.running", running.to_string(), running == default.running);
    put("tls.handshake_limits.waiting", waiting.to_string(), waiting == default.waiting);
    all
}

/// Where it is read from.
fn text(source: &Source) -> String {
    let place: &dyn Display = match source {
        Source::File(path) => &path.display(),
        Source::Bytes(..) => &"bytes of the program",
    };
    place.to_string()
}
