//! Bodies and parameters parsed at the door; what does not fit is named by its JSON Pointer.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use domain::Text;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use crate::problem::{self, Problem};

/// A JSON body. Unknown fields are refused where the type says `deny_unknown_fields`, which every
/// request type of the fleet does.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let declared = request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default();
        if !is_json(declared) {
            return Err(Problem::new(&problem::UNSUPPORTED_MEDIA_TYPE));
        }
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|_| Problem::new(&problem::BODY_TOO_LARGE))?;
        parse(&body).map(Self)
    }
}

fn is_json(media_type: &str) -> bool {
    let essence = media_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// Parses a body, naming the place of the first mistake.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value =
        serde_path_to_error::deserialize(&mut deserializer).map_err(|error| refuse(&error))?;
    deserializer.end().map_err(|error| syntax(&error))?;
    Ok(value)
}

fn refuse(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let inner = error.inner();
    if inner.is_syntax() || inner.is_eof() || inner.is_io() {
        return syntax(inner);
    }
    let message = without_position(&inner.to_string());
    let mut pointer = pointer(error.path());
    if let Some(name) = between(&message, "missing field `", "`") {
        pointer = format!("{pointer}/{}", escape(name));
    } else if let Some(name) = between(&message, "unknown field `", "`") {
        let suffix = format!("/{}", escape(name));
        if !pointer.ends_with(&suffix) {
            pointer.push_str(&suffix);
        }
    }
    Problem::new(&problem::BODY_INVALID).field(pointer, explain(&message))
}

fn syntax(error: &serde_json::Error) -> Problem {
    let (line, column) = (error.line(), error.column());
    Problem::new(&problem::BODY_INVALID).field(
        "",
        Text::with(
            format!("No es JSON válido: línea {line}, columna {column}"),
            format!("Not valid JSON: line {line}, column {column}"),
        ),
    )
}

/// The parser's own message in both languages; it never holds more of the body than the place's value.
fn explain(message: &str) -> Text {
    if message.starts_with("missing field") {
        Text::fixed("Falta este campo", "This field is missing")
    } else if message.starts_with("unknown field") {
        Text::fixed("Este campo no existe", "There is no such field")
    } else if message.starts_with("duplicate field") {
        Text::fixed("Este campo está repetido", "This field is repeated")
    } else if let Some(expected) = message
        .split_once(", expected ")
        .map(|(_, expected)| expected)
    {
        Text::with(
            format!("Valor no válido; se espera: {expected}"),
            format!("Not a valid value; expected: {expected}"),
        )
    } else {
        Text::with(
            format!("Valor no válido: {message}"),
            format!("Not a valid value: {message}"),
        )
    }
}

fn without_position(message: &str) -> String {
    message
        .split(" at line ")
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    text.split_once(start)?
        .1
        .split_once(end)
        .map(|(name, _)| name)
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", escape(key)),
            Segment::Enum { variant } => format!("/{}", escape(variant)),
            Segment::Unknown => String::new(),
        })
        .collect()
}

fn escape(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

/// Parameters of the path.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    /// A value that cannot be an id names nothing that exists, so the answer is the same 404.
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(value)| Self(value))
            .map_err(|_| Problem::new(&problem::NOT_FOUND))
    }
}

/// Parameters of the query.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::from_request_parts(parts, state).await;
        query
            .map(|axum::extract::Query(value)| Self(value))
            .map_err(|error| {
                let message = std::error::Error::source(&error)
                    .map_or_else(|| error.to_string(), ToString::to_string);
                Problem::new(&problem::PARAMETER_INVALID).detail(explain(&message))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Locale;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only what is refused matters here")]
    struct Order {
        lines: Vec<Line>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only what is refused matters here")]
    struct Line {
        quantity: u32,
    }

    fn refused(body: &str) -> (String, String, String) {
        let problem = parse::<Order>(body.as_bytes())
            .unwrap_err()
            .body(Locale::En, "", "");
        (
            problem.code,
            problem.errors[0].pointer.clone(),
            problem.errors[0].detail.clone(),
        )
    }

    #[test]
    fn each_mistake_is_named_by_its_pointer() {
        for (body, pointer, detail) in [
            (
                r#"{"lines":[{"quantity":1},{"quantity":-1}]}"#,
                "/lines/1/quantity",
                "Not a valid value; expected: u32",
            ),
            (
                r#"{"lines":[{}]}"#,
                "/lines/0/quantity",
                "This field is missing",
            ),
            (
                r#"{"lines":[{"quantity":1,"a/b":1}]}"#,
                "/lines/0/a~1b",
                "There is no such field",
            ),
            (
                r#"{"lines":1}"#,
                "/lines",
                "Not a valid value; expected: a sequence",
            ),
            (r#"{"lines":[]"#, "", "Not valid JSON: line 1, column 11"),
            (r#"{"lines":[]} x"#, "", "Not valid JSON: line 1, column 14"),
        ] {
            assert_eq!(
                refused(body),
                ("body_invalid".into(), pointer.into(), detail.into()),
                "{body}"
            );
        }
    }
}
