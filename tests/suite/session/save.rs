//! Handlers that outlive the head of their response.

use std::time::Duration;

use http::{Response, StatusCode, header::SET_COOKIE};
use serde_json::json;
use tower_keep::session::{Session, SessionError, SessionLifetime, UserSessions};

use super::{
    on_all_stores,
    stand::{Client, Stand},
};

on_all_stores!(
    what_is_saved_is_there_while_the_handler_runs,
    a_saved_session_is_written_and_read_on_after_the_head,
    without_a_save_before_the_head_there_is_none_after_it,
    a_session_made_by_a_save_reaches_the_client_with_the_head,
    a_login_that_was_saved_reaches_the_client_even_with_a_5xx,
    no_cookie_can_be_set_after_the_head,
    a_save_after_a_logout_or_a_revocation_elsewhere_says_so_and_drops_the_changes,
    a_save_after_a_renewal_elsewhere_lands_in_the_session,
    a_save_after_the_login_of_another_user_lands_nowhere,
    a_logout_after_the_head_ends_the_session,
    a_save_keeps_the_session_alive,
    a_save_that_would_be_too_large_leaves_the_session_as_it_was,
    a_login_saved_and_then_remembered_hands_out_a_persistent_cookie,
    a_handler_that_was_left_goes_on_with_a_session_that_it_has_saved,
);

/// The session that a handler has saved, after the head of its response.
async fn kept(client: &Client) -> Session {
    client
        .visit(async |session| {
            session.save().await.unwrap();
            session
        })
        .await
}

fn assert_ended<T: std::fmt::Debug>(result: Result<T, SessionError>) {
    assert!(matches!(result, Err(SessionError::Ended)), "{result:?}");
}

fn assert_too_late<T: std::fmt::Debug>(result: Result<T, SessionError>) {
    let too_late = matches!(result, Err(SessionError::TooLateForCookie));
    assert!(too_late, "{result:?}");
}

async fn what_is_saved_is_there_while_the_handler_runs(stand: Stand) {
    for reads in [false, true] {
        let client = stand.logged_in("ada").await;
        let response = client
            .send(async |session| {
                if reads {
                    session.exists().await?;
                }
                session.insert("k", 1)?;
                session.save().await?;
                assert_eq!(client.copy().get("k").await, Some(json!(1)));
                // A read after it sees what others have changed.
                let other = client.copy();
                other
                    .visit(async |other| other.insert("k", 2).unwrap())
                    .await;
                assert_eq!(session.get("k").await?, Some(2));
                session.insert("j", 1)?;
                let mut response = Response::default();
                *response.status_mut() = StatusCode::BAD_GATEWAY;
                Ok(response)
            })
            .await;
        assert!(!response.headers().contains_key(SET_COOKIE));
        assert_eq!(client.get("k").await, Some(json!(2)));
        assert_eq!(
            client.get("j").await,
            None,
            "not saved, and the response failed"
        );
    }
}

async fn a_saved_session_is_written_and_read_on_after_the_head(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let session = kept(&client).await;
    for n in 1..4 {
        session.insert("n", n).unwrap();
        assert_eq!(client.get("n").await, (n > 1).then(|| json!(n - 1)));
        session.save().await.unwrap();
        assert_eq!(client.get("n").await, Some(json!(n)));
        assert_eq!(session.increment("visits", 1).await.unwrap(), n);
        session.flash("info", "still here").await.unwrap();
        client
            .visit(async |other| other.insert("theirs", n).unwrap())
            .await;
        session.save().await.unwrap();
        assert_eq!(session.get("theirs").await.unwrap(), Some(n));
    }
    session.remove("n").unwrap();
    session.save().await.unwrap();
    assert_eq!(client.get("n").await, None);
    assert_eq!(session.user().await.unwrap().as_deref(), Some("ada"));
}

async fn without_a_save_before_the_head_there_is_none_after_it(stand: Stand) {
    for client in [stand.client(), stand.logged_in("ada").await] {
        for reads in [false, true] {
            let late = client.visit(async |session| {
                if reads {
                    session.exists().await.unwrap();
                }
                session
            });
            let late = late.await.save().await;
            assert!(matches!(late, Err(SessionError::Committed)), "{late:?}");
        }
    }
}

async fn a_session_made_by_a_save_reaches_the_client_with_the_head(stand: Stand) {
    let client = stand.client();
    let session = client
        .visit(async |session| {
            session.insert("k", 1).unwrap();
            session.save().await.unwrap();
            session.insert("j", 2).unwrap();
            session
        })
        .await;
    assert_eq!(client.get("k").await, Some(json!(1)));
    assert_eq!(client.get("j").await, Some(json!(2)));
    if stand.is_redis() {
        stand.only_key();
    }
    session.insert("k", 3).unwrap();
    session.save().await.unwrap();
    assert_eq!(client.get("k").await, Some(json!(3)));
    // Destroyed again before the head, it leaves no cookie.
    let other = stand.client();
    other
        .visit(async |session| {
            session.insert("k", 1).unwrap();
            session.save().await.unwrap();
            session.destroy().await.unwrap();
        })
        .await;
    assert_eq!(other.id(), None);
}

async fn a_login_that_was_saved_reaches_the_client_even_with_a_5xx(stand: Stand) {
    for first in [None, Some("ada")] {
        let client = stand.client();
        if let Some(user) = first {
            client.login(user).await;
        }
        let before = client.id();
        client
            .send(async |session| {
                session.login("ada")?;
                session.save().await?;
                assert_eq!(session.user().await?.as_deref(), Some("ada"));
                let mut response = Response::default();
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                Ok(response)
            })
            .await;
        assert_ne!(client.id(), before);
        assert_eq!(client.user().await.as_deref(), Some("ada"));
    }
}

async fn no_cookie_can_be_set_after_the_head(stand: Stand) {
    let client = stand.client();
    let session = kept(&client).await;
    assert_too_late(session.insert("k", 1));
    assert_too_late(session.increment("k", 1).await);
    assert_too_late(session.update("k", |_: Option<i32>| 1).await);
    session.save().await.unwrap_err();
    if stand.is_redis() {
        assert_eq!(stand.server().keys("*"), [""; 0]);
    }
    client.login("ada").await;
    let session = kept(&client).await;
    assert_too_late(session.login("eve"));
    assert_too_late(session.renew());
    let lifetime = SessionLifetime::new(Duration::from_secs(1), Duration::from_secs(1));
    assert_too_late(session.set_lifetime(lifetime.unwrap()));
    session.insert("k", 1).unwrap();
    session.save().await.unwrap();
    assert_eq!(client.get("k").await, Some(json!(1)));
}

async fn a_save_after_a_logout_or_a_revocation_elsewhere_says_so_and_drops_the_changes(
    stand: Stand,
) {
    for revokes in [false, true] {
        for reads in [false, true] {
            let client = stand.logged_in("ada").await;
            let session = kept(&client).await;
            if reads {
                session.exists().await.unwrap();
            }
            match revokes {
                true => {
                    let ada = UserSessions::new(stand.store.clone(), "ada").unwrap();
                    assert_eq!(ada.revoke_all().await.unwrap(), 1);
                }
                false => drop(client.copy().logout().await),
            }
            session.insert("k", 1).unwrap();
            assert_ended(session.save().await);
            assert_ended(session.insert("k", 1));
            assert_ended(session.save().await);
            assert_eq!(session.get::<i32>("k").await.unwrap(), None);
            assert_eq!(client.get("k").await, None);
            if stand.is_redis() {
                assert_eq!(stand.session_keys(), [""; 0]);
            }
        }
    }
}

/// Also long after it, when the old id leads nowhere any more, and without a grace.
async fn a_save_after_a_renewal_elsewhere_lands_in_the_session(stand: Stand) {
    for grace in [0, 10] {
        let grace = Duration::from_secs(grace);
        let client = Client::of(stand.layer.clone().with_renewal_grace(grace).unwrap());
        client.login("ada").await;
        let session = kept(&client).await;
        for n in 0..3 {
            let other = client.copy();
            client.renew().await;
            assert_eq!(client.user().await.as_deref(), Some("ada"));
            stand.advance(Duration::from_secs(11)).await;
            assert_eq!(other.user().await, None);
            session.insert("k", n).unwrap();
            session.save().await.unwrap();
            assert_eq!(client.get("k").await, Some(json!(n)));
            assert_eq!(session.increment("visits", 1).await.unwrap(), n + 1);
        }
        assert_eq!(client.get("visits").await, Some(json!(3)));
    }
}

async fn a_save_after_the_login_of_another_user_lands_nowhere(stand: Stand) {
    for first in [None, Some("eve")] {
        let client = stand.client();
        match first {
            None => client.visit(async |s| s.insert("k", 1).unwrap()).await,
            Some(user) => client.login(user).await,
        }
        let session = kept(&client).await;
        client.login("ada").await;
        session.insert("late", true).unwrap();
        assert_ended(session.save().await);
        assert_eq!(client.get("late").await, None);
        assert_eq!(client.user().await.as_deref(), Some("ada"));
    }
}

async fn a_logout_after_the_head_ends_the_session(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let session = kept(&client).await;
    session.destroy().await.unwrap();
    assert_eq!(client.user().await, None);
    assert_too_late(session.insert("k", 1));
    session.destroy().await.unwrap();
}

async fn a_save_keeps_the_session_alive(stand: Stand) {
    let stand = stand.with(|layer| layer.with_idle_timeout(Duration::from_secs(20)).unwrap());
    let client = stand.logged_in("ada").await;
    let session = kept(&client).await;
    for n in 0..4 {
        stand.advance(Duration::from_secs(15)).await;
        session.insert("n", n).unwrap();
        session.save().await.unwrap();
    }
    assert_eq!(client.get("n").await, Some(json!(3)));
    stand.advance(Duration::from_secs(21)).await;
    session.insert("n", 4).unwrap();
    assert_ended(session.save().await);
}

async fn a_save_that_would_be_too_large_leaves_the_session_as_it_was(stand: Stand) {
    let stand = stand.with(|layer| layer.with_max_bytes(100).unwrap());
    let client = stand.logged_in("ada").await;
    let session = kept(&client).await;
    let large = session.insert("k", "x".repeat(101));
    assert!(matches!(large, Err(SessionError::TooLarge)), "{large:?}");
    // What others have stored is known to the store alone.
    client
        .visit(async |s| s.insert("a", "x".repeat(60)).unwrap())
        .await;
    session.insert("b", "x".repeat(60)).unwrap();
    let large = session.save().await;
    assert!(matches!(large, Err(SessionError::TooLarge)), "{large:?}");
    session.insert("c", 1).unwrap();
    session.save().await.unwrap();
    for (key, value) in [
        ("a", Some(json!("x".repeat(60)))),
        ("b", None),
        ("c", Some(json!(1))),
    ] {
        assert_eq!(client.get(key).await, value, "{key}");
    }
}

async fn a_login_saved_and_then_remembered_hands_out_a_persistent_cookie(stand: Stand) {
    let client = stand.client();
    let response = client
        .send(async |session| {
            session.login("ada")?;
            session.save().await?;
            let day = Duration::from_secs(24 * 3600);
            let month = SessionLifetime::new(30 * day, 30 * day)?;
            session.set_lifetime(month.with_persistent_cookie())?;
            Ok(Response::default())
        })
        .await;
    let cookie = response.headers()[SET_COOKIE].to_str().unwrap();
    assert!(cookie.contains("Max-Age=2592000"), "{cookie}");
    stand.advance(Duration::from_secs(20 * 24 * 3600)).await;
    assert_eq!(client.user().await.as_deref(), Some("ada"));
}

/// The client leaves before the head.
async fn a_handler_that_was_left_goes_on_with_a_session_that_it_has_saved(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let (give, mut take) = tokio::sync::mpsc::unbounded_channel();
    {
        let request = client.send(async |session| {
            session.save().await?;
            give.send(session).unwrap();
            std::future::pending().await
        });
        let mut request = std::pin::pin!(request);
        let session = tokio::select! {
            _ = &mut request => unreachable!("the handler never ends"),
            session = take.recv() => session.unwrap(),
        };
        give.send(session).unwrap();
    }
    let session = take.recv().await.unwrap();
    session.insert("k", 1).unwrap();
    session.save().await.unwrap();
    assert_eq!(client.get("k").await, Some(json!(1)));
}
