//! The handle and its settings.

use std::{
    fmt::{self, Display},
    sync::Arc,
    time::Duration,
};

use super::{
    Codec, Entry, Json, PrefixError, USER_DATA_TTL,
    envelope::PlainLine,
    load::{Failures, Loads},
    policy::LoadPolicy,
    prefix,
};
use crate::{
    Store, StoreError,
    store::{
        Key,
        operations::value::{self, ValueKeys},
    },
};

/// Values of one kind, under one prefix. Clones are cheap and share their loads.
///
/// See the [module](super) for the rules.
#[derive(Clone)]
pub struct KeyValue<C = Json> {
    pub(super) store: Store,
    pub(super) prefix: Arc<str>,
    pub(super) schema: u32,
    pub(super) plain: PlainLine,
    pub(super) codec: C,
    pub(super) policy: LoadPolicy,
    pub(super) loads: Arc<Loads>,
    pub(super) failures: Arc<Failures>,
}

impl KeyValue {
    /// How long a load may take unless [`with_load_timeout`](Self::with_load_timeout) says
    /// otherwise: a minute.
    pub const DEFAULT_LOAD_TIMEOUT: Duration = Duration::from_secs(60);

    /// How long it is kept that there is no value, unless
    /// [`with_negative_ttl`](Self::with_negative_ttl) says otherwise: a minute.
    pub const DEFAULT_NEGATIVE_TTL: Duration = Duration::from_secs(60);

    /// Values whose keys start with `prefix`, `user` for example, in `store`. The schema is 1, the
    /// form JSON.
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
            plain: PlainLine::new::<Json>(1),
            codec: Json,
            policy: LoadPolicy {
                ttl: USER_DATA_TTL,
                negative_ttl: Self::DEFAULT_NEGATIVE_TTL,
                jitter: 0.0,
                early_refresh: 0.0,
                stale_while_revalidate: Duration::ZERO,
                stale_on_error: Duration::ZERO,
                load_timeout: Self::DEFAULT_LOAD_TIMEOUT,
                budget: None,
            },
            loads: Arc::default(),
            failures: Arc::default(),
        })
    }
}

impl<C: Codec> KeyValue<C> {
    /// Sets the form in which values are stored. Values of another codec are misses from then on.
    #[must_use]
    pub fn with_codec<D: Codec>(self, codec: D) -> KeyValue<D> {
        KeyValue {
            store: self.store,
            prefix: self.prefix,
            schema: self.schema,
            plain: PlainLine::new::<D>(self.schema),
            codec,
            policy: self.policy,
            loads: self.loads,
            failures: self.failures,
        }
    }

    /// Sets the version of the values' form. Raise it when a change of the type would make old
    /// values read wrongly; they are misses from then on.
    #[must_use]
    pub fn with_schema(self, schema: u32) -> Self {
        Self {
            schema,
            plain: PlainLine::new::<C>(schema),
            ..self
        }
    }

    /// Sets how long an [`entry`](Self::entry) is kept unless it says so itself: an hour by default.
    #[must_use]
    pub fn with_ttl(self, ttl: Duration) -> Self {
        self.with(|policy| policy.ttl = ttl)
    }

    /// Sets how long it is kept that there is no value, which
    /// [`or_load_optional`](Entry::or_load_optional) finds: a minute by default.
    #[must_use]
    pub fn with_negative_ttl(self, ttl: Duration) -> Self {
        self.with(|policy| policy.negative_ttl = ttl)
    }

    /// Lets what is loaded expire earlier by up to `part` of its time to live, 0 to 1, at random,
    /// so that values that were loaded together do not expire together. 0 by default.
    #[must_use]
    pub fn with_jitter(self, part: f64) -> Self {
        self.with(|policy| policy.jitter = part)
    }

    /// Lets a value that is about to expire be loaded anew by a call that finds it, which does not
    /// wait for that. The closer the expiry and the longer the load took, the likelier: it is due
    /// when `now - cost * beta * ln(random)` is past the expiry (XFetch). 1 is a good `beta`;
    /// more is earlier; 0, the default, is never.
    #[must_use]
    pub fn with_early_refresh(self, beta: f64) -> Self {
        self.with(|policy| policy.early_refresh = beta)
    }

    /// Lets a loaded value be served for `window` after its time to live, while one of the calls
    /// that find it loads a new one in the background. Nothing by default.
    ///
    /// A load that fails, or whose value the store does not take, is not tried again at once: calls of
    /// this process that have a stale value get that alone for a second after the first failure, and
    /// for twice as long after each that follows, up to 30 seconds. The same goes for
    /// [early refresh](Self::with_early_refresh) and [stale on error](Self::with_stale_on_error); a
    /// call that finds no value always loads. The 1,024 values that failed last are remembered.
    #[must_use]
    pub fn with_stale_while_revalidate(self, window: Duration) -> Self {
        self.with(|policy| policy.stale_while_revalidate = window)
    }

    /// Lets a loaded value be served for `window` after its time to live when a new one cannot be
    /// loaded: the loader fails, panics or takes longer than the call's budget. Nothing by default.
    /// After a failure it is served without asking for
    /// [a while](Self::with_stale_while_revalidate).
    #[must_use]
    pub fn with_stale_on_error(self, window: Duration) -> Self {
        self.with(|policy| policy.stale_on_error = window)
    }

    /// Sets how long a load may take, from calling the loader to its end: then the loader is
    /// dropped, and all calls that wait for it get
    /// [`LoadError::TimedOut`](super::LoadError::TimedOut). No call waits for longer, be it for a
    /// load of its own, of another call or of another process. A minute by default.
    #[must_use]
    pub fn with_load_timeout(self, load_timeout: Duration) -> Self {
        self.with(|policy| policy.load_timeout = load_timeout)
    }

    /// Sets how long a single call may take. Then it gets a stale value, if it
    /// [may](Self::with_stale_on_error), or [`LoadError::TimedOut`](super::LoadError::TimedOut);
    /// the load goes on without it. No limit beside the load timeout by default.
    #[must_use]
    pub fn with_budget(self, budget: Duration) -> Self {
        self.with(|policy| policy.budget = Some(budget))
    }

    fn with(mut self, set: impl FnOnce(&mut LoadPolicy)) -> Self {
        set(&mut self.policy);
        self
    }

    /// One value with settings of its own, to be read, set or loaded.
    ///
    /// ```
    /// # use std::{convert::Infallible, time::Duration};
    /// # use tower_keep::{Store, key_value::KeyValue};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let names = KeyValue::new(Store::memory(), "name")?;
    /// let query = || async { Ok::<_, Infallible>("Ada".to_owned()) };
    /// let name = names
    ///     .entry(42)
    ///     .ttl(Duration::from_secs(300))
    ///     .tags(["team:7"])
    ///     .or_load(query)
    ///     .await?;
    /// assert_eq!(name, "Ada");
    /// # Ok(()) }
    /// ```
    pub fn entry(&self, id: impl Display) -> Entry<'_, C> {
        Entry::new(self, self.key(id))
    }

    pub(super) fn key(&self, id: impl Display) -> Key {
        value::key(self.store.names(), &self.prefix, id)
    }

    pub(super) fn keys(&self, id: impl Display) -> ValueKeys {
        ValueKeys::new(self.store.names(), self.key(id))
    }

    pub(super) fn report(&self, error: &StoreError, consequence: &'static str) {
        tracing::warn!(target: "tower_keep::key_value", prefix = &*self.prefix, %error, "{consequence}");
    }
}

impl<C> fmt::Debug for KeyValue<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyValue")
            .field("store", &self.store)
            .field("prefix", &self.prefix)
            .field("schema", &self.schema)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
