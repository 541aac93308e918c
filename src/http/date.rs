//! Dates of HTTP, RFC 9110 §5.6.7, in all three spellings, and the one header that is about time to come: `Retry-After` (§10.2.3).
//!
//! In scope: reading. Out of scope: writing, and what time it is: that is an argument.

/// How long `Retry-After` asks to wait, in milliseconds; `unix_time` is now, in seconds since 1970. A moment that is over is 0.
pub fn retry_after_ms(value: &str, unix_time: u64) -> Option<u32> {
    let seconds = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are a long time all the same.
        value.parse::<u64>().unwrap_or(u64::MAX)
    } else {
        read_date(value)?.saturating_sub(unix_time)
    };
    Some(u32::try_from(seconds.saturating_mul(1000)).unwrap_or(u32::MAX))
}

/// Seconds since 1970.
pub fn read_date(text: &str) -> Option<u64> {
    let words: Vec<&str> = text.split([' ', ',', '-']).filter(|word| !word.is_empty()).collect();
    let (year, month, day, time) = match words.as_slice() {
        // Sun, 06 Nov 1994 08:49:37 GMT and Sunday, 06-Nov-94 08:49:37 GMT
        [_, day, month, year, time, "GMT"] => (*year, *month, *day, *time),
        // Sun Nov  6 08:49:37 1994
        [_, month, day, time, year] => (*year, *month, *day, *time),
        _ => return None,
    };
    let year = match (year.len(), number(year, 9999)?) {
        // Two digits: the rule of fifty years, which without a clock is that of POSIX.
        (2, year) => year + if year < 69 { 2000 } else { 1900 },
        (4, year) if year >= 1970 => year,
        _ => return None,
    };
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let day = number(day, 31).filter(|&day| day > 0)?;
    let parts: Vec<&str> = time.split(':').collect();
    let [hours, minutes, seconds] = parts.as_slice() else { return None };
    // 60 is a leap second.
    let seconds = number(hours, 23)? * 3600 + number(minutes, 59)? * 60 + number(seconds, 60)?;
    Some(days_since_1970(year, month, day) * 86_400 + seconds)
}

fn number(text: &str, most: u64) -> Option<u64> {
    let is_number = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&number| is_number && number <= most)
}

/// Of the Gregorian calendar: years are counted from March, so that a leap day is a year's last.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days_before_year = year * 365 + year / 4 - year / 100 + year / 400;
    const DAYS_TO_1970_03_01: u64 = 719_468;
    days_before_year + (month * 153 + 2) / 5 + day - 1 - DAYS_TO_1970_03_01
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_come_in_three_spellings() {
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(read_date(text), Some(784_111_777), "{text}");
        }
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Tue, 29 Feb 2000 12:00:00 GMT", 951_825_600),
            ("Wed, 01 Mar 2000 00:00:00 GMT", 951_868_800),
            ("Tue, 31 Dec 2024 23:59:60 GMT", 1_735_689_600),
            ("Mon, 01 Jan 2525 00:00:00 GMT", 17_514_144_000),
        ] {
            assert_eq!(read_date(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 32 Nov 1994 08:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 8:49 GMT",
            "Sun, 06 Nov 1994 +8:49:37 GMT",
            "Sun, 06 Nov 99999 08:49:37 GMT",
        ] {
            assert_eq!(read_date(text), None, "{text}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        const NOW: u64 = 784_111_700;
        for (value, expected) in [
            ("0", Some(0)),
            ("120", Some(120_000)),
            ("99999999999999999999", Some(u32::MAX)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(77_000)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            assert_eq!(retry_after_ms(value, NOW), expected, "{value}");
        }
    }
}
