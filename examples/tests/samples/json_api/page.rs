//! The page of the sample `json_api`, in a browser without a window.
//!
//! After `cargo build -p straightline-examples --features sqlite --examples`:
//! `cargo test -p straightline-examples --features sqlite --test samples -- --ignored chromium`

use serde_json::json;
use straightline::testing::Client;

use super::Folder;
use crate::browser::Browser;

/// What a person does on the page, in words of a script.
const CLICKS: &str = r"(async () => {
    const until = async (condition) => {
        for (let tries = 0; !condition(); tries++) {
            if (tries > 1500) throw new Error(`${condition}: ${document.body.outerHTML}`);
            await new Promise((resolve) => setTimeout(resolve, 20));
        }
    };
    const items = () => [...document.querySelectorAll('#todos li')];
    const texts = () => items().map((item) => item.querySelector('label').textContent.trim());
    const add = async (title) => {
        document.querySelector('#title').value = title;
        const count = items().length;
        document.querySelector('#new button').click();
        await until(() => items().length > count && document.querySelector('#title').value === '');
    };
    await until(() => document.body?.dataset.loaded);
    const first = texts();
    await add('bread');
    await add('<b>bold</b>');
    items()[1].querySelector('input').click();
    await until(() => items()[1].className === 'done');
    items()[0].querySelector('button').click();
    await until(() => items().length === 2);
    document.querySelector('#title').value = '   ';
    document.querySelector('#new button').click();
    await until(() => document.querySelector('#problem').textContent);
    const problem = document.querySelector('#problem').textContent;
    const injected = document.createElement('script');
    injected.textContent = 'window.wasInjected = true';
    document.body.append(injected);
    return { first, last: texts(), problem, bold: document.querySelectorAll('b').length,
        injected: window.wasInjected === true };
})()";

#[test]
#[ignore = "needs Chromium"]
fn the_page_is_clicked_through_in_chromium() {
    let folder = Folder::new();
    let server = folder.serve();
    let client = Client::connect(server.address());
    client.post("/todos").json(&json!({"title": "milk"})).send().assert_status(201);
    let mut browser = Browser::start(&folder.path().join("profile"));
    let url = format!("http://{}/", server.address());
    let seen = browser.run(&url, CLICKS);
    assert_eq!(seen["first"], json!(["milk"]));
    assert_eq!(seen["last"], json!(["bread", "<b>bold</b>"]));
    assert_eq!(seen["bold"], 0, "a title is no markup");
    assert_eq!(seen["injected"], false, "the policy forbids scripts in the page");
    let problem = seen["problem"].as_str().expect("text");
    assert!(problem.contains("a title is not blank"), "{problem}");
    client.get("/todos").send().assert_json(&json!([
        {"id": 2, "title": "bread", "done": true},
        {"id": 3, "title": "<b>bold</b>", "done": false},
    ]));
    let again = browser.run(
        &url,
        "(async () => {
        while (!document.body?.dataset.loaded) await new Promise((done) => setTimeout(done, 20));
        return [...document.querySelectorAll('#todos li')].map((item) => item.className);
    })()",
    );
    assert_eq!(again, json!(["done", ""]));
}
