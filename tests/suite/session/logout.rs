//! Logout.

use http::{Response, StatusCode, header::SET_COOKIE};
use serde_json::json;

use super::{on_all_stores, stand::Stand};

on_all_stores!(
    a_logout_takes_the_cookie_back_and_its_replay_is_anonymous,
    a_logout_over_an_old_id_ends_the_session,
    a_logout_stays_when_the_response_is_a_5xx,
    a_logout_takes_back_a_cookie_that_names_no_session,
    what_is_written_after_a_logout_is_a_new_session,
);

async fn a_logout_takes_the_cookie_back_and_its_replay_is_anonymous(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let thief = client.copy();
    let response = client.logout().await;
    assert_eq!(
        response.headers()[SET_COOKIE],
        "__Host-id=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0"
    );
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(client.id(), None);
    assert_eq!(thief.get("user").await, None);
    if stand.is_redis() {
        assert_eq!(stand.server().keys("*"), [""; 0]);
    }
}

async fn a_logout_over_an_old_id_ends_the_session(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let old = client.copy();
    client.login("ada").await;
    old.logout().await;
    assert_eq!(client.get("user").await, None);
}

async fn a_logout_stays_when_the_response_is_a_5xx(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let thief = client.copy();
    let response = client
        .send(async |session| {
            session.destroy().await?;
            let mut response = Response::default();
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            Ok(response)
        })
        .await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(client.id(), None);
    assert_eq!(thief.get("user").await, None);
}

/// Also one that is no id, or that was sent twice: the client has it no more.
async fn a_logout_takes_back_a_cookie_that_names_no_session(stand: Stand) {
    let unknown = stand.logged_in("ada").await;
    unknown.copy().logout().await;
    let id = unknown.id().unwrap();
    for cookie in [id.clone(), format!("{id}; __Host-id={id}"), "no id".into()] {
        let client = stand.client();
        client.plant(&cookie);
        let response = client.logout().await;
        let taken = response
            .headers()
            .get(SET_COOKIE)
            .map(|line| line.to_str().unwrap());
        let taken = taken
            .is_some_and(|line| line.starts_with("__Host-id=;") && line.ends_with("Max-Age=0"));
        assert!(taken, "{cookie}");
        assert_eq!(client.id(), None);
    }
    let response = stand.client().logout().await;
    assert!(!response.headers().contains_key(SET_COOKIE));
}

async fn what_is_written_after_a_logout_is_a_new_session(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let old = client.copy();
    client
        .visit(async |session| {
            session.insert("lost", 1).unwrap();
            session.destroy().await.unwrap();
            assert_eq!(session.get::<String>("user").await.unwrap(), None);
            session.insert("flash", "goodbye").unwrap();
        })
        .await;
    assert_ne!(client.id(), old.id());
    assert_eq!(client.get("flash").await, Some(json!("goodbye")));
    assert_eq!(client.get("user").await, None);
    assert_eq!(client.get("lost").await, None);
    assert_eq!(old.get("user").await, None);
}
