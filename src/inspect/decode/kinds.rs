//! The fields of the crate's own kinds of data, as far as they are not text that speaks for itself.

use serde_json::Value;

/// What a field of a key of this kind holds, if the kind says so. `kind` is what the key begins with.
pub(super) fn field(kind: &str, name: &[u8], value: &[u8]) -> Option<Value> {
    match kind {
        #[cfg(feature = "cache")]
        "cache" => response(name, value),
        #[cfg(feature = "refresh-token")]
        "refresh_token" => family(value),
        #[cfg(feature = "session")]
        "session" if name == b"m" => session(value),
        #[cfg(feature = "session")]
        "session_index" => listed(value),
        _ => {
            let _ = (name, value);
            None
        }
    }
}

/// Of a stored variant the version and the head; its body is shown as any text.
#[cfg(feature = "cache")]
fn response(name: &[u8], value: &[u8]) -> Option<Value> {
    let (b'h', _) = name.split_first()? else {
        return None;
    };
    let (version, head) = value.split_at_checked(16)?;
    let version = std::str::from_utf8(version).ok()?;
    let mut shown = crate::cache::show_head(head)?;
    shown["version"] = version.into();
    Some(shown)
}

#[cfg(feature = "refresh-token")]
fn family(value: &[u8]) -> Option<Value> {
    use crate::store::operations::token::Family;
    let family = Family::decode(&bytes::Bytes::copy_from_slice(value))?;
    let for_whom: Value = serde_json::from_slice(&family.about).ok()?;
    Some(serde_json::json!({
        "for": for_whom,
        "scope": String::from_utf8_lossy(&family.scope).trim(),
        "created_at_ms": family.created,
        "rotated_at_ms": family.rotated,
        "ends_at_ms": family.ends,
        "rotations": match family.generation {
            Family::TOMBSTONE => Value::Null,
            generation => generation.saturating_sub(1).into(),
        },
        "ended_for_reuse": family.generation == Family::TOMBSTONE,
    }))
}

#[cfg(feature = "session")]
fn session(value: &[u8]) -> Option<Value> {
    crate::store::operations::session::show_meta(value)
}

#[cfg(feature = "session")]
fn listed(value: &[u8]) -> Option<Value> {
    let listed = crate::store::operations::session_index::Listed::read(value)?;
    Some(serde_json::json!({
        "device": &*listed.device,
        "logged_in_at_ms": listed.bound.as_millis() as u64,
        "ends_at_ms": listed.ends.as_millis() as u64,
        "to_be_ended": listed.condemned,
    }))
}
