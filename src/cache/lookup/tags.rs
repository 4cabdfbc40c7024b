//! Whether the tags of a stored response still have the stamps that it was stored under.

use std::time::Duration;

use super::{Found, LookupError, StoredResponses};
use crate::{
    cache::{key::hex, policy::Tag},
    store::{
        Key, StoreError, Timestamp,
        operations::response::{
            self, EnsureStamp, Invalidate, ReadStamp, Since, Soften, Stamp, Withdraw,
        },
    },
};

/// How long the stamp of all purges lives at least. A response with tags is not stored if the stamp
/// ends between the request for it and its last byte.
const PURGES_TTL: Duration = Duration::from_secs(12 * 60 * 60);

/// Tags and the stamps that they have now, as far as they were read.
pub(super) type Current = Vec<(Tag, Option<Stamp>)>;

impl StoredResponses {
    pub(crate) fn tag_key(&self, tag: Tag) -> Key {
        response::tag(self.store.names(), &hex(&tag.0))
    }

    /// Reads the stamp of all purges. A response with tags is stored only if this is still what it
    /// was when the inner service was asked: its tags are not known before.
    pub(crate) fn read_purges(&self) -> ReadStamp {
        ReadStamp(response::purges(self.store.names()))
    }

    /// Reads the stamp of all purges, which is `new` if there is none.
    pub(crate) fn ensure_purges(&self, new: Stamp) -> EnsureStamp {
        EnsureStamp {
            key: response::purges(self.store.names()),
            stamp: new,
            ttl: PURGES_TTL,
        }
    }

    /// Takes the stamp of all purges back that was made for a response that is not stored.
    pub(crate) fn withdraw_purges(&self, made: Stamp) -> Withdraw {
        Withdraw {
            key: response::purges(self.store.names()),
            stamp: made,
        }
    }

    /// Takes the stamp of all purges away, so that whatever was asked for before is not stored if it
    /// has tags.
    fn remove_purges(&self) -> Invalidate {
        Invalidate(response::purges(self.store.names()))
    }

    /// The stamps to store a response under, which was asked for when that of all purges was
    /// `purges`. `None` if there was a purge since, or the store does not answer.
    pub(crate) async fn stamps(
        &self,
        tags: &[Tag],
        purges: Option<Stamp>,
        ttl: Duration,
    ) -> Option<Vec<(Tag, Stamp)>> {
        if tags.is_empty() {
            return Some(Vec::new());
        }
        let purges = purges?;
        let ensure = |&tag: &Tag| EnsureStamp {
            key: self.tag_key(tag),
            stamp: Stamp::random(),
            ttl,
        };
        let ensured = self
            .store
            .execute(tags.iter().map(ensure).collect::<Vec<_>>())
            .await;
        let stamps: Option<Vec<_>> = tags
            .iter()
            .zip(ensured)
            .map(|(&tag, stamp)| Some((tag, stamp.ok()??)))
            .collect();
        // Read after the tags: a purge changes this one first.
        let now = self.store.execute(self.read_purges()).await.ok()?;
        let is_hidden = tags.iter().any(|&tag| self.is_hidden(tag));
        stamps.filter(|_| now == Some(purges) && !is_hidden)
    }

    /// Makes what was stored under the tags stale.
    pub(crate) async fn soften(&self, tags: &[Tag]) -> Result<(), StoreError> {
        self.store.execute(self.remove_purges()).await?;
        let stamp = Stamp::random();
        let soften = |&tag: &Tag| Soften {
            key: self.tag_key(tag),
            stamp,
        };
        let soften: Vec<_> = tags.iter().map(soften).collect();
        self.store.execute(soften).await.into_iter().collect()
    }

    /// Whether a purge of the tag is pending.
    fn is_hidden(&self, tag: Tag) -> bool {
        self.invalidations.hidden(&self.tag_key(tag)).is_some()
    }

    /// The response as it may be used by what has become of its tags, if that can be read without
    /// waiting.
    pub(super) fn current_at_once(&self, found: Found, now: Timestamp) -> Option<Found> {
        if found.stamps.is_empty() {
            return Some(found);
        }
        let responses = self.store.table()?;
        let read = |&(tag, _): &(Tag, Stamp)| {
            let stamp = ReadStamp::at_once(responses, &self.tag_key(tag), now);
            (tag, stamp)
        };
        let current: Current = found.stamps.iter().map(read).collect();
        self.judge(found, &current, now.as_millis())
    }

    /// The response as it may be used by what has become of its tags. `known` was read together
    /// with it; other tags are read now.
    pub(super) async fn current(
        &self,
        key: &Key,
        found: Found,
        mut known: Current,
    ) -> Result<Option<Found>, LookupError> {
        let tags = || found.stamps.iter().map(|&(tag, _)| tag);
        self.tags.remember(key, tags());
        let unknown: Vec<_> = tags()
            .filter(|tag| !known.iter().any(|(known, _)| known == tag))
            .collect();
        if !unknown.is_empty() {
            let stamps = self.store.execute(self.read_stamps(&unknown)).await;
            known.extend(current(&unknown, stamps)?);
        }
        Ok(self.judge(found, &known, Timestamp::now().as_millis()))
    }

    pub(super) fn read_stamps(&self, tags: &[Tag]) -> Vec<ReadStamp> {
        let read = |&tag: &Tag| ReadStamp(self.tag_key(tag));
        tags.iter().map(read).collect()
    }

    fn judge(&self, found: Found, current: &Current, now: u64) -> Option<Found> {
        let since = |&(tag, stamp): &(Tag, Stamp)| {
            if self.is_hidden(tag) {
                return Since::Purged;
            }
            let now = current.iter().find(|(known, _)| *known == tag);
            stamp.since(now.and_then(|(_, stamp)| *stamp))
        };
        match found.stamps.iter().map(since).max() {
            None | Some(Since::Unchanged) => Some(found),
            Some(Since::PurgedSoftly) => Some(found.expired(now)),
            Some(Since::Purged) => None,
        }
    }
}

/// The stamps that were read of `tags`.
pub(super) fn current(
    tags: &[Tag],
    read: Vec<Result<Option<Stamp>, StoreError>>,
) -> Result<Current, StoreError> {
    let stamp = |(&tag, read): (&Tag, Result<_, _>)| Ok((tag, read?));
    tags.iter().zip(read).map(stamp).collect()
}
