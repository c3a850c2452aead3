//! A person at the BFF, as far as the measuring programs need one.

use anyhow::bail;

use crate::rig::{PASSWORD, client};

/// The `name=value` pairs of an answer's `Set-Cookie`, joined as a browser sends them.
pub fn cookies(headers: &http::HeaderMap) -> String {
    let pairs = headers.get_all(http::header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
    pairs.filter_map(|line| line.split(';').next()).collect::<Vec<_>>().join("; ")
}

/// Signs a new person up at the BFF at `base` and returns the `Cookie` of the browser. A BFF that trusts this machine as
/// a proxy takes the request for one that came over https; others do not look at that.
pub async fn sign_up(base: &str, email: &str) -> anyhow::Result<String> {
    let body = serde_json::json!({ "email": email, "password": PASSWORD });
    let request = client()?.post(format!("{base}/auth/signup")).header("content-type", "application/json");
    let request = request.header("x-forwarded-proto", "https");
    let answer = request.body(body.to_string()).send().await?;
    let (status, cookie) = (answer.status(), cookies(answer.headers()));
    if status != 200 || !cookie.contains("sb_session") {
        bail!("the sign-up was answered with {status}: {}", answer.text().await?);
    }
    Ok(cookie)
}
