//! Enrolment of devices by one-time code, and logins of coordinators.

use super::{
    Failure,
    forgotten::absent_device,
    identity::{Identity, random},
};
use crate::store::{Account, Device, Tx};
use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use sha2::{Digest, Sha256};
use sync_protocol::{
    Hash, Limits,
    problem::Code,
    wire::{Enrol, Enrolled},
};

/// Letters of codes that people read to each other: none looks like another.
const LETTERS: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
/// A coordinator logs in once a working day.
const SESSION_MS: i64 = 12 * 3600 * 1000;

/// Hashes a secret that is random enough to need no salt: a token or a one-time code.
#[must_use]
pub fn hash_secret(secret: &str) -> Hash {
    Hash(Sha256::digest(secret.as_bytes()).into())
}

/// Makes a one-time code for an enumerator's device, good for `days`.
///
/// # Errors
/// [`Code::NotFound`] if the enumerator is not known.
pub fn make_device_code(tx: Tx<'_>, enumerator: &str, days: u32, now_ms: i64) -> Result<String, Failure> {
    if !tx.has_enumerator(enumerator)? {
        let detail = format!("no enumerator `{enumerator}`: add the enumerator first");
        return Err(Failure::problem(Code::NotFound, detail));
    }
    let letters: String = random::<10>()?
        .iter()
        .filter_map(|byte| LETTERS.get(usize::from(*byte) % LETTERS.len()))
        .map(|letter| char::from(*letter))
        .collect();
    let (left, right) = letters.split_at_checked(5).unwrap_or((&letters, ""));
    let code = format!("{left}-{right}");
    let expires = now_ms.saturating_add(i64::from(days).saturating_mul(86_400_000));
    tx.insert_device_code(hash_secret(&code), enumerator, expires)?;
    Ok(code)
}

/// Makes a device known, for a one-time code.
///
/// # Errors
/// [`Code::BadDeviceCode`]; the code is used up only where the device becomes known.
pub fn enrol(tx: Tx<'_>, ask: &Enrol, identity: &Identity, limits: &Limits, now_ms: i64) -> Result<Enrolled, Failure> {
    let code = ask.code.trim().to_ascii_uppercase();
    let Some(enumerator) = tx.use_device_code(hash_secret(&code), now_ms)? else {
        return Err(Failure::problem(Code::BadDeviceCode, "ask your coordinator for a new code"));
    };
    let token = hex::encode(random::<32>()?);
    let name: String = ask.name.chars().take(80).collect();
    match tx.replica(ask.replica)? {
        None => {
            let device = tx.insert_device(&enumerator, &name, hash_secret(&token), now_ms)?;
            tx.insert_replica(ask.replica, Some(device), ask.key, None)?;
        }
        // It was enrolled before, and the server was restored: it knows the device by what others gave back.
        Some(row) => match absent_device(tx, &row, ask, &enumerator)? {
            Some(absent) => tx.enrol_absent_device(absent, &name, hash_secret(&token), now_ms)?,
            None => {
                let detail = "this database is enrolled already: start with a new one";
                return Err(Failure::problem(Code::WrongReplica, detail));
            }
        },
    }
    Ok(Enrolled {
        token,
        enumerator,
        server: identity.replica,
        server_key: identity.key.public(),
        limits: limits.clone(),
    })
}

/// The device that a token belongs to.
///
/// # Errors
/// [`Code::Unauthorised`].
pub fn device(tx: Tx<'_>, token: &str) -> Result<Device, Failure> {
    let device = tx.device_by_token(hash_secret(token))?;
    device.ok_or_else(|| Failure::problem(Code::Unauthorised, "enrol the device with a code from your coordinator"))
}

/// Hashes a coordinator's password (Argon2id with the library's defaults, RFC 9106).
///
/// # Errors
/// If the password is shorter than 8 characters.
pub fn hash_password(password: &str) -> Result<String, Failure> {
    if password.chars().count() < 8 {
        return Err(Failure::problem(Code::WrongType, "a password has at least 8 characters"));
    }
    let salt = random::<16>()?;
    let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string())
        .map_err(|_ignored| Failure::problem(Code::Internal, "the password can't be hashed"))
}

/// Whether a password opens an account; takes as long for an account that is not there.
#[must_use]
pub fn is_password(account: Option<&Account>, password: &str) -> bool {
    // The hash of nothing in particular.
    const NOBODY: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let stored = account.map_or(NOBODY, |account| account.password.as_str());
    let Ok(hash) = PasswordHash::new(stored) else {
        return false;
    };
    Argon2::default().verify_password(password.as_bytes(), &hash).is_ok() && account.is_some()
}

/// Begins a session; its token.
///
/// # Errors
/// If the store fails.
pub fn begin_session(tx: Tx<'_>, account: &str, now_ms: i64) -> Result<String, Failure> {
    let token = hex::encode(random::<32>()?);
    tx.insert_session(hash_secret(&token), account, now_ms, now_ms.saturating_add(SESSION_MS))?;
    Ok(token)
}
