//! Tokens that are used twice.

use tower_keep::refresh_token::{Grant, RefreshTokenError};

use super::{on_all_stores, stand::Stand};

on_all_stores!(
    a_retired_token_after_the_grace_revokes_its_family_the_newest_token_included,
    a_thief_who_is_first_is_thrown_out_when_the_client_comes,
    a_token_two_generations_old_revokes_its_family_within_the_grace,
    every_token_that_a_family_ever_had_is_known_for_as_long_as_it_lives,
    other_families_live_on,
    the_event_says_whose_token_it_was_and_comes_once,
    without_a_grace_the_second_use_revokes,
    a_retired_token_in_another_clients_hands_revokes_too,
);

async fn a_retired_token_after_the_grace_revokes_its_family_the_newest_token_included(
    stand: Stand,
) {
    let first = stand.login("ada").await;
    let second = stand.next(&first).await;
    stand.advance_seconds(11).await;
    stand.assert_reused(&first).await;
    stand.assert_invalid(&second).await;
    stand.assert_invalid(&first).await;
    assert_eq!(stand.families("ada").await, 0);
}

async fn a_thief_who_is_first_is_thrown_out_when_the_client_comes(stand: Stand) {
    let stolen = stand.login("ada").await;
    let mut thiefs = stand.next(&stolen).await;
    for _ in 0..3 {
        thiefs = stand.next(&thiefs).await;
    }
    stand.assert_reused(&stolen).await;
    stand.assert_invalid(&thiefs).await;
}

async fn a_token_two_generations_old_revokes_its_family_within_the_grace(stand: Stand) {
    let first = stand.login("ada").await;
    let second = stand.next(&first).await;
    let third = stand.next(&second).await;
    stand.assert_reused(&first).await;
    for token in [&first, &second, &third] {
        stand.assert_invalid(token).await;
    }
    assert_eq!(stand.reuses().len(), 1);
}

async fn every_token_that_a_family_ever_had_is_known_for_as_long_as_it_lives(stand: Stand) {
    for place in [0, 7, 38] {
        let mut tokens = vec![stand.login("ada").await];
        for n in 0..40 {
            stand.advance_seconds(60 * 60 * 12).await;
            tokens.push(stand.next(&tokens[n]).await);
        }
        stand.assert_reused(&tokens[place]).await;
        stand.assert_invalid(&tokens[40]).await;
    }
}

async fn other_families_live_on(stand: Stand) {
    let stolen = stand.login("ada").await;
    let (sibling, stranger) = (stand.login("ada").await, stand.login("eve").await);
    let next = stand.next(&stolen).await;
    stand.next(&next).await;
    stand.assert_reused(&stolen).await;
    stand.next(&sibling).await;
    stand.next(&stranger).await;
}

async fn the_event_says_whose_token_it_was_and_comes_once(stand: Stand) {
    let grant = Grant::new("ada", "web")
        .with_device("laptop")
        .with_scope("read");
    let issued = stand.tokens.issue(grant.clone()).await.unwrap();
    let first = issued.token.expose();
    let second = stand.next(first).await;
    let third = stand.next(&second).await;
    assert!(stand.reuses().is_empty());
    let error = stand.tokens.rotate(first, "other").await.unwrap_err();
    assert!(matches!(error, RefreshTokenError::Reused), "{error}");
    for token in [first, &second, &third] {
        stand.assert_invalid(token).await;
    }
    let [reuse] = &stand.reuses()[..] else {
        panic!("{:?}", stand.reuses());
    };
    assert_eq!((&reuse.grant, reuse.family), (&grant, issued.family));
    assert_eq!(&*reuse.presented_by, "other");
}

async fn without_a_grace_the_second_use_revokes(stand: Stand) {
    let stand = stand.with_grace(0);
    let first = stand.login("ada").await;
    let second = stand.next(&first).await;
    stand.assert_reused(&first).await;
    stand.assert_invalid(&second).await;
}

async fn a_retired_token_in_another_clients_hands_revokes_too(stand: Stand) {
    let first = stand.login("ada").await;
    let second = stand.next(&first).await;
    stand.advance_seconds(11).await;
    let error = stand.tokens.rotate(&first, "other").await.unwrap_err();
    assert!(matches!(error, RefreshTokenError::Reused), "{error}");
    stand.assert_invalid(&second).await;
}
