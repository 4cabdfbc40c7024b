//! The end of tokens, families, devices and users.

use tower_keep::refresh_token::Grant;

use super::{on_all_stores, stand::Stand};

on_all_stores!(
    revoking_a_token_ends_its_family_and_is_idempotent,
    revoking_by_a_retired_token_ends_the_family_without_an_event,
    revoking_what_is_no_token_is_no_error,
    a_family_is_revoked_by_its_public_name,
    a_device_is_revoked_alone,
    a_user_is_revoked_alone,
    a_list_shows_the_families_that_live_the_last_used_first,
);

async fn on(stand: &Stand, user: &str, device: &str) -> String {
    let grant = Grant::new(user, "web").with_device(device);
    stand.tokens.issue(grant).await.unwrap().token.into_string()
}

async fn revoking_a_token_ends_its_family_and_is_idempotent(stand: Stand) {
    let first = stand.login("ada").await;
    let second = stand.next(&first).await;
    for _ in 0..3 {
        stand.tokens.revoke(&second).await.unwrap();
        stand.assert_invalid(&second).await;
        stand.assert_invalid(&first).await;
    }
    assert!(stand.reuses().is_empty());
}

async fn revoking_by_a_retired_token_ends_the_family_without_an_event(stand: Stand) {
    let first = stand.login("ada").await;
    let second = stand.next(&first).await;
    stand.tokens.revoke(&first).await.unwrap();
    stand.assert_invalid(&second).await;
    assert!(stand.reuses().is_empty());
}

async fn revoking_what_is_no_token_is_no_error(stand: Stand) {
    let token = stand.login("ada").await;
    let changed = format!(
        "{}{}",
        &token[..90],
        if token.ends_with('x') { 'y' } else { 'x' }
    );
    for none in ["", "rt_", "nonsense", &changed, &"x".repeat(1 << 20)] {
        stand.tokens.revoke(none).await.unwrap();
    }
    stand.next(&token).await;
}

async fn a_family_is_revoked_by_its_public_name(stand: Stand) {
    let (one, two) = (stand.login("ada").await, stand.login("ada").await);
    let one = stand.rotate(&one).await.unwrap();
    let name = one.family.to_string();
    assert!(!one.token.expose().contains(&name));
    // It is somebody else's.
    stand.tokens.revoke_family("eve", one.family).await.unwrap();
    let one = stand.rotate(one.token.expose()).await.unwrap();
    for _ in 0..2 {
        stand
            .tokens
            .revoke_family("ada", name.parse().unwrap())
            .await
            .unwrap();
        stand.assert_invalid(one.token.expose()).await;
    }
    stand.next(&two).await;
}

async fn a_device_is_revoked_alone(stand: Stand) {
    let laptop = [
        on(&stand, "ada", "laptop").await,
        on(&stand, "ada", "laptop").await,
    ];
    let others = [
        on(&stand, "ada", "phone").await,
        on(&stand, "eve", "laptop").await,
        stand.login("ada").await,
    ];
    stand.next(&laptop[0]).await;
    for _ in 0..2 {
        stand.tokens.revoke_device("ada", "laptop").await.unwrap();
    }
    for token in &laptop {
        stand.assert_invalid(token).await;
    }
    for token in &others {
        stand.next(token).await;
    }
    assert!(stand.reuses().is_empty());
}

async fn a_user_is_revoked_alone(stand: Stand) {
    let adas = [on(&stand, "ada", "laptop").await, stand.login("ada").await];
    let eves = stand.login("eve").await;
    for _ in 0..2 {
        stand.tokens.revoke_user("ada").await.unwrap();
    }
    for token in &adas {
        stand.assert_invalid(token).await;
    }
    assert_eq!(stand.families("ada").await, 0);
    stand.next(&eves).await;
    let again = stand.login("ada").await;
    stand.next(&again).await;
    stand.assert_every_key_has_a_ttl();
}

async fn a_list_shows_the_families_that_live_the_last_used_first(stand: Stand) {
    assert_eq!(stand.families("ada").await, 0);
    let laptop = on(&stand, "ada", "laptop").await;
    stand.advance_seconds(10).await;
    on(&stand, "ada", "phone").await;
    on(&stand, "eve", "tablet").await;
    stand.advance_seconds(10).await;
    stand.next(&laptop).await;
    let families = stand.tokens.list("ada").await.unwrap();
    let devices: Vec<_> = families
        .iter()
        .map(|family| family.grant.device().unwrap())
        .collect();
    assert_eq!(devices, ["laptop", "phone"]);
    let age = |n: usize| {
        families[n]
            .rotated_at
            .duration_since(families[n].created_at)
            .unwrap()
    };
    assert!((20..25).contains(&age(0).as_secs()), "{:?}", age(0));
    assert_eq!(age(1).as_secs(), 0);
    assert!(families[0].expires_in > families[1].expires_in);
}
