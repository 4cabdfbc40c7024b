//! What the rooms ask of the store, one file an idea: the memory half and the Redis half
//! of an operation side by side.

#[cfg(any(feature = "cache", feature = "key-value"))]
pub(crate) mod generation;
#[cfg(feature = "key-value")]
mod id;
#[cfg(feature = "rate-limit")]
pub(crate) mod limit;
pub(crate) mod ping;
#[cfg(feature = "cache")]
pub(crate) mod response;
#[cfg(feature = "session")]
pub(crate) mod session;
#[cfg(feature = "key-value")]
pub(crate) mod value;
