//! Writes every state of every page into a folder, to look at them without a server.
//!
//! `cargo run --example pages -- FOLDER`, then serve the folder: `python3 -m http.server --directory FOLDER`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use supabase_bff::web::assets::Assets;
use supabase_bff::web::templates::{Development, Settings, Templates};
use supabase_bff::web::views::{self, Frame, View};

fn main() -> Result<()> {
    let folder: PathBuf = std::env::args_os().nth(1).context("name a folder")?.into();
    let settings = Settings {
        title: Some("Harbour".to_owned()),
        terms_url: Some("/terms".to_owned()),
        privacy_url: Some("/privacy".to_owned()),
        help_url: Some("mailto:help@example.test".to_owned()),
        ..Settings::default()
    };
    let assets = Assets::new(&settings);
    for (url, bytes) in assets.all() {
        let path = folder.join(url.trim_start_matches('/'));
        fs::create_dir_all(path.parent().context("an asset lies in a folder")?)?;
        fs::write(path, bytes)?;
    }
    let templates = Templates::new(&settings, &assets, None)?;
    let banner = Development { outbox_url: Some("/outbox".to_owned()), demo_url: Some("/".to_owned()) };
    let with_banner = Templates::new(&settings, &assets, Some(banner))?;
    write::<views::LoginPage<'_>>(&folder, &templates)?;
    write::<views::LoginAlready<'_>>(&folder, &templates)?;
    write::<views::SignupPage<'_>>(&folder, &templates)?;
    write::<views::CheckMailPage<'_>>(&folder, &templates)?;
    write::<views::ConfirmPage<'_>>(&folder, &templates)?;
    write::<views::LogoutPage<'_>>(&folder, &templates)?;
    write::<views::AccountPage<'_>>(&folder, &with_banner)?;
    write::<views::ErrorPage<'_>>(&folder, &templates)?;
    write::<views::DemoPage<'_>>(&folder, &with_banner)?;
    write::<views::ContinuePage<'_>>(&folder, &templates)
}

fn write<V: View>(folder: &Path, templates: &Templates) -> Result<()> {
    let frame = Frame { host: "localhost:8080", sign_out: Some("form-token") };
    let name = V::TEMPLATE.trim_end_matches(".html");
    for (number, view) in V::samples().iter().enumerate() {
        fs::write(folder.join(format!("{name}-{number}.html")), templates.render(&frame, view)?)?;
    }
    Ok(())
}
