//! A Redis that is gone, full, frozen, replaced, or holds something else.

use std::time::{Duration, Instant};

use http::StatusCode;
use tower_keep::{
    Store,
    refresh_token::{Grant, RefreshTokenError, RefreshTokens},
};

use super::stand::Stand;
use crate::harness::{
    eventually, on_own_servers,
    redis::{Backend, RedisServer},
};

on_own_servers!(
    a_frozen_server_costs_the_deadline_and_the_same_token_works_afterwards,
    a_server_that_was_restarted_empty_knows_no_token_and_sees_no_theft,
    a_full_server_issues_and_rotates_nothing_and_loses_nothing,
    forgotten_scripts_cost_nobody_a_token,
    another_type_of_data_under_the_key_is_the_stores_failure,
    damaged_families_are_unknown_and_go_at_the_next_login,
    without_a_store_every_call_says_so,
);

#[track_caller]
fn assert_unavailable<T>(result: Result<T, RefreshTokenError>) {
    let Err(error) = result else {
        panic!("an answer without a store");
    };
    assert!(
        matches!(error, RefreshTokenError::Unavailable(_)),
        "{error}"
    );
    assert_eq!(error.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(error.oauth_error(), None);
}

async fn without_a_store_every_call_says_so(mut stand: Stand) {
    let token = stand.login("ada").await;
    let family = stand.tokens.list("ada").await.unwrap()[0].id;
    stand.server_mut().kill();
    let tokens = RefreshTokens::new(
        stand
            .store
            .clone()
            .with_deadline(Duration::from_millis(300)),
    );
    assert_unavailable(tokens.rotate(&token, "web").await);
    assert_unavailable(tokens.issue(Grant::new("ada", "web")).await);
    assert_unavailable(tokens.list("ada").await);
    assert_unavailable(tokens.revoke(&token).await);
    assert_unavailable(tokens.revoke_family("ada", family).await);
    assert_unavailable(tokens.revoke_device("ada", "laptop").await);
    assert_unavailable(tokens.revoke_user("ada").await);
}

#[tokio::test]
async fn no_token_is_lost_with_the_server_that_keeps_its_data() {
    let persistent = RedisServer::config().persistent().start();
    let mut stand = Stand::on(Backend::Redis(persistent)).await;
    let token = stand.login("ada").await;
    stand.server_mut().kill();
    assert_unavailable(stand.rotate(&token).await);
    stand.server_mut().restart();
    eventually("the store answers again", async || {
        stand.store.ping().await.is_ok()
    })
    .await;
    stand.next(&token).await;
}

async fn a_server_that_was_restarted_empty_knows_no_token_and_sees_no_theft(mut stand: Stand) {
    let first = stand.login("ada").await;
    let second = stand.next(&first).await;
    stand.server_mut().restart();
    eventually("the store answers again", async || {
        stand.store.ping().await.is_ok()
    })
    .await;
    for token in [&first, &second] {
        stand.assert_invalid(token).await;
    }
    assert!(stand.reuses().is_empty());
}

async fn a_frozen_server_costs_the_deadline_and_the_same_token_works_afterwards(stand: Stand) {
    let first = stand.login("ada").await;
    let impatient = stand.server().connected(Store::DEFAULT_DEADLINE).await;
    let tokens = RefreshTokens::new(impatient.clone());
    stand.server().pause();
    let start = Instant::now();
    assert_unavailable(tokens.rotate(&first, "web").await);
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    stand.server().resume();
    eventually("the store answers again", async || {
        impatient.ping().await.is_ok()
    })
    .await;
    // Whether the server has executed it after all or not.
    let second = stand.next(&first).await;
    assert_eq!(stand.next(&first).await, second);
    stand.next(&second).await;
    assert!(stand.reuses().is_empty());
}

async fn a_full_server_issues_and_rotates_nothing_and_loses_nothing(stand: Stand) {
    let stolen = stand.login("ada").await;
    let second = stand.next(&stolen).await;
    let third = stand.next(&second).await;
    let token = stand.login("ada").await;
    stand
        .server()
        .command_each(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_unavailable(stand.rotate(&token).await);
    assert_unavailable(stand.tokens.issue(Grant::new("ada", "web")).await);
    assert_eq!(stand.families("ada").await, 2);
    // A theft is acted upon all the same, and so is a logout.
    stand.assert_reused(&stolen).await;
    stand.tokens.revoke_device("ada", "laptop").await.unwrap();
    stand
        .server()
        .command_each(&["CONFIG", "SET", "maxmemory", "0"]);
    stand.assert_invalid(&third).await;
    let next = stand.next(&token).await;
    stand
        .server()
        .command_each(&["CONFIG", "SET", "maxmemory", "1"]);
    stand.tokens.revoke(&next).await.unwrap();
    stand.tokens.revoke_user("ada").await.unwrap();
    stand
        .server()
        .command_each(&["CONFIG", "SET", "maxmemory", "0"]);
    stand.assert_invalid(&next).await;
}

async fn forgotten_scripts_cost_nobody_a_token(stand: Stand) {
    let mut token = stand.login("ada").await;
    for _ in 0..3 {
        stand.server().flush_scripts();
        token = stand.next(&token).await;
    }
    stand.server().flush_scripts();
    stand.login("ada").await;
    stand.server().flush_scripts();
    assert_eq!(stand.families("ada").await, 2);
    stand.server().flush_scripts();
    stand.tokens.revoke_device("ada", "laptop").await.unwrap();
}

async fn another_type_of_data_under_the_key_is_the_stores_failure(stand: Stand) {
    let token = stand.login("ada").await;
    let key = stand.keys()[0].clone();
    stand
        .server()
        .command(&["SET", &key, "foreign", "EX", "60"]);
    assert_unavailable(stand.rotate(&token).await);
    assert_unavailable(stand.tokens.issue(Grant::new("ada", "web")).await);
    assert_unavailable(stand.tokens.list("ada").await);
    assert_unavailable(stand.tokens.revoke(&token).await);
    // What is there goes with the user.
    stand.tokens.revoke_user("ada").await.unwrap();
    let again = stand.login("ada").await;
    stand.next(&again).await;
}

async fn damaged_families_are_unknown_and_go_at_the_next_login(stand: Stand) {
    let (token, other) = (stand.login("ada").await, stand.login("ada").await);
    const DAMAGE: &str = r"
        local families = redis.call('HGETALL', KEYS[1])
        for i = 1, #families, 2 do
            redis.call('HSET', KEYS[1], families[i], string.sub(families[i + 1], 1, ARGV[1] + 0))
        end
        redis.call('HSET', KEYS[1], 'short', 'x')";
    for length in [101, 22, 0] {
        stand
            .server()
            .command(&["EVAL", DAMAGE, "1", &stand.keys()[0], &length.to_string()]);
        stand.assert_invalid(&token).await;
        stand.assert_invalid(&other).await;
        assert_eq!(stand.families("ada").await, 0);
    }
    let again = stand.login("ada").await;
    let fields: usize = stand.server().query(&["HLEN", &stand.keys()[0]]);
    assert_eq!(fields, 1);
    stand.next(&again).await;
    assert!(stand.reuses().is_empty());
}
