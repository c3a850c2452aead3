//! Pages under axe-core, and what it does not look at: a focus that is seen, no motion for people who want none, nothing that
//! is wider than the screen.

use fantoccini::Client;
use serde_json::{Value, json};

use super::Chromium;
use crate::npm;

/// Runs axe and tells only what it found: rule, element and what is to be done. That it cannot judge the contrast of a single
/// letter or arrow is passed over: those have the colour of the text beside them.
const RUN: &str = r#"
const done = arguments[arguments.length - 1];
const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"];
const glyph = node => node.any.some(check => ["shortTextContent", "nonBmp"].includes(check.data?.messageKey));
const tell = found => found.flatMap(rule => rule.nodes.filter(node => !glyph(node)).map(node =>
  rule.id + ": " + node.html + " " + (node.failureSummary || node.any.map(check => check.message).join("; "))));
axe.run(document, { runOnly: { type: "tag", values: tags }, resultTypes: ["violations", "incomplete"] })
  .then(found => done({
    passes: found.passes.length,
    violations: tell(found.violations),
    unclear: tell(found.incomplete),
  }), error => done({ violations: [String(error)], unclear: [], passes: 0 }));
"#;

/// Everything that takes the focus and shows no ring then, everything that moves, and a page that scrolls sideways.
const FOCUS_MOTION_WIDTH: &str = r#"(() => {
  const faults = [];
  const stops = document.querySelectorAll("a[href], button, input:not([type=hidden]), select, summary, [tabindex]");
  for (const at of stops) {
    if (!at.checkVisibility()) continue;
    at.focus({ focusVisible: true });
    if (document.activeElement !== at) continue;
    const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(at);
    if (outlineStyle !== "solid" || parseFloat(outlineWidth) < 3 || /, 0\)$/.test(outlineColor))
      faults.push("no focus ring: " + at.outerHTML);
  }
  document.activeElement?.blur();
  for (const at of document.querySelectorAll("*")) {
    const { transitionDuration, animationName, scrollBehavior } = getComputedStyle(at);
    if (parseFloat(transitionDuration) > 0.01 || animationName !== "none" || scrollBehavior === "smooth")
      faults.push("moves: " + at.outerHTML);
  }
  const over = document.documentElement.scrollWidth - innerWidth;
  if (over > 0) faults.push("scrolls sideways by " + over);
  return faults;
})()"#;

impl Chromium {
    /// Puts axe into every page from now on. It comes from outside of the page, so the policy stays as it is.
    pub async fn brings_axe(&self) {
        let file = npm::modules().await.join("axe-core/axe.min.js");
        let source =
            std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        self.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": source })).await;
    }

    /// What is wrong with the page as it is shown now.
    pub async fn barriers(&self) -> Vec<String> {
        let found = run(self.client()).await;
        assert!(found["passes"].as_u64() > Some(10), "axe looked at nothing: {found}");
        let more = self.evaluates(FOCUS_MOTION_WIDTH).await;
        let lists = [&found["violations"], &found["unclear"], &more];
        let all = lists.into_iter().flat_map(|list| list.as_array().into_iter().flatten());
        all.filter_map(Value::as_str).map(str::to_owned).collect()
    }
}

async fn run(client: &Client) -> Value {
    client.execute_async(RUN, Vec::new()).await.unwrap()
}
