//! What a client keeps in its session.

use http::{Method, StatusCode};
use serde_json::json;
use tokio::task::JoinSet;

use super::stand::{Api, Stand, assert_problem};

super::on_all_stores!(
    any_json_is_kept_and_given_back_bare,
    a_write_without_a_login_makes_an_anonymous_session,
    a_client_cannot_say_who_it_is,
    slow_writers_of_different_keys_keep_both,
    a_slow_writer_that_a_logout_overtakes_logs_nobody_in,
);

async fn any_json_is_kept_and_given_back_bare(stand: Stand) {
    let client = stand.client();
    for value in [
        json!("tea"),
        json!(1.5),
        json!(null),
        json!({"a": [1, {}]}),
        json!(false),
    ] {
        let status = client.put("/session/a%20b", value.clone()).await;
        assert_eq!(status, StatusCode::NO_CONTENT);
        let reply = client.get("/session/a%20b").await;
        assert_eq!(reply.status, StatusCode::OK);
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(reply.json::<serde_json::Value>(), value);
    }
    assert_problem(&client.get("/session/other").await, StatusCode::NOT_FOUND);
    let reply = stand.client().get("/session/a%20b").await;
    assert_problem(&reply, StatusCode::NOT_FOUND);
    assert_eq!(reply.header("set-cookie"), None);
}

async fn a_write_without_a_login_makes_an_anonymous_session(stand: Stand) {
    let client = stand.client();
    client.put("/session/cart", json!(1)).await;
    assert!(client.id().is_some());
    assert_eq!(client.me().await.0, StatusCode::UNAUTHORIZED);
}

async fn a_client_cannot_say_who_it_is(stand: Stand) {
    let client = stand.client();
    client.put("/session/user", json!("ada")).await;
    assert_eq!(client.me().await.0, StatusCode::UNAUTHORIZED);
    client.login("ada").await;
    client.put("/session/visits", json!(41)).await;
    assert_eq!(client.me().await.1, Some(1));
}

async fn slow_writers_of_different_keys_keep_both(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let id = client.id().unwrap();
    let writers = (0..10).map(|n| {
        let writer = stand.with_id(&id);
        let path = format!("/session/k{n}?delay_ms=100");
        async move { writer.put(&path, json!(n)).await }
    });
    for status in writers.collect::<JoinSet<_>>().join_all().await {
        assert_eq!(status, StatusCode::NO_CONTENT);
    }
    for n in 0..10 {
        let reply = client.get(&format!("/session/k{n}")).await;
        assert_eq!(reply.text(), n.to_string());
    }
}

async fn a_slow_writer_that_a_logout_overtakes_logs_nobody_in(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let id = client.id().unwrap();
    let writer = stand.with_id(&id);
    let write = tokio::spawn(async move {
        let path = "/session/cart?delay_ms=1000";
        (writer.put(path, json!(1)).await, writer)
    });
    // Time for the writer to have loaded the session.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    client.ask(Method::POST, "/logout").await;
    let (status, writer) = write.await.unwrap();
    assert!(!status.is_server_error(), "{status}");
    assert_eq!(writer.me().await.0, StatusCode::UNAUTHORIZED);
    let replay = stand.with_id(&id);
    assert_eq!(replay.me().await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(replay.status("/session/cart").await, StatusCode::NOT_FOUND);
}
