//! What happens between two commands of one call: the replies of a real Redis are held back until
//! another process has come in between.

use std::time::Duration;

use http::Response;
use tower_keep::{
    Store, StoreConfig,
    session::{SessionLayer, UserSessions},
};

use super::stand::{Client, Stand};
use crate::harness::{eventually, proxy::Proxy};

/// A Redis, and a layer whose replies come late when they are told to.
struct Slow {
    stand: Stand,
    proxy: Proxy,
    layer: SessionLayer,
}

/// A store whose connections go over this.
pub(super) async fn behind(proxy: &Proxy) -> Store {
    let config = StoreConfig::from_url(&format!("redis://{}/", proxy.addr())).unwrap();
    let store = config.with_deadline(Duration::from_secs(60));
    let store = store.build().unwrap();
    store.ping().await.unwrap();
    store
}

impl Slow {
    async fn start() -> Self {
        let stand = Stand::redis().await;
        let proxy = Proxy::start(stand.server().addr());
        let layer = SessionLayer::new(behind(&proxy).await);
        Self {
            stand,
            proxy,
            layer,
        }
    }

    /// A store behind the proxy.
    async fn store(&self) -> Store {
        behind(&self.proxy).await
    }

    /// Holds back all replies from now on, until they are let go.
    fn hold(&self) {
        self.stand.server().reset_stats();
        self.proxy.hold_replies();
    }

    /// Waits until the server has executed this command so often since they are held back.
    async fn executed(&self, command: &str, times: u64) {
        eventually("the server executes the command", async || {
            self.stand.server().command_calls().get(command) >= Some(&times)
        })
        .await;
    }

    fn let_go(&self) {
        self.proxy.let_replies_go();
    }

    fn ada(&self) -> UserSessions {
        UserSessions::new(self.stand.store.clone(), "ada").unwrap()
    }
}

/// Read, logout, touch. Nothing is left that would be a session to the next read.
#[tokio::test]
async fn a_touch_that_a_logout_overtakes_brings_nothing_back() {
    for revokes in [false, true] {
        let slow = Slow::start().await;
        let client = slow.stand.logged_in("ada").await;
        let reader = Client::of(slow.layer.clone().with_touch_fraction(0.0).unwrap());
        reader.plant(&client.id().unwrap());
        slow.hold();
        let read = tokio::spawn(async move {
            reader.user().await;
            reader
        });
        slow.executed("pttl", 1).await;
        match revokes {
            true => assert_eq!(slow.ada().revoke_all().await.unwrap(), 1),
            false => drop(client.copy().logout().await),
        }
        slow.let_go();
        let reader = read.await.unwrap();
        assert_eq!(slow.stand.session_keys(), [""; 0]);
        assert_eq!(reader.user().await, None);
    }
}

/// Read, renewal and the first use of the new id, touch: it is noted where the session is.
#[tokio::test]
async fn a_touch_that_a_renewal_overtakes_changes_no_pointer() {
    let slow = Slow::start().await;
    let client = slow.stand.logged_in("ada").await;
    let reader = Client::of(slow.layer.clone().with_touch_fraction(0.0).unwrap());
    reader.plant(&client.id().unwrap());
    slow.hold();
    let read = tokio::spawn(async move {
        assert_eq!(reader.user().await.as_deref(), Some("ada"));
        reader
    });
    slow.executed("pttl", 1).await;
    client.renew().await;
    slow.let_go();
    let reader = read.await.unwrap();
    // The old id leads to the session, and only as long as it may.
    assert_eq!(reader.user().await.as_deref(), Some("ada"));
    assert_eq!(client.user().await.as_deref(), Some("ada"));
    slow.stand.advance(Duration::from_secs(11)).await;
    assert_eq!(reader.user().await, None);
}

/// A login is noted in the index and not stored yet; a list comes in between. Where the login is so
/// old that the list takes it for ended, it is ended; else it is listed once it is stored.
#[tokio::test]
async fn a_list_that_comes_into_a_login_forgets_no_session() {
    for is_old in [false, true] {
        let slow = Slow::start().await;
        let client = Client::of(slow.layer.clone());
        slow.hold();
        let login = tokio::spawn(async move {
            client.login("ada").await;
            client
        });
        slow.executed("evalsha", 1).await;
        let server = slow.stand.server();
        if is_old {
            let index = server.keys("*session_index*").remove(0);
            let entry: Vec<String> = server.query(&["HGETALL", &index]);
            let bound = u64::from_str_radix(&entry[1][5..16], 16).unwrap() - 400_000;
            let older = format!("{}{bound:011x}{}", &entry[1][..5], &entry[1][16..]);
            server.command(&["HSET", &index, &entry[0], &older]);
        }
        assert_eq!(slow.ada().list().await.unwrap(), []);
        slow.let_go();
        let client = login.await.unwrap();
        let live = usize::from(client.id().is_some() && client.user().await.is_some());
        assert_eq!(slow.ada().list().await.unwrap().len(), live);
        assert_eq!(live, usize::from(!is_old));
    }
}

/// A login at the cap has found the others alive; one of them is renewed before it is ended.
#[tokio::test]
async fn a_renewal_that_comes_into_a_login_at_the_cap_saves_no_session() {
    let slow = Slow::start().await;
    let capped = |layer: &SessionLayer| layer.clone().with_max_sessions_per_user(1).unwrap();
    let first = Client::of(capped(&slow.stand.layer));
    first.login("ada").await;
    let second = Client::of(capped(&slow.layer));
    slow.hold();
    let login = tokio::spawn(async move {
        second.login("ada").await;
        second
    });
    // It finds the index full.
    slow.executed("evalsha", 1).await;
    first.renew().await;
    slow.let_go();
    let second = login.await.unwrap();
    assert_eq!(first.user().await, None);
    assert_eq!(second.user().await.as_deref(), Some("ada"));
    assert_eq!(slow.ada().list().await.unwrap().len(), 1);
}

/// A revocation has found where the session stands; it is renewed before it is ended there.
#[tokio::test]
async fn a_renewal_that_comes_into_a_revocation_saves_no_session() {
    let slow = Slow::start().await;
    let client = slow.stand.logged_in("ada").await;
    let ada = Client::of(slow.layer.clone());
    ada.plant(&client.id().unwrap());
    slow.hold();
    let revocation = tokio::spawn(async move {
        let response = ada.send(async |session| {
            session.revoke_all_sessions().await?;
            Ok(Response::default())
        });
        response.await.map(drop)
    });
    // `others` leaves this one, so it is its own destroy that is overtaken.
    slow.executed("pttl", 1).await;
    client.renew().await;
    slow.let_go();
    revocation.await.unwrap();
    assert_eq!(client.user().await, None);

    // And one from elsewhere, between finding the place and ending the session.
    let client = slow.stand.logged_in("ada").await;
    let ada = UserSessions::new(slow.store().await, "ada").unwrap();
    slow.hold();
    let revocation = tokio::spawn(async move { ada.revoke_all().await.unwrap() });
    slow.executed("evalsha", 1).await;
    // The mark's reply goes through, that of the place is held back.
    slow.proxy.pass_one_reply();
    slow.executed("get", 1).await;
    client.renew().await;
    slow.let_go();
    assert_eq!(revocation.await.unwrap(), 1);
    assert_eq!(client.user().await, None);
    assert_eq!(slow.ada().list().await.unwrap(), []);
}

/// What is marked stays marked: a list or the next login of the session itself ends it.
#[tokio::test]
async fn a_revocation_whose_process_dies_half_way_is_finished_by_the_next_list_or_login() {
    for logs_in in [false, true] {
        let slow = Slow::start().await;
        let client = slow.stand.logged_in("ada").await;
        let store = slow.store().await;
        slow.hold();
        let revocation = tokio::spawn(async move {
            let ada = UserSessions::new(store, "ada").unwrap();
            ada.revoke_all().await
        });
        slow.executed("evalsha", 1).await;
        revocation.abort();
        revocation.await.unwrap_err();
        let old = client.copy();
        assert_eq!(old.user().await.as_deref(), Some("ada"));
        match logs_in {
            // It gets a session of its own.
            true => client.visit(async |s| s.login("ada").unwrap()).await,
            false => assert_eq!(slow.ada().list().await.unwrap(), []),
        }
        assert_eq!(old.user().await, None);
        client.login("ada").await;
        assert_eq!(client.user().await.as_deref(), Some("ada"));
        assert_eq!(slow.ada().list().await.unwrap().len(), 1);
    }
}
