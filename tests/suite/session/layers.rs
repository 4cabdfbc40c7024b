//! Several layers over one store.

use tower_keep::session::{SessionLayer, UserSessions};

use super::{
    on_all_stores,
    stand::{Client, Stand},
};

on_all_stores!(
    an_id_of_one_layer_is_unknown_to_one_with_another_cookie,
    a_user_of_one_layer_is_none_of_another_with_the_same_name,
    layers_with_one_cookie_share_their_sessions,
);

fn named(stand: &Stand, name: &str) -> SessionLayer {
    stand.layer.clone().with_cookie_name(name).unwrap()
}

async fn an_id_of_one_layer_is_unknown_to_one_with_another_cookie(stand: Stand) {
    let layers = [
        stand.layer.clone(),
        named(&stand, "admin"),
        named(&stand, "sid"),
    ];
    for (n, of) in layers.iter().enumerate() {
        let client = Client::of(of.clone());
        client.login("ada").await;
        for (m, at) in layers.iter().enumerate() {
            let there = Client::of(at.clone());
            there.plant(&client.id().unwrap());
            assert_eq!(there.user().await.is_some(), n == m, "{n} {m}");
            if n != m {
                // Neither adopted nor ended.
                there.logout().await;
                there.plant(&client.id().unwrap());
                there
                    .visit(async |session| session.insert("k", 1).unwrap())
                    .await;
                assert_ne!(there.id(), client.id());
            }
        }
        assert_eq!(client.user().await.as_deref(), Some("ada"));
    }
}

async fn a_user_of_one_layer_is_none_of_another_with_the_same_name(stand: Stand) {
    let admin = named(&stand, "admin").with_max_sessions_per_user(1);
    let admin = Client::of(admin.unwrap());
    let visitor = stand.client();
    for client in [&admin, &visitor] {
        client.login("1").await;
    }
    for client in [&admin, &visitor] {
        let listed = client.visit(async |session| session.list_sessions().await.unwrap());
        let listed = listed.await;
        assert!(listed.len() == 1 && listed[0].is_current, "{listed:?}");
    }
    let handle = admin.visit(async |session| session.handle().await.unwrap());
    let handle = handle.await.unwrap();
    visitor
        .visit(async |session| {
            assert!(!session.revoke_session(&handle).await.unwrap());
            assert_eq!(session.revoke_all_sessions().await.unwrap(), 1);
        })
        .await;
    assert_eq!(visitor.user().await, None);
    assert_eq!(admin.user().await.as_deref(), Some("1"));

    let sessions = UserSessions::new(stand.store.clone(), "1").unwrap();
    assert_eq!(sessions.revoke_all().await.unwrap(), 0);
    let of_admin = sessions.clone().with_cookie_name("admin").unwrap();
    assert_eq!(of_admin.list().await.unwrap().len(), 1);
    admin.renew().await;
    assert_eq!(of_admin.revoke_all().await.unwrap(), 1);
    assert_eq!(admin.user().await, None);
    assert!(sessions.with_cookie_name("__Host-admin").is_err());
}

async fn layers_with_one_cookie_share_their_sessions(stand: Stand) {
    for name in ["id", "admin"] {
        let layers = [named(&stand, name), named(&stand, name).and_bearer_token()];
        let client = Client::of(layers[0].clone());
        client.login("ada").await;
        let there = Client::of(layers[1].clone());
        there.plant(&client.id().unwrap());
        assert_eq!(there.user().await.as_deref(), Some("ada"));
        there.logout().await;
        assert_eq!(client.user().await, None);
    }
}
