//! Whom a token is for, and what it is for.

use tower_keep::refresh_token::{Grant, RefreshTokenError};

use super::{on_all_stores, stand::Stand};

on_all_stores!(
    another_client_is_refused_and_the_token_is_not_consumed,
    a_wider_scope_is_refused_and_the_token_is_not_consumed,
    a_narrower_scope_costs_nothing_of_what_was_granted,
    a_grant_that_cannot_be_used_is_refused_by_name,
);

async fn another_client_is_refused_and_the_token_is_not_consumed(stand: Stand) {
    let token = stand.login("ada").await;
    for other in ["", "Web", "web ", "other", &"x".repeat(1 << 20)] {
        let error = stand.tokens.rotate(&token, other).await.unwrap_err();
        assert!(matches!(error, RefreshTokenError::OtherClient), "{error}");
        assert_eq!(error.oauth_error(), Some("invalid_grant"));
    }
    stand.next(&token).await;
    assert!(stand.reuses().is_empty());
}

async fn a_wider_scope_is_refused_and_the_token_is_not_consumed(stand: Stand) {
    let grant = Grant::new("read ada", "web").with_scope("read events:write");
    let issued = stand.tokens.issue(grant).await.unwrap();
    let token = issued.token.expose();
    for wider in [
        "write",
        "read write",
        "rea",
        "events",
        "events:write admin",
        "read  admin",
        "",
        "ada",
    ] {
        let result = stand.tokens.rotate_with_scope(token, "web", wider).await;
        let error = result.unwrap_err();
        assert_eq!(
            error.oauth_error(),
            Some("invalid_scope"),
            "{wider}: {error}"
        );
    }
    stand.next(token).await;

    let unscoped = stand.login("ada").await;
    let error = stand
        .tokens
        .rotate_with_scope(&unscoped, "web", "read")
        .await
        .unwrap_err();
    assert!(matches!(error, RefreshTokenError::WiderScope), "{error}");
    stand.next(&unscoped).await;
}

async fn a_narrower_scope_costs_nothing_of_what_was_granted(stand: Stand) {
    let grant = Grant::new("ada", "web").with_scope("read write admin");
    let mut token = stand
        .tokens
        .issue(grant.clone())
        .await
        .unwrap()
        .token
        .into_string();
    for narrower in [
        "read",
        "admin read",
        "write",
        "read write admin",
        "read read",
    ] {
        let next = stand
            .tokens
            .rotate_with_scope(&token, "web", narrower)
            .await
            .unwrap();
        assert_eq!(next.grant, grant);
        token = next.token.into_string();
    }
}

async fn a_grant_that_cannot_be_used_is_refused_by_name(stand: Stand) {
    for (grant, what, code) in [
        (Grant::new("", "web"), "user", "invalid_request"),
        (
            Grant::new("ada", "x".repeat(257)),
            "client",
            "invalid_request",
        ),
        (
            Grant::new("ada", "web").with_device("é".repeat(129)),
            "device",
            "invalid_request",
        ),
        (
            Grant::new("ada", "web").with_scope("read\nwrite"),
            "scope",
            "invalid_scope",
        ),
    ] {
        let error = stand.tokens.issue(grant).await.unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
        assert_eq!(error.oauth_error(), Some(code));
    }
    assert!(!stand.is_redis() || stand.keys().is_empty());
}
