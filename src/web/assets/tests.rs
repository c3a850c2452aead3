//! Files under hashed names, and those an operator brings.

use super::*;
use crate::web::templates::Logo;

fn file<'a>(assets: &'a Assets, name: &str) -> (&'a str, String) {
    let url = assets.url(name).unwrap();
    let (bytes, _) = assets.get(url.strip_prefix(PREFIX).unwrap()).unwrap();
    (url, String::from_utf8(bytes.to_vec()).unwrap())
}

fn with_accent(colour: &str) -> Settings {
    let vars = vec![("BFF_PAGES_ACCENT".to_owned(), colour.to_owned())];
    Settings::read(&vars, &mut base::vars::Problems::default()).unwrap()
}

/// S-09: hashed names may be kept for ever; a name without its hash, or with another, is not served.
#[test]
fn files_are_served_under_their_hashed_names_alone() {
    let assets = Assets::new(&Settings::default());
    let (url, _) = file(&assets, "style.css");
    let hash = url.strip_prefix("/auth/assets/style.").and_then(|rest| rest.strip_suffix(".css")).unwrap();
    assert!(hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()), "{url}");
    for name in ["style.css", "style.0000000000000000.css", "", "../Cargo.toml", "style"] {
        assert!(assets.get(name).is_none(), "{name}");
    }
    assert_eq!(assets.url("other.css"), None);
}

/// S-66: the right type, with its charset; `nosniff` would make a wrong one useless.
#[test]
fn every_file_has_a_type() {
    let assets = Assets::new(&Settings::default());
    let content_type = |name| assets.get(assets.url(name).unwrap().strip_prefix(PREFIX).unwrap()).unwrap().1;
    assert_eq!(content_type("style.css"), "text/css; charset=utf-8");
    assert_eq!(content_type("demo.js"), "text/javascript; charset=utf-8");
    assert_eq!(content_type("favicon.svg"), "image/svg+xml; charset=utf-8");
}

#[test]
fn the_accent_stands_in_the_served_sheet_and_changes_its_name() {
    let plain = Assets::new(&Settings::default());
    let own = Assets::new(&with_accent("#7a1fa2"));
    let ((plain_url, plain_sheet), (own_url, own_sheet)) =
        (file(&plain, "style.css"), file(&own, "style.css"));
    assert_ne!(plain_url, own_url);
    assert!(
        own_sheet.starts_with(&plain_sheet) && own_sheet.contains("--brand-accent:#7a1fa2;"),
        "{own_sheet}"
    );
}

#[test]
fn the_operators_files_are_served_and_their_sheet_finds_its_fonts() {
    let brand = |name: &str, bytes: &[u8]| BrandFile { name: name.to_owned(), bytes: bytes.to_vec() };
    let settings = Settings {
        logo: Some(Logo { extension: "svg", bytes: b"<svg/>".to_vec() }),
        brand_files: vec![
            brand("brand.css", b"@font-face{src:url(house.woff2)}@font-face{src:url(warehouse.woff2)}"),
            brand("house.woff2", b"wOF2"),
            brand("warehouse.woff2", b"wOF2"),
            brand("icons/google.svg", b"<svg/>"),
        ],
        ..Settings::default()
    };
    let assets = Assets::new(&settings);
    let [house, warehouse] = ["house.woff2", "warehouse.woff2"].map(|name| file(&assets, name).0);
    let sheet = format!("@font-face{{src:url({house})}}@font-face{{src:url({warehouse})}}");
    assert_eq!(file(&assets, "brand.css").1, sheet);
    assert_eq!(assets.icons()["google"], assets.url("icons/google.svg").unwrap());
    assert_eq!(assets.logo_url(), assets.url("logo.svg"));
}

/// At most 6 KiB gzipped are allowed; at the ratio of this sheet that is 20 KiB of text, of which it takes half.
#[test]
fn the_style_sheet_stays_small() {
    let (_, sheet) = file(&Assets::new(&Settings::default()), "style.css");
    assert!(sheet.len() <= 12 * 1024, "{} bytes", sheet.len());
    assert!(!sheet.contains("@import") && !sheet.contains("url("), "one sheet is all that a page loads");
}
