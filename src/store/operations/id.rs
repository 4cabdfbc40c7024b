//! An application's id as a part of a key.

use std::{
    borrow::Cow,
    fmt::{self, Display, Write as _},
};

use arrayvec::ArrayString;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

/// The longest id that is written into a key as it is, in bytes.
const LONGEST: usize = 128;

/// What has a meaning of its own in a key.
const DIVIDES: [char; 4] = ['%', ':', '{', '}'];

/// An id in the form that it has in a key, at most 384 bytes whatever its size.
///
/// `:` separates a key's parts and braces make a hash tag, so both are percent-encoded, and so is
/// `%`. An id of more than 128 bytes is replaced by `%sha256=` and its digest; no encoded id
/// begins like that.
#[derive(Debug)]
pub(crate) struct Id(Text);

#[derive(Debug)]
enum Text {
    Whole(ArrayString<LONGEST>),
    /// Of an id that is too long only the digest is kept.
    Digest(Sha256),
}

impl Id {
    /// The longest form in bytes.
    pub(crate) const LONGEST_IN_KEY: usize = 3 * LONGEST;

    pub(crate) fn new(id: impl Display) -> Self {
        let mut text = Text::Whole(ArrayString::new());
        write!(text, "{id}").expect("an id's Display does not fail");
        Self(text)
    }
}

impl Id {
    /// As it is written, without copying what needs no encoding.
    pub(crate) fn as_part(&self) -> Cow<'_, str> {
        match &self.0 {
            Text::Whole(text) if !text.contains(DIVIDES) => Cow::Borrowed(text),
            _ => Cow::Owned(self.to_string()),
        }
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        match self {
            Self::Whole(text) => {
                if text.try_push_str(more).is_err() {
                    let digest = Sha256::new().chain_update(text.as_str()).chain_update(more);
                    *self = Self::Digest(digest);
                }
            }
            Self::Digest(digest) => digest.update(more),
        }
        Ok(())
    }
}

impl Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match &self.0 {
            Text::Whole(text) => text,
            Text::Digest(digest) => {
                let digest = BASE64_URL_SAFE_NO_PAD.encode(digest.clone().finalize());
                return write!(f, "%sha256={digest}");
            }
        };
        if !text.contains(DIVIDES) {
            return f.write_str(text);
        }
        text.chars().try_for_each(|c| match c {
            '%' => f.write_str("%25"),
            ':' => f.write_str("%3A"),
            '{' => f.write_str("%7B"),
            '}' => f.write_str("%7D"),
            c => f.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stands_in_its_key_as_it_is_but_for_what_divides_keys() {
        for (id, part) in [
            ("42", "42"),
            ("", ""),
            ("é\0\n *", "é\0\n *"),
            ("a:b%3A{c}:", "a%3Ab%253A%7Bc%7D%3A"),
        ] {
            assert_eq!(Id::new(id).to_string(), part);
        }
    }

    #[test]
    fn of_an_id_over_128_bytes_the_digest_stands_there() {
        let longest = "x".repeat(LONGEST);
        assert_eq!(Id::new(&longest).to_string(), longest);
        let digest = Id::new(format_args!("{longest}x")).to_string();
        assert_eq!(digest, Id::new("x".repeat(LONGEST + 1)).to_string());
        // printf 'x%.0s' {1..129} | openssl dgst -sha256 -binary | basenc --base64url
        assert_eq!(
            digest,
            "%sha256=DsnrM-dFELzdHy6lUgboLyFknFwr7L8rQz60dbNMAb0"
        );
        assert_ne!(digest, Id::new(&digest).to_string());
        assert!(Id::new("%".repeat(LONGEST)).to_string().len() <= 3 * LONGEST);
    }
}
