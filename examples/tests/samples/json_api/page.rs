//! The page of the sample `json_api`, in a browser without a window.
//!
//! After `cargo build -p straightline-examples --features sqlite --examples`:
//! `cargo test -p straightline-examples --features sqlite --test samples -- --ignored chromium`

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use straightline::testing::Client;

use super::Folder;

/// Chromium, with which the test talks over pipes (the `DevTools` protocol).
struct Browser {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    last_id: u64,
}

impl Browser {
    fn start(profile: &Path) -> Self {
        // Chromium reads from descriptor 3 and writes to 4.
        let script = "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1";
        let mut child = Command::new("sh")
            .args(["-c", script, "sh", "chromium", "--headless", "--no-sandbox", "--disable-gpu"])
            .args(["--disable-quic", "--no-first-run", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-sync", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let requests = child.stdin.take().expect("piped");
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, requests, answers, last_id: 0 }
    }

    /// Calls a method, and returns its result. Messages end with a zero byte.
    fn call(&mut self, session: Option<&str>, method: &str, params: &Value) -> Value {
        self.last_id += 1;
        let mut request = json!({"id": self.last_id, "method": method, "params": params});
        if let Some(session) = session {
            request["sessionId"] = session.into();
        }
        write!(self.requests, "{request}\0").expect("Chromium reads");
        loop {
            let mut message = Vec::new();
            self.answers.read_until(0, &mut message).expect("Chromium writes");
            assert_eq!(message.pop(), Some(0), "Chromium has ended; is it installed?");
            let message: Value = serde_json::from_slice(&message).expect("JSON");
            if message["id"] == self.last_id {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
        }
    }

    /// Runs a script in a new page, and returns what it has returned.
    fn run(&mut self, url: &str, script: &str) -> Value {
        let target = self.call(None, "Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = self.call(None, "Target.attachToTarget", &attach);
        let session = session["sessionId"].as_str().expect("a session");
        // Answers when the page has replaced the blank one, so the script runs in that page.
        let opened = self.call(Some(session), "Page.navigate", &json!({"url": url}));
        assert!(opened["errorText"].is_null(), "{opened}");
        let evaluate = json!({"expression": script, "awaitPromise": true, "returnByValue": true});
        let outcome = self.call(Some(session), "Runtime.evaluate", &evaluate);
        assert!(outcome["exceptionDetails"].is_null(), "{outcome}");
        outcome["result"]["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

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
