//! Several values in one round trip.

use std::{collections::BTreeMap, time::Duration};

use tower_keep::{
    StoreError,
    key_value::{KeyValue, SetError, USER_DATA_TTL},
};

use super::stand::{Stand, User, user};
use crate::harness::{
    connected::{PATIENT, connected},
    eventually,
    proxy::Proxy,
    redis::RedisCluster,
};

super::on_all_stores!(
    many_are_set_read_and_deleted_as_one_by_one,
    what_cannot_be_read_is_missing_among_many,
    none_at_all_is_no_error,
    as_many_as_there_are,
);

mod gone {
    use super::{Stand, a_store_that_is_gone_is_an_error_of_many};

    crate::harness::on_own_servers!(a_store_that_is_gone_is_an_error_of_many);
}

async fn many_are_set_read_and_deleted_as_one_by_one(stand: Stand) {
    let users = &stand.users;
    let names = (0..1_000).map(|n| (n, user(&n.to_string())));
    users.set_many(names, USER_DATA_TTL).await.unwrap();
    assert_eq!(stand.get("7").await, Some(user("7")));
    // In the order of the question, each time that it is asked.
    let ids = [999, 1_000, 0, 500, 0];
    let found = users.get_many::<User>(ids).await.unwrap();
    let expected = ["999", "", "0", "500", "0"].map(|name| (!name.is_empty()).then(|| user(name)));
    assert_eq!(found, expected);
    let all = users.get_many::<User>(0..1_000).await.unwrap();
    assert!(
        all.iter()
            .enumerate()
            .all(|(n, found)| *found == Some(user(&n.to_string())))
    );
    assert_eq!(users.del_many(900..1_100).await.unwrap(), 100);
    assert!(!users.exists(950).await.unwrap());
    assert_eq!(users.del_many(0..1_000).await.unwrap(), 900);
}

async fn what_cannot_be_read_is_missing_among_many(stand: Stand) {
    let users = &stand.users;
    users.set(1, &user("Ada"), USER_DATA_TTL).await.unwrap();
    users.set(2, &[1, 2, 3], USER_DATA_TTL).await.unwrap();
    let newer = stand.elsewhere().with_schema(2);
    newer.set(3, &user("Grace"), USER_DATA_TTL).await.unwrap();
    let found = users.get_many::<User>([3, 2, 1]).await.unwrap();
    assert_eq!(found, [None, None, Some(user("Ada"))]);
}

async fn none_at_all_is_no_error(stand: Stand) {
    let users = &stand.users;
    let none: [u8; 0] = [];
    assert_eq!(users.get_many::<User>(none).await.unwrap(), []);
    assert_eq!(users.del_many(none).await.unwrap(), 0);
    let nobody: [(u8, User); 0] = [];
    users.set_many(nobody, USER_DATA_TTL).await.unwrap();
    users.invalidate_tags(none).await.unwrap();
}

#[tokio::test]
async fn a_hundred_values_are_one_mget() {
    let mut stand = Stand::redis().await;
    stand.server().reset_stats();
    stand.users.get_many::<User>(0..100).await.unwrap();
    let expected = BTreeMap::from([("mget".to_owned(), 1)]);
    assert_eq!(stand.server().command_calls(), expected);
}

#[tokio::test]
async fn a_thousand_values_are_few_mgets_that_hold_nobody_up_for_long() {
    let mut stand = Stand::redis().await;
    stand.server().reset_stats();
    stand.users.get_many::<User>(0..1_000).await.unwrap();
    assert_eq!(stand.server().command_calls()["mget"], 4);
}

#[tokio::test]
async fn many_are_one_script_each_in_one_round_trip() {
    let mut stand = Stand::redis().await;
    let values = || (0..50).map(|n| (n, n));
    stand.server().reset_stats();
    stand.users.set_many(values(), USER_DATA_TTL).await.unwrap();
    stand.users.del_many(0..50).await.unwrap();
    let calls = stand.server().command_calls();
    assert_eq!(calls["evalsha"], 100);
    assert!(!calls.contains_key("ping"), "{calls:?}");
}

#[tokio::test]
async fn on_a_cluster_every_shard_gets_its_own_and_no_redirection_is_needed() {
    let cluster = RedisCluster::start();
    let store = connected(&cluster.url(), PATIENT).await;
    let values = KeyValue::new(store, "user").unwrap();
    // The map of the slots is read with the first calls.
    values.get_many::<u32>(0..50).await.unwrap();
    let masters = &cluster.nodes()[..3];
    masters.iter().for_each(|node| node.reset_stats());
    let all = || (0..60).map(|n| (n, n));
    values.set_many(all(), USER_DATA_TTL).await.unwrap();
    let found = values.get_many::<u32>(0..60).await.unwrap();
    assert!(found.into_iter().eq((0..60).map(Some)));
    for node in masters {
        let calls = node.command_calls();
        assert!(calls["evalsha"] > 5, "{calls:?}");
        assert_eq!(calls["evalsha"], calls["set"], "{calls:?}");
    }
    let sum = |name: &str| {
        masters
            .iter()
            .map(|node| node.command_calls()[name])
            .sum::<u64>()
    };
    assert_eq!(sum("mget"), 60);
    assert_eq!(sum("set"), 60);
}

/// So many values of so many bytes each, with ids from 0 on.
fn values(count: usize, bytes: usize) -> impl Iterator<Item = (usize, String)> {
    (0..count).map(move |id| (id, "x".repeat(bytes)))
}

async fn as_many_as_there_are(stand: Stand) {
    let users = &stand.users;
    // More than a piece by number, and more than a piece by size.
    for (count, bytes) in [(3_000, 10), (40, 100_000)] {
        users
            .set_many(values(count, bytes), USER_DATA_TTL)
            .await
            .unwrap();
        let found = users.get_many::<String>(0..count + 1).await.unwrap();
        assert_eq!(found.len(), count + 1);
        assert!(
            found[..count]
                .iter()
                .all(|value| value.as_ref().unwrap().len() == bytes)
        );
        assert_eq!(found[count], None);
        assert_eq!(users.del_many(0..count + 5).await.unwrap(), count);
        assert!(!users.exists(count - 1).await.unwrap());
    }
    let tags: Vec<_> = (0..2_000).map(|n| format!("tag{n}")).collect();
    let last = || users.entry(1).tags(["tag1999"]);
    last().set("Ada").await.unwrap();
    users.invalidate_tags(&tags).await.unwrap();
    assert_eq!(last().get::<String>().await.unwrap(), None);
}

#[tokio::test]
async fn many_values_are_sent_in_pieces_of_a_mebibyte() {
    let mut stand = Stand::redis().await;
    let proxy = Proxy::start(stand.server().addr());
    let store = connected(&format!("redis://{}/", proxy.addr()), PATIENT).await;
    let users = KeyValue::new(store, "user").unwrap();
    users
        .set(1, "to be connected", USER_DATA_TTL)
        .await
        .unwrap();
    // While no reply comes, no other piece is sent.
    stand.server().reset_stats();
    proxy.delay(Duration::ZERO, Duration::from_secs(60));
    let set = tokio::spawn(async move { users.set_many(values(50, 100_000), USER_DATA_TTL).await });
    let executed = |stand: &mut Stand| {
        let calls = stand.server().command_calls();
        calls.get("set").copied().unwrap_or(0)
    };
    eventually("a piece is executed", async || executed(&mut stand) == 10).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(executed(&mut stand), 10);
    proxy.delay(Duration::ZERO, Duration::ZERO);
    proxy.drop_connections();
    set.await.unwrap().unwrap();
    assert_eq!(stand.users.del_many(0..50).await.unwrap(), 50);
}

#[tokio::test]
async fn a_piece_that_fails_is_the_last_that_is_sent() {
    let stand = Stand::memory();
    let users = &stand.users;
    // What embedded memory has no room for is in the second of three pieces.
    let all = || {
        values(3_000, 10).map(|(id, value)| match id {
            1_500 => (id, "x".repeat(40 << 20)),
            _ => (id, value),
        })
    };
    let error = users.set_many(all(), USER_DATA_TTL).await.unwrap_err();
    assert!(
        matches!(error, SetError::Store(StoreError::NoRoom)),
        "{error}"
    );
    let found = users.get_many::<String>(0..3_000).await.unwrap();
    let set: Vec<_> = found.iter().map(Option::is_some).collect();
    assert!(set[..1_024].iter().all(|set| *set));
    assert!(!set[1_500]);
    assert!(set[2_048..].iter().all(|set| !*set));
}

#[tokio::test]
async fn a_redis_that_fills_up_on_the_way_has_what_was_sent_before_and_nothing_later() {
    let mut stand = Stand::redis().await;
    let server = stand.server();
    server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    let used: String = server.query(&["INFO", "memory"]);
    let used = used
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"));
    let used: usize = used.unwrap().trim().parse().unwrap();
    let most = (used + (12 << 20)).to_string();
    server.command(&["CONFIG", "SET", "maxmemory", &most]);
    server.reset_stats();
    let set = stand
        .users
        .set_many(values(400, 100_000), USER_DATA_TTL)
        .await;
    let error = set.unwrap_err().to_string();
    assert!(error.contains("OOM"), "{error}");
    let sent = stand.server().command_calls()["evalsha"];
    let there = stand.server().keys("keep:user:*").len();
    // All but those of the last piece, of which some may be there.
    assert!((20..300).contains(&there), "{there}");
    assert!(sent as usize <= there / 10 * 10 + 10, "{sent} {there}");
    for id in 0..there / 10 * 10 {
        assert!(stand.users.exists(id).await.unwrap(), "{id}");
    }
    // To delete needs no room.
    assert_eq!(stand.users.del_many(0..400).await.unwrap(), there);
}

async fn a_store_that_is_gone_is_an_error_of_many(mut stand: Stand) {
    stand.server().kill();
    let users = &stand.users;
    assert!(users.get_many::<User>(0..2_000).await.is_err());
    assert!(
        users
            .set_many(values(2_000, 1), USER_DATA_TTL)
            .await
            .is_err()
    );
    assert!(users.del_many(0..2_000).await.is_err());
    assert!(users.invalidate_tags(0..2_000).await.is_err());
}
