//! Whether the fonts can show every text of a job, asked before it is laid out: the answer then names
//! the place in the client's data, which the engine no longer knows.

use serde_json::Value;

use super::fonts::Fonts;
use crate::job::TypesetError;

/// Nothing, or the first character that no font shows.
///
/// # Errors
/// [`TypesetError::MissingGlyph`].
pub fn check(data: &Value, fonts: &Fonts) -> Result<(), TypesetError> {
    walk(data, fonts, &mut String::from("/data"))
}

fn walk(value: &Value, fonts: &Fonts, pointer: &mut String) -> Result<(), TypesetError> {
    match value {
        Value::String(text) => match text.chars().find(|c| !is_shown(*c, fonts)) {
            Some(character) => Err(TypesetError::MissingGlyph {
                pointer: pointer.clone(),
                character,
            }),
            None => Ok(()),
        },
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| descend(pointer, fonts, &index.to_string(), item)),
        Value::Object(members) => members.iter().try_for_each(|(name, member)| {
            let token = name.replace('~', "~0").replace('/', "~1");
            descend(pointer, fonts, &token, member)
        }),
        _ => Ok(()),
    }
}

fn descend(
    pointer: &mut String,
    fonts: &Fonts,
    token: &str,
    value: &Value,
) -> Result<(), TypesetError> {
    let length = pointer.len();
    pointer.push('/');
    pointer.push_str(token);
    walk(value, fonts, pointer)?;
    pointer.truncate(length);
    Ok(())
}

/// ASCII is shown by every font of the house; layout characters need no glyph, because the engine acts
/// on them or leaves them out.
fn is_shown(character: char, fonts: &Fonts) -> bool {
    let layout = matches!(
        character,
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' | '\u{ad}' | '\u{200b}'
            ..='\u{200f}' | '\u{2060}' | '\u{fe0e}'
    );
    layout || (' '..='~').contains(&character) || fonts.shows(character)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::typeset::fonts::SERIF;
    use serde_json::json;

    #[test]
    fn the_text_and_its_first_unshown_character_are_named() {
        let data = json!({ "title": "fine", "lines": [{ "a/b": "ok 中文" }] });

        assert_eq!(
            check(&data, &SERIF),
            Err(TypesetError::MissingGlyph {
                pointer: "/data/lines/0/a~1b".into(),
                character: '中'
            })
        );
    }

    #[test]
    fn layout_characters_need_no_glyph() {
        assert_eq!(check(&json!("one\ntwo\tthree\u{200b}four"), &SERIF), Ok(()));
    }
}
