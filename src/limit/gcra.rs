//! The generic cell rate algorithm: one moment per key says it all.
//!
//! That moment, the theoretical arrival time, is when the key will have a full quota again. A take moves it one
//! interval into the future; where it would lie further ahead than the time of the quota, no try is left.

use base::vars::Rate;

/// A rate in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quota {
    /// How long one try takes to come back.
    interval: i64,
    /// How long the whole quota takes.
    per: i64,
}

impl From<Rate> for Quota {
    fn from(rate: Rate) -> Self {
        // At most 400 days, so it fits; one a nanosecond is the fastest.
        let per = i64::try_from(rate.per.whole_nanoseconds()).unwrap_or(i64::MAX / 4);
        let interval = (per / i64::from(rate.count)).max(1);
        Self { interval, per: interval.saturating_mul(i64::from(rate.count)) }
    }
}

impl Quota {
    /// The new moment of a key that had `moment`, or how long to wait.
    ///
    /// A moment that lies too far ahead, because the clock was set back, counts as just exhausted: nobody waits longer
    /// than one quota takes.
    pub(super) fn take(self, moment: i64, now: i64) -> Result<i64, i64> {
        let moment = moment.clamp(now, now.saturating_add(self.per));
        let next = moment.saturating_add(self.interval);
        let ahead = next.saturating_sub(now);
        if ahead > self.per { Err(ahead - self.per) } else { Ok(next) }
    }

    /// The moment before one take.
    pub(super) fn give_back(self, moment: i64) -> i64 {
        moment.saturating_sub(self.interval)
    }

    /// Whether a key at `moment` has no try left.
    pub(super) fn is_spent(self, moment: i64, now: i64) -> bool {
        self.take(moment, now).is_err()
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn quota(count: u32, seconds: i64) -> Quota {
        Quota::from(Rate { count, per: Duration::seconds(seconds) })
    }

    #[test]
    fn a_quota_may_be_used_at_once_and_comes_back_steadily() {
        let quota = quota(3, 30);
        let mut moment = 0;
        for _ in 0..3 {
            moment = quota.take(moment, 100 * SECOND).unwrap();
        }
        assert_eq!(quota.take(moment, 100 * SECOND), Err(10 * SECOND));
        assert_eq!(quota.take(moment, 104 * SECOND), Err(6 * SECOND));
        assert!(quota.take(moment, 110 * SECOND).is_ok());
        assert_eq!(quota.take(quota.give_back(moment), 100 * SECOND), Ok(moment));
    }

    #[test]
    fn a_clock_set_back_never_makes_anyone_wait_longer_than_the_quota() {
        let quota = quota(3, 30);
        assert_eq!(quota.take(1_000_000 * SECOND, 0), Err(10 * SECOND));
    }

    #[test]
    fn an_uneven_quota_grants_its_count_and_no_more() {
        let quota = Quota::from(Rate { count: 7, per: Duration::seconds(1) });
        let mut moment = 0;
        let passed = (0..20).filter(|_| quota.take(moment, 0).map(|next| moment = next).is_ok()).count();
        assert_eq!(passed, 7);
    }
}
