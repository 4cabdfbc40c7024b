//! The sessions of a user over HTTP, in one process and in two.

use http::{Method, StatusCode};
use serde_json::Value;
use tokio::task::JoinSet;

use super::stand::{Api, Stand, assert_problem};
use crate::harness::{client::Client, redis::RedisServer};

super::on_all_stores!(
    a_user_sees_their_sessions_with_public_handles,
    a_session_that_is_ended_by_its_handle_is_401_at_once,
    a_handle_of_somebody_elses_session_is_404,
    the_others_are_logged_out_and_this_one_is_not,
    all_are_logged_out_and_this_cookie_goes,
    without_a_login_there_is_nothing_to_see_or_to_end,
    no_more_sessions_than_the_cap_are_live,
);

async fn sessions(client: &Client) -> Vec<Value> {
    let reply = client.get("/sessions").await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    reply.json()
}

async fn end(client: &Client, handle: &Value) -> StatusCode {
    let path = format!("/sessions/{}", handle.as_str().unwrap());
    client.ask(Method::DELETE, &path).await.status
}

async fn live(clients: &[Client]) -> usize {
    let mut live = 0;
    for client in clients {
        live += usize::from(client.me().await.0 == StatusCode::OK);
    }
    live
}

async fn a_user_sees_their_sessions_with_public_handles(stand: Stand) {
    let (client, other) = (stand.logged_in("ada").await, stand.logged_in("ada").await);
    stand.logged_in("eve").await;
    let before = sessions(&client).await;
    assert_eq!(before.len(), 2);
    let current = before.iter().filter(|session| session["current"] == true);
    assert_eq!(current.count(), 1);
    for session in &before {
        let mut names: Vec<_> = session.as_object().unwrap().keys().collect();
        names.sort();
        assert_eq!(
            names,
            ["created_at", "current", "device", "handle", "last_seen_at"]
        );
        assert_eq!(session["device"], "laptop");
        assert!(session["created_at"].as_str().unwrap().starts_with("20"));
        let handle = session["handle"].as_str().unwrap();
        for client in [&client, &other] {
            assert!(!client.id().unwrap().contains(handle));
        }
    }
    // The handle outlives the id.
    client.login("ada").await;
    let handles = |sessions: &[Value]| -> Vec<_> {
        let mut handles: Vec<_> = sessions.iter().map(|s| s["handle"].to_string()).collect();
        handles.sort();
        handles
    };
    assert_eq!(handles(&sessions(&client).await), handles(&before));
}

async fn a_session_that_is_ended_by_its_handle_is_401_at_once(stand: Stand) {
    let (client, stolen) = (stand.logged_in("ada").await, stand.logged_in("ada").await);
    let list = sessions(&client).await;
    let other = list.iter().find(|session| session["current"] == false);
    let handle = &other.unwrap()["handle"];
    assert_eq!(end(&client, handle).await, StatusCode::NO_CONTENT);
    assert_eq!(stolen.me().await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(end(&client, handle).await, StatusCode::NOT_FOUND);
    assert_eq!(sessions(&client).await.len(), 1);
    assert_eq!(client.me().await.0, StatusCode::OK);
}

async fn a_handle_of_somebody_elses_session_is_404(stand: Stand) {
    let (ada, eve) = (stand.logged_in("ada").await, stand.logged_in("eve").await);
    let handle = &sessions(&ada).await[0]["handle"];
    assert_eq!(end(&eve, handle).await, StatusCode::NOT_FOUND);
    assert_eq!(ada.me().await.0, StatusCode::OK);
    let reply = eve.ask(Method::DELETE, "/sessions/nothing-like-it").await;
    assert_problem(&reply, StatusCode::NOT_FOUND);
}

async fn the_others_are_logged_out_and_this_one_is_not(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let others = [stand.logged_in("ada").await, stand.logged_in("ada").await];
    let eve = stand.logged_in("eve").await;
    let reply = client.ask(Method::POST, "/logout/others").await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
    assert_eq!(live(&others).await, 0);
    assert_eq!(live(&[client, eve]).await, 2);
}

async fn all_are_logged_out_and_this_cookie_goes(stand: Stand) {
    let (client, other) = (stand.logged_in("ada").await, stand.logged_in("ada").await);
    let thief = stand.with_id(&client.id().unwrap());
    let reply = client.ask(Method::POST, "/logout/everywhere").await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
    assert!(reply.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(client.id(), None);
    assert_eq!(live(&[client, other, thief]).await, 0);
}

async fn without_a_login_there_is_nothing_to_see_or_to_end(stand: Stand) {
    let client = stand.client();
    for (method, path) in [
        (Method::GET, "/sessions"),
        (Method::DELETE, "/sessions/any"),
        (Method::POST, "/logout/others"),
        (Method::POST, "/logout/everywhere"),
    ] {
        assert_problem(&client.ask(method, path).await, StatusCode::UNAUTHORIZED);
    }
}

async fn no_more_sessions_than_the_cap_are_live(mut stand: Stand) {
    stand.restart(&["--session-cap", "3"]);
    let mut logins = JoinSet::new();
    for _ in 0..20 {
        let client = stand.client();
        logins.spawn(async move {
            client.login("ada").await;
            client
        });
    }
    let clients = logins.join_all().await;
    assert_eq!(live(&clients).await, 3);
}

/// What one process ends is ended in the other at once, and both see the same list.
#[tokio::test]
async fn two_processes_share_lists_caps_and_revocations() {
    let mut stand = Stand::with_redis(RedisServer::config(), &[]).await;
    let flags = ["--session-cap", "3"];
    stand.restart(&flags);
    let there = stand.another_with(&flags);
    let there = || Client::http1(there.addr()).with_cookies();

    let here = stand.logged_in("ada").await;
    let same = there();
    same.plant(&here.id().unwrap());
    let other = there();
    other.login("ada").await;
    assert_eq!(sessions(&here).await.len(), 2);
    assert_eq!(sessions(&same).await.len(), 2);
    let list = sessions(&other).await;
    let handle = list.iter().find(|session| session["current"] == false);
    assert_eq!(
        end(&other, &handle.unwrap()["handle"]).await,
        StatusCode::NO_CONTENT
    );
    assert_eq!(live(&[here, same]).await, 0);

    let mut logins = JoinSet::new();
    for n in 0..20 {
        let client = match n % 2 {
            0 => stand.client(),
            _ => there(),
        };
        logins.spawn(async move {
            client.login("ada").await;
            client
        });
    }
    let mut clients = logins.join_all().await;
    clients.push(other);
    assert_eq!(live(&clients).await, 3);
    for key in stand.server().keys("*session*") {
        assert!(!key.contains("ada"), "{key}");
    }
    stand.server().assert_every_key_has_a_ttl();
    let last = stand.logged_in("ada").await;
    last.ask(Method::POST, "/logout/everywhere").await;
    clients.push(last);
    assert_eq!(live(&clients).await, 0);
}
