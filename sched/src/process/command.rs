//! The description of a program to start.
//!
//! It is our own, and std's command is made of it for each start: that one goes to the thread of
//! the pool, and a fiber that leaves the job does not get it back.

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, ExitStatus, Output};

use super::child::{Child, OUTPUT_BYTES_MAX};
use super::running::{EndPolicy, Running};
use super::stdio::Stdio;
use crate::driver::World;
use crate::offload::offload;

/// As [`std::process::Command`]: a program, its arguments and its surroundings.
///
/// ```
/// use straightline_sched::{self as sched, process::Command};
///
/// sched::run(|| {
///     let output = Command::new("sh")
///         .args(["-c", "pwd; echo $NAME"])
///         .current_dir("/")
///         .env("NAME", "straight")
///         .output()?;
///     assert_eq!(output.stdout, b"/\nstraight\n");
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct Command {
    program: OsString,
    arg0: Option<OsString>,
    args: Vec<OsString>,
    /// In the order of the calls.
    env: Vec<EnvChange>,
    current_dir: Option<PathBuf>,
    uid: Option<u32>,
    gid: Option<u32>,
    process_group: Option<i32>,
    stdin: Option<Stdio>,
    stdout: Option<Stdio>,
    stderr: Option<Stdio>,
    kills_on_drop: bool,
    kills_group: bool,
    output_bytes_max: usize,
}

#[derive(Clone, Debug)]
enum EnvChange {
    Set(OsString, OsString),
    Remove(OsString),
    Clear,
}

/// What the streams are that the command does not set.
struct Defaults {
    stdin: Stdio,
    output: Stdio,
}

impl Command {
    /// As [`std::process::Command::new`]: a program by its path, or by a name that is looked for in
    /// `PATH`. Not a yield point, and neither is any other call that only describes the program.
    #[must_use]
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arg0: None,
            args: Vec::new(),
            env: Vec::new(),
            current_dir: None,
            uid: None,
            gid: None,
            process_group: None,
            stdin: None,
            stdout: None,
            stderr: None,
            kills_on_drop: true,
            kills_group: false,
            output_bytes_max: OUTPUT_BYTES_MAX,
        }
    }

    /// One more argument.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// More arguments.
    pub fn args(&mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> &mut Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// The name by which the program knows itself, in place of its path.
    pub fn arg0(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.arg0 = Some(arg.as_ref().to_owned());
        self
    }

    /// Sets a variable of the program's environment, which is otherwise the one of this process.
    pub fn env(&mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.env.push(EnvChange::Set(key.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets more variables.
    pub fn envs(
        &mut self,
        variables: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> &mut Self {
        for (key, value) in variables {
            self.env(key, value);
        }
        self
    }

    /// Removes a variable.
    pub fn env_remove(&mut self, key: impl AsRef<OsStr>) -> &mut Self {
        self.env.push(EnvChange::Remove(key.as_ref().to_owned()));
        self
    }

    /// Removes all variables that this process has, and those that were set before.
    pub fn env_clear(&mut self) -> &mut Self {
        self.env.push(EnvChange::Clear);
        self
    }

    /// The program's working directory. Name the program by an absolute path then: whether a
    /// relative one begins here or there depends on the system.
    pub fn current_dir(&mut self, folder: impl AsRef<Path>) -> &mut Self {
        self.current_dir = Some(folder.as_ref().to_owned());
        self
    }

    /// The program's user. It needs the right to change it.
    pub fn uid(&mut self, uid: u32) -> &mut Self {
        self.uid = Some(uid);
        self
    }

    /// The program's group of users. It needs the right to change it.
    pub fn gid(&mut self, gid: u32) -> &mut Self {
        self.gid = Some(gid);
        self
    }

    /// The program's group of processes; 0 is a new one. A signal of the terminal, such as the one
    /// of Ctrl-C, does not reach another group.
    pub fn process_group(&mut self, group: i32) -> &mut Self {
        self.process_group = Some(group);
        self
    }

    /// Whether the program becomes the leader of a new group of processes, to which each kill and
    /// each signal of its [`Child`] then goes: to all programs that it has started, unless they
    /// have left the group. Default: false. If true, [`process_group`](Self::process_group) does
    /// not matter.
    ///
    /// A leader that ends by itself leaves its group behind.
    ///
    /// ```
    /// use std::time::Duration;
    /// use straightline_sched::{self as sched, process::Command};
    ///
    /// sched::run(|| {
    ///     let late = sched::deadline(Duration::from_millis(20), || {
    ///         Command::new("sh").args(["-c", "sleep 1000; true"]).kill_group(true).output()
    ///     });
    ///     assert!(late.is_err()); // and both the shell and the `sleep` are killed
    /// });
    /// ```
    pub fn kill_group(&mut self, kills: bool) -> &mut Self {
        self.kills_group = kills;
        self
    }

    /// Whether the program is killed if its [`Child`] is dropped before its end. Default: true, so
    /// that no handler that is cancelled leaves a program behind.
    ///
    /// If false, the program goes on. It is reaped when it ends.
    pub fn kill_on_drop(&mut self, kills: bool) -> &mut Self {
        self.kills_on_drop = kills;
        self
    }

    /// How many bytes [`output`](Self::output) and [`Child::wait_with_output`] take from each of
    /// the two streams. More is an error, and drops the child. Default: 16 MiB, arbitrary;
    /// `usize::MAX` is no limit.
    ///
    /// ```
    /// use std::io::ErrorKind;
    /// use straightline_sched::{self as sched, process::Command};
    ///
    /// sched::run(|| {
    ///     let error = Command::new("yes").output_limit(1_000).output().unwrap_err();
    ///     assert_eq!(error.kind(), ErrorKind::FileTooLarge);
    /// });
    /// ```
    pub fn output_limit(&mut self, bytes_max: usize) -> &mut Self {
        self.output_bytes_max = bytes_max;
        self
    }

    /// What the program's standard input is. Default: as this process's for
    /// [`spawn`](Self::spawn) and [`status`](Self::status), nothing for [`output`](Self::output).
    pub fn stdin(&mut self, stdin: impl Into<Stdio>) -> &mut Self {
        self.stdin = Some(stdin.into());
        self
    }

    /// What the program's standard output is. Default: as this process's for
    /// [`spawn`](Self::spawn) and [`status`](Self::status), a pipe for [`output`](Self::output).
    pub fn stdout(&mut self, stdout: impl Into<Stdio>) -> &mut Self {
        self.stdout = Some(stdout.into());
        self
    }

    /// What the program's standard error is. The default is as for [`stdout`](Self::stdout).
    pub fn stderr(&mut self, stderr: impl Into<Stdio>) -> &mut Self {
        self.stderr = Some(stderr.into());
        self
    }

    /// Starts the program.
    ///
    /// # Blocking
    ///
    /// A yield point, until the system has loaded the program.
    ///
    /// # Cancellation
    ///
    /// The program may have started. It is dropped as a [`Child`] is: killed, unless
    /// [`kill_on_drop`](Self::kill_on_drop) is off.
    ///
    /// # Errors
    ///
    /// The system's error, such as `NotFound` if there is no such program; `InvalidInput` if an
    /// argument contains a zero byte; `ResourceBusy` if the pool is overloaded; `Unsupported` in a
    /// simulation.
    pub fn spawn(&self) -> io::Result<Child> {
        self.start(&Defaults { stdin: Stdio::inherit(), output: Stdio::inherit() })
    }

    /// Starts the program and waits for its end.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// A cancel or a deadline unwinds, and drops the child, which kills it.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn) and [`Child::wait`].
    pub fn status(&self) -> io::Result<ExitStatus> {
        self.spawn()?.wait()
    }

    /// Starts the program, waits for its end, and returns what it has written.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// As [`status`](Self::status).
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn) and [`Child::wait_with_output`].
    pub fn output(&self) -> io::Result<Output> {
        let defaults = Defaults { stdin: Stdio::null(), output: Stdio::piped() };
        self.start(&defaults)?.wait_with_output()
    }

    fn start(&self, defaults: &Defaults) -> io::Result<Child> {
        if World::current().is_some() {
            return Err(io::Error::new(
                ErrorKind::Unsupported,
                "straightline: a simulation starts no processes",
            ));
        }
        let mut command = self.to_std(defaults)?;
        let policy = EndPolicy { kills_on_drop: self.kills_on_drop, kills_group: self.kills_group };
        let running = offload(move || command.spawn().map(|child| Running::new(child, policy)))??;
        Child::new(running, self.output_bytes_max)
    }

    fn to_std(&self, defaults: &Defaults) -> io::Result<process::Command> {
        let mut command = process::Command::new(&self.program);
        command.args(&self.args);
        for change in &self.env {
            match change {
                EnvChange::Set(key, value) => command.env(key, value),
                EnvChange::Remove(key) => command.env_remove(key),
                EnvChange::Clear => command.env_clear(),
            };
        }
        if let Some(arg0) = &self.arg0 {
            command.arg0(arg0);
        }
        if let Some(folder) = &self.current_dir {
            command.current_dir(folder);
        }
        if let Some(uid) = self.uid {
            command.uid(uid);
        }
        if let Some(gid) = self.gid {
            command.gid(gid);
        }
        if let Some(group) = if self.kills_group { Some(0) } else { self.process_group } {
            command.process_group(group);
        }
        command.stdin(self.stdin.as_ref().unwrap_or(&defaults.stdin).to_std()?);
        command.stdout(self.stdout.as_ref().unwrap_or(&defaults.output).to_std()?);
        command.stderr(self.stderr.as_ref().unwrap_or(&defaults.output).to_std()?);
        Ok(command)
    }
}
