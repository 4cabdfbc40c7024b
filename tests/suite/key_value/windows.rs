//! Values that are served though they are stale, refreshed before they are, or known to be missing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use tower_keep::key_value::{Entry, Expiry, LoadError, USER_DATA_TTL};

use super::stand::{Database, NoSuchUser, Stand, User, user};
use crate::harness::eventually;

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

super::on_all_stores!(
    a_stale_value_is_served_and_loaded_anew_in_the_background,
    many_calls_that_find_a_stale_value_load_once,
    a_stale_value_is_served_when_the_loader_fails,
    a_stale_value_is_served_when_the_budget_is_spent,
    a_value_beyond_its_windows_is_not_served,
    a_stale_value_is_nothing_to_those_who_only_read,
    a_refresh_that_a_del_overtakes_is_not_stored,
    a_value_is_refreshed_early_when_its_load_takes_long,
    a_call_waits_for_its_budget_and_the_load_goes_on,
    that_there_is_nothing_is_kept_for_its_own_time,
    what_is_known_to_be_missing_is_loaded_by_those_who_need_a_value,
    a_value_takes_the_place_of_what_was_missing,
    jitter_spreads_what_is_loaded_together,
);

/// An entry that is served stale for an hour while it is loaded anew, and for two when that fails.
fn entry(stand: &Stand) -> Entry<'_> {
    let entry = stand.users.entry(1).ttl(HOUR);
    entry.stale_while_revalidate(HOUR).stale_on_error(HOUR * 2)
}

async fn load(entry: Entry<'_>, database: &Database) -> Result<User, LoadError<NoSuchUser>> {
    let database = database.clone();
    entry
        .or_load(|| async move { database.query().await })
        .await
}

async fn fail(entry: Entry<'_>) -> Result<User, LoadError<NoSuchUser>> {
    entry.or_load(|| async { Err(NoSuchUser) }).await
}

/// Stores a value of [`entry`] and lets it be stale for so long already.
async fn store_stale(stand: &Stand, name: &'static str, stale_for: Duration) {
    let stored = load(entry(stand), &Database::open(name)).await;
    assert_eq!(stored.unwrap(), user(name));
    assert!(stand.users.expire(1, HOUR * 2 - stale_for).await.unwrap());
}

async fn is_loaded_anew(stand: &Stand, name: &str) {
    eventually("a new value", async || {
        stand.get("1").await == Some(user(name))
    })
    .await;
}

async fn a_stale_value_is_served_and_loaded_anew_in_the_background(stand: Stand) {
    store_stale(&stand, "old", MINUTE).await;
    let slow = Database::closed("new");
    assert_eq!(load(entry(&stand), &slow).await.unwrap(), user("old"));
    slow.has_begun().await;
    assert_eq!(load(entry(&stand), &slow).await.unwrap(), user("old"));
    slow.let_go_on();
    is_loaded_anew(&stand, "new").await;
    assert_eq!(load(entry(&stand), &slow).await.unwrap(), user("new"));
    assert_eq!(slow.calls(), 1);
    let Some(Expiry::In(left)) = stand.users.ttl(1).await.unwrap() else {
        panic!("it does not expire");
    };
    assert!(left > HOUR * 3 - MINUTE && left <= HOUR * 3, "{left:?}");
}

async fn many_calls_that_find_a_stale_value_load_once(stand: Stand) {
    store_stale(&stand, "old", MINUTE).await;
    let slow = Database::closed("new");
    let elsewhere = stand.elsewhere();
    for _ in 0..50 {
        assert_eq!(load(entry(&stand), &slow).await.unwrap(), user("old"));
        let entry = elsewhere.entry(1).stale_while_revalidate(HOUR);
        assert_eq!(load(entry, &slow).await.unwrap(), user("old"));
    }
    slow.has_begun().await;
    slow.let_go_on();
    is_loaded_anew(&stand, "new").await;
    assert_eq!(slow.calls(), 1);
}

async fn a_stale_value_is_served_when_the_loader_fails(stand: Stand) {
    store_stale(&stand, "old", HOUR + MINUTE).await;
    for _ in 0..3 {
        assert_eq!(fail(entry(&stand)).await.unwrap(), user("old"));
    }
    let panics = entry(&stand).or_load(async || -> Result<User, NoSuchUser> { panic!("broken") });
    assert_eq!(panics.await.unwrap(), user("old"));
    // In the foreground, where it can be: the new value is for the very call that loads it.
    let database = Database::open("new");
    eventually("the source is asked again", async || {
        let loaded = load(entry(&stand), &database).await.unwrap();
        assert_eq!(loaded == user("new"), database.calls() > 0);
        loaded == user("new")
    })
    .await;
    assert_eq!(stand.get("1").await, Some(user("new")));
}

async fn a_stale_value_is_served_when_the_budget_is_spent(stand: Stand) {
    store_stale(&stand, "old", HOUR + MINUTE).await;
    let slow = Database::closed("new");
    let hasty = entry(&stand).budget(Duration::from_millis(50));
    assert_eq!(load(hasty, &slow).await.unwrap(), user("old"));
    slow.let_go_on();
    is_loaded_anew(&stand, "new").await;
}

async fn a_value_beyond_its_windows_is_not_served(stand: Stand) {
    store_stale(&stand, "old", MINUTE * 10).await;
    // The windows are the call's.
    let strict = stand.users.entry(1).stale_on_error(MINUTE);
    let error = fail(strict).await.unwrap_err();
    assert_eq!(error.loader(), Some(&NoSuchUser));
    let none = stand.users.entry(1);
    let database = Database::open("new");
    assert_eq!(load(none, &database).await.unwrap(), user("new"));
    assert_eq!(stand.get("1").await, Some(user("new")));
}

async fn a_stale_value_is_nothing_to_those_who_only_read(stand: Stand) {
    store_stale(&stand, "old", MINUTE).await;
    assert_eq!(stand.get("1").await, None);
    assert_eq!(entry(&stand).get::<User>().await.unwrap(), None);
    assert_eq!(stand.users.get_many::<User>([1]).await.unwrap(), [None]);
    let windows = stand.users.clone().with_stale_while_revalidate(HOUR);
    assert_eq!(windows.get::<User>(1).await.unwrap(), None);
    assert_eq!(windows.get_many::<User>([1]).await.unwrap(), [None]);
    assert!(stand.users.exists(1).await.unwrap());
    // While it is fresh they get it.
    assert!(stand.users.expire(1, HOUR * 2 + MINUTE).await.unwrap());
    assert_eq!(stand.get("1").await, Some(user("old")));
    assert_eq!(windows.get(1).await.unwrap(), Some(user("old")));
    assert_eq!(windows.get_many([1]).await.unwrap(), [Some(user("old"))]);
}

async fn a_refresh_that_a_del_overtakes_is_not_stored(stand: Stand) {
    store_stale(&stand, "old", MINUTE).await;
    let slow = Database::closed("older");
    assert_eq!(load(entry(&stand), &slow).await.unwrap(), user("old"));
    slow.has_begun().await;
    assert!(stand.elsewhere().del(1).await.unwrap());
    slow.let_go_on();
    eventually("the refresh ends", async || slow.is_idle()).await;
    let database = Database::open("new");
    assert_eq!(load(entry(&stand), &database).await.unwrap(), user("new"));
    assert_eq!(stand.get("1").await, Some(user("new")));
    assert_eq!(slow.calls(), 1);
}

async fn a_value_is_refreshed_early_when_its_load_takes_long(stand: Stand) {
    // So eager that what took a moment is refreshed an hour before it expires.
    let eager = || stand.users.entry(1).early_refresh(1e12);
    let slow = async || {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok::<_, NoSuchUser>(user("old"))
    };
    assert_eq!(eager().or_load(slow).await.unwrap(), user("old"));
    let database = Database::open("new");
    let by_default = load(stand.users.entry(1), &database).await;
    assert_eq!(by_default.unwrap(), user("old"));
    assert_eq!(database.calls(), 0);
    assert_eq!(load(eager(), &database).await.unwrap(), user("old"));
    is_loaded_anew(&stand, "new").await;
    assert_eq!(database.calls(), 1);
}

async fn a_call_waits_for_its_budget_and_the_load_goes_on(stand: Stand) {
    let slow = Database::closed("Ada");
    let budget = Duration::from_millis(50);
    for _ in 0..2 {
        let begin = Instant::now();
        let result = load(stand.users.entry(1).budget(budget), &slow).await;
        assert!(
            matches!(result, Err(LoadError::TimedOut(of)) if of == budget),
            "{result:?}"
        );
        assert!(begin.elapsed() < Duration::from_secs(20));
    }
    slow.let_go_on();
    is_loaded_anew(&stand, "Ada").await;
    assert_eq!(slow.calls(), 1);
}

/// The user 1, or that there is none.
async fn optional(stand: &Stand, found: Option<&str>) -> Option<User> {
    let found = found.map(user);
    let query = || async { Ok::<_, NoSuchUser>(found) };
    let entry = stand.users.entry(1).negative_ttl(MINUTE);
    entry.or_load_optional(query).await.unwrap()
}

async fn that_there_is_nothing_is_kept_for_its_own_time(stand: Stand) {
    assert_eq!(optional(&stand, None).await, None);
    // Nobody is asked again.
    assert_eq!(optional(&stand, Some("Ada")).await, None);
    assert_eq!(stand.get("1").await, None);
    assert!(stand.users.exists(1).await.unwrap());
    let left = stand.users.ttl(1).await.unwrap();
    assert!(
        matches!(left, Some(Expiry::In(left)) if left <= MINUTE),
        "{left:?}"
    );
    assert!(stand.users.del(1).await.unwrap());
    assert_eq!(optional(&stand, Some("Ada")).await, Some(user("Ada")));
    assert_eq!(optional(&stand, None).await, Some(user("Ada")));
    let left = stand.users.ttl(1).await.unwrap();
    assert!(
        matches!(left, Some(Expiry::In(left)) if left > MINUTE),
        "{left:?}"
    );
}

async fn what_is_known_to_be_missing_is_loaded_by_those_who_need_a_value(stand: Stand) {
    assert_eq!(optional(&stand, None).await, None);
    let database = Database::open("Ada");
    let loaded = database.through(&stand.users, "1").await;
    assert_eq!(loaded.unwrap(), user("Ada"));
    assert_eq!(optional(&stand, None).await, Some(user("Ada")));
}

async fn a_value_takes_the_place_of_what_was_missing(stand: Stand) {
    assert_eq!(optional(&stand, None).await, None);
    let users = &stand.users;
    users.set(1, &user("Ada"), USER_DATA_TTL).await.unwrap();
    assert_eq!(optional(&stand, None).await, Some(user("Ada")));
    // A list of nothing and a user who is nobody are values.
    users.set(1, &None::<User>, USER_DATA_TTL).await.unwrap();
    assert_eq!(users.get::<Option<User>>(1).await.unwrap(), Some(None));
}

async fn jitter_spreads_what_is_loaded_together(stand: Stand) {
    let users = stand.users.clone().with_jitter(0.5).with_ttl(HOUR);
    let mut left = Vec::new();
    for id in 0..30 {
        load(users.entry(id), &Database::open("Ada")).await.unwrap();
        match users.ttl(id).await.unwrap() {
            Some(Expiry::In(ttl)) => left.push(ttl),
            other => panic!("{other:?}"),
        }
    }
    let (first, last) = (left.iter().min().unwrap(), left.iter().max().unwrap());
    assert!(*last <= HOUR && *first >= HOUR / 2 - MINUTE, "{left:?}");
    assert!(*last - *first > HOUR / 20, "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn a_value_is_fresh_then_stale_then_a_last_resort_then_gone() {
    let stand = Stand::memory();
    let served = async || {
        let found = fail(entry(&stand)).await;
        found.is_ok()
    };
    load(entry(&stand), &Database::open("Ada")).await.unwrap();
    assert_eq!(stand.get("1").await, Some(user("Ada")));
    for (minutes, expected) in [
        (59, true),
        (61, true),
        (119, true),
        (121, true),
        (179, true),
    ] {
        tokio::time::advance(MINUTE * minutes).await;
        assert_eq!(served().await, expected, "{minutes}");
        tokio::time::sleep(Duration::from_millis(1)).await;
        // Back to the beginning, by another load.
        stand.users.del(1).await.unwrap();
        load(entry(&stand), &Database::open("Ada")).await.unwrap();
    }
    tokio::time::advance(MINUTE * 181).await;
    assert!(!served().await);
    assert!(!stand.users.exists(1).await.unwrap());
}

#[tokio::test]
async fn a_hit_with_windows_is_one_get_and_one_pttl() {
    let mut stand = Stand::redis().await;
    load(entry(&stand), &Database::open("Ada")).await.unwrap();
    stand.server().reset_stats();
    load(entry(&stand), &Database::open("nobody"))
        .await
        .unwrap();
    let calls = stand.server().command_calls();
    let expected = [("get".to_owned(), 1), ("pttl".to_owned(), 1)];
    assert!(calls.into_iter().eq(expected));
}

/// How many of the calls of the next `seconds`, one every tenth of a second, ask the source, which
/// fails. All of them get the stale value.
async fn asked_in(stand: &Stand, seconds: u32) -> usize {
    let asked = Arc::new(AtomicUsize::new(0));
    for _ in 0..seconds * 10 {
        let asked = asked.clone();
        let broken = async move || {
            asked.fetch_add(1, Ordering::SeqCst);
            Err::<User, _>(NoSuchUser)
        };
        let served = entry(stand).or_load(broken).await;
        assert_eq!(served.unwrap(), user("old"));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    asked.load(Ordering::SeqCst)
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_is_asked_less_and_less_often() {
    // While it is refreshed in the background, and in the foreground.
    for stale_for in [MINUTE, HOUR + MINUTE] {
        let stand = Stand::memory();
        store_stale(&stand, "old", stale_for).await;
        // At 0, 1, 3, 7, 15, 31, 61 and 91 seconds.
        assert_eq!(asked_in(&stand, 120).await, 8, "{stale_for:?}");
        // And anew when it is back.
        let database = Database::open("new");
        tokio::time::sleep(Duration::from_secs(30)).await;
        let _ = load(entry(&stand), &database).await;
        is_loaded_anew(&stand, "new").await;
        assert_eq!(database.calls(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_panics_or_takes_too_long_has_failed_too() {
    let stand = Stand::memory();
    store_stale(&stand, "old", MINUTE).await;
    let panics = entry(&stand).or_load(async || -> Result<User, NoSuchUser> { panic!("broken") });
    assert_eq!(panics.await.unwrap(), user("old"));
    tokio::time::sleep(Duration::from_millis(10)).await;
    let database = Database::open("new");
    assert_eq!(load(entry(&stand), &database).await.unwrap(), user("old"));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let stuck = Database::closed("new");
    let hasty = entry(&stand).load_timeout(Duration::from_millis(10));
    assert_eq!(load(hasty, &stuck).await.unwrap(), user("old"));
    stuck.has_begun().await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(load(entry(&stand), &database).await.unwrap(), user("old"));
    assert_eq!(database.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_is_asked_by_every_call_that_has_nothing_to_serve() {
    let stand = Stand::memory();
    store_stale(&stand, "old", MINUTE).await;
    assert_eq!(asked_in(&stand, 5).await, 3);
    stand.users.del(1).await.unwrap();
    for _ in 0..3 {
        assert!(fail(entry(&stand)).await.is_err());
    }
    let database = Database::open("new");
    assert_eq!(load(entry(&stand), &database).await.unwrap(), user("new"));
}

/// Values that the store does not take are no better than none.
#[tokio::test]
async fn a_store_that_takes_no_write_does_not_let_every_call_ask_the_source() {
    let mut stand = Stand::redis().await;
    store_stale(&stand, "old", MINUTE).await;
    let server = stand.server();
    server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let database = Database::open("new");
    let begin = Instant::now();
    for _ in 0..50 {
        assert_eq!(load(entry(&stand), &database).await.unwrap(), user("old"));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // One, and one more for each second of a slow machine.
    let most = 1 + begin.elapsed().as_secs() as usize;
    assert!(
        (1..=most).contains(&database.calls()),
        "{}",
        database.calls()
    );
}
