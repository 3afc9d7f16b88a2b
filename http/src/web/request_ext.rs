//! What the kit reads from a request, as methods.

use crate::message::Request;

/// What the kit reads from a request. Each method belongs to a piece of the kit, whose page says
/// more.
pub trait RequestExt {}

impl RequestExt for Request {}
