//! What is built on values: typed sessions, messages, tokens for forms.

use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tower_keep::session::{Session, SessionError, TypedSession};

use super::{
    on_all_stores,
    stand::{Client, Stand},
};
use crate::harness::eventually;

on_all_stores!(
    a_typed_session_writes_the_fields_that_have_changed,
    a_message_is_shown_once,
    a_message_is_shown_by_one_page_and_a_new_one_is_not_lost,
    the_first_tokens_of_two_pages_at_once_are_both_good,
    a_csrf_token_is_good_for_its_session_alone,
);

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Shop {
    cart: Vec<String>,
    currency: Option<String>,
    visits: u32,
}

async fn a_typed_session_writes_the_fields_that_have_changed(stand: Stand) {
    let client = stand.client();
    client
        .visit(async |session| {
            let shop = TypedSession::<Shop>::new(session);
            assert_eq!(shop.get().await.unwrap(), Shop::default());
            let cart = vec!["tea".to_owned()];
            let currency = Some("EUR".to_owned());
            let data = Shop {
                cart,
                currency,
                visits: 1,
            };
            shop.set(&data).await.unwrap();
        })
        .await;
    // Two requests that change different fields keep both.
    client
        .visit(async |session| {
            let shop = TypedSession::<Shop>::new(session);
            let mut data = shop.get().await.unwrap();
            client
                .visit(async |session| session.insert("visits", 7).unwrap())
                .await;
            data.currency = None;
            shop.set(&data).await.unwrap();
        })
        .await;
    assert_eq!(client.get("currency").await, None);
    // A field of another type counts as its default, and the others stay.
    client
        .visit(async |session| session.insert("cart", "no list").unwrap())
        .await;
    client
        .visit(async |session| {
            let shop = TypedSession::<Shop>::new(session).get().await.unwrap();
            let visits = 7;
            assert_eq!(
                shop,
                Shop {
                    visits,
                    ..Shop::default()
                }
            );
        })
        .await;
}

async fn a_message_is_shown_once(stand: Stand) {
    let client = stand.client();
    client
        .visit(async |session| {
            session.flash("success", "Saved.").await.unwrap();
            session.flash("info", "Twice.").await.unwrap();
        })
        .await;
    let failed = client.send(async |session| {
        assert_eq!(session.take_flashes().await?.len(), 2);
        let mut response = Response::default();
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        Ok(response)
    });
    failed.await;
    client
        .visit(async |session| {
            let messages = session.take_flashes().await.unwrap();
            let texts: Vec<_> = messages.iter().map(|message| &*message.text).collect();
            assert_eq!(texts, ["Saved.", "Twice."]);
        })
        .await;
    client
        .visit(async |session| assert_eq!(session.take_flashes().await.unwrap(), []))
        .await;
}

/// Whoever takes a message shows it, and what is left meanwhile is for the next page.
async fn a_message_is_shown_by_one_page_and_a_new_one_is_not_lost(stand: Stand) {
    let texts = async |session: &Session| {
        let messages = session.take_flashes().await.unwrap();
        let texts = messages.into_iter().map(|message| message.text);
        texts.collect::<Vec<_>>()
    };
    let client = stand.logged_in("ada").await;
    let leave = async |text: &'static str| {
        let left = client.visit(async |session| session.flash("info", text).await.unwrap());
        left.await;
    };
    leave("Saved.").await;
    client
        .copy()
        .visit(async |session| {
            assert_eq!(texts(&session).await, ["Saved."]);
            let other = client.visit(async |session| texts(&session).await);
            assert_eq!(other.await, [""; 0]);
            leave("New.").await;
        })
        .await;
    let next = client.visit(async |session| texts(&session).await).await;
    assert_eq!(next, ["New."]);

    // A page that nobody gets gives them back, in front of what was left meanwhile.
    leave("Saved.").await;
    let page = client.copy();
    let failed = page.send(async |session: Session| {
        assert_eq!(texts(&session).await, ["Saved."]);
        leave("New.").await;
        let mut response = Response::default();
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        Ok(response)
    });
    failed.await;
    let next = client.visit(async |session| texts(&session).await).await;
    assert_eq!(next, ["Saved.", "New."]);

    leave("Saved.").await;
    let taken = Notify::new();
    let page = client.copy();
    let leaves = page.visit(async |session| {
        assert_eq!(texts(&session).await, ["Saved."]);
        taken.notify_one();
        std::future::pending::<()>().await;
    });
    tokio::select! {
        () = leaves => unreachable!("the page is never answered"),
        () = taken.notified() => {}
    }
    eventually("the message is back", async || {
        let next = client.visit(async |session| texts(&session).await).await;
        next == ["Saved."]
    })
    .await;
}

/// Neither page has found a secret in the session.
async fn the_first_tokens_of_two_pages_at_once_are_both_good(stand: Stand) {
    let client = stand.logged_in("ada").await;
    let page = client.copy();
    let tokens = page.visit(async |session| {
        assert!(session.exists().await.unwrap());
        let second = client.visit(async |session| session.csrf_token().await.unwrap());
        (second.await, session.csrf_token().await.unwrap())
    });
    for token in <[String; 2]>::from(tokens.await) {
        let verified = client.visit(async |session| session.verify_csrf(&token).await);
        verified.await.unwrap();
    }
}

async fn a_csrf_token_is_good_for_its_session_alone(stand: Stand) {
    let client = stand.client();
    let token = async |client: &Client| {
        let token = client.visit(async |session| session.csrf_token().await.unwrap());
        token.await
    };
    let verifies = async |client: &Client, token: &str| {
        let verified = client.visit(async |session| session.verify_csrf(token).await);
        match verified.await {
            Ok(()) => true,
            Err(SessionError::InvalidCsrfToken) => false,
            Err(error) => panic!("{error}"),
        }
    };
    let (first, second) = (token(&client).await, token(&client).await);
    assert_ne!(first, second);
    assert!(verifies(&client, &first).await && verifies(&client, &second).await);
    client.renew().await;
    assert!(verifies(&client, &first).await);
    let other = stand.client();
    token(&other).await;
    for wrong in [&*first, "", "x", &first[..80], &"A".repeat(86)] {
        assert!(!verifies(&other, wrong).await, "{wrong}");
    }
    assert!(!verifies(&stand.client(), &first).await);
    client.login("ada").await;
    assert!(!verifies(&client, &first).await);
    let response = client.send(async |session| {
        session.verify_csrf("wrong").await?;
        Ok(Response::default())
    });
    assert_eq!(response.await.status(), StatusCode::FORBIDDEN);
}
