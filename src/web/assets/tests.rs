use super::*;

#[test]
fn built_in_files_have_hashed_addresses() {
    let assets = Assets::new(&Settings::default());
    let url = assets.url("style.css").unwrap();
    let (_, content_type) = assets.get(url.strip_prefix(PREFIX).unwrap()).unwrap();
    assert_eq!(content_type, "text/css; charset=utf-8");
}
