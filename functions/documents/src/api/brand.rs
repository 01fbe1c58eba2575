//! `/v1/brand`: what an organisation's documents wear.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderName, StatusCode};
use data_encoding::BASE64;
use jiff::Timestamp;
use runtime::etag::{IfMatch, etag};
use runtime::problem::{self, Problem};
use runtime::{Caller, Json, Refusals};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::brand::{Accent, BrandRecord, Font, Logo, NewBrand, Standing};
use crate::picture::Kind;
use crate::{Documents, Owner};

/// The routes of an organisation's brand.
pub(super) fn routes() -> OpenApiRouter<Arc<Documents>> {
    OpenApiRouter::new().routes(routes!(get, set, remove))
}

/// A brand.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BrandView {
    /// The colour of headings and of what stands under white text.
    #[schema(value_type = String, example = "#1d3f5e")]
    pub accent: Accent,
    /// The typeface of a PDF; other kinds of file name a face like it.
    pub font: Font,
    /// The logo; null if there is none.
    pub logo: Option<LogoView>,
    /// When it changed last.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// A logo.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LogoView {
    /// The kind of file.
    pub kind: Kind,
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
    /// What is said instead of it to whoever does not see it.
    pub alt: String,
    /// SHA-256 of the file as it is kept, in lower-case hexadecimal.
    pub sha256: String,
    /// The file as it is kept, in base64. Only `GET` answers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

impl BrandView {
    /// Nothing if there is no brand.
    fn of(standing: &Standing) -> Option<Self> {
        let BrandRecord {
            brand, updated_at, ..
        } = standing.record()?;
        let brand = brand.as_ref()?;
        Some(Self {
            accent: brand.accent,
            font: brand.font,
            logo: brand.logo.as_ref().map(LogoView::of),
            updated_at: *updated_at,
        })
    }
}

impl LogoView {
    fn of(logo: &Logo) -> Self {
        Self {
            kind: logo.picture.kind,
            width: logo.picture.width,
            height: logo.picture.height,
            alt: logo.alt.clone(),
            sha256: logo.sha256.clone(),
            data: None,
        }
    }
}

/// A brand with its version.
type Tagged = ([(HeaderName, String); 1], axum::Json<BrandView>);

/// The brand that the organisation's documents wear; 404 if it has none.
#[utoipa::path(
    get, path = "/v1/brand", tag = "documents",
    responses((status = 200, body = BrandView), Refusals),
    security(("token" = ["templates:read"])),
)]
async fn get(State(documents): State<Arc<Documents>>, caller: Caller) -> Result<Tagged, Problem> {
    let org = caller.organisation;
    let standing = documents.standing_brand(org).await?;
    let mut view = view(&standing)?;
    if let (Some(logo), Some(brand)) = (&mut view.logo, standing.brand()) {
        let look = documents.dressed(org, brand.clone()).await?;
        logo.data = look.emblem().map(|(_, octets)| BASE64.encode(octets));
    }
    Ok(([etag(standing.version())], axum::Json(view)))
}

fn view(standing: &Standing) -> Result<BrandView, Problem> {
    BrandView::of(standing).ok_or_else(|| Problem::new(&problem::NOT_FOUND))
}

/// Lets the organisation's documents wear a brand from now on. Documents and batches that were taken on before
/// wear what was worn then. With `If-Match`, only if the brand still is what was read.
///
/// Invoices, letters and reports show colour and logo in every kind of file; a Typst template of one's own finds
/// them in `brand`, and in `/frame.typ`. The colour has to be readable under white text, on white and on the ground
/// of a table's head, and the logo to be a PNG or JPEG picture in sRGB; what is wrong is named: `/accent`,
/// `/logo/data`, `/logo/alt`.
#[utoipa::path(
    put, path = "/v1/brand", tag = "documents",
    request_body = NewBrand,
    responses((status = 200, body = BrandView), Refusals),
    security(("token" = ["organisations:update"])),
)]
async fn set(
    State(documents): State<Arc<Documents>>,
    caller: Caller,
    if_match: IfMatch,
    Json(new): Json<NewBrand>,
) -> Result<Tagged, Problem> {
    let standing = documents.standing_brand(caller.organisation).await?;
    if_match.check(standing.version())?;
    let standing = documents
        .set_brand(&Owner::from(&*caller), standing, new)
        .await?;
    let view = view(&standing)?;
    Ok(([etag(standing.version())], axum::Json(view)))
}

/// Lets the organisation's documents wear nothing from now on. With `If-Match`, only if the brand still is what was
/// read.
#[utoipa::path(
    delete, path = "/v1/brand", tag = "documents",
    responses((status = 204, description = "Deleted"), Refusals),
    security(("token" = ["organisations:update"])),
)]
async fn remove(
    State(documents): State<Arc<Documents>>,
    caller: Caller,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    let standing = documents.standing_brand(caller.organisation).await?;
    if_match.check(standing.version())?;
    documents
        .delete_brand(&Owner::from(&*caller), standing)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
