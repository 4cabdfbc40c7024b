//! Loads that come to nothing: they panic, take too long or go down with their runtime.

use std::time::Duration;

use tokio::time::Instant;
use tower_keep::{
    Store, StoreError,
    key_value::{KeyValue, LoadError, SetError, USER_DATA_TTL},
    store::MemoryLimits,
};

use super::stand::{Database, Loaded, NoSuchUser, Stand, User, user};
use crate::harness::{connected::PATIENT, eventually};

super::on_all_stores!(
    a_loaders_panic_is_an_error_for_all_who_wait,
    a_load_that_takes_too_long_is_an_error_that_says_so,
    a_loader_that_blocks_its_thread_holds_followers_for_the_time_limit_only,
    a_load_that_goes_down_with_its_runtime_hangs_nobody,
    a_value_that_json_cannot_hold_is_loaded_by_all_at_once,
);

/// On every topology of Redis.
mod on_servers_that_fail {
    use super::{
        Stand, a_budget_bounds_a_call_whose_store_does_not_answer,
        a_redis_that_freezes_while_a_load_runs_costs_its_deadline_and_no_answer,
        a_redis_that_takes_no_write_costs_a_load_its_deadline_and_no_answer,
    };

    crate::harness::on_own_servers!(
        a_redis_that_freezes_while_a_load_runs_costs_its_deadline_and_no_answer,
        a_redis_that_takes_no_write_costs_a_load_its_deadline_and_no_answer,
        a_budget_bounds_a_call_whose_store_does_not_answer,
    );
}

async fn a_loaders_panic_is_an_error_for_all_who_wait(stand: Stand) {
    let broken = Database::closed("nobody");
    let calls = [(); 5].map(|()| {
        let (broken, users) = (broken.clone(), stand.users.clone());
        let query = || async move {
            broken.query().await?;
            panic!("the loader's own")
        };
        tokio::spawn(async move { users.get_or_load(1, USER_DATA_TTL, query).await })
    });
    broken.has_begun().await;
    settle().await;
    broken.let_go_on();
    for call in calls {
        let result: Loaded = call.await.unwrap();
        assert!(matches!(result, Err(LoadError::Panicked)), "{result:?}");
    }
    assert_eq!(broken.calls(), 1);
    // Before its first await, too.
    let query = || -> std::future::Ready<Loaded> { panic!("the loader's own") };
    let load = stand.users.get_or_load(1, USER_DATA_TTL, query);
    assert!(matches!(load.await, Err(LoadError::Panicked)));
    let database = Database::open("Ada");
    let loaded = database.through(&stand.users, "1").await;
    assert_eq!(loaded.unwrap(), user("Ada"));
}

async fn a_load_that_takes_too_long_is_an_error_that_says_so(mut stand: Stand) {
    let limit = Duration::from_millis(300);
    let users = stand.users.clone().with_load_timeout(limit);
    let stuck = Database::closed("nobody");
    let begin = Instant::now();
    let first = stuck.spawn_through(&users, "1");
    stuck.has_begun().await;
    // One with the default patience waits no longer than the load takes.
    let second = stuck.spawn_through(&stand.users, "1");
    for call in [first, second] {
        let error = call.await.unwrap().unwrap_err();
        assert!(matches!(error, LoadError::TimedOut(of) if of == limit));
        assert!(error.to_string().contains("300ms"), "{error}");
    }
    assert!(begin.elapsed() < limit * 20, "{:?}", begin.elapsed());
    assert_eq!(stuck.calls(), 1);
    eventually("the loader is dropped", async || stuck.is_idle()).await;
    if stand.is_redis() {
        let server = stand.server();
        eventually("no key is left", async || server.keys("*").is_empty()).await;
    }
    let database = Database::open("Ada");
    let loaded = database.through(&users, "1").await;
    assert_eq!(loaded.unwrap(), user("Ada"));
}

#[tokio::test(start_paused = true)]
async fn a_load_takes_at_most_a_minute_unless_said_otherwise() {
    let stand = Stand::memory();
    let stuck = Database::closed("nobody");
    let begin = Instant::now();
    let error = stuck.through(&stand.users, "1").await.unwrap_err();
    assert!(matches!(
        error,
        LoadError::TimedOut(KeyValue::DEFAULT_LOAD_TIMEOUT)
    ));
    assert_eq!(begin.elapsed().as_secs(), 60);
    let begin = Instant::now();
    let users = stand.users.with_load_timeout(Duration::from_secs(600));
    let slow = Database::closed("Ada");
    let load = slow.spawn_through(&users, "1");
    slow.has_begun().await;
    tokio::time::sleep(Duration::from_secs(599)).await;
    slow.let_go_on();
    assert_eq!(load.await.unwrap().unwrap(), user("Ada"));
    assert_eq!(begin.elapsed().as_secs(), 599);
    assert!(users.exists(1).await.unwrap());
}

async fn a_loader_that_blocks_its_thread_holds_followers_for_the_time_limit_only(stand: Stand) {
    let limit = Duration::from_millis(200);
    let users = stand.users.clone().with_load_timeout(limit);
    // A connection is served by the runtime in which it was made: this one.
    assert_eq!(stand.get("1").await, None);
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (end, blocked) = std::sync::mpsc::channel::<()>();
    // A runtime that does nothing else, as one whose thread is stuck.
    let elsewhere = std::thread::spawn({
        let users = users.clone();
        move || {
            let blocking = || async move {
                begun.send(()).unwrap();
                let _ = blocked.recv();
                Err::<User, _>(NoSuchUser)
            };
            let load = users.get_or_load(1, USER_DATA_TTL, blocking);
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().unwrap();
            runtime.block_on(load).map(drop).map_err(drop)
        }
    });
    has_begun.await.unwrap();
    let database = Database::open("Ada");
    let error = database.through(&users, "1").await.unwrap_err();
    assert!(matches!(error, LoadError::TimedOut(of) if of == limit));
    // Nobody waits for it a second time.
    let loaded = database.through(&users, "1").await;
    assert_eq!(loaded.unwrap(), user("Ada"));
    drop(end);
    elsewhere.join().unwrap().unwrap_err();
    assert_eq!(stand.get("1").await, Some(user("Ada")));
}

async fn a_load_that_goes_down_with_its_runtime_hangs_nobody(stand: Stand) {
    let mut doomed = tokio::runtime::Builder::new_multi_thread();
    let doomed = doomed.worker_threads(1).enable_all().build().unwrap();
    let stuck = Database::closed("nobody");
    let load = doomed.spawn({
        let (stuck, users) = (stuck.clone(), stand.users.clone());
        async move { stuck.through(&users, "1").await }
    });
    stuck.has_begun().await;
    let database = Database::open("Ada");
    let follower = database.spawn_through(&stand.users, "1");
    settle().await;
    assert_eq!(database.calls(), 0, "it waits for the first");
    doomed.shutdown_background();
    assert_eq!(follower.await.unwrap().unwrap(), user("Ada"));
    assert!(load.await.unwrap_err().is_cancelled());
    assert_eq!(stand.get("1").await, Some(user("Ada")));
}

async fn a_value_that_json_cannot_hold_is_loaded_by_all_at_once(stand: Stand) {
    // It is written as `null`, which reads as no number.
    let gate = Database::closed("nobody");
    let calls = [(); 10].map(|()| {
        let (gate, users) = (gate.clone(), stand.users.clone());
        let query = || async move { gate.query().await.map(|_| f64::NAN) };
        tokio::spawn(async move { users.get_or_load(1, USER_DATA_TTL, query).await })
    });
    gate.has_begun().await;
    settle().await;
    assert_eq!(gate.calls(), 1);
    gate.let_go_on();
    for call in calls {
        assert!(call.await.unwrap().unwrap().is_nan());
    }
}

#[tokio::test]
async fn memory_without_room_for_a_value_is_an_error_to_set_and_none_to_load() {
    let mut limits = MemoryLimits::default();
    limits.values = 32 << 10;
    let values = KeyValue::new(Store::memory_within(&limits), "page").unwrap();
    let large = "x".repeat(10_000);
    let error = values.set(1, &large, USER_DATA_TTL).await.unwrap_err();
    assert!(
        matches!(error, SetError::Store(StoreError::NoRoom)),
        "{error}"
    );
    let load = values.get_or_load(1, USER_DATA_TTL, {
        let large = large.clone();
        || async { Ok::<_, NoSuchUser>(large) }
    });
    assert_eq!(load.await.unwrap(), large);
    assert!(!values.exists(1).await.unwrap());
    values.set(1, "small", USER_DATA_TTL).await.unwrap();
    assert!(values.exists(1).await.unwrap());
}

async fn a_redis_that_freezes_while_a_load_runs_costs_its_deadline_and_no_answer(mut stand: Stand) {
    let users = stand.impatient().await;
    let database = Database::closed("Ada");
    let calls = [(); 20].map(|()| database.spawn_through(&users, "1"));
    database.has_begun().await;
    settle().await;
    stand.server().pause();
    database.let_go_on();
    let begin = Instant::now();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), user("Ada"));
    }
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
    // Nobody knows whether the value was changed since the first load, so that those who came later
    // share one more.
    assert!(database.calls() <= 2, "{}", database.calls());
    stand.server().resume();
    let server = stand.server();
    server.assert_every_key_has_a_ttl();
}

async fn a_redis_that_takes_no_write_costs_a_load_its_deadline_and_no_answer(mut stand: Stand) {
    let users = stand.impatient().await;
    eventually("it answers in time", async || users.exists(1).await.is_ok()).await;
    let server = stand.server();
    server.command_each(&["CLIENT", "PAUSE", "60000", "WRITE"]);
    let database = Database::open("Ada");
    let begin = Instant::now();
    let calls = [(); 20].map(|()| database.spawn_through(&users, "1"));
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), user("Ada"));
    }
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
    server.command_each(&["CLIENT", "UNPAUSE"]);
    server.assert_every_key_has_a_ttl();
}

/// Lets what was spawned get as far as it can without the test.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(300)).await;
}

async fn a_budget_bounds_a_call_whose_store_does_not_answer(mut stand: Stand) {
    let budget = Duration::from_millis(50);
    let users = stand.users.clone().with_budget(budget);
    assert_eq!(stand.get("1").await, None);
    stand.server().pause();
    let database = Database::open("Ada");
    let begin = Instant::now();
    let error = database.through(&users, "1").await.unwrap_err();
    let took = begin.elapsed();
    stand.server().resume();
    assert!(matches!(error, LoadError::TimedOut(of) if of == budget));
    // The store's deadline is longer.
    assert!(took < PATIENT / 2, "{took:?}");
}
