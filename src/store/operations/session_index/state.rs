//! What the index of a user holds, and what stands at a session's place.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::store::{
    clock::Timestamp,
    error::StoreError,
    memory::{Weigh, heap},
    redis::Reply,
};

/// A session in the index of its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The session's slot tag.
    pub(crate) slot: [u8; 4],
    /// When its user logged in last, since the epoch.
    pub(crate) bound: Duration,
    /// The session's absolute timeout, since the epoch.
    pub(crate) ends: Duration,
    /// It is to be ended.
    pub(crate) condemned: bool,
    pub(crate) device: Arc<str>,
}

/// What names a session in its own slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) lineage: Arc<str>,
    pub(crate) slot: [u8; 4],
}

/// A key of the index on embedded memory.
#[derive(Debug)]
pub(crate) enum IndexState {
    /// The sessions of a user, by lineage.
    Index(BTreeMap<Arc<str>, Listed>),
    /// A session stands under the id with this hash.
    At(Box<str>),
    /// A session was revoked, or is not to be stored any more.
    Revoked,
}

impl Weigh for IndexState {
    fn weight(&self) -> usize {
        const NODE: usize = heap(11 * size_of::<(Arc<str>, Listed)>() + 16);
        match self {
            Self::Index(entries) => {
                let texts = |(lineage, entry): (&Arc<str>, &Listed)| {
                    heap(16 + lineage.len()) + heap(16 + entry.device.len())
                };
                entries.len().div_ceil(5) * NODE + entries.iter().map(texts).sum::<usize>()
            }
            Self::At(hash) => heap(hash.len()),
            Self::Revoked => 0,
        }
    }

    /// Without it a session cannot be revoked.
    fn is_worth_keeping(&self, _: Timestamp) -> bool {
        true
    }
}

pub(super) fn since_epoch(time: Timestamp) -> Duration {
    Duration::from_millis(time.as_millis())
}

impl Listed {
    /// `None` for what this crate never writes.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let millis = |from, to| {
            let digits = std::str::from_utf8(text.get(from..to)?).ok()?;
            u64::from_str_radix(digits, 16)
                .ok()
                .map(Duration::from_millis)
        };
        Some(Self {
            condemned: match text.first()? {
                b'=' => false,
                b'-' => true,
                _ => return None,
            },
            slot: text.get(1..5)?.try_into().ok()?,
            bound: millis(5, 16)?,
            ends: millis(16, 27)?,
            device: std::str::from_utf8(text.get(27..)?).ok()?.into(),
        })
    }
}

/// Reads lineages and slot tags by turns.
pub(super) fn members(replies: &mut std::vec::IntoIter<Reply>) -> Result<Vec<Member>, StoreError> {
    const BROKEN: StoreError = StoreError::UnexpectedReply("no member of a session index");
    let mut members = Vec::with_capacity(replies.len() / 2);
    while let (Some(lineage), Some(slot)) = (replies.next(), replies.next()) {
        let (lineage, slot) = (lineage.bytes()?, slot.bytes()?);
        members.push(Member {
            lineage: text(&lineage).ok_or(BROKEN)?,
            slot: slot[..].try_into().map_err(|_| BROKEN)?,
        });
    }
    Ok(members)
}

/// `None` for what is not UTF-8, which this crate never writes.
pub(super) fn text<T: for<'a> From<&'a str>>(bytes: &[u8]) -> Option<T> {
    std::str::from_utf8(bytes).ok().map(T::from)
}
