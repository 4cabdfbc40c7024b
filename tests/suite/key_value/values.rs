//! Reading, writing, deleting.

use std::collections::HashMap;

use serde::{Serialize, de::DeserializeOwned};
use tower_keep::key_value::{Codec, CodecError, Json, KeyValue, SetError, USER_DATA_TTL};

use super::stand::{Database, NoSuchUser, Stand, User, user};

super::on_all_stores!(
    what_is_set_is_read_back,
    a_value_is_there_from_set_to_del,
    nothing_is_unlike_a_missing_value,
    ids_and_prefixes_keep_values_apart,
    any_text_is_an_id,
    a_value_of_another_schema_is_a_miss_and_is_overwritten,
    a_value_of_another_type_is_a_miss_and_is_overwritten,
    a_value_of_another_codec_is_a_miss_and_is_overwritten,
    a_value_that_json_cannot_hold_is_an_error_and_changes_nothing,
);

async fn what_is_set_is_read_back(stand: Stand) {
    assert_eq!(stand.get("42").await, None);
    let ada = user("Ada");
    stand.users.set("42", &ada, USER_DATA_TTL).await.unwrap();
    assert_eq!(stand.get("42").await, Some(ada));
    let grace = user("Grace");
    stand.users.set("42", &grace, USER_DATA_TTL).await.unwrap();
    assert_eq!(stand.users.get(42).await.unwrap(), Some(grace));
    stand.users.set(7, "text", USER_DATA_TTL).await.unwrap();
    assert_eq!(stand.users.get(7).await.unwrap(), Some("text".to_owned()));
}

async fn a_value_is_there_from_set_to_del(stand: Stand) {
    let users = &stand.users;
    assert!(!users.exists(1).await.unwrap());
    assert!(!users.del(1).await.unwrap());
    users.set(1, &user("Ada"), USER_DATA_TTL).await.unwrap();
    assert!(users.exists(1).await.unwrap());
    assert!(users.del(1).await.unwrap());
    assert!(!users.exists(1).await.unwrap());
    assert_eq!(stand.get("1").await, None);
}

async fn nothing_is_unlike_a_missing_value(stand: Stand) {
    let users = &stand.users;
    assert_eq!(users.get::<Option<User>>(1).await.unwrap(), None);
    users.set(1, &None::<User>, USER_DATA_TTL).await.unwrap();
    assert_eq!(users.get::<Option<User>>(1).await.unwrap(), Some(None));
}

async fn ids_and_prefixes_keep_values_apart(stand: Stand) {
    let teams = KeyValue::new(stand.store.clone(), "team").unwrap();
    let other = stand.store.clone().with_namespace("keep:other").unwrap();
    let others = KeyValue::new(other, "user").unwrap();
    for (values, id, name) in [
        (&stand.users, "1", "Ada"),
        (&stand.users, "2", "Grace"),
        (&teams, "1", "Admins"),
        (&others, "1", "Alan"),
    ] {
        values.set(id, name, USER_DATA_TTL).await.unwrap();
    }
    assert!(stand.users.del("2").await.unwrap());
    let read = async |values: &KeyValue| values.get::<String>("1").await.unwrap();
    assert_eq!(read(&stand.users).await.as_deref(), Some("Ada"));
    assert_eq!(read(&teams).await.as_deref(), Some("Admins"));
    assert_eq!(read(&others).await.as_deref(), Some("Alan"));
    assert_eq!(read(&stand.elsewhere()).await.as_deref(), Some("Ada"));
}

async fn any_text_is_an_id(stand: Stand) {
    let long = "x".repeat(2_000);
    let ids = [
        "", " ", "a", "a:b", "{a}", "a{b}c", "%7Ba%7D", "%", "*", "é\0\n", "lease:a", &long,
    ];
    for id in ids {
        let database = Database::open("Ada");
        assert_eq!(
            database.through(&stand.users, id).await.unwrap().name,
            "Ada"
        );
        assert_eq!(database.calls(), 1, "{id:?}");
    }
    for id in ids {
        assert!(stand.users.del(id).await.unwrap(), "{id:?}");
    }
}

async fn a_value_of_another_schema_is_a_miss_and_is_overwritten(stand: Stand) {
    stand
        .users
        .set(1, &user("Ada"), USER_DATA_TTL)
        .await
        .unwrap();
    let newer = stand.elsewhere().with_schema(2);
    assert_eq!(newer.get::<User>(1).await.unwrap(), None);
    let database = Database::open("Grace");
    assert_eq!(database.through(&newer, "1").await.unwrap().name, "Grace");
    assert_eq!(newer.get(1).await.unwrap(), Some(user("Grace")));
    assert_eq!(stand.get("1").await, None);
}

async fn a_value_of_another_type_is_a_miss_and_is_overwritten(stand: Stand) {
    stand.users.set(1, &[1, 2, 3], USER_DATA_TTL).await.unwrap();
    assert_eq!(stand.get("1").await, None);
    let database = Database::open("Ada");
    assert_eq!(
        database.through(&stand.users, "1").await.unwrap().name,
        "Ada"
    );
    assert_eq!(stand.get("1").await, Some(user("Ada")));
}

/// JSON with a letter before it.
#[derive(Debug, Clone)]
struct Lettered;

impl Codec for Lettered {
    const NAME: &'static str = "lettered";

    fn encode<T: Serialize + ?Sized>(
        &self,
        value: &T,
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        out.push(b'j');
        Json.encode(value, out)
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, CodecError> {
        Json.decode(bytes.strip_prefix(b"j").ok_or("no letter")?)
    }
}

async fn a_value_of_another_codec_is_a_miss_and_is_overwritten(stand: Stand) {
    let users = &stand.users;
    users.set(1, &user("Ada"), USER_DATA_TTL).await.unwrap();
    let lettered = stand.elsewhere().with_codec(Lettered);
    assert_eq!(lettered.get::<User>(1).await.unwrap(), None);
    let query = || async { Ok::<_, NoSuchUser>(user("Grace")) };
    let loaded = lettered.get_or_load(1, USER_DATA_TTL, query).await;
    assert_eq!(loaded.unwrap(), user("Grace"));
    assert_eq!(lettered.get(1).await.unwrap(), Some(user("Grace")));
    assert_eq!(stand.get("1").await, None);
}

async fn a_value_that_json_cannot_hold_is_an_error_and_changes_nothing(stand: Stand) {
    stand
        .users
        .set(1, &user("Ada"), USER_DATA_TTL)
        .await
        .unwrap();
    let no_strings = HashMap::from([((1, 2), 3)]);
    let result = stand.users.set(1, &no_strings, USER_DATA_TTL).await;
    assert!(matches!(result, Err(SetError::Encode(_))), "{result:?}");
    assert_eq!(stand.get("1").await, Some(user("Ada")));
}
