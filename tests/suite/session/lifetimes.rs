//! Sessions with timeouts of their own: "remember me".

use std::time::Duration;

use http::{Response, header::SET_COOKIE};
use serde_json::json;
use tower_keep::session::{Session, SessionLayer, SessionLifetime, UserSessions};

use super::{
    on_all_stores,
    stand::{Client, Stand},
};
use crate::harness::connected::PATIENT;

on_all_stores!(
    a_remembered_login_outlives_its_layers_timeouts_in_every_process,
    its_own_timeouts_end_a_session,
    a_lifetime_stays_when_the_id_is_renewed_and_its_user_logs_in_again,
    a_logout_and_the_login_of_another_user_end_a_lifetime,
    the_layers_lifetime_can_be_had_again,
    a_lifetime_chosen_after_the_login_is_known_to_the_index,
    the_oldest_logins_end_at_the_cap_however_long_they_live,
    a_lifetime_alone_stores_no_session,
    through_an_old_id_a_lifetime_applies_and_hands_out_no_id,
    of_two_logins_at_once_the_first_decides,
    a_login_starts_the_absolute_timeout_of_its_user,
    a_lifetime_that_is_over_ends_the_session,
);

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The layer's timeouts, which those of the tests differ from.
fn short(layer: SessionLayer) -> SessionLayer {
    let layer = layer.with_idle_timeout(seconds(100)).unwrap();
    layer.with_absolute_timeout(seconds(1_000)).unwrap()
}

fn own(idle: u64, absolute: u64) -> SessionLifetime {
    SessionLifetime::new(seconds(idle), seconds(absolute)).unwrap()
}

fn max_age<B>(response: &Response<B>) -> Option<u64> {
    let cookie = response.headers()[SET_COOKIE].to_str().unwrap();
    let (_, age) = cookie.split_once("Max-Age=")?;
    age.split(';').next().unwrap().parse().ok()
}

/// Sends a request with a handler that cannot fail.
async fn send(client: &Client, handler: impl FnOnce(&Session)) -> Response<()> {
    let response = client.send(async move |session| {
        handler(&session);
        Ok(Response::default())
    });
    response.await.map(drop)
}

async fn remembered(client: &Client, lifetime: SessionLifetime) -> Response<()> {
    send(client, |session| {
        session.login("ada").unwrap();
        session.set_lifetime(lifetime).unwrap();
    })
    .await
}

async fn listed(stand: &Stand) -> usize {
    let ada = UserSessions::new(stand.store.clone(), "ada").unwrap();
    ada.list().await.unwrap().len()
}

async fn a_remembered_login_outlives_its_layers_timeouts_in_every_process(stand: Stand) {
    let stand = stand.with(short);
    let client = stand.client();
    let lifetime = own(3_000, 8_000).with_persistent_cookie();
    assert_eq!(max_age(&remembered(&client, lifetime).await), Some(8_000));
    let there = match stand.is_redis() {
        true => stand.server().connected(PATIENT).await,
        false => stand.store.clone(),
    };
    // With other settings, and so does what is written.
    let there = Client::of(
        SessionLayer::new(there)
            .with_idle_timeout(seconds(5))
            .unwrap(),
    );
    there.plant(&client.id().unwrap());
    for n in 0..3 {
        stand.advance(seconds(2_500)).await;
        assert_eq!(there.get("n").await, (n > 0).then(|| json!(n)));
        assert_eq!(client.user().await.as_deref(), Some("ada"));
        client
            .visit(async |session| session.increment("n", 1).await.unwrap())
            .await;
        assert_eq!(listed(&stand).await, 1);
    }
    stand.advance(seconds(600)).await;
    assert_eq!(there.user().await, None);
    assert_eq!(client.user().await, None);
    assert_eq!(listed(&stand).await, 0);
    if stand.is_redis() {
        stand.server().assert_every_key_has_a_ttl();
    }
}

async fn its_own_timeouts_end_a_session(stand: Stand) {
    let stand = stand.with(short);
    // By the idle timeout, by the absolute one with activity, and by one that no activity is noted for.
    for (idle, absolute, lives, ends) in [(20, 500, 15, 25), (20, 50, 15, 10), (400, 50, 15, 10)] {
        let client = stand.client();
        assert_eq!(
            max_age(&remembered(&client, own(idle, absolute)).await),
            None
        );
        for n in 0..3 {
            stand.advance(seconds(lives)).await;
            client
                .visit(async |session| {
                    assert!(session.exists().await.unwrap());
                    session.insert("n", n).unwrap();
                })
                .await;
        }
        stand.advance(seconds(ends)).await;
        assert_eq!(client.user().await, None, "{idle} {absolute}");
    }
}

async fn a_lifetime_stays_when_the_id_is_renewed_and_its_user_logs_in_again(stand: Stand) {
    let stand = stand.with(short);
    for logs_in in [false, true] {
        for reads in [false, true] {
            let client = stand.client();
            remembered(&client, own(3_000, 8_000).with_persistent_cookie()).await;
            stand.advance(seconds(2_000)).await;
            let renewed = client.send(async |session| {
                if reads {
                    session.exists().await?;
                }
                match logs_in {
                    true => session.login("ada")?,
                    false => session.renew()?,
                }
                Ok(Response::default())
            });
            let renewed = renewed.await;
            let left = max_age(&renewed).unwrap();
            assert!((5_900..=6_000).contains(&left), "{left}");
            stand.advance(seconds(2_900)).await;
            assert_eq!(client.user().await.as_deref(), Some("ada"));
            assert_eq!(listed(&stand).await, 1);
            stand.advance(seconds(2_900)).await;
            assert_eq!(client.user().await.as_deref(), Some("ada"));
            stand.advance(seconds(300)).await;
            assert_eq!(client.user().await, None);
        }
    }
}

async fn a_logout_and_the_login_of_another_user_end_a_lifetime(stand: Stand) {
    let stand = stand.with(short);
    for logs_out in [false, true] {
        for anonymous in [false, true] {
            let client = stand.client();
            let lifetime = own(3_000, 8_000).with_persistent_cookie();
            match anonymous {
                true => {
                    send(&client, |session| {
                        session.insert("cart", "tea").unwrap();
                        session.set_lifetime(lifetime).unwrap();
                    })
                    .await
                }
                false => remembered(&client, lifetime).await,
            };
            let response = client.send(async |session| {
                if logs_out {
                    session.destroy().await?;
                }
                session.login("eve")?;
                Ok(Response::default())
            });
            assert_eq!(max_age(&response.await), None);
            stand.advance(seconds(50)).await;
            assert_eq!(client.user().await.as_deref(), Some("eve"));
            stand.advance(seconds(101)).await;
            assert_eq!(client.user().await, None);
        }
    }
}

async fn the_layers_lifetime_can_be_had_again(stand: Stand) {
    let stand = stand.with(short);
    let client = stand.client();
    remembered(&client, own(3_000, 8_000).with_persistent_cookie()).await;
    stand.advance(seconds(500)).await;
    let again = send(&client, |session| session.set_lifetime(None).unwrap()).await;
    assert_eq!(max_age(&again), None);
    stand.advance(seconds(99)).await;
    assert_eq!(client.user().await.as_deref(), Some("ada"));
    stand.advance(seconds(101)).await;
    assert_eq!(client.user().await, None);
}

async fn a_lifetime_chosen_after_the_login_is_known_to_the_index(stand: Stand) {
    let stand = stand.with(short);
    for reads in [false, true] {
        let client = stand.client();
        client
            .visit(async |session| session.bind("ada", "laptop").unwrap())
            .await;
        client
            .visit(async |session| {
                if reads {
                    session.exists().await.unwrap();
                }
                session.set_lifetime(own(3_000, 8_000)).unwrap();
            })
            .await;
        if stand.is_redis() {
            // The clock of a server cannot be driven, so what is to expire is looked at.
            let server = stand.server();
            for key in server.keys("*session_*") {
                let revoked = key.contains("place")
                    && server.query::<Option<String>>(&["GET", &key]) == Some("!".to_owned());
                let ttl: i64 = server.query(&["PTTL", &key]);
                assert!(revoked || ttl > 2_900_000, "{key} {ttl}");
            }
        }
        stand.advance(seconds(2_000)).await;
        let ada = UserSessions::new(stand.store.clone(), "ada").unwrap();
        let sessions = ada.list().await.unwrap();
        assert_eq!(sessions.len(), 1);
        assert_eq!(&*sessions[0].device, "laptop");
        assert_eq!(ada.revoke_all().await.unwrap(), 1);
        assert_eq!(client.user().await, None);
    }
}

async fn the_oldest_logins_end_at_the_cap_however_long_they_live(stand: Stand) {
    let stand = stand.with(|layer| short(layer).with_max_sessions_per_user(2).unwrap());
    let (first, second, third) = (stand.client(), stand.client(), stand.client());
    remembered(&first, own(3_000, 8_000)).await;
    stand.advance(seconds(50)).await;
    if stand.is_redis() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    second.login("ada").await;
    // Another lifetime makes a login no younger.
    send(&first, |session| {
        session.set_lifetime(own(4_000, 9_000)).unwrap();
    })
    .await;
    third.login("ada").await;
    assert_eq!(first.user().await, None);
    assert_eq!(second.user().await.as_deref(), Some("ada"));
    assert_eq!(third.user().await.as_deref(), Some("ada"));
}

async fn a_lifetime_alone_stores_no_session(stand: Stand) {
    let client = stand.client();
    let response = send(&client, |session| session.set_lifetime(own(1, 2)).unwrap()).await;
    assert!(!response.headers().contains_key(SET_COOKIE));
    if stand.is_redis() {
        assert_eq!(stand.server().keys("*"), [""; 0]);
    }
    // With something to store it is the new session's.
    let response = send(&client, |session| {
        session.insert("k", 1).unwrap();
        session
            .set_lifetime(own(10, 20).with_persistent_cookie())
            .unwrap();
    });
    assert_eq!(max_age(&response.await), Some(20));
    stand.advance(seconds(11)).await;
    assert_eq!(client.get("k").await, None);
}

async fn through_an_old_id_a_lifetime_applies_and_hands_out_no_id(stand: Stand) {
    let stand = stand.with(short);
    let client = stand.logged_in("ada").await;
    let old = client.copy();
    client.renew().await;
    let response = send(&old, |session| {
        session.set_lifetime(own(3_000, 8_000)).unwrap();
    })
    .await;
    assert!(!response.headers().contains_key(SET_COOKIE));
    if stand.is_redis() {
        // The clock of a server cannot be driven, so what is to expire is looked at.
        for key in stand.server().keys("*session_*") {
            let ttl: i64 = stand.server().query(&["PTTL", &key]);
            assert!(ttl > 7_900_000, "{key} {ttl}");
        }
    }
    stand.advance(seconds(2_000)).await;
    assert_eq!(client.user().await.as_deref(), Some("ada"));
    assert_eq!(listed(&stand).await, 1);
    let ada = UserSessions::new(stand.store.clone(), "ada").unwrap();
    assert_eq!(ada.revoke_all().await.unwrap(), 1);
    assert_eq!(client.user().await, None);
}

/// The second one joins the session: how long that lives is noted in the index already.
async fn of_two_logins_at_once_the_first_decides(stand: Stand) {
    let stand = stand.with(short);
    let client = stand.client();
    client.visit(async |s| s.insert("k", 1).unwrap()).await;
    let other = client.copy();
    let response = other
        .send(async |session| {
            session.exists().await?;
            client.login("ada").await;
            session.login("ada")?;
            session.set_lifetime(own(3_000, 8_000).with_persistent_cookie())?;
            Ok(Response::default())
        })
        .await;
    assert_eq!(max_age(&response), None);
    stand.advance(seconds(99)).await;
    assert_eq!(other.user().await.as_deref(), Some("ada"));
    stand.advance(seconds(101)).await;
    assert_eq!(other.user().await, None);
    assert_eq!(listed(&stand).await, 0);
}

async fn a_login_starts_the_absolute_timeout_of_its_user(stand: Stand) {
    let stand = stand.with(short);
    let client = stand.client();
    client
        .visit(async |s| s.insert("cart", "tea").unwrap())
        .await;
    for _ in 0..11 {
        stand.advance(seconds(90)).await;
        assert_eq!(client.get("cart").await, Some(json!("tea")));
    }
    client.login("ada").await;
    for n in 0..11 {
        stand.advance(seconds(90)).await;
        assert_eq!(client.user().await.as_deref(), Some("ada"), "{n}");
        // Neither a renewal nor another login of the same user starts it anew.
        match n {
            3 => client.renew().await,
            4 => client.login("ada").await,
            _ => {}
        }
    }
    stand.advance(seconds(11)).await;
    assert_eq!(client.user().await, None);
}

async fn a_lifetime_that_is_over_ends_the_session(stand: Stand) {
    let client = stand.logged_in("ada").await;
    stand.advance(seconds(100)).await;
    send(&client, |session| {
        session.set_lifetime(own(10, 50)).unwrap();
    })
    .await;
    match stand.is_redis() {
        true => tokio::time::sleep(Duration::from_millis(5)).await,
        false => stand.advance(Duration::from_millis(2)).await,
    }
    assert_eq!(client.user().await, None);
    assert_eq!(listed(&stand).await, 0);
}

#[test]
fn a_lifetime_that_cannot_be_is_refused_by_name() {
    let day = seconds(24 * 3600);
    SessionLifetime::new(day, 400 * day).unwrap();
    for (idle, absolute, name) in [
        (Duration::ZERO, day, "idle timeout"),
        (day, 401 * day, "absolute timeout"),
        (401 * day, day, "idle timeout"),
    ] {
        let error = SessionLifetime::new(idle, absolute)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(name) && error.contains("400 days"),
            "{error}"
        );
    }
}
