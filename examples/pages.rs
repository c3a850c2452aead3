//! Writes every state of every page into a folder, a language each, to look at them without a server.
//!
//! `cargo run --example pages -- FOLDER`, then serve the folder: `python3 -m http.server --directory FOLDER`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use supabase_bff::web::assets::Assets;
use supabase_bff::web::templates::{Development, Settings, Templates};
use supabase_bff::web::views::Frame;

fn main() -> Result<()> {
    let folder: PathBuf = std::env::args_os().nth(1).context("name a folder")?.into();
    let settings = Settings {
        title: Some("Harbour".to_owned()),
        terms_url: Some("/terms".to_owned()),
        privacy_url: Some("/privacy".to_owned()),
        help_url: Some("mailto:help@example.test".to_owned()),
        languages: vec!["en".to_owned(), "de".to_owned()],
        ..Settings::default()
    };
    let assets = Assets::new(&settings);
    for (url, bytes) in assets.all() {
        let path = folder.join(url.trim_start_matches('/'));
        fs::create_dir_all(path.parent().context("an asset lies in a folder")?)?;
        fs::write(path, bytes)?;
    }
    let banner = Development { outbox_url: Some("/outbox".to_owned()), demo_url: Some("/".to_owned()) };
    let templates = Templates::new(&settings, &assets, Some(banner))?;
    for (language, code, _) in templates.languages().all() {
        let frame =
            Frame { host: "localhost:8080", sign_out: Some("form-token"), language, ..Frame::default() };
        let folder = folder.join(code);
        fs::create_dir_all(&folder)?;
        let mut written = BTreeMap::new();
        for (template, html) in templates.samples(&frame)? {
            let number: &mut usize = written.entry(template).or_default();
            fs::write(folder.join(format!("{}-{number}.html", template.trim_end_matches(".html"))), html)?;
            *number += 1;
        }
    }
    Ok(())
}
