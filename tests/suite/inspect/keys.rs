//! Finding keys.

use super::{HOUR, Stand, on_each_topology};

on_each_topology!(
    all_keys_of_the_namespace_are_found_and_no_others,
    patterns_choose_among_them,
    a_removed_key_is_gone,
);

async fn all_keys_of_the_namespace_are_found_and_no_others(stand: Stand) {
    // More than a page, in every shard.
    stand.users("keep", 1200).await;
    stand.users("keeper", 5).await;
    stand.users("other:keep", 5).await;
    let names = stand.names("*").await;
    assert_eq!(names.len(), 1200);
    assert!(names.iter().all(|name| name.starts_with("user:")));
    if let Some(backend) = &stand.backend {
        let calls = backend.command_calls();
        assert!(
            calls["scan"] >= 3 && !calls.contains_key("keys"),
            "{calls:?}"
        );
    }
}

async fn patterns_choose_among_them(stand: Stand) {
    let users = stand.values("keep", "user");
    let ids = [
        "1", "2", "12", "[1]", "a*b", "aXb", "a?b", "a\\b", "é", "a-b", "^",
    ];
    for id in ids {
        users.set(id, "somebody", HOUR).await.unwrap();
    }
    stand
        .values("keep", "group")
        .set("1", "many", HOUR)
        .await
        .unwrap();
    for (pattern, found) in [
        ("user:1", vec!["user:1"]),
        ("user:?", vec!["user:1", "user:2", "user:^"]),
        ("user:[12]", vec!["user:1", "user:2"]),
        ("user:[^1^]", vec!["user:2"]),
        ("*:1", vec!["group:1", "user:1"]),
        ("user:a\\*b", vec!["user:a*b"]),
        (
            "user:a*b",
            vec!["user:a*b", "user:a-b", "user:a?b", "user:aXb", "user:a\\b"],
        ),
        ("user:\\[1\\]", vec!["user:[1]"]),
        ("USER:*", vec![]),
        ("", vec![]),
        ("user:[1", vec!["user:1"]),
    ] {
        assert_eq!(stand.names(pattern).await, found, "{pattern}");
    }
}

async fn a_removed_key_is_gone(stand: Stand) {
    stand.users("keep", 2).await;
    assert!(stand.inspector.delete("user:0").await.unwrap());
    assert!(!stand.inspector.delete("user:0").await.unwrap());
    assert_eq!(stand.names("*").await, ["user:1"]);
}

#[tokio::test]
async fn keys_are_a_stream() {
    use tokio_stream::StreamExt;
    let stand = Stand::memory();
    stand.users("keep", 3).await;
    let keys = stand.inspector.keys("user:*");
    let names: Vec<_> = StreamExt::collect::<Vec<_>>(keys).await;
    assert_eq!(names.len(), 3);
}

#[tokio::test]
async fn a_walk_ends_with_the_error_of_a_store_that_is_gone() {
    let mut stand = Stand::on(crate::harness::redis::Backend::redis()).await;
    stand.users("keep", 3).await;
    stand.backend.as_mut().unwrap().kill();
    let mut keys = stand.inspector.keys("*");
    assert!(keys.next().await.unwrap().is_err());
    assert!(keys.next().await.is_none());
}
