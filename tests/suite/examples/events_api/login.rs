//! Login, what it keeps, and logout.

use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::stand::{Api, Stand, assert_problem, on_store};
use crate::harness::{client::Client, eventually, example::PATIENT};

super::on_all_stores!(
    a_login_holds_until_the_logout,
    a_replay_after_the_logout_is_401,
    a_logout_without_a_login_is_204,
    a_login_again_renews_the_id_and_keeps_the_data,
    without_grace_the_old_id_ends_when_the_new_one_is_used,
    the_data_of_one_user_are_not_for_the_next,
    a_session_ends_by_its_absolute_timeout,
    visits_are_counted_atomically,
    a_login_that_makes_no_sense_is_a_problem,
    without_the_flag_cookies_are_for_https_alone,
);

async fn a_login_holds_until_the_logout(stand: Stand) {
    let client = stand.client();
    assert_problem(&client.get("/me").await, StatusCode::UNAUTHORIZED);
    let reply = client.login("ada").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.json::<Value>()["user"], "ada");
    let id = client.id().unwrap();
    let base64url = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    assert!(id.len() >= 43 && id.chars().all(base64url), "{id}");

    let reply = client.get("/me").await;
    assert_eq!(reply.json::<Value>(), json!({"user": "ada", "visits": 1}));
    assert_eq!(client.me().await, (StatusCode::OK, Some(2)));

    let reply = client.ask(Method::POST, "/logout").await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
    let cookie = reply.header("set-cookie").unwrap();
    assert!(
        cookie.starts_with("id=;") && cookie.contains("Max-Age=0"),
        "{cookie}"
    );
    assert_eq!(client.me().await.0, StatusCode::UNAUTHORIZED);
}

async fn a_replay_after_the_logout_is_401(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let thief = stand.with_id(&client.id().unwrap());
    assert_eq!(thief.me().await.0, StatusCode::OK);
    client.ask(Method::POST, "/logout").await;
    assert_eq!(thief.me().await.0, StatusCode::UNAUTHORIZED);
}

async fn a_logout_without_a_login_is_204(stand: Stand) {
    let reply = stand.client().ask(Method::POST, "/logout").await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
    assert_eq!(reply.header("set-cookie"), None);
}

async fn a_login_again_renews_the_id_and_keeps_the_data(stand: Stand) {
    let client = stand.client();
    assert_eq!(
        client.put("/session/cart", json!(["tea"])).await,
        StatusCode::NO_CONTENT
    );
    let mut ids = vec![client.id().unwrap()];
    for visits in 1..=3 {
        client.login("ada").await;
        ids.push(client.id().unwrap());
        assert_eq!(client.me().await, (StatusCode::OK, Some(visits)));
        assert_eq!(client.get("/session/cart").await.text(), r#"["tea"]"#);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4, "an id came twice");
    // The one before the last is in its grace.
    let client = stand.logged_in("ada").await;
    let parallel = stand.with_id(&client.id().unwrap());
    client.login("ada").await;
    assert_eq!(parallel.me().await.0, StatusCode::OK);
}

async fn without_grace_the_old_id_ends_when_the_new_one_is_used(mut stand: Stand) {
    stand.restart(&["--session-grace", "0"]);
    let client = stand.logged_in("ada").await;
    let parallel = stand.with_id(&client.id().unwrap());
    client.login("ada").await;
    assert_eq!(client.me().await.0, StatusCode::OK);
    assert_eq!(parallel.me().await.0, StatusCode::UNAUTHORIZED);
}

async fn the_data_of_one_user_are_not_for_the_next(stand: Stand) {
    let client = stand.logged_in("ada").await;
    client.put("/session/cart", json!(["tea"])).await;
    client.login("grace").await;
    assert_eq!(client.status("/session/cart").await, StatusCode::NOT_FOUND);
    let reply = client.get("/me").await;
    assert_eq!(reply.json::<Value>(), json!({"user": "grace", "visits": 1}));
}

async fn a_session_ends_by_its_absolute_timeout(mut stand: Stand) {
    stand.restart(&["--session-absolute", "1.5"]);
    let client = stand.logged_in("ada").await;
    let begun = Instant::now();
    eventually("the end of the session", async || {
        client.me().await.0 == StatusCode::UNAUTHORIZED
    })
    .await;
    assert!(begun.elapsed() > Duration::from_secs(1));
}

async fn visits_are_counted_atomically(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let id = client.id().unwrap();
    let visits = (0..20).map(|_| {
        let parallel = stand.with_id(&id);
        async move { parallel.me().await.1.unwrap() }
    });
    let mut visits = visits.collect::<JoinSet<_>>().join_all().await;
    visits.sort_unstable();
    assert_eq!(visits, (1..=20).collect::<Vec<_>>());
}

async fn a_login_that_makes_no_sense_is_a_problem(stand: Stand) {
    let client = stand.client();
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    assert_problem(&client.login("").await, status);
    assert_problem(&client.post_json("/login", &json!({})).await, status);
    let reply = client.ask(Method::POST, "/login").await;
    assert_problem(&reply, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_problem(&client.get("/login").await, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(client.id(), None);
}

async fn without_the_flag_cookies_are_for_https_alone(stand: Stand) {
    let redis = stand.is_redis().then(|| stand.server());
    let secure = on_store(redis, &PATIENT);
    let client = Client::http1(secure.addr()).with_cookies();
    let reply = client.login("ada").await;
    assert_eq!(reply.status, StatusCode::OK);
    let cookie = reply.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-id="), "{cookie}");
    for attribute in ["; Secure", "; HttpOnly", "; SameSite=Lax", "; Path=/"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
}
