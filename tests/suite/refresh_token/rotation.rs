//! A token for the next one.

use std::time::Duration;

use tower_keep::refresh_token::{Grant, RefreshTokens};

use super::{on_all_stores, stand::Stand};

on_all_stores!(
    a_token_is_exchanged_for_another_again_and_again,
    a_rotation_says_whom_the_token_is_for,
    a_changed_or_unknown_token_is_invalid_and_revokes_nothing,
    tokens_have_the_prefix_that_was_chosen,
    two_logins_are_two_families,
    ids_of_any_script_are_fine,
);

async fn a_token_is_exchanged_for_another_again_and_again(stand: Stand) {
    let mut token = stand.login("ada").await;
    for _ in 0..50 {
        let next = stand.next(&token).await;
        assert_ne!(next, token);
        token = next;
    }
    assert_eq!(stand.families("ada").await, 1);
    assert!(stand.reuses().is_empty());
}

async fn a_rotation_says_whom_the_token_is_for(stand: Stand) {
    let grant = Grant::new("ada", "web")
        .with_device("laptop")
        .with_scope("read write");
    let issued = stand.tokens.issue(grant.clone()).await.unwrap();
    assert_eq!(issued.grant, grant);
    assert_eq!(issued.expires_in, Duration::from_secs(7 * 24 * 3600));
    let next = stand.rotate(issued.token.expose()).await.unwrap();
    assert_eq!((next.grant, next.family), (grant, issued.family));
    assert_eq!(next.expires_in, issued.expires_in);
}

async fn a_changed_or_unknown_token_is_invalid_and_revokes_nothing(stand: Stand) {
    let first = stand.login("ada").await;
    let token = stand.next(&first).await;
    for original in [&first, &token] {
        for place in 0..original.len() {
            let mut changed = original.clone().into_bytes();
            changed[place] = if changed[place] == b'x' { b'y' } else { b'x' };
            stand
                .assert_invalid(&String::from_utf8(changed).unwrap())
                .await;
        }
        stand.assert_invalid(&original[..original.len() - 1]).await;
        stand.assert_invalid(&format!("{original}x")).await;
    }
    // Whole tokens of nobody, of another store, and what is none at all.
    let elsewhere = Stand::memory_beside().login("ada").await;
    for unknown in ["", "rt_", "nonsense", &elsewhere, &"x".repeat(1 << 20)] {
        stand.assert_invalid(unknown).await;
    }
    assert_eq!(stand.families("ada").await, 1);
    assert!(stand.reuses().is_empty());
    stand.next(&token).await;
}

async fn tokens_have_the_prefix_that_was_chosen(stand: Stand) {
    let plain = stand.login("ada").await;
    assert!(plain.starts_with("rt_"), "{plain}");
    let stand = stand.with(|tokens| tokens.with_prefix("shop-live_").unwrap());
    let chosen = stand.login("ada").await;
    assert!(chosen.starts_with("shop-live_"), "{chosen}");
    let next = stand.next(&chosen).await;
    assert!(next.starts_with("shop-live_"), "{next}");
    stand.assert_invalid(&plain).await;
    let bare = stand.with(|tokens| tokens.with_prefix("").unwrap());
    bare.next(&next["shop-live_".len()..]).await;
}

async fn two_logins_are_two_families(stand: Stand) {
    let (one, two) = (stand.login("ada").await, stand.login("ada").await);
    assert_ne!(one, two);
    assert_eq!(stand.families("ada").await, 2);
    stand.tokens.revoke(&one).await.unwrap();
    stand.assert_invalid(&one).await;
    stand.next(&two).await;
}

async fn ids_of_any_script_are_fine(stand: Stand) {
    for user in [
        "Ἀριστοτέλης",
        "a:b{c}*?[x]\\",
        "\0\n\r\t\"",
        "🦀",
        &"x".repeat(256),
    ] {
        let grant = Grant::new(user, "клиент").with_device("📱");
        let issued = stand.tokens.issue(grant.clone()).await.unwrap();
        let next = stand
            .tokens
            .rotate(issued.token.expose(), "клиент")
            .await
            .unwrap();
        assert_eq!(next.grant, grant);
        assert_eq!(stand.tokens.list(user).await.unwrap()[0].grant, grant);
        stand.tokens.revoke_device(user, "📱").await.unwrap();
        assert_eq!(stand.families(user).await, 0);
    }
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    let tokens = || RefreshTokens::new(tower_keep::Store::memory());
    let seconds = Duration::from_secs;
    for (error, name) in [
        (tokens().with_prefix("a b").unwrap_err(), "prefix"),
        (tokens().with_prefix(&"x".repeat(33)).unwrap_err(), "prefix"),
        (tokens().with_grace(seconds(3601)).unwrap_err(), "grace"),
        (
            tokens().with_idle_lifetime(seconds(0)).unwrap_err(),
            "idle lifetime",
        ),
        (
            tokens().with_absolute_lifetime(Duration::MAX).unwrap_err(),
            "absolute lifetime",
        ),
        (
            tokens().with_max_families(0).unwrap_err(),
            "maximum of families",
        ),
    ] {
        assert!(error.to_string().contains(name), "{error}");
    }
}
