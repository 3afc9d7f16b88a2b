//! A server to measure: `/plaintext`, `/json`, `/big` (1 MiB) and `POST /echo`.

use std::process::ExitCode;

use straightline::{Bytes, IntoResponse, Method, Request, Response, StatusCode};
use straightline_examples::{ServerArgs, run, serve};

#[derive(serde::Serialize)]
struct Message {
    message: &'static str,
}

fn answer(request: &mut Request, big: &Bytes) -> Result<Response, StatusCode> {
    Ok(match (request.path(), request.method()) {
        ("/plaintext", &Method::GET | &Method::HEAD) => "Hello, World!".into_response(),
        ("/json", &Method::GET | &Method::HEAD) => {
            let json = serde_json::to_vec(&Message { message: "Hello, World!" })
                .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
            json.into_response().content_type("application/json")
        }
        ("/big", &Method::GET | &Method::HEAD) => big.clone().into_response(),
        ("/echo", &Method::POST) => request.body().read_to_vec(2 << 20).into_response(),
        ("/echo", _) => Response::method_not_allowed(&[Method::POST]),
        ("/plaintext" | "/json" | "/big", _) => {
            Response::method_not_allowed(&[Method::GET, Method::HEAD])
        }
        _ => return Err(StatusCode::NOT_FOUND),
    })
}

fn main() -> ExitCode {
    run("Serves fixed responses, to be measured.", |args: ServerArgs| {
        let big = Bytes::from(vec![b'x'; 1 << 20]);
        serve(args.server().build(move |request: &mut Request| answer(request, &big))?)
    })
}
