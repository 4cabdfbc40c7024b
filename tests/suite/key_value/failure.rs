//! A store that fails: an error for who asked for the cache, a load for who asked for the value.

use std::time::Duration;

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tower_keep::key_value::USER_DATA_TTL;

use crate::harness::{eventually, on_own_servers};

use super::stand::{Database, Stand, User, user};

on_own_servers!(
    a_dead_redis_is_an_error_of_every_call_but_get_or_load,
    a_hundred_tasks_load_once_without_a_store_too,
    values_are_kept_again_once_redis_is_back,
    a_redis_that_dies_while_a_load_runs_costs_no_answer,
    a_redis_at_its_memory_limit_takes_no_value_and_no_lease,
);

async fn a_dead_redis_is_an_error_of_every_call_but_get_or_load(mut stand: Stand) {
    stand.server().kill();
    let users = &stand.users;
    assert!(users.get::<User>(1).await.is_err());
    assert!(users.exists(1).await.is_err());
    assert!(users.set(1, &user("Ada"), USER_DATA_TTL).await.is_err());
    assert!(users.del(1).await.is_err());
    let database = Database::open("Ada");
    assert_eq!(database.through(users, "1").await.unwrap(), user("Ada"));
    assert_eq!(database.calls(), 1);
}

async fn a_hundred_tasks_load_once_without_a_store_too(mut stand: Stand) {
    stand.server().kill();
    // From here on the breaker is open, so that all of them find out at once.
    while stand.users.exists(1).await.is_ok() {}
    let database = Database::closed("Ada");
    let mut tasks = JoinSet::new();
    for _ in 0..100 {
        let (database, users) = (database.clone(), stand.users.clone());
        tasks.spawn(async move { database.through(&users, "1").await });
    }
    database.has_begun().await;
    sleep(Duration::from_millis(200)).await;
    database.let_go_on();
    for result in tasks.join_all().await {
        assert_eq!(result.unwrap(), user("Ada"));
    }
    assert_eq!(database.calls(), 1);
}

async fn values_are_kept_again_once_redis_is_back(mut stand: Stand) {
    stand.server().kill();
    let database = Database::open("Ada");
    database.through(&stand.users, "1").await.unwrap();
    stand.server().restart();
    let end = Instant::now() + Duration::from_secs(20);
    while !stand.users.exists(1).await.unwrap_or(false) {
        assert!(Instant::now() < end, "nothing is kept");
        sleep(Duration::from_millis(5)).await;
        database.through(&stand.users, "1").await.unwrap();
    }
    let calls = database.calls();
    database.through(&stand.users, "1").await.unwrap();
    assert_eq!(database.calls(), calls);
}

async fn a_redis_that_dies_while_a_load_runs_costs_no_answer(mut stand: Stand) {
    let database = Database::closed("Ada");
    let load = database.spawn_through(&stand.users, "1");
    database.has_begun().await;
    stand.server().kill();
    database.let_go_on();
    assert_eq!(load.await.unwrap().unwrap(), user("Ada"));
}

async fn a_redis_at_its_memory_limit_takes_no_value_and_no_lease(mut stand: Stand) {
    let ada = user("Ada");
    stand.users.set(1, &ada, USER_DATA_TTL).await.unwrap();
    let begun_before = Database::closed("Ada");
    let load = begun_before.spawn_through(&stand.users, "2");
    begun_before.has_begun().await;
    let server = stand.server();
    server.command_each(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    server.command_each(&["CONFIG", "SET", "maxmemory", "1"]);
    for id in ["1", "3"] {
        let set = stand.users.set(id, &user("Bob"), USER_DATA_TTL).await;
        let error = set.unwrap_err().to_string();
        assert!(error.contains("OOM"), "{error}");
    }
    begun_before.let_go_on();
    assert_eq!(load.await.unwrap().unwrap(), user("Ada"));
    let database = Database::open("Ada");
    let loaded = database.through(&stand.users, "4").await;
    assert_eq!(loaded.unwrap(), user("Ada"));
    assert_eq!(stand.get("1").await, Some(user("Ada")));
    // The lease of the load that began before was taken back.
    let server = stand.server();
    eventually("no lease is left", async || {
        server.keys("*") == ["keep:user:1"]
    })
    .await;
    assert!(stand.users.del("1").await.unwrap());
}
