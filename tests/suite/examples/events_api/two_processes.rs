//! One client between two servers over one Redis: what each must know of the other's doings.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::stand::{Api, Stand};
use crate::harness::{client::Client, eventually, example::Example, on_redis};

on_redis!(redis:
    a_slow_writer_lands_in_the_session_that_the_other_process_has_renewed,
    a_slow_writer_that_the_other_process_logs_out_brings_nothing_back,
    a_slow_writer_of_an_anonymous_session_does_not_land_in_the_login_of_the_other_process,
    an_id_renewed_in_one_process_ends_with_the_grace_in_the_other,
    visits_in_both_processes_are_all_counted,
    writers_in_both_processes_keep_all_their_keys,
    renewals_logouts_and_writers_in_both_processes_leave_nobody_logged_in,
    a_logout_everywhere_ends_the_sessions_of_the_other_process,
    logins_in_both_processes_stay_within_the_cap,
);
on_redis!(cluster:
    a_slow_writer_lands_in_the_session_that_the_other_process_has_renewed,
    a_slow_writer_that_the_other_process_logs_out_brings_nothing_back,
    a_slow_writer_of_an_anonymous_session_does_not_land_in_the_login_of_the_other_process,
    an_id_renewed_in_one_process_ends_with_the_grace_in_the_other,
    visits_in_both_processes_are_all_counted,
    writers_in_both_processes_keep_all_their_keys,
    renewals_logouts_and_writers_in_both_processes_leave_nobody_logged_in,
    a_logout_everywhere_ends_the_sessions_of_the_other_process,
    logins_in_both_processes_stay_within_the_cap,
);

/// A browser that talks to this server, with this id.
fn at(server: &Example, id: &str) -> Client {
    let client = Client::http1(server.addr()).with_cookies();
    client.plant(id);
    client
}

/// The `n`th of browsers with this id, which talk to this server and to the stand's by turns.
fn in_turn(n: u32, here: &Example, stand: &Stand, id: &str) -> Client {
    match n % 2 {
        0 => at(here, id),
        _ => stand.with_id(id),
    }
}

/// The other server, once it has found its Redis.
async fn another(stand: &Stand, flags: &[&str]) -> Example {
    let another = stand.another_with(flags);
    let client = Client::http1(another.addr()).with_cookies();
    eventually("the other has found its Redis", async || {
        client.login("nobody").await.status == StatusCode::OK
    })
    .await;
    client.ask(Method::POST, "/logout").await;
    another
}

/// Begins a write at `server` that has loaded the session and waits.
async fn slow_write(server: &Example, id: &str) -> JoinSet<(StatusCode, Client)> {
    let writer = at(server, id);
    let mut write = JoinSet::new();
    write.spawn(async move {
        let status = writer.put("/session/late?delay_ms=1500", json!(1)).await;
        (status, writer)
    });
    // Time for it to have loaded the session: on a machine that is too busy for that the other
    // process is first, and the outcome has to be the same.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    write
}

async fn a_slow_writer_lands_in_the_session_that_the_other_process_has_renewed(stand: Stand) {
    let here = another(&stand, &[]).await;
    let client = stand.logged_in("ada").await;
    let mut write = slow_write(&here, &client.id().unwrap()).await;
    client.login("ada").await;
    assert_eq!(client.me().await.0, StatusCode::OK);
    let (status, _) = write.join_next().await.unwrap().unwrap();
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(client.get("/session/late").await.text(), "1");
}

async fn a_slow_writer_that_the_other_process_logs_out_brings_nothing_back(stand: Stand) {
    let here = another(&stand, &[]).await;
    let client = stand.logged_in("ada").await;
    let id = client.id().unwrap();
    let mut write = slow_write(&here, &id).await;
    client.ask(Method::POST, "/logout").await;
    assert_eq!(stand.server().keys("*session:*"), [""; 0]);
    let (status, writer) = write.join_next().await.unwrap().unwrap();
    assert!(!status.is_server_error(), "{status}");
    let there = stand.with_id(&id);
    for replay in [at(&here, &id), there] {
        assert_eq!(replay.me().await.0, StatusCode::UNAUTHORIZED);
        assert_eq!(replay.status("/session/late").await, StatusCode::NOT_FOUND);
    }
    assert_eq!(writer.me().await.0, StatusCode::UNAUTHORIZED);
}

async fn a_slow_writer_of_an_anonymous_session_does_not_land_in_the_login_of_the_other_process(
    stand: Stand,
) {
    let here = another(&stand, &[]).await;
    let client = stand.client();
    client.put("/session/cart", json!(["tea"])).await;
    let planted = client.id().unwrap();
    let mut write = slow_write(&here, &planted).await;
    client.login("ada").await;
    let (status, writer) = write.join_next().await.unwrap().unwrap();
    assert!(!status.is_server_error(), "{status}");
    // Nor does it take the cookie of the login from the browser.
    assert_eq!(writer.id().unwrap(), planted);
    assert_eq!(client.status("/session/late").await, StatusCode::NOT_FOUND);
    assert_eq!(client.me().await.0, StatusCode::OK);
}

async fn an_id_renewed_in_one_process_ends_with_the_grace_in_the_other(stand: Stand) {
    let flags = ["--session-grace", "1"];
    let (here, there) = (another(&stand, &flags).await, another(&stand, &flags).await);
    let client = Client::http1(here.addr()).with_cookies();
    client.login("ada").await;
    let old = client.id().unwrap();
    client.login("ada").await;
    let new = client.id().unwrap();
    assert_ne!(old, new);
    // It was never used, and the old one goes on.
    tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
    assert_eq!(at(&there, &old).me().await.0, StatusCode::OK);
    assert_eq!(at(&there, &new).me().await.0, StatusCode::OK);
    eventually("the old id has ended", async || {
        at(&here, &old).me().await.0 == StatusCode::UNAUTHORIZED
    })
    .await;
    assert_eq!(at(&there, &old).me().await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(at(&here, &new).me().await.0, StatusCode::OK);
}

async fn visits_in_both_processes_are_all_counted(stand: Stand) {
    let here = another(&stand, &[]).await;
    let client = stand.logged_in("ada").await;
    let id = client.id().unwrap();
    let mut visits = JoinSet::new();
    for n in 0..20 {
        let visitor = in_turn(n, &here, &stand, &id);
        visits.spawn(async move { visitor.me().await.1.unwrap() });
    }
    let mut counted = visits.join_all().await;
    counted.sort_unstable();
    assert_eq!(counted, (1..=20).collect::<Vec<_>>());
}

async fn writers_in_both_processes_keep_all_their_keys(stand: Stand) {
    let here = another(&stand, &[]).await;
    let client = stand.logged_in("ada").await;
    let id = client.id().unwrap();
    let mut writes = JoinSet::new();
    for n in 0..20 {
        let writer = in_turn(n, &here, &stand, &id);
        let path = format!("/session/k{n}?delay_ms=50");
        writes.spawn(async move { writer.put(&path, json!(n)).await });
    }
    for status in writes.join_all().await {
        assert_eq!(status, StatusCode::NO_CONTENT);
    }
    for n in 0..20 {
        let reply = client.get(&format!("/session/k{n}")).await;
        assert_eq!(reply.text(), n.to_string());
    }
}

/// Whatever the order: after the logout no id that anybody has is logged in, in either process, and no
/// session is left.
async fn renewals_logouts_and_writers_in_both_processes_leave_nobody_logged_in(stand: Stand) {
    let here = another(&stand, &[]).await;
    for round in 0..20 {
        let client = stand.logged_in("ada").await;
        let id = client.id().unwrap();
        let mut requests = JoinSet::new();
        for n in 0..6 {
            let other = in_turn(n, &here, &stand, &id);
            requests.spawn(async move {
                match n {
                    0 | 3 => drop(other.put("/session/late?delay_ms=5", json!(n)).await),
                    1 | 2 => drop(other.me().await),
                    _ => drop(other.put("/session/late", json!(n)).await),
                }
                other
            });
        }
        client.ask(Method::POST, "/logout").await;
        let others = requests.join_all().await;
        for other in &others {
            assert_eq!(other.me().await.0, StatusCode::UNAUTHORIZED, "{round}");
        }
        let replay = at(&here, &id);
        assert_eq!(replay.me().await.0, StatusCode::UNAUTHORIZED, "{round}");
    }
}

async fn a_logout_everywhere_ends_the_sessions_of_the_other_process(stand: Stand) {
    let here = another(&stand, &[]).await;
    let client = stand.logged_in("ada").await;
    let devices: Vec<_> = (0..3)
        .map(|_| Client::http1(here.addr()).with_cookies())
        .collect();
    for device in &devices {
        device.login("ada").await;
    }
    let listed: Value = client.get("/sessions").await.json();
    assert_eq!(listed.as_array().unwrap().len(), 4);
    let handle = listed
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["current"] == false)
        .unwrap()["handle"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/sessions/{handle}");
    let ended = client.ask(Method::DELETE, &path).await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    let mut live = 0;
    for device in &devices {
        live += u32::from(device.me().await.0 == StatusCode::OK);
    }
    assert_eq!(live, 2);
    let all = client.ask(Method::POST, "/logout/everywhere").await;
    assert_eq!(all.status, StatusCode::NO_CONTENT);
    for device in devices.iter().chain([&client]) {
        assert_eq!(device.me().await.0, StatusCode::UNAUTHORIZED);
    }
}

async fn logins_in_both_processes_stay_within_the_cap(stand: Stand) {
    let flags = ["--session-cap", "3"];
    let servers = [another(&stand, &flags).await, another(&stand, &flags).await];
    let mut logins = JoinSet::new();
    for n in 0..20 {
        let client = Client::http1(servers[n % 2].addr()).with_cookies();
        logins.spawn(async move {
            assert_eq!(client.login("ada").await.status, StatusCode::OK);
            client
        });
    }
    let mut live = 0;
    for client in logins.join_all().await {
        live += u32::from(client.me().await.0 == StatusCode::OK);
    }
    assert_eq!(live, 3);
}
