//! The settings of a server: addresses, limits, timeouts, and their types.
//!
//! Values only: no file here uses a fiber or a connection. The default limits depend on the
//! machine: `descriptors` and `memory_limit` ask the system for it.

mod address;
mod allowed_hosts;
mod capacity;
mod descriptors;
mod memory_limit;
mod networks;
mod phase;
mod policy;
mod server_config;
mod settings;
mod timeouts;

pub use address::{Address, AddressError, Peer};
pub use allowed_hosts::AllowedHosts;
pub use capacity::{Capacity, CapacityLimit, OverloadPolicy};
pub(crate) use descriptors::{Descriptors, connections_for, raise_limit};
pub use networks::{NetworkError, Networks};
pub use phase::Phase;
pub use policy::{AllStuck, OnDisconnect, PanicPolicy};
pub(crate) use server_config::Config;
pub use settings::{Setting, SettingOrigin, Settings};
pub use timeouts::{MinRate, Timeout, Timeouts};
