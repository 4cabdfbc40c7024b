//! What a load leaves behind in the store: nothing but what it found.

use tower_keep::key_value::USER_DATA_TTL;

use super::stand::{Database, NoSuchUser, Stand, User, user};
use crate::harness::eventually;

super::on_all_stores!(a_load_that_fails_takes_no_other_loads_lease_along);

async fn a_load_that_fails_takes_no_other_loads_lease_along(stand: Stand) {
    let good = Database::closed("Ada");
    let load = good.spawn_through(&stand.users, "1");
    good.has_begun().await;
    // In another process.
    let failed = stand
        .elsewhere()
        .get_or_load(1, USER_DATA_TTL, || async { Err::<User, _>(NoSuchUser) })
        .await;
    failed.unwrap_err();
    // It gives its own lease back in its own time.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    good.let_go_on();
    assert_eq!(load.await.unwrap().unwrap(), user("Ada"));
    assert_eq!(stand.get("1").await, Some(user("Ada")));
}

#[tokio::test]
async fn two_hundred_loads_of_nothing_leave_nothing_behind() {
    let mut stand = Stand::redis().await;
    for n in 0..200 {
        let id = format!("{n}{}", "x".repeat(60_000));
        let nobody = || async { Err::<User, _>(NoSuchUser) };
        let load = stand.users.get_or_load(&id, USER_DATA_TTL, nobody);
        load.await.unwrap_err();
    }
    nothing_is_left(&mut stand).await;
}

#[tokio::test]
async fn a_load_that_panics_leaves_nothing_behind() {
    let mut stand = Stand::redis().await;
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
