//! Cookies, with a client that keeps them.

use straightline::testing::Client;
use straightline::web::{CookieKeys, Redirect, RequestExt, SetCookie};
use straightline::{IntoResponse, Request, Response, StatusCode};

fn site(keys: CookieKeys) -> impl Fn(&mut Request) -> Response + Send + Sync {
    move |request| {
        let user = request.cookies().private("session", &keys);
        match (request.path(), user) {
            ("/login", _) => {
                let name = request.query().unwrap_or_default();
                let session = SetCookie::new("session", name).private(&keys);
                let theme = SetCookie::new("theme", "a; dark, one").signed(&keys);
                ([session, theme], Redirect::see_other("/")).into_response()
            }
            ("/logout", Some(_)) => (SetCookie::removal("session"), "good bye\n").into_response(),
            ("/", Some(user)) => {
                let theme = request.cookies().signed("theme", &keys).unwrap_or_default();
                format!("hello, {user}, in {theme}\n").into_response()
            }
            _ => StatusCode::UNAUTHORIZED.into_response(),
        }
    }
}

#[test]
fn a_session_begins_and_ends() {
    let client = Client::new(site(CookieKeys::generate())).with_cookies();
    client.get("/").send().assert_status(401);
    client.get("/login?ada").send().assert_status(303).assert_header("location", "/");
    client.get("/").send().assert_text("hello, ada, in a; dark, one\n");
    assert!(client.cookie("session").is_some_and(|session| !session.contains("ada")));
    client.get("/logout").send().assert_status(200);
    client.get("/").send().assert_status(401);
}

#[test]
fn a_cookie_of_other_keys_or_of_another_name_does_not_count() {
    let keys = CookieKeys::generate();
    let other = Client::new(site(CookieKeys::generate())).with_cookies();
    other.get("/login?ada").send().assert_status(303);
    let client = Client::new(site(keys));
    let session = other.cookie("session").expect("a session");
    client.get("/").header("cookie", format!("session={session}")).send().assert_status(401);
    let theme = other.cookie("theme").expect("a theme");
    other.get("/").header("cookie", format!("session={theme}")).send().assert_status(401);
}
