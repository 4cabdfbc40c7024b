//! Loads that a change overtakes: what they found is given to those who wait, and not stored.

use std::time::Duration;

use tower_keep::key_value::USER_DATA_TTL;

use super::stand::{Database, Stand, user};

super::on_both_stores!(
    a_del_while_a_load_runs_keeps_the_cache_empty,
    a_del_in_another_process_does_too,
    a_set_while_a_load_runs_is_not_overwritten,
    a_set_that_was_deleted_again_does_not_let_the_load_in,
    a_call_after_a_del_does_not_wait_for_the_load_before_it,
    loads_in_two_processes_are_both_good,
);

async fn a_del_while_a_load_runs_keeps_the_cache_empty(stand: Stand) {
    let database = Database::closed("Ada");
    let load = database.spawn_through(&stand.users, "1");
    database.has_begun().await;
    assert!(!stand.users.exists(1).await.unwrap());
    assert!(!stand.users.del(1).await.unwrap());
    database.let_go_on();
    assert_eq!(load.await.unwrap().unwrap(), user("Ada"));
    assert!(!stand.users.exists(1).await.unwrap());
}

async fn a_del_in_another_process_does_too(stand: Stand) {
    let database = Database::closed("Ada");
    let load = database.spawn_through(&stand.users, "1");
    database.has_begun().await;
    stand.elsewhere().del(1).await.unwrap();
    database.let_go_on();
    assert_eq!(load.await.unwrap().unwrap(), user("Ada"));
    assert!(!stand.users.exists(1).await.unwrap());
}

async fn a_set_while_a_load_runs_is_not_overwritten(stand: Stand) {
    let database = Database::closed("Ada");
    let load = database.spawn_through(&stand.users, "1");
    database.has_begun().await;
    let elsewhere = stand.elsewhere();
    elsewhere
        .set(1, &user("Grace"), USER_DATA_TTL)
        .await
        .unwrap();
    database.let_go_on();
    assert_eq!(load.await.unwrap().unwrap(), user("Ada"));
    assert_eq!(stand.get("1").await, Some(user("Grace")));
}

async fn a_set_that_was_deleted_again_does_not_let_the_load_in(stand: Stand) {
    let database = Database::closed("Ada");
    let load = database.spawn_through(&stand.users, "1");
    database.has_begun().await;
    let elsewhere = stand.elsewhere();
    elsewhere
        .set(1, &user("Grace"), USER_DATA_TTL)
        .await
        .unwrap();
    assert!(elsewhere.del(1).await.unwrap());
    // Another load begins, under another generation.
    let later = Database::closed("Alan");
    let second = later.spawn_through(&elsewhere, "1");
    later.has_begun().await;
    database.let_go_on();
    assert_eq!(load.await.unwrap().unwrap(), user("Ada"));
    assert!(!stand.users.exists(1).await.unwrap());
    later.let_go_on();
    assert_eq!(second.await.unwrap().unwrap(), user("Alan"));
    assert_eq!(stand.get("1").await, Some(user("Alan")));
}

async fn a_call_after_a_del_does_not_wait_for_the_load_before_it(stand: Stand) {
    let before = Database::closed("old name");
    let load = before.spawn_through(&stand.users, "1");
    before.has_begun().await;
    stand.users.del(1).await.unwrap();
    let after = Database::open("new name");
    let call = tokio::time::timeout(Duration::from_secs(10), after.through(&stand.users, "1"));
    assert_eq!(call.await.expect("it waits").unwrap(), user("new name"));
    before.let_go_on();
    assert_eq!(load.await.unwrap().unwrap(), user("old name"));
    assert_eq!(stand.get("1").await, Some(user("new name")));
}

async fn loads_in_two_processes_are_both_good(stand: Stand) {
    let (one, other) = (Database::closed("Ada"), Database::closed("Ada"));
    let first = one.spawn_through(&stand.users, "1");
    let second = other.spawn_through(&stand.elsewhere(), "1");
    one.has_begun().await;
    other.has_begun().await;
    one.let_go_on();
    assert_eq!(first.await.unwrap().unwrap(), user("Ada"));
    assert_eq!(stand.get("1").await, Some(user("Ada")));
    other.let_go_on();
    assert_eq!(second.await.unwrap().unwrap(), user("Ada"));
    assert_eq!(stand.get("1").await, Some(user("Ada")));
}
