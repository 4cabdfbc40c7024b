//! A connection that is lost after the server has executed a call and before its reply.

use std::{sync::Arc, time::Duration};

use tower_keep::{
    StoreConfig,
    refresh_token::{Issued, RefreshTokenError, RefreshTokens},
};

use super::stand::Stand;
use crate::harness::{eventually, proxy::Proxy};

/// Rotates `token` over a connection that is lost once the server has executed the script.
async fn rotate_with_a_lost_reply(
    stand: &Stand,
    token: &str,
    settings: impl FnOnce(RefreshTokens) -> RefreshTokens,
) -> Result<Issued, RefreshTokenError> {
    let proxy = Arc::new(Proxy::start(stand.server().addr()));
    let config = StoreConfig::from_url(&format!("redis://{}/", proxy.addr())).unwrap();
    let store = config
        .with_deadline(Duration::from_secs(10))
        .build()
        .unwrap();
    store.ping().await.unwrap();
    let tokens = settings(RefreshTokens::new(store));
    stand.server().reset_stats();
    proxy.delay(Duration::ZERO, Duration::from_secs(60));
    let token = token.to_owned();
    let rotation = tokio::spawn(async move { tokens.rotate(&token, "web").await });
    eventually("the server has executed it", async || {
        stand.server().command_calls().contains_key("evalsha")
    })
    .await;
    proxy.delay(Duration::ZERO, Duration::ZERO);
    proxy.drop_connections();
    rotation.await.unwrap()
}

#[tokio::test]
async fn a_rotation_whose_reply_is_lost_still_gives_the_successor() {
    for grace in [10, 0] {
        let stand = Stand::redis().await.with_grace(grace);
        let first = stand.login("ada").await;
        let with_grace =
            |tokens: RefreshTokens| tokens.with_grace(Duration::from_secs(grace)).unwrap();
        let second = rotate_with_a_lost_reply(&stand, &first, with_grace)
            .await
            .unwrap();
        let third = stand.next(second.token.expose()).await;
        stand.next(&third).await;
        assert!(stand.reuses().is_empty());
    }
}

#[tokio::test]
async fn a_reuse_whose_reply_is_lost_is_still_told() {
    let stand = Stand::redis().await;
    let first = stand.login("ada").await;
    let second = stand.next(&first).await;
    let third = stand.next(&second).await;
    let told = Arc::<std::sync::Mutex<Vec<String>>>::default();
    let seen = told.clone();
    let with_event = |tokens: RefreshTokens| {
        tokens.on_reuse(move |reuse| seen.lock().unwrap().push(reuse.grant.user().to_owned()))
    };
    let error = rotate_with_a_lost_reply(&stand, &first, with_event)
        .await
        .unwrap_err();
    assert!(matches!(error, RefreshTokenError::Reused), "{error}");
    assert_eq!(*told.lock().unwrap(), ["ada"]);
    for token in [&first, &second, &third] {
        stand.assert_invalid(token).await;
    }
}

#[tokio::test]
async fn a_client_that_asks_again_after_a_failure_gets_the_same_successor() {
    let stand = Stand::redis().await;
    let first = stand.login("ada").await;
    // The server executes the rotation, and the call has long failed.
    let proxy = Proxy::start(stand.server().addr());
    let config = StoreConfig::from_url(&format!("redis://{}/", proxy.addr())).unwrap();
    let store = config
        .with_deadline(Duration::from_millis(300))
        .build()
        .unwrap();
    store.ping().await.unwrap();
    let tokens = RefreshTokens::new(store);
    stand.server().reset_stats();
    proxy.delay(Duration::ZERO, Duration::from_secs(60));
    let error = tokens.rotate(&first, "web").await.unwrap_err();
    assert!(
        matches!(error, RefreshTokenError::Unavailable(_)),
        "{error}"
    );
    assert_eq!(error.oauth_error(), None);
    assert!(stand.server().command_calls().contains_key("evalsha"));
    let second = stand.next(&first).await;
    assert_eq!(stand.next(&first).await, second);
    stand.next(&second).await;
}
