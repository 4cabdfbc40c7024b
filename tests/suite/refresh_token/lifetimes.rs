//! How long tokens, families and keys live.

use std::time::Duration;

use super::{on_all_stores, stand::Stand};

on_all_stores!(
    an_unused_token_ends_after_its_idle_lifetime_and_that_is_no_theft,
    rotation_extends_the_idle_lifetime_and_not_the_absolute_one,
    a_token_that_was_retired_long_ago_is_a_theft_until_its_family_ends,
    a_shorter_absolute_lifetime_ends_what_is_older,
    every_key_ends_with_the_last_family_in_it,
    a_family_that_ends_leaves_the_others,
);

const DAY: u64 = 24 * 3600;

fn days(days: u64) -> Duration {
    Duration::from_secs(days * DAY)
}

async fn an_unused_token_ends_after_its_idle_lifetime_and_that_is_no_theft(stand: Stand) {
    let first = stand.login("ada").await;
    let second = stand.next(&first).await;
    stand.advance(days(7)).await;
    stand.assert_invalid(&second).await;
    stand.assert_invalid(&first).await;
    assert!(stand.reuses().is_empty());
    assert_eq!(stand.families("ada").await, 0);
}

async fn rotation_extends_the_idle_lifetime_and_not_the_absolute_one(stand: Stand) {
    let mut token = stand.login("ada").await;
    for day in [6, 12, 18, 24] {
        stand.advance(days(6)).await;
        let next = stand.rotate(&token).await.unwrap();
        let left = days(7).min(days(30 - day));
        let late = left - next.expires_in;
        assert!(late < Duration::from_secs(60), "{late:?} on day {day}");
        token = next.token.into_string();
        stand.assert_every_key_has_a_ttl();
    }
    stand.advance(days(6)).await;
    stand.assert_invalid(&token).await;
    assert!(stand.reuses().is_empty());
}

async fn a_token_that_was_retired_long_ago_is_a_theft_until_its_family_ends(stand: Stand) {
    let first = stand.login("ada").await;
    let mut token = stand.next(&first).await;
    for _ in 0..4 {
        stand.advance(days(6)).await;
        token = stand.next(&token).await;
    }
    stand.advance(days(5)).await;
    stand.assert_reused(&first).await;
    stand.assert_invalid(&token).await;
}

async fn a_shorter_absolute_lifetime_ends_what_is_older(stand: Stand) {
    let (old, older) = (stand.login("ada").await, stand.login("ada").await);
    stand.advance(days(3)).await;
    let next = stand.next(&old).await;
    let stand = stand.with(|tokens| tokens.with_absolute_lifetime(days(2)).unwrap());
    assert_eq!(stand.families("ada").await, 0);
    stand.assert_invalid(&next).await;
    stand.assert_invalid(&older).await;
    assert!(stand.reuses().is_empty());
}

async fn every_key_ends_with_the_last_family_in_it(stand: Stand) {
    if !stand.is_redis() {
        return;
    }
    let long = stand.login("ada").await;
    let stand = stand.with(|tokens| tokens.with_idle_lifetime(days(1)).unwrap());
    let short = stand.login("ada").await;
    stand.next(&short).await;
    stand.assert_every_key_has_a_ttl();
    stand.advance(days(6)).await;
    let stand = stand.with(|tokens| tokens.with_idle_lifetime(days(7)).unwrap());
    let long = stand.next(&long).await;
    stand.advance(days(6)).await;
    stand.next(&long).await;
    stand.advance(days(8)).await;
    assert!(stand.keys().is_empty(), "{:?}", stand.keys());
}

async fn a_family_that_ends_leaves_the_others(stand: Stand) {
    let one = stand.login("ada").await;
    stand.advance(days(4)).await;
    let two = stand.login("ada").await;
    stand.advance(days(4)).await;
    assert_eq!(stand.families("ada").await, 1);
    stand.assert_invalid(&one).await;
    stand.next(&two).await;
}
