//! Failures as problem documents (RFC 9457) with stable codes.

use crate::domain::Failure;
use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use sync_protocol::problem::{Code, Problem};

/// The status that goes with a code.
fn status(code: Code) -> StatusCode {
    match code {
        Code::Unauthorised => StatusCode::UNAUTHORIZED,
        Code::Forbidden | Code::WrongReplica | Code::BadDeviceCode | Code::Escrow => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::ReplicaTaken | Code::Stale | Code::ReviewState | Code::Fork | Code::Gap | Code::WrongOffset => {
            StatusCode::CONFLICT
        }
        Code::Purged | Code::UploadExpired => StatusCode::GONE,
        Code::RequestTooLarge | Code::ChangeTooLarge | Code::AttachmentTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::AttachmentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        // As the checksum extension of tus has it.
        Code::ChecksumMismatch => StatusCode::from_u16(460).unwrap_or(StatusCode::BAD_REQUEST),
        Code::UnsupportedUpload => StatusCode::PRECONDITION_FAILED,
        Code::UnsupportedProtocol => StatusCode::UPGRADE_REQUIRED,
        Code::Busy | Code::NoSpace => StatusCode::SERVICE_UNAVAILABLE,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Code::BadEncoding
        | Code::CutOff
        | Code::MalformedJson
        | Code::DuplicateKey
        | Code::TooDeep
        | Code::NotUtf8
        | Code::WrongType
        | Code::BadPred
        | Code::ValueTooLong
        | Code::TooManyRows
        | Code::UnknownQuestionnaire
        | Code::UnknownArea
        | Code::UnknownQuestion
        | Code::WrongValueType
        | Code::BadSignature
        | Code::BadQuery => StatusCode::BAD_REQUEST,
    }
}

/// A failure on its way out.
#[derive(Debug)]
pub(super) struct Rejection(Problem);

impl From<Failure> for Rejection {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Problem(problem) => Self(problem),
            Failure::Store(error) => {
                eprintln!("tenun-server: {error}");
                Self(Problem::new(Code::Internal, "try again later; the operator finds the reason in the log"))
            }
        }
    }
}

impl From<Problem> for Rejection {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl Rejection {
    pub(super) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self(Problem::new(code, detail))
    }

    /// The code, where a page answers in its own way.
    pub(super) fn code(&self) -> Code {
        self.0.code
    }

    /// What is wrong, for people.
    pub(super) fn detail(&self) -> &str {
        &self.0.detail
    }
}

impl std::fmt::Display for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for Rejection {
    fn status_code(&self) -> StatusCode {
        status(self.0.code)
    }

    fn error_response(&self) -> HttpResponse {
        let Problem { code, detail } = &self.0;
        let status = self.status_code();
        let mut response = HttpResponse::build(status);
        if *code == Code::Busy {
            response.insert_header(("retry-after", "60"));
        } else if *code == Code::NoSpace {
            response.insert_header(("retry-after", "3600"));
        } else if *code == Code::UnsupportedUpload {
            response.insert_header(("tus-version", super::uploads::VERSION));
        }
        response.content_type("application/problem+json").json(serde_json::json!({
            "type": format!("urn:tenun:problem:{code}"),
            "title": code.title(),
            "status": status.as_u16(),
            "code": code,
            "detail": detail,
        }))
    }
}

/// What programs hear where no route leads.
pub(super) fn not_found() -> Rejection {
    Rejection::new(Code::NotFound, "no such address; /api/v1/openapi.json lists those that there are")
}
