//! What the browser saw on the wire and what it wrote into its log.

use std::collections::BTreeMap;
use std::sync::Mutex;

use fantoccini::Client;
use fantoccini::wd::WebDriverCompatibleCommand;
use http::Method;
use serde_json::{Value, json};

/// Every URL the browser asked for and every body that it let us read.
#[derive(Default)]
pub struct Seen {
    urls: Mutex<Vec<String>>,
    bodies: Mutex<BTreeMap<String, String>>,
    waiting: Mutex<Vec<(String, String)>>,
    open: Mutex<BTreeMap<String, String>>,
}

impl Seen {
    pub fn urls(&self) -> Vec<String> {
        self.urls.lock().unwrap().clone()
    }

    /// By URL and number of the request.
    pub fn bodies(&self) -> BTreeMap<String, String> {
        self.bodies.lock().unwrap().clone()
    }

    /// Reads the log of the wire, then the bodies. Bodies of a page that was left are gone: ask on each page.
    pub(super) async fn take_in(&self, client: &Client) {
        for entry in log(client, "performance").await {
            let message: Value =
                serde_json::from_str(entry["message"].as_str().unwrap_or_default()).unwrap_or_default();
            let (method, event) = (message["message"]["method"].as_str(), &message["message"]["params"]);
            let id = event["requestId"].as_str().unwrap_or_default().to_owned();
            match method {
                Some("Network.requestWillBeSent") => {
                    let url = event["request"]["url"].as_str().unwrap_or_default().to_owned();
                    self.urls.lock().unwrap().push(url.clone());
                    self.open.lock().unwrap().insert(id, url);
                }
                Some("Network.loadingFinished") => {
                    let url = self.open.lock().unwrap().remove(&id);
                    self.waiting.lock().unwrap().extend(url.map(|url| (id, url)));
                }
                _ => {}
            }
        }
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap());
        for (id, url) in waiting {
            let ask = json!({ "cmd": "Network.getResponseBody", "params": { "requestId": id } });
            let Ok(answer) = client.issue_cmd(Vendor("goog/cdp/execute", ask)).await else { continue };
            let body = answer["body"].as_str().unwrap_or_default().to_owned();
            self.bodies.lock().unwrap().insert(format!("{url} #{id}"), body);
        }
    }
}

/// Complaints about the content security policy since the last question, and any other error of a page.
/// That a fetch was answered 401 or 403 is no complaint.
pub(super) async fn breaches(client: &Client) -> Vec<Value> {
    let mut entries = log(client, "browser").await;
    // What a page tells its developer is no complaint.
    entries.retain(|entry| entry["source"] != "network" && entry["level"] != "DEBUG");
    entries
}

async fn log(client: &Client, kind: &str) -> Vec<Value> {
    let entries = client.issue_cmd(Vendor("se/log", json!({ "type": kind }))).await.unwrap();
    entries.as_array().cloned().unwrap_or_default()
}

/// A command of chromedriver's own.
#[derive(Debug)]
pub(super) struct Vendor(pub &'static str, pub Value);

impl WebDriverCompatibleCommand for Vendor {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.0))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.1.to_string()))
    }
}

/// Everything in `text` that has the shape of a JWT or of a sealed cookie.
pub fn token_shapes(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c));
    words.filter(|word| is_token(word)).collect()
}

fn is_token(word: &str) -> bool {
    let parts: Vec<_> = word.trim_matches('.').split('.').collect();
    let jwt = parts.windows(2).any(|two| two.iter().all(|part| part.starts_with("eyJ")));
    let sealed = parts.windows(3).any(|three| ["1", "2"].contains(&three[0]) && three[2].len() >= 40);
    jwt || sealed
}

#[test]
fn tokens_are_known_by_their_shape() {
    let jwt = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln";
    let sealed = format!("1.k1.{}", "x".repeat(60));
    let text = format!("{{\"a\":\"{jwt}\"}} sb_session_8080={sealed}; https://a.test/#token={jwt}&b=1");
    assert_eq!(token_shapes(&text), [jwt, &sealed, jwt]);
    assert!(token_shapes("style.4fd1c.css 1.5.2 eyJ 0b6f5c1e-1.2 GET /api/items").is_empty());
}
