//! Serves a directory: `cargo run --release --example static_site -- --root DIR`, then
//! `curl localhost:8080/`.
//!
//! Files are served under their names, with conditions and ranges; a folder by its `index.html`;
//! `NAME.gz` and `NAME.br` in place of `NAME` to clients that accept them.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use straightline::web::StaticFiles;
use straightline_examples::{ServerArgs, logger, run, serve};

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    server: ServerArgs,
    /// Directory to serve
    #[arg(long, value_name = "DIR", default_value = ".")]
    root: PathBuf,
}

fn main() -> ExitCode {
    run("Serves the files of a directory.", |args: Args| {
        let server = args.server.server().logger(logger(slog::Level::Info));
        serve(server.build(StaticFiles::new(args.root))?)
    })
}
