//! Reading what Redis answers.

use crate::store::{batch::Replies, error::StoreError, redis::Reply};

/// The next of the replies to an operation.
pub(super) fn next(replies: &mut Replies) -> Result<Reply, StoreError> {
    const SHORT: StoreError = StoreError::UnexpectedReply("fewer replies than commands");
    replies.next().unwrap_or(Err(SHORT))
}

/// `None` for what is not UTF-8, which this crate never writes.
pub(super) fn utf8<T: for<'a> From<&'a str>>(bytes: &[u8]) -> Option<T> {
    std::str::from_utf8(bytes).ok().map(T::from)
}

/// `None` for what is not digits of a hexadecimal number of 64 bits.
pub(super) fn hex(digits: &[u8]) -> Option<u64> {
    // `from_str_radix` takes several times as long, which counts at each read of a session.
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    (digits.iter()).try_fold(0, |number, digit| {
        Some(number << 4 | u64::from(char::from(*digit).to_digit(16)?))
    })
}

#[cfg(test)]
mod tests {
    use super::hex;

    #[test]
    fn hexadecimal_digits_are_a_number_and_nothing_else_is() {
        for number in [0, 7, 0xab, 0x0019_a0b1_c2d3, u64::MAX] {
            assert_eq!(hex(format!("{number:x}").as_bytes()), Some(number));
            assert_eq!(hex(format!("{number:016X}").as_bytes()), Some(number));
        }
        for text in [
            "",
            "g",
            "-1",
            "+1",
            " 1",
            "1 ",
            "0x1",
            "\u{e9}",
            "10000000000000000",
        ] {
            assert_eq!(hex(text.as_bytes()), None, "{text:?}");
        }
    }
}
