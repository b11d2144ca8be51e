//! The answer to a newcomer who has to show something first: a page that does it by itself, or what a program needs.

use hyper::header;
use serde_json::json;

use super::{Answer, Reads, Refused, page, problem};
use crate::proxy::ResponseBody;
use crate::token::proof::Challenge;
use crate::waiting::Pages;

/// What is asked.
#[derive(Debug)]
pub struct ProofAsked<'a> {
    /// The work.
    pub challenge: &'a Challenge,
    /// Where a page's form goes with the solution.
    pub form: &'a str,
    /// Where those go who have no script, after so many seconds.
    pub patience: (&'a str, u64),
}

/// Asks for a proof before a place is given.
#[must_use]
pub fn ask_for_proof(pages: &Pages, reads: Reads, asked: &ProofAsked<'_>) -> Answer {
    let told = Refused::Proof.told();
    let mut answer = match reads {
        Reads::Html(language, coding) => page(told.status, (language, coding), |reader| {
            let plain = (told.heading, told.text.as_ref());
            pages.coded(pages.proof(plain, asked.challenge, asked.form, asked.patience, reader), reader)
        }),
        Reads::Json => problem(&told, [("challenge", json!(asked.challenge))]).map(ResponseBody::full),
    };
    // The page's worker is made of the page's own script.
    if let Some(policy) = answer.headers_mut().get_mut(header::CONTENT_SECURITY_POLICY) {
        let widened = format!("{}; worker-src blob:", policy.to_str().unwrap_or_default());
        *policy = header::HeaderValue::from_str(&widened).unwrap_or_else(|_| policy.clone());
    }
    answer
}
