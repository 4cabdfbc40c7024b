//! Login and renewal of the id.

use std::time::Duration;

use http::{Response, StatusCode};
use serde_json::json;
use tokio::task::JoinSet;

use super::{on_all_stores, stand::Stand};

on_all_stores!(
    a_login_gives_a_new_id_and_keeps_the_data,
    a_login_as_another_user_ends_every_older_id_at_once,
    what_one_user_has_left_is_not_for_the_next,
    a_login_after_changes_keeps_them,
    a_login_without_a_session_makes_one,
    a_login_as_nobody_is_an_error,
    a_login_through_an_old_id_hands_out_no_id_for_the_same_user,
    a_second_login_over_one_id_joins_the_session,
    two_logins_at_once_without_grace_leave_their_browser_logged_in,
    a_second_login_as_another_user_over_one_id_gets_a_session_of_its_own,
    parallel_logins_on_one_id_all_leave_a_session,
    clearing_keeps_the_session_and_drops_its_data,
    what_is_set_after_clearing_stays_however_large,
);

async fn a_login_gives_a_new_id_and_keeps_the_data(stand: Stand) {
    let client = stand.client();
    client
        .visit(async |session| session.insert("cart", ["tea"]).unwrap())
        .await;
    let anonymous = client.id().unwrap();
    client.login("ada").await;
    assert_ne!(client.id().unwrap(), anonymous);
    assert_eq!(client.get("user").await, Some(json!("ada")));
    assert_eq!(client.get("cart").await, Some(json!(["tea"])));
}

async fn a_login_as_another_user_ends_every_older_id_at_once(stand: Stand) {
    for first in [None, Some("eve")] {
        let planted = stand.client();
        match first {
            None => planted.visit(async |s| s.insert("k", 1).unwrap()).await,
            Some(user) => planted.login(user).await,
        }
        let oldest = planted.copy();
        // Whoever planted the id may have renewed it before.
        planted.renew().await;
        let victim = oldest.copy();
        victim.login("ada").await;
        assert_eq!(victim.user().await.as_deref(), Some("ada"));
        for old in [&planted, &oldest] {
            assert_eq!(old.user().await, None);
            assert_eq!(old.get("k").await, None);
            let before = old.id();
            old.renew().await;
            assert_eq!(old.id(), before);
            // Neither reaches it by a login of their own, nor ends it.
            let own = old.copy();
            own.login("eve").await;
            assert_eq!(own.user().await.as_deref(), Some("eve"));
            assert_eq!(own.get("k").await, None);
            old.logout().await;
        }
        assert_eq!(victim.user().await.as_deref(), Some("ada"));
    }
}

async fn what_one_user_has_left_is_not_for_the_next(stand: Stand) {
    for reads in [false, true] {
        let client = stand.logged_in("ada").await;
        client
            .visit(async |s| s.insert("cart", "tea").unwrap())
            .await;
        client
            .visit(async |session| {
                if reads {
                    assert_eq!(session.user().await.unwrap().as_deref(), Some("ada"));
                }
                session.login("eve").unwrap();
                assert_eq!(session.user().await.unwrap().as_deref(), Some("eve"));
                assert_eq!(session.increment("visits", 1).await.unwrap(), 1);
                assert_eq!(session.get::<String>("cart").await.unwrap(), None);
            })
            .await;
        assert_eq!(client.get("cart").await, None);
        assert_eq!(client.get("user").await, None);
        assert_eq!(client.get("visits").await, Some(json!(1)));
        assert_eq!(client.user().await.as_deref(), Some("eve"));
    }
}

async fn a_login_after_changes_keeps_them(stand: Stand) {
    let client = stand.logged_in("ada").await;
    client
        .visit(async |session| {
            session.insert("user", "eve").unwrap();
            session.login("eve").unwrap();
        })
        .await;
    assert_eq!(client.get("user").await, Some(json!("eve")));
}

async fn a_login_without_a_session_makes_one(stand: Stand) {
    let client = stand.client();
    client.visit(async |s| s.login("ada").unwrap()).await;
    assert!(client.id().is_some());
    assert_eq!(client.user().await.as_deref(), Some("ada"));
    let unknown = stand.client();
    unknown.plant(&"a".repeat(52));
    unknown.visit(async |s| s.login("ada").unwrap()).await;
    assert_eq!(unknown.user().await.as_deref(), Some("ada"));
    assert_ne!(unknown.id(), Some("a".repeat(52)));
}

async fn a_login_as_nobody_is_an_error(stand: Stand) {
    let client = stand.client();
    for nobody in ["", &"x".repeat(257)] {
        let response = client
            .send(async |session| {
                session.login(nobody)?;
                Ok(Response::default())
            })
            .await;
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert_eq!(client.id(), None);
}

async fn a_login_through_an_old_id_hands_out_no_id_for_the_same_user(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let old = client.copy();
    client.login("ada").await;
    let before = old.id();
    old.visit(async |session| {
        session.login("ada").unwrap();
        session.insert("k", 1).unwrap();
    })
    .await;
    assert_eq!(old.id(), before);
    assert_eq!(client.get("k").await, Some(json!(1)));
}

/// Also when the second has not read the session, and when the first was long ago.
async fn a_second_login_over_one_id_joins_the_session(stand: Stand) {
    for reads in [false, true] {
        let client = stand.client();
        client.visit(async |s| s.insert("k", 1).unwrap()).await;
        let other = client.copy();
        other
            .visit(async |session| {
                if reads {
                    session.exists().await.unwrap();
                }
                client.visit(async |s| s.login("ada").unwrap()).await;
                session.login("ada").unwrap();
                session.insert("j", 2).unwrap();
            })
            .await;
        assert_ne!(client.id(), other.id());
        stand.advance(Duration::from_secs(11)).await;
        for browser in [&other, &client] {
            assert_eq!(browser.user().await.as_deref(), Some("ada"));
            assert_eq!(browser.get("j").await, Some(json!(2)));
        }
        other.logout().await;
        assert_eq!(client.user().await, None);
    }
}

/// The second finds nothing under its id. One that has read the session is dropped, and leaves the
/// browser the cookie of the first; the other gets a session of its own.
async fn two_logins_at_once_without_grace_leave_their_browser_logged_in(stand: Stand) {
    let stand = stand.with(|layer| layer.with_renewal_grace(Duration::ZERO).unwrap());
    for first in [None, Some("ada")] {
        for reads in [false, true] {
            let client = stand.client();
            match first {
                None => client.visit(async |s| s.insert("k", 1).unwrap()).await,
                Some(user) => client.login(user).await,
            }
            // Both share the browser's cookies.
            let other = client.clone();
            other
                .visit(async |session| {
                    if reads {
                        session.exists().await.unwrap();
                    }
                    client.visit(async |s| s.login("ada").unwrap()).await;
                    session.login("ada").unwrap();
                })
                .await;
            assert_eq!(client.user().await.as_deref(), Some("ada"));
            assert_eq!(client.user().await.as_deref(), Some("ada"));
        }
    }
}

async fn a_second_login_as_another_user_over_one_id_gets_a_session_of_its_own(stand: Stand) {
    let client = stand.client();
    client.visit(async |s| s.insert("k", 1).unwrap()).await;
    let other = client.copy();
    other
        .visit(async |session| {
            session.exists().await.unwrap();
            client.visit(async |s| s.login("ada").unwrap()).await;
            session.login("eve").unwrap();
            session.insert("j", 2).unwrap();
        })
        .await;
    assert_eq!(client.user().await.as_deref(), Some("ada"));
    assert_eq!(other.user().await.as_deref(), Some("eve"));
    assert_eq!(other.get("k").await, None);
    assert_eq!(other.get("j").await, Some(json!(2)));
    assert_eq!(client.get("k").await, Some(json!(1)));
    assert_eq!(client.get("j").await, None);
}

async fn parallel_logins_on_one_id_all_leave_a_session(stand: Stand) {
    let first = stand.logged_in("ada").await;
    let read = std::sync::Arc::new(tokio::sync::Barrier::new(10));
    let mut logins = JoinSet::new();
    for _ in 0..10 {
        let (client, read) = (first.copy(), read.clone());
        logins.spawn(async move {
            let handler = async move |session: tower_keep::session::Session| {
                session.get::<String>("user").await.unwrap();
                read.wait().await;
                session.login("ada").unwrap();
            };
            client.visit(handler).await;
            client
        });
    }
    while let Some(client) = logins.join_next().await {
        assert_eq!(client.unwrap().get("user").await, Some(json!("ada")));
    }
}

async fn what_is_set_after_clearing_stays_however_large(stand: Stand) {
    for length in [1, 10, 100] {
        for reads in [false, true] {
            let client = stand.client();
            client
                .visit(async |session| {
                    session.insert("a", "ten bytes!").unwrap();
                    session.insert("b", 1).unwrap();
                })
                .await;
            client
                .visit(async |session| {
                    if reads {
                        session.exists().await.unwrap();
                    }
                    session.clear().unwrap();
                    session.insert("a", "x".repeat(length)).unwrap();
                })
                .await;
            assert_eq!(client.get("a").await, Some(json!("x".repeat(length))));
            assert_eq!(client.get("b").await, None);
        }
    }
}

async fn clearing_keeps_the_session_and_drops_its_data(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let id = client.id();
    client
        .visit(async |session| {
            session.insert("a", 1).unwrap();
            session.clear().unwrap();
            session.insert("b", 2).unwrap();
            assert_eq!(session.get::<String>("user").await.unwrap(), None);
        })
        .await;
    assert_eq!(client.id(), id);
    for (key, value) in [("user", None), ("a", None), ("b", Some(json!(2)))] {
        assert_eq!(client.get(key).await, value, "{key}");
    }
    assert!(
        client
            .visit(async |session| session.exists().await.unwrap())
            .await
    );
}
