//! What an operator asks of a store: which keys there are, what stands under them, for how long,
//! what takes the memory, and what was slow.
//!
//! ```
//! use std::time::Duration;
//! use tower_keep::{Store, inspect::Inspector};
//! # #[cfg(feature = "key-value")]
//! use tower_keep::key_value::KeyValue;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Store::memory();
//! # #[cfg(feature = "key-value")] {
//! KeyValue::new(store.clone(), "user")?.set(42, "ada", Duration::from_secs(60)).await?;
//!
//! let inspector = Inspector::new(store);
//! let mut keys = inspector.keys("user:*");
//! while let Some(name) = keys.next().await {
//!     let name = name?;
//!     println!("{name}: {:?}, {:?}", inspector.value(&name).await?, inspector.ttl(&name).await?);
//! }
//! assert_eq!(inspector.value("user:42").await?.unwrap()["value"], "ada");
//! # }
//! # Ok(()) }
//! ```
//!
//! # Rules
//!
//! 1. **Names are those inside the namespace**: `user:42` is `keep:user:42` in Redis. Nothing outside
//!    of it is shown, read or removed.
//! 2. **Production stands it.** Keys are looked for with SCAN, a page at a time, and removed with UNLINK;
//!    KEYS, FLUSHDB and FLUSHALL are never sent. Each call takes the store's deadline at most; a
//!    walk over all keys takes it for each page.
//! 3. **All servers.** On a cluster each master is asked, one after another where keys are walked.
//! 4. **Rights.** It sends commands that the service itself does not need; the README lists them, for a
//!    user of its own.
//! 5. Ids that are secrets are hashes in key names. Values are shown as they are: they are the
//!    users' data.
//!
//! What belongs to one kind of data is asked there: a user's refresh tokens of
//! `RefreshTokens::list`, for example.

mod decode;
mod inspector;
mod keys;

pub use inspector::{Inspector, ServerAnswer, ServerMemory, SlowCommand, Ttl};
pub use keys::Keys;
