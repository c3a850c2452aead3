use super::*;

fn templates() -> Templates {
    let settings = Settings::default();
    Templates::new(&settings, &Assets::new(&settings), None).unwrap()
}

#[test]
fn every_sample_of_every_view_renders() {
    templates().try_all().unwrap();
}
