//! The handle: read, write, delete.

use std::{
    fmt::{self, Display},
    sync::Arc,
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    PrefixError, SetError,
    envelope::{self, Unreadable},
    load::Loads,
    prefix,
};
use crate::{
    Store, StoreError,
    store::{
        Key,
        operations::value::{self, Del, Exists, Get, Set, ValueKeys},
    },
};

/// Values of one kind, under one prefix. Clones are cheap and share their loads.
///
/// See the [module](super) for the rules.
#[derive(Clone)]
pub struct KeyValue {
    pub(super) store: Store,
    prefix: Arc<str>,
    pub(super) schema: u32,
    pub(super) load_timeout: Duration,
    pub(super) loads: Arc<Loads>,
}

impl KeyValue {
    /// How long a load may take unless [`with_load_timeout`](Self::with_load_timeout) says
    /// otherwise: a minute.
    pub const DEFAULT_LOAD_TIMEOUT: Duration = Duration::from_secs(60);

    /// Values whose keys start with `prefix`, `user` for example, in `store`. The schema is 1.
    ///
    /// # Errors
    ///
    /// When `prefix` is not 1 to 64 of `a-z A-Z 0-9 . _ -` with `:` between them, or its first
    /// part is one of those of the crate's own data.
    pub fn new(store: Store, prefix: &str) -> Result<Self, PrefixError> {
        prefix::check(prefix)?;
        Ok(Self {
            store,
            prefix: prefix.into(),
            schema: 1,
            load_timeout: Self::DEFAULT_LOAD_TIMEOUT,
            loads: Arc::default(),
        })
    }

    /// Sets the version of the values' form. Raise it when a change of the type would make old
    /// values read wrongly; they are misses from then on.
    #[must_use]
    pub fn with_schema(self, schema: u32) -> Self {
        Self { schema, ..self }
    }

    /// Sets how long [`get_or_load`](Self::get_or_load) may take to load a value, from calling
    /// the loader to its end: then the loader is dropped, and all calls that wait for it get
    /// [`LoadError::TimedOut`](super::LoadError::TimedOut). A minute by default.
    #[must_use]
    pub fn with_load_timeout(self, load_timeout: Duration) -> Self {
        Self {
            load_timeout,
            ..self
        }
    }

    /// The value of `id`, if there is one that reads as a `T`. One `MGET` of one key, one round
    /// trip.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn get<T: DeserializeOwned>(
        &self,
        id: impl Display,
    ) -> Result<Option<T>, StoreError> {
        self.read(&self.key(id)).await
    }

    /// Sets the value of `id` for `ttl`, at least a millisecond. One EVALSHA, one round trip.
    ///
    /// # Errors
    ///
    /// When the value cannot be written as JSON, or the store fails or has no room for it.
    pub async fn set<T: Serialize + ?Sized>(
        &self,
        id: impl Display,
        value: &T,
        ttl: Duration,
    ) -> Result<(), SetError> {
        let value = envelope::encode(self.schema, value).map_err(SetError::Serialize)?;
        let keys = self.keys(id);
        self.loads.forget(&keys.value);
        let ttl = at_least_a_millisecond(ttl);
        Ok(self.store.execute(Set { keys, value, ttl }).await?)
    }

    /// Deletes the value of `id`; whether there was one. One EVALSHA, one round trip.
    ///
    /// # Errors
    ///
    /// When the store fails: the value may still be there.
    pub async fn del(&self, id: impl Display) -> Result<bool, StoreError> {
        let keys = self.keys(id);
        self.loads.forget(&keys.value);
        self.store.execute(Del(keys)).await
    }

    /// Whether `id` has a value, readable or not. One `EXISTS`, one round trip.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn exists(&self, id: impl Display) -> Result<bool, StoreError> {
        self.store.execute(Exists(self.key(id))).await
    }

    pub(super) fn key(&self, id: impl Display) -> Key {
        value::key(self.store.names(), &self.prefix, id)
    }

    fn keys(&self, id: impl Display) -> ValueKeys {
        ValueKeys::new(self.store.names(), self.key(id))
    }

    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        key: &Key,
    ) -> Result<Option<T>, StoreError> {
        let stored = self.store.execute(Get(key.clone())).await?;
        Ok(stored.and_then(|bytes| self.decode(&bytes)))
    }

    pub(super) fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Option<T> {
        // Neither the key, which may name a person, nor serde's message, which may quote the value.
        let report = |why: &Unreadable| match why {
            Unreadable::Schema(version) => {
                tracing::debug!(target: "tower_keep::key_value", prefix = &*self.prefix, version, "a value of another schema counts as absent");
            }
            Unreadable::Corrupt => {
                tracing::warn!(target: "tower_keep::key_value", prefix = &*self.prefix, "a value does not read as its type and counts as absent");
            }
        };
        envelope::decode(self.schema, bytes)
            .inspect_err(report)
            .ok()
    }

    pub(super) fn report(&self, error: &StoreError, consequence: &'static str) {
        tracing::warn!(target: "tower_keep::key_value", prefix = &*self.prefix, %error, "{consequence}");
    }
}

/// What Redis can keep a value for.
pub(super) fn at_least_a_millisecond(ttl: Duration) -> Duration {
    ttl.max(Duration::from_millis(1))
}

impl fmt::Debug for KeyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyValue")
            .field("store", &self.store)
            .field("prefix", &self.prefix)
            .field("schema", &self.schema)
            .field("load_timeout", &self.load_timeout)
            .finish_non_exhaustive()
    }
}
