//! When sessions end.

use std::time::Duration;

use serde_json::json;

use super::{
    on_all_stores,
    stand::{Client, Stand},
};

on_all_stores!(
    activity_keeps_a_session_and_a_gap_of_the_idle_timeout_ends_it,
    the_absolute_timeout_ends_a_session_whatever_happens,
    a_renewal_does_not_extend_the_absolute_timeout,
    increments_alone_keep_a_session,
    a_shorter_timeout_applies_to_sessions_that_are_there,
    a_longer_timeout_applies_to_sessions_that_are_there,
    a_users_session_lives_no_longer_than_its_index_knows_of_it,
    changes_alone_keep_no_session_longer_than_its_index_knows_of_it,
    activity_keeps_a_session_whose_timeouts_became_shorter,
    no_activity_is_noted_that_changes_nothing,
    activity_through_an_old_id_keeps_a_session,
    a_write_alone_finds_no_session_that_is_over_by_shorter_timeouts,
);

/// Long enough that on a busy machine the time that passes of itself decides nothing.
const fn tenths(tenths: u64) -> Duration {
    Duration::from_millis(100 * tenths)
}

fn with_timeouts(stand: Stand, idle: Duration, absolute: Duration) -> Stand {
    stand.with(|layer| {
        let layer = layer.with_idle_timeout(idle).unwrap();
        layer.with_absolute_timeout(absolute).unwrap()
    })
}

async fn activity_keeps_a_session_and_a_gap_of_the_idle_timeout_ends_it(stand: Stand) {
    let stand = with_timeouts(stand, tenths(2_000), tenths(60_000));
    let client = stand.logged_in("ada").await;
    for _ in 0..3 {
        stand.advance(tenths(1_500)).await;
        assert_eq!(client.get("user").await, Some(json!("ada")));
    }
    stand.advance(tenths(2_100)).await;
    assert_eq!(client.get("user").await, None);
}

async fn the_absolute_timeout_ends_a_session_whatever_happens(stand: Stand) {
    let stand = with_timeouts(stand, tenths(2_000), tenths(5_000));
    let client = stand.logged_in("ada").await;
    for n in 0..4 {
        stand.advance(tenths(1_200)).await;
        assert_eq!(client.get("user").await, Some(json!("ada")));
        client
            .visit(async |session| session.insert("n", n).unwrap())
            .await;
    }
    stand.advance(tenths(201)).await;
    assert_eq!(client.get("user").await, None);
}

async fn a_renewal_does_not_extend_the_absolute_timeout(stand: Stand) {
    let stand = with_timeouts(stand, tenths(4_000), tenths(5_000));
    let client = stand.logged_in("ada").await;
    stand.advance(tenths(3_000)).await;
    client.visit(async |session| session.renew().unwrap()).await;
    assert_eq!(client.get("user").await, Some(json!("ada")));
    stand.advance(tenths(2_001)).await;
    assert_eq!(client.get("user").await, None);
}

async fn increments_alone_keep_a_session(stand: Stand) {
    let stand = with_timeouts(stand, tenths(2_000), tenths(60_000));
    let client = stand.logged_in("ada").await;
    for n in 1..=3 {
        stand.advance(tenths(1_500)).await;
        let sum = client.visit(async |session| session.increment("n", 1).await.unwrap());
        assert_eq!(sum.await, n);
    }
    assert_eq!(client.get("user").await, Some(json!("ada")));
}

async fn a_shorter_timeout_applies_to_sessions_that_are_there(stand: Stand) {
    let id = stand.logged_in("ada").await.id().unwrap();
    stand.advance(tenths(3_000)).await;
    for (idle, absolute) in [(2_000, 60_000), (60_000, 2_000)] {
        let layer = tower_keep::session::SessionLayer::new(stand.store.clone());
        let layer = layer.with_idle_timeout(tenths(idle)).unwrap();
        let client = Client::of(layer.with_absolute_timeout(tenths(absolute)).unwrap());
        client.plant(&id);
        assert_eq!(client.get("user").await, None);
    }
    let client = stand.client();
    client.plant(&id);
    assert_eq!(client.get("user").await, Some(json!("ada")));
}

async fn a_longer_timeout_applies_to_sessions_that_are_there(stand: Stand) {
    let stand = with_timeouts(stand, tenths(2_000), tenths(3_000));
    let client = stand.client();
    client
        .visit(async |session| session.insert("k", 1).unwrap())
        .await;
    let id = client.id().unwrap();
    let stand = with_timeouts(stand, tenths(4_000), tenths(20_000));
    let client = stand.client();
    client.plant(&id);
    for _ in 0..4 {
        stand.advance(tenths(1_900)).await;
        assert_eq!(client.get("k").await, Some(json!(1)));
    }
}

/// The index of its user has forgotten it then, and nobody could revoke it.
async fn a_users_session_lives_no_longer_than_its_index_knows_of_it(stand: Stand) {
    let stand = with_timeouts(stand, tenths(2_000), tenths(6_000));
    let id = stand.logged_in("ada").await.id().unwrap();
    let stand = with_timeouts(stand, tenths(4_000), tenths(20_000));
    let ada = tower_keep::session::UserSessions::new(stand.store.clone(), "ada").unwrap();
    let client = stand.client();
    client.plant(&id);
    for _ in 0..3 {
        stand.advance(tenths(1_900)).await;
        assert_eq!(client.get("user").await, Some(json!("ada")));
        assert_eq!(ada.list().await.unwrap().len(), 1);
    }
    stand.advance(tenths(400)).await;
    assert_eq!(client.get("user").await, None);
    // From the next login on the longer one applies.
    client.login("ada").await;
    for _ in 0..4 {
        stand.advance(tenths(1_900)).await;
        assert_eq!(client.get("user").await, Some(json!("ada")));
        assert_eq!(ada.list().await.unwrap().len(), 1);
    }
}

/// Nor do requests that have not read it.
async fn changes_alone_keep_no_session_longer_than_its_index_knows_of_it(stand: Stand) {
    let stand = with_timeouts(stand, tenths(2_000), tenths(6_000));
    let id = stand.logged_in("ada").await.id().unwrap();
    let stand = with_timeouts(stand, tenths(4_000), tenths(20_000));
    let increment = async || {
        let client = stand.client();
        client.plant(&id);
        let sum = client.visit(async |session| session.increment("n", 1).await.unwrap());
        sum.await
    };
    for n in 1..=3 {
        stand.advance(tenths(1_900)).await;
        assert_eq!(increment().await, n);
    }
    stand.advance(tenths(400)).await;
    assert_eq!(increment().await, 1);
}

async fn activity_keeps_a_session_whose_timeouts_became_shorter(stand: Stand) {
    let id = stand.logged_in("ada").await.id().unwrap();
    let stand = with_timeouts(stand, tenths(2_000), tenths(20_000));
    let client = stand.client();
    client.plant(&id);
    for _ in 0..4 {
        stand.advance(tenths(1_500)).await;
        assert_eq!(client.get("user").await, Some(json!("ada")));
    }
    stand.advance(tenths(2_100)).await;
    assert_eq!(client.get("user").await, None);
}

/// Once a session lives until its absolute timeout, a touch could not make it live longer.
async fn no_activity_is_noted_that_changes_nothing(stand: Stand) {
    let stand = with_timeouts(stand, tenths(2_000), tenths(5_000));
    let client = stand.logged_in("ada").await;
    for _ in 0..2 {
        stand.advance(tenths(1_700)).await;
        client.get("user").await;
    }
    if stand.is_redis() {
        stand.server().reset_stats();
        stand.advance(tenths(1_000)).await;
        assert_eq!(client.get("user").await, Some(json!("ada")));
        assert!(!stand.server().command_calls().contains_key("evalsha"));
    }
}

async fn activity_through_an_old_id_keeps_a_session(stand: Stand) {
    let stand = with_timeouts(stand, tenths(2_000), tenths(20_000));
    let client = stand.logged_in("ada").await;
    let old = client.copy();
    client.renew().await;
    for _ in 0..4 {
        stand.advance(tenths(1_500)).await;
        assert_eq!(old.get("user").await, Some(json!("ada")));
    }
    assert_eq!(client.get("user").await, Some(json!("ada")));
}

/// It has not read the session, so that the commit checks its timeouts.
async fn a_write_alone_finds_no_session_that_is_over_by_shorter_timeouts(stand: Stand) {
    const SHORTER: Duration = Duration::from_secs(5);
    let client = stand.logged_in("ada").await;
    stand.advance(2 * SHORTER).await;
    for layer in [
        stand.layer.clone().with_absolute_timeout(SHORTER),
        stand.layer.clone().with_idle_timeout(SHORTER),
    ] {
        let late = Client::of(layer.unwrap());
        late.plant(&client.id().unwrap());
        late.visit(async |session| session.insert("k", 1).unwrap())
            .await;
        assert_ne!(late.id(), client.id());
        assert_eq!(late.get("user").await, None);
    }
    assert_eq!(client.get("k").await, None);
}
