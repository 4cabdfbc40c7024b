//! What a call costs Redis.

use tower_keep::refresh_token::{Grant, RefreshTokenError};

use super::stand::Stand;
use crate::harness::on_every_redis;

on_every_redis!(every_call_is_one_command, what_is_no_token_costs_nothing,);

/// The commands that the server executes for a call, each of them once.
async fn commands<T>(
    stand: &Stand,
    call: impl Future<Output = Result<T, RefreshTokenError>>,
) -> Vec<String> {
    stand.server().reset_stats();
    call.await.unwrap_or_else(|error| panic!("{error}"));
    let calls = stand.server().command_calls();
    assert!(calls.values().all(|calls| *calls == 1), "{calls:?}");
    calls.into_keys().collect()
}

async fn every_call_is_one_command(stand: Stand) {
    let token = stand.login("ada").await;
    let tokens = &stand.tokens;
    let rotated = commands(&stand, tokens.rotate(&token, "web")).await;
    assert_eq!(rotated, ["evalsha", "hget", "hset", "pexpireat", "time"]);
    let again = commands(&stand, tokens.rotate(&token, "web")).await;
    assert_eq!(again, ["evalsha", "hget", "time"]);
    let issued = commands(&stand, tokens.issue(Grant::new("eve", "web"))).await;
    assert_eq!(
        issued,
        ["evalsha", "hgetall", "hset", "pexpireat", "pttl", "time"]
    );
    let listed = commands(&stand, tokens.list("ada")).await;
    assert_eq!(listed, ["evalsha", "hgetall", "time"]);
    assert_eq!(commands(&stand, tokens.revoke(&token)).await, ["hdel"]);
    let device = commands(&stand, tokens.revoke_device("ada", "laptop")).await;
    assert_eq!(device, ["evalsha", "hgetall"]);
    assert_eq!(
        commands(&stand, tokens.revoke_user("ada")).await,
        ["unlink"]
    );
}

async fn what_is_no_token_costs_nothing(stand: Stand) {
    stand.server().reset_stats();
    let long = "x".repeat(1 << 20);
    for none in ["", "rt_", "nonsense", &long] {
        stand.assert_invalid(none).await;
        stand.tokens.revoke(none).await.unwrap();
    }
    assert!(stand.server().command_calls().is_empty());
}
