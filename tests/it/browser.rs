//! Headless Chromium. [`story`] gives each story a browser with a profile of its own and hears what it complains of.

mod axe;
mod driver;
mod watch;

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use futures_util::FutureExt;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use self::driver::Driver;
pub use self::watch::{Seen, token_shapes};

/// Whether pages may run scripts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Script {
    Off,
    On,
}

/// Whether the browser keeps cookies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cookies {
    Kept,
    Blocked,
}

/// What a page is to show is there by then, however busy the machine is, or never.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time between two looks at a page.
const PACE: Duration = Duration::from_millis(20);
/// Browsers at a time.
static SEATS: Semaphore = Semaphore::const_new(2);

const FLAGS: [&str; 8] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// One browser with one tab.
pub struct Chromium {
    client: Client,
    seen: Seen,
    // Fields are dropped in this order: the folder goes once the browser is closed, the driver when nobody drives.
    _profile: tempfile::TempDir,
    _driver: Arc<Driver>,
}

/// Tells `told` to a fresh browser. If it fails, `browser/<name>.png` and `.html` in the target folder's `tmp` hold the
/// page where it ended. S-65: a page that breaks the policy it came with fails the story.
pub async fn story(name: &str, script: Script, told: impl AsyncFnOnce(&Chromium)) {
    tell(name, script, Cookies::Kept, told).await;
}

/// The same in a browser that keeps no cookie and runs no script.
pub async fn story_without_cookies(name: &str, told: impl AsyncFnOnce(&Chromium)) {
    tell(name, Script::Off, Cookies::Blocked, told).await;
}

async fn tell(name: &str, script: Script, cookies: Cookies, told: impl AsyncFnOnce(&Chromium)) {
    let _seat = SEATS.acquire().await.unwrap();
    let chromium = Chromium::start(script, cookies).await;
    let outcome = AssertUnwindSafe(async {
        told(&chromium).await;
        chromium.keeps_the_policy().await;
    })
    .catch_unwind()
    .await;
    if outcome.is_err() {
        chromium.keep(name).await;
    }
    chromium.client.clone().close().await.unwrap();
    if let Err(panic) = outcome {
        resume_unwind(panic)
    }
}

impl Chromium {
    async fn start(script: Script, cookies: Cookies) -> Self {
        let driver = Driver::shared();
        let profile = tempfile::tempdir().unwrap();
        let mut flags = FLAGS.map(str::to_owned).to_vec();
        flags.push(format!("--user-data-dir={}", profile.path().display()));
        flags.push("--window-size=1280,900".to_owned());
        let scripts = if script == Script::On { 1 } else { 2 }; // allow, block
        let cookies = if cookies == Cookies::Kept { 1 } else { 2 };
        let wanted = json!({
            "browserName": "chrome",
            "timeouts": { "script": 300_000 },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
            "goog:chromeOptions": {
                "args": flags,
                "prefs": {
                    "profile.managed_default_content_settings.javascript": scripts,
                    "profile.managed_default_content_settings.cookies": cookies,
                },
            },
        });
        let Value::Object(wanted) = wanted else { unreachable!("an object") };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(wanted)
            .connect(&driver.url())
            .await
            .expect("Chromium starts: the packages chromium and chromium-driver have to be of one version");
        Self { client, seen: Seen::default(), _profile: profile, _driver: driver }
    }

    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// The address of the page.
    pub async fn at(&self) -> String {
        self.client.current_url().await.map(String::from).unwrap_or_default()
    }

    /// Waits until the page under `url` is there.
    pub async fn reaches(&self, url: &str) {
        let mut at = String::new();
        let arrived = until(async || {
            at = self.at().await;
            (at == url).then_some(())
        });
        assert!(arrived.await.is_some(), "{at} came in place of {url}");
    }

    /// Waits until the page says `text`.
    pub async fn says(&self, text: &str) {
        let mut words = String::new();
        let said = until(async || {
            words = self.text("body").await.unwrap_or_default();
            words.contains(text).then_some(())
        });
        assert!(said.await.is_some(), "the page does not say {text:?} but\n{words}");
    }

    /// Waits until the first element of `selector` holds exactly `text`.
    pub async fn shows(&self, selector: &str, text: &str) {
        let mut words = None;
        let shown = until(async || {
            words = self.text(selector).await;
            (words.as_deref() == Some(text)).then_some(())
        });
        assert!(shown.await.is_some(), "{selector} shows {words:?} in place of {text:?}");
    }

    /// What a person reads in the first element of `selector`.
    pub async fn text(&self, selector: &str) -> Option<String> {
        self.client.find(Locator::Css(selector)).await.ok()?.text().await.ok()
    }

    /// The value of a field.
    pub async fn value(&self, field: &str) -> String {
        let value = self.find(Locator::Id(field)).await.prop("value").await.unwrap();
        value.unwrap_or_default()
    }

    /// Types into an empty field.
    pub async fn types(&self, field: &str, text: &str) {
        self.find(Locator::Id(field)).await.send_keys(text).await.unwrap();
    }

    /// Empties a field.
    pub async fn clears(&self, field: &str) {
        self.find(Locator::Id(field)).await.clear().await.unwrap();
    }

    /// Ticks a box.
    pub async fn ticks(&self, field: &str) {
        self.find(Locator::Id(field)).await.click().await.unwrap();
    }

    /// Clicks the first button or link with this label, beside an icon or not. What only screen readers say counts too.
    pub async fn presses(&self, label: &str) {
        let named = format!(
            "normalize-space()='{label}' or text()[normalize-space()='{label}'] or @aria-label='{label}'"
        );
        let path = format!("//*[self::a or self::button][{named}]");
        self.find(Locator::XPath(&path)).await.click().await.unwrap();
    }

    /// Clicks the first button of the page's form twice, as fast as people do it by mistake.
    pub async fn presses_twice(&self, label: &str) {
        let path = format!("//button[normalize-space()='{label}']");
        let button = self.find(Locator::XPath(&path)).await;
        let (x, y, width, height) = button.rectangle().await.unwrap();
        for count in [1, 2] {
            for kind in ["mousePressed", "mouseReleased"] {
                let (x, y) = (x + width / 2.0, y + height / 2.0);
                let click = json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": count });
                self.devtools("Input.dispatchMouseEvent", click).await;
            }
        }
    }

    /// The back button of the browser.
    pub async fn goes_back(&self) {
        self.client.back().await.unwrap();
    }

    /// Opens a further tab and goes to it; the result leads back to the one before.
    pub async fn opens_tab(&self) -> fantoccini::wd::WindowHandle {
        let before = self.client.window().await.unwrap();
        let tab = self.client.new_window(true).await.unwrap().handle;
        self.client.switch_to_window(tab).await.unwrap();
        before
    }

    /// Goes to another tab.
    pub async fn goes_to(&self, tab: fantoccini::wd::WindowHandle) {
        self.client.switch_to_window(tab).await.unwrap();
    }

    async fn find(&self, place: Locator<'_>) -> Element {
        let found = self.client.wait().at_most(PATIENCE).for_element(place).await;
        found.unwrap_or_else(|_| panic!("the page has no {place:?}"))
    }

    /// The value of an expression, as the page's own script would see it.
    pub async fn evaluates(&self, expression: &str) -> Value {
        self.client.execute(&format!("return {expression}"), Vec::new()).await.unwrap()
    }

    /// Presses the tab key and tells what has the focus then.
    pub async fn tabs(&self) -> String {
        let key = String::from(char::from(fantoccini::key::Key::Tab));
        self.client.active_element().await.unwrap().send_keys(&key).await.unwrap();
        const NAME: &str = "(at => at.labels?.[0]?.textContent || at.textContent.trim() || at.tagName)(document.activeElement)";
        self.evaluates(NAME).await.as_str().unwrap_or_default().trim().to_owned()
    }

    /// Every cookie of the page, those included that no script may read.
    pub async fn cookies(&self) -> Vec<fantoccini::cookies::Cookie<'static>> {
        self.client.get_all_cookies().await.unwrap()
    }

    /// Everything that went over the wire so far, with the bodies that the browser still has.
    pub async fn traffic(&self) -> &Seen {
        self.seen.take_in(&self.client).await;
        &self.seen
    }

    /// S-65: asserts that no page broke its policy, then that a breach would have been heard.
    async fn keeps_the_policy(&self) {
        let breaches = watch::breaches(&self.client).await;
        assert!(breaches.is_empty(), "{breaches:#?}");
        self.evaluates("document.body.setAttribute('style', 'color: red')").await;
        let breaches = watch::breaches(&self.client).await;
        assert!(breaches.len() == 1, "an inline style was to be refused: {breaches:#?}");
    }

    /// As if on a screen of this size, light or dark, with scroll bars that take no room and nothing in motion.
    pub async fn looks_at(&self, width: u32, height: u32, scheme: &str, font: u32) {
        let screen = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", screen).await;
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await;
        self.devtools("Page.setFontSizes", json!({ "fontSizes": { "standard": font } })).await;
        self.devtools("Emulation.setScrollbarsHidden", json!({ "hidden": true })).await;
    }

    /// The answer to a command of the DevTools protocol.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let ask = json!({ "cmd": command, "params": parameters });
        self.client.issue_cmd(watch::Vendor("goog/cdp/execute", ask)).await.unwrap()
    }

    /// Leaves a picture and the source of the page behind.
    async fn keep(&self, name: &str) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser");
        let (picture, source) = (self.client.screenshot().await, self.client.source().await);
        let page = format!("<!-- {} -->\n{}", self.at().await, source.unwrap_or_default());
        let kept = std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(folder.join(name).with_extension("html"), page))
            .and_then(|()| {
                std::fs::write(folder.join(name).with_extension("png"), picture.unwrap_or_default())
            });
        kept.expect("the target folder can be written");
    }

    pub fn client(&self) -> &Client {
        &self.client
    }
}

/// Asks until there is an answer.
async fn until<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let asking = async {
        let mut pace = tokio::time::interval(PACE);
        loop {
            pace.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.ok()
}
