//! What reaches a page stays a text: the policy of the pages (S-65) and their escaping (S-68).

use std::marker::PhantomData;

use serde_json::Value;

use super::*;
use crate::web::views::{AccountPage, ContinuePage};

/// S-65: the policy of the pages allows no inline script or style, and one script file on the demo page alone.
#[test]
fn no_page_has_inline_script_or_style() {
    fn check<V: View>() {
        for html in pages::<V>() {
            let scripts = html.matches("<script").count();
            assert_eq!(scripts, html.matches("<script src=\"&#x2f;auth&#x2f;assets&#x2f;demo.").count());
            assert_eq!(scripts, usize::from(V::TEMPLATE == "demo.html"), "{}", V::TEMPLATE);
            let tags = html.split('<').filter_map(|tag| tag.split('>').next());
            for tag in tags {
                assert!(!tag.starts_with("style") && !tag.contains(" style="), "{tag}");
                let letters = |c: char| c.is_ascii_lowercase();
                let handler = |rest: &str| rest.trim_start_matches(letters).starts_with('=');
                assert!(!tag.split(" on").skip(1).any(handler), "an event handler: {tag}");
            }
        }
    }
    every_view!(check);
}

/// S-68: nothing in a template switches escaping off.
#[test]
fn no_template_leaves_the_escaping() {
    for name in BuiltIn::iter() {
        let source = built_in(&name).replace(' ', "");
        assert!(!source.contains("|safe") && !source.contains("autoescape"), "{name}");
    }
}

/// A sample with one of its strings replaced.
struct Altered<V>(Value, PhantomData<V>);

impl<V> Serialize for Altered<V> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<V: View> View for Altered<V> {
    const TEMPLATE: &'static str = V::TEMPLATE;
    fn samples() -> Vec<Self> {
        Vec::new()
    }
}

/// Words of closed sets, which no input reaches.
const WORDS: [&str; 8] = ["text", "kind", "step", "towards", "way", "purpose", "remember", "calls"];

/// Every string below `value` that input may reach, as a JSON pointer.
fn strings(value: &Value, pointer: &str, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(pointer.to_owned()),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, item)| strings(item, &format!("{pointer}/{i}"), found));
        }
        Value::Object(fields) => {
            let open = |(key, item): &(&String, &Value)| !WORDS.contains(&key.as_str()) || item.is_object();
            let open = fields.iter().filter(open);
            open.for_each(|(key, item)| strings(item, &format!("{pointer}/{key}"), found));
        }
        _ => {}
    }
}

/// S-68: a hostile text in any field of any view stays a text.
#[test]
fn hostile_text_is_inert_in_every_field() {
    fn check<V: View>() {
        let templates = templates();
        let hostile = "\"'><script>alert(1)</script>{{ 7*7 }}";
        let mut fields = 0;
        for sample in V::samples() {
            let sample = serde_json::to_value(&sample).unwrap();
            let mut pointers = Vec::new();
            strings(&sample, "", &mut pointers);
            for pointer in pointers {
                let mut altered = sample.clone();
                *altered.pointer_mut(&pointer).unwrap() = Value::from(hostile);
                let html = templates.render(&FRAME, &Altered::<V>(altered, PhantomData)).unwrap();
                assert!(!html.contains("<script>"), "{} {pointer}", V::TEMPLATE);
                assert!(!html.contains("'><") && !html.contains("&#x27;>"), "{} {pointer}", V::TEMPLATE);
                fields += usize::from(html.contains("&lt;script&gt;"));
            }
        }
        assert!(fields > 0, "no field of {} was shown", V::TEMPLATE);
    }
    every_view!(check);
}

/// S-68: the frame's own values, and the site's name.
#[test]
fn hostile_text_is_inert_in_the_frame() {
    let title = Some("<script>alert(1)</script>".to_owned());
    let settings = Settings { title, ..Settings::default() };
    let templates = Templates::new(&settings, &Assets::new(&settings), None).unwrap();
    let hostile = Tongue {
        code: "\"><script>",
        name: "<script>",
        url: Some("/auth/login?\"><script>&lang=x".to_owned()),
    };
    let tongues = [hostile];
    let frame = Frame { host: "<script>", sign_out: Some("\"><script>"), tongues: &tongues, ..FRAME };
    for view in AccountPage::samples() {
        assert!(!templates.render(&frame, &view).unwrap().contains("<script>"));
    }
}

/// S-68: an address that is neither of this site nor of the web leads to the start page.
#[test]
fn no_data_makes_a_script_link() {
    for address in
        ["javascript:alert(1)", "JavaScript:x", "data:text/html,x", "//evil.test", "/\\evil.test", " /x", ""]
    {
        assert_eq!(link(address), "/", "{address}");
    }
    for address in ["/notes?page=2", "https://app.example.test/", "http://127.0.0.1:9999/authorize"] {
        assert_eq!(link(address), address);
    }
    let view = ContinuePage { url: "javascript:alert(1)", towards: views::Towards::Page };
    let html = templates().render(&FRAME, &view).unwrap();
    assert!(html.contains("content=\"0;url=&#x2f;\"") && !html.contains("javascript"), "{html}");
}
