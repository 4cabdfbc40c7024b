//! The sweeper, on tables of numbers.

use super::*;
use crate::store::{
    key::{Key, Namespace},
    memory::{Table, replace},
};

type Numbers = Table<usize>;

impl Reclaim for Numbers {
    fn reclaim(&self, now: Timestamp) {
        Self::reclaim(self, now);
    }
}

fn memory() -> Arc<Swept<Numbers>> {
    Swept::new(Numbers::with_budget(64 << 10))
}

fn key() -> Key {
    Namespace::default().key("number", &["1"])
}

/// Uses the memory as a store does, to store a number for a second.
fn store(memory: &Arc<Swept<Numbers>>) {
    let now = Timestamp::now();
    memory.keep_swept(now);
    let stored = memory.tables().update(&key(), now, |live| {
        replace(live, 1, now, Duration::from_secs(1));
    });
    stored.unwrap();
}

fn runtime() -> tokio::runtime::Runtime {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().start_paused(true).build().unwrap()
}

#[test]
fn a_runtime_that_ends_takes_its_sweeper_along_and_the_next_use_starts_another() {
    let memory = memory();
    for _ in 0..3 {
        runtime().block_on(async {
            store(&memory);
            tokio::time::sleep(Duration::from_secs(5)).await;
            assert_eq!(memory.tables().usage(), (0, 0));
        });
    }
}

#[test]
fn a_sweeper_in_a_runtime_that_is_no_longer_polled_is_replaced() {
    let memory = memory();
    let (idle, polled) = (runtime(), runtime());
    idle.block_on(async { memory.keep_swept(Timestamp::now()) });
    polled.block_on(async {
        store(&memory);
        tokio::time::sleep(Duration::from_secs(8)).await;
        memory.keep_swept(Timestamp::now());
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(memory.tables().usage(), (0, 0));
    });
    // And does not sweep beside the one that has taken over.
    idle.block_on(async { tokio::time::sleep(Duration::from_secs(3)).await });
    assert_eq!(idle.metrics().num_alive_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_sweeper_ends_with_the_last_handle() {
    let memory = memory();
    memory.keep_swept(Timestamp::now());
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let clone = memory.clone();
    drop(memory);
    tokio::time::sleep(SWEEP_EVERY * 3).await;
    assert_eq!(tasks(), 1);
    drop(clone);
    tokio::time::sleep(SWEEP_EVERY * 3).await;
    assert_eq!(tasks(), 0);
}
