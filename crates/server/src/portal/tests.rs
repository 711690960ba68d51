//! A browser without script, and what it does on the page for codes; the other pages and attacks have their own files.

mod attacks;
mod faults;
mod pages;

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use axum::http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, ETAG, LOCATION, RETRY_AFTER, SET_COOKIE,
};

use crate::test_platform::{
    Answer, PASSWORD, Person, SCOPES, START, World, third_party, urlencoded,
};

/// A browser without script: keeps its cookie, and sends the hidden fields of the page that it shows.
struct Browser<'a> {
    world: &'a World,
    peer: &'static str,
    cookie: Option<String>,
    page: String,
    /// The last one that a page had.
    proof: String,
}

impl<'a> Browser<'a> {
    fn new(world: &'a World) -> Self {
        Self {
            world,
            peer: "192.0.2.1:50000",
            cookie: None,
            page: String::new(),
            proof: String::new(),
        }
    }

    async fn open(&mut self, path: &str) -> Answer {
        self.send(Request::get(path), String::new()).await
    }

    async fn press(&mut self, action: &str, fields: &[(&str, &str)]) -> Answer {
        let proof = hidden(&self.page, "form_proof").unwrap_or_default();
        self.press_with(&proof, action, fields).await
    }

    async fn press_with(&mut self, proof: &str, action: &str, fields: &[(&str, &str)]) -> Answer {
        let form: Vec<_> = [("form_proof", proof), ("action", action)]
            .into_iter()
            .chain(fields.iter().copied())
            .collect();
        self.send(Request::post("/oneid/link"), urlencoded(&form)).await
    }

    async fn log_in(&mut self, person: Person, user_code: &str) -> Answer {
        let fields = [("email", person.email()), ("password", PASSWORD), ("user_code", user_code)];
        self.press("log-in", &fields).await
    }

    /// Logs in on the page for that.
    async fn logged_in(world: &'a World, person: Person) -> Self {
        let mut browser = Browser::new(world);
        browser.open("/login").await;
        let fields = [("email", person.email()), ("password", PASSWORD)];
        let answer = browser.post("/login", &fields).await;
        assert_eq!(answer.status.as_u16(), 303, "{}", answer.body);
        browser.open("/account").await;
        browser
    }

    /// Sends a form with the proof of the page that was shown last.
    async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let proof = self.proof.clone();
        self.post_with(&proof, path, fields).await
    }

    async fn post_with(&mut self, proof: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let form: Vec<_> =
            std::iter::once(("form_proof", proof)).chain(fields.iter().copied()).collect();
        self.send(Request::post(path), urlencoded(&form)).await
    }

    async fn send(&mut self, request: axum::http::request::Builder, body: String) -> Answer {
        let mut request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, cookie);
        }
        let peer: SocketAddr = self.peer.parse().unwrap();
        let request = request.extension(ConnectInfo(peer)).body(Body::from(body)).unwrap();
        let answer = self.world.send(request).await;
        let cookies = answer.headers.get_all(SET_COOKIE).iter().map(|line| line.to_str().unwrap());
        for cookie in cookies.filter(|cookie| cookie.starts_with("__Host-cardata=")) {
            for needed in
                ["; HttpOnly", "; Secure", "; SameSite=Lax", "; Path=/", "; Max-Age=43200"]
            {
                assert!(cookie.contains(needed), "{cookie}");
            }
            self.cookie = cookie.split(';').next().map(str::to_owned);
        }
        let policy = answer.headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
        assert_eq!(answer.headers["referrer-policy"], "no-referrer");
        let caching =
            if answer.headers.contains_key(ETAG) { "private, no-cache" } else { "no-store" };
        assert_eq!(answer.headers["cache-control"], caching);
        self.page.clone_from(&answer.body);
        if let Some(proof) = hidden(&answer.body, "form_proof") {
            self.proof = proof;
        }
        answer
    }
}

fn hidden(page: &str, name: &str) -> Option<String> {
    let (_, rest) = page.split_once(&format!(r#"name="{name}" value=""#))?;
    Some(rest.split_once('"')?.0.to_owned())
}

fn asks_for(answer: &Answer, field: &str) -> bool {
    answer.body.contains(&format!(r#"<input id="{field}""#))
}

async fn poll_error(world: &World, person: Person, device_code: &str) -> String {
    world.poll(person.client_id(), device_code).await.oauth_error().1
}

#[tokio::test]
async fn a_customer_logs_in_confirms_the_code_sees_who_asks_and_approves() {
    let world = World::new().await;
    let client = Person::Anna.client_id();
    let (device_code, user_code) = world.start_login(client, SCOPES).await;
    let mut browser = Browser::new(&world);

    let link = format!("/oneid/link?user_code={user_code}");
    let login = browser.open(&link).await;
    assert_eq!(login.status.as_u16(), 200);
    assert!(asks_for(&login, "email") && asks_for(&login, "password"));
    let before = browser.cookie.clone();
    let back = browser.log_in(Person::Anna, &user_code).await;
    assert_eq!(
        (back.status.as_u16(), back.headers[LOCATION].to_str().unwrap()),
        (303, link.as_str())
    );
    assert_ne!(browser.cookie, before, "a log-in must change the cookie");

    let code = browser.open(&link).await;
    assert!(asks_for(&code, "user_code") && code.body.contains(&user_code));
    let question = browser.press("continue", &[("user_code", &user_code)]).await;
    assert_eq!(question.status.as_u16(), 200);
    assert!(question.body.contains("&#60;anna@example.com&#39;s bridge&#62;"), "{}", question.body);
    for scope in SCOPES.split(' ') {
        assert!(question.body.contains(scope), "{scope}");
    }
    assert_eq!(poll_error(&world, Person::Anna, &device_code).await, "authorization_pending");
    world.pass(5);
    let done = browser.press("approve", &[("user_code", &user_code)]).await;
    assert!(done.body.contains("You can go back to your device"), "{}", done.body);
    let tokens = world.poll(client, &device_code).await.tokens();
    assert_eq!(tokens.gcid, Person::Anna.gcid().to_string());
}

#[tokio::test]
async fn a_code_may_be_typed_and_refused() {
    let world = World::new().await;
    let (device_code, user_code) = world.start_login(third_party(), SCOPES).await;
    let mut browser = Browser::new(&world);
    browser.open("/oneid/link").await;
    browser.log_in(Person::Ben, "").await;
    browser.open("/oneid/link").await;
    let typed = format!(" {}-{} ", &user_code[..4], &user_code[4..]);
    let question = browser.press("continue", &[("user_code", &typed)]).await;
    assert!(question.body.contains("Fleet Insight"));
    let done = browser.press("deny", &[("user_code", &user_code)]).await;
    assert!(done.body.contains("got no access"), "{}", done.body);
    let answer = world.poll(third_party(), &device_code).await;
    assert_eq!(answer.oauth_error(), (403, "access_denied".to_owned()));
}

#[tokio::test]
async fn a_wrong_log_in_is_refused_in_the_same_words_whatever_was_wrong() {
    let world = World::new().await;
    let mut browser = Browser::new(&world);
    browser.open("/oneid/link").await;
    for (email, password) in
        [(Person::Anna.email(), "wrong"), ("nobody@example.com", PASSWORD), ("", "")]
    {
        let fields = [("email", email), ("password", password), ("user_code", "qYjQrQip")];
        let answer = browser.press("log-in", &fields).await;
        assert_eq!(answer.status.as_u16(), 403);
        assert!(answer.body.contains("The e-mail address or the password is wrong."));
        assert!(asks_for(&answer, "password"));
        assert_eq!(hidden(&answer.body, "user_code").unwrap(), "qYjQrQip");
    }
}

#[tokio::test]
async fn codes_that_cannot_be_approved_say_why() {
    let world = World::new().await;
    let mut browser = Browser::new(&world);
    browser.open("/oneid/link").await;
    browser.log_in(Person::Anna, "").await;
    browser.open("/oneid/link").await;
    let client = Person::Anna.client_id();
    let (_, used) = world.start_login(client, SCOPES).await;
    world.approve(&used, Person::Anna).await;
    for action in ["continue", "approve", "deny"] {
        let (_, late) = world.start_login(client, SCOPES).await;
        world.pass(300);
        for (code, status, words) in [
            ("qYjQrQip", 404, "There is no such code."),
            ("", 404, "There is no such code."),
            (late.as_str(), 410, "This code has expired."),
        ] {
            let answer = browser.press(action, &[("user_code", code)]).await;
            assert_eq!(answer.status.as_u16(), status, "{action} {code}");
            assert!(answer.body.contains(words) && asks_for(&answer, "user_code"), "{words}");
        }
        world.clock.set(START);
        let answer = browser.press(action, &[("user_code", &used)]).await;
        assert_eq!(answer.status.as_u16(), 409, "{action}");
        assert!(answer.body.contains("This code was used already."));
    }
    let answer = browser.press("dance", &[]).await;
    assert_eq!(answer.status.as_u16(), 400);
}

#[tokio::test]
async fn only_its_owner_decides_on_a_personal_client() {
    let world = World::new().await;
    let (device_code, user_code) = world.start_login(Person::Anna.client_id(), SCOPES).await;
    let mut browser = Browser::new(&world);
    browser.open("/oneid/link").await;
    browser.log_in(Person::Ben, "").await;
    browser.open("/oneid/link").await;
    for action in ["continue", "approve", "deny"] {
        let answer = browser.press(action, &[("user_code", &user_code)]).await;
        assert_eq!(answer.status.as_u16(), 403, "{action}");
        assert!(answer.body.contains("This client belongs to another customer"));
        assert!(!answer.body.contains(Person::Anna.email()));
    }
    assert_eq!(poll_error(&world, Person::Anna, &device_code).await, "authorization_pending");

    let anew = browser.press("log-out", &[("user_code", &user_code)]).await;
    let target = anew.headers[LOCATION].to_str().unwrap().to_owned();
    assert!(asks_for(&browser.open(&target).await, "password"));
    browser.log_in(Person::Anna, &user_code).await;
    browser.open(&target).await;
    let done = browser.press("approve", &[("user_code", &user_code)]).await;
    assert_eq!(done.status.as_u16(), 200);
}

#[tokio::test]
async fn a_form_that_did_not_come_from_our_page_does_nothing() {
    let world = World::new().await;
    let (device_code, user_code) = world.start_login(Person::Anna.client_id(), SCOPES).await;
    let mut browser = Browser::new(&world);
    let fields = [("email", Person::Anna.email()), ("password", PASSWORD)];
    // Without a cookie, and without the proof.
    for proof in ["", "0000"] {
        let answer = browser.press_with(proof, "log-in", &fields).await;
        assert_eq!(answer.status.as_u16(), 403);
        assert!(answer.body.contains("too old") && asks_for(&answer, "password"));
    }
    browser.open("/oneid/link").await;
    browser.log_in(Person::Anna, "").await;
    browser.open("/oneid/link").await;
    let mut stranger = Browser::new(&world);
    stranger.open("/oneid/link").await;
    let foreign = hidden(&stranger.page, "form_proof").unwrap();
    for proof in ["", foreign.as_str()] {
        for action in ["approve", "deny"] {
            let answer = browser.press_with(proof, action, &[("user_code", &user_code)]).await;
            assert_eq!(answer.status.as_u16(), 403);
        }
    }
    assert_eq!(poll_error(&world, Person::Anna, &device_code).await, "authorization_pending");
}

#[tokio::test]
async fn who_is_not_logged_in_or_no_longer_decides_nothing() {
    let world = World::new().await;
    let (_, user_code) = world.start_login(Person::Anna.client_id(), SCOPES).await;
    let mut browser = Browser::new(&world);
    browser.open("/oneid/link").await;
    let answer = browser.press("approve", &[("user_code", &user_code)]).await;
    assert!(answer.status.as_u16() == 403 && asks_for(&answer, "password"));
    browser.log_in(Person::Anna, "").await;
    browser.open("/oneid/link").await;
    world.pass(1800);
    let answer = browser.press("approve", &[("user_code", &user_code)]).await;
    assert!(answer.status.as_u16() == 403 && asks_for(&answer, "password"));
    assert_eq!(hidden(&answer.body, "user_code").unwrap(), user_code);
}

#[tokio::test]
async fn a_peer_that_guesses_is_stopped_for_a_minute_and_others_are_not() {
    let world = World::new().await;
    let mut browser = Browser::new(&world);
    browser.open("/oneid/link").await;
    browser.log_in(Person::Anna, "").await;
    browser.open("/oneid/link").await;
    for _ in 0..10 {
        let answer = browser.press("continue", &[("user_code", "guess")]).await;
        assert_eq!(answer.status.as_u16(), 404);
    }
    let (_, user_code) = world.start_login(Person::Anna.client_id(), SCOPES).await;
    let answer = browser.press("continue", &[("user_code", &user_code)]).await;
    assert_eq!(answer.status.as_u16(), 429);
    assert_eq!(answer.headers[RETRY_AFTER], "60");
    browser.peer = "192.0.2.2:50000";
    let answer = browser.press("continue", &[("user_code", &user_code)]).await;
    assert_eq!(answer.status.as_u16(), 200);
    browser.peer = "192.0.2.1:50001";
    world.pass(60);
    let answer = browser.press("continue", &[("user_code", &user_code)]).await;
    assert_eq!(answer.status.as_u16(), 200);

    let wrong = [("email", "nobody@example.com"), ("password", "wrong")];
    let mut stranger = Browser::new(&world);
    stranger.open("/oneid/link").await;
    for _ in 0..10 {
        assert_eq!(stranger.press("log-in", &wrong).await.status.as_u16(), 403);
    }
    assert_eq!(stranger.log_in(Person::Anna, "").await.status.as_u16(), 429);
}

#[tokio::test]
async fn what_was_typed_is_text_and_never_markup() {
    let world = World::new().await;
    let mut browser = Browser::new(&world);
    for query in ["%3Cscript%3Ealert(1)%3C/script%3E", "%22%3E%3Cb%3E", "a&user_code=b", "%ff"] {
        let answer = browser.open(&format!("/oneid/link?user_code={query}")).await;
        assert_eq!(answer.status.as_u16(), 200);
        assert!(!answer.body.contains("<script>") && !answer.body.contains("<b>"));
    }
    let style = browser.open("/portal/style.css").await;
    assert_eq!(style.headers[CONTENT_TYPE], "text/css");
}
