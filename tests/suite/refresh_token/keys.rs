//! What Redis sees.

use tower_keep::refresh_token::Grant;

use super::stand::Stand;
use crate::harness::on_every_redis;

on_every_redis!(
    no_token_stands_in_redis_in_whole_or_in_part,
    all_families_of_a_user_are_one_key,
);

/// The restricted user has rights in one namespace only.
mod namespaces {
    use super::{Stand, all_families_of_a_user_are_one_key_in_the_namespace};

    crate::harness::on_redis!(redis: all_families_of_a_user_are_one_key_in_the_namespace);
    crate::harness::on_redis!(cluster: all_families_of_a_user_are_one_key_in_the_namespace);
    crate::harness::on_redis!(sentinel: all_families_of_a_user_are_one_key_in_the_namespace);
}

async fn no_token_stands_in_redis_in_whole_or_in_part(stand: Stand) {
    let grant = Grant::new("ada", "web")
        .with_device("laptop")
        .with_scope("read");
    let mut tokens = vec![stand.tokens.issue(grant).await.unwrap().token.into_string()];
    for n in 0..3 {
        tokens.push(stand.next(&tokens[n]).await);
    }
    let [key] = &stand.keys()[..] else {
        panic!("{:?}", stand.keys());
    };
    assert!(key.starts_with("keep:refresh_token:"), "{key}");
    assert!(!key.contains("ada"));
    let dump: Vec<Vec<u8>> = stand.server().query(&["HGETALL", key]);
    let dump = dump.concat();
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
    for token in &tokens {
        let bytes = BASE64.decode(&token[3..]).unwrap();
        // Behind the digest of the user: the family's secret, the number, the token's own secret.
        for secret in [&bytes[16..32], &bytes[36..60]] {
            for part in secret.windows(8) {
                assert!(!dump.windows(8).any(|stored| stored == part));
            }
            assert!(!key.contains(&BASE64.encode(secret)));
        }
        assert!(
            !dump
                .windows(20)
                .any(|stored| stored == &token.as_bytes()[3..23])
        );
    }
    stand.assert_every_key_has_a_ttl();
}

async fn all_families_of_a_user_are_one_key(stand: Stand) {
    let (ada, eve) = (stand.login("ada").await, stand.login("eve").await);
    stand.next(&ada).await;
    stand.next(&eve).await;
    stand.login("ada").await;
    assert_eq!(stand.keys().len(), 2);
}

async fn all_families_of_a_user_are_one_key_in_the_namespace(stand: Stand) {
    let ada = stand.login("ada").await;
    let shop = stand.store.clone().with_namespace("shop:eu").unwrap();
    let tokens = tower_keep::refresh_token::RefreshTokens::new(shop);
    tokens.issue(Grant::new("ada", "web")).await.unwrap();
    assert_eq!(stand.server().keys("shop:eu:refresh_token:*").len(), 1);
    assert!(
        tokens.rotate(&ada, "web").await.is_err(),
        "another application's token"
    );
}
