//! Finding keys.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::Notify;

use super::{HOUR, Stand, on_each_topology};
use crate::harness::eventually;

on_each_topology!(
    all_keys_of_the_namespace_are_found_and_no_others,
    patterns_choose_among_them,
    a_removed_key_is_gone,
    a_removed_key_is_not_stored_by_a_load_that_is_under_way,
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

async fn a_removed_key_is_not_stored_by_a_load_that_is_under_way(stand: Stand) {
    let users = stand.values("keep", "user");
    // One that is cold, and one that is loaded again while a stale value is there.
    let stale = |id: u8| users.entry(id).ttl(HOUR).stale_while_revalidate(HOUR);
    let load = async || Ok::<_, Infallible>("old".to_owned());
    stale(2).or_load(load).await.unwrap();
    assert!(users.expire(2, HOUR / 2).await.unwrap());
    for id in [1, 2] {
        let begun = Arc::new(Notify::new());
        let gate = Arc::new(Notify::new());
        let (has_begun, may_end) = (begun.clone(), gate.clone());
        let query = async move || {
            has_begun.notify_one();
            may_end.notified().await;
            Ok::<_, Infallible>("older".to_owned())
        };
        let users = users.clone();
        let loading = tokio::spawn(async move {
            let entry = users.entry(id).ttl(HOUR).stale_while_revalidate(HOUR);
            entry.or_load(query).await
        });
        begun.notified().await;
        assert_eq!(
            stand.inspector.delete(&format!("user:{id}")).await.unwrap(),
            id == 2
        );
        gate.notify_one();
        loading.await.unwrap().unwrap();
        eventually("the load has ended", async || Arc::strong_count(&gate) == 1).await;
        assert_eq!(
            stand.names("*").await,
            if id == 1 { vec!["user:2"] } else { vec![] }
        );
    }
}

#[tokio::test]
async fn a_page_of_embedded_memory_is_bounded_and_others_have_their_turn() {
    use tokio_stream::StreamExt;
    let stand = Stand::memory();
    stand.users("keep", 20_000).await;
    let turns = Arc::new(AtomicUsize::new(0));
    let counter = turns.clone();
    let other = tokio::spawn(async move {
        loop {
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
        }
    });
    let mut keys = stand.inspector.keys("nothing:*");
    assert!(StreamExt::next(&mut keys).await.is_none());
    let walked = turns.load(Ordering::SeqCst);
    // A page has about 500.
    assert!(walked >= 20, "{walked}");
    other.abort();
}
