//! Requests that a logout, a renewal or a login overtakes.

use std::time::Duration;

use http::{Response, StatusCode};
use serde_json::json;

use super::{
    on_all_stores,
    stand::{Client, Stand},
};

on_all_stores!(
    a_slow_writer_does_not_bring_a_session_back_after_its_logout,
    a_slow_reader_does_not_bring_a_session_back_after_its_logout,
    an_immediate_change_after_a_logout_says_that_the_session_has_ended,
    a_slow_writer_lands_in_the_session_with_the_new_id,
    a_slow_writer_does_not_land_in_the_session_of_who_has_logged_in,
    what_a_login_overtakes_takes_its_cookie_from_nobody,
    after_a_login_over_its_id_a_request_logs_in_anew,
    a_logout_that_a_renewal_overtakes_ends_the_session,
    a_logout_does_not_end_the_session_of_who_has_logged_in,
    a_login_that_a_logout_overtakes_logs_nobody_in,
);

async fn a_slow_writer_does_not_bring_a_session_back_after_its_logout(stand: Stand) {
    for renews in [false, true] {
        let client = stand.logged_in("ada").await;
        let (slow, thief) = (client.copy(), client.copy());
        let response = slow
            .send(async |session| {
                assert_eq!(session.get::<String>("user").await?.unwrap(), "ada");
                client.logout().await;
                session.insert("cart", ["tea"])?;
                if renews {
                    session.renew()?;
                }
                Ok(Response::default())
            })
            .await;
        assert!(response.status().as_u16() < 500);
        assert!(!response.headers().contains_key("set-cookie"));
        assert_eq!(thief.get("user").await, None);
        assert_eq!(thief.get("cart").await, None);
        if stand.is_redis() {
            assert_eq!(stand.server().keys("*"), [""; 0]);
        }
    }
}

async fn a_slow_reader_does_not_bring_a_session_back_after_its_logout(stand: Stand) {
    let stand = stand.with(|layer| layer.with_touch_fraction(0.0).unwrap());
    let client = stand.logged_in("ada").await;
    let slow = client.copy();
    slow.visit(async |session| {
        client.logout().await;
        assert_eq!(session.get::<String>("user").await.unwrap(), None);
    })
    .await;
    assert_eq!(slow.get("user").await, None);
    if stand.is_redis() {
        assert_eq!(stand.server().keys("*"), [""; 0]);
    }
}

async fn an_immediate_change_after_a_logout_says_that_the_session_has_ended(stand: Stand) {
    for which in 0..3 {
        let client = stand.logged_in("ada").await;
        let slow = client.copy();
        let response = slow
            .send(async |session| {
                session.get::<String>("user").await?;
                client.logout().await;
                match which {
                    0 => drop(session.increment("visits", 1).await?),
                    1 => drop(session.update("n", |n: Option<i32>| n.unwrap_or(0)).await?),
                    _ => {
                        session.increment("visits", 1).await.unwrap_err();
                        session.insert("k", 1)?;
                    }
                }
                Ok(Response::default())
            })
            .await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(slow.get("visits").await, None);
    }
}

async fn a_slow_writer_lands_in_the_session_with_the_new_id(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let slow = client.copy();
    slow.visit(async |session| {
        session.get::<String>("user").await.unwrap();
        client.visit(async |session| session.renew().unwrap()).await;
        session.insert("late", true).unwrap();
        assert_eq!(session.increment("visits", 1).await.unwrap(), 1);
        let updated = session.update("n", |n: Option<i32>| n.unwrap_or(6) + 1);
        assert_eq!(updated.await.unwrap(), 7);
    })
    .await;
    assert_ne!(client.id(), slow.id());
    for (key, value) in [("late", json!(true)), ("visits", json!(1)), ("n", json!(7))] {
        assert_eq!(client.get(key).await, Some(value));
    }
    stand.advance(Duration::from_secs(11)).await;
    assert_eq!(slow.get("user").await, None);
}

/// What an id led to before the login is not its user's.
async fn a_slow_writer_does_not_land_in_the_session_of_who_has_logged_in(stand: Stand) {
    for user in [None, Some("eve")] {
        let client = stand.client();
        match user {
            None => client.visit(async |s| s.insert("k", 1).unwrap()).await,
            Some(user) => client.login(user).await,
        }
        let slow = client.copy();
        slow.visit(async |session| {
            session.exists().await.unwrap();
            client.login("ada").await;
            session.insert("late", true).unwrap();
        })
        .await;
        assert_eq!(client.get("late").await, None);
        assert_eq!(client.get("user").await, Some(json!("ada")));
        assert_eq!(slow.get("user").await, None);
    }
}

/// A request that began before a login ends after it: what it has written is dropped, and its
/// response leaves the browser the cookie that it got meanwhile.
async fn what_a_login_overtakes_takes_its_cookie_from_nobody(stand: Stand) {
    for before in [None, Some("eve")] {
        for which in 0..6 {
            let client = stand.client();
            match before {
                Some(user) => client.login(user).await,
                None => client.visit(async |s| s.insert("k", 1).unwrap()).await,
            }
            let old = client.copy();
            client.login("ada").await;
            let id = old.id();
            let response = old
                .send(async |session| {
                    match which {
                        0 => session.insert("late", 1)?,
                        1 => drop(session.increment("late", 1).await?),
                        2 => {
                            assert!(!session.exists().await?);
                            session.insert("late", 1)?;
                        }
                        3 => {
                            session.insert("late", 1)?;
                            session.renew()?;
                        }
                        4 => drop(
                            session
                                .update("late", |n: Option<i32>| n.unwrap_or(1))
                                .await?,
                        ),
                        _ => session.flash("late", "message").await?,
                    }
                    Ok(Response::default())
                })
                .await;
            assert_eq!(response.status(), StatusCode::OK);
            assert!(
                !response.headers().contains_key("set-cookie"),
                "{before:?} {which}"
            );
            assert_eq!(old.id(), id);
            assert_eq!(old.get("late").await, None);
            assert_eq!(client.get("late").await, None);
            assert!(client.get("user").await.is_some());
        }
    }
}

/// The id leads to the session of another user, who is not to be logged out by it.
async fn after_a_login_over_its_id_a_request_logs_in_anew(stand: Stand) {
    for reads in [false, true] {
        let client = stand.client();
        client.visit(async |s| s.insert("k", 1).unwrap()).await;
        let old = client.copy();
        client.login("ada").await;
        old.visit(async |session| {
            if reads {
                assert!(!session.exists().await.unwrap());
            }
            session.insert("user", "eve").unwrap();
            session.login("eve").unwrap();
        })
        .await;
        assert_eq!(old.get("user").await, Some(json!("eve")));
        assert_eq!(old.get("k").await, None);
        assert_eq!(client.get("user").await, Some(json!("ada")));
    }
}

/// With a grace and without; the logout has read the session or only got its cookie.
async fn a_logout_that_a_renewal_overtakes_ends_the_session(stand: Stand) {
    for (grace, reads) in [(0, true), (0, false), (10, true), (10, false)] {
        let grace = Duration::from_secs(grace);
        let layer = stand.layer.clone().with_renewal_grace(grace).unwrap();
        let client = Client::of(layer);
        client.login("ada").await;
        let other = client.copy();
        other
            .visit(async |session| {
                if reads {
                    session.exists().await.unwrap();
                }
                client.renew().await;
                session.destroy().await.unwrap();
            })
            .await;
        assert_eq!(other.id(), None);
        assert_eq!(client.get("user").await, None, "{grace:?} {reads}");
        if stand.is_redis() {
            assert_eq!(stand.server().keys("*"), [""; 0]);
        }
    }
}

async fn a_logout_does_not_end_the_session_of_who_has_logged_in(stand: Stand) {
    let client = stand.client();
    client.visit(async |s| s.insert("k", 1).unwrap()).await;
    let planted = client.copy();
    planted
        .visit(async |session| {
            session.exists().await.unwrap();
            client.login("ada").await;
            session.destroy().await.unwrap();
        })
        .await;
    assert_eq!(client.get("user").await, Some(json!("ada")));
}

async fn a_login_that_a_logout_overtakes_logs_nobody_in(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let slow = client.copy();
    slow.visit(async |session| {
        session.exists().await.unwrap();
        client.logout().await;
        session.login("ada").unwrap();
    })
    .await;
    assert_eq!(slow.id().as_deref().map(str::len), Some(52));
    assert_eq!(slow.get("user").await, None);
}
