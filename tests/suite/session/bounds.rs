//! How much a session may hold.

use http::{Response, StatusCode};
use serde_json::json;
use tower_keep::session::{Session, SessionError};

use super::{
    on_all_stores,
    stand::{Client, Stand},
};

on_all_stores!(
    what_is_known_to_be_too_large_is_an_error_at_the_call,
    a_commit_that_would_be_too_large_is_413_and_changes_nothing,
    a_413_of_the_handler_commits_nothing_and_another_answer_the_rest,
    immediate_changes_stay_within_the_bounds,
    only_the_store_knows_that_an_immediate_change_is_too_large,
    names_count_and_what_goes_makes_room,
    a_bound_that_was_lowered_lets_a_session_shrink,
    exactly_as_much_fits_as_the_bounds_say,
);

fn bounded(stand: Stand, bytes: usize, keys: usize) -> Stand {
    stand.with(|layer| {
        let layer = layer.with_max_bytes(bytes).unwrap();
        layer.with_max_keys(keys).unwrap()
    })
}

/// A value that takes so many bytes as JSON.
fn of(bytes: usize) -> String {
    "x".repeat(bytes - 2)
}

async fn insert(client: &Client, key: &str, bytes: usize) -> StatusCode {
    let handler = async |session: Session| {
        session.insert(key, of(bytes))?;
        Ok(Response::default())
    };
    client.send(handler).await.status()
}

#[track_caller]
fn assert_too_large<T: std::fmt::Debug>(result: Result<T, SessionError>) {
    assert!(matches!(result, Err(SessionError::TooLarge)), "{result:?}");
}

async fn what_is_known_to_be_too_large_is_an_error_at_the_call(stand: Stand) {
    let stand = bounded(stand, 100, 3);
    for loads in [false, true] {
        let client = stand.client();
        assert_eq!(insert(&client, "a", 50).await, StatusCode::OK);
        client
            .visit(async |session| {
                if loads {
                    session.exists().await.unwrap();
                    assert_too_large(session.insert("b", of(50)));
                }
                assert_too_large(session.insert("b", of(100)));
                session.insert("b", 1).unwrap();
                assert_too_large(session.insert("b", of(100)));
                session.insert("c", 1).unwrap();
                if loads {
                    assert_too_large(session.insert("d", 1));
                    assert_too_large(session.update("d", |_: Option<i32>| 1).await);
                    assert_too_large(session.increment("d", 1).await);
                }
                let updated = session.update("a", |_: Option<String>| of(200));
                assert_too_large(updated.await);
            })
            .await;
        for (key, value) in [("a", json!(of(50))), ("b", json!(1)), ("c", json!(1))] {
            assert_eq!(client.get(key).await, Some(value), "{loads}");
        }
    }
}

async fn a_commit_that_would_be_too_large_is_413_and_changes_nothing(stand: Stand) {
    let stand = bounded(stand, 100, 3);
    let client = stand.client();
    insert(&client, "a", 50).await;
    let id = client.id();
    // Nothing was read, so only the store can know.
    let response = client
        .send(async |session| {
            session.login("ada")?;
            session.insert("b", of(50))?;
            Ok(Response::default())
        })
        .await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    assert!(!response.headers().contains_key("set-cookie"));
    assert_eq!(client.id(), id);
    assert_eq!(client.get("b").await, None);
    assert_eq!(client.get("a").await, Some(json!(of(50))));
    let user = client.visit(async |session| session.user().await.unwrap());
    assert_eq!(user.await, None);
    let response = client
        .send(async |session| {
            for key in ["b", "c", "d"] {
                session.insert(key, 1)?;
            }
            Ok(Response::default())
        })
        .await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(client.get("b").await, None);
}

async fn a_413_of_the_handler_commits_nothing_and_another_answer_the_rest(stand: Stand) {
    let stand = bounded(stand, 100, 3);
    let client = stand.logged_in("ada").await;
    let id = client.id();
    let response = client
        .send(async |session| {
            session.insert("k", 1)?;
            session.renew()?;
            session.insert("big", of(200))?;
            Ok(Response::default())
        })
        .await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(client.id(), id);
    assert_eq!(client.get("k").await, None);
    client
        .visit(async |session| {
            session.insert("k", 1).unwrap();
            session.insert("big", of(200)).unwrap_err();
        })
        .await;
    assert_eq!(client.get("k").await, Some(json!(1)));
}

/// Another request has filled the session since this one has read it, or it was not read.
async fn only_the_store_knows_that_an_immediate_change_is_too_large(stand: Stand) {
    let stand = bounded(stand, 100, 3);
    for increments in [false, true] {
        for reads in [false, true] {
            let client = stand.client();
            insert(&client, "a", 10).await;
            let other = client.copy();
            let response = client
                .send(async |session| {
                    if reads {
                        session.exists().await?;
                    }
                    insert(&other, "b", 88).await;
                    match increments {
                        true => drop(session.increment("n", 10).await?),
                        false => drop(session.update("n", |_: Option<i32>| 10).await?),
                    }
                    Ok(Response::default())
                })
                .await;
            assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
            assert_eq!(client.get("n").await, None);
            assert_eq!(client.get("b").await, Some(json!(of(88))));
        }
    }
}

async fn immediate_changes_stay_within_the_bounds(stand: Stand) {
    let stand = bounded(stand, 40, 2);
    let client = stand.client();
    insert(&client, "a", 30).await;
    client
        .visit(async |session| {
            // One byte of the name and eight of the number, of which there is room for nine.
            assert_eq!(
                session.increment("n", 12_345_678).await.unwrap(),
                12_345_678
            );
            assert_too_large(session.increment("n", 100_000_000).await);
            assert_eq!(session.get::<i64>("n").await.unwrap(), Some(12_345_678));
            assert_too_large(session.increment("m", 1).await);
            assert_too_large(session.update("n", |_: Option<i64>| 123_456_789).await);
            assert_too_large(session.update("m", |_: Option<i64>| 1).await);
        })
        .await;
    assert_eq!(client.get("n").await, Some(json!(12_345_678)));
    assert_eq!(client.get("m").await, None);
    // What is no number is replaced, and comes back when the number does not fit.
    let text = client.copy();
    text.visit(async |session| {
        session.insert("n", "text").unwrap();
    })
    .await;
    let sum = text.visit(async |session| session.increment("n", 123_456_789).await);
    assert_too_large(sum.await);
    assert_eq!(text.get("n").await, Some(json!("text")));
    let sum = text.visit(async |session| session.increment("n", 7).await.unwrap());
    assert_eq!(sum.await, 7);
    assert_eq!(insert(&client, "n", 8).await, StatusCode::OK);
}

async fn names_count_and_what_goes_makes_room(stand: Stand) {
    let stand = bounded(stand, 100, 2);
    let client = stand.client();
    let long = "n".repeat(97);
    assert_eq!(
        insert(&client, &long, 4).await,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    assert_eq!(insert(&client, &long, 3).await, StatusCode::OK);
    assert_eq!(
        insert(&client, "a", 10).await,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    client
        .visit(async |session| {
            session.remove(&long).unwrap();
            session.insert("a", of(50)).unwrap();
            session.insert("b", of(48)).unwrap();
        })
        .await;
    assert_eq!(insert(&client, "c", 3).await, StatusCode::PAYLOAD_TOO_LARGE);
    client
        .visit(async |session| {
            session.clear().unwrap();
            session.insert("c", of(50)).unwrap();
            session.insert("d", of(48)).unwrap();
        })
        .await;
    assert_eq!(client.get("a").await, None);
    assert_eq!(client.get("d").await, Some(json!(of(48))));
}

async fn a_bound_that_was_lowered_lets_a_session_shrink(stand: Stand) {
    let stand = bounded(stand, 1000, 10);
    let client = stand.client();
    for key in ["a", "b", "c"] {
        insert(&client, key, 100).await;
    }
    let id = client.id().unwrap();
    let stand = bounded(stand, 100, 2);
    let client = stand.client();
    client.plant(&id);
    assert_eq!(client.get("a").await, Some(json!(of(100))));
    assert_eq!(insert(&client, "d", 3).await, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(
        insert(&client, "a", 101).await,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    assert_eq!(insert(&client, "a", 99).await, StatusCode::OK);
    client
        .visit(async |session| session.remove("b").unwrap())
        .await;
    assert_eq!(client.get("c").await, Some(json!(of(100))));
}

async fn exactly_as_much_fits_as_the_bounds_say(stand: Stand) {
    let client = stand.client();
    assert_eq!(insert(&client, "k", 65_535).await, StatusCode::OK);
    assert_eq!(
        insert(&client, "k", 65_536).await,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    assert_eq!(insert(&client, "l", 2).await, StatusCode::PAYLOAD_TOO_LARGE);
    let client = stand.client();
    client
        .visit(async |session| {
            for n in 0..128 {
                session.insert(&format!("k{n}"), n).unwrap();
            }
            assert_too_large(session.insert("k", 1));
        })
        .await;
    assert_eq!(
        insert(&client, "another", 3).await,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    assert_eq!(client.get("k127").await, Some(json!(127)));
}

#[tokio::test]
async fn a_session_that_memory_has_no_room_for_is_413_and_as_it_was() {
    tokio::time::pause();
    let mut limits = tower_keep::store::MemoryLimits::default();
    limits.sessions = 1 << 17;
    let store = tower_keep::Store::memory_within(&limits);
    let layer = tower_keep::session::SessionLayer::new(store);
    let client = Client::of(layer.with_max_bytes(1 << 20).unwrap());
    assert_eq!(insert(&client, "a", 1_000).await, StatusCode::OK);
    for _ in 0..2 {
        assert_eq!(
            insert(&client, "b", 50_000).await,
            StatusCode::PAYLOAD_TOO_LARGE
        );
        assert_eq!(client.get("a").await, Some(json!(of(1_000))));
    }
    let new = client.another();
    assert_eq!(
        insert(&new, "b", 50_000).await,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    assert_eq!(new.id(), None);
}
