//! Concurrent requests of one client.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::{sync::Barrier, task::JoinSet};
use tower_keep::session::{Session, SessionError, SessionLayer};

use super::{
    on_all_stores,
    stand::{Client, Stand},
};
use crate::harness::connected::PATIENT;

on_all_stores!(
    ten_first_uses_of_a_new_id_are_one,
    two_processes_share_what_is_known_of_an_id,
    concurrent_writers_of_different_keys_keep_both,
    fifty_concurrent_increments_give_fifty,
    fifty_concurrent_updates_lose_none,
    immediate_changes_of_a_session_that_is_not_stored_yet_are_committed_with_it,
    tasks_of_one_request_share_one_load,
    an_increment_past_the_range_fails_and_changes_nothing,
);

async fn ten_first_uses_of_a_new_id_are_one(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let old = client.copy();
    client.renew().await;
    let start = Arc::new(Barrier::new(10));
    let mut requests = JoinSet::new();
    for n in 0..10 {
        let (client, start) = (client.copy(), start.clone());
        requests.spawn(async move {
            let handler = async move |session: Session| {
                start.wait().await;
                match n % 3 {
                    0 => session.insert(&format!("k{n}"), n).unwrap(),
                    1 => drop(session.increment("visits", 1).await.unwrap()),
                    _ => assert!(session.exists().await.unwrap()),
                }
            };
            client.visit(handler).await;
        });
    }
    requests.join_all().await;
    assert_eq!(client.get("visits").await, Some(json!(3)));
    assert_eq!(client.get("k9").await, Some(json!(9)));
    stand.advance(Duration::from_secs(11)).await;
    assert_eq!(old.get("user").await, None);
    assert_eq!(client.get("user").await, Some(json!("ada")));
}

/// Nothing of a renewal is known to one process alone.
async fn two_processes_share_what_is_known_of_an_id(stand: Stand) {
    let another = match stand.is_redis() {
        true => stand.server().connected(PATIENT).await,
        false => stand.store.clone(),
    };
    let there = |client: &Client| {
        let copy = Client::of(SessionLayer::new(another.clone()));
        copy.plant(&client.id().unwrap());
        copy
    };
    let client = stand.logged_in("ada").await;
    let old = there(&client);
    client.renew().await;
    stand.advance(Duration::from_secs(11)).await;
    assert_eq!(old.get("user").await, Some(json!("ada")));
    assert_eq!(there(&client).get("user").await, Some(json!("ada")));
    assert_eq!(old.get("user").await, None);
    let old = there(&client);
    client.login("eve").await;
    assert_eq!(old.get("user").await, None);
}

async fn concurrent_writers_of_different_keys_keep_both(stand: Stand) {
    for run in 0..100 {
        let client = stand.logged_in("ada").await;
        let loaded = Arc::new(Barrier::new(2));
        let mut writers = JoinSet::new();
        for key in ["k1", "k2"] {
            let (client, loaded) = (client.copy(), loaded.clone());
            writers.spawn(async move {
                let handler = async move |session: Session| {
                    session.get::<i32>(key).await.unwrap();
                    loaded.wait().await;
                    session.insert(key, run).unwrap();
                };
                client.visit(handler).await;
            });
        }
        writers.join_all().await;
        assert_eq!(client.get("k1").await, Some(json!(run)));
        assert_eq!(client.get("k2").await, Some(json!(run)));
    }
}

async fn fifty_concurrent_increments_give_fifty(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let mut requests = JoinSet::new();
    for n in 0..50 {
        let client = client.copy();
        requests.spawn(async move {
            let handler = async move |session: Session| {
                if n % 2 == 0 {
                    session.get::<i64>("visits").await.unwrap();
                }
                let sum = session.increment("visits", 1).await.unwrap();
                assert!(session.get::<i64>("visits").await.unwrap() >= Some(sum));
                sum
            };
            client.visit(handler).await
        });
    }
    let mut answers = requests.join_all().await;
    answers.sort_unstable();
    assert_eq!(answers, (1..=50).collect::<Vec<i64>>());
    assert_eq!(client.get("visits").await, Some(json!(50)));
}

async fn fifty_concurrent_updates_lose_none(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let loaded = Arc::new(Barrier::new(50));
    let mut requests = JoinSet::new();
    for n in 0..50 {
        let (client, loaded) = (client.copy(), loaded.clone());
        requests.spawn(async move {
            let handler = async move |session: Session| {
                session.get::<Vec<i32>>("list").await.unwrap();
                loaded.wait().await;
                let push = |list: Option<Vec<i32>>| {
                    let mut list = list.unwrap_or_default();
                    list.push(n);
                    list
                };
                let list = session.update("list", push).await.unwrap();
                assert_eq!(list.last(), Some(&n));
            };
            client.visit(handler).await;
        });
    }
    requests.join_all().await;
    let list = client.get("list").await.unwrap();
    let mut list: Vec<i32> = serde_json::from_value(list).unwrap();
    list.sort_unstable();
    assert_eq!(list, (0..50).collect::<Vec<_>>());
}

async fn immediate_changes_of_a_session_that_is_not_stored_yet_are_committed_with_it(stand: Stand) {
    let client = stand.client();
    client
        .visit(async |session| {
            assert_eq!(session.increment("visits", 1).await.unwrap(), 1);
            assert_eq!(session.increment("visits", 2).await.unwrap(), 3);
            let updated = session.update("list", |list: Option<Vec<i32>>| {
                list.into_iter().flatten().chain([1]).collect::<Vec<_>>()
            });
            assert_eq!(updated.await.unwrap(), [1]);
        })
        .await;
    assert_eq!(client.get("visits").await, Some(json!(3)));
    assert_eq!(client.get("list").await, Some(json!([1])));
    // A change that is still to be committed keeps its place in the order.
    client
        .visit(async |session| {
            session.insert("visits", 10).unwrap();
            assert_eq!(session.increment("visits", 1).await.unwrap(), 11);
            session.remove("list").unwrap();
            let updated = session.update("list", |list: Option<Vec<i32>>| {
                assert_eq!(list, None);
                Vec::new()
            });
            updated.await.unwrap();
        })
        .await;
    assert_eq!(client.get("visits").await, Some(json!(11)));
    assert_eq!(client.get("list").await, Some(json!([])));
}

async fn tasks_of_one_request_share_one_load(stand: Stand) {
    let client = stand.logged_in("ada").await;
    if stand.is_redis() {
        stand.server().reset_stats();
    }
    client
        .visit(async |session| {
            let mut tasks = JoinSet::new();
            for _ in 0..20 {
                let session = session.clone();
                tasks.spawn(async move { session.get::<String>("user").await.unwrap() });
            }
            let seen = tasks.join_all().await;
            assert!(seen.iter().all(|user| user.as_deref() == Some("ada")));
        })
        .await;
    if stand.is_redis() {
        assert_eq!(stand.server().command_calls()["hgetall"], 1);
    }
}

async fn an_increment_past_the_range_fails_and_changes_nothing(stand: Stand) {
    let client = stand.client();
    client
        .visit(async |session| session.insert("n", i64::MAX - 1).unwrap())
        .await;
    client
        .visit(async |session| {
            assert_eq!(session.increment("n", 1).await.unwrap(), i64::MAX);
            let error = session.increment("n", 1).await.unwrap_err();
            assert!(matches!(error, SessionError::Overflow(_)), "{error}");
            session.insert("local", i64::MIN).unwrap();
            session.increment("local", -1).await.unwrap_err();
        })
        .await;
    assert_eq!(client.get("n").await, Some(json!(i64::MAX)));
    assert_eq!(client.get("local").await, Some(json!(i64::MIN)));
}
