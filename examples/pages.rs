//! Writes every state of every page into a folder, a language each, to look at them without a server.
//!
//! `cargo run --example pages -- FOLDER`, then serve the folder: `python3 -m http.server --directory FOLDER`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use supabase_bff::web::assets::Assets;
use supabase_bff::web::templates::{Development, Settings, Templates};

fn main() -> Result<()> {
    let folder: PathBuf = std::env::args_os().nth(1).context("name a folder")?.into();
    let settings = Settings::to_look_at();
    let assets = Assets::new(&settings);
    for (url, bytes) in assets.all() {
        let path = folder.join(url.trim_start_matches('/'));
        fs::create_dir_all(path.parent().context("an asset lies in a folder")?)?;
        fs::write(path, bytes)?;
    }
    let banner = Development { outbox_url: Some("/outbox".to_owned()), demo_url: Some("/".to_owned()) };
    let templates = Templates::new(&settings, &assets, Some(banner))?;
    for sheet in templates.sheets("localhost:8080")? {
        let folder = folder.join(&sheet.language);
        fs::create_dir_all(&folder)?;
        let page = sheet.template.trim_end_matches(".html");
        fs::write(folder.join(format!("{page}-{}.html", sheet.number)), sheet.html)?;
    }
    Ok(())
}
