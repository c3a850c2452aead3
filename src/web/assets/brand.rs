//! What an operator's template folder holds besides templates: `brand.css`, fonts, provider icons.

use std::path::Path;

use base::vars::Problems;

/// A file of the operator's folder, as it was read at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrandFile {
    /// Relative to the folder: `brand.css`, `house.woff2`, `icons/google.svg`.
    pub name: String,
    /// The file.
    pub bytes: Vec<u8>,
}

/// All of them together; they stay in memory.
const LIMIT: usize = 1024 * 1024;

/// Reads `brand.css`, `*.woff2` and `icons/*.svg` of `folder`, at most 1 MiB together.
pub fn read(folder: &Path, problems: &mut Problems) -> Vec<BrandFile> {
    let mut files = names(folder, "", |name| name == "brand.css" || name.ends_with(".woff2"));
    files.extend(names(folder, "icons/", |name| name.ends_with(".svg")));
    files.sort();
    let mut left = LIMIT;
    let mut found = Vec::new();
    for name in files {
        let path = folder.join(&name);
        let why = match std::fs::read(&path) {
            Ok(bytes) if bytes.len() <= left => {
                left -= bytes.len();
                found.push(BrandFile { name, bytes });
                continue;
            }
            Ok(_) => "The files of the folder have more than 1 MiB together.".to_owned(),
            Err(error) => format!("The file cannot be read: {error}."),
        };
        let place = "pages.templates";
        problems.fault(
            "BFF-PAGE-002",
            place,
            Some(&name),
            why,
            "Make it smaller and readable, or take it away.",
        );
    }
    found
}

fn names(folder: &Path, below: &str, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let files = std::fs::read_dir(folder.join(below)).into_iter().flatten().flatten();
    let names = files.filter_map(|file| file.file_name().into_string().ok());
    names.filter(|name| wanted(name)).map(|name| format!("{below}{name}")).collect()
}
