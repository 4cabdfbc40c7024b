//! Calls at once, from several tasks and several handles on the store.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::{sync::Barrier, task::JoinSet};
use tower_keep::refresh_token::{Grant, Issued, RefreshTokenError, RefreshTokens};

use super::{on_all_stores, stand::Stand};

on_all_stores!(
    fifty_rotations_at_once_give_one_successor,
    without_a_grace_one_of_fifty_succeeds,
    a_rotation_that_races_the_revocation_of_its_user_leaves_nothing,
    a_rotation_that_races_other_revocations_leaves_nothing,
    a_rotation_that_races_a_reuse_leaves_nothing,
    logins_at_once_stay_within_the_bound,
);

/// Fifty at once, half of them in another process.
async fn fifty(stand: &Stand, token: &str, grace: u64) -> Vec<Result<Issued, RefreshTokenError>> {
    let start = Arc::new(Barrier::new(50));
    let elsewhere = RefreshTokens::new(stand.store.clone());
    let elsewhere = elsewhere.with_grace(Duration::from_secs(grace)).unwrap();
    let mut rotations = JoinSet::new();
    for n in 0..50 {
        let tokens = if n % 2 == 0 {
            stand.tokens.clone()
        } else {
            elsewhere.clone()
        };
        let (token, start) = (token.to_owned(), start.clone());
        rotations.spawn(async move {
            start.wait().await;
            tokens.rotate(&token, "web").await
        });
    }
    rotations.join_all().await
}

async fn fifty_rotations_at_once_give_one_successor(stand: Stand) {
    let mut token = stand.login("ada").await;
    for _ in 0..20 {
        let answers = fifty(&stand, &token, 10).await;
        let answers = answers
            .into_iter()
            .map(|answer| answer.unwrap().token.into_string());
        let answers: BTreeSet<_> = answers.collect();
        assert_eq!(answers.len(), 1);
        token = answers.into_iter().next().unwrap();
    }
    assert_eq!(stand.families("ada").await, 1);
    stand.next(&token).await;
}

async fn without_a_grace_one_of_fifty_succeeds(stand: Stand) {
    let stand = stand.with_grace(0);
    for _ in 0..20 {
        let token = stand.login("ada").await;
        let answers = fifty(&stand, &token, 0).await;
        let succeeded: Vec<_> = answers.iter().flatten().collect();
        assert_eq!(succeeded.len(), 1);
        let reused = |answer: &&Result<_, _>| matches!(answer, Err(RefreshTokenError::Reused));
        assert_eq!(answers.iter().filter(reused).count(), 1);
        stand.assert_invalid(succeeded[0].token.expose()).await;
    }
}

/// Rotates again and again while `revoke` runs; whatever came of it is of no use then.
async fn race(stand: &Stand, revoke: impl AsyncFn(&RefreshTokens, &str, &Issued)) {
    for _ in 0..100 {
        let grant = Grant::new("ada", "web").with_device("laptop");
        let first = stand.tokens.issue(grant).await.unwrap();
        let start = Arc::new(Barrier::new(2));
        let (tokens, started) = (stand.tokens.clone(), start.clone());
        let mut token = first.token.clone().into_string();
        let rotations = tokio::spawn(async move {
            let mut seen = vec![token.clone()];
            started.wait().await;
            for _ in 0..5 {
                match tokens.rotate(&token, "web").await {
                    Ok(issued) => token = issued.token.into_string(),
                    Err(RefreshTokenError::Invalid) => break,
                    Err(error) => panic!("{error}"),
                }
                seen.push(token.clone());
                tokio::task::yield_now().await;
            }
            seen
        });
        start.wait().await;
        revoke(&stand.tokens, "ada", &first).await;
        for token in rotations.await.unwrap() {
            stand.assert_invalid(&token).await;
        }
        assert_eq!(stand.families("ada").await, 0);
    }
    assert!(stand.reuses().is_empty());
    stand.assert_every_key_has_a_ttl();
}

async fn a_rotation_that_races_the_revocation_of_its_user_leaves_nothing(stand: Stand) {
    race(&stand, async |tokens, user, _| {
        tokens.revoke_user(user).await.unwrap();
    })
    .await;
}

async fn a_rotation_that_races_other_revocations_leaves_nothing(stand: Stand) {
    race(&stand, async |tokens, user, _| {
        tokens.revoke_device(user, "laptop").await.unwrap();
    })
    .await;
    race(&stand, async |tokens, user, first| {
        tokens.revoke_family(user, first.family).await.unwrap();
    })
    .await;
    race(&stand, async |tokens, _, first| {
        tokens.revoke(first.token.expose()).await.unwrap();
    })
    .await;
}

async fn a_rotation_that_races_a_reuse_leaves_nothing(stand: Stand) {
    for run in 1..=100 {
        let first = stand.login("ada").await;
        let second = stand.next(&first).await;
        let third = stand.next(&second).await;
        let (thief, client) = tokio::join!(stand.rotate(&first), stand.rotate(&third));
        assert!(matches!(thief, Err(RefreshTokenError::Reused)), "{thief:?}");
        stand.assert_invalid(&third).await;
        if let Ok(issued) = client {
            stand.assert_invalid(issued.token.expose()).await;
        }
        assert_eq!(stand.reuses().len(), run);
    }
}

async fn logins_at_once_stay_within_the_bound(stand: Stand) {
    let stand = stand.with(|tokens| tokens.with_max_families(5).unwrap());
    let mut logins = JoinSet::new();
    for _ in 0..50 {
        let tokens = stand.tokens.clone();
        logins.spawn(async move { tokens.issue(Grant::new("ada", "web")).await.unwrap() });
    }
    logins.join_all().await;
    assert_eq!(stand.families("ada").await, 5);
}
