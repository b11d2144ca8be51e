//! The page that works a little before its visitor gets a place.

use minijinja::context;

use super::words::in_script;
use super::{Language, PLAIN, Pages, Reader};
use crate::token::proof::Challenge;

impl Pages {
    /// Renders it: what is to be found out, where the form with the solution goes, and where those go who have no script,
    /// after so many seconds.
    #[must_use]
    pub fn proof(
        &self,
        plain: (&str, &str),
        challenge: &Challenge,
        form: &str,
        (patience, after_s): (&str, u64),
        reader: Reader<'_>,
    ) -> String {
        let own = self.words(reader.language);
        let (words, (heading, text)) = match own.notice("proof") {
            Some(said) => (own, said),
            None => (self.words(Language::En), plain),
        };
        let rendered = self.environment.get_template("waiting/proof.html").and_then(|template| {
            template.render(context! {
                nonce => reader.nonce,
                lang => words.language.tag(),
                dir => words.language.direction(),
                heading, text, form, patience, after_s,
                without => words.short("proof_patience", &[("span", &words.span(after_s as f64))]),
                challenge_json => in_script(challenge),
            })
        });
        rendered.unwrap_or_else(|fault| {
            tracing::error!(%fault, "the page that works could not be rendered");
            PLAIN.to_owned()
        })
    }
}
