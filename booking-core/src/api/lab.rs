//! The concurrency lab over HTTP, for its own page and nothing else. These routes are there only where the configuration
//! turns the lab on, and are no part of what may be relied on.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Map, Value};

use super::input::{Body, object, text};
use super::problem::Problem;
use crate::lab::way::Way;
use crate::lab::{Equipment, Lab, Outcome, Pace, RaceView};
use crate::site;

/// What a rush says instead of a way to meet the product's own teller.
const TELLER: &str = "teller";

type Shared = State<Arc<Lab>>;

/// Puts the lab's page and what it asks for together.
pub(super) fn router(lab: Arc<Lab>) -> Router {
    Router::new()
        .route("/lab", get(|| async { Redirect::permanent("/lab/") }))
        .route("/lab/", get(page))
        .route("/lab/{*file}", get(page))
        .route("/api/lab", get(equipment))
        .route("/api/lab/races", post(begin))
        .route("/api/lab/races/{id}", get(view).delete(close))
        .route("/api/lab/races/{id}/steps", post(step))
        .route("/api/lab/races/{id}/run", post(run))
        .route("/api/lab/races/{id}/lease-end", post(end_lease))
        .route("/api/lab/rushes", post(rush))
        .with_state(lab)
}

async fn page(request: Request) -> Response {
    let found = site::lab(request.uri().path(), request.headers());
    found.unwrap_or_else(|| Problem::no_such_page().into_response())
}

async fn equipment(State(lab): Shared) -> Json<Equipment> {
    Json(lab.equipment())
}

async fn begin(State(lab): Shared, body: Body) -> Result<(StatusCode, Json<RaceView>), Problem> {
    let way = way(&object(body, &["way"])?)?;
    Ok((StatusCode::CREATED, Json(lab.begin(way).await?)))
}

async fn view(State(lab): Shared, Path(id): Path<String>) -> Result<Json<RaceView>, Problem> {
    Ok(Json(lab.view(&id).await?))
}

async fn step(State(lab): Shared, Path(id): Path<String>, body: Body) -> Result<Json<RaceView>, Problem> {
    let body = object(body, &["person"])?;
    let person = body.get("person").and_then(Value::as_u64).filter(|person| (1..=2).contains(person));
    let person = person.ok_or_else(|| Problem::field("person", "must be 1 or 2"))?;
    Ok(Json(lab.click(&id, usize::try_from(person).unwrap_or(1), Pace::Step).await?))
}

async fn run(State(lab): Shared, Path(id): Path<String>) -> Result<Json<RaceView>, Problem> {
    Ok(Json(lab.run(&id).await?))
}

async fn end_lease(State(lab): Shared, Path(id): Path<String>) -> Result<Json<RaceView>, Problem> {
    Ok(Json(lab.end_lease(&id).await?))
}

async fn close(State(lab): Shared, Path(id): Path<String>) -> StatusCode {
    lab.close(&id).await;
    StatusCode::NO_CONTENT
}

/// Runs in a task of its own: what it has laid out is cleared away also when nobody waits for the outcome any more.
async fn rush(State(lab): Shared, body: Body) -> Result<Json<Outcome>, Problem> {
    let body = object(body, &["way"])?;
    let way = if text(&body, "way")? == TELLER { None } else { Some(way(&body)?) };
    let rushing = tokio::spawn(async move {
        match way {
            Some(way) => lab.rush(way).await,
            None => lab.rush_the_teller().await,
        }
    });
    Ok(Json(rushing.await.map_err(|_| Problem::closing())??))
}

fn way(body: &Map<String, Value>) -> Result<Way, Problem> {
    let name = text(body, "way")?;
    let names = || Way::ALL.map(|way| serde_json::json!(way).as_str().unwrap_or_default().to_owned()).join(", ");
    let way = serde_json::from_value(name.into());
    way.map_err(|_| Problem::field("way", format!("must be one of {}", names())))
}
