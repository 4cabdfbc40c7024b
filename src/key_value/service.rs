//! The handle: read, write, delete.

use std::{
    fmt::{self, Display},
    sync::Arc,
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    PrefixError,
    envelope::{self, Unreadable},
    flight::Flights,
    prefix,
};
use crate::{
    Store, StoreError,
    store::operations::value::{Del, Exists, Get, Place, Set},
};

/// Values of one kind, under one prefix. Clones are cheap and share their loads.
///
/// See the [module](super) for the rules.
#[derive(Clone)]
pub struct KeyValue {
    pub(super) store: Store,
    prefix: Arc<str>,
    pub(super) schema: u32,
    pub(super) flights: Arc<Flights>,
}

/// Why a value was not set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// It cannot be written as JSON: a map whose keys are no strings, or a failing `Serialize`.
    #[error("the value cannot be serialized: {0}")]
    Serialize(#[source] serde_json::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl KeyValue {
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
            flights: Arc::default(),
        })
    }

    /// Sets the version of the values' form. Raise it when a change of the type would make old
    /// values read wrongly; they are misses from then on.
    #[must_use]
    pub fn with_schema(self, schema: u32) -> Self {
        Self { schema, ..self }
    }

    /// The value of `id`, if there is one that reads as a `T`. One `GET`, one round trip.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn get<T: DeserializeOwned>(
        &self,
        id: impl Display,
    ) -> Result<Option<T>, StoreError> {
        self.read(&self.place(id)).await
    }

    /// Sets the value of `id` for `ttl`, at least a millisecond. One EVALSHA, one round trip.
    ///
    /// # Errors
    ///
    /// When the value cannot be written as JSON, or the store fails.
    pub async fn set<T: Serialize + ?Sized>(
        &self,
        id: impl Display,
        value: &T,
        ttl: Duration,
    ) -> Result<(), SetError> {
        let value = envelope::encode(self.schema, value).map_err(SetError::Serialize)?;
        let place = self.place(id);
        self.flights.forget(&place.value);
        let ttl = at_least_a_millisecond(ttl);
        Ok(self.store.execute(Set { place, value, ttl }).await?)
    }

    /// Deletes the value of `id`; whether there was one. One EVALSHA, one round trip.
    ///
    /// # Errors
    ///
    /// When the store fails: the value may still be there.
    pub async fn del(&self, id: impl Display) -> Result<bool, StoreError> {
        let place = self.place(id);
        self.flights.forget(&place.value);
        self.store.execute(Del(place)).await
    }

    /// Whether `id` has a value, readable or not. One `EXISTS`, one round trip.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn exists(&self, id: impl Display) -> Result<bool, StoreError> {
        self.store.execute(Exists(self.place(id).value)).await
    }

    pub(super) fn place(&self, id: impl Display) -> Place {
        Place::new(self.store.names(), &format!("{}:{id}", self.prefix))
    }

    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        place: &Place,
    ) -> Result<Option<T>, StoreError> {
        let stored = self.store.execute(Get(place.value.clone())).await?;
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
            .finish_non_exhaustive()
    }
}
