//! A sign-out on one node, and when a copied cookie and a bearer token of that session are refused on another.

use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::person;
use crate::talk::{self, Connection};

/// The promise: within this, where the nodes are connected.
const PROMISED: Duration = Duration::from_secs(1);
/// What is not refused by then counts as missed.
const MISSED: Duration = Duration::from_secs(30);

/// The two nodes of one site.
pub struct Act {
    pub here: u16,
    pub there: u16,
    pub host: String,
}

/// From the end of the disturbance, or from the moment at which the sign-out was sent if there was none.
struct Refused {
    cookie: Duration,
    bearer: Duration,
}

impl Act {
    /// `tries` sign-outs, each with a new person. `disturb` comes just before, `mend` just after. Whether the promise was
    /// kept.
    pub async fn report(
        &self,
        title: &str,
        tries: usize,
        disturb: impl AsyncFn() -> anyhow::Result<()>,
        mend: impl AsyncFn(),
    ) -> anyhow::Result<bool> {
        let (mut cookie, mut bearer) = (Duration::ZERO, Duration::ZERO);
        for number in 0..tries {
            let refused = self.once(&format!("{}-{number}", title.len()), &disturb, &mend).await?;
            cookie = cookie.max(refused.cookie);
            bearer = bearer.max(refused.bearer);
        }
        let told = |time: Duration| {
            if time < MISSED { format!("{:.1} ms", time.as_secs_f64() * 1e3) } else { "MISSED".to_owned() }
        };
        println!(
            "{title:<52} {tries:>3} tries, the slowest: cookie refused after {}, bearer after {}",
            told(cookie),
            told(bearer)
        );
        Ok(cookie.max(bearer) < PROMISED)
    }

    async fn once(
        &self,
        name: &str,
        disturb: impl AsyncFn() -> anyhow::Result<()>,
        mend: impl AsyncFn(),
    ) -> anyhow::Result<Refused> {
        let (mut here, mut there) = (Connection::open(self.here).await?, Connection::open(self.there).await?);
        let email =
            format!("{name}-{:?}@example.test", Instant::now()).replace([' ', '{', '}', ':', ','], "");
        let cookie = person::sign_up(&format!("http://{}", self.host), &email).await?;
        let cookie = format!("Cookie: {cookie}");
        let token = there.ask(&talk::get("/api/bearer", &self.host, &cookie)).await?;
        ensure!(token.status == 200, "before the sign-out the cookie is good: {}", token.status);
        let bearer = format!("Authorization: Bearer {}", token.body);
        let known = there.ask(&talk::get("/api/items", &self.host, &bearer)).await?;
        ensure!(known.status == 200, "before the sign-out the token is good: {}", known.status);

        disturb().await?;
        let mut begun = Instant::now();
        let post = format!(
            "POST /auth/logout HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\
             Sec-Fetch-Site: same-origin\r\nX-CSRF: 1\r\n{cookie}\r\n\r\n{{}}",
            self.host
        );
        let done = here.ask(&post).await?;
        ensure!(done.status == 204, "a sign-out was answered with {} {}", done.status, done.body);
        let before = Instant::now();
        mend().await;
        if before.elapsed() > Duration::from_millis(1) {
            begun = Instant::now();
        }
        let (cookie, bearer) =
            tokio::try_join!(self.until_refused(begun, &cookie), self.until_refused(begun, &bearer))?;
        Ok(Refused { cookie, bearer })
    }

    /// Until `credential` is refused on the other node with 401.
    async fn until_refused(&self, begun: Instant, credential: &str) -> anyhow::Result<Duration> {
        let mut there = Connection::open(self.there).await?;
        let request = talk::get("/api/items", &self.host, credential);
        while begun.elapsed() < MISSED {
            if there.ask(&request).await?.status == 401 {
                return Ok(begun.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(MISSED)
    }
}
