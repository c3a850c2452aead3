//! A text as a QR code: one SVG path, small enough to ride in a page (S-65 allows `data:` images).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use qrcode::{Color, EcLevel, QrCode};

/// Modules of white around the code (ISO/IEC 18004).
const QUIET: usize = 4;

/// `text` as a `data:` image. `None` if it is too long.
pub(super) fn image(text: &str) -> Option<String> {
    Some(format!("data:image/svg+xml;base64,{}", STANDARD.encode(svg(text)?)))
}

/// `text` as SVG, black on white whatever the theme: scanners want it so. Without `#`, for auth-js puts it into an address as
/// it is. `None` if it is too long.
pub(super) fn svg(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let (width, modules) = (code.width(), code.to_colors());
    let whole = width + 2 * QUIET;
    let mut path = String::with_capacity(4096);
    for (y, row) in modules.chunks(width).enumerate() {
        path.push_str(&format!("M{QUIET} {}.5", y + QUIET));
        for run in row.chunk_by(|a, b| a == b) {
            let step = if run[0] == Color::Dark { "h" } else { "m" };
            path.push_str(&format!("{step}{}", run.len()));
            if run[0] == Color::Light {
                path.push_str(" 0");
            }
        }
    }
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {whole} {whole}\" shape-rendering=\"crispEdges\">\
         <path fill=\"white\" d=\"M0 0h{whole}v{whole}H0z\"/><path stroke=\"black\" d=\"{path}\"/></svg>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws the path again: the modules are those of the code, and no others.
    #[test]
    fn the_picture_holds_the_modules_of_the_code() {
        let text = "otpauth://totp/Harbour:ada%40example.test?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Harbour";
        let image = image(text).unwrap();
        assert!(image.len() < 6 * 1024, "{} bytes", image.len());
        let svg = STANDARD.decode(image.strip_prefix("data:image/svg+xml;base64,").unwrap()).unwrap();
        let svg = String::from_utf8(svg).unwrap();
        let path = svg.split(" d=\"").nth(2).unwrap().split('"').next().unwrap();
        let code = QrCode::with_error_correction_level(text, EcLevel::M).unwrap();
        let mut drawn = vec![Color::Light; code.width() * code.width()];
        for (y, row) in path.split('M').skip(1).enumerate() {
            let (start, steps) = row.split_once(".5").unwrap();
            assert_eq!(start, format!("{QUIET} {}", y + QUIET));
            let mut x = 0;
            for step in steps.split(['h', 'm']).skip(1) {
                let dark = !step.ends_with(" 0");
                let length: usize = step.trim_end_matches(" 0").parse().unwrap();
                if dark {
                    drawn[y * code.width() + x..][..length].fill(Color::Dark);
                }
                x += length;
            }
            assert_eq!(x, code.width());
        }
        assert_eq!(drawn, code.to_colors());
    }

    #[test]
    fn a_text_that_no_code_holds_is_none() {
        assert_eq!(image(&"x".repeat(4000)), None);
    }
}
