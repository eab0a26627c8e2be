//! Points in time: as the store has them, and as people write them. Always UTC.

use engrams::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

/// RFC 3339 in UTC, with as many decimals as it needs.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    let nanoseconds = i32::try_from(time.nanoseconds).unwrap_or(0);
    match jiff::Timestamp::new(time.seconds, nanoseconds) {
        Ok(time) => time.to_string(),
        // Outside the years RFC 3339 can write.
        Err(_) => format!("@{}.{:09}", time.seconds, time.nanoseconds),
    }
}

/// To the second, for tables: `2026-11-22 12:48:18`.
pub(crate) fn short(time: Timestamp) -> String {
    match jiff::Timestamp::new(time.seconds, 0) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => format!("@{}", time.seconds),
    }
}

/// Reads `2026-11-22T10:00:00+01:00`, `2026-11-22 10:00` (UTC) or `2026-11-22` (the end of that day, UTC).
pub(crate) fn parse(text: &str) -> Result<Timestamp, String> {
    let parsed = text.parse::<jiff::Timestamp>().or_else(|error| {
        let civil = match text.parse::<Date>() {
            Ok(date) if !text.contains(':') => date.to_datetime(Time::MAX),
            _ => text.parse::<DateTime>().map_err(|_| error)?,
        };
        civil.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp())
    });
    let parsed =
        parsed.map_err(|_| "not a time: write 2026-11-22, 2026-11-22T10:00 or 2026-11-22T10:00:00Z")?;
    let nanoseconds = parsed.as_nanosecond();
    Ok(Timestamp {
        seconds: i64::try_from(nanoseconds.div_euclid(1_000_000_000)).unwrap_or(i64::MAX),
        nanoseconds: u32::try_from(nanoseconds.rem_euclid(1_000_000_000)).unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let seconds = |text: &str| parse(text).unwrap().seconds;
        assert_eq!(seconds("1970-01-02T00:00:00Z"), 86_400);
        assert_eq!(seconds("1970-01-02T01:00:00+01:00"), 86_400);
        assert_eq!(seconds("1970-01-02T00:01"), 86_460);
        assert_eq!(seconds("1970-01-02 00:01:01"), 86_461);
        assert_eq!(seconds("1970-01-01"), 86_399);
        assert!(parse("yesterday").is_err());
        assert!(parse("2026-13-01").is_err());
    }

    #[test]
    fn times_are_written_in_utc_to_the_nanosecond() {
        let time = Timestamp { seconds: -1, nanoseconds: 500_000_000 };
        assert_eq!(rfc3339(time), "1969-12-31T23:59:59.5Z");
        assert_eq!(parse(&rfc3339(time)), Ok(time));
        assert_eq!(short(time), "1969-12-31 23:59:59");
        assert_eq!(
            rfc3339(Timestamp { seconds: i64::MAX, nanoseconds: 1 }),
            "@9223372036854775807.000000001"
        );
    }
}
