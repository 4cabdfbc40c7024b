//! What stands in Redis, and what is sent there.

use std::collections::BTreeMap;

use tower_keep::key_value::{KeyValue, PrefixError, USER_DATA_TTL};

use super::stand::{Database, Stand, User, user};
use crate::harness::on_every_redis;

on_every_redis!(
    keys_have_readable_names_and_all_of_them_a_ttl,
    a_del_while_a_load_runs_leaves_nothing_behind,
    a_read_is_one_get_and_a_question_one_exists,
    a_miss_costs_two_scripts_beside_the_read,
    damaged_bytes_are_a_miss_and_are_overwritten,
    a_flush_of_the_scripts_is_not_noticed,
);

async fn keys_have_readable_names_and_all_of_them_a_ttl(mut stand: Stand) {
    let database = Database::closed("Ada");
    let load = database.spawn_through(&stand.users, "42");
    database.has_begun().await;
    let server = stand.server();
    assert_eq!(server.keys("*"), ["keep:lease:{keep:user:42}"]);
    server.assert_every_key_has_a_ttl();
    database.let_go_on();
    load.await.unwrap().unwrap();
    let server = stand.server();
    assert_eq!(server.keys("*"), ["keep:user:42"]);
    server.assert_every_key_has_a_ttl();
    let stored: String = server.query(&["GET", "keep:user:42"]);
    assert_eq!(stored, "{\"v\":1}\n{\"name\":\"Ada\"}");
}

async fn a_del_while_a_load_runs_leaves_nothing_behind(mut stand: Stand) {
    let database = Database::closed("Ada");
    let load = database.spawn_through(&stand.users, "1");
    database.has_begun().await;
    stand.users.del(1).await.unwrap();
    database.let_go_on();
    load.await.unwrap().unwrap();
    assert_eq!(stand.server().keys("*"), Vec::<String>::new());
}

async fn a_read_is_one_get_and_a_question_one_exists(mut stand: Stand) {
    stand
        .users
        .set(1, &user("Ada"), USER_DATA_TTL)
        .await
        .unwrap();
    stand.server().reset_stats();
    let users = &stand.users;
    assert!(users.exists(1).await.unwrap());
    assert!(users.get::<User>(1).await.unwrap().is_some());
    let database = Database::open("nobody");
    database.through(users, "1").await.unwrap();
    let expected = BTreeMap::from([("exists".to_owned(), 1), ("get".to_owned(), 2)]);
    assert_eq!(stand.server().command_calls(), expected);
}

async fn a_miss_costs_two_scripts_beside_the_read(mut stand: Stand) {
    stand.server().reset_stats();
    let database = Database::open("Ada");
    database.through(&stand.users, "1").await.unwrap();
    let calls = stand.server().command_calls();
    assert_eq!(calls["evalsha"], 2);
    assert!(!calls.contains_key("ping"), "{calls:?}");
    assert!(!calls.contains_key("eval"), "{calls:?}");
}

async fn damaged_bytes_are_a_miss_and_are_overwritten(mut stand: Stand) {
    for damaged in ["", "\u{0}", "{\"v\":1}\n{\"na", "{\"v\":1}", "null", "[]"] {
        let server = stand.server();
        server.command(&["SET", "keep:user:1", damaged, "EX", "60"]);
        assert_eq!(stand.get("1").await, None, "{damaged:?}");
        let database = Database::open("Ada");
        database.through(&stand.users, "1").await.unwrap();
        assert_eq!(stand.get("1").await, Some(user("Ada")), "{damaged:?}");
    }
}

async fn a_flush_of_the_scripts_is_not_noticed(mut stand: Stand) {
    let database = Database::open("Ada");
    for id in ["1", "2"] {
        stand.server().flush_scripts();
        database.through(&stand.users, id).await.unwrap();
        stand.server().flush_scripts();
        stand
            .users
            .set(id, &user("Grace"), USER_DATA_TTL)
            .await
            .unwrap();
        stand.server().flush_scripts();
        assert!(stand.users.del(id).await.unwrap());
    }
}

#[tokio::test]
async fn a_prefix_of_the_crates_own_keys_is_refused() {
    let stand = Stand::memory();
    for prefix in [
        "session",
        "rate_limit",
        "cache:mine",
        "refresh_token",
        "lease",
        "tag",
    ] {
        let error = KeyValue::new(stand.store.clone(), prefix).unwrap_err();
        assert_eq!(error, PrefixError::Reserved(prefix.to_owned()));
    }
}
