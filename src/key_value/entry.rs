//! One value with settings of its own.

use std::{fmt, fmt::Display, time::Duration};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Codec, Json, KeyValue, LoadError, SetError, envelope::Head, load::Present, policy::LoadPolicy,
    read::Wanted,
};
use crate::{
    StoreError,
    store::{
        Key,
        operations::{
            tag::{KeepStamp, TagName},
            value::ValueKeys,
        },
    },
};

/// One value, to be read, set or loaded; made by [`KeyValue::entry`].
///
/// Settings that it does not make are those of its [`KeyValue`].
#[must_use = "an entry does nothing until it is read, set or loaded"]
pub struct Entry<'a, C = Json> {
    values: &'a KeyValue<C>,
    key: Key,
    tags: Vec<TagName>,
    policy: LoadPolicy,
}

impl<'a, C: Codec> Entry<'a, C> {
    pub(super) fn new(values: &'a KeyValue<C>, key: Key) -> Self {
        Self {
            values,
            key,
            tags: Vec::new(),
            policy: values.policy,
        }
    }

    /// Sets how long the value is kept, at least a millisecond.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.policy.ttl = ttl;
        self
    }

    /// Sets the value's tags, which
    /// [`invalidate_tags`](KeyValue::invalidate_tags) takes. Each costs one more `GET` to read and
    /// an EVALSHA to write, in the same round trip. A tag's key lives as long as the value; when Redis
    /// evicts it, the value counts as missing.
    pub fn tags(mut self, tags: impl IntoIterator<Item = impl Display>) -> Self {
        self.tags.clear();
        for tag in tags.into_iter().map(TagName::new) {
            if !self.tags.contains(&tag) {
                self.tags.push(tag);
            }
        }
        self
    }

    /// See [`KeyValue::with_negative_ttl`].
    pub fn negative_ttl(mut self, ttl: Duration) -> Self {
        self.policy.negative_ttl = ttl;
        self
    }

    /// See [`KeyValue::with_jitter`].
    pub fn jitter(mut self, part: f64) -> Self {
        self.policy.jitter = part;
        self
    }

    /// See [`KeyValue::with_early_refresh`].
    pub fn early_refresh(mut self, beta: f64) -> Self {
        self.policy.early_refresh = beta;
        self
    }

    /// See [`KeyValue::with_stale_while_revalidate`].
    pub fn stale_while_revalidate(mut self, window: Duration) -> Self {
        self.policy.stale_while_revalidate = window;
        self
    }

    /// See [`KeyValue::with_stale_on_error`].
    pub fn stale_on_error(mut self, window: Duration) -> Self {
        self.policy.stale_on_error = window;
        self
    }

    /// See [`KeyValue::with_load_timeout`].
    pub fn load_timeout(mut self, limit: Duration) -> Self {
        self.policy.load_timeout = limit;
        self
    }

    /// See [`KeyValue::with_budget`].
    pub fn budget(mut self, budget: Duration) -> Self {
        self.policy.budget = Some(budget);
        self
    }

    /// The value, which `loader` provides where there is none: as
    /// [`get_or_load`](KeyValue::get_or_load), with the settings of this entry.
    ///
    /// ```
    /// # use std::{convert::Infallible, time::Duration};
    /// # use tower_keep::{Store, key_value::{KeyValue, LIST_TTL}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let teams = KeyValue::new(Store::memory(), "team")?;
    /// let query = || async { Ok::<_, Infallible>(vec!["Ada".to_owned(), "Alan".to_owned()]) };
    /// let members = teams
    ///     .entry(7)
    ///     .ttl(LIST_TTL)
    ///     .tags(["user:ada", "user:alan"])
    ///     .stale_while_revalidate(Duration::from_secs(30))
    ///     .budget(Duration::from_secs(2))
    ///     .or_load(query)
    ///     .await?;
    /// assert_eq!(members, ["Ada", "Alan"]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`get_or_load`](KeyValue::get_or_load).
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime with a timer.
    pub async fn or_load<T, E, F, Fut>(self, loader: F) -> Result<T, LoadError<E>>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        let loader = || async { loader().await.map(Present) };
        let Present(value) = self.values.load(self.wanted(), loader).await?;
        Ok(value)
    }

    /// The value, which `loader` provides where there is none, or the fact that there is nothing,
    /// which is kept too, for the [negative TTL](KeyValue::with_negative_ttl). Where that is
    /// stored, [`get`](KeyValue::get) finds nothing.
    ///
    /// ```
    /// # use std::convert::Infallible;
    /// # use tower_keep::{Store, key_value::KeyValue};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let names = KeyValue::new(Store::memory(), "name")?;
    /// let query = || async { Ok::<_, Infallible>(None::<String>) };
    /// assert_eq!(names.entry("nobody").or_load_optional(query).await?, None);
    /// // For a minute, nobody asks the database.
    /// assert!(names.exists("nobody").await?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`get_or_load`](KeyValue::get_or_load).
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime with a timer.
    pub async fn or_load_optional<T, E, F, Fut>(self, loader: F) -> Result<Option<T>, LoadError<E>>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<Option<T>, E>> + Send + 'static,
    {
        self.values.load(self.wanted(), loader).await
    }

    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            key: &self.key,
            tags: &self.tags,
            policy: &self.policy,
        }
    }

    /// The value, if there is one that reads as a `T` and is not stale, as [`KeyValue::get`]: with its
    /// tags named it takes one round trip.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn get<T: DeserializeOwned>(self) -> Result<Option<T>, StoreError> {
        let wanted = Wanted {
            policy: &self.values.policy,
            ..self.wanted()
        };
        self.values.get_wanted(wanted).await
    }

    /// Sets the value for its [`ttl`](Self::ttl), as [`KeyValue::set`]. With tags, two round trips:
    /// their stamps come first.
    ///
    /// # Errors
    ///
    /// When the codec cannot write the value, or the store fails or has no room for it.
    pub async fn set<T: Serialize + ?Sized>(self, value: &T) -> Result<(), SetError> {
        let ttl = self.policy.ttl;
        let mut head = Head {
            schema: self.values.schema,
            ..Head::default()
        };
        let keep = self.values.keep_stamps(&self.tags, ttl);
        let stamps = match keep.is_empty() {
            true => Vec::new(),
            false => self.values.store.execute(keep).await,
        };
        for (tag, stamp) in self.tags.into_iter().zip(stamps) {
            head.tags.push((tag, stamp?));
        }
        let value = self.values.encode_with(&head, Some(value));
        let value = value.map_err(SetError::Encode)?;
        let keys = ValueKeys::new(self.values.store.names(), self.key);
        self.values.put(keys, value, Some(ttl)).await
    }
}

impl<C: Codec> KeyValue<C> {
    /// Asks for the stamps of a value that lives for `ttl`.
    pub(super) fn keep_stamps(&self, tags: &[TagName], ttl: Duration) -> Vec<KeepStamp> {
        let names = self.store.names();
        let keep = |tag: &TagName| KeepStamp::new(tag.key(names), ttl);
        tags.iter().map(keep).collect()
    }
}

impl<C> fmt::Debug for Entry<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the key, which may name a person.
        f.debug_struct("Entry")
            .field("values", self.values)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
