//! The coordinator's pages in a real browser: Chromium, driven by its own WebDriver.
#![expect(clippy::panic_in_result_fn, reason = "assertions are what a test is for")]

use anyhow::{Context, Result};
use client_core::{Edit, Interview};
use end_to_end::{
    photos,
    review::{decide, submitted},
    survey::Survey,
};
use serde_json::{Value as Json, json};
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};
use sync_protocol::Value;

/// The enter key, as WebDriver writes it.
const ENTER: &str = "\u{E007}";

/// A browser window, driven over WebDriver (W3C).
struct Browser {
    driver: Child,
    client: reqwest::Client,
    session: String,
}

impl Browser {
    async fn start(profile: &std::path::Path) -> Result<Self> {
        let driver = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).spawn();
        let mut driver = driver.context("chromedriver is missing: apt-get install chromium chromium-driver")?;
        let mut lines = BufReader::new(driver.stdout.take().context("no output")?).lines();
        let port = loop {
            let line = lines.next().context("chromedriver ended")??;
            if let Some(port) = line.strip_prefix("ChromeDriver was started successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        // Whatever else it says is read away, so that it never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1280,900",
        ];
        let mut arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        arguments.push(format!("--user-data-dir={}", profile.display()));
        let mut browser =
            Self { driver, client: reqwest::Client::new(), session: format!("http://127.0.0.1:{port}/session") };
        let wanted = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": { "args": arguments } } } });
        let session = browser.call("", &wanted).await?;
        browser.session =
            format!("{}/{}", browser.session, session.get("sessionId").and_then(Json::as_str).context("no session")?);
        Ok(browser)
    }

    async fn call(&self, what: &str, body: &Json) -> Result<Json> {
        let answer = self.client.post(format!("{}{what}", self.session)).body(body.to_string()).send().await?;
        let answer: Json = serde_json::from_slice(&answer.bytes().await?)?;
        let value = answer.get("value").cloned().unwrap_or_default();
        anyhow::ensure!(value.get("error").is_none(), "{what}: {}", value.get("message").unwrap_or(&Json::Null));
        Ok(value)
    }

    async fn go(&self, url: &str) -> Result<()> {
        self.call("/url", &json!({ "url": url })).await.map(drop)
    }

    async fn find(&self, css: &str) -> Result<String> {
        let found = self.call("/element", &json!({ "using": "css selector", "value": css })).await?;
        let id = found.as_object().and_then(|object| object.values().next()).and_then(Json::as_str);
        Ok(format!("/element/{}", id.with_context(|| format!("no {css}"))?))
    }

    async fn type_into(&self, css: &str, text: &str) -> Result<()> {
        let element = self.find(css).await?;
        self.call(&format!("{element}/value"), &json!({ "text": text })).await.map(drop)
    }

    async fn click(&self, css: &str) -> Result<()> {
        let element = self.find(css).await?;
        self.call(&format!("{element}/click"), &json!({})).await.map(drop)
    }

    async fn script(&self, script: &str) -> Result<Json> {
        self.call("/execute/sync", &json!({ "script": script, "args": [] })).await
    }

    /// Looks until a script's answer is true; the browser's own answers are the clock.
    async fn until(&self, script: &str) -> Result<()> {
        for _ in 0..5000 {
            if self.script(script).await.is_ok_and(|answer| answer == json!(true)) {
                return Ok(());
            }
        }
        anyhow::bail!("never came true: {script}; the page says: {}", self.text().await?)
    }

    async fn log_in(&self, url: &str) -> Result<()> {
        self.go(url).await?;
        self.type_into("input[name=account]", end_to_end::server::COORDINATOR).await?;
        self.type_into("input[name=password]", end_to_end::survey::PASSWORD).await?;
        self.click("main form button").await?;
        self.until("return location.pathname === '/' && document.readyState === 'complete'").await
    }

    async fn text(&self) -> Result<String> {
        Ok(self.script("return document.body.innerText").await?.as_str().unwrap_or_default().to_owned())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

#[tokio::test]
async fn a_coordinator_logs_in_sees_a_conflict_and_keeps_one_value() -> Result<()> {
    let survey = Survey::start(24, 2)?;
    let (mut a, mut b) = (survey.device(0, "a").await?, survey.device(1, "b").await?);
    let area = [("area", Value::text(survey.area(1)?)), ("head", Value::text("Maria <Nalle>"))];
    let home = a.device.register_household(&a.code, &area)?;
    let record = a.device.start_interview(home, "1", &end_to_end::field::questionnaire(), &a.code)?;
    survey.sync(&mut a).await?;
    survey.sync(&mut b).await?;
    a.device.save(record, &a.code, &[Edit::set("floor_m2", Value::Integer(41))?])?;
    b.device.save(record, &b.code, &[Edit::set("floor_m2", Value::Integer(42))?])?;
    let visit = [Edit::AddRow("visit/v1".parse()?), Edit::set("visit/v1/v_date", Value::text("1998-05-04"))?];
    b.device.save(record, &b.code, &visit)?;
    // The same of another interview, which is void.
    let void = a.device.start_interview(home, "2", &end_to_end::field::questionnaire(), &a.code)?;
    survey.sync(&mut a).await?;
    survey.sync(&mut b).await?;
    a.device.save(void, &a.code, &[Edit::set("floor_m2", Value::Integer(51))?])?;
    b.device.save(void, &b.code, &[Edit::set("floor_m2", Value::Integer(52))?])?;
    survey.sync(&mut a).await?;
    survey.sync(&mut b).await?;
    let because = json!({ "reason": "uji coba" });
    assert_eq!(decide(&survey.coordinator().await?, void, "void", because).await?.0, 200);

    let browser = Browser::start(&survey.file("profile")).await?;
    let url = &survey.server.url;
    browser.log_in(url).await?;
    browser.go(&format!("{url}/records?conflicts=true")).await?;
    assert!(browser.text().await?.contains("Maria <Nalle>"), "a name is shown as it is, not as markup");
    browser.go(&format!("{url}/records/{void}")).await?;
    let text = browser.text().await?;
    assert!(text.contains("51") && text.contains("52"), "what is void is shown: {text}");
    let forms = "return document.querySelectorAll('form[action$=\"/resolve\"], form[action$=\"/remark\"]').length";
    assert_eq!(browser.script(forms).await?, json!(0), "nothing is offered that would make it count again");
    browser.go(&format!("{url}/records/{record}")).await?;
    let text = browser.text().await?;
    assert!(text.contains("41") && text.contains("42"), "both values stand side by side: {text}");
    let broken = browser.script("return document.querySelector('#broken .reads').innerText").await?;
    let broken = broken.as_str().context("no broken rule")?;
    assert!(broken.contains("1998") && broken.contains(&b.code), "the rule's answer and who gave it: {broken}");
    // No part of the page is wider than a phone's screen.
    browser.call("/window/rect", &json!({ "width": 400, "height": 800 })).await?;
    let overflow = browser.script("return document.documentElement.scrollWidth - window.innerWidth").await?;
    assert!(overflow.as_i64().unwrap() <= 0, "the page is {overflow} pixels too wide");
    // By keyboard alone.
    browser.type_into("form[action$='/resolve'] button", ENTER).await?;
    browser.until("return document.querySelector(\"form[action$='/resolve']\") === null && document.readyState === 'complete'").await?;
    assert!(survey.coordinator().await?.all("records?conflicts=true").await?.is_empty());
    survey.sync(&mut a).await?;
    let merged = a.device.record(record)?;
    assert_eq!(merged.answer(&"floor_m2".parse()?).unwrap().siblings[0].origin.author, end_to_end::server::COORDINATOR);
    Ok(())
}

#[tokio::test]
async fn a_coordinator_returns_an_interview_sees_the_correction_and_approves_it() -> Result<()> {
    let survey = Survey::start(24, 1)?;
    let mut a = survey.device(0, "a").await?;
    let mut records = Vec::new();
    for number in 0..2 {
        records.push(submitted(&survey, &mut a, number).await?.1);
    }
    // One that is finished and not complete.
    let area = [("area", Value::text(survey.area(0)?)), ("head", Value::text("Maria Nalle"))];
    let home = a.device.register_household(&a.code, &area)?;
    let broken = a.device.start_interview(home, "1", &end_to_end::field::questionnaire(), &a.code)?;
    a.device.save(broken, &a.code, &[Edit::Finish])?;
    survey.sync(&mut a).await?;
    let (record, url) = (records[0], &survey.server.url);

    let browser = Browser::start(&survey.file("profile")).await?;
    browser.log_in(url).await?;
    // From the answer's history back to the form, which knows what the remark is about.
    browser.go(&format!("{url}/records/{record}/history?path=floor_m2")).await?;
    browser.click("main a[href*='about=floor_m2']").await?;
    browser.until("return document.readyState === 'complete' && document.querySelector('#return').open").await?;
    assert_eq!(browser.script("return document.querySelector('#return select').value").await?, json!("floor_m2"));
    browser.type_into("#return textarea", "400 m2? Tolong ukur lagi").await?;
    browser.click("#return button").await?;
    browser.until("return document.readyState === 'complete' && location.search === '?done=reviewed'").await?;
    let text = browser.text().await?;
    assert!(text.contains("400 m2? Tolong ukur lagi") && text.contains(&a.code), "{text}");

    survey.sync(&mut a).await?;
    let why = Edit::Note("salah ketik".into());
    a.device.save(record, &a.code, &[Edit::set("floor_m2", Value::Integer(40))?, why])?;
    survey.sync(&mut a).await?;
    browser.go(&format!("{url}/records/{record}")).await?;
    let difference = browser.script("return document.querySelector('#differences tbody').innerText").await?;
    let difference = difference.as_str().context("no difference")?;
    assert!(["400", "40", "salah ketik", &a.code].iter().all(|part| difference.contains(part)), "{difference}");
    // No part of the page is wider than a phone's screen.
    browser.call("/window/rect", &json!({ "width": 400, "height": 800 })).await?;
    let overflow = browser.script("return document.documentElement.scrollWidth - window.innerWidth").await?;
    assert!(overflow.as_i64().unwrap() <= 0, "the page is {overflow} pixels too wide");
    browser.call("/window/rect", &json!({ "width": 1280, "height": 900 })).await?;

    // Both are approved from the list, each as it was seen there; one changes meanwhile and is not.
    survey.coordinator().await?.validated().await?;
    browser.go(&format!("{url}/records?review=waiting")).await?;
    let ticked = "const boxes = document.querySelectorAll('input[name=approve]');
        boxes.forEach(box => box.checked = true); return boxes.length";
    assert_eq!(browser.script(ticked).await?, json!(2), "where rules are broken somebody looks first");
    a.device.save(records[1], &a.code, &[Edit::set("floor_m2", Value::Integer(41))?])?;
    survey.sync(&mut a).await?;
    browser.click("form[action='/records/approve'] button").await?;
    browser.until("return document.readyState === 'complete' && location.search.includes('done=1-1')").await?;
    let approved = survey.coordinator().await?.all("records?review=approved").await?;
    assert_eq!(approved.len(), 1);
    assert_eq!(approved[0]["id"], json!(record));
    Ok(())
}

#[tokio::test]
async fn photos_stand_small_on_the_page_and_what_is_to_come_says_so() -> Result<()> {
    let survey = Survey::start(24, 2)?;
    photos::publish(&survey)?;
    let mut author = survey.device(0, "author").await?;
    let (_, record) = photos::interview(&mut author, &survey.area(0)?)?;
    let mut open = Interview::open(&mut author.device, record, &author.code)?;
    open.attach(&mut author.device, &"house".parse()?, "rumah depan.jpg", photos::jpeg(1, 1200, 600))?;
    survey.sync(&mut author).await?;
    survey.http.send_attachments(&mut author.device, |_| ()).await?;
    open.attach(&mut author.device, &"sign".parse()?, "tanda.jpg", photos::jpeg(2, 60, 60))?;
    survey.sync(&mut author).await?;

    let browser = Browser::start(&survey.file("profile")).await?;
    let url = &survey.server.url;
    browser.log_in(url).await?;
    browser.go(&format!("{url}/records/{record}")).await?;
    browser.until("const small = document.querySelector('img.thumbnail'); return small.complete && small.naturalWidth === 256").await?;
    let text = browser.text().await?;
    assert!(text.contains("rumah depan.jpg") && text.contains("tanda.jpg"), "{text}");
    assert!(text.contains("1 still to come") || text.contains("1 belum tiba"), "{text}");
    assert_eq!(browser.script("return document.querySelectorAll('img.thumbnail').length").await?, json!(1));
    // The original opens in place.
    browser.click("a > img.thumbnail").await?;
    browser.until("return document.contentType === 'image/jpeg' && document.images[0].naturalWidth === 400").await?;

    // Taken again after a return: the coordinator sees the one and the other, and that the other is still to come.
    author.device.save(record, &author.code, &[Edit::Finish])?;
    survey.sync(&mut author).await?;
    let remarks = json!({ "remarks": [{ "path": "house", "text": "kabur, foto lagi" }] });
    assert_eq!(decide(&survey.coordinator().await?, record, "return", remarks).await?.0, 200);
    survey.sync(&mut author).await?;
    let mut open = Interview::open(&mut author.device, record, &author.code)?;
    open.attach(&mut author.device, &"house".parse()?, "rumah depan.jpg", photos::jpeg(3, 1200, 600))?;
    survey.sync(&mut author).await?;
    let small = "return document.querySelectorAll('#review td img.thumbnail').length";
    browser.go(&format!("{url}/records/{record}")).await?;
    assert_eq!(browser.script(small).await?, json!(1));
    assert_eq!(browser.script("return document.querySelectorAll('#review td .tag.warn').length").await?, json!(1));
    survey.http.send_attachments(&mut author.device, |_| ()).await?;
    browser.go(&format!("{url}/records/{record}")).await?;
    assert_eq!(browser.script(small).await?, json!(2));

    // Nobody waits for what a phone has lost.
    open.attach(&mut author.device, &"sign".parse()?, "tanda.jpg", photos::jpeg(4, 60, 60))?;
    let mut folder = author.file.clone().into_os_string();
    folder.push("-attachments");
    std::fs::remove_dir_all(folder)?;
    survey.sync(&mut author).await?;
    survey.http.send_attachments(&mut author.device, |_| ()).await?;
    browser.go(&format!("{url}/records/{record}")).await?;
    let text = browser.text().await?;
    assert!(text.contains("1 lost on the device") || text.contains("1 hilang di perangkat"), "{text}");
    let lost = "return document.querySelectorAll('.tag.bad[title]').length";
    assert_eq!(browser.script(lost).await?, json!(2), "among the answers, and in what was corrected");
    Ok(())
}
