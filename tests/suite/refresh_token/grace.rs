//! The same successor for a token that was retired a moment ago.

use std::time::Duration;

use tower_keep::refresh_token::{RefreshTokenError, RefreshTokens};

use super::{on_all_stores, stand::Stand};

on_all_stores!(
    within_the_grace_the_successor_is_the_same,
    two_processes_that_share_only_the_store_give_the_same_successor,
    the_grace_ends_when_the_successor_is_used,
    the_grace_is_not_extended_by_its_use,
    within_the_grace_another_client_gets_nothing_and_revokes_nothing,
    the_successor_is_good_after_the_grace,
);

async fn within_the_grace_the_successor_is_the_same(stand: Stand) {
    let first = stand.login("ada").await;
    let second = stand.next(&first).await;
    for _ in 0..4 {
        stand.advance_seconds(2).await;
        let again = stand.rotate(&first).await.unwrap();
        assert_eq!(again.token.expose(), second);
        assert!(again.expires_in < Duration::from_secs(7 * 24 * 3600));
    }
    stand.next(&second).await;
    assert!(stand.reuses().is_empty());
}

async fn two_processes_that_share_only_the_store_give_the_same_successor(stand: Stand) {
    let elsewhere = RefreshTokens::new(stand.store.clone());
    let first = stand.login("ada").await;
    let second = stand.next(&first).await;
    let again = elsewhere.rotate(&first, "web").await.unwrap();
    assert_eq!(again.token.expose(), second);
    let third = elsewhere.rotate(&second, "web").await.unwrap();
    assert_eq!(stand.next(&second).await, third.token.expose());
}

async fn the_grace_ends_when_the_successor_is_used(stand: Stand) {
    let first = stand.login("ada").await;
    let second = stand.next(&first).await;
    let third = stand.next(&second).await;
    stand.assert_reused(&first).await;
    stand.assert_invalid(&third).await;
}

async fn the_grace_is_not_extended_by_its_use(stand: Stand) {
    let first = stand.login("ada").await;
    stand.next(&first).await;
    stand.advance_seconds(9).await;
    stand.next(&first).await;
    stand.advance_seconds(2).await;
    stand.assert_reused(&first).await;
}

async fn within_the_grace_another_client_gets_nothing_and_revokes_nothing(stand: Stand) {
    let first = stand.login("ada").await;
    let second = stand.next(&first).await;
    let error = stand.tokens.rotate(&first, "other").await.unwrap_err();
    assert!(matches!(error, RefreshTokenError::OtherClient), "{error}");
    assert_eq!(stand.next(&first).await, second);
    stand.next(&second).await;
}

async fn the_successor_is_good_after_the_grace(stand: Stand) {
    let first = stand.login("ada").await;
    let second = stand.next(&first).await;
    stand.advance_seconds(3600).await;
    stand.next(&second).await;
}

#[tokio::test]
async fn without_a_grace_a_clock_that_was_set_back_makes_none() {
    let stand = Stand::redis().await.with_grace(0);
    let first = stand.login("ada").await;
    let second = stand.next(&first).await;
    // As if the rotation had been an hour from now.
    const AHEAD: &str = r"
        local key = redis.call('KEYS', '*')[1]
        local families = redis.call('HGETALL', key)
        local rotated = struct.unpack('>I6', string.sub(families[2], 11, 16)) + 3600000
        return redis.call('HSET', key, families[1], string.sub(families[2], 1, 10)
            .. struct.pack('>I6', rotated) .. string.sub(families[2], 17))";
    stand.server().command(&["EVAL", AHEAD, "0"]);
    stand.assert_reused(&first).await;
    stand.assert_invalid(&second).await;
}
