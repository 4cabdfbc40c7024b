//! Finding the stored response that a request selects, in one round trip as a rule.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::HeaderMap;

use super::{
    key::{PrimaryKey, hex},
    policy::{Forward, StoredHead, VaryNames},
    state::{Client, State},
};
use crate::store::{
    Key, StoreError, Table, Timestamp, Weigh,
    operations::response::{Lookup, Stored},
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
        self.0.update(key, now, |live| {
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
    pub(super) fn store_key(&self, primary: &PrimaryKey) -> Key {
        self.store.names().cache(primary.as_str())
    }

    /// The stored response that the request selects, or why there is none.
    pub(super) async fn lookup(
        &self,
        client: &Client,
    ) -> Result<Result<Found, Forward>, StoreError> {
        let key = self.store_key(&client.primary);
        let headers = &client.parts.headers;
        let mut asked: Vec<Box<str>> = Vec::new();
        let mut lists = self.vary.lists(&key);
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
                return Ok(Ok(found));
            }
            if reply.vary.is_empty() {
                return Ok(Err(Forward::UriMiss));
            }
            asked.extend(variants);
            let new = reply.vary.iter().any(|list| {
                variant(list, headers).is_some_and(|variant| !asked.contains(&variant))
            });
            if reply.vary != lists {
                self.vary.remember(&key, reply.vary.clone());
            }
            if !new {
                return Ok(Err(Forward::VaryMiss));
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
