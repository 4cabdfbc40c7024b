//! Stored data as JSON, for eyes.

mod kinds;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};

use crate::store::inspect::Found;

/// What stands under the key of this name, which is that inside of its namespace.
pub(super) fn found(name: &str, found: Found) -> Option<Value> {
    let kind = name.split(':').next().unwrap_or_default();
    match found {
        Found::Nothing => None,
        Found::Text(bytes) => Some(text(&bytes)),
        Found::Fields(fields) => {
            let fields = fields.iter().map(|(name, value)| {
                let shown = kinds::field(kind, name, value);
                (label(name), shown.unwrap_or_else(|| text(value)))
            });
            Some(Value::Object(fields.collect::<Map<_, _>>()))
        }
        Found::Members(members) => Some(members.iter().map(|member| text(member)).collect()),
    }
}

/// JSON as what it is; a value of the key-value service as `head` and `value`; other text as a
/// string; anything else as how long it is and its beginning.
fn text(bytes: &[u8]) -> Value {
    if let Ok(value) = serde_json::from_slice(bytes) {
        return value;
    }
    let line = bytes.iter().position(|byte| *byte == b'\n');
    if let Some((head, value)) = line.and_then(|line| bytes.split_at_checked(line))
        && let Ok(head @ Value::Object(_)) = serde_json::from_slice(head)
    {
        return json!({ "head": head, "value": text(&value[1..]) });
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(|c: char| c.is_control() && !c.is_whitespace()) => text.into(),
        _ => {
            let beginning = &bytes[..bytes.len().min(256)];
            json!({ "bytes": bytes.len(), "base64": BASE64_STANDARD.encode(beginning) })
        }
    }
}

/// The name of a field, which need not be text.
fn label(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(name) if !name.contains(char::is_control) => name.to_owned(),
        _ => BASE64_STANDARD.encode(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_shown_as_what_it_is() {
        for (bytes, expected) in [
            (&b"{\"a\":1}"[..], json!({"a": 1})),
            (b"17", json!(17)),
            (
                b"{\"v\":1}\n\"ada\"",
                json!({"head": {"v": 1}, "value": "ada"}),
            ),
            (
                b"{\"v\":1}\nplain",
                json!({"head": {"v": 1}, "value": "plain"}),
            ),
            (b"plain text", json!("plain text")),
            (b"\xff\0", json!({"bytes": 2, "base64": "/wA="})),
            (b"", json!("")),
        ] {
            assert_eq!(text(bytes), expected);
        }
        let long = text(&[0; 10_000]);
        assert_eq!(long["bytes"], 10_000);
        assert!(long.to_string().len() < 500);
    }
}
