//! HTTP-date (RFC 9110 §5.6.7) in its three forms.
//!
//! `httpdate` writes them; it does not read them here, because it refuses what caches have to
//! accept: another case of the names, a weekday that does not belong to the day, years before 1970,
//! and it fixes the century of two-digit years instead of counting from the present.

use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue, header};

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const WEEKDAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];
const SECONDS_PER_YEAR: i64 = 31_556_952;
/// 9999-12-31T23:59:59Z, the last that the format can write.
const LATEST: u64 = 253_402_300_799;

/// The Unix seconds of an HTTP-date, or `None` if it is not one. `now` (Unix milliseconds) places
/// the two-digit years of the RFC 850 form: not more than 50 years ahead.
pub(super) fn parse(value: &HeaderValue, now: u64) -> Option<i64> {
    let text = value.to_str().ok()?.trim_matches([' ', '\t']);
    match text.find(',') {
        Some(3) => imf_fixdate(text),
        Some(_) => rfc850_date(text, now),
        None => asctime_date(text),
    }
}

/// The preferred form of a time in Unix milliseconds.
pub(super) fn format(millis: u64) -> HeaderValue {
    let time = UNIX_EPOCH + Duration::from_secs((millis / 1000).min(LATEST));
    HeaderValue::try_from(httpdate::fmt_http_date(time)).expect("an HTTP-date is visible ASCII")
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(text: &str) -> Option<i64> {
    let (weekday, rest) = text.split_at_checked(3)?;
    weekday_abbreviation(weekday)?;
    let rest = rest.strip_prefix(", ")?;
    let (day, rest) = number(rest, 2)?;
    let (month, rest) = month(rest.strip_prefix(' ')?)?;
    let (year, rest) = number(rest.strip_prefix(' ')?, 4)?;
    let time = time_of_day(gmt(rest.strip_prefix(' ')?)?)?;
    timestamp(year, month, day, time)
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc850_date(text: &str, now: u64) -> Option<i64> {
    let (weekday, rest) = text.split_once(", ")?;
    WEEKDAYS
        .iter()
        .find(|name| name.eq_ignore_ascii_case(weekday))?;
    let (day, rest) = number(rest, 2)?;
    let (month, rest) = month(rest.strip_prefix('-')?)?;
    let (year, rest) = number(rest.strip_prefix('-')?, 2)?;
    let time = time_of_day(gmt(rest.strip_prefix(' ')?)?)?;
    timestamp(full_year(year, now), month, day, time)
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime_date(text: &str) -> Option<i64> {
    let (weekday, rest) = text.split_at_checked(3)?;
    weekday_abbreviation(weekday)?;
    let (month, rest) = month(rest.strip_prefix(' ')?)?;
    let rest = rest.strip_prefix(' ')?;
    let (day, rest) = match rest.strip_prefix(' ') {
        Some(rest) => number(rest, 1)?,
        None => number(rest, 2)?,
    };
    let (time, rest) = rest.strip_prefix(' ')?.split_at_checked(8)?;
    let (year, rest) = number(rest.strip_prefix(' ')?, 4)?;
    rest.is_empty()
        .then(|| timestamp(year, month, day, time_of_day(time)?))?
}

fn weekday_abbreviation(text: &str) -> Option<()> {
    WEEKDAYS
        .iter()
        .any(|name| name[..3].eq_ignore_ascii_case(text))
        .then_some(())
}

fn month(text: &str) -> Option<(i64, &str)> {
    let (name, rest) = text.split_at_checked(3)?;
    let index = MONTHS
        .iter()
        .position(|month| month.eq_ignore_ascii_case(name))?;
    Some((i64::try_from(index).ok()? + 1, rest))
}

fn number(text: &str, digits: usize) -> Option<(i64, &str)> {
    let (number, rest) = text.split_at_checked(digits)?;
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((number.parse().ok()?, rest))
}

fn gmt(text: &str) -> Option<&str> {
    let (rest, zone) = text.split_at_checked(text.len().checked_sub(4)?)?;
    zone.eq_ignore_ascii_case(" GMT").then_some(rest)
}

/// `08:49:37`, with room for a leap second.
fn time_of_day(text: &str) -> Option<i64> {
    let (hour, rest) = number(text, 2)?;
    let (minute, rest) = number(rest.strip_prefix(':')?, 2)?;
    let (second, rest) = number(rest.strip_prefix(':')?, 2)?;
    (rest.is_empty() && hour < 24 && minute < 60 && second <= 60)
        .then_some(hour * 3600 + minute * 60 + second)
}

/// The year that ends in these two digits and is at most 50 years ahead, less than 50 ago.
fn full_year(two_digits: i64, now: u64) -> i64 {
    let this_year = 1970 + i64::try_from(now / 1000).unwrap_or(i64::MAX) / SECONDS_PER_YEAR;
    let latest = this_year + 50;
    latest - (latest - two_digits).rem_euclid(100)
}

fn timestamp(year: i64, month: i64, day: i64, time_of_day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_in_month = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if !(1..=days_in_month).contains(&day) {
        return None;
    }
    // Years that begin in March put the leap day at their end.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days_before_epoch = 719_468;
    let days = year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - days_before_epoch;
    Some(days * 86_400 + time_of_day)
}

/// `date_value`: the time of receipt stands in for a missing or invalid `Date` (RFC 9110 §6.6.1).
pub(super) fn value_of(headers: &HeaderMap, received: u64) -> i64 {
    headers
        .get(header::DATE)
        .and_then(|value| parse(value, received))
        .unwrap_or_else(|| i64::try_from(received / 1000).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-01-01T00:00:00Z
    const NOW: u64 = 1_767_225_600_000;

    fn parsed(text: &str) -> Option<i64> {
        parse(&HeaderValue::from_str(text).unwrap(), NOW)
    }

    #[test]
    fn the_three_forms_are_the_same_time() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parsed(text), Some(784_111_777), "{text}");
        }
    }

    #[test]
    fn case_and_weekday_do_not_matter() {
        let expected = parsed("Thu, 18 Aug 2050 02:01:18 GMT");
        assert!(expected.is_some());
        for text in [
            "THU, 18 Aug 2050 02:01:18 GMT",
            "Thu, 18 AUG 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:18 gMT",
            "Mon, 18 Aug 2050 02:01:18 GMT",
            "Thursday, 18-Aug-50 02:01:18 GMT",
        ] {
            assert_eq!(parsed(text), expected, "{text}");
        }
        assert!(parsed("Thu Aug  8 02:01:18 2050").is_some());
    }

    #[test]
    fn what_is_no_http_date_is_refused() {
        for text in [
            "",
            "0",
            "foo",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 2050 02:01:18 AEST",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:18 GMT, Thu, 18 Aug 2050 02:01:19 GMT",
            "Thu, 31 Feb 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 24:01:18 GMT",
            "Xyz, 18 Aug 2050 02:01:18 GMT",
            "Thu, +8 Aug 2050 02:01:18 GMT",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    #[test]
    fn a_two_digit_year_is_at_most_fifty_years_ahead() {
        assert_eq!(full_year(76, NOW), 2076);
        assert_eq!(full_year(77, NOW), 1977);
        assert_eq!(full_year(26, NOW), 2026);
        assert_eq!(full_year(99, NOW), 1999);
    }

    #[test]
    fn dates_before_1970_and_beyond_32_bits_are_dates() {
        assert!(parsed("Mon, 01 Jan 1900 00:00:00 GMT").is_some_and(|time| time < 0));
        assert_eq!(
            parsed("Sun, 21 Nov 2286 04:46:39 GMT"),
            Some(10_000_039_599)
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(seconds in 0..LATEST) {
            prop_assert_eq!(parse(&format(seconds * 1000), NOW), i64::try_from(seconds).ok());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let _ = parse(&value, NOW);
            }
        }

        #[test]
        fn near_dates_are_read_without_panic(
            text in "[A-Za-z]{3,9},? ?[0-9é]{1,2}[ -][A-Za-z]{3}[ -][0-9]{2,4} [0-9:.]{8} ?[A-Z]{0,3}"
        ) {
            if let Ok(value) = HeaderValue::from_str(&text) {
                let _ = parse(&value, NOW);
            }
        }
    }
}
