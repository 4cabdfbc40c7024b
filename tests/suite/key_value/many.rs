//! Several values in one round trip.

use std::collections::BTreeMap;

use tower_keep::key_value::{KeyValue, USER_DATA_TTL};

use super::stand::{Stand, User, user};
use crate::harness::{
    connected::{PATIENT, connected},
    redis::RedisCluster,
};

super::on_all_stores!(
    many_are_set_read_and_deleted_as_one_by_one,
    what_cannot_be_read_is_missing_among_many,
    none_at_all_is_no_error,
);

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
