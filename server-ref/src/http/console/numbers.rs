//! The overview.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use moorline_protocol::time::UnixMillis;
use serde::{Deserialize, Serialize};

use super::super::problem::Problem;
use super::super::read::Asked;
use super::super::{Api, lock};
use super::series::{AppNow, COLUMNS, Row};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OverviewAsked {
    /// Rows after this moment, ms since 1970.
    after: Option<u64>,
}

#[derive(Serialize)]
pub(super) struct Overview {
    version: &'static str,
    /// When the server started, ms since 1970.
    since: UnixMillis,
    now: UnixMillis,
    durability: String,
    columns: [&'static str; COLUMNS.len()],
    rows: Vec<Row>,
    apps: Vec<AppNow>,
}

/// What the server is like, and was in the last 15 minutes.
pub(super) async fn overview(
    State(api): State<Arc<Api>>,
    Asked(asked): Asked<OverviewAsked>,
) -> Result<Json<Overview>, Problem> {
    let console = api.console()?;
    let (rows, apps) = {
        let series = lock(&console.series);
        (series.after(asked.after.unwrap_or(0) as f64), series.apps.clone())
    };
    Ok(Json(Overview {
        version: env!("CARGO_PKG_VERSION"),
        since: console.since,
        now: api.unix(),
        durability: console.sight.durability.clone(),
        columns: COLUMNS,
        rows,
        apps,
    }))
}
