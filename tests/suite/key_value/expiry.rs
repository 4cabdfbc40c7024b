//! How long values live: by tokio's clock on embedded memory, by the server's on Redis.

use std::{convert::Infallible, time::Duration};

use tower_keep::key_value::{Expiry, LIST_TTL, LoadError, USER_DATA_TTL};

use super::stand::{Database, Stand, user};
use crate::harness::eventually;

mod servers_time {
    use super::{
        Stand, redis_keeps_a_value_for_its_time, redis_tells_and_changes_a_time_to_live_too,
    };

    crate::harness::on_every_redis!(
        redis_tells_and_changes_a_time_to_live_too,
        redis_keeps_a_value_for_its_time,
    );
}
super::on_all_stores!(any_duration_is_a_time_to_live);

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
async fn a_load_keeps_its_lease_for_as_long_as_it_takes() {
    let stand = Stand::memory();
    let (slow, other) = (Database::closed("Ada"), Database::open("nobody"));
    let load = slow.spawn_through(&stand.users, "1");
    slow.has_begun().await;
    tokio::time::sleep(SECOND * 20).await;
    let waiting = other.spawn_through(&stand.elsewhere(), "1");
    tokio::time::sleep(SECOND * 30).await;
    slow.let_go_on();
    assert_eq!(load.await.unwrap().unwrap(), user("Ada"));
    assert_eq!(waiting.await.unwrap().unwrap(), user("Ada"));
    assert_eq!(other.calls(), 0);
    assert!(stand.users.exists(1).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_another_process_longer_than_the_load_timeout() {
    let stand = Stand::memory();
    let (stuck, other) = (Database::closed("Ada"), Database::open("nobody"));
    let long = stand.users.clone().with_load_timeout(SECOND * 600);
    let load = stuck.spawn_through(&long, "1");
    stuck.has_begun().await;
    let begin = tokio::time::Instant::now();
    let waiting = other.through(&stand.elsewhere(), "1").await;
    assert!(matches!(waiting, Err(LoadError::TimedOut(of)) if of == SECOND * 60));
    assert_eq!(begin.elapsed().as_secs(), 60);
    stuck.let_go_on();
    assert_eq!(load.await.unwrap().unwrap(), user("Ada"));
}

#[tokio::test(start_paused = true)]
async fn a_time_to_live_is_told_changed_and_absent() {
    let stand = Stand::memory();
    told_changed_and_absent(&stand).await;
    tokio::time::advance(SECOND * 5).await;
    assert_eq!(
        stand.users.ttl(1).await.unwrap(),
        Some(Expiry::In(SECOND * 5))
    );
    tokio::time::advance(SECOND * 5).await;
    assert!(!stand.users.exists(1).await.unwrap());
    tokio::time::advance(USER_DATA_TTL * 10_000).await;
    assert_eq!(stand.get("2").await, Some(user("Grace")));
}

async fn redis_tells_and_changes_a_time_to_live_too(mut stand: Stand) {
    told_changed_and_absent(&stand).await;
    let left: i64 = stand.server().query(&["PTTL", "keep:user:2"]);
    assert_eq!(left, -1, "the one that was to have none");
}

async fn told_changed_and_absent(stand: &Stand) {
    let users = &stand.users;
    let left = async |id: u8| users.ttl(id).await.unwrap();
    assert_eq!(left(1).await, None);
    assert!(!users.expire(1, SECOND).await.unwrap());
    users.set(1, &user("Ada"), LIST_TTL).await.unwrap();
    let within = |left: Option<Expiry>, ttl| matches!(left, Some(Expiry::In(left)) if left <= ttl && left + SECOND * 30 > ttl);
    assert!(within(left(1).await, LIST_TTL));
    assert!(users.expire(1, USER_DATA_TTL).await.unwrap());
    assert!(within(left(1).await, USER_DATA_TTL));
    users.set_without_ttl(2, &user("Grace")).await.unwrap();
    assert_eq!(left(2).await, Some(Expiry::Never));
    assert!(users.expire(2, SECOND).await.unwrap());
    assert!(within(left(2).await, SECOND));
    users.set_without_ttl(2, &user("Grace")).await.unwrap();
    assert_eq!(users.get(2).await.unwrap(), Some(user("Grace")));
    assert!(users.expire(1, SECOND * 10).await.unwrap());
}

async fn redis_keeps_a_value_for_its_time(mut stand: Stand) {
    stand.users.set(1, &user("Ada"), LIST_TTL).await.unwrap();
    let database = Database::open("Grace");
    database.through(&stand.users, "2").await.unwrap();
    for (key, ttl) in [("keep:user:1", LIST_TTL), ("keep:user:2", USER_DATA_TTL)] {
        let left: u64 = stand.server().query(&["PTTL", key]);
        let left = Duration::from_millis(left);
        assert!(left <= ttl && left > ttl - SECOND * 30, "{key}: {left:?}");
    }
}

async fn any_duration_is_a_time_to_live(stand: Stand) {
    let users = &stand.users;
    for ttl in [Duration::MAX, Duration::from_secs(u64::MAX / 1_000)] {
        users.set(1, &user("Ada"), ttl).await.unwrap();
        assert_eq!(stand.get("1").await, Some(user("Ada")), "{ttl:?}");
        assert!(users.expire(1, ttl).await.unwrap());
        assert_eq!(stand.get("1").await, Some(user("Ada")), "{ttl:?}");
        users.set_many([(2, user("Alan"))], ttl).await.unwrap();
        let loaded = users.get_or_load(3, ttl, || async { Ok::<_, Infallible>(user("Grace")) });
        assert_eq!(loaded.await.unwrap(), user("Grace"));
        assert_eq!(stand.get("2").await, Some(user("Alan")), "{ttl:?}");
        assert_eq!(stand.get("3").await, Some(user("Grace")), "{ttl:?}");
        users.del_many([2, 3]).await.unwrap();
    }
    for ttl in [Duration::ZERO, Duration::from_nanos(1)] {
        users.set(1, &user("Ada"), ttl).await.unwrap();
        eventually("it is gone", async || !users.exists(1).await.unwrap()).await;
        users.set(1, &user("Ada"), USER_DATA_TTL).await.unwrap();
        assert!(users.expire(1, ttl).await.unwrap());
        eventually("it is gone", async || !users.exists(1).await.unwrap()).await;
        let loaded = users.get_or_load(1, ttl, || async { Ok::<_, Infallible>(user("Grace")) });
        assert_eq!(loaded.await.unwrap(), user("Grace"));
        eventually("it is gone", async || !users.exists(1).await.unwrap()).await;
    }
}
