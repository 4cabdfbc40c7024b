//! What a user, or a thief, can fill the store with.

use std::time::Duration;

use tower_keep::refresh_token::Grant;

use super::{on_all_stores, stand::Stand};

on_all_stores!(
    one_family_too_many_ends_the_one_that_was_not_used_for_longest,
    families_that_have_ended_make_room_first,
    rotations_do_not_make_a_family_larger,
);

async fn one_family_too_many_ends_the_one_that_was_not_used_for_longest(stand: Stand) {
    let stand = stand.with(|tokens| tokens.with_max_families(3).unwrap());
    let mut tokens = Vec::new();
    for _ in 0..3 {
        tokens.push(stand.login("ada").await);
        stand.advance_seconds(1).await;
    }
    let used = stand.next(&tokens[0]).await;
    stand.advance_seconds(1).await;
    let newest = stand.login("ada").await;
    assert_eq!(stand.families("ada").await, 3);
    stand.assert_invalid(&tokens[1]).await;
    for token in [&used, &tokens[2], &newest] {
        stand.next(token).await;
    }
    for _ in 0..20 {
        stand.login("ada").await;
    }
    assert_eq!(stand.families("ada").await, 3);
}

async fn families_that_have_ended_make_room_first(stand: Stand) {
    let stand = stand.with(|tokens| tokens.with_max_families(2).unwrap());
    let kept = stand.login("ada").await;
    stand.advance_seconds(1).await;
    let stolen = stand.login("ada").await;
    let next = stand.next(&stolen).await;
    stand.next(&next).await;
    stand.assert_reused(&stolen).await;
    stand.advance_seconds(1).await;
    let newest = stand.login("ada").await;
    stand.next(&kept).await;
    stand.next(&newest).await;
}

async fn rotations_do_not_make_a_family_larger(stand: Stand) {
    let grant = Grant::new("ada", "web")
        .with_device("laptop")
        .with_scope("read write");
    let first = stand.tokens.issue(grant).await.unwrap().token.into_string();
    let size = |stand: &Stand| -> usize {
        let key = &stand.keys()[0];
        stand.server().query(&["MEMORY", "USAGE", key])
    };
    let before = stand.is_redis().then(|| size(&stand));
    let mut token = first.clone();
    for _ in 0..300 {
        stand.advance(Duration::from_secs(60)).await;
        token = stand.next(&token).await;
    }
    if let Some(before) = before {
        let after = size(&stand);
        assert!(after <= before + 16, "{before} {after}");
    }
    stand.assert_reused(&first).await;
}
