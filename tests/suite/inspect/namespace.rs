//! Removing all keys of a namespace.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Barrier, Notify},
    task::JoinSet,
};
use tower_keep::inspect::Inspector;

use super::{HOUR, Stand, on_each_topology};

on_each_topology!(
    a_namespace_goes_and_its_neighbours_stay,
    progress_grows_to_the_number_of_all_keys,
    no_load_that_is_under_way_brings_a_value_back,
    a_namespace_is_deleted_while_others_write,
);

async fn a_namespace_goes_and_its_neighbours_stay(stand: Stand) {
    let neighbours = ["shop2", "sho", "shop-eu", "other:shop", "SHOP", "sh.p"];
    for namespace in ["shop", "shop:eu"].iter().chain(&neighbours) {
        stand.users(namespace, 20).await;
    }
    let inspector =
        |namespace: &str| Inspector::new(stand.store.clone().with_namespace(namespace).unwrap());
    let count = async |namespace: &str| {
        let mut keys = inspector(namespace).keys("*");
        let mut names = std::collections::BTreeSet::new();
        while let Some(name) = keys.next().await {
            names.insert(name.unwrap());
        }
        names.len()
    };
    // A point is no pattern, and nested namespaces go with the one around them.
    assert_eq!(
        inspector("sh.p").delete_namespace(|_| ()).await.unwrap(),
        20
    );
    assert_eq!(
        inspector("shop").delete_namespace(|_| ()).await.unwrap(),
        40
    );
    for gone in ["shop", "shop:eu", "sh.p"] {
        assert_eq!(count(gone).await, 0, "{gone}");
    }
    for stays in &neighbours[..5] {
        assert_eq!(count(stays).await, 20, "{stays}");
    }
    if let Some(backend) = &stand.backend {
        let calls = backend.command_calls();
        for never in ["keys", "flushdb", "flushall", "del"] {
            assert!(!calls.contains_key(never), "{calls:?}");
        }
    }
}

async fn progress_grows_to_the_number_of_all_keys(stand: Stand) {
    stand.users("keep", 1200).await;
    let mut told = Vec::new();
    let removed = stand.inspector.delete_namespace(|so_far| told.push(so_far));
    assert_eq!(removed.await.unwrap(), 1200);
    assert!(told.is_sorted(), "{told:?}");
    assert_eq!(told.last(), Some(&1200));
    assert!(told.len() >= 6, "{told:?}");
    assert!(stand.names("*").await.is_empty());
}

/// Loads of `id`, which begin before the deletion and end when it has removed a part of the keys: their
/// values come where it has been already.
async fn no_load_that_is_under_way_brings_a_value_back(stand: Stand) {
    const LOADS: usize = 64;
    stand.users("keep", 3_000).await;
    let begun = Arc::new(Barrier::new(LOADS + 1));
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let mut loads = JoinSet::new();
    for id in 0..LOADS {
        let (begun, gate) = (begun.clone(), gate.clone());
        let names = stand.values("keep", "name");
        loads.spawn(async move {
            let query = async move || {
                begun.wait().await;
                assert!(gate.acquire().await.is_err());
                Ok::<_, Infallible>("old".to_owned())
            };
            names.get_or_load(id, HOUR, query).await
        });
    }
    begun.wait().await;
    let half_way = Arc::new(Notify::new());
    let (go_on, may_go_on) = std::sync::mpsc::channel();
    let (inspector, reached) = (stand.inspector.clone(), half_way.clone());
    // In a thread of its own, so that its progress can wait for the loads.
    let deletion = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let mut told = 0;
        let progress = |removed| {
            if removed > 1_000 && told <= 1_000 {
                reached.notify_one();
                may_go_on.recv().unwrap();
            }
            told = removed;
        };
        runtime
            .unwrap()
            .block_on(inspector.delete_namespace(progress))
    });
    half_way.notified().await;
    gate.close();
    while let Some(loaded) = loads.join_next().await {
        assert_eq!(loaded.unwrap().unwrap(), "old");
    }
    go_on.send(()).unwrap();
    let removed = tokio::task::spawn_blocking(move || deletion.join().unwrap());
    assert!(removed.await.unwrap().unwrap() >= 3_000);
    assert_eq!(stand.names("*").await, Vec::<String>::new());
}

async fn a_namespace_is_deleted_while_others_write(stand: Stand) {
    stand.users("keep", 2_000).await;
    stand.users("other", 500).await;
    let mut writers = JoinSet::new();
    let done = Arc::new(AtomicBool::new(false));
    for writer in 0..4 {
        let (users, done) = (stand.values("keep", "user"), done.clone());
        writers.spawn(async move {
            let mut n = 0;
            while !done.load(Ordering::SeqCst) {
                let id = format!("{writer}-{}", n % 500);
                users.set(&id, "somebody", HOUR).await.unwrap();
                users.get::<String>(&id).await.unwrap();
                users
                    .entry(&id)
                    .tags(["all"])
                    .set("somebody")
                    .await
                    .unwrap();
                n += 1;
                // Embedded memory answers at once.
                tokio::task::yield_now().await;
            }
        });
    }
    // It comes to its end however much is written.
    let removed = stand.inspector.delete_namespace(|_| ());
    let removed = tokio::time::timeout(Duration::from_secs(60), removed).await;
    assert!(removed.unwrap().unwrap() >= 2_000);
    done.store(true, Ordering::SeqCst);
    while let Some(written) = writers.join_next().await {
        written.unwrap();
    }
    let left = stand
        .values("keep", "user")
        .get_many::<String>(0..2_000)
        .await;
    assert!(left.unwrap().iter().all(Option::is_none));
    let others = stand
        .values("other", "user")
        .get_many::<String>(0..500)
        .await;
    assert!(others.unwrap().iter().all(Option::is_some));
}

#[tokio::test]
async fn names_that_are_not_text_are_found_and_go_too() {
    let stand = Stand::on(crate::harness::redis::Backend::redis()).await;
    let backend = stand.backend.as_ref().unwrap();
    let set = r"for i = 0, 255 do
        redis.call('SET', 'keep:' .. string.char(i, 255, 10), 'x', 'EX', 60)
        redis.call('SET', 'keeper:' .. string.char(i), 'x', 'EX', 60)
    end";
    backend.command(&["EVAL", set, "0"]);
    let mut keys = stand.inspector.keys("*");
    let mut count = 0;
    while let Some(name) = keys.next().await {
        let name = name.unwrap();
        assert!(name.ends_with("\u{fffd}\n"), "{name:?}");
        assert_eq!(stand.inspector.value(&name).await.unwrap(), None);
        count += 1;
    }
    assert_eq!(count, 256);
    assert_eq!(stand.inspector.delete_namespace(|_| ()).await.unwrap(), 256);
    assert_eq!(backend.query::<u64>(&["DBSIZE"]), 256);
}
