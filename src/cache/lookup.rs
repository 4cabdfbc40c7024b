//! Finding the stored response that a request selects, in one round trip as a rule.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::HeaderMap;

use super::{
    invalidations::Hidden,
    key::{hex, hex_digits},
    policy::{Forward, StoredHead, VaryNames},
    state::{Client, State},
};
use crate::store::{
    Key, RefusalKind, StoreError, Table, Timestamp, Weigh,
    operations::response::{Discard, Generation, Lookup, Stored, StoredVariants, Version},
    replace,
};

/// The version of the encoded head: another one is a miss.
const FORMAT: u8 = 2;

/// A stored response.
#[derive(Clone)]
pub(super) struct Found {
    pub(super) head: Arc<StoredHead>,
    pub(super) body: Bytes,
    /// What the store knows it by; `None` for one that the store may not have.
    pub(super) version: Option<Version>,
}

/// Why nothing was looked up.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoLookup {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored is out of date, and the store does not know yet.
    #[error("an invalidation of it is pending")]
    InvalidationPending,
}

impl NoLookup {
    /// For `Cache-Status`.
    pub(super) fn detail(&self) -> &'static str {
        match self {
            Self::Store(_) => "store-unavailable",
            Self::InvalidationPending => "invalidation-pending",
        }
    }
}

impl fmt::Debug for Found {
    /// Without what is stored.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found")
            .field("length", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// The lists of names that `Vary` had for a primary key, newest first, from which the variants
/// to look up are guessed. A wrong guess costs a second round trip.
#[derive(Debug)]
pub(super) struct VaryMemory(Table<VaryLists>);

#[derive(Debug, Clone)]
struct VaryLists(Vec<Box<str>>);

impl Weigh for VaryLists {
    fn weight(&self) -> usize {
        self.0.iter().map(|list| 16 + list.len()).sum()
    }
}

impl Default for VaryMemory {
    fn default() -> Self {
        Self(Table::with_budget(Self::BYTES))
    }
}

impl VaryMemory {
    const BYTES: usize = 4 << 20;
    const TTL: Duration = Duration::from_secs(3600);

    fn lists(&self, key: &Key) -> Vec<Box<str>> {
        let known = self
            .0
            .get(key, Timestamp::now(), |live| live.value.0.clone());
        // Most responses vary by nothing.
        known.unwrap_or_else(|| vec![Box::default()])
    }

    fn remember(&self, key: &Key, lists: Vec<Box<str>>) {
        let now = Timestamp::now();
        // A list over the budget is not remembered; the next lookup asks again.
        let _ = self.0.update(key, now, |live| {
            replace(live, VaryLists(lists), now, Self::TTL);
        });
    }

    /// Puts the newest list first.
    pub(super) fn learn(&self, key: &Key, newest: &str) {
        let mut lists = self.lists(key);
        if lists.first().is_some_and(|first| &**first == newest) {
            return;
        }
        lists.retain(|list| &**list != newest);
        lists.insert(0, newest.into());
        lists.truncate(4);
        self.remember(key, lists);
    }

    /// The variant that `headers` select by the newest known list.
    pub(super) fn newest_variant(&self, key: &Key, headers: &HeaderMap) -> Box<str> {
        self.lists(key)
            .first()
            .and_then(|list| variant(list, headers))
            .unwrap_or_default()
    }
}

/// The name of the variant that a request with these `headers` selects by a list of names.
fn variant(list: &str, headers: &HeaderMap) -> Option<Box<str>> {
    VaryNames::from_list(list).map(|names| hex(&names.variant(headers).0))
}

impl State {
    /// The stored response that the request selects, if it can be read without waiting and nothing
    /// speaks against it. Otherwise [`lookup`](Self::lookup) has to find out.
    pub(super) fn lookup_at_once(&self, client: &Client, now: Timestamp) -> Option<Found> {
        let key = &client.primary;
        if self.invalidations.hidden(key).is_some() {
            return None;
        }
        let select = |list: &str| {
            let names = VaryNames::from_list(list)?;
            Some(hex_digits(&names.variant(&client.parts.headers).0))
        };
        let stored = Lookup::at_once(self.store.table()?, key, now, select)?;
        let found = self.decoded.found(&stored, decode)?;
        // Asked after the lookup, too: it may have become out of date.
        let is_hidden = self.invalidations.hidden(key).is_some();
        (!is_hidden && !self.invalidations.is_over(&found.head)).then_some(found)
    }

    /// The stored response that the request selects, or why there is none; and the generation
    /// of what is stored.
    pub(super) async fn lookup(
        &self,
        client: &Client,
    ) -> Result<(Result<Found, Forward>, Option<Generation>), NoLookup> {
        let key = &client.primary;
        let headers = &client.parts.headers;
        let mut asked: Vec<Box<str>> = Vec::new();
        let mut lists = self.vary.lists(key);
        loop {
            let variants: Vec<_> = lists
                .iter()
                .filter_map(|list| variant(list, headers))
                .filter(|variant| !asked.contains(variant))
                .collect();
            let reply = self.read(key, variants.clone()).await?;
            if let Some(found) = self.readable(key, &variants, &reply).await {
                return Ok((Ok(found), reply.generation));
            }
            if reply.vary.is_empty() {
                return Ok((Err(Forward::UriMiss), reply.generation));
            }
            asked.extend(variants);
            let new = reply.vary.iter().any(|list| {
                variant(list, headers).is_some_and(|variant| !asked.contains(&variant))
            });
            if reply.vary != lists {
                self.vary.remember(key, reply.vary.clone());
            }
            if !new {
                return Ok((Err(Forward::VaryMiss), reply.generation));
            }
            lists = reply.vary;
        }
    }

    /// What the store has of these variants, unless an invalidation of it is pending.
    async fn read(&self, key: &Key, variants: Vec<Box<str>>) -> Result<StoredVariants, NoLookup> {
        let hidden = || self.invalidations.hidden(key);
        let before = hidden();
        if before == Some(Hidden::UntilTaken) {
            return Err(NoLookup::InvalidationPending);
        }
        let lookup = Lookup {
            key: key.clone(),
            variants,
        };
        let reply = match self.store.execute(lookup).await {
            // Somebody else's data: a fill replaces them.
            Err(StoreError::Refused {
                kind: RefusalKind::WrongType,
                ..
            }) => StoredVariants::default(),
            reply => reply?,
        };
        // Asked again after the reply: it may have become out of date, or be that of another server.
        // And if an invalidation was on its way before, the lookup may have overtaken it on another
        // connection.
        match hidden().or(before) {
            None => Ok(reply),
            Some(Hidden::ForNow) => Ok(StoredVariants {
                generation: reply.generation,
                ..StoredVariants::default()
            }),
            Some(Hidden::UntilTaken) => Err(NoLookup::InvalidationPending),
        }
    }

    /// The first of the variants that can be read. Those that cannot are discarded, so that
    /// whatever is stored next may take their place.
    async fn readable(
        &self,
        key: &Key,
        variants: &[Box<str>],
        reply: &StoredVariants,
    ) -> Option<Found> {
        let mut damaged = Vec::new();
        for (variant, stored) in variants.iter().zip(&reply.variants) {
            let Some(stored) = stored else { continue };
            match self.decoded.found(stored, decode) {
                Some(found) if self.invalidations.is_over(&found.head) => {}
                Some(found) => return Some(found),
                None => damaged.push(variant.clone()),
            }
        }
        if !damaged.is_empty() {
            let discard = Discard {
                key: key.clone(),
                variants: damaged,
            };
            if let Err(error) = self.store.execute(discard).await {
                tracing::debug!(target: "tower_keep::cache", %error, "a response that cannot be read was not discarded");
            }
        }
        None
    }
}

/// Encodes a head for the store, with the length of the body that it is about.
pub(super) fn encode(head: &StoredHead, length: u64) -> Option<Bytes> {
    match postcard::to_extend(&(length, head), vec![FORMAT]) {
        // Of exactly its length: what a vector has room for beside stays in memory with it.
        Ok(encoded) => Some(encoded.into_boxed_slice().into()),
        Err(error) => {
            tracing::error!(target: "tower_keep::cache", %error, "a response cannot be encoded");
            None
        }
    }
}

/// What another version wrote, what is corrupt, and a head without its own body, is a miss.
fn decode(stored: &Stored) -> Option<Found> {
    let version = stored.version?;
    let (&FORMAT, encoded) = stored.head.split_first()? else {
        return None;
    };
    let actual = stored.body.len() as u64;
    match postcard::from_bytes::<(u64, StoredHead)>(encoded) {
        Ok((length, head)) if length == actual && head.declares(actual) => Some(Found {
            head: Arc::new(head),
            body: stored.body.clone(),
            version: Some(version),
        }),
        Ok(_) => {
            tracing::warn!(target: "tower_keep::cache", "a stored body is not as long as its head says");
            None
        }
        Err(error) => {
            tracing::warn!(target: "tower_keep::cache", %error, "a stored response cannot be read");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode, Uri};

    use super::*;
    use crate::cache::policy::{CachePolicy, RequestHead, ResponseHead};

    fn head() -> StoredHead {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("cache-control", "max-age=60"),
            ("link", "<1>, <2>"),
            ("vary", "a"),
            ("link", "<3>"),
            ("vary", "B"),
            ("vary", "c"),
        ] {
            headers.append(name, value.parse().unwrap());
        }
        let response = ResponseHead {
            status: StatusCode::OK,
            headers: &headers,
            request_time: 0,
            response_time: 0,
        };
        let (uri, fields) = (Uri::from_static("/"), HeaderMap::new());
        let request = RequestHead::new(&Method::GET, &uri, &fields);
        CachePolicy::default()
            .storable(&request, &response, |_| {})
            .unwrap()
    }

    fn stored(head: Bytes, body: &'static [u8]) -> Stored {
        Stored {
            version: Some(Version::random()),
            head,
            body: Bytes::from_static(body),
        }
    }

    #[test]
    fn a_body_of_another_length_is_a_miss() {
        let stored = |body| stored(encode(&head(), 4).unwrap(), body);
        assert!(decode(&stored(b"body")).is_some());
        for body in [&b""[..], b"bod", b"body "] {
            assert!(decode(&stored(body)).is_none(), "{body:?}");
        }
        let unknown = Stored {
            version: None,
            ..stored(b"body")
        };
        assert!(decode(&unknown).is_none());
    }

    #[test]
    fn a_head_with_several_lines_of_a_field_survives_the_store() {
        let head = head();
        let stored = stored(encode(&head, 4).unwrap(), b"body");
        let found = decode(&stored).unwrap();
        assert_eq!((&*found.head, &found.body[..]), (&head, &b"body"[..]));
        assert_eq!(&*found.head.vary().to_list(), "a,b,c");
    }

    #[test]
    fn another_format_and_damaged_bytes_are_a_miss() {
        let encoded = encode(&head(), 0).unwrap();
        let decoded = |head: Bytes| decode(&stored(head, b"")).is_some();
        assert!(decoded(encoded.clone()));
        let mut other = encoded.to_vec();
        other[0] = FORMAT + 1;
        assert!(!decoded(other.into()));
        for end in 0..encoded.len() {
            assert!(!decoded(encoded.slice(..end)), "{end}");
        }
    }
}
