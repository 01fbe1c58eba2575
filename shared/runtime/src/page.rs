//! Lists by cursor: `{"items": […], "next_cursor": "…"|null}`.

use data_encoding::BASE64URL_NOPAD;
use domain::Text;
use ports::table::Cursor;
use serde::{Deserialize, Serialize};

use crate::problem::{self, Problem};

/// One page of a list.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Listed<T> {
    /// The page's items.
    pub items: Vec<T>,
    /// To be sent as `cursor` for the next page; null on the last.
    pub next_cursor: Option<String>,
}

/// Which page of a list is asked for.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageParams {
    /// At most that many items, 1 to 100; 20 if absent.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl PageParams {
    /// The page's size.
    pub fn limit(&self) -> Result<u32, Problem> {
        match self.limit.unwrap_or(20) {
            limit @ 1..=100 => Ok(limit),
            _ => Err(invalid(
                "limit",
                Text::fixed("Debe estar entre 1 y 100", "Must be between 1 and 100"),
            )),
        }
    }

    /// Where to begin, inside this partition: a cursor of another tenant's list is no cursor here.
    pub fn after(&self, partition: &str) -> Result<Option<Cursor>, Problem> {
        let Some(text) = &self.cursor else {
            return Ok(None);
        };
        decode(text)
            .filter(|cursor| cursor.index.as_ref().unwrap_or(&cursor.key).pk == partition)
            .map(Some)
            .ok_or_else(|| {
                invalid(
                    "cursor",
                    Text::fixed("No es un cursor de esta lista", "Not a cursor of this list"),
                )
            })
    }
}

/// The text of a cursor.
pub fn encode(next: Option<&Cursor>) -> Option<String> {
    serde_json::to_vec(next?)
        .ok()
        .map(|json| BASE64URL_NOPAD.encode(&json))
}

fn decode(text: &str) -> Option<Cursor> {
    serde_json::from_slice(&BASE64URL_NOPAD.decode(text.as_bytes()).ok()?).ok()
}

fn invalid(name: &str, detail: Text) -> Problem {
    Problem::new(&problem::PARAMETER_INVALID).field(name, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ports::table::Key;

    #[test]
    fn a_cursor_leads_on_in_its_own_list_only() {
        let cursor = Cursor {
            key: Key::new("org_a", "doc#1"),
            index: None,
        };
        let params = PageParams {
            limit: None,
            cursor: encode(Some(&cursor)),
        };

        assert_eq!(params.after("org_a").unwrap(), Some(cursor));
        assert!(params.after("org_b").is_err());
        assert!(
            PageParams {
                limit: None,
                cursor: Some("x".into())
            }
            .after("org_a")
            .is_err()
        );
    }
}
