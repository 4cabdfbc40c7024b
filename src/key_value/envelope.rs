//! What is stored: one line of JSON that says how to read the value, and the value.
//!
//! `{"v":1}` and a line feed stand before a plain value. More is written where it is needed: the
//! codec, tags with their stamps, how long the value may be served after it became stale, how
//! long it took to load.

use std::{borrow::Cow, sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Codec, CodecError, Json};
use crate::store::operations::{
    tag::{Stamp, TagName},
    value::identity,
};

/// Why stored bytes count as missing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Written under another version of the schema.
    Schema(u32),
    /// Written by another codec.
    Codec,
    /// Not written by this service, damaged, or of another type.
    Corrupt,
}

/// What is said about a value.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) schema: u32,
    /// How long before its expiry the value becomes stale.
    pub(super) stale: Duration,
    /// How long it took to load, if it is to be refreshed early.
    pub(super) cost: Duration,
    /// The stamps that the value's tags had before it was loaded.
    pub(super) tags: Vec<(TagName, Stamp)>,
}

impl Head {
    /// Whether nothing but its expiry makes the value a miss.
    pub(super) fn is_plain(&self) -> bool {
        self.tags.is_empty() && self.stale.is_zero()
    }
}

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    v: u32,
    /// Makes the beginning of one value differ from that of the value before it.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    codec: Option<Cow<'a, str>>,
    /// There is no value: the loader has found none.
    #[serde(default, skip_serializing_if = "is_default")]
    absent: bool,
    /// Milliseconds.
    #[serde(default, skip_serializing_if = "is_default")]
    stale: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    cost: u64,
    /// Names and stamps in base64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<(String, String)>,
}

/// The line of a value of which there is nothing to say but its schema and codec, as most are.
#[derive(Debug, Clone)]
pub(super) struct PlainLine(Arc<[u8]>);

impl PlainLine {
    pub(super) fn new<C: Codec>(schema: u32) -> Self {
        let codec = match C::NAME == Json::NAME {
            true => String::new(),
            false => format!(r#","codec":{}"#, serde_json::Value::from(C::NAME)),
        };
        Self(format!("{{\"v\":{schema}{codec}}}\n").into_bytes().into())
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Writes a value, or that there is none.
pub(super) fn encode<C: Codec, T: Serialize + ?Sized>(
    codec: &C,
    head: &Head,
    value: Option<&T>,
) -> Result<Bytes, CodecError> {
    // A plain value is only ever replaced when it cannot be read, which its first bytes show.
    let is_plain = head.is_plain() && head.cost.is_zero();
    let tags = head.tags.iter();
    let line = Line {
        v: head.schema,
        id: (!is_plain).then(|| {
            BASE64_URL_SAFE_NO_PAD
                .encode(&Stamp::random().0[..8])
                .into()
        }),
        codec: (C::NAME != Json::NAME).then(|| C::NAME.into()),
        absent: value.is_none(),
        stale: millis(head.stale),
        cost: millis(head.cost),
        tags: tags
            .map(|(name, stamp)| {
                let stamp = BASE64_URL_SAFE_NO_PAD.encode(&stamp.0);
                (name.as_str().to_owned(), stamp)
            })
            .collect(),
    };
    let mut bytes = serde_json::to_vec(&line)?;
    bytes.push(b'\n');
    if let Some(value) = value {
        codec.encode(value, &mut bytes)?;
    }
    Ok(bytes.into())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A stored value whose head has been read.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) head: Head,
    bytes: Bytes,
    /// Where the value begins; `None` if the loader has found none.
    value: Option<usize>,
}

impl Opened {
    /// Reads the head of what was written under this schema and by this codec; else the bytes come
    /// back.
    pub(super) fn open<C: Codec>(
        schema: u32,
        plain: &PlainLine,
        bytes: Bytes,
    ) -> Result<Self, (Unreadable, Bytes)> {
        if bytes.starts_with(&plain.0) {
            let head = Head {
                schema,
                ..Head::default()
            };
            let value = Some(plain.0.len());
            return Ok(Self { head, bytes, value });
        }
        match read_head::<C>(schema, &bytes) {
            Ok((head, value)) => Ok(Self { head, bytes, value }),
            Err(why) => Err((why, bytes)),
        }
    }

    /// The value, or `None` if the loader has found none.
    pub(super) fn decode<C: Codec, T: DeserializeOwned>(
        &self,
        codec: &C,
    ) -> Result<Option<T>, Unreadable> {
        let value = self.value.map(|at| codec.decode(&self.bytes[at..]));
        value.transpose().map_err(|_| Unreadable::Corrupt)
    }

    /// What tells it from the value that may have been stored in its place.
    pub(super) fn identity(&self) -> Bytes {
        Bytes::copy_from_slice(identity(&self.bytes))
    }
}

fn read_head<C: Codec>(schema: u32, bytes: &[u8]) -> Result<(Head, Option<usize>), Unreadable> {
    let line = bytes.iter().position(|&byte| byte == b'\n');
    let line = line.ok_or(Unreadable::Corrupt)?;
    let read: Line<'_> = serde_json::from_slice(&bytes[..line]).map_err(|_| Unreadable::Corrupt)?;
    if read.v != schema {
        return Err(Unreadable::Schema(read.v));
    }
    if read.codec.as_deref().unwrap_or(Json::NAME) != C::NAME {
        return Err(Unreadable::Codec);
    }
    let tags = read.tags.iter().map(|(name, stamp)| {
        let stamp = BASE64_URL_SAFE_NO_PAD.decode(stamp).ok()?;
        Some((TagName::stored(name)?, Stamp(stamp.into())))
    });
    let head = Head {
        schema,
        stale: Duration::from_millis(read.stale),
        cost: Duration::from_millis(read.cost),
        tags: tags.collect::<Option<_>>().ok_or(Unreadable::Corrupt)?,
    };
    Ok((head, (!read.absent).then_some(line + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone)]
    struct Reversed;

    impl Codec for Reversed {
        const NAME: &'static str = "reversed";

        fn encode<T: Serialize + ?Sized>(
            &self,
            value: &T,
            out: &mut Vec<u8>,
        ) -> Result<(), CodecError> {
            out.extend(serde_json::to_vec(value)?.iter().rev());
            Ok(())
        }

        fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, CodecError> {
            let bytes: Vec<_> = bytes.iter().rev().copied().collect();
            Ok(serde_json::from_slice(&bytes)?)
        }
    }

    fn plain(schema: u32) -> Head {
        Head {
            schema,
            ..Head::default()
        }
    }

    fn open<C: Codec>(schema: u32, bytes: Bytes) -> Result<Opened, (Unreadable, Bytes)> {
        Opened::open::<C>(schema, &PlainLine::new::<C>(schema), bytes)
    }

    #[test]
    fn a_plain_line_is_what_is_written_before_a_plain_value() {
        fn check<C: Codec>(codec: &C, schema: u32) {
            let bytes = encode(codec, &plain(schema), Some("tea")).unwrap();
            let line = PlainLine::new::<C>(schema).0;
            let end = bytes.iter().position(|&byte| byte == b'\n').unwrap();
            assert_eq!(line[..], bytes[..=end]);
        }
        check(&Json, 1);
        check(&Json, u32::MAX);
        check(&Reversed, 7);
    }

    fn read<C: Codec, T: DeserializeOwned>(
        codec: &C,
        schema: u32,
        bytes: &Bytes,
    ) -> Result<Option<T>, Unreadable> {
        let opened = open::<C>(schema, bytes.clone());
        opened.map_err(|(why, _)| why)?.decode(codec)
    }

    #[test]
    fn a_plain_value_is_a_short_line_and_its_json() {
        let bytes = encode(&Json, &plain(3), Some("tea")).unwrap();
        assert_eq!(&*bytes, b"{\"v\":3}\n\"tea\"");
        assert_eq!(read(&Json, 3, &bytes), Ok(Some("tea".to_owned())));
        let nothing = encode(&Json, &plain(1), Some(&None::<u8>)).unwrap();
        assert_eq!(read(&Json, 1, &nothing), Ok(Some(None::<u8>)));
    }

    #[test]
    fn what_was_not_found_is_unlike_any_value() {
        let bytes = encode(&Json, &plain(1), None::<&u8>).unwrap();
        assert_eq!(read::<_, u8>(&Json, 1, &bytes), Ok(None));
        assert_eq!(read::<_, Option<u8>>(&Json, 1, &bytes), Ok(None));
    }

    #[test]
    fn another_schema_or_codec_is_told_from_damage() {
        let old = encode(&Json, &plain(1), Some("tea")).unwrap();
        assert_eq!(
            read::<_, String>(&Json, 2, &old),
            Err(Unreadable::Schema(1))
        );
        assert_eq!(
            read::<_, String>(&Reversed, 1, &old),
            Err(Unreadable::Codec)
        );
        assert_eq!(read::<_, u8>(&Json, 1, &old), Err(Unreadable::Corrupt));
        let other = encode(&Reversed, &plain(1), Some("tea")).unwrap();
        assert_eq!(read(&Reversed, 1, &other), Ok(Some("tea".to_owned())));
        assert_eq!(read::<_, String>(&Json, 1, &other), Err(Unreadable::Codec));
        for damaged in [
            "",
            "\n",
            "tea",
            r#"{"v":1,"d":"tea"}"#,
            "{\"v\":1}\n\"te",
            "{\"v\":1}",
            "{\"v\":-1}\n1",
            "{\"v\":1,\"tags\":[[\"a\",\"?\"]]}\n\"tea\"",
            "{\"v\":1,\"tags\":[[\"a:b\",\"AAAAAAAAAAAAAAAAAAAAAA\"]]}\n\"tea\"",
        ] {
            let result = read::<_, String>(&Json, 1, &damaged.into());
            assert_eq!(result, Err(Unreadable::Corrupt), "{damaged}");
        }
    }

    #[test]
    fn what_is_said_about_a_value_is_read_back() {
        let head = Head {
            stale: Duration::from_secs(60),
            cost: Duration::from_millis(12),
            tags: vec![
                (TagName::new("team:7"), Stamp::random()),
                (TagName::new("x".repeat(1_000)), Stamp::random()),
            ],
            ..plain(1)
        };
        let bytes = encode(&Json, &head, Some(&7)).unwrap();
        let opened = open::<Json>(1, bytes).unwrap();
        assert_eq!(opened.head.stale, head.stale);
        assert_eq!(opened.head.cost, head.cost);
        assert_eq!(opened.head.tags, head.tags);
        assert_eq!(opened.decode(&Json), Ok(Some(7)));
    }

    #[test]
    fn two_writings_of_what_may_be_refreshed_begin_differently() {
        let head = Head {
            stale: Duration::from_secs(60),
            ..plain(u32::MAX)
        };
        let [one, other] = [(); 2].map(|()| {
            let bytes = encode(&Json, &head, Some("tea")).unwrap();
            open::<Json>(u32::MAX, bytes).unwrap().identity()
        });
        assert_ne!(one, other);
    }
}
