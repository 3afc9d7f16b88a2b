//! The opening handshake: which requests become a WebSocket (RFC 6455 section 4.2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Method, StatusCode, header};
use tungstenite::handshake::derive_accept_key;

#[cfg(feature = "websocket-deflate")]
use super::deflate;
use super::origins::Origins;
use super::settings::Settings;
use crate::message::{IntoResponse, Request, Response};

/// What a proper request asks for.
pub(super) struct Agreed {
    /// The answer to the client's key.
    pub(super) accept: String,
    /// The index of the subprotocol.
    pub(super) protocol: Option<usize>,
    /// What the client is told of compressed messages, if they are agreed on.
    pub(super) compression: Option<&'static str>,
}

/// Checks a request. An error is the response to one that is refused.
pub(super) fn agree(request: &Request, settings: &Settings) -> Result<Agreed, Response> {
    let is_get = *request.method() == Method::GET;
    if !is_get && *request.method() != Method::HEAD {
        return Err(Response::method_not_allowed(&[Method::GET]));
    }
    if !is_get || !request.asks_to_upgrade("websocket") {
        return Err(upgrade_required("this is a WebSocket: the request must ask to upgrade\n"));
    }
    let headers = request.headers();
    let mut versions = headers.all(header::SEC_WEBSOCKET_VERSION);
    if versions.next().map(<[u8]>::trim_ascii) != Some(VERSION.as_bytes())
        || versions.next().is_some()
    {
        return Err(upgrade_required("only version 13 of the WebSocket protocol\n"));
    }
    let mut keys = headers.all(header::SEC_WEBSOCKET_KEY);
    let key = match (keys.next(), keys.next()) {
        (Some(key), None) => key.trim_ascii(),
        _ => return Err(bad_request("exactly one Sec-WebSocket-Key is needed\n")),
    };
    // RFC 6455 section 4.1: 16 random bytes.
    if STANDARD.decode(key).map_or(0, |key| key.len()) != KEY_BYTES {
        return Err(bad_request("the Sec-WebSocket-Key is not 16 bytes in base64\n"));
    }
    check_host(request, settings)?;
    check_origin(request, &settings.origins)?;
    let mut offered = headers.list(header::SEC_WEBSOCKET_PROTOCOL);
    // The client's order is its preference (RFC 6455 section 1.9).
    let position = |offer: &str| settings.protocols.iter().position(|own| own == offer);
    let protocol = offered.find_map(position);
    #[cfg(feature = "websocket-deflate")]
    let compression = settings.compression.then(|| deflate::answer(headers)).flatten();
    #[cfg(not(feature = "websocket-deflate"))]
    let compression = None;
    Ok(Agreed { accept: derive_accept_key(key), protocol, compression })
}

fn check_host(request: &Request, settings: &Settings) -> Result<(), Response> {
    match &settings.hosts {
        Some(hosts) if !hosts.allows(request.host()) => {
            Err((StatusCode::MISDIRECTED_REQUEST, "the WebSocket is not known by that host\n")
                .into_response())
        }
        _ => Ok(()),
    }
}

/// A browser says which page asks. A request that names several pages, or none in text, is refused.
fn check_origin(request: &Request, origins: &Origins) -> Result<(), Response> {
    let mut all = request.headers().all(header::ORIGIN);
    let is_allowed = match (all.next(), all.next()) {
        (None, _) => true,
        (Some(origin), None) => str::from_utf8(origin).is_ok_and(|origin| {
            origins.allows(Some(origin.trim()), request.host().unwrap_or_default())
        }),
        (Some(_), Some(_)) => false,
    };
    if is_allowed {
        return Ok(());
    }
    Err("pages of this origin may not open the WebSocket\n"
        .into_response()
        .with_status(StatusCode::FORBIDDEN))
}

/// The protocol is named as RFC 9110 section 15.5.22 wants it, and the version as RFC 6455 section
/// 4.4 does.
fn upgrade_required(text: &'static str) -> Response {
    let mut response = text
        .into_response()
        .with_status(StatusCode::UPGRADE_REQUIRED)
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, VERSION);
    response.push_field(header::CONNECTION, HeaderValue::from_static("upgrade"));
    response
}

fn bad_request(text: &'static str) -> Response {
    text.into_response().with_status(StatusCode::BAD_REQUEST)
}

const VERSION: &str = "13";

const KEY_BYTES: usize = 16;
