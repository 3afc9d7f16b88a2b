//! A browser without a window, for the samples that have a page.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// Chromium, with which the test talks over pipes (the `DevTools` protocol).
pub(crate) struct Browser {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    last_id: u64,
}

impl Browser {
    /// Starts it, with a folder for its own files.
    pub(crate) fn start(profile: &Path) -> Self {
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
    pub(crate) fn run(&mut self, url: &str, script: &str) -> Value {
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
