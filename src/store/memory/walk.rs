//! A walk over the keys of tables, a page at a time.
//!
//! As of Redis' SCAN: where it is is a number, nothing is kept between two pages, and a key that is
//! there from the beginning to the end is shown. It goes shard by shard and by the keys' hashes,
//! which stay as they are when a table is compacted.

use super::shard::{POSITION_BITS, POSITIONS, SHARDS};
use crate::store::clock::Timestamp;

/// What can be walked over: a table.
pub(crate) trait Walk {
    /// Shows the keys of a shard that have not expired to `f`, from those whose
    /// [`position`](super::shard::position) is `from` on: about `count` of them. The position of the
    /// next, `None` after the last.
    fn shard_keys(
        &self,
        shard: usize,
        from: u64,
        count: usize,
        now: Timestamp,
        f: &mut dyn FnMut(&str),
    ) -> Option<u64>;
}

/// Shows about `count` keys to `f`, from `cursor` on, which is 0 at the beginning. The cursor of the
/// next page, 0 after the last.
pub(crate) fn walk(
    tables: &[&dyn Walk],
    cursor: u64,
    count: usize,
    now: Timestamp,
    f: &mut dyn FnMut(&str),
) -> u64 {
    let mut shard = cursor >> POSITION_BITS;
    let mut from = cursor % POSITIONS;
    let mut shown = 0;
    while let Some(table) = tables.get(shard as usize / SHARDS) {
        let mut show = |name: &str| {
            shown += 1;
            f(name);
        };
        let next = table.shard_keys(shard as usize % SHARDS, from, count, now, &mut show);
        (shard, from) = match next {
            Some(next) => (shard, next),
            None => (shard + 1, 0),
        };
        if shown >= count {
            return shard << POSITION_BITS | from;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::store::{
        key::Namespace,
        memory::{Live, Table},
    };

    const NOW: Timestamp = Timestamp::from_micros(1_000_000);
    const LATER: Timestamp = Timestamp::from_micros(2_000_000);
    const PAGE: usize = 500;

    fn put(table: &Table<bytes::Bytes>, name: &str, expires_at: Timestamp) {
        let key = Namespace::default().key("name", &[name]);
        let value = bytes::Bytes::new();
        let set = |live: &mut Option<_>| *live = Some(Live { value, expires_at });
        table.update(&key, NOW, set).unwrap();
    }

    #[test]
    fn a_page_is_bounded_and_all_pages_are_every_key_once() {
        let tables = [(); 3].map(|()| Table::with_budget(64 << 20));
        // One of them is empty.
        for n in 0..20_000 {
            put(&tables[2 * (n % 2)], &n.to_string(), LATER);
        }
        let walked: Vec<_> = tables.iter().map(|table| table as &dyn Walk).collect();
        let (mut cursor, mut names, mut pages) = (0, BTreeSet::new(), 0);
        loop {
            let mut page = 0;
            cursor = walk(&walked, cursor, PAGE, NOW, &mut |name| {
                page += 1;
                assert!(names.insert(name.to_owned()), "twice: {name}");
            });
            assert!(page <= PAGE * 3, "{page}");
            pages += 1;
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(names.len(), 20_000);
        assert!(pages <= 60, "{pages}");
    }

    #[test]
    fn what_stays_is_shown_while_other_keys_come_go_and_the_table_is_compacted() {
        let table = Table::with_budget(64 << 20);
        for n in 0..3_000 {
            put(
                &table,
                &format!("stays{n}"),
                Timestamp::from_micros(u64::MAX),
            );
        }
        for n in 0..30_000 {
            put(&table, &format!("goes{n}"), LATER);
        }
        let (mut cursor, mut names, mut round) = (0, BTreeSet::new(), 0);
        loop {
            let now = match round {
                0..3 => NOW,
                _ => LATER,
            };
            cursor = walk(&[&table], cursor, PAGE, now, &mut |name| {
                names.insert(name.to_owned());
            });
            if cursor == 0 {
                break;
            }
            if round == 3 {
                table.reclaim(LATER);
            }
            for n in 0..100 {
                put(&table, &format!("comes{round}:{n}"), LATER);
            }
            round += 1;
        }
        let stays = names.iter().filter(|name| name.contains("stays")).count();
        assert_eq!(stays, 3_000);
    }

    #[test]
    fn nothing_is_one_empty_page() {
        let table = Table::<bytes::Bytes>::with_budget(1 << 20);
        let cursor = walk(&[&table], 0, PAGE, NOW, &mut |name| panic!("{name}"));
        assert_eq!(cursor, 0);
        assert_eq!(walk(&[], 0, PAGE, NOW, &mut |_| ()), 0);
    }
}
