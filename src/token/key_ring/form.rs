//! The one serialised form of a key ring, and what is checked when it is read.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::key::{BadKid, Key, KeyCard, KeyKind, KeyState, Kid, Secret};
use super::pair::{BadAlgorithm, PassAlgorithm};
use super::revoked::{Revocation, Revoked};
use super::{KeyRing, KeyRingFault, MAX_KEYS};

/// The document: two lists of keys, and of what was revoked.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RingForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root: Option<String>,
    #[serde(default)]
    ticket: Vec<KeyForm>,
    #[serde(default)]
    pass: Vec<KeyForm>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    revoked: Vec<RevokedForm>,
}

/// Either `visitor` and `until_ms`, or `room` and `before_ms`, or `link` and `until_ms`.
#[derive(Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum RevokedForm {
    Visitor { visitor: String, until_ms: u64 },
    Passes { room: String, before_ms: u64 },
    Link { link: String, until_ms: u64 },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyForm {
    kid: String,
    created_ms: u64,
    state: StateForm,
    #[serde(skip_serializing_if = "Option::is_none")]
    until_ms: Option<u64>,
    /// Of passes only; without it EdDSA.
    #[serde(skip_serializing_if = "Option::is_none")]
    algorithm: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StateForm {
    Announced,
    Active,
    Verifying,
    Retired,
}

impl KeyRing {
    /// Writes the ring, secrets included, as TOML. Whoever stores it keeps it readable to its owner only.
    ///
    /// # Errors
    ///
    /// [`KeyRingFault::Unreadable`] when a number does not fit TOML's 63 bits.
    pub fn to_toml(&self) -> Result<String, KeyRingFault> {
        let of = |kind| self.of_kind(kind).map(key_to_form).collect();
        let root = self.root.as_ref().map(|root| STANDARD.encode(root.0));
        let form =
            RingForm { root, ticket: of(KeyKind::Ticket), pass: of(KeyKind::Pass), revoked: revoked_forms(self) };
        toml::to_string(&form).map_err(|fault| KeyRingFault::Unreadable(fault.to_string()))
    }

    /// Reads a ring back and checks all that signing relies on.
    ///
    /// # Errors
    ///
    /// Any [`KeyRingFault`] but `Unknown` and `Active`; none quotes the text, which may hold secrets.
    pub fn from_toml(text: &str) -> Result<Self, KeyRingFault> {
        // The parser's own display quotes the faulty line, and that line may be a secret.
        let form: RingForm =
            toml::from_str(text).map_err(|fault| KeyRingFault::Unreadable(place_of(text, fault.span())))?;
        let mut keys = keys_of(KeyKind::Ticket, form.ticket)?;
        keys.extend(keys_of(KeyKind::Pass, form.pass)?);
        check_unique(&keys)?;
        let root = form.root.map(|text| secret_of(&text).ok_or(KeyRingFault::BadRoot)).transpose()?;
        let mut revoked = Revoked::default();
        form.revoked.into_iter().try_for_each(|form| revoked.add(revocation_of(form)?))?;
        let mut ring = Self { keys, root, revoked, generation: 0 };
        ring.seal_generation();
        Ok(ring)
    }
}

fn place_of(text: &str, span: Option<std::ops::Range<usize>>) -> String {
    let Some(before) = span.and_then(|span| text.get(..span.start)) else {
        return "it is not the TOML of a key ring".to_owned();
    };
    format!("line {} is not what a key ring holds there", before.matches('\n').count() + 1)
}

fn key_to_form(key: &Key) -> KeyForm {
    let (state, until_ms) = match key.card.state {
        KeyState::Announced => (StateForm::Announced, None),
        KeyState::Active => (StateForm::Active, None),
        KeyState::Verifying { until_ms } => (StateForm::Verifying, Some(until_ms)),
        KeyState::Retired => (StateForm::Retired, None),
    };
    KeyForm {
        kid: key.card.kid.to_string(),
        created_ms: key.card.created_ms,
        state,
        until_ms,
        algorithm: key.card.algorithm.filter(|told| *told != PassAlgorithm::EdDsa).map(|told| told.name().to_owned()),
        secret: key.secret.as_ref().map(|secret| STANDARD.encode(secret.0)),
    }
}

fn keys_of(kind: KeyKind, forms: Vec<KeyForm>) -> Result<Vec<Key>, KeyRingFault> {
    if forms.len() > MAX_KEYS {
        return Err(KeyRingFault::Full);
    }
    let keys = forms.into_iter().map(|form| key_from_form(kind, form)).collect::<Result<Vec<_>, _>>()?;
    let count = |state| keys.iter().filter(|key| key.card.state == state).count();
    match (count(KeyState::Active), count(KeyState::Announced)) {
        (1, 0 | 1) => Ok(keys),
        _ => Err(KeyRingFault::NotOneActive(kind.name())),
    }
}

fn key_from_form(kind: KeyKind, form: KeyForm) -> Result<Key, KeyRingFault> {
    let kid: Kid = form.kid.parse().map_err(|bad: BadKid| KeyRingFault::Unreadable(bad.to_string()))?;
    let state = match (form.state, form.until_ms) {
        (StateForm::Announced, None) => KeyState::Announced,
        (StateForm::Active, None) => KeyState::Active,
        (StateForm::Verifying, Some(until_ms)) => KeyState::Verifying { until_ms },
        (StateForm::Retired, None) => KeyState::Retired,
        _ => {
            let text = format!("key {kid}: `until_ms` belongs to a verifying key, and only there");
            return Err(KeyRingFault::Unreadable(text));
        }
    };
    let secret = form.secret.as_deref().and_then(secret_of);
    let algorithm = algorithm_of(kind, form.algorithm.as_deref())
        .map_err(|bad| KeyRingFault::Unreadable(format!("key {kid}: {bad}")))?;
    Key::new(KeyCard { kind, kid, created_ms: form.created_ms, state, algorithm }, secret)
}

fn algorithm_of(kind: KeyKind, told: Option<&str>) -> Result<Option<PassAlgorithm>, BadAlgorithm> {
    match (kind, told) {
        (KeyKind::Pass, told) => told.map_or(Ok(PassAlgorithm::EdDsa), str::parse).map(Some),
        (KeyKind::Ticket, None) => Ok(None),
        (KeyKind::Ticket, Some(_)) => Err(BadAlgorithm),
    }
}

fn revoked_forms(ring: &KeyRing) -> Vec<RevokedForm> {
    let form = |revocation| match revocation {
        Revocation::Visitor { id, until_ms } => RevokedForm::Visitor { visitor: id.to_string(), until_ms },
        Revocation::Passes { room, before_ms } => RevokedForm::Passes { room, before_ms },
        Revocation::Link { id, until_ms } => RevokedForm::Link { link: id.to_string(), until_ms },
    };
    ring.revocations().into_iter().map(form).collect()
}

fn revocation_of(form: RevokedForm) -> Result<Revocation, KeyRingFault> {
    match form {
        RevokedForm::Visitor { visitor, until_ms } => {
            let id = visitor.parse().map_err(|()| {
                KeyRingFault::Unreadable("a revoked visitor is named by 32 hexadecimal digits in lower case".to_owned())
            })?;
            Ok(Revocation::Visitor { id, until_ms })
        }
        RevokedForm::Passes { room, before_ms } => Ok(Revocation::Passes { room, before_ms }),
        RevokedForm::Link { link, until_ms } => {
            let id = link.parse().map_err(|()| {
                KeyRingFault::Unreadable("a revoked link is named by 20 hexadecimal digits in lower case".to_owned())
            })?;
            Ok(Revocation::Link { id, until_ms })
        }
    }
}

fn secret_of(text: &str) -> Option<Secret> {
    STANDARD.decode(text).ok()?.try_into().ok().map(Secret)
}

fn check_unique(keys: &[Key]) -> Result<(), KeyRingFault> {
    let mut seen = HashSet::with_capacity(keys.len());
    let twice = keys.iter().find(|key| !seen.insert(key.card.kid));
    twice.map_or(Ok(()), |key| Err(KeyRingFault::Twice(key.card.kid)))
}
