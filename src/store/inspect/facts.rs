//! What a server says of itself.

use std::time::Duration;

use super::next;
use crate::store::{
    batch::{Batch, Replies},
    clock::Timestamp,
    error::StoreError,
    operations::Memory,
    redis::{Command, Commands, NextReply},
};

/// `INFO memory`, and how many keys there are, of all applications.
#[derive(Debug)]
pub(crate) struct ReadMemory;

/// What the server's memory is used for. Bytes.
#[derive(Debug, Default)]
pub(crate) struct MemoryFacts {
    pub(crate) keys: u64,
    pub(crate) used: u64,
    pub(crate) peak: u64,
    /// 0 for no bound.
    pub(crate) max: u64,
    pub(crate) policy: Box<str>,
}

impl Batch<Memory> for ReadMemory {
    type Output = Result<MemoryFacts, StoreError>;

    fn run(&self, memory: &Memory, now: Timestamp) -> Self::Output {
        let mut keys = 0;
        memory.keys(0, usize::MAX, now, &mut |_| keys += 1);
        let (used, max) = memory.bytes();
        Ok(MemoryFacts {
            keys,
            used,
            peak: used,
            max,
            policy: "w-tinylfu".into(),
        })
    }

    fn commands(&self, out: &mut Commands) {
        out.push(Command::new("INFO").arg("memory"));
        out.push(Command::new("DBSIZE"));
    }

    fn replies(&self, replies: &mut Replies) -> Self::Output {
        let (info, keys) = (next(replies), next(replies));
        let info = info?.text()?;
        let field = |name: &str| {
            let lines = info.lines().filter_map(|line| line.split_once(':'));
            let mut values = lines.filter(|(field, _)| *field == name);
            values.next().map_or("", |(_, value)| value.trim())
        };
        let number = |name| field(name).parse().unwrap_or(0);
        Ok(MemoryFacts {
            keys: u64::try_from(keys?.integer()?).unwrap_or(0),
            used: number("used_memory"),
            peak: number("used_memory_peak"),
            max: number("maxmemory"),
            policy: field("maxmemory_policy").into(),
        })
    }
}

/// The most entries of a slow log that are read.
const ENTRIES: u32 = 1_000;

/// The slow log, the newest entries first. `SLOWLOG GET`.
#[derive(Debug)]
pub(crate) struct ReadSlowLog;

/// A command that was slow.
#[derive(Debug)]
pub(crate) struct SlowEntry {
    /// Seconds since the epoch.
    pub(crate) at: u64,
    pub(crate) took: Duration,
    pub(crate) words: Vec<Vec<u8>>,
}

impl Batch<Memory> for ReadSlowLog {
    type Output = Result<Vec<SlowEntry>, StoreError>;

    fn run(&self, _: &Memory, _: Timestamp) -> Self::Output {
        Ok(Vec::new())
    }

    fn commands(&self, out: &mut Commands) {
        out.push(Command::new("SLOWLOG").arg("GET").arg(ENTRIES));
    }

    fn replies(&self, replies: &mut Replies) -> Self::Output {
        let mut entries = Vec::new();
        for entry in next(replies)?.array()? {
            let mut parts = entry.array()?;
            let _id = parts.next_unsigned()?;
            let at = parts.next_unsigned()?;
            let took = Duration::from_micros(parts.next_unsigned()?);
            let words = parts.next_reply()?.array()?;
            let words = words.map(|word| Ok(word.bytes()?.to_vec()));
            let words = words.collect::<Result<_, StoreError>>()?;
            entries.push(SlowEntry { at, took, words });
        }
        Ok(entries)
    }
}
