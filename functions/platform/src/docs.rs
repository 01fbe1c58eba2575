//! The API reference: Swagger UI from the binary itself, so that it works without the internet.

use std::sync::{Arc, LazyLock};

use utoipa_swagger_ui::Config;

/// The description of the whole fleet, `OpenAPI` 3.1. Generated from the capabilities' own descriptions;
/// a test of the `journeys` crate fails while it differs from them, and says how to write it anew.
pub const OPENAPI: &str = include_str!("../openapi.json");

/// The page runs its own scripts and styles and talks to its own origin, nothing else.
pub const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'";

/// The description's address is relative to the page, so that it holds under whatever prefix.
static CONFIG: LazyLock<Arc<Config<'static>>> =
    LazyLock::new(|| Arc::new(Config::from("../v1/openapi.json")));

/// A file of the page.
pub struct File {
    /// Its octets.
    pub bytes: Vec<u8>,
    /// Its media type.
    pub content_type: String,
}

/// The file of this name, if the page has one.
pub fn file(name: &str) -> Option<File> {
    let served = utoipa_swagger_ui::serve(name, CONFIG.clone()).ok()??;
    Some(File {
        bytes: served.bytes.into_owned(),
        content_type: served.content_type,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_and_its_parts_are_in_the_binary() {
        for name in [
            "index.html",
            "swagger-ui.css",
            "swagger-ui-bundle.js",
            "swagger-initializer.js",
        ] {
            assert!(!file(name).expect(name).bytes.is_empty());
        }
        assert!(file("../Cargo.toml").is_none());
    }

    #[test]
    fn nothing_of_the_page_comes_from_elsewhere() {
        let index = String::from_utf8(file("index.html").unwrap().bytes).unwrap();

        assert!(
            !index.contains("http://") && !index.contains("https://") && !index.contains("//cdn")
        );
    }
}
