//! How a value is written: JSON, with the version of its schema around it.

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Why stored bytes are as good as none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Written under another version of the schema.
    Schema(u32),
    /// Not written by this service, damaged, or of another type.
    Corrupt,
}

#[derive(Serialize)]
struct Written<'a, T: ?Sized> {
    v: u32,
    d: &'a T,
}

#[derive(Deserialize)]
struct Read<T> {
    v: u32,
    d: T,
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

/// `{"v":1,"d":…}`
pub(super) fn encode<T: Serialize + ?Sized>(
    schema: u32,
    value: &T,
) -> Result<Bytes, serde_json::Error> {
    let written = Written {
        v: schema,
        d: value,
    };
    let json = serde_json::to_vec(&written)?;
    // A copy of the exact size, for embedded memory keeps these very bytes: to shrink the vector
    // in keys would leave holes between them that nothing else fits into.
    Ok(Bytes::copy_from_slice(&json))
}

pub(super) fn decode<T: DeserializeOwned>(schema: u32, bytes: &[u8]) -> Result<T, Unreadable> {
    match serde_json::from_slice::<Read<T>>(bytes) {
        Ok(read) if read.v == schema => Ok(read.d),
        Ok(read) => Err(Unreadable::Schema(read.v)),
        // A value of another version need not read as this one's type.
        Err(_) => match serde_json::from_slice::<Version>(bytes) {
            Ok(Version { v }) if v != schema => Err(Unreadable::Schema(v)),
            _ => Err(Unreadable::Corrupt),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let bytes = encode(3, "tea").unwrap();
        assert_eq!(&*bytes, br#"{"v":3,"d":"tea"}"#);
        assert_eq!(decode::<String>(3, &bytes), Ok("tea".to_owned()));
        let nothing = encode(1, &None::<u8>).unwrap();
        assert_eq!(decode::<Option<u8>>(1, &nothing), Ok(None));
    }

    #[test]
    fn what_is_written_takes_its_exact_bytes() {
        for length in [1, 100, 1_000, 10_000] {
            let bytes = encode(1, &vec!["x"; length]).unwrap();
            let (length, bytes) = (bytes.len(), bytes.try_into_mut().unwrap());
            assert_eq!(bytes.capacity(), length);
        }
    }

    #[test]
    fn another_schema_is_told_from_damage() {
        let old = encode(1, "tea").unwrap();
        assert_eq!(decode::<String>(2, &old), Err(Unreadable::Schema(1)));
        assert_eq!(decode::<u8>(2, &old), Err(Unreadable::Schema(1)));
        assert_eq!(decode::<u8>(1, &old), Err(Unreadable::Corrupt));
        for damaged in ["", "tea", r#"{"v":1,"d":"te"#, r#"{"d":"tea"}"#, "\u{0}"] {
            let result = decode::<String>(1, damaged.as_bytes());
            assert_eq!(result, Err(Unreadable::Corrupt), "{damaged}");
        }
    }
}
