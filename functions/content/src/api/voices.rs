//! `/v1/brand-voices` and `/v1/content/check`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderName, StatusCode};
use domain::id::Voice as VoiceKind;
use domain::locale::is_tag;
use domain::{Id, Locale, Text};
use jiff::Timestamp;
use runtime::etag::{IfMatch, etag};
use runtime::page::{self, Listed, PageParams};
use runtime::{Caller, Context, Fields, Json, Path, Problem, Query, Refusals, Seed};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::source::LONGEST_TEXT;
use crate::voice::{Guide, Rule, Term, Violation, Voice, VoiceText};
use crate::{Content, ContentError};

pub(super) fn routes() -> OpenApiRouter<Arc<Content>> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(get, change, delete))
        .routes(routes!(check))
}

/// A voice.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct VoiceView {
    /// Its id.
    #[schema(value_type = String, example = "voi_019a0000000070008000000000000000")]
    pub id: Id<VoiceKind>,
    /// What it says.
    #[serde(flatten)]
    pub text: VoiceText,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

impl From<Voice> for VoiceView {
    fn from(voice: Voice) -> Self {
        Self {
            id: voice.id,
            text: voice.text,
            created_at: voice.created_at,
            updated_at: voice.updated_at,
        }
    }
}

/// What changes of a voice; the rest stays.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VoiceChange {
    /// A new name.
    pub name: Option<String>,
    /// A new tone for every language.
    pub tone: Option<String>,
    /// A new glossary.
    pub glossary: Option<Vec<Term>>,
    /// New banned words.
    pub banned: Option<Vec<String>>,
    /// New guides by language, all of them.
    pub locales: Option<BTreeMap<String, Guide>>,
    /// A new least length in characters; 0 takes it away.
    pub min_characters: Option<u32>,
    /// A new greatest length in characters; 0 takes it away.
    pub max_characters: Option<u32>,
}

impl VoiceChange {
    fn apply(self, text: VoiceText) -> VoiceText {
        let limit = |new: Option<u32>, old| new.map_or(old, |limit| (limit > 0).then_some(limit));
        VoiceText {
            name: self.name.unwrap_or(text.name),
            tone: self.tone.unwrap_or(text.tone),
            glossary: self.glossary.unwrap_or(text.glossary),
            banned: self.banned.unwrap_or(text.banned),
            locales: self.locales.unwrap_or(text.locales),
            min_characters: limit(self.min_characters, text.min_characters),
            max_characters: limit(self.max_characters, text.max_characters),
        }
    }
}

/// A text to be held against a voice.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckRequest {
    /// The text.
    pub text: String,
    /// The voice.
    #[schema(value_type = String)]
    pub voice: Id<VoiceKind>,
    /// The text's language, a tag; that of the request if absent.
    pub locale: Option<String>,
}

/// What is against the voice.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CheckView {
    /// Whether nothing is.
    pub ok: bool,
    /// How many characters the text has (Unicode code points).
    pub characters: usize,
    /// Each place, in the order of the text; at most 500.
    pub violations: Vec<ViolationView>,
}

/// A place that is against a voice, in words too.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ViolationView {
    /// The place.
    #[serde(flatten)]
    pub violation: Violation,
    /// What is wrong there, in the language of the request.
    pub detail: String,
}

impl ViolationView {
    pub(super) fn of(violation: Violation, reader: Locale) -> Self {
        let found = violation.found.as_deref().unwrap_or_default();
        let detail = match violation.rule {
            Rule::Banned => Text::with(
                format!("La voz no usa «{found}»"),
                format!("The voice does not use \"{found}\""),
            ),
            Rule::Glossary => {
                let instead = violation.instead.as_deref().unwrap_or_default();
                Text::with(
                    format!("En lugar de «{found}», la voz dice «{instead}»"),
                    format!("Instead of \"{found}\" the voice says \"{instead}\""),
                )
            }
            Rule::TooShort => Text::fixed("El texto es demasiado corto", "The text is too short"),
            Rule::TooLong => Text::fixed("El texto es demasiado largo", "The text is too long"),
        };
        Self {
            detail: detail.get(reader).to_owned(),
            violation,
        }
    }
}

/// Makes a voice.
#[utoipa::path(
    post, path = "/v1/brand-voices", tag = "content",
    request_body = VoiceText,
    responses((status = 201, body = VoiceView), Refusals),
    security(("token" = ["prompts:write"])),
)]
async fn create(
    State(content): State<Arc<Content>>,
    caller: Caller,
    seed: Seed,
    Json(new): Json<VoiceText>,
) -> Result<(StatusCode, [(HeaderName, String); 1], axum::Json<VoiceView>), Problem> {
    let voice = content.create_voice(&caller, seed.id(), new).await?;
    Ok((StatusCode::CREATED, [etag(1)], axum::Json(voice.into())))
}

/// The organisation's voices, the oldest first.
#[utoipa::path(
    get, path = "/v1/brand-voices", tag = "content",
    params(PageParams),
    responses((status = 200, body = Listed<VoiceView>), Refusals),
    security(("token" = ["content:read"])),
)]
async fn list(
    State(content): State<Arc<Content>>,
    caller: Caller,
    Query(params): Query<PageParams>,
) -> Result<axum::Json<Listed<VoiceView>>, Problem> {
    let after = params.after(&caller.organisation.to_string())?;
    let (voices, next) = content.voices(&caller, params.limit()?, after).await?;
    Ok(axum::Json(Listed {
        items: voices.into_iter().map(VoiceView::from).collect(),
        next_cursor: page::encode(next.as_ref()),
    }))
}

/// A voice.
#[utoipa::path(
    get, path = "/v1/brand-voices/{id}", tag = "content",
    params(("id" = String, Path, description = "The voice's id")),
    responses((status = 200, body = VoiceView), Refusals),
    security(("token" = ["content:read"])),
)]
async fn get(
    State(content): State<Arc<Content>>,
    caller: Caller,
    Path(id): Path<Id<VoiceKind>>,
) -> Result<([(HeaderName, String); 1], axum::Json<VoiceView>), Problem> {
    let (voice, row) = content.voice(caller.organisation, id).await?;
    Ok(([etag(row)], axum::Json(voice.into())))
}

/// Changes a voice. What was made with it stays as it is.
#[utoipa::path(
    patch, path = "/v1/brand-voices/{id}", tag = "content",
    params(("id" = String, Path, description = "The voice's id")),
    request_body = VoiceChange,
    responses((status = 200, body = VoiceView), Refusals),
    security(("token" = ["prompts:write"])),
)]
async fn change(
    State(content): State<Arc<Content>>,
    caller: Caller,
    Path(id): Path<Id<VoiceKind>>,
    if_match: IfMatch,
    Json(change): Json<VoiceChange>,
) -> Result<([(HeaderName, String); 1], axum::Json<VoiceView>), Problem> {
    let accepted = |version| if_match.check(version).is_ok();
    let (voice, row) = content
        .change_voice(&caller, id, accepted, |text| change.apply(text))
        .await?;
    Ok(([etag(row)], axum::Json(voice.into())))
}

/// Deletes a voice.
#[utoipa::path(
    delete, path = "/v1/brand-voices/{id}", tag = "content",
    params(("id" = String, Path, description = "The voice's id")),
    responses((status = 204, description = "Deleted"), Refusals),
    security(("token" = ["prompts:write"])),
)]
async fn delete(
    State(content): State<Arc<Content>>,
    caller: Caller,
    Path(id): Path<Id<VoiceKind>>,
) -> Result<StatusCode, Problem> {
    content.delete_voice(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An answer names at most this many places.
const MOST_VIOLATIONS: usize = 500;

/// Holds a text against a voice: banned words, glossary, length. No model is asked.
#[utoipa::path(
    post, path = "/v1/content/check", tag = "content",
    request_body = CheckRequest,
    responses((status = 200, body = CheckView), Refusals),
    security(("token" = ["content:read"])),
)]
async fn check(
    State(content): State<Arc<Content>>,
    caller: Caller,
    context: Context,
    Json(asked): Json<CheckRequest>,
) -> Result<axum::Json<CheckView>, Problem> {
    let locale = asked
        .locale
        .unwrap_or_else(|| context.locale.tag().to_owned());
    let mut fields = Fields::new();
    fields.check(
        asked.text.len() <= LONGEST_TEXT,
        "/text",
        Text::with(
            format!("No puede ocupar más de {LONGEST_TEXT} octetos"),
            format!("Must not have more than {LONGEST_TEXT} octets"),
        ),
    );
    fields.check(is_tag(&locale), "/locale", TAG);
    fields.finish()?;
    let (voice, _) = match content.voice(caller.organisation, asked.voice).await {
        Err(ContentError::NotFound) => return Err(no_such_voice()),
        found => found?,
    };
    let found = voice.text.violations(&asked.text, &locale);
    Ok(axum::Json(CheckView {
        ok: found.is_empty(),
        characters: asked.text.chars().count(),
        violations: found
            .into_iter()
            .take(MOST_VIOLATIONS)
            .map(|violation| ViolationView::of(violation, context.locale))
            .collect(),
    }))
}

/// What is wrong with a text that is no language tag.
pub(super) const TAG: Text = Text::fixed(
    "Debe ser una etiqueta de idioma, como es o en-GB",
    "Must be a language tag, such as es or en-GB",
);

/// A body names a voice that is not there.
pub(super) fn no_such_voice() -> Problem {
    Problem::new(&runtime::problem::VALIDATION_FAILED).field(
        "/voice",
        Text::fixed("Esta voz no existe", "There is no such voice"),
    )
}
