//! Removing all keys of a namespace.

use super::{Stand, on_each_topology};
use tower_keep::inspect::Inspector;

on_each_topology!(
    a_namespace_goes_and_its_neighbours_stay,
    progress_grows_to_the_number_of_all_keys,
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
    assert!(stand.backend.is_none() || told.len() >= 3, "{told:?}");
    assert!(stand.names("*").await.is_empty());
}
