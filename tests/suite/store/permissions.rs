//! A user who may do no more than the README says.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use tower_keep::StoreConfig;

use super::{PATIENT, topologies::use_everything};
use crate::harness::redis::{RedisCluster, RedisServer, readme_rights};

/// Commands of the connection itself: the store's probe, and scripts by digest and by source.
const OWN: [&str; 4] = ["eval", "evalsha", "role", "script|load"];

fn sources(dir: &Path, all: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, all),
            false => all.push(path),
        }
    }
}

/// The words that stand between `before` and `after` in the sources of the operations.
fn words(before: &str, after: char, extension: &str) -> BTreeSet<String> {
    let mut files = Vec::new();
    let operations = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/operations");
    sources(Path::new(operations), &mut files);
    files.retain(|file| file.extension().is_some_and(|other| other == extension));
    let texts = files
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap());
    let mut words = BTreeSet::new();
    for text in texts {
        for rest in text.split(before).skip(1) {
            let (word, _) = rest.split_once(after).unwrap();
            words.insert(word.to_lowercase());
        }
    }
    words
}

#[test]
fn the_commands_of_the_readme_are_those_that_the_operations_send_and_no_others() {
    let mut sent = words("Command::new(\"", '"', "rs");
    sent.extend(words("call('", '\'', "lua"));
    sent.extend(OWN.map(str::to_owned));
    let rules = readme_rights("shop");
    let allowed = rules.split(' ').filter_map(|rule| rule.strip_prefix('+'));
    let allowed: BTreeSet<_> = allowed.map(str::to_owned).collect();
    assert_eq!(allowed, sent);
}

#[tokio::test]
async fn a_user_with_the_commands_of_the_readme_can_do_everything() {
    let redis = RedisServer::config()
        .acl_user("shop", "secret", &readme_rights("shop"))
        .start();
    let config = StoreConfig::from_url(&redis.url()).unwrap();
    let store = config
        .with_namespace("shop")
        .with_deadline(PATIENT)
        .build()
        .unwrap();
    use_everything(&store, 1).await;
    assert_eq!(store.refusals(), []);
}

#[tokio::test]
async fn on_a_cluster_the_user_reads_the_map_of_the_slots_and_follows_those_that_move() {
    let rules = format!("{} +cluster|slots +asking", readme_rights("shop"));
    let cluster =
        RedisCluster::start_with(RedisServer::config().acl_user("shop", "secret", &rules));
    let config = StoreConfig::from_url(&cluster.url()).unwrap();
    let store = config
        .with_namespace("shop")
        .with_deadline(PATIENT)
        .build()
        .unwrap();
    for user in 0..4 {
        use_everything(&store, user).await;
    }
    // A key that is not there is asked of where the slot is moving to.
    let slot = cluster.slot("shop:user:9");
    let from = cluster.first_master_of(slot);
    cluster.begin_move(slot, from, (from + 1) % 3);
    let value = super::users(&store).get::<String>(9).await;
    assert_eq!(value.unwrap(), None);
    assert_eq!(cluster.nodes()[(from + 1) % 3].command_calls()["asking"], 1);
    assert_eq!(store.refusals(), []);
}
