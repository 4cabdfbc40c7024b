//! What a request gets when the store fails.

use std::time::{Duration, Instant};

use http::{Response, StatusCode};
use serde_json::json;
use tower_keep::session::{Session, SessionError, SessionOnStoreError};

use super::stand::Stand;

/// Above what a busy machine needs for a round trip.
const DEADLINE: Duration = Duration::from_millis(500);

async fn stand() -> Stand {
    Stand::redis().await.with_deadline(DEADLINE)
}

async fn ready_again(stand: &Stand) {
    let start = Instant::now();
    while stand.store.ping().await.is_err() {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "never connected again"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_load_from_a_frozen_store_is_a_503_within_the_deadline() {
    let stand = stand().await;
    let client = stand.logged_in("ada").await;
    stand.server().pause();
    let start = Instant::now();
    let response = client
        .send(async |session| {
            session.get::<String>("user").await?;
            unreachable!("a session from a frozen store");
        })
        .await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(start.elapsed() < DEADLINE * 3, "{:?}", start.elapsed());
    stand.server().resume();
    ready_again(&stand).await;
    assert_eq!(client.get("user").await, Some(json!("ada")));
}

#[tokio::test]
async fn a_handler_that_takes_a_failed_load_for_an_empty_session_cannot_save_it() {
    let mut stand = stand().await;
    let client = stand.logged_in("ada").await;
    let cart = async |session: &Session| {
        let cart = session.get::<Vec<String>>("cart").await;
        cart.ok().flatten().unwrap_or_default()
    };
    client
        .visit(async |session| session.insert("cart", ["tea"]).unwrap())
        .await;
    let id = client.id();
    stand.server().pause();
    let response = client
        .send(async |session| {
            let mut cart = cart(&session).await;
            stand.server().resume();
            ready_again(&stand).await;
            cart.push("milk".to_owned());
            let late = session.insert("cart", &cart);
            assert!(
                matches!(late, Err(SessionError::Unavailable(_))),
                "{late:?}"
            );
            Ok(Response::default())
        })
        .await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    assert!(!response.headers().contains_key("set-cookie"));
    assert_eq!(client.id(), id);
    assert_eq!(client.get("cart").await, Some(json!(["tea"])));
    stand.server_mut().kill();
}

#[tokio::test]
async fn a_commit_that_fails_is_a_503_without_a_cookie() {
    let mut stand = stand().await;
    let client = stand.logged_in("ada").await;
    let id = client.id();
    let killed = client
        .send(async |session| {
            session.get::<String>("user").await?;
            session.renew()?;
            session.insert("user", "eve")?;
            stand.server_mut().kill();
            Ok(Response::default())
        })
        .await;
    let new = stand
        .client()
        .send(async |session| {
            session.insert("user", "eve")?;
            Ok(Response::default())
        })
        .await;
    for response in [killed, new] {
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(!response.headers().contains_key("set-cookie"));
        assert_eq!(response.headers()["cache-control"], "no-store");
    }
    assert_eq!(client.id(), id);
}

#[tokio::test]
async fn a_logout_that_fails_says_so_and_keeps_the_cookie() {
    let mut stand = stand().await;
    let client = stand.logged_in("ada").await;
    let id = client.id();
    stand.server_mut().kill();
    let response = client
        .send(async |session| {
            session.destroy().await.unwrap_err();
            Ok(Response::default())
        })
        .await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(client.id(), id);
}

/// A server at its memory limit takes only what needs no memory, and reads. At 0 it has none.
fn limit_memory(stand: &Stand, bytes: &str) {
    let server = stand.server();
    server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    server.command(&["CONFIG", "SET", "maxmemory", bytes]);
}

#[tokio::test]
async fn a_full_server_answers_reads_and_keeps_the_sessions_that_are_used() {
    let idle = Duration::from_secs(200);
    let stand = stand().await;
    let stand = stand.with(|layer| layer.with_idle_timeout(idle).unwrap());
    let client = stand.logged_in("ada").await;
    let old = client.copy();
    client.renew().await;
    client
        .visit(async |session| session.flash("info", "Saved.").await.unwrap())
        .await;
    for _ in 0..3 {
        limit_memory(&stand, "0");
        stand.advance(Duration::from_secs(150)).await;
        limit_memory(&stand, "1");
        assert_eq!(client.get("user").await, Some(json!("ada")));
    }
    // Removing a message takes no memory.
    for left in [1, 0] {
        let messages = client.visit(async |session| session.take_flashes().await.unwrap());
        assert_eq!(messages.await.len(), left);
    }
    // The first use of the new id was noted as well.
    assert_eq!(old.get("user").await, None);
    let response = client
        .send(async |session| {
            session.insert("k", 1)?;
            Ok(Response::default())
        })
        .await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_touch_that_is_refused_does_not_cost_the_read() {
    let stand = stand().await;
    let stand = stand.with(|layer| layer.with_touch_fraction(0.0).unwrap());
    let client = stand.logged_in("ada").await;
    let old = client.copy();
    client.renew().await;
    let rules = ["ACL", "SETUSER", "default"];
    let rights = |right| stand.server().command(&[&rules[..], &[right]].concat());
    rights("-evalsha");
    for client in [&old, &client] {
        assert_eq!(client.get("user").await, Some(json!("ada")));
    }
    let response = client
        .send(async |session| {
            session.insert("k", 1)?;
            Ok(Response::default())
        })
        .await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    rights("+evalsha");
    assert_eq!(client.get("user").await, Some(json!("ada")));
    stand.advance(Duration::from_secs(11)).await;
    assert_eq!(old.get("user").await, None);
}

#[tokio::test]
async fn a_request_that_does_not_use_its_session_does_not_notice() {
    let mut stand = stand().await;
    let client = stand.logged_in("ada").await;
    stand.server_mut().kill();
    let response = client.send(async |_| Ok(Response::default())).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn read_only_anonymous_sees_no_session_and_writes_nothing() {
    let stand = stand().await;
    let stand =
        stand.with(|layer| layer.with_on_store_error(SessionOnStoreError::AnonymousReadOnly));
    let client = stand.logged_in("ada").await;
    let id = client.id();
    stand.server().pause();
    client
        .visit(async |session| {
            assert_eq!(session.get::<String>("user").await.unwrap(), None);
            assert!(!session.exists().await.unwrap());
            stand.server().resume();
            ready_again(&stand).await;
            assert_eq!(session.get::<String>("user").await.unwrap(), None);
            let refused = session.insert("user", "eve");
            assert!(
                matches!(refused, Err(SessionError::Unavailable(_))),
                "{refused:?}"
            );
            session.increment("visits", 1).await.unwrap_err();
        })
        .await;
    assert_eq!(client.id(), id);
    assert_eq!(client.get("user").await, Some(json!("ada")));
    assert_eq!(client.get("visits").await, None);
    // A write that was promised before the store failed is no success.
    stand.server().pause();
    let response = client
        .send(async |session| {
            session.insert("k", 1)?;
            assert_eq!(session.get::<String>("user").await?, None);
            Ok(Response::default())
        })
        .await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_store_that_comes_back_empty_has_no_session_and_adopts_no_id() {
    let mut stand = stand().await;
    let client = stand.logged_in("ada").await;
    let id = client.id();
    stand.server_mut().restart();
    ready_again(&stand).await;
    assert_eq!(client.get("user").await, None);
    client
        .visit(async |session| session.insert("k", 1).unwrap())
        .await;
    assert_ne!(client.id(), id);
    assert_eq!(client.get("k").await, Some(json!(1)));
}

#[tokio::test]
async fn a_redis_at_its_memory_limit_takes_what_makes_a_session_smaller_and_nothing_else() {
    let stand = stand().await;
    let client = stand.logged_in("ada").await;
    for (key, value) in [("cart", "tea"), ("theme", "dark")] {
        client
            .visit(async |session| session.insert(key, value).unwrap())
            .await;
    }
    let server = stand.server();
    server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let large = "x".repeat(10_000);
    for change in ["insert", "clear", "login"] {
        let response = client.send(async |session: Session| {
            match change {
                "clear" => session.clear()?,
                "login" => session.login("eve")?,
                _ => {}
            }
            session.insert("cart", &large)?;
            Ok(Response::default())
        });
        let status = response.await.status();
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{change}");
        assert_eq!(client.get("cart").await, Some(json!("tea")), "{change}");
        assert_eq!(client.get("user").await, Some(json!("ada")), "{change}");
    }
    client
        .visit(async |session| session.remove("cart").unwrap())
        .await;
    assert_eq!(client.get("cart").await, None);
    assert_eq!(client.get("theme").await, Some(json!("dark")));
    client
        .visit(async |session| {
            session.clear().unwrap();
            session.insert("user", "a").unwrap();
        })
        .await;
    assert_eq!(client.get("theme").await, None);
    assert_eq!(client.get("user").await, Some(json!("a")));
}
