//! The small notations of settings: durations, sizes, rates.

use time::Duration;

/// So many in such a time: `30/5m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many, at least 1.
    pub count: u32,
    /// In which time.
    pub per: Duration,
}

/// `90s`, `5m`, `12h`, `7d`, `250ms`; no sign, no fraction, at most 400 days.
pub fn duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: i64 = number.parse().ok()?;
    let length = match unit {
        "ms" => Duration::milliseconds(number),
        "s" => Duration::seconds(number),
        "m" => Duration::seconds(number.checked_mul(60)?),
        "h" => Duration::seconds(number.checked_mul(3600)?),
        "d" => Duration::seconds(number.checked_mul(86_400)?),
        _ => return None,
    };
    (length <= Duration::days(400)).then_some(length)
}

/// `10MiB`, `64KiB`, `1GiB`, `512B` in bytes.
pub fn size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// `30/5m`.
pub fn rate(text: &str) -> Option<Rate> {
    let (count, per) = text.split_once('/')?;
    let (count, per) = (count.parse().ok()?, duration(per)?);
    (count > 0 && per.is_positive()).then_some(Rate { count, per })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("90s"), Some(Duration::seconds(90)));
        assert_eq!(duration("7d"), Some(Duration::days(7)));
        for wrong in
            ["", "5", "s", "-5s", "1.5h", "5 m", "9999999999999999999s", "401d", "9223372036854775807d"]
        {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes_and_rates() {
        assert_eq!(size("10MiB"), Some(10 << 20));
        assert_eq!(size("10MB"), None);
        assert_eq!(size("99999999999GiB"), None);
        assert_eq!(rate("30/5m"), Some(Rate { count: 30, per: Duration::minutes(5) }));
        assert_eq!((rate("0/5m"), rate("5"), rate("5/0s")), (None, None, None));
    }
}
