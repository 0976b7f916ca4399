//! One request of a page: who asks, in which language, what they sent, and how the answer goes back.

use super::{
    shell::{self, Frame, Tab},
    words::{Language, Words, problem},
};
use crate::{
    domain::Failure,
    http::{auth, body, failure::Rejection},
    state::Server,
    store::Tx,
};
use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{ACCEPT_LANGUAGE, LOCATION, ORIGIN},
    },
    web,
};
use maud::{Markup, html};
use serde::de::DeserializeOwned;
use sync_protocol::problem::Code;

/// The name of the cookie that keeps the language.
pub(super) const LANGUAGE: &str = "tenun_language";
/// Most bytes of a form.
const FORM_MAX: usize = 64 << 10;

/// A coordinator's request.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) server: web::Data<Server>,
    pub(super) request: HttpRequest,
    /// Who asks.
    pub(super) account: String,
    pub(super) language: Language,
}

/// What goes back instead of a page: a failure as a page of its own, or the way to the login.
#[derive(Debug)]
pub(super) struct Broken {
    status: StatusCode,
    code: Code,
    page: Result<String, String>,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.code.fmt(f)
    }
}

impl ResponseError for Broken {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        match &self.page {
            Ok(page) => shell::guarded(HttpResponse::build(self.status)).body(page.clone()),
            Err(location) => redirect(location),
        }
    }
}

impl Desk {
    /// Lets a coordinator in; whoever has no session is led to the login.
    pub(super) async fn open(server: web::Data<Server>, request: HttpRequest) -> Result<Self, Broken> {
        let language = language_of(&request);
        match auth::coordinator(&server, &request).await {
            Ok(account) => Ok(Self { server, request, account, language }),
            Err(rejection) if rejection.code() == Code::Unauthorised => {
                let status = StatusCode::SEE_OTHER;
                Err(Broken { status, code: Code::Unauthorised, page: Err(way_to_login(&request)) })
            }
            Err(rejection) => Err(broken(&rejection, language, None)),
        }
    }

    /// The words of the page's language.
    pub(super) fn words(&self) -> &'static Words {
        self.language.words()
    }

    /// Looks at a snapshot.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(Tx<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Broken> {
        self.server.read(look).await.map_err(|failure| self.broken(failure))
    }

    /// A failure as a page.
    pub(super) fn broken(&self, failure: impl Into<Rejection>) -> Broken {
        broken(&failure.into(), self.language, Some(&self.account))
    }

    /// Reads the query; an unknown parameter is an error that names it.
    pub(super) fn query<T: DeserializeOwned>(&self) -> Result<T, Broken> {
        parse(self.request.query_string(), Code::BadQuery).map_err(|rejection| self.broken(rejection))
    }

    /// Reads a form, if it was posted from a page of this server.
    pub(super) async fn form<T: DeserializeOwned>(&self, payload: web::Payload) -> Result<T, Broken> {
        let form = form(&self.request, payload, self.language).await;
        form.map_err(|rejection| self.broken(rejection))
    }

    /// A whole page.
    pub(super) fn page(&self, status: StatusCode, title: &str, tab: Option<Tab>, main: &Markup) -> HttpResponse {
        let here = self.request.uri().path_and_query().map_or("/", |here| here.as_str());
        let here = if self.request.method() == actix_web::http::Method::GET { here } else { "/" };
        let frame = Frame { language: self.language, account: Some(&self.account), tab, here, title };
        let page = frame.around(main).into_string();
        let mut response = body::Packing::of(&self.request).pack(page.into_bytes()).respond(shell::HTML);
        *response.status_mut() = status;
        shell::guard(response.headers_mut());
        response
    }
}

/// A failure as a page.
pub(super) fn broken(rejection: &Rejection, language: Language, account: Option<&str>) -> Broken {
    let (words, code) = (language.words(), rejection.code());
    let main = html! {
        div class="notice bad" role="alert" {
            h1 { (problem(code, language)) }
            p lang="en" { (rejection.detail()) }
        }
        p { a href="/" { (words.back_home) } }
    };
    let frame = Frame { language, account, tab: None, here: "/", title: words.failed };
    Broken { status: rejection.status_code(), code, page: Ok(frame.around(&main).into_string()) }
}

/// The language that the reader chose, or else the browser's first that we speak.
pub(super) fn language_of(request: &HttpRequest) -> Language {
    let chosen = request.cookie(LANGUAGE).and_then(|cookie| Language::from_code(cookie.value()));
    let accepted = || {
        let accepted = request.headers().get(ACCEPT_LANGUAGE)?.to_str().ok()?;
        accepted.split(',').find_map(|part| Language::from_code(part.split(';').next()?.trim()))
    };
    chosen.or_else(accepted).unwrap_or(Language::Indonesian)
}

/// Reads `name=value&…` of a query or form.
pub(super) fn parse<T: DeserializeOwned>(text: &str, code: Code) -> Result<T, Rejection> {
    let parsed = web::Query::<T>::from_query(text).map(web::Query::into_inner);
    parsed.map_err(|error| {
        let error = error.to_string();
        Rejection::new(code, error.strip_prefix("Query deserialize error: ").unwrap_or(&error))
    })
}

/// Reads a form, if it was posted from a page of this server.
pub(super) async fn form<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: web::Payload,
    language: Language,
) -> Result<T, Rejection> {
    if !is_own(request) {
        return Err(Rejection::new(Code::Forbidden, language.words().foreign_form));
    }
    let bytes = body::read(request, payload, FORM_MAX).await?.unpack()?;
    let text = String::from_utf8(bytes).map_err(|_ignored| Rejection::new(Code::NotUtf8, "the form"))?;
    parse(&text, Code::WrongType)
}

/// Whether the page that posted a form is one of this server's: browsers name it in `Origin`.
fn is_own(request: &HttpRequest) -> bool {
    let Some(origin) = request.headers().get(ORIGIN) else { return true };
    let host = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    host.is_some_and(|host| host.eq_ignore_ascii_case(request.connection_info().host()))
}

/// Where to log in, and come back to after that.
fn way_to_login(request: &HttpRequest) -> String {
    let is_page = request.method() == actix_web::http::Method::GET;
    match request.uri().path_and_query().map(|here| here.as_str()) {
        Some(here) if is_page && here != "/" => format!("/login?next={}", encode(here)),
        Some(_) | None => "/login".to_owned(),
    }
}

/// A path on this server, wherever someone wants to be led; anything else leads home.
pub(super) fn local(path: Option<&str>) -> &str {
    let is_local = |path: &&str| {
        path.starts_with('/') && !path.starts_with("//") && path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
    };
    path.filter(is_local).unwrap_or("/")
}

/// Leads to another page, by GET.
pub(super) fn redirect(location: &str) -> HttpResponse {
    shell::guarded(HttpResponse::SeeOther()).insert_header((LOCATION, location)).finish()
}

/// Writes a text so that it can stand as a value in a query.
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                encoded.push(char::from(byte));
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_server_are_led_to() {
        assert_eq!(local(Some("/records?area=5371")), "/records?area=5371");
        for foreign in ["//evil.example", "https://evil.example", "/\\evil.example", "", "/a\r\nb", "javascript:1"] {
            assert_eq!(local(Some(foreign)), "/", "{foreign}");
        }
        assert_eq!(local(None), "/");
    }

    #[test]
    fn a_form_of_another_site_is_not_ours() {
        let request = |origin: &str| {
            let request = actix_web::test::TestRequest::post();
            request.insert_header(("host", "desk.example:8080")).insert_header(("origin", origin)).to_http_request()
        };
        assert!(is_own(&request("http://desk.example:8080")));
        for foreign in ["http://desk.example", "https://evil.example", "null", ""] {
            assert!(!is_own(&request(foreign)), "{foreign}");
        }
    }

    #[test]
    fn the_language_is_the_chosen_one_or_the_browsers() {
        let request = |accepted: &str| {
            actix_web::test::TestRequest::get().insert_header(("accept-language", accepted)).to_http_request()
        };
        assert_eq!(language_of(&request("fr, en-GB;q=0.8")), Language::English);
        assert_eq!(language_of(&request("id-ID,en;q=0.5")), Language::Indonesian);
        assert_eq!(language_of(&request("fr")), Language::Indonesian);
        let cookie = actix_web::cookie::Cookie::new(LANGUAGE, "en");
        let chosen = actix_web::test::TestRequest::get().cookie(cookie).insert_header(("accept-language", "id"));
        assert_eq!(language_of(&chosen.to_http_request()), Language::English);
    }

    #[test]
    fn what_stands_in_a_query_is_encoded() {
        assert_eq!(encode("/records?q=Ana & Bo"), "/records%3Fq%3DAna%20%26%20Bo");
    }
}
