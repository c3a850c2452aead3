//! Static files under hashed names: `/auth/assets/<name>.<hash>.<ext>`.
//!
//! The name changes with the content, so an answer may be kept for ever ([`CACHE_CONTROL`]). Nothing is read from disk
//! after [`Assets::new`].

mod accent;
mod brand;

pub use accent::Palette;
pub use brand::{BrandFile, read as read_brand_files};

use std::collections::{BTreeMap, HashMap};

use aws_lc_rs::digest;
use bytes::Bytes;

use crate::web::templates::Settings;

#[derive(rust_embed::RustEmbed)]
#[folder = "static/"]
struct BuiltIn;

/// Where assets are served.
pub const PREFIX: &str = "/auth/assets/";

/// `Cache-Control` of every asset, the exception to `no-store` (S-09).
pub const CACHE_CONTROL: &str = "public, max-age=31536000, immutable";

/// The static files of this process.
#[derive(Debug, Clone)]
pub struct Assets {
    files: HashMap<String, (Bytes, &'static str)>,
    urls: BTreeMap<String, String>,
}

impl Assets {
    /// Hashes the built-in files, the logo and the operator's own; writes the accent colours into the style sheet.
    pub fn new(settings: &Settings) -> Self {
        let mut assets = Self { files: HashMap::new(), urls: BTreeMap::new() };
        for name in BuiltIn::iter() {
            let Some(file) = BuiltIn::get(&name) else { continue };
            let mut bytes = file.data.into_owned();
            if let Some(palette) = settings.accent.as_ref().filter(|_| name == "style.css") {
                bytes.extend_from_slice(palette.to_css().as_bytes());
            }
            assets.add(&name, bytes);
        }
        if let Some(logo) = &settings.logo {
            assets.add(&format!("logo.{}", logo.extension), logo.bytes.clone());
        }
        let (sheets, others): (Vec<_>, _) =
            settings.brand_files.iter().partition(|file| file.name == "brand.css");
        for file in others {
            assets.add(&file.name, file.bytes.clone());
        }
        for sheet in sheets {
            let sheet_text = assets.with_hashed_names(&String::from_utf8_lossy(&sheet.bytes));
            assets.add(&sheet.name, sheet_text.into_bytes());
        }
        assets
    }

    /// The address of a file by its plain name: `style.css`, `icons/google.svg`.
    pub fn url(&self, name: &str) -> Option<&str> {
        self.urls.get(name).map(String::as_str)
    }

    /// The address of the operator's logo.
    pub fn logo_url(&self) -> Option<&str> {
        ["logo.svg", "logo.png", "logo.webp"].into_iter().find_map(|name| self.url(name))
    }

    /// The operator's provider icons: provider id to address.
    pub fn icons(&self) -> BTreeMap<&str, &str> {
        self.urls
            .iter()
            .filter_map(|(name, url)| {
                Some((name.strip_prefix("icons/")?.strip_suffix(".svg")?, url.as_str()))
            })
            .collect()
    }

    /// The file that `hashed` names, the part of the path after [`PREFIX`], and its content type.
    pub fn get(&self, hashed: &str) -> Option<(Bytes, &'static str)> {
        self.files.get(hashed).cloned()
    }

    /// Every file with its address.
    pub fn all(&self) -> impl Iterator<Item = (String, &Bytes)> {
        self.files.iter().map(|(hashed, (bytes, _))| (format!("{PREFIX}{hashed}"), bytes))
    }

    fn add(&mut self, name: &str, bytes: Vec<u8>) {
        let Some((stem, extension)) = name.rsplit_once('.') else { return };
        let Some(content_type) = content_type(extension) else { return };
        let hashed = format!("{}.{}.{extension}", stem.replace('/', "-"), fingerprint(&bytes));
        self.urls.insert(name.to_owned(), format!("{PREFIX}{hashed}"));
        self.files.insert(hashed, (Bytes::from(bytes), content_type));
    }

    /// `brand.css` names fonts as they lie in the folder; here they have hashed names.
    fn with_hashed_names(&self, sheet: &str) -> String {
        let mut fonts: Vec<_> = self.urls.iter().filter(|(name, _)| name.ends_with(".woff2")).collect();
        fonts.sort_by_key(|(name, _)| std::cmp::Reverse(name.len())); // a name may end another one
        fonts.into_iter().fold(sheet.to_owned(), |sheet, (name, url)| sheet.replace(name, url))
    }
}

fn content_type(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml; charset=utf-8",
        "png" => "image/png",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        _ => return None,
    })
}

/// The first 64 bits of SHA-256 in hex: enough to tell versions of a file apart.
fn fingerprint(bytes: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, bytes);
    digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
