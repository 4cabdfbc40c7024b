//! What an id becomes in a key.

use tower_keep::key_value::{KeyValue, USER_DATA_TTL};

use super::stand::{Database, Stand, user};

super::on_all_stores!(
    no_two_pairs_of_prefix_and_id_meet,
    long_ids_keep_values_apart,
);

async fn no_two_pairs_of_prefix_and_id_meet(stand: Stand) {
    let values = |prefix| KeyValue::new(stand.store.clone(), prefix).unwrap();
    let pairs = [
        ("user", "1:x"),
        ("user", "1%3Ax"),
        ("user:1", "x"),
        ("user:1", ""),
        ("user", "1:"),
        ("user", "1"),
        ("user", ":1"),
        ("user", "{1}"),
        ("user", "%7B1%7D"),
    ];
    for (n, (prefix, id)) in pairs.into_iter().enumerate() {
        values(prefix).set(id, &n, USER_DATA_TTL).await.unwrap();
    }
    for (n, (prefix, id)) in pairs.into_iter().enumerate() {
        let stored = values(prefix).get::<usize>(id).await.unwrap();
        assert_eq!(stored, Some(n), "{prefix} + {id}");
    }
}

async fn long_ids_keep_values_apart(stand: Stand) {
    let id = |len: usize, last: char| format!("{}{last}", "é".repeat(len));
    let ids = [
        id(63, 'a'),
        id(64, 'a'),
        id(64, 'b'),
        id(30_000, 'a'),
        id(30_000, 'b'),
    ];
    for id in &ids {
        stand.users.set(id, id, USER_DATA_TTL).await.unwrap();
    }
    for id in &ids {
        let stored = stand.users.get::<String>(id).await.unwrap();
        assert_eq!(stored.as_ref(), Some(id), "{} bytes", id.len());
        // However `Display` cuts it into pieces.
        let in_pieces = format_args!("{}{}", &id[..2], &id[2..]);
        assert!(stand.users.exists(in_pieces).await.unwrap());
        assert!(stand.users.del(id).await.unwrap());
    }
}

#[tokio::test]
async fn an_id_of_any_size_costs_a_bounded_key_in_value_and_lease_alike() {
    let mut stand = Stand::redis().await;
    let long = "x".repeat(60_000).leak();
    let braces = "{".repeat(128).leak();
    let escaped = Database::closed("Ada");
    let loads = [&*long, &*braces].map(|id| escaped.spawn_through(&stand.users, id));
    escaped.has_begun().await;
    escaped.has_begun().await;
    let assert_bounded = |keys: Vec<String>| {
        assert_eq!(keys.len(), 2, "{keys:?}");
        for key in keys {
            assert!(key.len() < 512, "{} bytes: {key}", key.len());
        }
    };
    assert_bounded(stand.server().keys("keep:lease:*"));
    escaped.let_go_on();
    for load in loads {
        load.await.unwrap().unwrap();
    }
    assert_bounded(stand.server().keys("keep:user:*"));
}

#[tokio::test]
async fn what_stands_in_a_key_for_a_long_id_is_no_other_id() {
    let mut stand = Stand::redis().await;
    let long = "x".repeat(129);
    stand
        .users
        .set(&long, &user("Ada"), USER_DATA_TTL)
        .await
        .unwrap();
    let keys = stand.server().keys("*");
    let digest = keys[0].strip_prefix("keep:user:").unwrap();
    assert!(digest.len() <= 128, "{digest}");
    assert!(!stand.users.exists(digest).await.unwrap());
}
