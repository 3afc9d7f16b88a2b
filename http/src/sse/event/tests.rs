//! What is encoded is read back by a client that follows the rules of WHATWG HTML, section
//! "Interpreting an event stream".

use std::time::Duration;

use quickcheck::{Arbitrary, Gen, quickcheck};

use super::*;

/// What a client dispatches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Dispatched {
    name: String,
    data: String,
    last_id: String,
}

/// A client that follows the rules.
#[derive(Default)]
struct Client {
    data: String,
    name: String,
    /// The id of the event that is being read, and that of the last one.
    id: String,
    last_id: String,
    retry: Option<u64>,
    dispatched: Vec<Dispatched>,
}

impl Client {
    fn read(text: &str) -> Self {
        let mut client = Self::default();
        // CR LF, LF and CR end a line; an event that no empty line ends is dropped.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.split('\n').for_each(|line| client.line(line));
        client
    }

    fn line(&mut self, line: &str) {
        if line.is_empty() {
            return self.dispatch();
        }
        match line.split_once(':') {
            Some(("", _)) => {}
            Some((field, value)) => self.field(field, value.strip_prefix(' ').unwrap_or(value)),
            None => self.field(line, ""),
        }
    }

    fn field(&mut self, field: &str, value: &str) {
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry = value.parse().ok().or(self.retry);
            }
            _ => {}
        }
    }

    fn dispatch(&mut self) {
        self.last_id.clone_from(&self.id);
        let (data, name) = (std::mem::take(&mut self.data), std::mem::take(&mut self.name));
        if let Some(data) = data.strip_suffix('\n') {
            let name = if name.is_empty() { "message".to_owned() } else { name };
            let (data, last_id) = (data.to_owned(), self.last_id.clone());
            self.dispatched.push(Dispatched { name, data, last_id });
        }
    }
}

fn read(event: &Event) -> Client {
    let frame = event.encode();
    Client::read(std::str::from_utf8(frame.as_bytes()).expect("text"))
}

/// Text of the characters that have a meaning in an event stream, and others.
#[derive(Clone, Debug)]
struct Text(String);

impl Arbitrary for Text {
    fn arbitrary(random: &mut Gen) -> Self {
        let parts = [
            "\r", "\n", "\r\n", "\0", ":", " ", "data: ", "id: ", "retry: 1", "event:", "a",
            "\u{feff}", "é",
        ];
        let count = usize::arbitrary(random) % 12;
        Self((0..count).map(|_| *random.choose(&parts).expect("parts")).collect())
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        Box::new(self.0.shrink().map(Self))
    }
}

fn normal(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

quickcheck! {
    fn a_client_gets_the_event_that_was_sent(
        data: Text, name: Option<Text>, id: Option<Text>, retry: Option<u32>
    ) -> bool {
        let mut event = Event::new(data.0.clone());
        let mut expected = Dispatched { name: "message".to_owned(), ..Dispatched::default() };
        expected.data = normal(&data.0);
        let is_valid = |text: &str| !text.contains(['\r', '\n', '\0']);
        if let Some(Text(name)) = name {
            match event.clone().with_name(name.clone()) {
                Ok(named) if is_valid(&name) => event = named,
                Err(_) if !is_valid(&name) => {}
                _ => return false,
            }
            if is_valid(&name) && !name.is_empty() {
                expected.name = name;
            }
        }
        if let Some(Text(id)) = id {
            match event.clone().with_id(id.clone()) {
                Ok(with_id) if is_valid(&id) => (event, expected.last_id) = (with_id, id),
                Err(_) if !is_valid(&id) => {}
                _ => return false,
            }
        }
        if let Some(retry) = retry {
            event = event.with_retry(Duration::from_millis(retry.into()));
        }
        let client = read(&event);
        client.dispatched == [expected] && client.retry == retry.map(u64::from)
    }

    fn a_comment_is_never_an_event(comment: Text) -> bool {
        let client = read(&Event::comment(comment.0));
        client.dispatched.is_empty() && client.retry.is_none() && client.id.is_empty()
    }

    fn events_behind_each_other_stay_apart(texts: Vec<Text>) -> bool {
        let mut wire = Vec::new();
        texts.iter().for_each(|text| {
            wire.extend_from_slice(Event::new(text.0.clone()).encode().as_bytes());
        });
        let client = Client::read(std::str::from_utf8(&wire).expect("text"));
        let got = client.dispatched.into_iter().map(|event| event.data);
        got.eq(texts.iter().map(|text| normal(&text.0)))
    }
}

#[test]
fn lines_end_in_three_ways() {
    for (text, expected) in [
        ("", &[""][..]),
        ("a", &["a"]),
        ("a\n", &["a", ""]),
        ("\r\n\r\n", &["", "", ""]),
        ("a\rb\nc\r\nd\n\re", &["a", "b", "c", "d", "", "e"]),
    ] {
        assert_eq!(lines(text).collect::<Vec<_>>(), expected, "{text:?}");
    }
}

#[test]
fn what_would_inject_a_field_is_refused() {
    for (text, found) in [("a\r", '\r'), ("\nb", '\n'), ("a\0b", '\0')] {
        let error = Event::new("x").with_id(text).unwrap_err();
        assert_eq!(error, InvalidField { field: "id", found });
        assert!(Event::new("x").with_name(text).is_err());
    }
    assert!(Event::new("x").with_id("").is_ok(), "an empty id resets the last one");
}
