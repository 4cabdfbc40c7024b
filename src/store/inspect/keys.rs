//! Finding keys and removing them.

use super::next;
use crate::store::{
    batch::{Batch, Replies},
    clock::Timestamp,
    error::StoreError,
    key::Key,
    operations::Memory,
    redis::{Command, Commands, NextReply},
};

/// A page of the names that match a pattern. `SCAN`.
#[derive(Debug)]
pub(crate) struct Scan {
    /// 0 at first, then what the page before answered.
    pub(crate) cursor: u64,
    pub(crate) pattern: String,
    /// About how many keys are looked at.
    pub(crate) count: u32,
}

/// The cursor of the next page, 0 after the last; and the names.
pub(crate) type Page = (u64, Vec<Vec<u8>>);

impl Batch<Memory> for Scan {
    type Output = Result<Page, StoreError>;

    fn run(&self, memory: &Memory, now: Timestamp) -> Self::Output {
        let mut names = Vec::new();
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        let cursor = memory.keys(self.cursor, count, now, &mut |name| {
            let name = name.as_bytes();
            if super::glob::matches(self.pattern.as_bytes(), name) {
                names.push(name.to_vec());
            }
        });
        Ok((cursor, names))
    }

    fn commands(&self, out: &mut Commands) {
        let scan = Command::new("SCAN").arg(self.cursor);
        out.push(
            scan.arg("MATCH")
                .arg(&*self.pattern)
                .arg("COUNT")
                .arg(self.count),
        );
    }

    fn replies(&self, replies: &mut Replies) -> Self::Output {
        let mut page = next(replies)?.array()?;
        let cursor = page.next_reply()?.bytes()?;
        let cursor = std::str::from_utf8(&cursor)
            .ok()
            .and_then(|cursor| cursor.parse().ok());
        let cursor = cursor.ok_or(StoreError::UnexpectedReply("not a cursor"))?;
        let names = page
            .next_reply()?
            .array()?
            .map(|name| Ok(name.bytes()?.to_vec()));
        Ok((cursor, names.collect::<Result<_, StoreError>>()?))
    }
}

/// Removes keys; how many there were. `UNLINK` for each, in one go: they may be of any slot.
#[derive(Debug)]
pub(crate) struct Remove(pub(crate) Vec<Vec<u8>>);

impl Batch<Memory> for Remove {
    type Output = Result<u64, StoreError>;

    fn run(&self, memory: &Memory, now: Timestamp) -> Self::Output {
        let mut removed = 0;
        // The keys of embedded memory are text.
        for name in self
            .0
            .iter()
            .filter_map(|name| std::str::from_utf8(name).ok())
        {
            removed += u64::from(memory.remove(&Key::whole(name), now)?);
        }
        Ok(removed)
    }

    fn commands(&self, out: &mut Commands) {
        out.extend(
            self.0
                .iter()
                .map(|name| Command::new("UNLINK").whole_key(name)),
        );
    }

    fn replies(&self, replies: &mut Replies) -> Self::Output {
        let mut removed = 0;
        for _ in &self.0 {
            removed += u64::try_from(next(replies)?.integer()?).unwrap_or(0);
        }
        Ok(removed)
    }
}
