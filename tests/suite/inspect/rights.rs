//! The rights of a user who inspects, as the README lists them.

use std::collections::BTreeSet;

use tower_keep::{StoreConfig, inspect::Inspector, key_value::KeyValue};

use super::HOUR;
use crate::harness::{connected::PATIENT, redis::RedisServer};

/// The rules of the README's inspector, behind the password.
fn rules() -> &'static str {
    let readme = include_str!("../../../README.md");
    let line = readme
        .lines()
        .find(|line| line.starts_with("ACL SETUSER inspector"));
    line.unwrap().split_once(">password ").unwrap().1
}

#[test]
fn the_readme_lists_what_is_sent_and_no_more() {
    let sources = [
        include_str!("../../../src/store/inspect/keys.rs"),
        include_str!("../../../src/store/inspect/read.rs"),
        include_str!("../../../src/store/inspect/facts.rs"),
    ];
    let words = sources
        .iter()
        .flat_map(|source| source.split("Command::new(\"").skip(1));
    let words = words.map(|rest| rest.split_once('"').unwrap().0.to_lowercase());
    // The store's own probes as it connects.
    let sent: BTreeSet<_> = words.chain(["role".to_owned()]).collect();
    let allowed = rules().split(' ').filter_map(|rule| rule.strip_prefix('+'));
    let allowed = allowed.map(|rule| rule.split('|').next().unwrap().to_owned());
    assert_eq!(allowed.collect::<BTreeSet<_>>(), sent);
}

#[tokio::test]
async fn a_user_with_these_rights_can_ask_everything() {
    let redis = RedisServer::config()
        .acl_user("inspector", "secret", rules())
        .start();
    redis.command(&["SET", "shop:user:1", "{\"v\":0}\n\"ada\"", "EX", "60"]);
    redis.command(&["HSET", "shop:hash", "a", "1"]);
    redis.command(&["SADD", "shop:set", "a"]);
    redis.command(&["ZADD", "shop:sorted", "1", "a"]);
    let config = StoreConfig::from_url(&redis.url()).unwrap();
    let store = config
        .with_namespace("shop")
        .with_deadline(PATIENT)
        .build()
        .unwrap();
    let inspector = Inspector::new(store.clone());
    for name in ["user:1", "hash", "set", "sorted"] {
        assert!(inspector.value(name).await.unwrap().is_some(), "{name}");
        inspector.ttl(name).await.unwrap();
        inspector.size(name).await.unwrap();
    }
    inspector.memory().await.unwrap();
    inspector.slow_commands(10).await.unwrap();
    assert!(inspector.ping().await[0].latency.is_ok());
    assert!(inspector.delete("set").await.unwrap());
    assert_eq!(inspector.delete_namespace(|_| ()).await.unwrap(), 3);
    // And cannot do what the service does.
    let users = KeyValue::new(store, "user").unwrap();
    assert!(users.set(1, "ada", HOUR).await.is_err());
}
