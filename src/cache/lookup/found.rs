//! A stored response, and why none was looked up.

use std::{fmt, ops::Range, sync::Arc};

use bytes::Bytes;

use crate::{
    cache::policy::{StoredHead, Tag},
    store::{
        StoreError,
        operations::response::{Stamp, Version},
    },
};

/// A stored response.
#[derive(Clone)]
pub(crate) struct Found {
    pub(crate) head: Arc<StoredHead>,
    pub(crate) body: Bytes,
    /// The version that the store knows it by; `None` for a response that it may not have.
    pub(crate) version: Option<Version>,
    /// Its tags, with the stamps that they had when it was stored.
    pub(crate) stamps: Stamps,
}

/// Tags and their stamps.
pub(crate) type Stamps = Arc<[(Tag, Stamp)]>;

impl Found {
    /// The length of the body in bytes.
    pub(crate) fn length(&self) -> u64 {
        self.body.len() as u64
    }

    /// The same response, stale from `now` on.
    pub(super) fn expired(self, now: u64) -> Self {
        Self {
            head: Arc::new(self.head.expired(now)),
            ..self
        }
    }
}

/// Why nothing was looked up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookupError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored is out of date, and the store could not be told yet.
    #[error("an invalidation of it is pending")]
    InvalidationPending,
}

impl LookupError {
    /// For `Cache-Status`.
    pub(crate) fn detail(&self) -> &'static str {
        match self {
            Self::Store(_) => "store-unavailable",
            Self::InvalidationPending => "invalidation-pending",
        }
    }
}

/// The bytes of `body` that are in `range`.
pub(crate) fn slice(body: &Bytes, range: Range<u64>) -> Bytes {
    let end = usize::try_from(range.end)
        .unwrap_or(usize::MAX)
        .min(body.len());
    let start = usize::try_from(range.start).unwrap_or(usize::MAX).min(end);
    body.slice(start..end)
}

impl fmt::Debug for Found {
    /// Without what is stored.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found")
            .field("length", &self.length())
            .finish_non_exhaustive()
    }
}
