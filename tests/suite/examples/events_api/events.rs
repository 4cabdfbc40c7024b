//! Events: public, and kept by the response cache.

use http::{Method, Request, StatusCode, header::IF_NONE_MATCH};
use serde_json::{Value, json};

use super::stand::{Api, Stand, assert_problem};
use crate::harness::{
    body,
    client::{Client, Reply},
};

super::on_both_stores!(
    events_are_public_and_kept,
    a_client_that_has_the_page_is_told_so,
    a_session_makes_no_page_private,
    a_new_event_needs_a_login_and_is_seen_at_once,
    what_is_no_event_is_a_problem,
);

fn titles(reply: &Reply) -> Vec<String> {
    let page: Value = reply.json();
    let events = page["events"].as_array().unwrap().iter();
    events
        .map(|event| event["title"].as_str().unwrap().to_owned())
        .collect()
}

async fn events_are_public_and_kept(stand: Stand) {
    let client = stand.client();
    let mut reads = 0;
    for path in ["/events", "/events?page=1", "/events?page=2", "/events/7"] {
        reads += 1;
        for (round, word) in ["stored", "hit"].into_iter().enumerate() {
            let reply = client.get(path).await;
            assert_eq!(reply.status, StatusCode::OK);
            for (name, value) in [
                ("content-type", "application/json"),
                ("cache-control", "public, max-age=300"),
                ("cache-groups", "\"events\""),
            ] {
                assert_eq!(reply.header(name), Some(value), "{path}");
            }
            assert!(reply.header("etag").is_some());
            assert_eq!(reply.header("age").is_some(), round == 1);
            let status = reply.header("cache-status").unwrap();
            assert!(status.contains(word), "{path}: {status}");
            assert_eq!(client.reads().await, (0, reads), "{path}");
        }
    }
    let first = titles(&client.get("/events").await);
    let second = titles(&client.get("/events?page=2").await);
    assert_eq!(first.len(), 10);
    assert!(second.iter().all(|title| !first.contains(title)));
    assert_eq!(
        titles(&client.get("/events?page=99").await),
        Vec::<String>::new()
    );
}

async fn a_client_that_has_the_page_is_told_so(stand: Stand) {
    let client = stand.client();
    for path in ["/events", "/events"] {
        let etag = client.get(path).await.headers["etag"].clone();
        let request = Request::get(path).header(IF_NONE_MATCH, &etag);
        let reply = client.send(request.body(body::empty()).unwrap()).await;
        assert_eq!(reply.status, StatusCode::NOT_MODIFIED);
        assert!(reply.body.is_empty());
        assert_eq!(reply.headers["etag"], etag);
    }
}

async fn a_session_makes_no_page_private(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let id = client.id();
    for word in ["stored", "hit"] {
        let reply = client.get("/events").await;
        assert_eq!(reply.header("cache-control"), Some("public, max-age=300"));
        assert_eq!(reply.header("set-cookie"), None);
        assert_eq!(reply.header("vary"), None);
        assert!(reply.header("cache-status").unwrap().contains(word));
    }
    assert_eq!(client.id(), id);
    let stranger = stand.client();
    let reply = stranger.get("/events").await;
    assert!(reply.header("cache-status").unwrap().contains("hit"));
    assert_eq!(stranger.id(), None);
}

async fn a_new_event_needs_a_login_and_is_seen_at_once(stand: Stand) {
    let create = async |client: &Client, title: &str| {
        client
            .post_json("/events", &json!({ "title": title }))
            .await
    };
    let stranger = stand.client();
    stranger.get("/events").await;
    let refused = create(&stranger, "Nobody's").await;
    assert_problem(&refused, StatusCode::UNAUTHORIZED);
    assert_eq!(refused.header("cache-group-invalidation"), None);
    assert!(stranger.get("/events").await.header("age").is_some());

    let client = stand.logged_in("ada").await;
    for title in ["First", "Second"] {
        client.get("/events").await;
        let reply = create(&client, title).await;
        assert_eq!(reply.status, StatusCode::CREATED);
        assert_eq!(reply.header("cache-group-invalidation"), Some("\"events\""));
        let location = reply.header("location").unwrap();
        let event: Value = reply.json();
        assert_eq!(event["title"], title);
        assert_eq!(location, format!("/events/{}", event["id"]));
        assert_eq!(client.get(location).await.json::<Value>(), event);
        assert_eq!(titles(&stranger.get("/events").await)[0], title);
    }
}

async fn what_is_no_event_is_a_problem(stand: Stand) {
    let client = stand.logged_in("ada").await;
    for (path, status) in [
        ("/events/0", StatusCode::NOT_FOUND),
        ("/events/12345", StatusCode::NOT_FOUND),
        ("/events/first", StatusCode::BAD_REQUEST),
        ("/events?page=0", StatusCode::BAD_REQUEST),
        ("/events?page=x", StatusCode::BAD_REQUEST),
    ] {
        assert_problem(&client.get(path).await, status);
    }
    let untitled = client.post_json("/events", &json!({})).await;
    assert_problem(&untitled, StatusCode::UNPROCESSABLE_ENTITY);
    let removal = client.ask(Method::DELETE, "/events/1").await;
    assert_problem(&removal, StatusCode::METHOD_NOT_ALLOWED);
}
