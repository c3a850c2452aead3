//! The pictures of `docs/pages.md`: `cargo test --test it -- --ignored pictures` takes them anew and lists them there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::barriers::Sheets;
use crate::browser::{Script, story};

/// All pictures together, in bytes.
const MOST: u64 = 2 << 20;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

fn folder() -> PathBuf {
    docs().join("pages")
}

/// `login-en.png` is light and English, `login-de.png` dark and German.
fn picture(template: &str, code: &str) -> String {
    format!("{}-{code}.png", template.trim_end_matches(".html"))
}

/// The first state of each page, as wide as a phone, or as the page becomes on a desk.
#[tokio::test]
#[ignore = "writes docs/pages and its list"]
async fn pictures_are_taken() {
    let sheets = Sheets::lay_out(None).await;
    std::fs::create_dir_all(folder()).unwrap();
    story("pictures", Script::Off, async |chromium| {
        let mut taken = BTreeSet::new();
        for (number, sheet) in sheets.all.iter().enumerate() {
            let code = sheet.language.as_str();
            let name = picture(sheet.template, code);
            if !taken.insert(name.clone()) {
                continue;
            }
            chromium.open(&sheets.at(number)).await;
            let wide = chromium.evaluates("document.querySelector('.page').className").await != "page";
            let scheme = if code == "en" { "light" } else { "dark" };
            chromium.looks_at(if wide { 800 } else { 400 }, 300, scheme, 16).await;
            chromium.evaluates("document.activeElement.blur()").await;
            let height = chromium.evaluates("document.documentElement.scrollHeight").await;
            let height = u32::try_from(height.as_u64().unwrap()).unwrap();
            chromium.looks_at(if wide { 800 } else { 400 }, height, scheme, 16).await;
            let shot = chromium.devtools("Page.captureScreenshot", json!({ "format": "png" })).await;
            let bytes = STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
            std::fs::write(folder().join(name), bytes).unwrap();
        }
    })
    .await;
    let page = std::fs::read_to_string(docs().join("pages.md")).unwrap();
    let (before, _) = page.split_once(LIST).expect("the heading of the list");
    std::fs::write(docs().join("pages.md"), format!("{before}{}", list(&sheets))).unwrap();
}

const LIST: &str = "## Pictures\n";

/// The end of `docs/pages.md`: a row for each template.
fn list(sheets: &Sheets) -> String {
    let mut list = format!(
        "{LIST}\nLight in English, dark in German: the first sample of each view, with addresses that nobody has.\n\n\
         | Template | English | German |\n|---|---|---|\n"
    );
    let templates: BTreeSet<_> = sheets.all.iter().map(|sheet| sheet.template).collect();
    for template in templates {
        let name = template.trim_end_matches(".html");
        let [en, de] = ["en", "de"].map(|code| format!("![{name}](pages/{})", picture(template, code)));
        list.push_str(&format!("| `{template}` | {en} | {de} |\n"));
    }
    list
}

/// Each page is shown in both languages, nothing else lies there, and a clone stays small.
#[tokio::test]
async fn every_page_has_its_pictures() {
    let sheets = Sheets::lay_out(None).await;
    let wanted: BTreeSet<_> =
        sheets.all.iter().flat_map(|sheet| ["en", "de"].map(|code| picture(sheet.template, code))).collect();
    let files: Vec<_> = std::fs::read_dir(folder()).unwrap().flatten().collect();
    let found: BTreeSet<_> = files.iter().map(|file| file.file_name().into_string().unwrap()).collect();
    let again = "cargo test --test it -- --ignored pictures";
    assert_eq!(found, wanted, "take them anew: {again}");
    let bytes: u64 = files.iter().map(|file| file.metadata().unwrap().len()).sum();
    assert!(bytes < MOST, "{bytes} bytes");
    let shown = std::fs::read_to_string(docs().join("pages.md")).unwrap();
    assert!(shown.ends_with(&list(&sheets)), "docs/pages.md does not list them: {again}");
}
