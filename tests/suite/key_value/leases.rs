//! What a load leaves behind in the store: nothing but what it found.

use tower_keep::key_value::USER_DATA_TTL;

use super::stand::{Database, NoSuchUser, Stand, User, user};
use crate::harness::eventually;

super::on_all_stores!(
    a_load_that_fails_takes_no_other_loads_lease_along,
    a_load_that_fails_elsewhere_is_followed_at_once,
);

/// On every topology of Redis.
mod in_redis {
    use super::{
        Stand, a_load_that_panics_leaves_nothing_behind,
        a_load_that_takes_long_renews_its_own_lease_and_no_other,
        two_hundred_loads_of_nothing_leave_nothing_behind,
    };

    crate::harness::on_every_redis!(
        a_load_that_takes_long_renews_its_own_lease_and_no_other,
        two_hundred_loads_of_nothing_leave_nothing_behind,
        a_load_that_panics_leaves_nothing_behind,
    );
}

async fn a_load_that_fails_takes_no_other_loads_lease_along(stand: Stand) {
    let fails = Database::closed("nobody");
    let users = stand.elsewhere();
    let failing = tokio::spawn({
        let fails = fails.clone();
        async move {
            let query = || async move {
                fails.query().await?;
                Err::<User, _>(NoSuchUser)
            };
            users.get_or_load(1, USER_DATA_TTL, query).await
        }
    });
    fails.has_begun().await;
    // The next load need not wait for what began before this.
    stand.users.del(1).await.unwrap();
    let good = Database::closed("Ada");
    let load = good.spawn_through(&stand.users, "1");
    good.has_begun().await;
    fails.let_go_on();
    failing.await.unwrap().unwrap_err();
    // It gives its own lease back in its own time.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    good.let_go_on();
    assert_eq!(load.await.unwrap().unwrap(), user("Ada"));
    assert_eq!(stand.get("1").await, Some(user("Ada")));
}

async fn a_load_that_fails_elsewhere_is_followed_at_once(stand: Stand) {
    let fails = Database::closed("nobody");
    let users = stand.elsewhere();
    let failing = tokio::spawn({
        let fails = fails.clone();
        async move {
            let query = || async move {
                fails.query().await?;
                Err::<User, _>(NoSuchUser)
            };
            users.get_or_load(1, USER_DATA_TTL, query).await
        }
    });
    fails.has_begun().await;
    let good = Database::open("Ada");
    let load = good.spawn_through(&stand.users, "1");
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(good.calls(), 0, "it waits for the other process");
    let begin = tokio::time::Instant::now();
    fails.let_go_on();
    // Its error is its own callers'.
    failing.await.unwrap().unwrap_err();
    assert_eq!(load.await.unwrap().unwrap(), user("Ada"));
    // Long before the lease would have expired.
    assert!(begin.elapsed().as_secs() < 4, "{:?}", begin.elapsed());
}

async fn a_load_that_takes_long_renews_its_own_lease_and_no_other(mut stand: Stand) {
    let slow = Database::closed("Ada");
    let load = slow.spawn_through(&stand.users, "1");
    slow.has_begun().await;
    let server = stand.server();
    let [lease] = &server.keys("keep:lease:*")[..] else {
        panic!("a load has one lease");
    };
    let left = || server.query::<i64>(&["PTTL", lease]);
    let (mut lowest, mut renewals) = (left(), 0);
    eventually("it is renewed twice", async || {
        let now = left();
        if now > lowest + 500 {
            renewals += 1;
            lowest = now;
        }
        lowest = lowest.min(now);
        renewals == 2
    })
    .await;
    // Another load has it now, since a change came in between.
    server.command(&["SET", lease, "another load's t", "PX", "4000"]);
    let mut lowest = left();
    eventually("it runs out", async || {
        let now = left();
        assert!(now <= lowest, "{now} after {lowest}");
        lowest = now;
        now < 1_500
    })
    .await;
    slow.let_go_on();
    assert_eq!(load.await.unwrap().unwrap(), user("Ada"));
    assert_eq!(stand.get("1").await, None);
}

async fn two_hundred_loads_of_nothing_leave_nothing_behind(mut stand: Stand) {
    for n in 0..200 {
        let id = format!("{n}{}", "x".repeat(60_000));
        let nobody = || async { Err::<User, _>(NoSuchUser) };
        let load = stand.users.get_or_load(&id, USER_DATA_TTL, nobody);
        load.await.unwrap_err();
    }
    nothing_is_left(&mut stand).await;
}

async fn a_load_that_panics_leaves_nothing_behind(mut stand: Stand) {
    for n in 0..20 {
        let users = stand.users.clone();
        let call = tokio::spawn(async move {
            let broken = || async { panic!("the loader's own") };
            users
                .get_or_load::<User, NoSuchUser, _, _>(n, USER_DATA_TTL, broken)
                .await
        });
        let _ = call.await;
    }
    nothing_is_left(&mut stand).await;
}

async fn nothing_is_left(stand: &mut Stand) {
    let server = stand.server();
    server.assert_every_key_has_a_ttl();
    eventually("no key is left", async || server.keys("*").is_empty()).await;
}
