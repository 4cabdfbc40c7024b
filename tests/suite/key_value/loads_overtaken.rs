//! Loads that a change overtakes: what they found is given to those who wait, and not stored.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::task::JoinSet;
use tower_keep::key_value::{KeyValue, USER_DATA_TTL};

use super::stand::{Database, NoSuchUser, Stand, user};
use crate::harness::{
    connected::{PATIENT, connected},
    eventually,
    proxy::Proxy,
};

super::on_all_stores!(
    a_del_while_a_load_runs_keeps_the_cache_empty,
    a_del_in_another_process_does_too,
    a_call_after_a_del_in_another_process_does_not_get_what_was_before_it,
    no_reader_gets_what_was_before_a_del,
    a_set_while_a_load_runs_is_not_overwritten,
    a_set_that_was_deleted_again_does_not_let_the_load_in,
    a_call_after_a_del_does_not_wait_for_the_load_before_it,
    a_load_in_another_process_is_waited_for,
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

async fn a_call_after_a_del_in_another_process_does_not_get_what_was_before_it(stand: Stand) {
    let before = Database::closed("old name");
    let load = before.spawn_through(&stand.users, "1");
    before.has_begun().await;
    stand.elsewhere().del(1).await.unwrap();
    let after = Database::open("new name");
    let calls = [(); 10].map(|()| after.spawn_through(&stand.users, "1"));
    tokio::time::sleep(Duration::from_millis(100)).await;
    before.let_go_on();
    assert_eq!(load.await.unwrap().unwrap(), user("old name"));
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), user("new name"));
    }
    assert_eq!(after.calls(), 1);
    assert_eq!(stand.get("1").await, Some(user("new name")));
}

/// One row, ten readers of which every other leaves, and two processes that change it.
async fn no_reader_gets_what_was_before_a_del(stand: Stand) {
    let row = Arc::new(AtomicU64::new(0));
    let deleted = Arc::new(AtomicU64::new(0));
    let done = Arc::new(AtomicBool::new(false));
    let processes = [stand.users.clone(), stand.elsewhere()];
    let mut readers = JoinSet::new();
    for n in 0..10_u64 {
        let (users, row) = (processes[n as usize % 2].clone(), row.clone());
        let (deleted, done) = (deleted.clone(), done.clone());
        readers.spawn(async move {
            while !done.load(SeqCst) {
                let at_least = deleted.load(SeqCst);
                let row = row.clone();
                let read = move || async move {
                    let read = row.load(SeqCst);
                    tokio::time::sleep(Duration::from_micros(300 * n)).await;
                    Ok::<_, NoSuchUser>(read)
                };
                let call = users.get_or_load(1, USER_DATA_TTL, read);
                let patience = Duration::from_millis(if n % 2 == 0 { 1 } else { 10_000 });
                if let Ok(read) = tokio::time::timeout(patience, call).await {
                    assert!(read.unwrap() >= at_least);
                }
                tokio::task::yield_now().await;
            }
        });
    }
    for change in 1..=300 {
        row.store(change, SeqCst);
        processes[change as usize % 2].del(1).await.unwrap();
        deleted.store(change, SeqCst);
        tokio::time::sleep(Duration::from_millis(change % 4)).await;
    }
    done.store(true, SeqCst);
    readers.join_all().await;
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

async fn a_load_in_another_process_is_waited_for(stand: Stand) {
    let (one, other) = (Database::closed("Ada"), Database::open("nobody"));
    let first = one.spawn_through(&stand.users, "1");
    one.has_begun().await;
    let elsewhere = stand.elsewhere();
    let others = [(); 10].map(|()| other.spawn_through(&elsewhere, "1"));
    tokio::time::sleep(Duration::from_millis(100)).await;
    one.let_go_on();
    assert_eq!(first.await.unwrap().unwrap(), user("Ada"));
    for call in others {
        assert_eq!(call.await.unwrap().unwrap(), user("Ada"));
    }
    assert_eq!(other.calls(), 0);
}

#[tokio::test]
async fn a_call_after_a_del_does_not_get_what_was_before_it_when_that_cannot_be_stored() {
    let mut stand = Stand::redis().await;
    let store = stand.server().connected(Duration::from_secs(1)).await;
    let users = KeyValue::new(store, "user").unwrap();
    let before = Database::closed("old name");
    let load = before.spawn_through(&users, "1");
    before.has_begun().await;
    stand.elsewhere().del(1).await.unwrap();
    // What only reads is answered, and what stores is not.
    let server = stand.server();
    server.command(&["CLIENT", "PAUSE", "60000", "WRITE"]);
    let after = Database::open("new name");
    let calls = [(); 10].map(|()| after.spawn_through(&users, "1"));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(after.calls(), 0, "they wait for the load");
    before.let_go_on();
    assert_eq!(load.await.unwrap().unwrap(), user("old name"));
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), user("new name"));
    }
    assert_eq!(after.calls(), 1);
}

/// The value is in the store, and its load waits for the reply that says so.
#[tokio::test]
async fn a_call_after_a_del_does_not_join_a_load_whose_value_is_being_stored() {
    let mut stand = Stand::redis().await;
    let proxy = Proxy::start(stand.server().addr());
    let url = format!("redis://{}", proxy.addr());
    let store = connected(&url, PATIENT).await;
    let users = KeyValue::new(store, "user").unwrap();
    let before = Database::closed("old name");
    let load = before.spawn_through(&users, "1");
    before.has_begun().await;
    proxy.delay(Duration::ZERO, Duration::from_millis(700));
    before.let_go_on();
    eventually("it is stored", async || {
        stand.users.exists(1).await.unwrap()
    })
    .await;
    proxy.delay(Duration::ZERO, Duration::ZERO);
    assert!(stand.users.del(1).await.unwrap());
    // Some of them by a connection that no reply is waited for on.
    let after = Database::open("new name");
    let calls = [(); 8].map(|()| after.spawn_through(&users, "1"));
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), user("new name"));
    }
    assert_eq!(load.await.unwrap().unwrap(), user("old name"));
}
