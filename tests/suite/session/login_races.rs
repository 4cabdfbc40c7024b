//! Races of logins with each other at the cap, with lists and with revocations, a hundred times each on
//! Redis: a login is noted in the index of its user, and then stored.

use std::{cell::Cell, sync::Arc, time::Duration};

use tokio::{sync::Barrier, task::JoinSet};
use tower_keep::session::{SessionLayer, UserSessions};

use super::{
    interleavings::behind,
    races::{RUNS, another},
    stand::{Client, Stand},
};
use crate::harness::proxy::Proxy;

#[tokio::test]
async fn twenty_logins_at_once_a_hundred_times_stay_within_the_cap() {
    let stand = Stand::redis().await;
    let capped = |store| {
        SessionLayer::new(store)
            .with_max_sessions_per_user(3)
            .unwrap()
    };
    let layers = [capped(stand.store.clone()), capped(another(&stand).await)];
    for run in 0..RUNS {
        let start = Arc::new(Barrier::new(20));
        let mut logins = JoinSet::new();
        for n in 0..20 {
            let (client, start) = (Client::of(layers[n % 2].clone()), start.clone());
            logins.spawn(async move {
                start.wait().await;
                client.login("ada").await;
                client
            });
        }
        assert_eq!(live(&logins.join_all().await).await, 3, "run {run}");
        // Two logins in one millisecond are as old as each other.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Three logins, the last with its logout, over a line so slow that noting a login and storing it are
/// apart. `meanwhile` goes on all the time.
async fn slow_logins(layer: &SessionLayer, meanwhile: impl AsyncFn()) -> Vec<Client> {
    let all_in = Cell::new(false);
    let logins = async {
        let mut logins = JoinSet::new();
        for n in 0..3 {
            let client = Client::of(layer.clone());
            logins.spawn(async move {
                client.login("ada").await;
                if n == 2 && client.id().is_some() {
                    client.logout().await;
                }
                client
            });
        }
        let clients = logins.join_all().await;
        all_in.set(true);
        clients
    };
    let meanwhile = async {
        while !all_in.get() {
            meanwhile().await;
        }
    };
    tokio::join!(logins, meanwhile).0
}

/// A Redis, a layer with a slow line to it, and its users without one.
async fn slow_line() -> (Stand, Proxy, SessionLayer, UserSessions) {
    let stand = Stand::redis().await;
    let proxy = Proxy::start(stand.server().addr());
    let layer = SessionLayer::new(behind(&proxy).await);
    proxy.delay(Duration::from_millis(3), Duration::ZERO);
    let ada = UserSessions::new(stand.store.clone(), "ada").unwrap();
    (stand, proxy, layer, ada)
}

async fn live(clients: &[Client]) -> usize {
    let mut live = 0;
    for client in clients {
        live += usize::from(client.id().is_some() && client.user().await.is_some());
    }
    live
}

/// Also when a list finds a session that has ended, which it forgets.
#[tokio::test]
async fn lists_and_logins_at_once_leave_nobody_unlisted() {
    let (_stand, _proxy, layer, ada) = slow_line().await;
    let layer = layer.with_max_sessions_per_user(4).unwrap();
    for run in 0..RUNS {
        let clients = slow_logins(&layer, async || drop(ada.list().await.unwrap())).await;
        let listed = ada.list().await.unwrap().len();
        assert_eq!((live(&clients).await, listed), (2, 2), "run {run}");
        ada.revoke_all().await.unwrap();
    }
}

/// A login that comes after a revocation is live and in the list, so that the next one ends it.
#[tokio::test]
async fn revocations_and_logins_at_once_leave_nobody_unlisted() {
    let (_stand, _proxy, layer, ada) = slow_line().await;
    for run in 0..RUNS {
        let revoke = async || {
            ada.revoke_all().await.unwrap();
            tokio::time::sleep(Duration::from_millis(u64::try_from(run % 5).unwrap())).await;
        };
        let clients = slow_logins(&layer, revoke).await;
        let listed = ada.list().await.unwrap().len();
        assert_eq!(live(&clients).await, listed, "run {run}");
        ada.revoke_all().await.unwrap();
        assert_eq!(live(&clients).await, 0, "run {run}");
    }
}
