//! Takes files from forms, and tells what they are: `curl -F file=@NAME localhost:8080/upload`.
//!
//! Each part is hashed while it arrives, so a file of any size takes the memory of a buffer.

use std::io;
use std::process::ExitCode;

use clap::Parser;
use serde::Serialize;
use sha2::{Digest, Sha256};
use straightline::web::{Html, Json, MultipartLimits, RequestExt, Router, post};
use straightline::{HandlerError, Limits, Request};
use straightline_examples::{ServerArgs, logger, run, serve};

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    server: ServerArgs,
    /// Bytes of a request's body; more is 413
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30)]
    body_bytes: u64,
    /// Parts of a form; more is 413
    #[arg(long, value_name = "N", default_value_t = MultipartLimits::default().parts)]
    parts: usize,
}

/// What arrived in a part of the form.
#[derive(Serialize)]
struct Received {
    name: String,
    filename: Option<String>,
    content_type: Option<String>,
    bytes: u64,
    sha256: String,
}

fn upload(
    request: &mut Request,
    limits: &MultipartLimits,
) -> Result<Json<Vec<Received>>, HandlerError> {
    let mut form = request.multipart_within(limits.clone())?;
    let mut received = Vec::new();
    while let Some(mut part) = form.next_part()? {
        let mut hash = Sha256::new();
        let bytes = part.copy_to(&mut hash)?;
        received.push(Received {
            name: part.name().to_owned(),
            filename: part.filename().map(str::to_owned),
            content_type: part.content_type().map(str::to_owned),
            bytes,
            sha256: hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
        });
    }
    Ok(Json(received))
}

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Upload</title>
<form action="/upload" method="post" enctype="multipart/form-data">
  <label>Note <input name="note"></label>
  <label>Files <input name="file" type="file" multiple></label>
  <button>Upload</button>
</form>
</html>
"#;

fn main() -> ExitCode {
    run("Takes files from forms, and tells what they are.", |args: Args| {
        let limits = MultipartLimits::default().with_parts(args.parts);
        let limits = limits.with_body_bytes(args.body_bytes);
        let router = Router::with_state(limits)
            .get("/", |_: &mut Request| Html(PAGE))
            .route("/upload", post(upload));
        let server = args.server.server().logger(logger(slog::Level::Info));
        let server = server.limits(Limits::default().with_body_bytes(args.body_bytes));
        serve(server.build(router)?)?;
        io::Result::Ok(())
    })
}
