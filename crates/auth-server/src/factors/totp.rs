//! One-time codes by time: SHA-1, six digits, steps of 30 s, one step to either side (RFC 6238).

use base::secret::Secret;
use serde_json::{Value, json};
use time::OffsetDateTime;
use totp_rs::{Builder, Totp};
use uuid::Uuid;

use crate::App;
use crate::db::factors::Factor;
use crate::error::{Answer, ApiError};

/// How `amr` names the proof.
pub(crate) const METHOD: &str = "totp";

/// A secret that was just drawn, 160 bits (RFC 4226, section 4), with the names an app shows beside it.
pub(super) struct Enrolment {
    totp: Totp,
}

impl Enrolment {
    /// Refuses names with a colon, which the address of the key cannot hold.
    pub(super) fn draw(app: &App, issuer: String, account: String) -> Answer<Self> {
        let secret: [u8; 20] = app.entropy.bytes();
        let builder = Builder::new().with_secret(secret).with_issuer(Some(issuer)).with_account_name(account);
        let totp = builder.build().map_err(|_| ApiError::invalid("issuer may not have a colon"))?;
        Ok(Self { totp })
    }

    /// `totp` of the answer: the secret as text, as an address for apps, and that address as a picture.
    pub(super) fn body(&self) -> Answer<Value> {
        let uri = self.totp.to_url().map_err(ApiError::internal)?;
        let code = qrcode::QrCode::new(&uri).map_err(ApiError::internal)?;
        let picture = code.render::<qrcode::render::svg::Color<'_>>().min_dimensions(200, 200).build();
        // Clients put it behind `data:image/svg+xml;utf-8,`, where the declaration would only be in the way.
        let picture = picture.find("<svg").map_or(picture.as_str(), |at| &picture[at..]);
        Ok(json!({"qr_code": picture, "secret": self.totp.secret().to_base32(), "uri": uri}))
    }
}

/// The secret of `factor` as it rests in the database (S-75).
pub(super) fn seal(app: &App, factor: Uuid, new: &Enrolment) -> String {
    app.factor_secrets.seal(&[&factor.to_string()], new.totp.secret().as_ref(), &*app.entropy)
}

/// The step that `code` belongs to, if it is one of the three that are accepted now. Blanks between digits are no part
/// of it.
pub(super) fn step_of(
    app: &App,
    factor: &Factor,
    code: &Secret<String>,
    now: OffsetDateTime,
) -> Answer<Option<u64>> {
    let secret = app.factor_secrets.open(&[&factor.id.to_string()], &factor.secret);
    let secret = secret.map_err(|_| ApiError::internal("the secret of a factor cannot be opened"))?;
    let totp = Builder::new().with_secret(secret.plain.to_vec()).build().map_err(ApiError::internal)?;
    let digits: String = code.expose().chars().filter(|c| !c.is_whitespace()).take(16).collect();
    Ok(totp.check(&digits, now.unix_timestamp().unsigned_abs()))
}
