//! Users, cache-aside.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::stand::{Api, Stand, assert_problem};
use crate::harness::{client::Client, eventually};

super::on_all_stores!(
    a_user_is_read_from_the_database_once,
    a_hundred_clients_of_a_cold_user_are_one_read,
    a_change_is_seen_at_once,
    a_change_while_a_read_runs_is_not_hidden,
    a_change_and_a_read_go_on_when_their_client_leaves,
    what_is_no_user_is_a_problem,
);

async fn a_user_is_read_from_the_database_once(stand: Stand) {
    let client = stand.client();
    for _ in 0..3 {
        let reply = client.get("/users/1").await;
        assert_eq!(reply.status, StatusCode::OK);
        assert_eq!(reply.json::<Value>(), json!({"id": "1", "name": "User 1"}));
    }
    assert_eq!(client.reads().await, (1, 0));
    client.get("/users/2").await;
    assert_eq!(client.reads().await, (2, 0));
}

async fn a_hundred_clients_of_a_cold_user_are_one_read(mut stand: Stand) {
    stand.restart(&["--db-delay-ms", "100"]);
    let readers = (0..100).map(|_| {
        let reader = stand.client();
        async move { reader.status("/users/1").await }
    });
    for status in readers.collect::<JoinSet<_>>().join_all().await {
        assert_eq!(status, StatusCode::OK);
    }
    assert_eq!(stand.client().reads().await, (1, 0));
}

async fn a_change_is_seen_at_once(stand: Stand) {
    let client = stand.client();
    for name in ["Ada", "Ada Lovelace"] {
        client.get("/users/1").await;
        let status = client.put("/users/1", json!({"name": name})).await;
        assert!(status.is_success(), "{status}");
        let user: Value = client.get("/users/1").await.json();
        assert_eq!(user["name"], name);
    }
    assert!(
        client
            .put("/users/new", json!({"name": "Alan"}))
            .await
            .is_success()
    );
    assert_eq!(client.status("/users/new").await, StatusCode::OK);
    for id in ["1", "new"] {
        let path = format!("/users/{id}");
        let removal = client.ask(Method::DELETE, &path).await;
        assert_eq!(removal.status, StatusCode::NO_CONTENT);
        assert_eq!(client.status(&path).await, StatusCode::NOT_FOUND);
        let again = client.ask(Method::DELETE, &path).await;
        assert_problem(&again, StatusCode::NOT_FOUND);
    }
}

async fn a_change_while_a_read_runs_is_not_hidden(mut stand: Stand) {
    stand.restart(&["--db-delay-ms", "150"]);
    let client = stand.client();
    for n in 0..5 {
        let reader = stand.client();
        let read = tokio::spawn(async move { reader.status("/users/1").await });
        tokio::time::sleep(std::time::Duration::from_millis(30 * n)).await;
        let name = format!("Ada {n}");
        client.put("/users/1", json!({"name": name})).await;
        assert_eq!(read.await.unwrap(), StatusCode::OK);
        let user: Value = client.get("/users/1").await.json();
        assert_eq!(user["name"], name);
        client.ask(Method::DELETE, "/users/1").await;
        client.put("/users/1", json!({"name": "cold"})).await;
    }
}

async fn a_change_and_a_read_go_on_when_their_client_leaves(mut stand: Stand) {
    stand.restart(&["--db-delay-ms", "300"]);
    let patience = std::time::Duration::from_millis(100);
    eventually("the change is made", async || {
        // It may leave before the server has heard of it: then it comes again.
        let client = stand.client();
        let change = client.put("/users/1", json!({"name": "Ada"}));
        assert!(tokio::time::timeout(patience, change).await.is_err());
        // On another connection: the client's own was closed.
        let user: Value = stand.client().get("/users/1").await.json();
        user["name"] == "Ada"
    })
    .await;
    let (before, _) = stand.client().reads().await;
    eventually("the read is made", async || {
        let client = stand.client();
        let read = client.get("/users/2");
        tokio::time::timeout(patience, read).await.is_ok()
    })
    .await;
    assert_eq!(stand.client().reads().await, (before + 1, 0));
}

async fn what_is_no_user_is_a_problem(stand: Stand) {
    let client = stand.client();
    assert_problem(&client.get("/users/nobody").await, StatusCode::NOT_FOUND);
    let nameless = client.send_json(Method::PUT, "/users/1", &json!({})).await;
    assert_problem(&nameless, StatusCode::UNPROCESSABLE_ENTITY);
    let reply = client.ask(Method::PUT, "/users/1").await;
    assert_problem(&reply, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_problem(&client.get("/users").await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn two_hundred_requests_for_long_unknown_ids_are_404s_that_leave_nothing_behind() {
    let stand = Stand::redis().await;
    let client = stand.client();
    for n in 0..200 {
        let path = format!("/users/{n}{}", "x".repeat(60_000));
        assert_eq!(client.status(&path).await, StatusCode::NOT_FOUND);
    }
    assert_problem(
        &client
            .get(&format!("/users/{}", "%F0%9F%8C%B5".repeat(5_000)))
            .await,
        StatusCode::NOT_FOUND,
    );
    eventually("no key of a user is left", async || {
        let server = stand.server();
        server.keys("keep:user:*").is_empty() && server.keys("keep:lease:*").is_empty()
    })
    .await;
}

#[tokio::test]
async fn two_servers_share_what_they_have_read_and_what_they_forget() {
    let stand = Stand::redis().await;
    let another = stand.another();
    let (here, there) = (stand.client(), Client::http1(another.addr()));
    here.get("/users/1").await;
    there.get("/users/1").await;
    assert_eq!(here.reads().await, (1, 0));
    assert_eq!(there.reads().await, (0, 0));
    here.put("/users/1", json!({"name": "Ada"})).await;
    there.get("/users/1").await;
    assert_eq!(there.reads().await, (1, 0));
    let ttl: i64 = stand.server().query(&["TTL", "keep:user:1"]);
    assert!((3_500..=3_600).contains(&ttl), "{ttl}");
}
