//! Which id leads to a session after a login has renewed it.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;
use tokio::time::sleep;

use super::stand::{Api, Stand};

super::on_all_stores!(
    a_planted_anonymous_id_is_anonymous_once_its_victim_has_logged_in,
    a_planted_id_that_was_renewed_before_does_not_lead_to_its_victim,
    the_old_id_of_one_user_is_anonymous_once_another_has_logged_in,
    an_old_id_leads_to_the_session_until_the_new_one_was_used,
    an_old_id_ends_with_the_grace_once_the_new_one_was_used,
    a_login_through_an_old_id_hands_out_no_further_one,
    two_logins_at_once_leave_a_browser_logged_in_with_either_cookie,
);

async fn status_of(stand: &Stand, id: &str) -> StatusCode {
    stand.with_id(id).me().await.0
}

async fn a_planted_anonymous_id_is_anonymous_once_its_victim_has_logged_in(stand: Stand) {
    let thief = stand.client();
    thief.put("/session/cart", json!(["tea"])).await;
    let planted = thief.id().unwrap();
    let victim = stand.with_id(&planted);
    victim.login("ada").await;
    assert_ne!(victim.id().unwrap(), planted);
    assert_eq!(victim.get("/session/cart").await.text(), r#"["tea"]"#);

    assert_eq!(status_of(&stand, &planted).await, StatusCode::UNAUTHORIZED);
    assert_eq!(thief.status("/session/cart").await, StatusCode::NOT_FOUND);
    // Nor does a login of their own lead them there.
    let thief = stand.with_id(&planted);
    thief.login("eve").await;
    let me = thief.get("/me").await.json::<serde_json::Value>();
    assert_eq!(me["user"], "eve");
    assert_eq!(thief.status("/session/cart").await, StatusCode::NOT_FOUND);
    assert_eq!(victim.me().await.0, StatusCode::OK);
}

async fn a_planted_id_that_was_renewed_before_does_not_lead_to_its_victim(stand: Stand) {
    let thief = stand.logged_in("eve").await;
    let planted = thief.id().unwrap();
    thief.login("eve").await;
    let victim = stand.with_id(&planted);
    victim.login("ada").await;
    assert_eq!(victim.me().await, (StatusCode::OK, Some(1)));
    assert_eq!(thief.me().await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(status_of(&stand, &planted).await, StatusCode::UNAUTHORIZED);
}

async fn the_old_id_of_one_user_is_anonymous_once_another_has_logged_in(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let old = client.id().unwrap();
    client.put("/session/cart", json!(["tea"])).await;
    client.login("eve").await;
    assert_eq!(status_of(&stand, &old).await, StatusCode::UNAUTHORIZED);
    assert_eq!(client.me().await, (StatusCode::OK, Some(1)));
    assert_eq!(client.status("/session/cart").await, StatusCode::NOT_FOUND);
}

/// Logs in with `id`; the answer never arrives, but what it would have brought is known here.
async fn login_whose_answer_is_lost(stand: &Stand, id: &str) -> String {
    let request = stand.with_id(id);
    request.login("ada").await;
    request.id().unwrap()
}

async fn an_old_id_leads_to_the_session_until_the_new_one_was_used(mut stand: Stand) {
    stand.restart(&["--session-grace", "0.3"]);
    let client = stand.logged_in("ada").await;
    let old = client.id().unwrap();
    let new = login_whose_answer_is_lost(&stand, &old).await;
    sleep(Duration::from_millis(600)).await;
    assert_eq!(client.me().await, (StatusCode::OK, Some(1)));
    assert_eq!(client.put("/session/k", json!(1)).await.as_u16(), 204);
    assert_eq!(client.id().unwrap(), old);
    assert_eq!(status_of(&stand, &new).await, StatusCode::OK);
    assert_eq!(client.me().await.0, StatusCode::UNAUTHORIZED);
}

async fn an_old_id_ends_with_the_grace_once_the_new_one_was_used(mut stand: Stand) {
    stand.restart(&["--session-grace", "1"]);
    let client = stand.logged_in("ada").await;
    let old = client.id().unwrap();
    client.login("ada").await;
    assert_eq!(client.me().await.0, StatusCode::OK);
    assert_eq!(status_of(&stand, &old).await, StatusCode::OK);
    sleep(Duration::from_millis(1_100)).await;
    assert_eq!(status_of(&stand, &old).await, StatusCode::UNAUTHORIZED);
    assert_eq!(client.me().await.0, StatusCode::OK);
    if stand.is_redis() {
        assert_eq!(stand.server().keys("*:session:*").len(), 1);
    }
}

async fn a_login_through_an_old_id_hands_out_no_further_one(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let old = client.id().unwrap();
    client.login("ada").await;
    let through = stand.with_id(&old);
    let reply = through.login("ada").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("set-cookie"), None);
    assert_eq!(through.me().await, (StatusCode::OK, Some(1)));
    assert_eq!(client.me().await, (StatusCode::OK, Some(2)));
}

async fn two_logins_at_once_leave_a_browser_logged_in_with_either_cookie(mut stand: Stand) {
    stand.restart(&["--session-grace", "0.2"]);
    for anonymous in [true, false].repeat(5) {
        let client = stand.client();
        match anonymous {
            true => drop(client.put("/session/cart", json!(["tea"])).await),
            false => drop(client.login("ada").await),
        }
        let id = client.id().unwrap();
        let (one, other) = (stand.with_id(&id), stand.with_id(&id));
        tokio::join!(one.login("ada"), other.login("ada"));
        sleep(Duration::from_millis(300)).await;
        for browser in [&one, &other] {
            let kept = stand.with_id(&browser.id().unwrap());
            assert_eq!(kept.me().await.0, StatusCode::OK);
            if anonymous {
                assert_eq!(kept.get("/session/cart").await.text(), r#"["tea"]"#);
            }
            if !anonymous {
                // Of these one is the old id, which ends when the new one is used.
                break;
            }
        }
        one.ask(Method::POST, "/logout").await;
    }
}
