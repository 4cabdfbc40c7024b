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
//! // Cache-aside: concurrent calls for one user share one query, over all processes.
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
//! An [`entry`](KeyValue::entry) has settings of its own: tags, a budget, windows in which a stale
//! value is better than none. The [guide](crate::guide) shows what each call of a hand-written Redis
//! service becomes.
//!
//! # Rules
//!
//! 1. **Every value expires**, but for those of [`set_without_ttl`](KeyValue::set_without_ttl).
//!    [`USER_DATA_TTL`] and [`LIST_TTL`] are good defaults.
//! 2. **What cannot be read is missing.** A value of another [schema](KeyValue::with_schema) or
//!    [codec](KeyValue::with_codec), or one that does not read as the type asked for, is a miss and
//!    is overwritten; it is never an error.
//! 3. **One load over all processes.** Concurrent [`get_or_load`](KeyValue::get_or_load) calls for
//!    one key on clones of one [`KeyValue`] share one load, in a task of its own. Processes share it
//!    by a lease in the store. It goes on when its callers leave, and nobody waits for it longer
//!    than the [load timeout](KeyValue::with_load_timeout). Its error, and its panic as an error,
//!    reach all who wait in its process, and are not stored. A process that dies is replaced
//!    within five seconds.
//! 4. **Nothing out of date is stored.** A [`set`](KeyValue::set), a [`del`](KeyValue::del) or
//!    an [`invalidate_tags`](KeyValue::invalidate_tags) while a load runs, in whichever process,
//!    is not undone by it: its callers get what it found, the store does not keep it. The lease's
//!    token, which the storing script checks, is the fence. A call that begins after such a change
//!    does not get what was before it either, but from a store that it cannot reach: then it may
//!    get what a load finds that has begun before it.
//! 5. **A store that fails** is an error of `get`, `set`, `del` and the others. `get_or_load` goes
//!    to the loader once one of its calls has failed, which takes at most the store's deadline,
//!    and asks the store no more.
//! 6. **A source that fails** is asked by every call that has nothing else. Where a
//!    [stale value](KeyValue::with_stale_while_revalidate) may be served, it is asked again after
//!    pauses of 1 to 30 seconds.
//! 7. **Many at once** are one round trip for up to 1,024 and 1 MiB; more go in pieces, one after another,
//!    and a piece that fails is the last.
//!
//! So write to the database first and `del` then; when the `del` fails, what was cached may be
//! served until it expires, so let the client try again.
//!
//! # Keys
//!
//! | Key | What it is | How long it lives |
//! |---|---|---|
//! | `{namespace}:{prefix}:{id}` | a value: a line of JSON with its schema, then the value | its TTL, and the longest of its windows |
//! | `{namespace}:lease:{…}` | the token of the load that may store it, in its slot | 5 seconds, renewed while the load runs |
//! | `{namespace}:tag:{tag}` | a random stamp, which the values of the tag hold | as long as they |
//!
//! Any text is an id or a tag, of any length: `%`, `:`, `{` and `}` are percent-encoded, and one of
//! more than 128 bytes is replaced by `%sha256=` and its SHA-256. Shorter ones are visible in the
//! store: one that is a secret has to be hashed before. The prefixes of the crate's other data are
//! [refused](PrefixError::Reserved).
//!
//! Who can make a server load can make it load for up to the load timeout, without staying: a
//! loader whose source is slow, or an id that anybody may invent, wants a rate limit in front. Ids that
//! do not exist leave nothing behind, or for the [negative TTL](KeyValue::with_negative_ttl) a key
//! each if they are loaded by [`or_load_optional`](Entry::or_load_optional).

mod codec;
mod entry;
mod envelope;
mod error;
mod load;
mod many;
mod pieces;
mod policy;
mod prefix;
mod read;
mod service;
mod write;

use std::time::Duration;

pub use crate::store::operations::value::Expiry;
pub use codec::{Codec, CodecError, Json};
pub use entry::Entry;
pub use error::{LoadError, SetError};
pub use prefix::PrefixError;
pub use service::KeyValue;

/// How long to keep what describes one thing, a user for example: 1 hour.
pub const USER_DATA_TTL: Duration = Duration::from_secs(3600);

/// How long to keep lists and search results, which change more often: 5 minutes.
pub const LIST_TTL: Duration = Duration::from_secs(300);
