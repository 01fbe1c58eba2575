//! The characters that no text of a document may hold, whatever the fonts: those that print nothing
//! and change what a reader sees, and those that mean something only to one font.

use domain::Text;
use serde_json::Value;

use super::{Fault, below};

const REFUSED: Text = Text::fixed(
    "Contiene un carácter de control o de uso privado",
    "Contains a control or private-use character",
);

/// Said of a character that no font shows.
pub(crate) fn unprintable(character: char) -> Text {
    let code = u32::from(character);
    Text::with(
        format!("Contiene un carácter que no se puede imprimir: {character} (U+{code:04X})"),
        format!("Contains a character that cannot be printed: {character} (U+{code:04X})"),
    )
}

/// Every text of the data that holds such a character.
pub fn faults(data: &Value) -> Vec<Fault> {
    faults_below(data, "/data")
}

/// The same of data that stands at another place of the request.
pub fn faults_below(data: &Value, pointer: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    walk(data, pointer, &mut faults);
    faults
}

fn walk(value: &Value, pointer: &str, faults: &mut Vec<Fault>) {
    match value {
        Value::String(text) if text.chars().any(is_refused) => {
            faults.push(Fault {
                pointer: pointer.to_owned(),
                detail: REFUSED,
            });
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &below(pointer, &index.to_string()), faults);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                walk(member, &below(pointer, name), faults);
            }
        }
        _ => {}
    }
}

/// Line breaks and tabs are layout and pass. Embeddings, overrides and isolates of direction do not:
/// they show an amount or a name in another order than a machine reads it.
fn is_refused(character: char) -> bool {
    match character {
        '\n' | '\r' | '\t' => false,
        // Direction, the byte order mark, private use, noncharacters.
        '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}'
        | '\u{e000}'..='\u{f8ff}'
        | '\u{f0000}'..
        | '\u{fdd0}'..='\u{fdef}' => true,
        other => other.is_control() || u32::from(other) & 0xfffe == 0xfffe,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_character_that_changes_what_is_seen_is_refused_where_it_stands() {
        for character in [
            '\0', '\u{7}', '\u{85}', '\u{202e}', '\u{2066}', '\u{feff}', '\u{e000}', '\u{ffff}',
        ] {
            let faults = faults(&json!({ "notes": ["fine", format!("a{character}b")] }));

            assert_eq!(faults.len(), 1, "{character:?}");
            assert_eq!(faults[0].pointer, "/data/notes/1");
        }
    }

    #[test]
    fn letters_accents_and_line_breaks_pass() {
        assert_eq!(
            faults(&json!(["ñandú\ne\u{301}\t–", "שלום", "中文", "😀"])),
            []
        );
    }
}
