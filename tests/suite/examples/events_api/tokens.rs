//! Refresh tokens over HTTP.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{
    on_all_stores,
    stand::{Api, Stand, assert_problem},
};
use crate::harness::{
    body::full,
    client::{Client, Reply},
    example::PATIENT,
};

on_all_stores!(
    a_login_gives_a_token_that_is_exchanged_for_the_next,
    an_answer_that_was_lost_is_given_again,
    a_stolen_token_ends_the_login_of_the_thief_and_of_the_client,
    a_revoked_token_is_invalid_and_is_revoked_again,
    what_is_no_token_is_an_invalid_grant,
    a_login_without_a_device_has_a_token_too,
    what_is_no_request_for_a_token_is_a_problem,
);

/// The token of a client who logs in.
async fn log_in(client: &Client, user: &str) -> String {
    let reply = client.login(user).await;
    assert_eq!(reply.status, StatusCode::OK);
    let welcome: Value = reply.json();
    assert_eq!(welcome["user"], user);
    welcome["refresh_token"].as_str().unwrap().to_owned()
}

async fn ask(client: &Client, token: &str) -> Reply {
    let body = json!({"refresh_token": token});
    client.post_json("/token/refresh", &body).await
}

async fn refresh(client: &Client, token: &str) -> String {
    let reply = ask(client, token).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let refreshed: Value = reply.json();
    let week = 7 * 24 * 3600;
    let expires_in = refreshed["expires_in"].as_u64().unwrap();
    assert!((week - 60..=week).contains(&expires_in), "{refreshed}");
    refreshed["refresh_token"].as_str().unwrap().to_owned()
}

async fn assert_invalid(client: &Client, token: &str) {
    let reply = ask(client, token).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{reply:?}");
    assert_eq!(reply.json::<Value>(), json!({"error": "invalid_grant"}));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
}

async fn revoke(client: &Client, token: &str) {
    let body = json!({"refresh_token": token});
    let reply = client.post_json("/token/revoke", &body).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.json::<Value>(), json!({}));
}

async fn a_login_gives_a_token_that_is_exchanged_for_the_next(stand: Stand) {
    let client = stand.client();
    let mut token = log_in(&client, "ada").await;
    assert!(token.starts_with("rt_"), "{token}");
    for _ in 0..3 {
        // No cookie is needed.
        let next = refresh(&stand.client(), &token).await;
        assert_ne!(next, token);
        token = next;
    }
}

async fn an_answer_that_was_lost_is_given_again(stand: Stand) {
    let client = stand.client();
    let first = log_in(&client, "ada").await;
    let second = refresh(&client, &first).await;
    assert_eq!(refresh(&client, &first).await, second);
    refresh(&client, &second).await;
}

async fn a_stolen_token_ends_the_login_of_the_thief_and_of_the_client(stand: Stand) {
    let client = stand.client();
    let (first, other) = (log_in(&client, "ada").await, log_in(&client, "ada").await);
    let second = refresh(&client, &first).await;
    let third = refresh(&client, &second).await;
    for token in [&first, &second, &third] {
        assert_invalid(&client, token).await;
    }
    refresh(&client, &other).await;
}

async fn a_revoked_token_is_invalid_and_is_revoked_again(stand: Stand) {
    let client = stand.client();
    let first = log_in(&client, "ada").await;
    let second = refresh(&client, &first).await;
    for _ in 0..2 {
        revoke(&client, &second).await;
        assert_invalid(&client, &second).await;
    }
    revoke(&client, "nonsense").await;
}

async fn what_is_no_token_is_an_invalid_grant(stand: Stand) {
    let client = stand.client();
    let token = log_in(&client, "ada").await;
    let mut changed = token.clone().into_bytes();
    changed[40] ^= 1;
    let changed = String::from_utf8(changed).unwrap();
    for none in ["", "nonsense", &changed, &token[..50], &"x".repeat(1 << 20)] {
        assert_invalid(&client, none).await;
    }
    for body in [json!({}), json!({"refresh_token": 1}), json!([])] {
        let reply = client.post_json("/token/refresh", &body).await;
        assert!(reply.status.is_client_error(), "{reply:?}");
    }
    refresh(&client, &token).await;
}

async fn a_login_without_a_device_has_a_token_too(stand: Stand) {
    let client = stand.client();
    for login in [json!({"user": "ada"}), json!({"user": "ada", "device": ""})] {
        let welcome: Value = client.post_json("/login", &login).await.json();
        refresh(&client, welcome["refresh_token"].as_str().unwrap()).await;
    }
    let login = json!({"user": "ada", "device": "x".repeat(300)});
    let reply = client.post_json("/login", &login).await;
    assert!(reply.status.is_client_error(), "{reply:?}");
}

#[tokio::test]
async fn fifty_refreshes_at_once_over_two_processes_are_one() {
    let stand = Stand::redis().await;
    let another = stand.another();
    let token = log_in(&stand.client(), "ada").await;
    let mut requests = JoinSet::new();
    for n in 0..50 {
        let client = match n % 2 {
            0 => stand.client(),
            _ => Client::http1(another.addr()),
        };
        let token = token.clone();
        requests.spawn(async move { refresh(&client, &token).await });
    }
    let mut answers = requests.join_all().await;
    answers.dedup();
    assert_eq!(answers.len(), 1);
    refresh(&stand.client(), &answers[0]).await;
}

#[tokio::test]
async fn without_a_grace_one_refresh_in_fifty_succeeds() {
    let flags = [&PATIENT[..], &["--refresh-grace", "0"]].concat();
    let stand = Stand::with_redis(crate::harness::redis::RedisServer::config(), &flags).await;
    let token = log_in(&stand.client(), "ada").await;
    let mut requests = JoinSet::new();
    for _ in 0..50 {
        let (client, token) = (stand.client(), token.clone());
        requests.spawn(async move { ask(&client, &token).await.status });
    }
    let statuses = requests.join_all().await;
    let ok = statuses.iter().filter(|status| **status == StatusCode::OK);
    assert_eq!(ok.count(), 1);
    let bad = |status: &&StatusCode| **status == StatusCode::BAD_REQUEST;
    assert_eq!(statuses.iter().filter(bad).count(), 49);
}

#[tokio::test]
async fn without_a_store_refresh_and_revoke_are_503_and_the_token_stays_good() {
    let persistent = crate::harness::redis::RedisServer::config().persistent();
    let mut stand = Stand::with_redis(persistent, &PATIENT).await;
    let client = stand.client();
    let token = log_in(&client, "ada").await;
    stand.server_mut().kill();
    for path in ["/token/refresh", "/token/revoke"] {
        let reply = client
            .post_json(path, &json!({"refresh_token": token}))
            .await;
        assert_problem(&reply, StatusCode::SERVICE_UNAVAILABLE);
    }
    let login = client.login("ada").await;
    assert_problem(&login, StatusCode::SERVICE_UNAVAILABLE);
    stand.server_mut().restart();
    crate::harness::eventually("Redis is found again", async || {
        client.me().await.0 != StatusCode::SERVICE_UNAVAILABLE
    })
    .await;
    refresh(&client, &token).await;
}

#[tokio::test]
async fn no_token_stands_in_redis_and_every_key_ends() {
    let stand = Stand::redis().await;
    let client = stand.client();
    let first = log_in(&client, "ada").await;
    refresh(&client, &first).await;
    stand.server().assert_every_key_has_a_ttl();
    let keys = stand.server().keys("*:refresh_token:*");
    assert!(!keys.is_empty());
    assert!(!keys.concat().contains("ada"), "{keys:?}");
    let asked = client.ask(Method::GET, "/token/refresh").await;
    assert_eq!(asked.status, StatusCode::METHOD_NOT_ALLOWED);
}

async fn what_is_no_request_for_a_token_is_a_problem(stand: Stand) {
    let client = stand.client();
    let token = log_in(&client, "ada").await;
    let json = "application/json";
    let twice = format!(r#"{{"refresh_token":"{token}","refresh_token":"{token}"}}"#);
    let large = format!(r#"{{"refresh_token":"{}"}}"#, "x".repeat(2 << 20));
    let form = format!("refresh_token={token}");
    for path in ["/token/refresh", "/token/revoke"] {
        for (content_type, body, expected) in [
            (
                "application/x-www-form-urlencoded",
                &form,
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ),
            ("text/plain", &twice, StatusCode::UNSUPPORTED_MEDIA_TYPE),
            (json, &twice, StatusCode::UNPROCESSABLE_ENTITY),
            (json, &large, StatusCode::PAYLOAD_TOO_LARGE),
            (json, &form, StatusCode::BAD_REQUEST),
            (json, &String::new(), StatusCode::BAD_REQUEST),
        ] {
            let request = http::Request::post(path).header("content-type", content_type);
            let reply = client.send(request.body(full(body.clone())).unwrap()).await;
            assert_problem(&reply, expected);
        }
    }
    refresh(&client, &token).await;
}

#[tokio::test]
async fn a_store_that_freezes_is_a_503_and_public_data_are_served() {
    let stand = Stand::redis().await;
    let impatient = stand.another_of_patience(100);
    let client = Client::http1(impatient.addr());
    let token = log_in(&stand.client(), "ada").await;
    crate::harness::eventually("the other has found its Redis", async || {
        client.me().await.0 != StatusCode::SERVICE_UNAVAILABLE
    })
    .await;
    stand.server().pause();
    for path in ["/token/refresh", "/token/revoke"] {
        let presented = json!({"refresh_token": token});
        let reply = client.post_json(path, &presented).await;
        assert_problem(&reply, StatusCode::SERVICE_UNAVAILABLE);
        // A user comes out of the database.
        assert_eq!(client.status("/users/1").await, StatusCode::OK);
    }
    stand.server().resume();
}
