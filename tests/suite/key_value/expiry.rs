//! How long values live: by tokio's clock on embedded memory, by the server's on Redis.

use std::time::Duration;

use tower_keep::key_value::{LIST_TTL, USER_DATA_TTL};

use super::stand::{Database, Stand, user};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_value_is_gone_after_its_time() {
    let stand = Stand::memory();
    stand.users.set(1, &user("Ada"), LIST_TTL).await.unwrap();
    let database = Database::open("Grace");
    database.through(&stand.users, "2").await.unwrap();
    tokio::time::advance(LIST_TTL - SECOND).await;
    assert!(stand.users.exists(1).await.unwrap());
    tokio::time::advance(SECOND * 2).await;
    assert!(!stand.users.exists(1).await.unwrap());
    assert_eq!(stand.get("1").await, None);
    assert_eq!(stand.get("2").await, Some(user("Grace")));
    tokio::time::advance(USER_DATA_TTL).await;
    assert_eq!(stand.get("2").await, None);
}

#[tokio::test(start_paused = true)]
async fn the_minute_counts_from_the_last_load_that_was_announced() {
    let stand = Stand::memory();
    let (early, late) = (Database::closed("Ada"), Database::closed("Ada"));
    let hanging = early.spawn_through(&stand.users, "1");
    early.has_begun().await;
    tokio::time::advance(SECOND * 50).await;
    let load = late.spawn_through(&stand.elsewhere(), "1");
    late.has_begun().await;
    tokio::time::advance(SECOND * 50).await;
    late.let_go_on();
    load.await.unwrap().unwrap();
    assert!(stand.users.exists(1).await.unwrap());
    hanging.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn redis_keeps_a_value_for_its_time() {
    let mut stand = Stand::redis().await;
    stand.users.set(1, &user("Ada"), LIST_TTL).await.unwrap();
    let database = Database::open("Grace");
    database.through(&stand.users, "2").await.unwrap();
    for (key, ttl) in [("keep:user:1", LIST_TTL), ("keep:user:2", USER_DATA_TTL)] {
        let left: u64 = stand.server().query(&["PTTL", key]);
        let left = Duration::from_millis(left);
        assert!(left <= ttl && left > ttl - SECOND * 30, "{key}: {left:?}");
    }
}

#[tokio::test]
async fn any_duration_is_a_time_to_live() {
    for stand in [Stand::memory(), Stand::redis().await] {
        for ttl in [Duration::MAX, Duration::from_secs(u64::MAX / 1_000)] {
            stand.users.set(1, &user("Ada"), ttl).await.unwrap();
            assert_eq!(stand.get("1").await, Some(user("Ada")), "{ttl:?}");
        }
        let users = &stand.users;
        for ttl in [Duration::ZERO, Duration::from_nanos(1)] {
            users.set(1, &user("Ada"), ttl).await.unwrap();
            let end = tokio::time::Instant::now() + SECOND * 5;
            while users.exists(1).await.unwrap() {
                assert!(tokio::time::Instant::now() < end, "it stays: {ttl:?}");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
}
