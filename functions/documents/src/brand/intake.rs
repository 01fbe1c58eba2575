//! What a brand has to be before it is taken on.

use std::sync::Arc;

use data_encoding::BASE64;
use domain::Text;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::accent::{GROUND, LEAST_CONTRAST};
use super::{Accent, Brand, Font, Logo, Look};
use crate::check::{Fault, text};
use crate::job::TypesetError;
use crate::picture::{Flaw, LONGEST_SIDE, MOST_PIXELS, Picture, SHORTEST_SIDE};
use crate::{Documents, DocumentsError};

/// The most octets of a logo.
pub const LARGEST_LOGO: usize = 256 * 1024;

/// The most characters of what is said instead of a logo.
const LONGEST_ALT: usize = 200;

/// A brand to be worn from now on.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBrand {
    /// The colour of headings, of the heads of tables and of what stands under white text, `#rrggbb` in sRGB. Its
    /// contrast with the ground of a table's head, `#eef2f5`, has to be 4.5:1 or more (WCAG 2.2, 1.4.3); with white
    /// it is then more.
    #[schema(example = "#1d3f5e", pattern = "^#[0-9A-Fa-f]{6}$")]
    pub accent: String,
    /// The typeface of a PDF; Libertinus Serif if absent.
    #[serde(default)]
    #[schema(default = "Libertinus Serif")]
    pub font: Font,
    /// The logo; none if absent.
    #[serde(default)]
    pub logo: Option<NewLogo>,
}

/// A logo to be worn from now on.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLogo {
    /// A PNG or JPEG file in base64: at most 256 KiB of file, sides of 16 to 2000 pixels, at most 1 048 576 pixels
    /// in all, colours in sRGB. What a file says beside its pixels is not kept. Without it, the logo that there is
    /// stays.
    #[serde(default)]
    pub data: Option<String>,
    /// What is said instead of it to whoever does not see it, 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200, example = "Example Ltd")]
    pub alt: String,
}

impl Documents {
    /// Checks a brand to the end: its logo is unpacked by the renderer. `standing` is the brand that it follows.
    ///
    /// # Errors
    /// [`DocumentsError::BadBrand`] with every fault, or a failure.
    pub(super) async fn admit_brand(
        &self,
        new: NewBrand,
        standing: Option<&Brand>,
    ) -> Result<Look, DocumentsError> {
        let mut faults = Vec::new();
        let accent = accent(&new.accent).map_err(|fault| faults.push(fault)).ok();
        let logo = match new.logo {
            Some(new) => self.admit_logo(new, standing, &mut faults).await?,
            None => None,
        };
        let (Some(accent), true) = (accent, faults.is_empty()) else {
            return Err(DocumentsError::BadBrand(faults));
        };
        let (logo, octets) = logo.unzip();
        let font = new.font;
        Ok(Look {
            brand: Brand { accent, font, logo },
            logo: octets.flatten(),
        })
    }

    /// A logo, with its octets if they are new; nothing if it has a fault.
    async fn admit_logo(
        &self,
        new: NewLogo,
        standing: Option<&Brand>,
        faults: &mut Vec<Fault>,
    ) -> Result<Option<(Logo, Option<Arc<Vec<u8>>>)>, DocumentsError> {
        faults.extend(alt_faults(&new.alt));
        let Some(data) = new.data else {
            let Some(logo) = standing.and_then(|brand| brand.logo.clone()) else {
                faults.push(at_data(Text::fixed(
                    "Falta: todavía no hay ningún logotipo",
                    "Missing: there is no logo yet",
                )));
                return Ok(None);
            };
            return Ok(Some((
                Logo {
                    alt: new.alt,
                    ..logo
                },
                None,
            )));
        };
        let examined = match decoded(&data) {
            Ok(file) => self.examined(&file).await?,
            Err(detail) => Err(at_data(detail)),
        };
        match examined {
            Ok((picture, sha256, file)) => {
                let logo = Logo {
                    alt: new.alt,
                    picture,
                    sha256,
                };
                Ok(Some((logo, Some(Arc::new(file)))))
            }
            Err(fault) => {
                faults.push(fault);
                Ok(None)
            }
        }
    }

    /// What the renderer makes of a picture, or what is wrong with it.
    async fn examined(
        &self,
        file: &[u8],
    ) -> Result<Result<(Picture, String, Vec<u8>), Fault>, DocumentsError> {
        let made = match self.renderer.picture(file).await {
            Ok(made) => made,
            Err(TypesetError::BadPicture { flaw }) => return Ok(Err(at_data(flaw_detail(flaw)))),
            // Whatever unpacks without end, or asks for all memory, is broken on purpose.
            Err(TypesetError::TimedOut | TypesetError::Aborted) => {
                return Ok(Err(at_data(flaw_detail(Flaw::Broken))));
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Picture::of(&made.file)
            .map(|picture| (picture, made.sha256, made.file))
            .map_err(|flaw| at_data(flaw_detail(flaw))))
    }
}

fn accent(text: &str) -> Result<Accent, Fault> {
    let fault = |detail| Fault {
        pointer: "/accent".to_owned(),
        detail,
    };
    let accent: Accent = text.parse().map_err(|_| {
        fault(Text::fixed(
            "Debe tener la forma #rrggbb",
            "Must look like #rrggbb",
        ))
    })?;
    let contrast = accent.contrast();
    if contrast >= LEAST_CONTRAST {
        return Ok(accent);
    }
    // Cut off and not rounded: 4.499 must not be called 4.50.
    let ratio = format!("{:.2}", (contrast * 100.0).floor() / 100.0);
    Err(fault(Text::with(
        format!(
            "Su contraste con el fondo de los encabezados de tabla, {GROUND}, es de {}:1; debe ser de 4,5:1 como mínimo",
            ratio.replace('.', ",")
        ),
        format!(
            "Its contrast with the ground of table heads, {GROUND}, is {ratio}:1; it must be at least 4.5:1"
        ),
    )))
}

fn alt_faults(alt: &str) -> Vec<Fault> {
    let place = "/logo/alt";
    let mut faults = text::faults_below(&Value::from(alt), place);
    let characters = alt.chars().count();
    if alt.trim().is_empty() || characters > LONGEST_ALT || alt.contains(['\n', '\r', '\t']) {
        faults.push(Fault {
            pointer: place.to_owned(),
            detail: Text::with(
                format!("Debe tener de 1 a {LONGEST_ALT} caracteres en una línea"),
                format!("Must have 1 to {LONGEST_ALT} characters on one line"),
            ),
        });
    }
    faults
}

fn decoded(data: &str) -> Result<Vec<u8>, Text> {
    match BASE64.decode(data.as_bytes()) {
        Ok(file) if file.len() <= LARGEST_LOGO => Ok(file),
        Ok(file) => Err(Text::with(
            format!("Ocupa {} octetos; el máximo es {LARGEST_LOGO}", file.len()),
            format!(
                "Has {} octets; at most {LARGEST_LOGO} are allowed",
                file.len()
            ),
        )),
        Err(_) => Err(Text::fixed("No es base64", "Not base64")),
    }
}

fn at_data(detail: Text) -> Fault {
    Fault {
        pointer: "/logo/data".to_owned(),
        detail,
    }
}

fn flaw_detail(flaw: Flaw) -> Text {
    match flaw {
        Flaw::Unknown => Text::fixed("No es PNG ni JPEG", "Neither PNG nor JPEG"),
        Flaw::Size { width, height } => Text::with(
            format!(
                "Mide {width} × {height} píxeles; cada lado debe medir de {SHORTEST_SIDE} a \
                 {LONGEST_SIDE}, y el total no puede pasar de {MOST_PIXELS}"
            ),
            format!(
                "Has {width} × {height} pixels; each side must have {SHORTEST_SIDE} to {LONGEST_SIDE}, \
                 and all of it at most {MOST_PIXELS}"
            ),
        ),
        Flaw::Animated => Text::fixed("Es una animación", "Is an animation"),
        Flaw::Colours => Text::fixed(
            "Sus colores no son sRGB; guárdalo en sRGB o sin perfil de color",
            "Its colours are not sRGB; save it in sRGB, or without a colour profile",
        ),
        Flaw::Broken => Text::fixed(
            "No se puede leer hasta el final",
            "Cannot be read to its end",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Locale;

    #[test]
    fn a_colour_that_cannot_be_read_is_refused_with_its_contrast() {
        assert!(accent("#6e6e6e").is_ok());

        let fault = accent("#ff0000").unwrap_err();

        assert_eq!(fault.pointer, "/accent");
        assert_eq!(
            fault.detail.get(Locale::En),
            "Its contrast with the ground of table heads, #eef2f5, is 3.55:1; it must be at least 4.5:1"
        );
        assert_eq!(
            fault.detail.get(Locale::Es),
            "Su contraste con el fondo de los encabezados de tabla, #eef2f5, es de 3,55:1; debe ser de 4,5:1 como mínimo"
        );
    }

    #[test]
    fn what_is_said_instead_of_a_logo_is_a_line_of_words() {
        let long = "ñ".repeat(LONGEST_ALT);
        for alt in ["Ejemplo, S. L.", &long] {
            assert!(alt_faults(alt).is_empty(), "{alt}");
        }
        for alt in ["", " ", "two\nlines", "a\u{202e}b", &format!("{long}ñ")] {
            assert_eq!(alt_faults(alt)[0].pointer, "/logo/alt", "{alt}");
        }
    }
}
