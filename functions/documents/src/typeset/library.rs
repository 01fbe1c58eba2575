//! What a template can call: the engine's library, for those of an organisation without the two functions
//! that turn data into code, and with their data and their brand at hand.

use std::sync::LazyLock;

use serde_json::Value as Json;
use typst::foundations::{Binding, Content, Dict, IntoValue, Module, Scope, Value};
use typst::model::DocumentElem;
use typst::text::TextElem;
use typst::utils::LazyHash;
use typst::{Library, LibraryExt};

use crate::job::TypesetError;

/// The library of the built-in templates.
pub static WHOLE: LazyLock<LazyHash<Library>> = LazyLock::new(|| LazyHash::new(Library::default()));

/// What an organisation's template cannot call: `eval` would run a text of the data, `plugin` a program.
const WITHHELD: [&str; 2] = ["eval", "plugin"];

/// The library of one job of an organisation's template.
///
/// # Errors
/// [`TypesetError::Refused`] if the data cannot be a value of the engine.
pub fn of_tenant(
    data: &Json,
    brand: &Json,
    title: &str,
) -> Result<LazyHash<Library>, TypesetError> {
    let (data, brand) = (value(data)?, value(brand)?);
    let mut inputs = Dict::new();
    inputs.insert("data".into(), data.clone());
    let mut library = Library::builder().with_inputs(inputs).build();
    let mut scope = Scope::new();
    for (name, binding) in library.global.scope().iter() {
        if !WITHHELD.contains(&name.as_str()) {
            scope.bind(name.clone(), binding.clone());
        }
    }
    library.std = Binding::detached(Module::new("std", scope.clone()));
    // Only here, not in `std`: what is at hand is not part of the language.
    scope.bind("data".into(), Binding::detached(data));
    scope.bind("brand".into(), Binding::detached(brand));
    library.global = Module::new("global", scope);
    let title: Content = TextElem::packed(title);
    library.styles.set(DocumentElem::title, Some(title));
    Ok(LazyHash::new(library))
}

fn value(json: &Json) -> Result<Value, TypesetError> {
    serde_json::from_value::<Value>(json.clone())
        .map(IntoValue::into_value)
        .map_err(|_| TypesetError::Refused {
            message: "the data cannot be read by a template".to_owned(),
            place: None,
        })
}
