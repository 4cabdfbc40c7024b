//! Finding the stored response that a request selects, in one round trip as a rule.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::HeaderMap;

use super::{
    key::hex,
    policy::{Forward, StoredHead, VaryNames},
    state::{Client, State},
};
use crate::store::{
    Key, StoreError, Table, Timestamp, Weigh,
    operations::response::{Generation, Lookup, Stored},
    replace,
};

/// The version of the encoded head: another one is a miss.
const FORMAT: u8 = 1;

/// A stored response.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) head: Arc<StoredHead>,
    pub(super) body: Bytes,
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
    /// The stored response that the request selects, or why there is none; and the generation
    /// of what is stored.
    pub(super) async fn lookup(
        &self,
        client: &Client,
    ) -> Result<(Result<Found, Forward>, Option<Generation>), StoreError> {
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
            let lookup = Lookup {
                key: key.clone(),
                variants: variants.clone(),
            };
            let reply = self.store.execute(lookup).await?;
            if let Some(found) = reply.variants.iter().flatten().find_map(decode) {
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
}

/// Encodes a head for the store.
pub(super) fn encode(head: &StoredHead) -> Option<Bytes> {
    match postcard::to_extend(head, vec![FORMAT]) {
        Ok(encoded) => Some(encoded.into()),
        Err(error) => {
            tracing::error!(target: "tower_keep::cache", %error, "a response cannot be encoded");
            None
        }
    }
}

/// What another version wrote, or what is corrupt, is a miss.
fn decode(stored: &Stored) -> Option<Found> {
    let (&FORMAT, head) = stored.head.split_first()? else {
        return None;
    };
    match postcard::from_bytes(head) {
        Ok(head) => Some(Found {
            head: Arc::new(head),
            body: stored.body.clone(),
        }),
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

    #[test]
    fn a_head_with_several_lines_of_a_field_survives_the_store() {
        let head = head();
        let stored = Stored {
            head: encode(&head).unwrap(),
            body: Bytes::from_static(b"body"),
        };
        let found = decode(&stored).unwrap();
        assert_eq!((&*found.head, &found.body[..]), (&head, &b"body"[..]));
        assert_eq!(&*found.head.vary().to_list(), "a,b,c");
    }

    #[test]
    fn another_format_and_damaged_bytes_are_a_miss() {
        let encoded = encode(&head()).unwrap();
        let decoded = |head: Bytes| {
            let body = Bytes::new();
            decode(&Stored { head, body }).is_some()
        };
        assert!(decoded(encoded.clone()));
        let mut other = encoded.to_vec();
        other[0] = FORMAT + 1;
        assert!(!decoded(other.into()));
        for end in 0..encoded.len() {
            assert!(!decoded(encoded.slice(..end)), "{end}");
        }
    }
}
