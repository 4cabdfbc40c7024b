//! Random calls, on embedded memory and on Redis, with every answer compared.

use std::time::Duration;

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use tower_keep::refresh_token::{Grant, Issued, RefreshTokenError};

use super::stand::Stand;

#[derive(Debug, Clone)]
enum Call {
    /// A user, a client, and maybe a device and a scope.
    Issue(u8, u8, Option<u8>, Option<&'static str>),
    /// One of the tokens so far, from the newest back, by a client for a scope.
    Rotate(usize, u8, Option<&'static str>),
    Revoke(usize),
    RevokeFamily(u8, usize),
    RevokeDevice(u8, u8),
    RevokeUser(u8),
    List(u8),
}

/// Waits are multiples of four seconds and lifetimes end two seconds off: what a test itself
/// takes does not matter.
const WAITS: [u64; 6] = [0, 0, 0, 4, 8, 40];

fn stand_with(stand: Stand, grace: u64) -> Stand {
    let seconds = Duration::from_secs;
    stand.with(|tokens| {
        let tokens = tokens.with_idle_lifetime(seconds(62)).unwrap();
        let tokens = tokens.with_absolute_lifetime(seconds(150)).unwrap();
        let tokens = tokens.with_max_families(3).unwrap();
        tokens.with_grace(seconds(grace)).unwrap()
    })
}

fn call() -> impl Strategy<Value = (u64, Call)> {
    let user = 0..2_u8;
    let client = prop_oneof![6 => Just(0_u8), 1 => Just(1)];
    let scope = || prop::option::of(prop::sample::select(&["read", "write", "read write"][..]));
    let token = prop_oneof![4 => 0..2_usize, 2 => 0..12_usize];
    let device = || prop::option::of(0..2_u8);
    let call = prop_oneof![
        3 => (user.clone(), client.clone(), device(), scope())
            .prop_map(|(user, client, device, scope)| Call::Issue(user, client, device, scope)),
        10 => (token.clone(), client, scope())
            .prop_map(|(token, client, scope)| Call::Rotate(token, client, scope)),
        1 => token.clone().prop_map(Call::Revoke),
        1 => (user.clone(), token).prop_map(|(user, token)| Call::RevokeFamily(user, token)),
        1 => (user.clone(), 0..2_u8).prop_map(|(user, device)| Call::RevokeDevice(user, device)),
        1 => user.clone().prop_map(Call::RevokeUser),
        2 => user.prop_map(Call::List),
    ];
    (prop::sample::select(&WAITS[..]), call)
}

/// What is the same wherever a token was issued: which of the tokens so far it is.
struct Seen(Vec<Issued>);

impl Seen {
    fn back(&self, n: usize) -> Option<&Issued> {
        self.0.iter().rev().nth(n)
    }

    fn answer(&mut self, result: Result<Issued, RefreshTokenError>) -> String {
        let issued = match result {
            Ok(issued) => issued,
            Err(error) => return error.to_string(),
        };
        let seen = self.0.iter().position(|other| other.token == issued.token);
        let family = self
            .0
            .iter()
            .position(|other| other.family == issued.family);
        let left = issued.expires_in.as_secs_f64().round();
        let line = format!("token {seen:?} of {family:?} {:?} {left}", issued.grant);
        if seen.is_none() {
            self.0.push(issued);
        }
        line
    }
}

async fn answer(stand: &Stand, seen: &mut Seen, call: &Call) -> String {
    let tokens = &stand.tokens;
    let user = |n: &u8| format!("user{n}");
    let client = |n: &u8| format!("client{n}");
    let device = |n: &u8| format!("device{n}");
    let done = |result: Result<(), RefreshTokenError>| format!("{result:?}");
    match call {
        Call::Issue(who, what, on, scope) => {
            let mut grant = Grant::new(user(who), client(what));
            if let Some(on) = on {
                grant = grant.with_device(device(on));
            }
            if let Some(scope) = scope {
                grant = grant.with_scope(*scope);
            }
            seen.answer(tokens.issue(grant).await)
        }
        Call::Rotate(n, by, scope) => {
            let Some(token) = seen.back(*n).map(|issued| issued.token.clone()) else {
                return String::new();
            };
            let result = match scope {
                Some(scope) => {
                    tokens
                        .rotate_with_scope(token.expose(), &client(by), scope)
                        .await
                }
                None => tokens.rotate(token.expose(), &client(by)).await,
            };
            seen.answer(result)
        }
        Call::Revoke(n) => match seen.back(*n) {
            Some(issued) => done(tokens.revoke(issued.token.expose()).await),
            None => String::new(),
        },
        Call::RevokeFamily(who, n) => match seen.back(*n) {
            Some(issued) => done(tokens.revoke_family(&user(who), issued.family).await),
            None => String::new(),
        },
        Call::RevokeDevice(who, on) => done(tokens.revoke_device(&user(who), &device(on)).await),
        Call::RevokeUser(who) => done(tokens.revoke_user(&user(who)).await),
        Call::List(who) => {
            let families = tokens.list(&user(who)).await.unwrap();
            let lines = families.iter().map(|family| {
                let first = seen.0.iter().position(|issued| issued.family == family.id);
                let age = family.rotated_at.duration_since(family.created_at).unwrap();
                let left = family.expires_in.as_secs_f64().round();
                format!(
                    "{first:?} {:?} {} {left}",
                    family.grant,
                    age.as_secs_f64().round()
                )
            });
            format!("{:?}", lines.collect::<Vec<_>>())
        }
    }
}

async fn transcript(stand: &Stand, calls: &[(u64, Call)]) -> Vec<String> {
    let mut seen = Seen(Vec::new());
    let mut lines = Vec::new();
    for (wait, call) in calls {
        // A little at least, so that no two things happen in the same millisecond.
        stand.advance(Duration::from_millis(wait * 1000 + 5)).await;
        let answer = answer(stand, &mut seen, call).await;
        lines.push(format!("{wait} {call:?}: {answer}"));
    }
    lines.push(format!("{:?}", stand.reuses().len()));
    lines
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

#[test]
fn memory_and_redis_answer_the_same_to_random_calls() {
    // Only one of them has a clock that is paused.
    let (memory, redis) = (runtime(), runtime());
    let mut runner = TestRunner::new(Config {
        cases: 300,
        failure_persistence: None,
        ..Config::default()
    });
    memory.block_on(async { tokio::time::pause() });
    let server = redis.block_on(Stand::redis());
    let calls = prop::collection::vec(call(), 1..25);
    let grace = prop::sample::select(&[0, 10][..]);
    runner
        .run(&(grace, calls), |(grace, calls)| {
            server.server().command(&["FLUSHALL"]);
            let here = stand_with(Stand::memory_beside(), grace);
            let there = stand_with(server.again(), grace);
            let here = memory.block_on(transcript(&here, &calls));
            let there = redis.block_on(transcript(&there, &calls));
            prop_assert_eq!(here, there);
            server.assert_every_key_has_a_ttl();
            Ok(())
        })
        .unwrap();
}
