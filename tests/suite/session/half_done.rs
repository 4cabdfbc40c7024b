//! What is asked of a session in combination, and what is given up half-way.

use std::time::Duration;

use http::{Response, StatusCode};
use serde_json::json;
use tower_keep::session::{SessionError, SessionKeys};

use super::{
    on_all_stores,
    stand::{Client, Stand},
};

on_all_stores!(
    a_login_and_the_end_of_all_others_in_one_request_are_of_who_logs_in,
    before_a_login_is_stored_no_handle_names_its_session,
    what_was_saved_under_a_new_id_can_be_destroyed_at_once,
);

async fn a_login_and_the_end_of_all_others_in_one_request_are_of_who_logs_in(stand: Stand) {
    let phone = stand.logged_in("ada").await;
    let eve = stand.logged_in("eve").await;
    let eves_phone = stand.logged_in("eve").await;
    for browser in [stand.client(), eve] {
        phone.login("ada").await;
        let listed = browser
            .visit(async |session| {
                session.login("ada").unwrap();
                let listed = session.list_sessions().await.unwrap();
                assert!(listed.iter().all(|session| !session.is_current));
                let ended = session.revoke_other_sessions().await.unwrap();
                assert_eq!(ended, listed.len());
                listed.len()
            })
            .await;
        assert!(listed >= 1, "{listed}");
        assert_eq!(phone.user().await, None);
        assert_eq!(browser.user().await.as_deref(), Some("ada"));
    }
    assert_eq!(eves_phone.user().await.as_deref(), Some("eve"));
}

async fn before_a_login_is_stored_no_handle_names_its_session(stand: Stand) {
    let client = stand.client();
    let ended = client.visit(async |session| {
        session.login("ada").unwrap();
        session.revoke_session("").await.unwrap()
    });
    assert!(!ended.await);
    assert_eq!(client.user().await.as_deref(), Some("ada"));
}

/// On a cluster the id that the client has presented is in another slot.
async fn what_was_saved_under_a_new_id_can_be_destroyed_at_once(stand: Stand) {
    for login in [false, true] {
        let client = stand.client();
        client.plant(&"a".repeat(52));
        client
            .visit(async |session| {
                session.insert("k", 1).unwrap();
                if login {
                    session.login("ada").unwrap();
                }
                session.save().await.unwrap();
                session.destroy().await.unwrap();
            })
            .await;
        assert_eq!(client.id(), None);
    }
}

#[tokio::test]
async fn a_save_that_nobody_waits_for_any_more_is_a_503_and_none_after_the_head() {
    let stand = Stand::redis().await;
    let client = stand.client();
    let response = client
        .send(async |session| {
            session.insert("k", 1).unwrap();
            session.login("ada").unwrap();
            // The session is asked for, and then stored.
            session.exists().await?;
            stand.server().pause();
            let saved = tokio::time::timeout(Duration::from_millis(50), session.save()).await;
            assert!(saved.is_err());
            stand.server().resume();
            assert!(matches!(
                session.insert("k", 2),
                Err(SessionError::Unavailable(_))
            ));
            Ok(Response::default())
        })
        .await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(client.id(), None);

    let client = stand.logged_in("ada").await;
    let kept = client.visit(async |session| {
        session.save().await.unwrap();
        session
    });
    let kept = kept.await;
    kept.insert("k", 3).unwrap();
    stand.server().pause();
    let saved = tokio::time::timeout(Duration::from_millis(50), kept.save()).await;
    assert!(saved.is_err());
    stand.server().resume();
    kept.save().await.unwrap();
    assert_eq!(client.get("k").await, Some(json!(3)));
}

#[tokio::test]
async fn a_read_does_not_fail_when_its_value_cannot_be_encrypted_anew() {
    let stand = Stand::redis().await;
    let with = |keys| Client::of(stand.layer.clone().with_encrypted_data(keys));
    let client = with(SessionKeys::new(&[1; 32]).unwrap());
    client.visit(async |s| s.insert("k", "v").unwrap()).await;
    let ring = SessionKeys::new(&[2; 32]).unwrap();
    let rotated = with(ring.and_previous(&[1; 32]).unwrap());
    rotated.plant(&client.id().unwrap());
    let server = stand.server();
    server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(rotated.get("k").await, Some(json!("v")));
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(rotated.get("k").await, Some(json!("v")));
}
