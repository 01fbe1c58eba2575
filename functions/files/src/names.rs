//! What people call a file and where they put it. None of it becomes part of a key of the store.

use std::collections::BTreeMap;

use domain::Text;
use serde::{Deserialize, Serialize};

/// The most characters of a name.
pub const LONGEST_NAME: usize = 255;
/// The most octets of a folder's path.
pub const LONGEST_FOLDER: usize = 512;
/// The most levels of folders.
pub const DEEPEST_FOLDER: usize = 8;
/// The most tags of a file.
pub const MOST_TAGS: usize = 10;

/// A name that a browser can save under: no path, nothing invisible.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FileName(String);

impl FileName {
    /// Parses a name; blanks around it fall away.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(text: &str) -> Result<Self, Text> {
        let name = text.trim();
        if is_segment(name) {
            Ok(Self(name.to_owned()))
        } else {
            Err(Text::fixed(
                "De 1 a 255 caracteres visibles, sin / ni \\, y no . ni ..",
                "1 to 255 visible characters, without / or \\, and not . or ..",
            ))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where a file is shown: names with `/` between them, empty for the top.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Folder(String);

impl Folder {
    /// Parses a path such as `invoices/2026`.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(text: &str) -> Result<Self, Text> {
        let segments: Vec<&str> = text.split('/').collect();
        let fits = text.len() <= LONGEST_FOLDER
            && segments.len() <= DEEPEST_FOLDER
            && segments.iter().all(|segment| is_segment(segment));
        if text.is_empty() || fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(Text::fixed(
                "Hasta 8 nombres separados por /, como facturas/2026; vacío es la raíz",
                "Up to 8 names between slashes, such as invoices/2026; empty is the top",
            ))
        }
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Small facts that a caller attaches to a file.
pub type Tags = BTreeMap<String, String>;

/// Whether these can be a file's tags.
///
/// # Errors
/// What is wrong with them, for people.
pub fn check_tags(tags: &Tags) -> Result<(), Text> {
    let key = |key: &str| {
        (1..=64).contains(&key.len())
            && key
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c))
    };
    let value = |value: &str| value.chars().count() <= 256 && value.chars().all(is_visible);
    if tags.len() <= MOST_TAGS && tags.iter().all(|(k, v)| key(k) && value(v)) {
        Ok(())
    } else {
        Err(Text::fixed(
            "Hasta 10; la clave con a-z, 0-9, . _ - (64 como máximo) y el valor de hasta 256 caracteres",
            "At most 10; keys of a-z, 0-9, . _ - (at most 64), values of at most 256 characters",
        ))
    }
}

fn is_segment(text: &str) -> bool {
    (1..=LONGEST_NAME).contains(&text.chars().count())
        && text != "."
        && text != ".."
        && text.trim() == text
        && text.chars().all(|c| is_visible(c) && c != '/' && c != '\\')
}

/// Neither a control character nor one that only turns the direction of writing: those make
/// `gpj.exe` look like `exe.jpg`.
fn is_visible(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_a_browser_can_save_under() {
        for good in [
            "a",
            "informe año 2026.pdf",
            "файл.txt",
            "a..b",
            "...",
            " spaces around ",
        ] {
            assert!(FileName::parse(good).is_ok(), "{good:?}");
        }
        let long = "é".repeat(256);
        for bad in [
            "",
            "  ",
            ".",
            "..",
            "../etc/passwd",
            "a/b",
            "a\\b",
            "a\nb",
            "a\0b",
            "exe.\u{202e}gpj",
            long.as_str(),
        ] {
            assert!(FileName::parse(bad).is_err(), "{bad:?}");
        }
        assert!(FileName::parse(&"é".repeat(255)).is_ok());
        assert_eq!(FileName::parse(" a b ").unwrap().as_str(), "a b");
    }

    #[test]
    fn a_folder_leads_down_and_never_up() {
        for good in ["", "invoices", "invoices/2026", "a/b/c/d/e/f/g/h"] {
            assert!(Folder::parse(good).is_ok(), "{good:?}");
        }
        for bad in [
            "/",
            "/a",
            "a/",
            "a//b",
            "a/../b",
            "..",
            "a/./b",
            "a/b/c/d/e/f/g/h/i",
            "a/ b",
        ] {
            assert!(Folder::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn tags_are_few_and_small() {
        let tag = |key: &str, value: &str| Tags::from([(key.to_owned(), value.to_owned())]);

        assert_eq!(check_tags(&tag("customer.id", "Núñez 7")), Ok(()));
        assert!(check_tags(&tag("Customer", "a")).is_err());
        assert!(check_tags(&tag("", "a")).is_err());
        assert!(check_tags(&tag("a", "b\r\nc")).is_err());
        let many = (0..11).map(|n| (n.to_string(), String::new())).collect();
        assert!(check_tags(&many).is_err());
    }
}
