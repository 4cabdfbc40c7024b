use super::*;
use crate::store::key::Namespace;

impl Weigh for usize {
    fn weight(&self) -> usize {
        *self
    }
}

const NOW: Timestamp = Timestamp::from_micros(1_000_000);
const LATER: Timestamp = Timestamp::from_micros(2_000_000);

fn key(name: &str) -> Key {
    Namespace::default().key("name", &[name])
}

fn set(
    table: &Table<usize>,
    name: &str,
    value: usize,
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    table.update(&key(name), NOW, |live| {
        *live = Some(Live { value, expires_at });
    })
}

#[test]
fn an_expired_entry_is_never_seen_and_is_reclaimed() {
    let table = Table::with_budget(1 << 20);
    set(&table, "a", 1, LATER).unwrap();
    assert_eq!(table.get(&key("a"), NOW, |live| live.value), Some(1));
    assert_eq!(table.get(&key("a"), LATER, |live| live.value), None);
    table
        .update(&key("a"), LATER, |live| assert!(live.is_none()))
        .unwrap();
    set(&table, "b", 1, LATER).unwrap();
    table.reclaim(LATER);
    assert_eq!(table.usage(), (0, 0));
}

#[test]
fn a_pair_is_changed_in_one_step_on_one_shard_and_on_two() {
    let table = Table::with_budget(1 << 20);
    for n in 0..64 {
        let (a, b) = (key(&format!("a{n}")), key(&format!("b{n}")));
        table
            .update(&a, NOW, |live| {
                *live = Some(Live {
                    value: n,
                    expires_at: LATER,
                });
            })
            .unwrap();
        table
            .update_pair(&a, &b, NOW, |from, to| *to = from.take())
            .unwrap();
        assert_eq!(table.get(&a, NOW, |live| live.value), None);
        assert_eq!(table.get(&b, NOW, |live| live.value), Some(n));
    }
}

#[test]
fn the_budget_holds_and_what_was_used_last_stays() {
    const BUDGET: usize = 256 << 10;
    let table = Table::with_budget(BUDGET);
    for n in 0..10_000 {
        set(&table, "hot", 10, LATER).unwrap();
        set(&table, &format!("cold{n}"), 10, LATER).unwrap();
    }
    let (_, weight) = table.usage();
    assert!(weight <= BUDGET && weight > BUDGET / 2, "{weight}");
    assert_eq!(table.get(&key("hot"), NOW, |live| live.value), Some(10));
}

#[test]
fn a_value_over_the_budget_is_an_error_to_its_writer_and_pushes_no_other_out() {
    const BUDGET: usize = 256 << 10;
    let table = Table::with_budget(BUDGET);
    for n in 0..SHARDS {
        set(&table, &format!("small{n}"), 10, LATER).unwrap();
    }
    let before = table.usage();
    set(&table, "big", 10, LATER).unwrap();
    for n in 0..64 {
        let kept = set(&table, &format!("big{n}"), BUDGET / 2, LATER);
        assert!(matches!(kept, Err(StoreError::NoRoom)));
    }
    assert!(set(&table, "big", BUDGET / 2, LATER).is_err());
    assert_eq!(table.get(&key("big"), NOW, |live| live.value), None);
    assert_eq!(table.usage(), before);
}

/// Worth keeping if it is odd.
#[derive(Debug)]
struct Odd(usize);

impl Weigh for Odd {
    fn weight(&self) -> usize {
        100
    }

    fn is_worth_keeping(&self, _: Timestamp) -> bool {
        self.0 % 2 == 1
    }
}

const BUDGET: usize = 1 << 20;

fn put(table: &Table<Odd>, name: &str, value: usize) {
    let set = |live: &mut Option<_>| {
        *live = Some(Live {
            value: Odd(value),
            expires_at: LATER,
        });
    };
    table.update(&key(name), NOW, set).unwrap();
}

#[test]
fn a_flood_of_keys_seen_once_pushes_out_neither_what_is_in_use_nor_what_is_worth_keeping() {
    let table = Table::with_budget(BUDGET);
    // The table is full of what nobody misses.
    for n in 0..10_000 {
        put(&table, &format!("before{n}"), 0);
    }
    for n in 0..500 {
        put(&table, &format!("worthy{n}"), 1);
        put(&table, &format!("used{n}"), 0);
        for _ in 0..3 {
            table.get(&key(&format!("used{n}")), NOW, |_| ());
        }
    }
    for n in 0..300_000 {
        put(&table, &format!("flood{n}"), 0);
        if n % 1_000 == 0 {
            // The last that came is there, however many there were.
            assert!(table.get(&key(&format!("flood{n}")), NOW, |_| ()).is_some());
        }
        // Some are looked up now and then; the others' turn is after the flood.
        if n % 100 == 0 {
            table.get(&key(&format!("used{}", n / 100 % 250)), NOW, |_| ());
        }
    }
    let left = |name: &str, all: std::ops::Range<usize>| {
        let there = |n: &usize| {
            table
                .get(&key(&format!("{name}{n}")), NOW, |_| ())
                .is_some()
        };
        all.filter(there).count()
    };
    assert_eq!(left("worthy", 0..500), 500);
    assert!(left("used", 0..250) >= 248, "{}", left("used", 0..250));
    assert!(left("used", 250..500) >= 240, "{}", left("used", 250..500));
    let (_, weight) = table.usage();
    assert!(weight <= BUDGET && weight > BUDGET / 10 * 8, "{weight}");
}

#[test]
fn what_is_asked_for_often_comes_in_although_the_table_is_full() {
    let table = Table::with_budget(BUDGET);
    for n in 0..20_000 {
        put(&table, &format!("old{n}"), 0);
    }
    // Hot by turns: each is gone from the window before it comes again.
    for _ in 0..8 {
        for n in 0..400 {
            if table.get(&key(&format!("new{n}")), NOW, |_| ()).is_none() {
                put(&table, &format!("new{n}"), 0);
            }
        }
    }
    let there = |n: &usize| table.get(&key(&format!("new{n}")), NOW, |_| ()).is_some();
    let left = (0..400).filter(there).count();
    assert!(left > 360, "{left}");
}

#[test]
fn one_entry_may_take_a_quarter_of_the_budget_and_no_more() {
    let table = Table::with_budget(16 << 20);
    let small = |n: usize| format!("small{n}");
    for n in 0..1_000 {
        set(&table, &small(n), 1_000, LATER).unwrap();
    }
    assert!(table.largest() > 4_100_000, "{}", table.largest());
    for n in 0..3 {
        let name = format!("large{n}");
        set(&table, &name, table.largest(), LATER).unwrap();
        assert!(table.get(&key(&name), NOW, |_| ()).is_some());
    }
    assert!(set(&table, "larger", table.largest() + 8192, LATER).is_err());
    let there = |n: &usize| table.get(&key(&small(*n)), NOW, |_| ()).is_some();
    assert_eq!((0..1_000).filter(there).count(), 1_000);
}

#[test]
fn what_is_removed_or_expires_gives_its_room_back() {
    let table = Table::with_budget(BUDGET);
    for round in 0..20 {
        for n in 0..2_000 {
            put(&table, &format!("{round}:{n}"), 0);
        }
        for n in 0..2_000 {
            table
                .update(&key(&format!("{round}:{n}")), NOW, |live| *live = None)
                .unwrap();
        }
        assert_eq!(table.usage(), (0, 0));
        for n in 0..2_000 {
            put(&table, &format!("{round}:{n}"), 0);
        }
        table.reclaim(LATER);
        assert_eq!(table.usage(), (0, 0));
    }
}

#[test]
fn compaction_loses_nothing() {
    let table = Table::with_budget(BUDGET);
    for n in 0..2_000 {
        let expires_at = if n % 7 == 0 {
            Timestamp::from_micros(3_000_000)
        } else {
            LATER
        };
        let value = |live: &mut Option<_>| {
            *live = Some(Live {
                value: Odd(n),
                expires_at,
            });
        };
        table.update(&key(&n.to_string()), NOW, value).unwrap();
    }
    table.reclaim(LATER);
    for n in 0..2_000 {
        let found = table.get(&key(&n.to_string()), LATER, |live| live.value.0);
        assert_eq!(found, (n % 7 == 0).then_some(n));
    }
    assert_eq!(table.usage().0, 286);
}
