//! Writing and deleting.

use std::{fmt::Display, time::Duration};

use bytes::Bytes;
use serde::Serialize;

use super::{
    Codec, CodecError, KeyValue, SetError,
    envelope::{self, Head},
    pieces::Pieces,
};
use crate::{
    StoreError,
    store::operations::{
        tag::{RemoveStamp, TagName},
        value::{Del, Expire, Set, ValueKeys},
    },
};

impl<C: Codec> KeyValue<C> {
    /// Sets the value of `id` for `ttl`, at least a millisecond. One EVALSHA, one round trip.
    ///
    /// ```
    /// # use tower_keep::{Store, key_value::{KeyValue, USER_DATA_TTL}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let names = KeyValue::new(Store::memory(), "name")?;
    /// names.set(42, "Ada", USER_DATA_TTL).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When the codec cannot write the value, or the store fails or has no room for it.
    pub async fn set<T: Serialize + ?Sized>(
        &self,
        id: impl Display,
        value: &T,
        ttl: Duration,
    ) -> Result<(), SetError> {
        let value = self.encode(value)?;
        self.put(self.keys(id), value, Some(ttl)).await
    }

    /// Sets the value of `id` until it is deleted. Nothing else in this crate writes a key that
    /// does not expire: such values fill the server if nobody deletes them, and a server that
    /// evicts only what has a TTL keeps them before all else. One EVALSHA, one round trip.
    ///
    /// ```
    /// # use tower_keep::{Store, key_value::{Expiry, KeyValue}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let settings = KeyValue::new(Store::memory(), "setting")?;
    /// settings.set_without_ttl("theme", "dark").await?;
    /// assert_eq!(settings.ttl("theme").await?, Some(Expiry::Never));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`set`](Self::set).
    pub async fn set_without_ttl<T: Serialize + ?Sized>(
        &self,
        id: impl Display,
        value: &T,
    ) -> Result<(), SetError> {
        let value = self.encode(value)?;
        self.put(self.keys(id), value, None).await
    }

    /// Deletes the value of `id`; whether there was one. A load that is under way, in whichever
    /// process, will not be stored. One EVALSHA, one round trip.
    ///
    /// ```
    /// # use tower_keep::{Store, key_value::{KeyValue, USER_DATA_TTL}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let names = KeyValue::new(Store::memory(), "name")?;
    /// names.set(42, "Ada", USER_DATA_TTL).await?;
    /// assert!(names.del(42).await?);
    /// assert!(!names.del(42).await?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When the store fails: the value may still be there.
    pub async fn del(&self, id: impl Display) -> Result<bool, StoreError> {
        let keys = self.keys(id);
        self.loads.forget(&keys.value);
        self.store.execute(Del(keys)).await
    }

    /// Lets the value of `id` expire `ttl` from now, at least a millisecond, whatever it had before;
    /// whether there is a value. The time for which it may be served stale is part of that. One
    /// `PEXPIRE`, one round trip.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tower_keep::{Store, key_value::{KeyValue, USER_DATA_TTL}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let names = KeyValue::new(Store::memory(), "name")?;
    /// names.set(42, "Ada", USER_DATA_TTL).await?;
    /// assert!(names.expire(42, Duration::from_secs(5)).await?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn expire(&self, id: impl Display, ttl: Duration) -> Result<bool, StoreError> {
        let key = self.key(id);
        let ttl = at_least_a_millisecond(ttl);
        self.store.execute(Expire { key, ttl }).await
    }

    /// Makes every value with one of these [tags](super::Entry::tags) missing, whatever its prefix,
    /// in every process. What loads that are under way find is for those who called before, and not
    /// kept; a later call waits for their end and loads anew. One `UNLINK` for each tag, whatever the
    /// number of its values, in one round trip for up to 1,024 tags, on a cluster one for each shard.
    ///
    /// ```
    /// # use std::convert::Infallible;
    /// # use tower_keep::{Store, key_value::KeyValue};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let names = KeyValue::new(Store::memory(), "name")?;
    /// let entry = || names.entry(42).tags(["team:7"]);
    /// entry().set("Ada").await?;
    /// names.invalidate_tags(["team:7"]).await?;
    /// assert_eq!(entry().get::<String>().await?, None);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When the store fails for one of them: its values may still be there.
    pub async fn invalidate_tags(
        &self,
        tags: impl IntoIterator<Item = impl Display>,
    ) -> Result<(), StoreError> {
        let names = self.store.names();
        let remove = |tag| RemoveStamp(TagName::new(tag).key(names));
        let mut pieces = Pieces::new(tags.into_iter().map(remove).collect());
        while let Some(removes) = pieces.next(|_| 0) {
            let removed = self.store.execute(removes).await;
            removed.into_iter().collect::<Result<(), _>>()?;
        }
        Ok(())
    }

    pub(super) async fn put(
        &self,
        keys: ValueKeys,
        value: Bytes,
        ttl: Option<Duration>,
    ) -> Result<(), SetError> {
        self.loads.forget(&keys.value);
        let ttl = ttl.map(at_least_a_millisecond);
        Ok(self.store.execute(Set { keys, value, ttl }).await?)
    }

    pub(super) fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Bytes, SetError> {
        let head = Head {
            schema: self.schema,
            ..Head::default()
        };
        self.encode_with(&head, Some(value))
            .map_err(SetError::Encode)
    }

    pub(super) fn encode_with<T: Serialize + ?Sized>(
        &self,
        head: &Head,
        value: Option<&T>,
    ) -> Result<Bytes, CodecError> {
        envelope::encode(&self.codec, head, value)
    }
}

/// What Redis can keep a value for.
pub(super) fn at_least_a_millisecond(ttl: Duration) -> Duration {
    ttl.max(Duration::from_millis(1))
}
