//! Every answer that is not a success, and the only place where its status is chosen.
//!
//! A problem's `type` is stable; its `detail` says what to do.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use super::seats::{label, labels};
use crate::availability::SoldOutWord;
use crate::catalogue::NotOnSale;
use crate::domain::inventory::InventoryId;
use crate::domain::order::Stop;
use crate::lab::Refusal;
use crate::provider::BadNews;
use crate::service::{BadOrder, Denied, SeatsTaken, SoldOut};
use crate::store::StoreError;

/// Is an answer in `application/problem+json`.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    name: &'static str,
    title: &'static str,
    detail: String,
    field: Option<&'static str>,
    /// Further members of the body.
    members: Option<Box<Map<String, Value>>>,
    headers: Vec<(HeaderName, String)>,
}

impl Problem {
    fn new(status: StatusCode, name: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, name, title, detail: detail.into(), field: None, members: None, headers: Vec::new() }
    }

    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((HeaderName::from_static(name), value.into()));
        self
    }

    /// A field that is missing or makes no sense by itself.
    pub(super) fn field(field: &'static str, detail: impl Into<String>) -> Self {
        let detail = format!("{field}: {}", detail.into());
        let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field", "A field is not valid", detail);
        Self { field: Some(field), ..problem }
    }

    /// A body that is not what its type says.
    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", "The request cannot be read", detail)
    }

    pub(super) fn too_large() -> Self {
        let detail = "the body of a request may have 16 KiB; send less";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The request is too large", detail)
    }

    pub(super) fn key_required() -> Self {
        let detail = "send an Idempotency-Key header of 1 to 255 visible ASCII characters, new for each order, and the \
                      same one when you try again";
        Self::new(StatusCode::BAD_REQUEST, "idempotency_key_required", "An Idempotency-Key is required", detail)
    }

    /// Somebody else's id, or none.
    pub(super) fn not_found(what: &'static str) -> Self {
        let detail = format!("there is no such {what}; check the address");
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found", detail)
    }

    pub(super) fn no_such_page() -> Self {
        Self::not_found("page or method")
    }

    pub(super) fn method_not_allowed() -> Self {
        let detail = "this address does not take this method; see /api/openapi.json";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed", detail)
    }

    pub(super) fn closing() -> Self {
        let detail = "this process is ending; try again in a moment";
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "closing", "Closing", detail);
        problem.header("retry-after", "1")
    }

    pub(super) fn unavailable(error: &StoreError) -> Self {
        tracing::error!(%error, "a request failed");
        let detail = "the booking could not be looked up or written just now; try again with the same Idempotency-Key";
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available just now", detail);
        problem.header("retry-after", "1")
    }

    /// The provider refused the payment.
    pub(super) fn declined(reason: &str) -> Self {
        let detail = format!("{reason}; your seats are still held, try another way to pay");
        Self::new(StatusCode::PAYMENT_REQUIRED, "payment_declined", "The payment was declined", detail)
    }

    /// The money came too late, or its booking was cancelled, and goes back.
    pub(super) fn refunded() -> Self {
        let detail = "there is no booking for this payment; the money is on its way back to you";
        Self::new(StatusCode::CONFLICT, "payment_refunded", "The payment goes back", detail)
    }

    /// What was set aside was let go.
    pub(super) fn voided() -> Self {
        let detail = "the seats were gone when the payment arrived; nothing was charged, hold seats again";
        Self::new(StatusCode::CONFLICT, "payment_voided", "Nothing was charged", detail)
    }

    /// Two databases have a booking of one reference each.
    fn shared_reference(error: &StoreError) -> Self {
        tracing::error!(%error, "a booking is neither shown nor changed");
        let detail = "this reference belongs to two bookings, so neither is shown or changed by it; look at the hold, and \
                      ask us with its id";
        Self::new(StatusCode::CONFLICT, "shared_reference", "Two bookings have this reference", detail)
    }

    fn sold_out(sold: SoldOut) -> Self {
        let SoldOut { inventory, available, word } = sold;
        let detail = match available {
            0 => {
                format!("{inventory} is sold out; seats may come back when others do not pay, or choose another train")
            }
            left => format!("{inventory} has only {left} seats left; ask for fewer"),
        };
        let problem = Self::new(StatusCode::CONFLICT, "sold_out", "Sold out", detail)
            .header("vestibule-stock", format!("{inventory}={available}"));
        match word {
            Some(word) => problem.header("vestibule-sold-out", sold_out_header(inventory, word)),
            None => problem,
        }
    }

    fn seat_taken(seats: &SeatsTaken) -> Self {
        let inventory = seats.inventory;
        let taken = labels(inventory, &seats.taken);
        let detail = format!("{} of {inventory} belong to somebody else by now; choose other seats", taken.join(", "));
        let mut problem = Self::new(StatusCode::CONFLICT, "seat_taken", "Seats are taken", detail)
            .header("vestibule-stock", format!("{inventory}={}", seats.available));
        let members: [(&str, Value); 3] = [
            ("inventory", inventory.to_string().into()),
            ("taken", taken.into()),
            ("free_nearby", labels(inventory, &seats.free_nearby).into()),
        ];
        let members = members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        problem.members = Some(Box::new(members));
        problem
    }

    fn order(bad: &BadOrder) -> Self {
        match bad {
            BadOrder::Empty => Self::field("items", "must have at least one item"),
            BadOrder::Apart(..) => Self::field("items", bad.to_string()),
            BadOrder::SeatTwice(row, seat) => Self::field("seats", format!("{} is named twice", label(*row, *seat))),
            BadOrder::Mixed(_) => Self::field("items", format!("{bad}; send one item for each")),
            BadOrder::NotNumbered(row) => {
                Self::field("seats", format!("cannot be chosen on {row}; send quantity instead"))
            }
            BadOrder::NoSuchSeat(row) => {
                Self::field("seats", format!("are not all there on {row}; look at the seats of /api/inventory/{row}"))
            }
        }
    }

    fn state(stop: Stop) -> Self {
        let conflict = |name, title, detail: &str| Self::new(StatusCode::CONFLICT, name, title, detail);
        match stop {
            Stop::NoSuchHold => Self::not_found("hold"),
            Stop::NoSuchPayment => Self::not_found("payment"),
            Stop::HoldExpired => conflict(
                "hold_expired",
                "The hold has run out",
                "the time to pay is over and the seats went back; hold seats again",
            ),
            Stop::HoldCancelled => {
                conflict("hold_cancelled", "The hold was cancelled", "the seats were given back; hold seats again")
            }
            Stop::AlreadyPaid => {
                conflict("already_paid", "Already paid", "this hold is paid for; look at the hold for its booking")
            }
            Stop::PaymentInProgress => conflict(
                "payment_in_progress",
                "A payment is under way",
                "wait for the payment that is under way; look at the hold",
            ),
            Stop::NotHeld => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "not_held",
                "The hold does not have that",
                "what is kept must be part of what is held; look at the hold, and DELETE it to give all back",
            ),
            Stop::KeyReused => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "The Idempotency-Key was used before",
                "this Idempotency-Key belongs to another request; nothing happened, use a new key",
            ),
            Stop::WrongAmount => Self::field("amount_paise", "is not the amount of the payment"),
            Stop::NoExtensionLeft => conflict(
                "no_extension_left",
                "No more time",
                "this hold was extended as often as it may be; pay before it runs out",
            ),
            Stop::NotTheNextExtension => Self::field("number", "must be one more than the hold's extensions"),
            Stop::TooLateToCancel => conflict(
                "too_late_to_cancel",
                "Too late to cancel",
                "the time in which this booking may be cancelled is over; the booking stays as it is",
            ),
            Stop::BookingCancelled => conflict(
                "booking_cancelled",
                "The booking was cancelled",
                "this booking was cancelled before, and its money goes back; look at the booking",
            ),
            Stop::NotInBooking => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "not_in_booking",
                "The booking does not have that",
                "what is kept must be part of what is booked, and something must be left; look at the booking, and POST \
                 to its cancellation to give all back",
            ),
            Stop::SoldOut | Stop::Already | Stop::NotDue | Stop::NotBooked => {
                conflict("not_in_this_state", "Not in this state", "look at the hold and try again")
            }
        }
    }

    fn not_on_sale(reason: NotOnSale) -> Self {
        let status = match reason {
            NotOnSale::UnknownTrain(_) | NotOnSale::NoSuchClass(..) => StatusCode::NOT_FOUND,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let detail = format!("{reason}; search /api/trains for what is on sale");
        Self::new(status, "not_on_sale", "Not on sale", detail)
    }

    fn news(bad: &BadNews) -> Self {
        let status = match bad {
            BadNews::Signature | BadNews::Stale => StatusCode::UNAUTHORIZED,
            BadNews::Body(_) => StatusCode::BAD_REQUEST,
        };
        Self::new(status, "webhook_refused", "The webhook is not believed", bad.to_string())
    }
}

/// Writes a word for the gateway.
pub(super) fn sold_out_header(inventory: InventoryId, word: SoldOutWord) -> String {
    format!("{inventory}; ttl={}; version={}", word.ttl_seconds, word.version)
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NotOnSale(reason) => Self::not_on_sale(reason),
            Denied::SoldOut(sold) => Self::sold_out(sold),
            Denied::SeatTaken(seats) => Self::seat_taken(&seats),
            Denied::Order(bad) => Self::order(&bad),
            Denied::Quantity { most } => Self::field("quantity", format!("must be a whole number from 1 to {most}")),
            Denied::Method => Self::field("method", "is not a payment method we take, for example sim_ok"),
            Denied::State(stop) => Self::state(stop),
            Denied::NoSuchBooking => Self::not_found("booking"),
            Denied::News(bad) => Self::news(&bad),
            Denied::Busy => {
                let detail = "too many orders wait for this train; try again in a second with the same Idempotency-Key";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Too busy", detail).header("retry-after", "1")
            }
            Denied::Fault(error) if matches!(*error, StoreError::SharedReference) => Self::shared_reference(&error),
            Denied::Fault(error) => Self::unavailable(&error),
            Denied::Closing => Self::closing(),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (status, name, title) = match refusal {
            Refusal::NoSuchRace => (StatusCode::NOT_FOUND, "no_such_race", "No such race"),
            Refusal::Full | Refusal::Rushing => (StatusCode::SERVICE_UNAVAILABLE, "lab_full", "The lab is full"),
            Refusal::Waiting => (StatusCode::CONFLICT, "waiting", "Waits for the database"),
            Refusal::Over => (StatusCode::CONFLICT, "over", "Over"),
            Refusal::NoRedis | Refusal::NoLease => (StatusCode::CONFLICT, "no_redis", "No Redis"),
            Refusal::Redis(_) | Refusal::Trouble(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "lab_trouble", "A store of the lab has failed")
            }
        };
        let problem = Self::new(status, name, title, refusal.to_string());
        if status == StatusCode::SERVICE_UNAVAILABLE { problem.header("retry-after", "5") } else { problem }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = serde_json::json!({
            "type": format!("/problems/{}", self.name),
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Some(field) = self.field {
            body["field"] = field.into();
        }
        for (name, value) in self.members.into_iter().flat_map(|members| *members) {
            body[name] = value;
        }
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        debug_assert!(self.status != StatusCode::SERVICE_UNAVAILABLE || headers.contains_key(RETRY_AFTER));
        response
    }
}
