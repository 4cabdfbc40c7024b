//! Callers that leave: the load goes on without them.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use tokio::{sync::Semaphore, task::JoinSet};
use tower_keep::key_value::USER_DATA_TTL;

use super::stand::{Database, Loaded, Stand, user};
use crate::harness::eventually;

super::on_all_stores!(
    a_load_goes_on_when_its_first_caller_leaves,
    a_load_that_everybody_has_left_is_stored,
    wherever_the_first_caller_leaves_the_others_get_one_load,
    a_del_at_any_point_of_a_load_keeps_what_was_before_it_out,
);

async fn a_load_goes_on_when_its_first_caller_leaves(stand: Stand) {
    let slow = Database::closed("Ada");
    let leader = slow.spawn_through(&stand.users, "1");
    slow.has_begun().await;
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    let others = Database::open("nobody");
    let follower = others.spawn_through(&stand.users, "1");
    slow.let_go_on();
    assert_eq!(follower.await.unwrap().unwrap(), user("Ada"));
    assert_eq!((slow.calls(), others.calls()), (1, 0));
}

async fn a_load_that_everybody_has_left_is_stored(stand: Stand) {
    let slow = Database::closed("Ada");
    // A client with a shorter patience than the query takes, again and again.
    for _ in 0..10 {
        let call = slow.spawn_through(&stand.users, "1");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        call.abort();
    }
    assert_eq!(slow.calls(), 1);
    slow.let_go_on();
    eventually("it is stored", async || stand.get("1").await.is_some()).await;
}

/// A call that is dropped after a number of polls, one of its awaits each; whether it was.
async fn left_after(polls: usize, call: impl Future<Output = Loaded>) -> bool {
    let mut call = pin!(call);
    let mut left = polls;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(true);
        }
        left -= 1;
        call.as_mut().poll(cx).map(|_| false)
    })
    .await
}

/// Lets a call leave at each of its awaits in turn, until it has no more.
async fn at_each_await(mut test: impl AsyncFnMut(usize) -> bool) {
    let mut polls = 0;
    while test(polls).await {
        polls += 1;
        assert!(polls < 50, "it never ends");
    }
    assert!(polls > 0, "it has no await");
}

async fn wherever_the_first_caller_leaves_the_others_get_one_load(mut stand: Stand) {
    at_each_await(async |polls| {
        let database = Database::open("Ada");
        let id = polls.to_string();
        let left = left_after(polls, database.through(&stand.users, &id)).await;
        let mut followers = JoinSet::new();
        for _ in 0..100 {
            let (database, users, id) = (database.clone(), stand.users.clone(), id.clone());
            followers.spawn(async move { database.through(&users, &id).await });
        }
        for result in followers.join_all().await {
            assert_eq!(result.unwrap(), user("Ada"));
        }
        assert_eq!(database.calls(), 1, "left after {polls} polls");
        left
    })
    .await;
    if stand.is_redis() {
        let server = stand.server();
        eventually("no lease is left", async || {
            server.keys("keep:lease:*").is_empty()
        })
        .await;
    }
}

/// What a row says, and who reads it slowly.
struct Row {
    changed: AtomicBool,
    reads: Semaphore,
}

async fn a_del_at_any_point_of_a_load_keeps_what_was_before_it_out(stand: Stand) {
    at_each_await(async |polls| {
        let row = Arc::new(Row {
            changed: AtomicBool::new(false),
            reads: Semaphore::new(0),
        });
        let read = {
            let row = row.clone();
            move || async move {
                let changed = row.changed.load(Ordering::SeqCst);
                // Long enough for a change to come in between, more often than not.
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
                row.reads.add_permits(1);
                Ok::<_, super::stand::NoSuchUser>(user(if changed { "new" } else { "old" }))
            }
        };
        let id = polls.to_string();
        let load = stand.users.get_or_load(&id, USER_DATA_TTL, read.clone());
        let left = left_after(polls, load).await;
        // As an application does it: the database first, then the cache.
        row.changed.store(true, Ordering::SeqCst);
        stand.users.del(&id).await.unwrap();
        let after = stand.users.get_or_load(&id, USER_DATA_TTL, read).await;
        assert_eq!(after.unwrap(), user("new"), "del after {polls} polls");
        // The load that the change has overtaken ends too.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(stand.get(&id).await, Some(user("new")));
        left
    })
    .await;
}
