//! Reading what is stored, without loading.

use std::{collections::HashMap, fmt::Display};

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::{
    Codec, KeyValue,
    envelope::{Head, Opened, Unreadable},
    policy::{Freshness, LoadPolicy, Serve},
};
use crate::{
    StoreError,
    store::{
        Key,
        operations::{
            tag::{ReadStamp, Stamp, TagName},
            value::{Exists, Expiry, Get, ReadExpiry, identity},
        },
        random::fraction,
    },
};

/// What a call wants to find.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) key: &'a Key,
    /// The value's tags, as far as the call knows them.
    pub(super) tags: &'a [TagName],
    pub(super) policy: &'a LoadPolicy,
}

/// What is stored under a key.
pub(super) enum Found {
    /// Nothing.
    Missing,
    /// Something that counts as missing, by its [identity].
    Unusable(Bytes),
    Value(Opened, Freshness),
}

/// The stamps that have been read, by the names of their tags.
pub(super) type Stamps = HashMap<TagName, Option<Stamp>>;

/// When a value expires, as far as that has been read.
#[derive(Debug, Clone, Copy)]
pub(super) enum ReadSoFar {
    Nothing,
    /// `None` if the value has gone since it was read.
    Expiry(Option<Expiry>),
}

impl<C: Codec> KeyValue<C> {
    /// The value of `id`, if there is one that reads as a `T` and is not stale. One `GET`,
    /// one round trip.
    ///
    /// A value with tags, or one that may be served stale, takes another round trip in which
    /// its stamps and its expiry are read. It is saved by naming the tags
    /// (`values.entry(id).tags(…).get()`), and by setting the windows for all values
    /// ([`with_stale_while_revalidate`](Self::with_stale_while_revalidate) and others), which makes
    /// the read one of GET and PTTL.
    ///
    /// ```
    /// # use tower_keep::{Store, key_value::{KeyValue, USER_DATA_TTL}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let names = KeyValue::new(Store::memory(), "name")?;
    /// assert_eq!(names.get::<String>(42).await?, None);
    /// names.set(42, "Ada", USER_DATA_TTL).await?;
    /// assert_eq!(names.get::<String>(42).await?.as_deref(), Some("Ada"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn get<T: DeserializeOwned>(
        &self,
        id: impl Display,
    ) -> Result<Option<T>, StoreError> {
        let wanted = Wanted {
            key: &self.key(id),
            tags: &[],
            policy: &self.policy,
        };
        self.get_wanted(wanted).await
    }

    pub(super) async fn get_wanted<T: DeserializeOwned>(
        &self,
        wanted: Wanted<'_>,
    ) -> Result<Option<T>, StoreError> {
        let found = self.find(wanted, Serve::Fresh).await?;
        Ok(self.fresh(found))
    }

    pub(super) fn fresh<T: DeserializeOwned>(&self, found: Found) -> Option<T> {
        match found {
            Found::Value(opened, Freshness::Fresh) => self.decode(&opened)?,
            Found::Value(..) | Found::Missing | Found::Unusable(_) => None,
        }
    }

    /// Whether `id` has a value, be it stale, of another schema or of a tag that was invalidated:
    /// it is not looked at. One `EXISTS`, one round trip.
    ///
    /// ```
    /// # use tower_keep::{Store, key_value::{KeyValue, USER_DATA_TTL}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let names = KeyValue::new(Store::memory(), "name")?;
    /// names.set(42, "Ada", USER_DATA_TTL).await?;
    /// assert!(names.exists(42).await?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn exists(&self, id: impl Display) -> Result<bool, StoreError> {
        self.store.execute(Exists(self.key(id))).await
    }

    /// When the value of `id` expires, the time for which it may be served stale included; `None` if
    /// there is no value. One `PTTL`, one round trip.
    ///
    /// ```
    /// # use tower_keep::{Store, key_value::{Expiry, KeyValue, USER_DATA_TTL}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let names = KeyValue::new(Store::memory(), "name")?;
    /// names.set(42, "Ada", USER_DATA_TTL).await?;
    /// assert!(matches!(names.ttl(42).await?, Some(Expiry::In(left)) if left <= USER_DATA_TTL));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn ttl(&self, id: impl Display) -> Result<Option<Expiry>, StoreError> {
        self.store.execute(ReadExpiry(self.key(id))).await
    }

    /// Reads a value and judges it. One round trip, but for a value that has tags or windows of
    /// which the call did not know.
    pub(super) async fn find(&self, wanted: Wanted<'_>, serve: Serve) -> Result<Found, StoreError> {
        if !wanted.tags.is_empty() || wanted.policy.reads_expiry(serve) {
            // On the heap, as below, so that most calls are small futures.
            return Box::pin(self.find_with_more(wanted, serve)).await;
        }
        let Some(bytes) = self.store.execute(Get(wanted.key.clone())).await? else {
            return Ok(Found::Missing);
        };
        match self.open(bytes) {
            // It is there, and that is all there is to ask.
            Ok(opened) if opened.head.is_plain() => Ok(Found::Value(opened, Freshness::Fresh)),
            Ok(opened) => {
                let nothing = (ReadSoFar::Nothing, Stamps::new());
                Box::pin(self.find_out(wanted, serve, opened, nothing)).await
            }
            Err(identity) => Ok(Found::Unusable(identity)),
        }
    }

    /// Reads the expiry and the stamps of the tags in the same round trip.
    async fn find_with_more(&self, wanted: Wanted<'_>, serve: Serve) -> Result<Found, StoreError> {
        let key = wanted.key;
        let reads_expiry = wanted.policy.reads_expiry(serve);
        let expiry = reads_expiry.then(|| ReadExpiry(key.clone()));
        let stamps = self.read_stamps(wanted.tags);
        let read = (self.store).execute((Get(key.clone()), (expiry, stamps)));
        let (value, (expiry, stamps)) = read.await;
        let Some(bytes) = value? else {
            return Ok(Found::Missing);
        };
        let opened = match self.open(bytes) {
            Ok(opened) => opened,
            Err(identity) => return Ok(Found::Unusable(identity)),
        };
        let mut read = Stamps::new();
        for (tag, stamp) in wanted.tags.iter().zip(stamps) {
            read.insert(tag.clone(), stamp?);
        }
        let expiry = match expiry {
            Some(expiry) => ReadSoFar::Expiry(expiry?),
            None => ReadSoFar::Nothing,
        };
        self.find_out(wanted, serve, opened, (expiry, read)).await
    }

    /// Judges a value, when what is missing for that is read too.
    async fn find_out(
        &self,
        wanted: Wanted<'_>,
        serve: Serve,
        opened: Opened,
        (mut expiry, mut stamps): (ReadSoFar, Stamps),
    ) -> Result<Found, StoreError> {
        let value = vec![(wanted.key, &opened.head, &mut expiry)];
        self.learn(&mut stamps, value).await?;
        Ok(judge(opened, expiry, &stamps, wanted.policy, serve))
    }

    /// Reads the stamps and expiries that are missing to judge these values. One round trip, or
    /// none if nothing is missing.
    pub(super) async fn learn(
        &self,
        stamps: &mut Stamps,
        values: Vec<(&Key, &Head, &mut ReadSoFar)>,
    ) -> Result<(), StoreError> {
        let mut keys = Vec::new();
        let mut expiries = Vec::new();
        let mut tags: Vec<TagName> = Vec::new();
        for (key, head, expiry) in values {
            if !head.stale.is_zero() && matches!(expiry, ReadSoFar::Nothing) {
                keys.push(ReadExpiry(key.clone()));
                expiries.push(expiry);
            }
            for (tag, _) in &head.tags {
                if !stamps.contains_key(tag) {
                    stamps.insert(tag.clone(), None);
                    tags.push(tag.clone());
                }
            }
        }
        if keys.is_empty() && tags.is_empty() {
            return Ok(());
        }
        let read = self.store.execute((keys, self.read_stamps(&tags)));
        let (read_expiries, read_stamps) = read.await;
        for (expiry, read) in expiries.into_iter().zip(read_expiries) {
            *expiry = ReadSoFar::Expiry(read?);
        }
        for (tag, stamp) in tags.into_iter().zip(read_stamps) {
            stamps.insert(tag, stamp?);
        }
        Ok(())
    }

    pub(super) fn read_stamps(&self, tags: &[TagName]) -> Vec<ReadStamp> {
        let names = self.store.names();
        tags.iter().map(|tag| ReadStamp(tag.key(names))).collect()
    }

    /// Reads the head of a stored value; else its identity, by which it is replaced.
    pub(super) fn open(&self, bytes: Bytes) -> Result<Opened, Bytes> {
        Opened::open::<C>(self.schema, &self.plain, bytes).map_err(|(why, bytes)| {
            self.report_unreadable(&why);
            Bytes::copy_from_slice(identity(&bytes))
        })
    }

    /// The value, `Some(None)` if it is known that there is none; `None` if it does not read as a
    /// `T`.
    pub(super) fn decode<T: DeserializeOwned>(&self, opened: &Opened) -> Option<Option<T>> {
        let report = |why: &Unreadable| self.report_unreadable(why);
        opened.decode(&self.codec).inspect_err(report).ok()
    }

    /// Names neither the key, which may name a person, nor serde's message, which may quote the
    /// value.
    fn report_unreadable(&self, why: &Unreadable) {
        let prefix = &*self.prefix;
        match why {
            Unreadable::Schema(version) => {
                tracing::debug!(target: "tower_keep::key_value", prefix, version, "a value of another schema counts as missing");
            }
            Unreadable::Codec => {
                tracing::debug!(target: "tower_keep::key_value", prefix, "a value of another codec counts as missing");
            }
            Unreadable::Corrupt => {
                tracing::warn!(target: "tower_keep::key_value", prefix, "a value does not read as its type and counts as missing");
            }
        }
    }
}

pub(super) fn judge(
    opened: Opened,
    expiry: ReadSoFar,
    stamps: &Stamps,
    policy: &LoadPolicy,
    serve: Serve,
) -> Found {
    let head = &opened.head;
    let stands = |(tag, stamp): &(TagName, Stamp)| {
        let current = stamps.get(tag).and_then(Option::as_ref);
        current == Some(stamp)
    };
    if !head.tags.iter().all(stands) {
        return Found::Unusable(opened.identity());
    }
    let expiry = match expiry {
        ReadSoFar::Expiry(Some(expiry)) => expiry,
        ReadSoFar::Expiry(None) => return Found::Missing,
        // It is not asked for where the head has no use for it.
        ReadSoFar::Nothing => Expiry::Never,
    };
    let freshness = policy.freshness(serve, expiry, head.stale, head.cost, fraction);
    Found::Value(opened, freshness)
}
