//! What the tests share: certificates, servers under test, and a raw client.

#![allow(dead_code)] // not every program uses all of it

pub(crate) mod alert;
pub(crate) mod certificate;
pub(crate) mod client;
pub(crate) mod echo;
pub(crate) mod hello;
pub(crate) mod pair;
pub(crate) mod record;
pub(crate) mod tap;
