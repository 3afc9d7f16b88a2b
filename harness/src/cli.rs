//! The command line of both programs: clap prints the help, and a mistake is reported in one line.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use clap::error::ErrorKind;

/// Reads the command line and runs the program. The program returns false after a failure that it
/// has reported itself.
///
/// The exit status is 0 after success, 2 if the command line is wrong (`InvalidInput` included),
/// and 1 after any other failure.
pub fn run<P: Parser>(program: impl FnOnce(P) -> io::Result<bool>) -> ExitCode {
    let command = P::command();
    let name = command.get_name();
    let arguments = match P::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return explain(name, &error),
    };
    match program(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{name}: {error}");
            match error.kind() {
                io::ErrorKind::InvalidInput => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// Parses the value of a flag in seconds.
///
/// # Errors
///
/// The error says which values are allowed.
pub fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=600.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("not a number from 0.1 to 600".to_owned()),
    }
}

/// Prints help as clap formats it, and a mistake in one line.
fn explain(name: &str, error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        print!("{error}");
        return ExitCode::SUCCESS;
    }
    let text = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "no command: see --help".to_owned(),
        _ => error.to_string(),
    };
    // clap's first paragraph says what is wrong; hints and usage follow it.
    let lines: Vec<&str> =
        text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let line = lines.join(" ");
    eprintln!("{name}: {}", line.strip_prefix("error: ").unwrap_or(&line));
    ExitCode::from(2)
}
