//! Notes are added and read.

use crate::process::{Process, ask, get, status};

const JSON: &str = "Content-Type: application/json\r\n";

#[test]
fn notes_are_added_and_read() {
    for name in ["rest", "axum_rest"] {
        let program = Process::program(name, &[]);
        let address = &program.address;
        assert_eq!(get(address, "/notes").1, "[]", "{name}");
        let (head, body) = ask(address, "POST /notes", JSON, "{\"text\":\"buy milk\"}");
        assert_eq!((status(&head), &*body), ("201", "{\"text\":\"buy milk\"}"), "{name}");
        assert!(head.contains("\r\nlocation: /notes/0"), "{name}: {head}");
        assert!(head.contains("\r\ncontent-type: application/json"), "{name}: {head}");
        assert_eq!(get(address, "/notes/0").1, "{\"text\":\"buy milk\"}", "{name}");
        assert_eq!(get(address, "/notes").1, "[{\"text\":\"buy milk\"}]", "{name}");
        let refused =
            [("GET /notes/1", "", "404"), ("PUT /notes", "", "405"), ("GET /", "", "404")];
        for (request, body, expected) in refused {
            assert_eq!(status(&ask(address, request, JSON, body).0), expected, "{name}: {request}");
        }
        let (head, _) = ask(address, "POST /notes", JSON, "{\"txt\":\"\"}");
        assert_eq!(status(&head), "422", "{name}");
        program.stop();
    }
}
