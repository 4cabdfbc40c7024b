//! The handle.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;

use super::{Keys, decode, keys::Pages};
use crate::store::{
    Key, Server, Store, StoreError,
    inspect::{
        Life, MemoryFacts, ReadLife, ReadMemory, ReadSlowLog, ReadType, ReadValue, ReadWeight,
        Remove, Type,
    },
    operations,
};

/// The most bytes of a string that are read.
const BYTES: usize = 1 << 20;
/// About how many parts of anything else.
const PARTS: usize = 1_000;
/// The most characters of a slow command.
const COMMAND: usize = 512;

/// Asks a store what an operator wants to know. See the [module](super) for the rules.
#[derive(Debug, Clone)]
pub struct Inspector {
    pub(super) store: Store,
}

/// How long a key lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ttl {
    /// There is no such key.
    NoKey,
    /// It never expires.
    Eternal,
    /// So much longer.
    For(Duration),
}

/// Whether a server has answered.
#[derive(Debug)]
#[non_exhaustive]
pub struct ServerAnswer {
    /// Where the master of a cluster's shard listens; `None` for anything else.
    pub address: Option<Box<str>>,
    /// How long the answer took, or why there is none.
    pub latency: Result<Duration, StoreError>,
}

/// What a server's memory is used for, by all its applications.
#[derive(Debug)]
#[non_exhaustive]
pub struct ServerMemory {
    /// Where the master of a cluster's shard listens; `None` for anything else.
    pub address: Option<Box<str>>,
    /// How many keys there are.
    pub keys: u64,
    /// Bytes in use.
    pub used: u64,
    /// The most bytes that ever were.
    pub peak: u64,
    /// The bound in bytes, if there is one.
    pub max: Option<u64>,
    /// What happens at the bound: Redis' `maxmemory-policy`.
    pub policy: Box<str>,
}

/// A command that was slower than the server's `slowlog-log-slower-than`.
#[derive(Debug)]
#[non_exhaustive]
pub struct SlowCommand {
    /// Where the master of a cluster's shard listens; `None` for anything else.
    pub address: Option<Box<str>>,
    /// When it was executed, by the server's clock.
    pub at: SystemTime,
    /// How long that took, without the network.
    pub took: Duration,
    /// Its words, at most 512 characters of them.
    pub command: String,
}

impl Inspector {
    /// Asks `store`, about its namespace.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    fn key(&self, name: &str) -> Key {
        Key::whole(&format!("{}:{name}", self.store.namespace()))
    }

    /// Asks each server for a sign of life. One `DBSIZE` a server. Of a cluster that has never told
    /// which servers it has, one answer without an address says why.
    pub async fn ping(&self) -> Vec<ServerAnswer> {
        let servers = match self.store.servers().await {
            Ok(servers) => servers,
            Err(error) => {
                return vec![ServerAnswer {
                    address: None,
                    latency: Err(error),
                }];
            }
        };
        let answers = servers
            .into_iter()
            .map(|Server { address, store }| async move {
                let start = Instant::now();
                let answer = store.ping().await;
                ServerAnswer {
                    address,
                    latency: answer.map(|()| start.elapsed()),
                }
            });
        join_all(answers).await
    }

    /// The names that match `pattern`, as Redis' SCAN reads it: `*`, `?`, `[a-z]`, and `\` before
    /// what stands for itself. One `SCAN` a page of about 500 keys.
    pub fn keys(&self, pattern: &str) -> Keys {
        Keys::new(self.store.clone(), pattern)
    }

    /// What stands under a key, as JSON: values of the key-value service as `head` and `value`,
    /// stored responses with status and fields, families of refresh tokens and sessions with their
    /// times (in milliseconds since 1970) and whom they are for, other text as it is, and what is none
    /// in base64. Of a string the first MiB, of anything else about the first thousand parts. Embedded
    /// memory shows values of the key-value service, and of other kinds, which it does not keep in
    /// a form of their own as Redis does, that they are there: the [services](super) show them on every
    /// store. `TYPE`, then `GETRANGE`, `HSCAN`, `SSCAN` or `ZRANGE`: two round trips.
    ///
    /// # Errors
    ///
    /// Any [`StoreError`].
    pub async fn value(&self, name: &str) -> Result<Option<serde_json::Value>, StoreError> {
        let key = self.key(name);
        let kind = self.store.execute(ReadType(key.clone())).await?;
        match kind {
            Type::None => Ok(None),
            Type::Other(name) => Ok(Some(serde_json::json!({ "type": name }))),
            kind => {
                let read = ReadValue {
                    key,
                    kind,
                    bytes: BYTES,
                    parts: PARTS,
                };
                Ok(decode::found(name, self.store.execute(read).await?))
            }
        }
    }

    /// How long a key lives. `PTTL`.
    ///
    /// # Errors
    ///
    /// Any [`StoreError`].
    pub async fn ttl(&self, name: &str) -> Result<Ttl, StoreError> {
        Ok(match self.store.execute(ReadLife(self.key(name))).await? {
            Life::NoKey => Ttl::NoKey,
            Life::Eternal => Ttl::Eternal,
            Life::For(left) => Ttl::For(left),
        })
    }

    /// The bytes that a key takes, by Redis' estimate; `None` without the key, and on embedded
    /// memory. `MEMORY USAGE`.
    ///
    /// # Errors
    ///
    /// Any [`StoreError`].
    pub async fn size(&self, name: &str) -> Result<Option<u64>, StoreError> {
        self.store.execute(ReadWeight(self.key(name))).await
    }

    /// What each server's memory is used for. `INFO memory` and `DBSIZE`, a server.
    ///
    /// # Errors
    ///
    /// Any [`StoreError`], of the first server that fails.
    pub async fn memory(&self) -> Result<Vec<ServerMemory>, StoreError> {
        let servers = self.store.servers().await?;
        let facts = join_all(
            servers
                .iter()
                .map(|server| server.store.execute(ReadMemory)),
        )
        .await;
        let facts = servers.into_iter().zip(facts);
        let facts = facts.map(|(server, facts)| {
            let MemoryFacts {
                keys,
                used,
                peak,
                max,
                policy,
            } = facts?;
            Ok(ServerMemory {
                address: server.address,
                keys,
                used,
                peak,
                max: (max > 0).then_some(max),
                policy,
            })
        });
        facts.collect()
    }

    /// The slowest commands that each server remembers, at most `count` a server, the slowest
    /// first. Of a log that is longer than 1,000 entries (Redis' `slowlog-max-len`, 128 by
    /// default) the newest 1,000 are looked at. `SLOWLOG GET`, a server. Embedded memory has none.
    ///
    /// # Errors
    ///
    /// Any [`StoreError`], of the first server that fails.
    pub async fn slow_commands(&self, count: u32) -> Result<Vec<SlowCommand>, StoreError> {
        let servers = self.store.servers().await?;
        let most = usize::try_from(count).unwrap_or(usize::MAX);
        let logs = servers
            .iter()
            .map(|server| server.store.execute(ReadSlowLog));
        let logs = join_all(logs).await;
        let mut slow = Vec::new();
        for (server, log) in servers.into_iter().zip(logs) {
            // The server answers them by age.
            let mut log = log?;
            log.sort_by_key(|entry| std::cmp::Reverse(entry.took));
            slow.extend(log.into_iter().take(most).map(|entry| SlowCommand {
                address: server.address.clone(),
                at: UNIX_EPOCH + Duration::from_secs(entry.at),
                took: entry.took,
                command: words(&entry.words),
            }));
        }
        slow.sort_by_key(|command| std::cmp::Reverse(command.took));
        Ok(slow)
    }

    /// Removes a key; whether there was one. A load of it that is under way, in whichever process,
    /// will not be stored. `UNLINK` of its lease, then of the key, in one round trip.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use tower_keep::{Store, inspect::Inspector};
    /// let inspector = Inspector::new(Store::memory());
    /// assert!(!inspector.delete("user:42").await?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Any [`StoreError`]: the key may be there or not.
    pub async fn delete(&self, name: &str) -> Result<bool, StoreError> {
        let key = self.key(name);
        let lease = operations::lease(self.store.names(), &key);
        let remove = |key: Key| Remove(vec![key.as_str().as_bytes().to_vec()]);
        let removed = self.store.execute((remove(lease), remove(key))).await;
        let (_leases, keys) = (removed.0?, removed.1?);
        Ok(keys > 0)
    }

    /// Removes every key of the namespace, and of those nested in it, a page at a time, and tells
    /// `progress` after each page how many keys that were so far. Answers how many in all.
    ///
    /// What is written meanwhile may stay, so stop the writers first or ask again. What was being
    /// loaded or fetched when this began is not stored: the leases of loads go before all else, in a
    /// walk of their own. It ends however much is written: it walks over the keys twice, by `SCAN`,
    /// and sends `UNLINK`s for each page with matches.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use tower_keep::{Store, inspect::Inspector};
    ///
    /// let store = Store::memory().with_namespace("shop-staging")?;
    /// let removed = Inspector::new(store)
    ///     .delete_namespace(|so_far| println!("{so_far} keys"))
    ///     .await?;
    /// assert_eq!(removed, 0);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Any [`StoreError`]. What was removed before stays removed; ask again for the rest.
    pub async fn delete_namespace(&self, mut progress: impl FnMut(u64)) -> Result<u64, StoreError> {
        let mut removed = 0;
        // A load that has no lease any more stores nothing. One that has stored before its lease was
        // found is there for all of the second walk, which so finds the value.
        for pattern in ["*lease:{*", "*"] {
            let mut pages = Pages::new(self.store.clone(), pattern);
            while let Some(page) = pages.next().await {
                let names = page?;
                if !names.is_empty() {
                    // By slot: a key may have moved to another server.
                    removed += self.store.execute(Remove(names)).await?;
                }
                progress(removed);
            }
        }
        Ok(removed)
    }
}

fn words(words: &[Vec<u8>]) -> String {
    let mut text = String::new();
    for word in words {
        if !text.is_empty() {
            text.push(' ');
        }
        let left = COMMAND.saturating_sub(text.chars().count());
        text.extend(String::from_utf8_lossy(word).chars().take(left));
    }
    text
}
