//! The bounds, and what happens beyond them.

use std::{sync::Arc, time::Duration};

use super::{
    Hidden, Invalidations,
    recent::{MOST, RECENT, Recent},
};
use crate::{
    cache::clock::now,
    store::{Key, Store, Timestamp},
};

fn key(n: usize) -> Key {
    crate::store::operations::response::key(&crate::store::Namespace::default(), &n.to_string())
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

#[tokio::test]
async fn embedded_memory_takes_an_invalidation_at_once_and_nothing_is_remembered() {
    let invalidations = Invalidations::new(Store::memory());
    for n in 0..100 {
        let invalidating = invalidations.invalidate(vec![key(n)]);
        assert!(invalidating.0.is_none());
        assert_eq!(invalidations.hidden(&key(n)), None);
    }
    let keys = invalidations.lock();
    assert!(keys.is_idle() && !keys.repeating);
}

#[test]
fn the_recent_ones_are_bounded_in_number_and_age_and_each_key_counts_once() {
    let mut recent = Recent::default();
    for number in 0..10 {
        recent.push(key(1), number, at(number));
    }
    assert_eq!((recent.keys.len(), recent.numbers.len()), (1, 1));
    recent.push(key(1), 3, at(11));
    assert_eq!(recent.numbers[&key(1)], 9);
    for n in 0..MOST {
        recent.push(key(n + 2), 10 + n as u64, at(20));
    }
    assert_eq!((recent.keys.len(), recent.numbers.len()), (MOST, MOST));
    assert_eq!(recent.dropped, Some(at(9)));
    recent.expire(at(20).saturating_add(RECENT));
    assert_eq!((recent.keys.len(), recent.numbers.len()), (0, 0));
}

#[cfg(feature = "redis")]
mod without_a_server {
    use super::*;

    /// A store whose server nobody has started.
    fn store() -> Store {
        let config = deadpool_redis::Config::from_url("redis://127.0.0.1:1");
        Store::redis(
            config
                .create_pool(Some(deadpool_redis::Runtime::Tokio1))
                .unwrap(),
        )
    }

    #[tokio::test]
    async fn what_the_store_does_not_take_is_hidden_until_it_does() {
        let invalidations = Invalidations::new(store());
        let invalidating = invalidations.invalidate(vec![key(1)]);
        assert_eq!(invalidations.hidden(&key(1)), Some(Hidden::ForNow));
        invalidating.await;
        assert_eq!(invalidations.hidden(&key(1)), Some(Hidden::UntilTaken));
        assert_eq!(invalidations.hidden(&key(2)), None);
        assert!(invalidations.lock().repeating);
    }

    #[tokio::test]
    async fn beyond_the_bound_everything_up_to_now_is_over() {
        let invalidations = Invalidations::new(store());
        let before = now();
        for n in 0..MOST {
            drop(invalidations.invalidate(vec![key(n)]));
        }
        assert_eq!(invalidations.watermark(), 0);
        for n in MOST..MOST + 100 {
            drop(invalidations.invalidate(vec![key(n)]));
        }
        assert!((before..=now()).contains(&invalidations.watermark()));
        assert_eq!(invalidations.lock().pending.len(), MOST);
        assert!(invalidations.hidden(&key(0)).is_some());
    }

    #[tokio::test]
    async fn an_invalidation_during_the_attempt_at_an_earlier_one_stays() {
        let invalidations = Invalidations::new(store());
        let earlier = invalidations.note(vec![key(1)]);
        let later = invalidations.note(vec![key(1)]);
        invalidations.settle(earlier, &[Ok(true)]);
        assert!(invalidations.hidden(&key(1)).is_some());
        invalidations.settle(later, &[Ok(true)]);
        assert!(invalidations.hidden(&key(1)).is_none());
    }

    #[tokio::test]
    async fn the_task_ends_with_the_cache() {
        let invalidations = Invalidations::new(store());
        invalidations.invalidate(vec![key(1)]).await;
        let weak = Arc::downgrade(&invalidations);
        drop(invalidations);
        for _ in 0..100 {
            if weak.upgrade().is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it lives on");
    }
}
