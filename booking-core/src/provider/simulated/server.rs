//! The simulated bank over HTTP, with the faults of its script. The only file here that picks status codes.

use std::sync::Arc;

use axum::extract::{Path, Query, Request, State};
use axum::http::header::{AUTHORIZATION, HOST, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::account::{Account, Refusal};
use super::bank::{Bank, NotDone};
use super::faults::{Fault, FaultKind, MOST_RULES, Manner, Script, Verb};
use crate::domain::moment::Moment;
use crate::domain::money::Paise;
use crate::domain::payment::{ChargeId, PaymentId};
use crate::domain::refund::RefundNumber;
use crate::provider::ChargeOrder;

type Outcome = Result<Account, NotDone>;

/// Puts the bank's listener together. With a key, every call of a merchant must carry it.
pub fn router(bank: Bank, key: Option<String>) -> Router {
    let merchant = Router::new()
        .route("/charges", post(authorize).get(list))
        .route("/charges/{id}", get(read))
        .route("/charges/{id}/capture", post(capture))
        .route("/charges/{id}/void", post(void))
        .route("/charges/{id}/refunds", post(refund))
        .route("/faults", get(script).put(play))
        .layer(middleware::from_fn_with_state(key.map(Arc::<str>::from), only_with_key));
    let buyer = Router::new().route("/challenge/{id}", get(challenge).post(confirm));
    merchant.merge(buyer).route("/healthz", get(|| async { "alive\n" })).with_state(bank)
}

async fn only_with_key(State(key): State<Option<Arc<str>>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    match key {
        Some(key) if given != Some(&format!("Bearer {key}")) => error(StatusCode::UNAUTHORIZED, "this needs the key"),
        _ => next.run(request).await,
    }
}

fn error(status: StatusCode, words: &str) -> Response {
    (status, Json(json!({"error": words}))).into_response()
}

fn answer(outcome: Outcome) -> Response {
    match outcome {
        Ok(account) => Json(account).into_response(),
        Err(NotDone::Refused(Refusal::Unknown)) => error(StatusCode::NOT_FOUND, "there is no such charge"),
        Err(NotDone::Refused(Refusal::TooMuch)) => error(StatusCode::CONFLICT, "more would go back than was taken"),
        Err(NotDone::Refused(Refusal::TooOften)) => error(StatusCode::CONFLICT, "it was refunded too often"),
        Err(NotDone::Disk(fault)) => {
            tracing::error!(%fault, "the bank cannot write its journal");
            error(StatusCode::INSUFFICIENT_STORAGE, "it cannot be written down")
        }
    }
}

/// Does what is asked, in the way the fault says.
async fn treat(bank: &Bank, fault: Option<Fault>, act: impl FnOnce() -> Outcome + Send + 'static) -> Response {
    let Some(fault) = fault else { return answer(act()) };
    match fault.kind {
        FaultKind::Decline | FaultKind::Duplicate | FaultKind::Bounce => answer(act()),
        FaultKind::Fail => error(StatusCode::SERVICE_UNAVAILABLE, "the bank is not well"),
        FaultKind::Hang => {
            bank.hang().await;
            error(StatusCode::SERVICE_UNAVAILABLE, "the bank was away")
        }
        FaultKind::Slow => {
            tokio::time::sleep(bank.pace(fault)).await;
            answer(act())
        }
        FaultKind::Late => {
            bank.later(bank.pace(fault), move || drop(act()));
            bank.hang().await;
            error(StatusCode::SERVICE_UNAVAILABLE, "the bank was away")
        }
        FaultKind::Garbage => {
            drop(act());
            Html("<h1>It works!</h1>").into_response()
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewCharge {
    payment: PaymentId,
    amount_paise: Paise,
    method: String,
    return_url: Option<String>,
}

async fn authorize(State(bank): State<Bank>, headers: HeaderMap, Json(new): Json<NewCharge>) -> Response {
    let Some(mut manner) = Manner::of(&new.method) else {
        return error(StatusCode::UNPROCESSABLE_ENTITY, "unknown method");
    };
    let fault = bank.fault(Verb::Authorize, Some(manner));
    manner.fault = fault.map(|fault| fault.kind);
    let base = format!("http://{}", headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost"));
    let NewCharge { payment, amount_paise: amount, method, return_url } = new;
    let order = ChargeOrder { payment, amount, method, return_url, attempt: 0 };
    let doing = bank.clone();
    treat(&bank, fault, move || doing.authorize(&order, manner, &base)).await
}

async fn read(State(bank): State<Bank>, Path(id): Path<ChargeId>) -> Response {
    answer(bank.find(&id).ok_or(NotDone::Refused(Refusal::Unknown)))
}

async fn capture(State(bank): State<Bank>, Path(id): Path<ChargeId>) -> Response {
    let (fault, doing) = (bank.fault(Verb::Capture, None), bank.clone());
    let act = move || {
        doing.change(&id, |account| {
            account.capture();
            Ok(())
        })
    };
    treat(&bank, fault, act).await
}

async fn void(State(bank): State<Bank>, Path(id): Path<ChargeId>) -> Response {
    let (fault, doing) = (bank.fault(Verb::Void, None), bank.clone());
    let act = move || {
        doing.change(&id, |account| {
            account.void();
            Ok(())
        })
    };
    treat(&bank, fault, act).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRefund {
    payment: PaymentId,
    amount_paise: Paise,
    number: RefundNumber,
}

async fn refund(State(bank): State<Bank>, Path(id): Path<ChargeId>, Json(new): Json<NewRefund>) -> Response {
    let (fault, doing, charge) = (bank.fault(Verb::Refund, None), bank.clone(), id.clone());
    let NewRefund { payment, amount_paise, number } = new;
    let refused = fault.is_some_and(|fault| fault.kind == FaultKind::Decline);
    let act = move || doing.change(&charge, |account| account.refund((payment, number), amount_paise, refused));
    let response = treat(&bank, fault, act).await;
    if let Some(fault @ Fault { kind: FaultKind::Bounce, .. }) = fault {
        let doing = bank.clone();
        bank.later(bank.pace(fault), move || drop(doing.bounce(&id, number)));
    }
    response
}

#[derive(Deserialize)]
struct ListQuery {
    since: i64,
    after: Option<String>,
}

async fn list(State(bank): State<Bank>, Query(query): Query<ListQuery>) -> Response {
    match bank.fault(Verb::List, None) {
        Some(Fault { kind: FaultKind::Hang | FaultKind::Late, .. }) => {
            bank.hang().await;
            return error(StatusCode::SERVICE_UNAVAILABLE, "the bank was away");
        }
        Some(fault @ Fault { kind: FaultKind::Slow, .. }) => tokio::time::sleep(bank.pace(fault)).await,
        Some(_) => return error(StatusCode::SERVICE_UNAVAILABLE, "the bank is not well"),
        None => {}
    }
    let (charges, next) = bank.list(Moment::from_ms(query.since), query.after.as_deref().and_then(cursor));
    Json(json!({"charges": charges, "next": next.map(|(at, id)| format!("{}~{}", at.as_ms(), id.0))})).into_response()
}

fn cursor(text: &str) -> Option<(Moment, ChargeId)> {
    let (at, id) = text.split_once('~')?;
    Some((Moment::from_ms(at.parse().ok()?), ChargeId(id.to_owned())))
}

async fn script(State(bank): State<Bank>) -> Json<Script> {
    Json(bank.script())
}

async fn play(State(bank): State<Bank>, Json(script): Json<Script>) -> Response {
    if script.rules.len() > MOST_RULES {
        return error(StatusCode::UNPROCESSABLE_ENTITY, "a script has at most 64 rules");
    }
    bank.play(script);
    StatusCode::NO_CONTENT.into_response()
}

async fn challenge(State(bank): State<Bank>, Path(id): Path<ChargeId>) -> Response {
    let Some(account) = bank.find(&id) else { return error(StatusCode::NOT_FOUND, "there is no such charge") };
    let page = include_str!("challenge.html").replace("{amount}", &account.amount_paise.to_string());
    Html(page).into_response()
}

#[derive(Deserialize)]
struct Word {
    answer: Option<String>,
}

async fn confirm(State(bank): State<Bank>, Path(id): Path<ChargeId>, Query(word): Query<Word>) -> Response {
    let yes = word.answer.as_deref() == Some("yes");
    match bank.change(&id, |account| {
        account.confirm(yes);
        Ok(())
    }) {
        Ok(Account { return_url: Some(back), .. }) => (StatusCode::SEE_OTHER, [(LOCATION, back)]).into_response(),
        Ok(_) => Html("<p>Thank you. You can close this page.</p>").into_response(),
        refused => answer(refused),
    }
}
