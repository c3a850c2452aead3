//! What the BFF and the embedded auth server share: time, randomness, secrets, sealing, settings, the HTTP client, the
//! depth of JSON.
//!
//! Nothing here knows of sessions, GoTrue or pages. Both programs may use every public item; neither reaches
//! past them into the other.

pub mod clock;
pub mod count;
pub mod decimal;
pub mod entropy;
pub mod http;
pub mod json;
pub mod memory;
pub mod seal;
pub mod secret;
pub mod vars;
pub mod webhook;
