//! Random cases, and the same ones on embedded memory and on Redis.

use proptest::{
    strategy::Strategy,
    test_runner::{Config, TestCaseResult, TestRunner},
};
use tokio::runtime::{Builder, Runtime};
use tower_keep::Store;

use super::{connected::PATIENT, redis::Backend};

/// Checks `count` random cases; one that fails is made as small as it can be first.
#[track_caller]
pub(crate) fn random_cases<S: Strategy>(
    count: u32,
    cases: S,
    check: impl Fn(S::Value) -> TestCaseResult,
) {
    let config = Config {
        cases: count,
        failure_persistence: None,
        ..Config::default()
    };
    if let Err(error) = TestRunner::new(config).run(&cases, check) {
        panic!("{error}");
    }
}

/// Makes `transcript` of each of `count` random cases on both stores, which are empty, and
/// compares the lines. The backend is given where there is one.
///
/// Each store has a runtime of its own, so that the clock of embedded memory alone can be paused.
pub(crate) fn memory_and_redis_agree<S: Strategy>(
    count: u32,
    cases: S,
    transcript: impl AsyncFn(Store, Option<&Backend>, &S::Value) -> Vec<String>,
) {
    let there = runtime();
    let backend = Backend::redis();
    let redis = there.block_on(backend.connected(PATIENT));
    random_cases(count, cases, |case| {
        backend.command(&["FLUSHALL"]);
        let memory = runtime().block_on(transcript(Store::memory(), None, &case));
        let redis = there.block_on(transcript(redis.clone(), Some(&backend), &case));
        proptest::prop_assert_eq!(memory, redis);
        Ok(())
    });
}

fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime can be made")
}
