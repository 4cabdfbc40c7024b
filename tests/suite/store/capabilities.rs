//! What a server is and what it lacks: learned on connecting, and said once.

use tower_keep::{
    Store, StoreError,
    key_value::SetError,
    store::{RefusalKind, StoreState},
};

use super::{HOUR, PATIENT, answers_again, store, users};
use crate::harness::{
    eventually,
    log::Log,
    redis::{RedisConfig, RedisServer},
};

/// What is logged while a store is connected to such a server, and the store.
async fn connected(config: RedisConfig) -> (RedisServer, Store, String) {
    let redis = config.start();
    let (log, _guard) = Log::start();
    let store = store(&redis.url(), PATIENT);
    answers_again(&store).await;
    eventually("the server was asked", async || {
        log.text().contains("met a server") || log.text().contains("needs Lua scripts")
    })
    .await;
    (redis, store, log.text())
}

fn errors(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains("ERROR")).collect()
}

#[tokio::test]
async fn a_server_that_has_everything_is_known_by_its_name_and_version() {
    let (redis, store, log) = connected(RedisServer::config()).await;
    let info: String = redis.query(&["INFO", "server"]);
    let name = store.server().unwrap();
    let (server, version) = name.split_once(' ').unwrap();
    assert!(["redis", "valkey"].contains(&server), "{name}");
    assert!(
        info.contains(&format!("{server}_version:{version}")),
        "{name}: {info}"
    );
    assert_eq!(errors(&log), [""; 0]);
    assert_eq!(Store::memory().server(), None);
}

#[tokio::test]
async fn a_server_without_scripts_is_one_error_that_names_it_and_what_it_lacks() {
    let config = RedisServer::config().without_command("EVALSHA");
    let (redis, store, log) = connected(config).await;
    let name = store.server().unwrap();
    let errors = errors(&log);
    assert_eq!(errors.len(), 1, "{log}");
    for part in [&*name, "EVALSHA", "Lua scripts"] {
        assert!(errors[0].contains(part), "{log}");
    }
    // What needs no script goes on, and what does says why it cannot.
    let users = users(&store);
    assert_eq!(users.get::<String>(1).await.unwrap(), None);
    match users.set(1, "ada", HOUR).await {
        Err(SetError::Store(StoreError::Refused { kind, message })) => {
            assert_eq!(kind, RefusalKind::Unsupported);
            assert!(message.contains("EVALSHA"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(store.state(), StoreState::Degraded);
    assert_eq!(redis.keys("*").len(), 0);
}

#[tokio::test]
async fn a_server_whose_scripts_cannot_ask_for_the_time_says_so() {
    let config = RedisServer::config().without_command("TIME");
    let (_redis, _store, log) = connected(config).await;
    let errors = errors(&log);
    assert_eq!(errors.len(), 1, "{log}");
    assert!(errors[0].contains("TIME"), "{log}");
}

#[tokio::test]
async fn a_user_without_the_right_to_info_or_script_meets_no_error() {
    for rules in [
        "~keep:* +@all -info -role",
        "~keep:* +@all -@dangerous -script",
    ] {
        let config = RedisServer::config().acl_user("app", "secret", rules);
        let (_redis, store, log) = connected(config).await;
        assert_eq!(errors(&log), [""; 0]);
        users(&store).set(1, "ada", HOUR).await.unwrap();
        assert_eq!(store.refusals(), []);
    }
}

#[tokio::test]
async fn a_user_without_scripts_is_one_error() {
    let config = RedisServer::config().acl_user("app", "secret", "~keep:* +@all -@scripting");
    let (_redis, _store, log) = connected(config).await;
    let errors = errors(&log);
    assert_eq!(errors.len(), 1, "{log}");
    assert!(
        errors[0].contains("no permissions to run the 'evalsha'"),
        "{log}"
    );
}
