//! Typed values with an expiry: the cache between an application and its database.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use serde::{Deserialize, Serialize};
//! use tower_keep::{Store, key_value::{KeyValue, USER_DATA_TTL}};
//!
//! #[derive(Serialize, Deserialize)]
//! struct User {
//!     name: String,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Keys are `keep:user:42` and so on.
//! let users = KeyValue::new(Store::memory(), "user")?;
//!
//! // Cache-aside: concurrent calls for one user share one query.
//! let query = || async { Ok::<_, Infallible>(User { name: "Ada".to_owned() }) };
//! let user = users.get_or_load(42, USER_DATA_TTL, query).await?;
//! assert_eq!(user.name, "Ada");
//!
//! // After a change in the database: the next call loads anew.
//! users.del(42).await?;
//! assert!(!users.exists(42).await?);
//! # Ok(()) }
//! ```
//!
//! # Rules
//!
//! 1. **Every value expires.** [`USER_DATA_TTL`] and [`LIST_TTL`] are the times to take where
//!    nothing speaks for others.
//! 2. **Unreadable is absent.** A value of another [schema](KeyValue::with_schema), or one that
//!    does not read as the type asked for, is a miss and is overwritten; it is never an error.
//! 3. **One load per process.** Concurrent [`get_or_load`](KeyValue::get_or_load) calls for one
//!    key on clones of one [`KeyValue`] call one loader, in a task of its own. It goes on when
//!    its callers leave, and nobody waits for it longer than the
//!    [load timeout](KeyValue::with_load_timeout). Its error, and its panic as an error, reach
//!    all who wait and are not stored.
//! 4. **Nothing out of date is stored.** A [`set`](KeyValue::set) or [`del`](KeyValue::del)
//!    while a load runs, in whichever process, ends it: its callers get what it found, the store
//!    does not.
//! 5. **A store that fails** is an error of `get`, `set`, `del` and `exists`. `get_or_load` goes
//!    to the loader once one of its calls has failed, which takes at most the store's deadline,
//!    and asks the store no more.
//!
//! So write to the database first and `del` then; when the `del` fails, what was cached may be
//! served until it expires, so let the client try again.
//!
//! # Keys
//!
//! `{namespace}:{prefix}:{id}`, and while a value is being loaded
//! `{namespace}:lease:{…}` beside it, for at most the load timeout. Any text is an id, of any
//! length: `%`, `:`, `{` and `}` are percent-encoded, and an id of more than 128 bytes stands in
//! the key as `%sha256=` and its SHA-256. Other ids are visible in the store: one that is a
//! secret has to be hashed before. The prefixes of the crate's other data are
//! [refused](PrefixError::Reserved).
//!
//! Who can make a server load can make it load for up to the load timeout, without staying: a
//! loader whose source is slow, or an id that anybody may invent, wants a rate limit in front.

mod envelope;
mod error;
mod load;
mod prefix;
mod service;

use std::time::Duration;

pub use error::{LoadError, SetError};
pub use prefix::PrefixError;
pub use service::KeyValue;

/// How long to keep what describes one thing, a user for example: 1 hour.
pub const USER_DATA_TTL: Duration = Duration::from_secs(3600);

/// How long to keep lists and search results, which change more often: 5 minutes.
pub const LIST_TTL: Duration = Duration::from_secs(300);
