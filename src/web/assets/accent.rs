//! `pages.accent`: six colours from one, or two, and the contrast they must keep (WCAG 2.2, 1.4.3).

use base::vars::{self, Problems, Vars};

/// A colour in sRGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rgb([u8; 3]);

const WHITE: Rgb = Rgb([255, 255, 255]);
const INK: Rgb = Rgb([0x16, 0x20, 0x2e]);
const INK_DARK: Rgb = Rgb([0xe8, 0xed, 0xf3]);
const LIGHT_GROUNDS: [Rgb; 2] = [WHITE, Rgb([0xf4, 0xf6, 0xf8])];
const DARK_GROUNDS: [Rgb; 2] = [Rgb([0x18, 0x20, 0x2a]), Rgb([0x10, 0x15, 0x1c])];

/// The least contrast of a text with its ground.
const LEAST: f64 = 4.5;

/// The accent of one colour scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Accent {
    plain: Rgb,
    hover: Rgb,
    on: Rgb,
}

/// The accents of both colour schemes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Palette {
    light: Accent,
    dark: Accent,
}

impl Palette {
    /// Reads `pages.accent` and `pages.accent_dark`. A pair under 4.5 is BFF-PAGE-001.
    pub(crate) fn read(vars: &dyn Vars, problems: &mut Problems) -> Option<Self> {
        let light = colour(vars, "pages.accent", problems);
        let dark = colour(vars, "pages.accent_dark", problems);
        let light = light.or_else(|| {
            dark.inspect(|_| {
                let why = "pages.accent_dark is set without pages.accent.";
                problems.fault(
                    "BFF-PAGE-001",
                    place(vars, "pages.accent_dark"),
                    None,
                    why,
                    "Set pages.accent as well.",
                );
            })
            .and(None)
        })?;
        let palette = Self {
            light: Accent::of(light, INK),
            dark: Accent::of(dark.unwrap_or_else(|| lightened(light)), INK_DARK),
        };
        let checked = [
            ("pages.accent", palette.light, LIGHT_GROUNDS, "darker"),
            ("pages.accent_dark", palette.dark, DARK_GROUNDS, "lighter"),
        ];
        for (name, accent, grounds, how) in checked {
            let weakest = accent.weakest(&grounds);
            if weakest < LEAST {
                let why = format!("Its weakest pair has a contrast of {weakest:.2}; text needs {LEAST}.");
                let fix = format!("Choose a {how} colour.");
                problems.fault("BFF-PAGE-001", place(vars, name), Some(&accent.plain.hex()), why, fix);
            }
        }
        Some(palette)
    }

    /// The six brand variables; follows the built-in sheet, so it wins.
    pub(super) fn to_css(self) -> String {
        let [light, dark] = [(self.light, ""), (self.dark, "-dark")].map(|(accent, suffix)| {
            format!(
                "--brand-accent{suffix}:{};--brand-accent-hover{suffix}:{};--brand-on-accent{suffix}:{}",
                accent.plain.hex(),
                accent.hover.hex(),
                accent.on.hex()
            )
        });
        format!("\n:root{{{light};{dark}}}\n")
    }
}

impl Accent {
    fn of(plain: Rgb, ink: Rgb) -> Self {
        let hover = plain.mixed(ink, 0.2);
        let on = if contrast(WHITE, plain) >= contrast(INK, plain) { WHITE } else { INK };
        Self { plain, hover, on }
    }

    fn weakest(&self, grounds: &[Rgb]) -> f64 {
        let texts = grounds.iter().map(|ground| contrast(self.plain, *ground));
        let buttons = [self.plain, self.hover].map(|ground| contrast(self.on, ground));
        texts.chain(buttons).fold(f64::INFINITY, f64::min)
    }
}

impl Rgb {
    fn parse(text: &str) -> Option<Self> {
        let hex = text
            .strip_prefix('#')
            .filter(|hex| hex.len() == 6 && hex.bytes().all(|b| b.is_ascii_hexdigit()))?;
        let [_, red, green, blue] = u32::from_str_radix(hex, 16).ok()?.to_be_bytes();
        Some(Self([red, green, blue]))
    }

    fn hex(self) -> String {
        let [red, green, blue] = self.0;
        format!("#{red:02x}{green:02x}{blue:02x}")
    }

    /// This colour with `share` of `other` in it.
    fn mixed(self, other: Self, share: f64) -> Self {
        let mut mixed = self.0;
        for (own, other) in mixed.iter_mut().zip(other.0) {
            let value = f64::from(*own) * (1.0 - share) + f64::from(other) * share;
            *own = value.round() as u8; // between two bytes
        }
        Self(mixed)
    }

    /// Relative luminance (WCAG 2.2).
    fn luminance(self) -> f64 {
        let linear = self.0.map(|value| {
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    }
}

/// Contrast ratio (WCAG 2.2), from 1 to 21.
fn contrast(a: Rgb, b: Rgb) -> f64 {
    let (a, b) = (a.luminance(), b.luminance());
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// The colour with as much white as the dark grounds ask for.
fn lightened(colour: Rgb) -> Rgb {
    let steps = (0..=100).map(|step| colour.mixed(WHITE, f64::from(step) / 100.0));
    let strong = |colour: &Rgb| Accent::of(*colour, INK_DARK).weakest(&DARK_GROUNDS) >= LEAST;
    steps.into_iter().find(strong).unwrap_or(WHITE)
}

fn place(vars: &dyn Vars, name: &str) -> String {
    vars.get(name).map_or_else(|| vars::variable(name), |found| found.place)
}

fn colour(vars: &dyn Vars, name: &str, problems: &mut Problems) -> Option<Rgb> {
    let text = vars::text(vars, name, problems)?;
    let colour = Rgb::parse(text.trim());
    if colour.is_none() {
        let why = "This is no colour.";
        problems.fault("BFF-CONF-002", place(vars, name), Some(&text), why, "Write it as #rrggbb.");
    }
    colour
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> (Option<Palette>, Vec<String>) {
        let vars: Vec<_> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let mut problems = Problems::default();
        let palette = Palette::read(&vars, &mut problems);
        (palette, problems.list().iter().map(|p| format!("{} {}", p.code, p.place)).collect())
    }

    /// The pairs and figures are those of the WCAG definition: black on white is 21, and #767676 the lightest grey.
    #[test]
    fn contrast_is_that_of_wcag() {
        let grey = Rgb::parse("#767676").unwrap();
        assert!((contrast(Rgb([0; 3]), WHITE) - 21.0).abs() < 1e-9);
        assert!((contrast(grey, WHITE) - 4.54).abs() < 0.005);
        assert!((contrast(INK, WHITE) - 16.40).abs() < 0.005);
    }

    /// The built-in sheet keeps what it asks of an operator: every text and its ground, in both schemes.
    #[test]
    fn the_built_in_colours_can_be_read() {
        let sheet = include_str!("../../../static/style.css");
        let (light, dark) = sheet.split_once("prefers-color-scheme: dark").unwrap();
        for scheme in [light, dark.split_once("::before").unwrap().0] {
            let colour = |name: &str| {
                let value = scheme.split_once(&format!("--{name}: ")).unwrap().1.split(';').next().unwrap();
                let hex = value.rsplit(' ').next().unwrap().trim_end_matches(')');
                Rgb::parse(if hex == "#fff" { "#ffffff" } else { hex }).unwrap()
            };
            let soft = ["ink", "ink-soft", "accent", "danger", "err"];
            let on_both = soft.iter().flat_map(|text| [(*text, "surface"), (*text, "bg")]);
            let notices = [
                ("info-ink", "info-bg"),
                ("ok-ink", "ok-bg"),
                ("warn-ink", "warn-bg"),
                ("err-ink", "err-bg"),
            ];
            let chips = [("info", "surface"), ("ok", "surface"), ("warn", "surface")];
            let buttons = [("on-accent", "accent"), ("on-accent", "accent-hover")];
            for (text, ground) in on_both.chain(chips).chain(buttons).chain(notices) {
                let found = contrast(colour(text), colour(ground));
                assert!(found >= LEAST, "{text} on {ground}: {found:.2}");
            }
            assert!(contrast(colour("field-line"), colour("surface")) >= 3.0, "edge of a field (1.4.11)");
        }
    }

    #[test]
    fn one_accent_makes_six_colours_that_can_be_read() {
        let (palette, problems) = read(&[("BFF_PAGES_ACCENT", "#7A1FA2")]);
        let palette = palette.unwrap();
        assert_eq!(problems, Vec::<String>::new());
        assert!(
            palette.light.weakest(&LIGHT_GROUNDS) >= LEAST && palette.dark.weakest(&DARK_GROUNDS) >= LEAST
        );
        let css = palette.to_css();
        assert!(
            css.contains("--brand-accent:#7a1fa2;") && css.contains("--brand-on-accent-dark:#16202e"),
            "{css}"
        );
    }

    #[test]
    fn a_weak_or_unreadable_accent_is_a_fault() {
        assert_eq!(read(&[("BFF_PAGES_ACCENT", "#ffd500")]).1, ["BFF-PAGE-001 BFF_PAGES_ACCENT"]);
        let dark = read(&[("BFF_PAGES_ACCENT", "#0b5f73"), ("BFF_PAGES_ACCENT_DARK", "#0b5f73")]);
        assert_eq!(dark.1, ["BFF-PAGE-001 BFF_PAGES_ACCENT_DARK"]);
        assert_eq!(read(&[("BFF_PAGES_ACCENT_DARK", "#7cc9dc")]).1, ["BFF-PAGE-001 BFF_PAGES_ACCENT_DARK"]);
        for text in ["teal", "#0b5f7", "#0b5f7é", "0b5f73"] {
            assert_eq!(read(&[("BFF_PAGES_ACCENT", text)]).1, ["BFF-CONF-002 BFF_PAGES_ACCENT"], "{text}");
        }
    }
}
