//! Several values at once.
//!
//! What is asked of the store together is bounded, whatever the number and size of the values, so
//! that it fits into the store's deadline and holds nobody else up: beyond the bound it is asked
//! for in pieces, one after another.

use std::{fmt::Display, time::Duration};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Codec, KeyValue, SetError,
    pieces::{Pieces, VALUES},
    policy::Serve,
    read::{ReadSoFar, Stamps, judge},
    write::at_least_a_millisecond,
};
use crate::{
    StoreError,
    store::{
        Key,
        operations::value::{Del, GetMany, ReadExpiry, Set},
    },
};

/// How many keys one `MGET` names at most: it holds the server up for as long as it runs.
const KEYS_OF_AN_MGET: usize = 256;

impl<C: Codec> KeyValue<C> {
    /// The values of `ids`, in their order, as [`get`](Self::get) answers each. One round trip for
    /// up to 1,024 ids, on a cluster one for each shard, side by side; more are read in pieces, one
    /// after another, each within the store's deadline. One `MGET` for 256 ids, on a cluster one for
    /// each id.
    ///
    /// ```
    /// # use tower_keep::{Store, key_value::{KeyValue, USER_DATA_TTL}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let scores = KeyValue::new(Store::memory(), "score")?;
    /// scores.set_many([("ada", 3), ("alan", 5)], USER_DATA_TTL).await?;
    /// let found = scores.get_many::<u32>(["alan", "grace", "ada"]).await?;
    /// assert_eq!(found, [Some(5), None, Some(3)]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When the store fails for one of them.
    pub async fn get_many<T: DeserializeOwned>(
        &self,
        ids: impl IntoIterator<Item = impl Display>,
    ) -> Result<Vec<Option<T>>, StoreError> {
        let keys: Vec<_> = ids.into_iter().map(|id| self.key(id)).collect();
        let mut values = Vec::with_capacity(keys.len());
        for piece in keys.chunks(VALUES) {
            self.get_piece(piece, &mut values).await?;
        }
        Ok(values)
    }

    async fn get_piece<T: DeserializeOwned>(
        &self,
        keys: &[Key],
        out: &mut Vec<Option<T>>,
    ) -> Result<(), StoreError> {
        let at_once = match self.store.is_split_by_slot() {
            true => 1,
            false => KEYS_OF_AN_MGET,
        };
        let values = keys.chunks(at_once).map(|keys| GetMany(keys.to_vec()));
        let expiries = match self.policy.reads_expiry(Serve::Fresh) {
            true => keys.iter().cloned().map(ReadExpiry).collect(),
            false => Vec::new(),
        };
        let read = self.store.execute((values.collect::<Vec<_>>(), expiries));
        let (values, expiries) = read.await;
        let mut expiries: Vec<_> = (expiries.into_iter())
            .map(|expiry| expiry.map(ReadSoFar::Expiry))
            .collect::<Result<_, _>>()?;
        expiries.resize(keys.len(), ReadSoFar::Nothing);
        let mut found = Vec::with_capacity(keys.len());
        for value in values {
            for bytes in value? {
                found.push(bytes.and_then(|bytes| self.open(bytes).ok()));
            }
        }
        let mut stamps = Stamps::new();
        let opened = keys.iter().zip(&found).zip(&mut expiries);
        let opened = opened.filter_map(|((key, found), expiry)| {
            let opened = found.as_ref()?;
            Some((key, &opened.head, expiry))
        });
        self.learn(&mut stamps, opened.collect()).await?;
        let values = found.into_iter().zip(expiries);
        out.extend(values.map(|(found, expiry)| {
            let judged = judge(found?, expiry, &stamps, &self.policy, Serve::Fresh);
            self.fresh(judged)
        }));
        Ok(())
    }

    /// Sets several values for `ttl`. One round trip for up to 1,024 values of up to 1 MiB together, on
    /// a cluster one for each shard, side by side; more are set in pieces, in their order, one after
    /// another, each within the store's deadline. One EVALSHA for each value.
    ///
    /// They are set independently of each other. When a piece fails, the values of those before it are
    /// set, of its own some may be, and those after it are not sent: it does no harm to set all
    /// again.
    ///
    /// ```
    /// # use tower_keep::{Store, key_value::{KeyValue, USER_DATA_TTL}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let names = KeyValue::new(Store::memory(), "name")?;
    /// names.set_many([(1, "Ada"), (2, "Grace")], USER_DATA_TTL).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When the codec cannot write one of them: then none is set. When the store fails or has no
    /// room for one: the first such error.
    pub async fn set_many<T: Serialize>(
        &self,
        values: impl IntoIterator<Item = (impl Display, T)>,
        ttl: Duration,
    ) -> Result<(), SetError> {
        let set = |(id, value)| {
            Ok(Set {
                keys: self.keys(id),
                value: self.encode(&value)?,
                ttl: Some(at_least_a_millisecond(ttl)),
            })
        };
        let sets = values.into_iter().map(set);
        let sets = sets.collect::<Result<Vec<_>, SetError>>()?;
        let mut pieces = Pieces::new(sets);
        while let Some(sets) = pieces.next(|set| set.value.len()) {
            sets.iter()
                .for_each(|set| self.loads.forget(&set.keys.value));
            let results = self.store.execute(sets).await;
            results.into_iter().collect::<Result<(), _>>()?;
        }
        Ok(())
    }

    /// Deletes several values; how many there were. One round trip for up to 1,024 ids, on a cluster
    /// one for each shard, side by side; more are deleted in pieces, in their order, one after another,
    /// each within the store's deadline. One EVALSHA for each id.
    ///
    /// When a piece fails, the values of those before it are gone, its own may still be there, and those
    /// after it are: delete all again.
    ///
    /// ```
    /// # use tower_keep::{Store, key_value::{KeyValue, USER_DATA_TTL}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let names = KeyValue::new(Store::memory(), "name")?;
    /// names.set_many([(1, "Ada"), (2, "Grace")], USER_DATA_TTL).await?;
    /// assert_eq!(names.del_many([1, 2, 3]).await?, 2);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When the store fails for one of them: the first such error.
    pub async fn del_many(
        &self,
        ids: impl IntoIterator<Item = impl Display>,
    ) -> Result<usize, StoreError> {
        let dels = ids.into_iter().map(|id| Del(self.keys(id)));
        let mut pieces = Pieces::new(dels.collect());
        let mut deleted = 0;
        while let Some(dels) = pieces.next(|_| 0) {
            dels.iter().for_each(|del| self.loads.forget(&del.0.value));
            for existed in self.store.execute(dels).await {
                deleted += usize::from(existed?);
            }
        }
        Ok(deleted)
    }
}
