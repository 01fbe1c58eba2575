//! Colour profiles: whether the colours of a picture are those of sRGB, whatever its profile calls itself.

use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

/// How far a colour may be from its like in sRGB, of 255: less than anybody sees in a logo.
const NEAR: u8 = 8;

/// The steps at which colours are compared, in each of the three parts.
const STEPS: [u8; 5] = [0, 64, 128, 192, 255];

/// Whether each colour means to this profile what it means without one.
pub fn is_srgb(icc: &[u8]) -> bool {
    let Ok(profile) = ColorProfile::new_from_slice(icc) else {
        return false;
    };
    let (layout, colours) = match profile.color_space {
        DataColorSpace::Rgb => (Layout::Rgb, lattice()),
        DataColorSpace::Gray => (Layout::Gray, STEPS.to_vec()),
        _ => return false,
    };
    let srgb = ColorProfile::new_srgb();
    let options = TransformOptions::default();
    let Ok(transform) = profile.create_transform_8bit(layout, &srgb, Layout::Rgb, options) else {
        return false;
    };
    let meant: Vec<u8> = match layout {
        Layout::Gray => colours.iter().flat_map(|grey| [*grey; 3]).collect(),
        _ => colours.clone(),
    };
    let mut shown = vec![0; meant.len()];
    transform.transform(&colours, &mut shown).is_ok()
        && shown
            .iter()
            .zip(&meant)
            .all(|(shown, meant)| shown.abs_diff(*meant) <= NEAR)
}

fn lattice() -> Vec<u8> {
    let mut colours = Vec::new();
    for red in STEPS {
        for green in STEPS {
            for blue in STEPS {
                colours.extend([red, green, blue]);
            }
        }
    }
    colours
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_looks_like_srgb_is_taken_for_it() {
        let of = |profile: ColorProfile| is_srgb(&profile.encode().unwrap());

        assert!(of(ColorProfile::new_srgb()));
        assert!(!of(ColorProfile::new_display_p3()));
        assert!(!of(ColorProfile::new_adobe_rgb()));
        assert!(!of(ColorProfile::new_bt2020()));
        assert!(!is_srgb(b"no profile"));
    }
}
