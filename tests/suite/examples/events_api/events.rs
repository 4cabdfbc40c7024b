//! Events: public, and kept by the response cache.

use http::{Method, Request, StatusCode, header::IF_NONE_MATCH};
use serde_json::{Value, json};

use super::stand::{Api, Stand, assert_problem};
use crate::harness::{
    body,
    client::{Client, Reply},
    eventually,
};

super::on_all_stores!(
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

/// The answer once it comes out of the cache: until it is stored there, those who ask share it.
async fn hit(client: &Client, path: &str) -> Reply {
    let mut reply = client.get(path).await;
    eventually("a hit", async || {
        reply = client.get(path).await;
        reply.header("cache-status").unwrap().contains("; hit")
    })
    .await;
    assert!(reply.header("age").is_some());
    reply
}

async fn events_are_public_and_kept(stand: Stand) {
    let client = stand.client();
    let paths = ["/events", "/events?page=1", "/events?page=2", "/events/7"];
    for path in paths {
        let stored = client.get(path).await;
        let status = stored.header("cache-status").unwrap();
        assert!(status.contains("stored"), "{path}: {status}");
        let hit = hit(&client, path).await;
        assert_eq!(stored.body, hit.body);
        for reply in [stored, hit] {
            assert_eq!(reply.status, StatusCode::OK);
            for (name, value) in [
                ("content-type", "application/json"),
                ("cache-control", "public, max-age=300"),
                ("cache-groups", "\"events\""),
            ] {
                assert_eq!(reply.header(name), Some(value), "{path}");
            }
            assert!(reply.header("etag").is_some());
        }
    }
    assert_eq!(client.reads().await, (0, paths.len() as u64));
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
    for reply in [client.get("/events").await, hit(&client, "/events").await] {
        assert_eq!(reply.header("cache-control"), Some("public, max-age=300"));
        assert_eq!(reply.header("set-cookie"), None);
        assert_eq!(reply.header("vary"), None);
    }
    assert_eq!(client.id(), id);
    let stranger = stand.client();
    hit(&stranger, "/events").await;
    assert_eq!(stranger.id(), None);
    assert_eq!(client.reads().await, (0, 1));
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
    stranger.get("/events").await;
    assert_eq!(stranger.reads().await, (0, 1), "nothing was invalidated");

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
