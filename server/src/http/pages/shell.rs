//! What stands around every page: head, menu, footer, the style sheet, and the headers that guard a page.

use super::{desk::encode, words::Language};
use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS,
    },
};
use maud::{DOCTYPE, Markup, html};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// The type of a page.
pub(super) const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = include_str!("style.css");
const ICON: &str = include_str!("icon.svg");
/// Names the style sheet by its content, so that browsers keep it until it changes.
static STYLE_LINK: LazyLock<String> = LazyLock::new(|| {
    let digest = hex::encode(Sha256::digest(STYLE.as_bytes()));
    format!("/style.css?v={}", digest.get(..8).unwrap_or(""))
});

/// What a page may do: its own style sheet, its own forms, nothing else. A referrer leaves for this server alone; without
/// any, browsers would post forms with the origin `null`.
const GUARDS: [(HeaderName, &str); 4] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; img-src 'self' data:; media-src 'self'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "same-origin"),
    (CACHE_CONTROL, "no-store"),
];

/// Adds the headers that guard a page.
pub(super) fn guard(headers: &mut HeaderMap) {
    for (name, value) in GUARDS {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// The same, for a response in the making.
pub(super) fn guarded(mut response: HttpResponseBuilder) -> HttpResponseBuilder {
    response.insert_header((CONTENT_TYPE, HTML));
    for guard in GUARDS {
        response.insert_header(guard);
    }
    response
}

/// The style sheet.
pub(super) async fn style(request: HttpRequest) -> HttpResponse {
    lasting(&request, "text/css; charset=utf-8", STYLE)
}

/// The icon of the browser's tab.
pub(super) async fn icon(request: HttpRequest) -> HttpResponse {
    lasting(&request, "image/svg+xml", ICON)
}

/// What a browser may keep.
fn lasting(request: &HttpRequest, content_type: &str, content: &str) -> HttpResponse {
    let mut response = crate::http::body::Packing::of(request).pack(content.as_bytes().to_vec()).respond(content_type);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=604800"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The entries of the menu.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tab {
    Progress,
    Records,
    Quarantine,
    Exports,
}

/// What a page stands in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) language: Language,
    /// Who is logged in.
    pub(super) account: Option<&'a str>,
    /// The entry of the menu that the page belongs to.
    pub(super) tab: Option<Tab>,
    /// The page's address, to come back to in the other language.
    pub(super) here: &'a str,
    pub(super) title: &'a str,
}

impl Frame<'_> {
    /// The whole document.
    pub(super) fn around(&self, main: &Markup) -> Markup {
        let words = self.language.words();
        html! {
            (DOCTYPE)
            html lang=(self.language.code()) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) " · Tenun" }
                    link rel="stylesheet" href=(*STYLE_LINK);
                    link rel="icon" href="/icon.svg";
                }
                body {
                    a class="skip" href="#main" { (words.skip) }
                    header { (self.header()) }
                    div class="band" aria-hidden="true" {}
                    main id="main" tabindex="-1" { (main) }
                    footer { p { (words.times_are) } }
                }
            }
        }
    }

    fn header(&self) -> Markup {
        let words = self.language.words();
        let (other, name) = self.language.other();
        let tabs = [
            (Tab::Progress, "/", words.progress),
            (Tab::Records, "/records", words.records),
            (Tab::Quarantine, "/quarantine", words.quarantine),
            (Tab::Exports, "/export", words.exports),
        ];
        html! {
            div class="bar" {
                a class="mark" href="/" { "Tenun" }
                @if self.account.is_some() {
                    nav aria-label=(words.menu) {
                        @for (tab, href, label) in tabs {
                            a href=(href) aria-current=[(self.tab == Some(tab)).then_some("page")] { (label) }
                        }
                    }
                }
                div class="who" {
                    a href={ "/language?to=" (other.code()) "&back=" (encode(self.here)) }
                        lang=(other.code()) hreflang=(other.code()) { (name) }
                    @if let Some(account) = self.account {
                        form method="post" action="/logout" {
                            span { (account) }
                            button class="quiet" { (words.log_out) }
                        }
                    }
                }
            }
        }
    }
}
