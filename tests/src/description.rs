//! What all capabilities together say of their API.

use runtime::access::Access;
use utoipa::openapi::OpenApi;

use crate::fleet::Fleet;

/// The description of the whole fleet.
pub fn description() -> OpenApi {
    let mut apis = Fleet::new().apis().into_iter();
    let mut whole = apis
        .next()
        .map(|api| api.description().clone())
        .unwrap_or_default();
    for api in apis {
        whole.merge(api.description().clone());
    }
    whole
}

/// Who may call what, route by route (`METHOD /path`).
pub fn access() -> Vec<(String, Access)> {
    let fleet = Fleet::new();
    let apis = fleet.apis();
    let rows = apis.iter().flat_map(|api| api.access().rows());
    rows.map(|(method, path, access)| (format!("{method} {path}"), access.clone()))
        .collect()
}
