//! Cache-aside: one load for all who need the value.

use std::convert::Infallible;

use tokio::task::JoinSet;
use tower_keep::key_value::USER_DATA_TTL;

use super::stand::{Database, NoSuchUser, Stand, User, user};

super::on_all_stores!(
    what_was_loaded_is_kept,
    a_hundred_tasks_on_a_cold_key_load_once,
    a_loaders_error_reaches_all_who_wait_and_is_not_kept,
    calls_with_other_types_share_no_load,
    loads_of_other_keys_do_not_wait,
);

async fn what_was_loaded_is_kept(stand: Stand) {
    let database = Database::open("Ada");
    for users in [&stand.users, &stand.users, &stand.elsewhere()] {
        assert_eq!(database.through(users, "1").await.unwrap(), user("Ada"));
    }
    assert_eq!(database.calls(), 1);
    assert_eq!(stand.get("1").await, Some(user("Ada")));
}

async fn a_hundred_tasks_on_a_cold_key_load_once(stand: Stand) {
    let database = Database::closed("Ada");
    let mut tasks = JoinSet::new();
    for _ in 0..100 {
        let (database, users) = (database.clone(), stand.users.clone());
        tasks.spawn(async move { database.through(&users, "1").await });
    }
    database.has_begun().await;
    database.let_go_on();
    for result in tasks.join_all().await {
        assert_eq!(result.unwrap(), user("Ada"));
    }
    assert_eq!(database.calls(), 1);
}

async fn a_loaders_error_reaches_all_who_wait_and_is_not_kept(stand: Stand) {
    let database = Database::closed("nobody");
    let mut tasks = JoinSet::new();
    for _ in 0..10 {
        let (database, users) = (database.clone(), stand.users.clone());
        tasks.spawn(async move {
            let query = || async move {
                database.query().await?;
                Err::<User, _>(NoSuchUser)
            };
            users.get_or_load(1, USER_DATA_TTL, query).await
        });
    }
    database.has_begun().await;
    // The clock of a runtime with nothing else to do: all ten are waiting then.
    settle().await;
    database.let_go_on();
    for result in tasks.join_all().await {
        assert_eq!(result.unwrap_err().loader(), Some(&NoSuchUser));
    }
    assert_eq!(database.calls(), 1);
    assert!(!stand.users.exists(1).await.unwrap());
    let recovered = Database::open("Ada");
    assert_eq!(
        recovered.through(&stand.users, "1").await.unwrap(),
        user("Ada")
    );
}

async fn calls_with_other_types_share_no_load(stand: Stand) {
    let broken = Database::closed("nobody");
    let leader = tokio::spawn({
        let (broken, users) = (broken.clone(), stand.users.clone());
        async move {
            let query = || async move {
                broken.query().await?;
                Err::<User, _>(NoSuchUser)
            };
            users.get_or_load(1, USER_DATA_TTL, query).await
        }
    });
    broken.has_begun().await;
    let other = tokio::spawn({
        let users = stand.users.clone();
        async move {
            let query = || async { Ok::<_, Infallible>("Ada".to_owned()) };
            users.get_or_load(1, USER_DATA_TTL, query).await
        }
    });
    settle().await;
    broken.let_go_on();
    let error = leader.await.unwrap().unwrap_err();
    assert_eq!(error.loader(), Some(&NoSuchUser));
    assert_eq!(other.await.unwrap().unwrap(), "Ada");
}

async fn loads_of_other_keys_do_not_wait(stand: Stand) {
    let slow = Database::closed("Ada");
    let first = slow.spawn_through(&stand.users, "1");
    slow.has_begun().await;
    let quick = Database::open("Grace");
    assert_eq!(
        quick.through(&stand.users, "2").await.unwrap(),
        user("Grace")
    );
    slow.let_go_on();
    assert_eq!(first.await.unwrap().unwrap(), user("Ada"));
}

/// Lets what was spawned get as far as it can without the test.
async fn settle() {
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
}
