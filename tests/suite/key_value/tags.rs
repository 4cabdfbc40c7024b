//! Tags: many values made missing by one command, whatever is under way.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::task::JoinSet;
use tower_keep::key_value::{KeyValue, USER_DATA_TTL};

use super::stand::{Database, NoSuchUser, Stand, User, user};

super::on_all_stores!(
    a_tag_takes_all_its_values_and_no_others,
    each_of_several_tags_is_enough,
    what_is_loaded_after_an_invalidation_is_kept,
    a_value_is_found_without_naming_its_tags,
    an_invalidation_while_a_load_runs_keeps_the_cache_empty,
    a_call_after_an_invalidation_does_not_get_what_was_before_it,
    no_reader_gets_what_was_before_an_invalidation,
    any_text_is_a_tag,
);

/// On every topology of Redis.
mod on_servers_that_fail {
    use super::{
        Stand, a_dead_redis_is_an_error_of_an_invalidation,
        a_server_at_its_memory_limit_takes_an_invalidation,
    };

    crate::harness::on_own_servers!(
        a_server_at_its_memory_limit_takes_an_invalidation,
        a_dead_redis_is_an_error_of_an_invalidation,
    );
}

/// On every topology of Redis.
mod in_redis {
    use super::{
        Stand, a_hit_with_named_tags_is_one_get_for_each_beside_the_value,
        a_stamp_that_is_evicted_makes_misses_and_never_brings_a_value_back,
        a_stamp_that_is_evicted_while_a_load_runs_makes_a_miss,
        a_tag_of_a_thousand_values_is_invalidated_by_one_command,
        a_tags_key_lives_as_long_as_the_values_that_have_it,
        something_else_under_a_tags_key_makes_misses_and_is_replaced,
    };

    crate::harness::on_every_redis!(
        a_tag_of_a_thousand_values_is_invalidated_by_one_command,
        a_hit_with_named_tags_is_one_get_for_each_beside_the_value,
        a_tags_key_lives_as_long_as_the_values_that_have_it,
        a_stamp_that_is_evicted_makes_misses_and_never_brings_a_value_back,
        a_stamp_that_is_evicted_while_a_load_runs_makes_a_miss,
        something_else_under_a_tags_key_makes_misses_and_is_replaced,
    );
}

/// A value of the users with tags, set or loaded.
async fn set(values: &KeyValue, id: u32, tags: &[&str]) {
    let entry = values.entry(id).tags(tags);
    entry.set(&user("Ada")).await.unwrap();
}

async fn exists(values: &KeyValue, id: u32) -> bool {
    values.get::<User>(id).await.unwrap().is_some()
}

async fn a_tag_takes_all_its_values_and_no_others(stand: Stand) {
    let teams = KeyValue::new(stand.store.clone(), "team").unwrap();
    for id in 0..20 {
        set(&stand.users, id, &["seven"]).await;
    }
    set(&teams, 1, &["seven"]).await;
    set(&teams, 2, &["eight"]).await;
    set(&teams, 3, &[]).await;
    stand.elsewhere().invalidate_tags(["seven"]).await.unwrap();
    for id in 0..20 {
        assert!(!exists(&stand.users, id).await, "{id}");
    }
    let found = stand.users.get_many::<User>(0..20).await.unwrap();
    assert!(found.iter().all(Option::is_none));
    assert!(!exists(&teams, 1).await);
    assert!(exists(&teams, 2).await && exists(&teams, 3).await);
}

async fn each_of_several_tags_is_enough(stand: Stand) {
    for tag in ["one", "two", "three"] {
        set(&stand.users, 1, &["one", "two", "three", "two"]).await;
        assert!(exists(&stand.users, 1).await);
        stand.users.invalidate_tags([tag]).await.unwrap();
        assert!(!exists(&stand.users, 1).await, "{tag}");
    }
    set(&stand.users, 1, &["one"]).await;
    set(&stand.users, 2, &["two"]).await;
    stand.users.invalidate_tags(["two", "one"]).await.unwrap();
    assert!(!exists(&stand.users, 1).await && !exists(&stand.users, 2).await);
}

async fn what_is_loaded_after_an_invalidation_is_kept(stand: Stand) {
    let database = Database::open("Ada");
    for calls in 1..=3 {
        for _ in 0..2 {
            let loaded = through(&stand.users, &database).await;
            assert_eq!(loaded, user("Ada"));
            assert_eq!(database.calls(), calls);
        }
        stand.users.invalidate_tags(["all"]).await.unwrap();
    }
    // Invalidated twice, and one that nothing has.
    stand.users.invalidate_tags(["all", "none"]).await.unwrap();
    assert!(!exists(&stand.users, 1).await);
}

async fn a_value_is_found_without_naming_its_tags(stand: Stand) {
    let database = Database::open("Ada");
    through(&stand.users, &database).await;
    assert!(exists(&stand.users, 1).await);
    let found = stand.users.get_many::<User>([1, 2]).await.unwrap();
    assert_eq!(found, [Some(user("Ada")), None]);
    // Nor by those who name none, or others.
    let other = Database::open("nobody");
    assert_eq!(other.through(&stand.users, "1").await.unwrap(), user("Ada"));
    let others = stand.users.entry(1).tags(["other"]);
    assert_eq!(others.get().await.unwrap(), Some(user("Ada")));
    stand.users.invalidate_tags(["all"]).await.unwrap();
    let others = stand.users.entry(1).tags(["other"]);
    assert_eq!(others.get::<User>().await.unwrap(), None);
    assert_eq!(
        other.through(&stand.users, "1").await.unwrap(),
        user("nobody")
    );
}

/// The user 1, who has the tag `all`.
async fn through(users: &KeyValue, database: &Database) -> User {
    let database = database.clone();
    let query = || async move { database.query().await };
    let entry = users.entry(1).ttl(USER_DATA_TTL).tags(["all"]);
    entry.or_load(query).await.unwrap()
}

fn spawn_through(users: &KeyValue, database: &Database) -> tokio::task::JoinHandle<User> {
    let (users, database) = (users.clone(), database.clone());
    tokio::spawn(async move { through(&users, &database).await })
}

async fn an_invalidation_while_a_load_runs_keeps_the_cache_empty(stand: Stand) {
    let database = Database::closed("Ada");
    let load = spawn_through(&stand.users, &database);
    database.has_begun().await;
    stand.elsewhere().invalidate_tags(["all"]).await.unwrap();
    database.let_go_on();
    assert_eq!(load.await.unwrap(), user("Ada"));
    assert!(!exists(&stand.users, 1).await);
    let later = Database::open("Grace");
    assert_eq!(through(&stand.users, &later).await, user("Grace"));
    assert!(exists(&stand.users, 1).await);
}

async fn a_call_after_an_invalidation_does_not_get_what_was_before_it(stand: Stand) {
    let before = Database::closed("old name");
    let load = spawn_through(&stand.users, &before);
    before.has_begun().await;
    stand.elsewhere().invalidate_tags(["all"]).await.unwrap();
    let after = Database::open("new name");
    let calls = [(); 10].map(|()| spawn_through(&stand.users, &after));
    let elsewhere = spawn_through(&stand.elsewhere(), &after);
    tokio::time::sleep(Duration::from_millis(100)).await;
    before.let_go_on();
    assert_eq!(load.await.unwrap(), user("old name"));
    for call in calls.into_iter().chain([elsewhere]) {
        assert_eq!(call.await.unwrap(), user("new name"));
    }
    assert_eq!(after.calls(), 1);
    assert_eq!(stand.get("1").await, Some(user("new name")));
}

/// A process whose calls wait for a lease that others always have, and that loads without one in
/// the end: it cannot know what has changed meanwhile.
#[tokio::test(start_paused = true)]
async fn a_call_after_an_invalidation_does_not_get_what_was_loaded_without_a_lease() {
    let stand = Stand::memory();
    let elsewhere = stand.elsewhere();
    let old = Database::closed("old name");
    let mut other = Database::closed("somebody");
    let mut others = spawn_through(&elsewhere, &other);
    other.has_begun().await;
    let leader = spawn_through(&stand.users, &old);
    for _ in 0..20 {
        // Long enough for it to ask for the lease again.
        tokio::time::sleep(Duration::from_millis(200)).await;
        if old.calls() > 0 {
            break;
        }
        other.let_go_on();
        others.await.unwrap();
        elsewhere.invalidate_tags(["all"]).await.unwrap();
        other = Database::closed("somebody");
        others = spawn_through(&elsewhere, &other);
        other.has_begun().await;
    }
    assert_eq!(old.calls(), 1, "it has given up on the lease");
    elsewhere.invalidate_tags(["all"]).await.unwrap();
    let new = Database::open("new name");
    let call = spawn_through(&stand.users, &new);
    tokio::time::sleep(Duration::from_millis(200)).await;
    old.let_go_on();
    assert_eq!(leader.await.unwrap(), user("old name"));
    other.let_go_on();
    assert_eq!(call.await.unwrap(), user("new name"));
    others.await.unwrap();
}

/// One row, readers in two processes, and two processes that change it.
async fn no_reader_gets_what_was_before_an_invalidation(stand: Stand) {
    let row = Arc::new(AtomicU64::new(0));
    let invalidated = Arc::new(AtomicU64::new(0));
    let done = Arc::new(AtomicBool::new(false));
    let processes = [stand.users.clone(), stand.elsewhere()];
    let mut readers = JoinSet::new();
    for n in 0..10_u64 {
        let (users, row) = (processes[n as usize % 2].clone(), row.clone());
        let (invalidated, done) = (invalidated.clone(), done.clone());
        readers.spawn(async move {
            while !done.load(SeqCst) {
                let at_least = invalidated.load(SeqCst);
                let row = row.clone();
                let read = move || async move {
                    let read = row.load(SeqCst);
                    tokio::time::sleep(Duration::from_micros(300 * n)).await;
                    Ok::<_, NoSuchUser>(read)
                };
                let call = users.entry(1).tags(["row"]).or_load(read);
                let patience = Duration::from_millis(if n % 2 == 0 { 1 } else { 10_000 });
                if let Ok(read) = tokio::time::timeout(patience, call).await {
                    assert!(read.unwrap() >= at_least);
                }
                tokio::task::yield_now().await;
            }
        });
    }
    for change in 1..=200 {
        row.store(change, SeqCst);
        let process = &processes[change as usize % 2];
        process.invalidate_tags(["row"]).await.unwrap();
        invalidated.store(change, SeqCst);
        tokio::time::sleep(Duration::from_millis(change % 4)).await;
    }
    done.store(true, SeqCst);
    readers.join_all().await;
}

async fn any_text_is_a_tag(stand: Stand) {
    let long = "x".repeat(60_000);
    let tags = ["", " ", "a:b", "{a}", "%7Ba%7D", "é\0\n*\"", &long];
    for tag in tags {
        set(&stand.users, 1, &tags).await;
        assert!(exists(&stand.users, 1).await);
        stand.users.invalidate_tags([tag]).await.unwrap();
        assert!(!exists(&stand.users, 1).await, "{tag:?}");
    }
}

const STAMP: &str = "keep:tag:all";

async fn a_tag_of_a_thousand_values_is_invalidated_by_one_command(mut stand: Stand) {
    for id in 0..1_000 {
        set(&stand.users, id, &["all"]).await;
    }
    stand.server().reset_stats();
    stand.users.invalidate_tags(["all"]).await.unwrap();
    let expected = BTreeMap::from([("unlink".to_owned(), 1)]);
    assert_eq!(stand.server().command_calls(), expected);
    for id in [0, 500, 999] {
        assert!(!exists(&stand.users, id).await);
    }
    stand.server().assert_every_key_has_a_ttl();
}

async fn a_hit_with_named_tags_is_one_get_for_each_beside_the_value(mut stand: Stand) {
    set(&stand.users, 1, &["one", "two"]).await;
    stand.server().reset_stats();
    let entry = stand.users.entry(1).tags(["one", "two"]);
    assert!(entry.get::<User>().await.unwrap().is_some());
    let expected = BTreeMap::from([("get".to_owned(), 3)]);
    assert_eq!(stand.server().command_calls(), expected);
}

async fn a_tags_key_lives_as_long_as_the_values_that_have_it(mut stand: Stand) {
    let database = Database::open("Ada");
    through(&stand.users, &database).await;
    let short = stand.users.entry(2).tags(["all"]);
    let short = short.ttl(Duration::from_secs(1));
    short.set(&user("Ada")).await.unwrap();
    let left = |key: &str| stand.server.as_ref().unwrap().query::<i64>(&["PTTL", key]);
    assert!(left(STAMP) >= left("keep:user:1"));
    assert!(left("keep:user:2") <= 1_000);
    // Nor does it go with a value that came first and is shorter.
    stand.users.invalidate_tags(["all"]).await.unwrap();
    let short = stand.users.entry(2).tags(["all"]);
    let short = short.ttl(Duration::from_secs(1));
    short.set(&user("Ada")).await.unwrap();
    assert!(left(STAMP) <= 1_000);
    set(&stand.users, 3, &["all"]).await;
    assert!(left(STAMP) > 60_000 && left("keep:user:3") > 60_000);
    stand.server().assert_every_key_has_a_ttl();
}

async fn a_stamp_that_is_evicted_makes_misses_and_never_brings_a_value_back(mut stand: Stand) {
    let database = Database::open("old");
    through(&stand.users, &database).await;
    set(&stand.users, 2, &["all"]).await;
    stand.server().command(&["DEL", STAMP]);
    assert!(!exists(&stand.users, 1).await && !exists(&stand.users, 2).await);
    // A new value gives the tag a new stamp: it is no other value's.
    let database = Database::open("new");
    assert_eq!(through(&stand.users, &database).await, user("new"));
    assert!(exists(&stand.users, 1).await);
    assert!(!exists(&stand.users, 2).await);
}

async fn a_stamp_that_is_evicted_while_a_load_runs_makes_a_miss(mut stand: Stand) {
    let database = Database::closed("Ada");
    let load = spawn_through(&stand.users, &database);
    database.has_begun().await;
    stand.server().command(&["DEL", STAMP]);
    database.let_go_on();
    assert_eq!(load.await.unwrap(), user("Ada"));
    assert!(!exists(&stand.users, 1).await);
}

async fn something_else_under_a_tags_key_makes_misses_and_is_replaced(mut stand: Stand) {
    for command in [
        &["HSET", STAMP, "field", "1"][..],
        &["SADD", STAMP, "1"],
        &["SET", STAMP, ""],
        &["SET", STAMP, "foreign"],
    ] {
        set(&stand.users, 1, &["all"]).await;
        let server = stand.server();
        server.command(&["DEL", STAMP]);
        server.command(command);
        server.command(&["PEXPIRE", STAMP, "60000"]);
        assert!(!exists(&stand.users, 1).await, "{command:?}");
        let database = Database::open("Ada");
        for _ in 0..2 {
            through(&stand.users, &database).await;
        }
        assert_eq!(database.calls(), 1, "{command:?}");
        stand.users.invalidate_tags(["all"]).await.unwrap();
        assert!(!exists(&stand.users, 1).await, "{command:?}");
    }
}

async fn a_server_at_its_memory_limit_takes_an_invalidation(mut stand: Stand) {
    set(&stand.users, 1, &["all"]).await;
    let server = stand.server();
    server.command_each(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    server.command_each(&["CONFIG", "SET", "maxmemory", "1"]);
    stand.users.invalidate_tags(["all"]).await.unwrap();
    assert!(!exists(&stand.users, 1).await);
}

async fn a_dead_redis_is_an_error_of_an_invalidation(mut stand: Stand) {
    set(&stand.users, 1, &["all"]).await;
    stand.server().kill();
    assert!(stand.users.invalidate_tags(["all"]).await.is_err());
    let database = Database::open("Ada");
    assert_eq!(through(&stand.users, &database).await, user("Ada"));
}
