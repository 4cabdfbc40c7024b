//! Lists whose members may be or contain quoted strings (RFC 9110 §5.6.4).
//!
//! A quotation mark may be malformed: it is never closed, it is in the middle of a token, or
//! something else follows the closing one. It must not hide what comes after it, so from there on
//! nothing counts as quoted.

/// The part of a line whose quoted strings are well formed, and the rest, which begins with a
/// malformed quotation mark.
pub(super) fn well_formed(line: &[u8]) -> (&[u8], &[u8]) {
    let mut at = 0;
    while let Some(&byte) = line.get(at) {
        if byte != b'"' {
            at += 1;
        } else if let Some(length) = may_open(&line[..at]).then(|| string(&line[at..])).flatten() {
            at += length;
        } else {
            break;
        }
    }
    line.split_at(at)
}

/// Splits at each `separator` outside quoted strings.
pub(super) fn split(line: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let end = well_formed(line).0.len();
    let mut at = 0;
    let mut quoted = false;
    let mut escaped = false;
    line.split(move |&byte| {
        at += 1;
        if at > end {
            return byte == separator;
        }
        if escaped {
            escaped = false;
        } else if quoted && byte == b'\\' {
            escaped = true;
        } else if byte == b'"' {
            quoted = !quoted;
        }
        !quoted && byte == separator
    })
}

/// Whether a quoted string may begin here: at the beginning of a member or parameter, after `=`,
/// and in a weak entity tag.
fn may_open(before: &[u8]) -> bool {
    let before = before.trim_ascii_end();
    matches!(before.last(), None | Some(b',' | b';' | b'=')) || before.ends_with(b"W/")
}

/// The length of the quoted string that `rest` begins with, if what follows it is the end of the
/// member or parameter.
fn string(rest: &[u8]) -> Option<usize> {
    let mut escaped = false;
    let end = rest.iter().skip(1).position(|&byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    let length = end + 2;
    let after = rest[length..].trim_ascii_start();
    matches!(after.first(), None | Some(b',' | b';')).then_some(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rest(line: &str) -> &str {
        std::str::from_utf8(well_formed(line.as_bytes()).1).unwrap()
    }

    #[test]
    fn quoted_strings_where_they_belong_are_well_formed() {
        for line in [
            "",
            "a, b",
            r#"a="x, y", b"#,
            r#"a="x" , b="y";c="z""#,
            r#"a="x\", y", b"#,
            r#""x,y", W/"z,z""#,
            r#"a= "x, y""#,
        ] {
            assert_eq!(rest(line), "", "{line}");
        }
    }

    #[test]
    fn a_quotation_mark_that_opens_no_string_ends_what_is_well_formed() {
        for (line, expected) in [
            (r#"a="x, b"#, r#""x, b"#),
            (r#"a="x\", b"#, r#""x\", b"#),
            (r#"a="x, b, c="y""#, r#""x, b, c="y""#),
            (r#"a=x", b, c=""#, r#"", b, c=""#),
            (r#"a ", b, ""#, r#"", b, ""#),
            (r#"a="x"y, b"#, r#""x"y, b"#),
            (r#"a="x", b="y"#, r#""y"#),
        ] {
            assert_eq!(rest(line), expected, "{line}");
        }
    }

    #[test]
    fn separators_count_from_the_unfinished_string_on() {
        let parts: Vec<_> = split(br#"a="x,y", b="z, c"#, b',').collect();
        assert_eq!(parts, [&br#"a="x,y""#[..], br#" b="z"#, b" c"]);
    }

    proptest! {
        #[test]
        fn any_line_splits_without_panic_and_without_loss(line: Vec<u8>) {
            let parts: Vec<_> = split(&line, b',').collect();
            prop_assert_eq!(parts.join(&b','), line.clone());
            let (well_formed, rest) = well_formed(&line);
            prop_assert_eq!([well_formed, rest].concat(), line);
        }

        /// What a line says before its first unfinished string is split as it always is.
        #[test]
        fn a_line_of_quoted_strings_and_tokens_is_well_formed(
            line in "[a-z]{1,3}(=(\"([a-z, ]|\\\\[\"a-z])*\"|[a-z]*))?(, ?[a-z]{1,3}=\"[a-z,]*\"){0,3}"
        ) {
            prop_assert_eq!(rest(&line), "");
        }
    }
}
