//! Tokens that were never issued, made by somebody who has had one of the family: they carry its
//! secret and a right checksum, and a number or a secret of their maker's choice.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};

use super::{on_all_stores, stand::Stand};

on_all_stores!(
    a_forged_token_of_a_family_is_invalid_and_revokes_nothing,
    a_forged_predecessor_after_the_grace_is_no_theft,
);

/// Where a token's number stands, and its secret.
const NUMBER: std::ops::Range<usize> = 32..36;
const SECRET: std::ops::Range<usize> = 36..60;

/// `token` with another number, and another secret if that is to be forged too.
fn forge(token: &str, number: u32, with_secret: bool) -> String {
    let mut bytes = BASE64.decode(&token["rt_".len()..]).unwrap();
    bytes.truncate(SECRET.end);
    bytes[NUMBER].copy_from_slice(&number.to_be_bytes());
    if with_secret {
        bytes[SECRET].fill(7);
    }
    let sum = blake3::hash(&bytes);
    bytes.extend(&sum.as_bytes()[..6]);
    format!("rt_{}", BASE64.encode(bytes))
}

async fn a_forged_token_of_a_family_is_invalid_and_revokes_nothing(stand: Stand) {
    let first = stand.login("ada").await;
    let second = stand.next(&first).await;
    // As it is forged here it is good.
    assert_eq!(forge(&second, 2, false), second);
    for (number, with_secret) in [
        (2, true),
        (1, true),
        (1, false),
        (3, true),
        (3, false),
        (u32::MAX - 1, false),
        (u32::MAX, true),
    ] {
        stand
            .assert_invalid(&forge(&second, number, with_secret))
            .await;
    }
    assert!(stand.reuses().is_empty());
    let third = stand.next(&second).await;
    stand.next(&third).await;
}

async fn a_forged_predecessor_after_the_grace_is_no_theft(stand: Stand) {
    let first = stand.login("ada").await;
    let second = stand.next(&first).await;
    stand.advance_seconds(60).await;
    stand.assert_invalid(&forge(&first, 1, true)).await;
    assert!(stand.reuses().is_empty());
    stand.next(&second).await;
}
