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
//! 4. **Rights.** It sends commands that no service needs; the README lists them, for a user of its
//!    own.
//! 5. Ids that are secrets are hashes in key names. Values are shown as they are: they are the
//!    users' data.
//!
//! # What belongs to one kind of data
//!
//! It is asked of the service that keeps it, which the inspector makes for its store. Each comes
//! with the feature of its name.
//!
//! | Asked | Call |
//! |---|---|
//! | the sessions of a user, ending one or all | [`user_sessions`](Inspector::user_sessions) |
//! | a user's refresh tokens, revoking some or all | [`refresh_tokens`](Inspector::refresh_tokens) |
//! | what is left of a limit, giving it back | [`rate_limiter`](Inspector::rate_limiter) |
//! | purging a URI or a tag, also softly | [`cache`](Inspector::cache) |
//!
//! These send the commands of their services and need the rights of the README's service user.

mod decode;
mod inspector;
mod keys;
#[cfg(any(
    feature = "cache",
    feature = "rate-limit",
    feature = "refresh-token",
    feature = "session"
))]
mod services;

pub use inspector::{Inspector, ServerAnswer, ServerMemory, SlowCommand, Ttl};
pub use keys::Keys;
