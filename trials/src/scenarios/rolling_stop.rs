//! One server after the other is stopped and started again, while the HTTP clients of Node and Go
//! send requests to both over persistent connections. For a while (the ready delay) a stopping
//! server announces the stop in its responses; then it closes its port. No request may be lost.
//!
//! A client whose language is not installed is left out, and the table says so.

use std::env;
use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{self, ChildStdin, Command, Stdio};
use std::time::Duration;

use straightline::sched;
use straightline_harness::KillOnDrop;

use crate::client::MARGIN;
use crate::trial::Trial;

pub(crate) fn run(trial: &mut Trial) -> io::Result<()> {
    let mut tried = 0;
    for language in [Language::Node, Language::Go] {
        trial.doing(format!("a client in {}", language.name()));
        match sched::offload(move || language.prepare()).map_err(io::Error::other)? {
            Ok(program) => roll(trial, &program)?,
            Err(error) => {
                trial.figure(format!("left out: {error}"));
                continue;
            }
        }
        tried += 1;
    }
    trial.doing("all clients");
    trial.expect("at least one of them can be tried", format!("{tried} tried"), tried > 0);
    Ok(())
}

fn roll(trial: &mut Trial, program: &Program) -> io::Result<()> {
    let clients = trial.options.pick(8, 32);
    let delay = trial.options.pick(Duration::from_millis(700), Duration::from_secs(2));
    let rounds = trial.options.pick(1, 3);
    let flags = format!("--drain-timeout 5s --ready-delay {}ms", delay.as_millis());
    let mut servers = [trial.start(&flags, clients)?, trial.start(&flags, clients)?];
    let addresses = servers.each_ref().map(|server| server.address().to_string());
    let client = program.start(&addresses, clients)?;
    // Wait until the client has opened its connections and used each of them.
    sched::sleep(delay);
    for _ in 0..rounds {
        for server in &mut servers {
            let address = server.address();
            server.terminate()?;
            let status = server.wait(delay + MARGIN)?;
            let seen = status.map_or("still there".to_owned(), |status| status.to_string());
            let held = status.is_some_and(|status| status.success());
            trial.expect(format!("exit status 0 within {delay:?} (+ {MARGIN:?})"), seen, held);
            *server = trial.start_at(address, &flags)?;
            sched::sleep(delay);
        }
    }
    let output = sched::offload(move || client.end()).map_err(io::Error::other)??;
    let numbers: Vec<u64> = output.split_whitespace().map_while(|text| text.parse().ok()).collect();
    let [answered, refused, lost] = numbers[..] else {
        return Err(io::Error::other(format!("the client printed {output:?}")));
    };
    let why = output.splitn(4, ' ').nth(3).unwrap_or_default().trim();
    let stops = 2 * rounds;
    let seen = format!(
        "{stops} stops: {answered} × 200, {refused} connects refused, {lost} lost \
         {why}"
    );
    trial.expect("no request is lost", seen, lost == 0 && answered > 0);
    Ok(())
}

#[derive(Clone, Copy)]
enum Language {
    Node,
    Go,
}

/// A client that can be started.
struct Program {
    command: Vec<PathBuf>,
    folder: Folder,
}

/// A folder that is removed when this is dropped.
struct Folder(PathBuf);

/// A client that sends requests until its standard input ends.
struct Running {
    child: KillOnDrop,
    input: Option<ChildStdin>,
}

impl Language {
    fn name(self) -> &'static str {
        match self {
            Self::Node => "JavaScript (node)",
            Self::Go => "Go",
        }
    }

    /// Writes the client to a folder, and compiles it if necessary. This takes time.
    fn prepare(self) -> io::Result<Program> {
        let folder = env::temp_dir().join(format!("straightline-rolling-{}", process::id()));
        fs::create_dir_all(&folder)?;
        let folder = Folder(folder);
        let tool = |name: &str, argument: &str| {
            let status = Command::new(name).arg(argument).stdout(Stdio::null()).status();
            status.map(drop).map_err(|_| io::Error::other(format!("{name} is not installed")))
        };
        let command = match self {
            Self::Node => {
                tool("node", "--version")?;
                let script = folder.0.join("rolling.js");
                fs::write(&script, include_str!("clients/rolling.js"))?;
                vec!["node".into(), script]
            }
            Self::Go => {
                tool("go", "version")?;
                let (source, binary) = (folder.0.join("rolling.go"), folder.0.join("rolling"));
                fs::write(&source, include_str!("clients/rolling.go"))?;
                let mut build = Command::new("go");
                build.arg("build").arg("-o").arg(&binary).arg(&source);
                if !build.env("GOCACHE", folder.0.join("cache")).status()?.success() {
                    return Err(io::Error::other("the client does not compile"));
                }
                vec![binary]
            }
        };
        Ok(Program { command, folder })
    }
}

impl Program {
    fn start(&self, servers: &[String; 2], clients: usize) -> io::Result<Running> {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).args(servers).arg(clients.to_string());
        command.current_dir(&self.folder.0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = KillOnDrop(command.spawn()?);
        let input = child.0.stdin.take();
        Ok(Running { child, input })
    }
}

impl Running {
    /// Ends the client; returns the line that it prints.
    fn end(mut self) -> io::Result<String> {
        drop(self.input.take());
        let mut text = String::new();
        if let Some(mut output) = self.child.0.stdout.take() {
            output.read_to_string(&mut text)?;
        }
        Ok(text)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that cannot be removed does no harm: it is among the temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}
