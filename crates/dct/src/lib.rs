//! Data Control Tower, API v3: the types on the wire and a typed client.
//!
//! The types are shared by those who call (operator, sidecar) and by the embedded engine which answers, so that both
//! sides agree by construction. Reading is tolerant, writing is strict: absent fields are left out, never `null`.

#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
mod error;
pub mod filter;
pub mod lenient;
pub mod types;

#[cfg(feature = "client")]
pub use client::{Client, ClientSettings};
#[cfg(feature = "client")]
pub use error::{Class, Error};

/// Where the API lives below the address of a Data Control Tower.
pub const BASE_PATH: &str = "/dct/v3";
/// Every client names itself with this header; calls are metered by it.
pub const CLIENT_NAME_HEADER: &str = "x-dct-client-name";
/// The first API document that has container mode on enable and disable.
pub const CONTAINER_MODE_SINCE: (u32, u32) = (3, 25);
