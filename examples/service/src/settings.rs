//! Where the value of a setting comes from. A flag wins over the environment, the environment over
//! the file, and the file over the default.
//!
//! A setting has one name in all of them: `ready-delay` in the file, `--ready-delay`, and
//! `SERVICE_READY_DELAY`. What is wrong is collected, so that one start shows all of it. That is
//! why the values are text until the program reads them: the derives of clap and serde stop at the
//! first mistake.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::fmt;
use std::fs;

use clap::{Arg, ArgAction, ArgMatches, Command};
use toml::de::{DeTable, DeValue};

/// A setting.
#[derive(Clone, Copy)]
pub(crate) struct Setting {
    name: &'static str,
    /// What the value is, in `--help`.
    value: &'static str,
    help: &'static str,
    /// What holds if the setting is given nowhere.
    default: Option<&'static str>,
    kind: Kind,
    reloads: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    One,
    List,
    Secret,
}

impl Setting {
    /// A setting that need not be given, and that only a restart changes.
    pub(crate) const fn new(name: &'static str, value: &'static str, help: &'static str) -> Self {
        Self { name, value, help, default: None, kind: Kind::One, reloads: false }
    }

    /// With a default.
    pub(crate) const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    /// Several values: an array in the file, several flags, or commas in the environment.
    pub(crate) const fn list(mut self) -> Self {
        self.kind = Kind::List;
        self
    }

    /// It is never shown, and there is no flag for it: every user of the machine sees flags.
    pub(crate) const fn secret(mut self) -> Self {
        self.kind = Kind::Secret;
        self
    }

    /// A reload changes it too.
    pub(crate) const fn reloads(mut self) -> Self {
        self.reloads = true;
        self
    }

    /// `SERVICE_READY_DELAY` for `ready-delay`.
    fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name.replace('-', "_").to_ascii_uppercase())
    }
}

/// The flags: one for each setting, `--config` and `--check-config`.
pub(crate) fn flags(name: &'static str, settings: &[Setting]) -> Command {
    let config = Arg::new("config").long("config").value_name("FILE").help(
        "File with settings, in TOML. A flag wins over the environment (SERVICE_LISTEN), and that \
         over the file [env: SERVICE_CONFIG]",
    );
    let check = Arg::new("check-config").long("check-config").action(ArgAction::SetTrue);
    let check =
        check.help("Checks the settings and the files that they name, prints them, and exits");
    let flags = settings.iter().filter(|setting| setting.kind != Kind::Secret).map(|setting| {
        let default = setting.default.map_or(String::new(), |text| format!(" [default: {text}]"));
        let is_list = setting.kind == Kind::List;
        Arg::new(setting.name)
            .long(setting.name)
            .value_name(setting.value)
            .action(if is_list { ArgAction::Append } else { ArgAction::Set })
            .help(format!("{}{default}", setting.help))
    });
    Command::new(name).args([config, check]).args(flags)
}

enum Origin {
    Flag(String),
    Variable(String),
    /// The file and the line.
    File(String, usize),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Variable(name) => f.write_str(name),
            Self::File(path, line) => write!(f, "{path}:{line}"),
        }
    }
}

/// A value as it was given, with its origin.
struct Given {
    texts: Vec<String>,
    origin: Origin,
}

/// The values of all settings, and what is wrong with them.
pub(crate) struct Settings {
    table: &'static [Setting],
    given: BTreeMap<&'static str, Given>,
    faults: Vec<String>,
}

/// All that is wrong with the settings, a line each.
#[derive(Debug)]
pub(crate) struct Faults(pub(crate) Vec<String>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl Error for Faults {}

impl Settings {
    pub(crate) fn load(table: &'static [Setting], flags: &ArgMatches) -> Self {
        let mut settings = Self { table, given: BTreeMap::new(), faults: Vec::new() };
        // The later ones win.
        if let Some(path) = file_of(flags) {
            settings.read_file(&path);
        }
        settings.read_environment();
        settings.read_flags(flags);
        settings
    }

    fn named(&self, name: &str) -> Option<&'static Setting> {
        self.table.iter().find(|setting| setting.name == name)
    }

    fn read_file(&mut self, path: &str) {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return self.faults.push(format!("{path}: {error}")),
        };
        let line = |at: usize| text[..at].matches('\n').count() + 1;
        let table = match DeTable::parse(&text) {
            Ok(table) => table,
            Err(error) => {
                // Not all of the error: it shows the line, which may have a secret.
                let line = line(error.span().map_or(0, |span| span.start));
                return self.faults.push(format!("{path}:{line}: {}", error.message()));
            }
        };
        for (key, value) in table.get_ref() {
            let (name, line) = (key.get_ref(), line(key.span().start));
            match self.named(name) {
                None => {
                    self.faults.push(format!("{path}:{line}: {name}: there is no such setting"));
                }
                Some(setting) => match texts(value.get_ref(), setting.kind) {
                    Ok(texts) => {
                        let origin = Origin::File(path.to_owned(), line);
                        self.given.insert(setting.name, Given { texts, origin });
                    }
                    Err(wanted) => {
                        self.faults.push(format!("{path}:{line}: {name}: wanted is {wanted}"));
                    }
                },
            }
        }
    }

    fn read_environment(&mut self) {
        let set =
            env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        for (name, value) in set.filter(|(name, _)| name.starts_with(PREFIX) && name != FILE) {
            let setting = self.table.iter().find(|setting| setting.variable() == name);
            match (setting, value.into_string()) {
                (None, _) => self.faults.push(format!("{name}: there is no such setting")),
                (_, Err(_)) => self.faults.push(format!("{name}: wanted is UTF-8")),
                (Some(setting), Ok(text)) => {
                    let texts = match setting.kind {
                        Kind::List => text.split(',').map(|part| part.trim().to_owned()).collect(),
                        Kind::One | Kind::Secret => vec![text],
                    };
                    self.given
                        .insert(setting.name, Given { texts, origin: Origin::Variable(name) });
                }
            }
        }
    }

    fn read_flags(&mut self, flags: &ArgMatches) {
        for setting in self.table.iter().filter(|setting| setting.kind != Kind::Secret) {
            if let Some(texts) = flags.get_many::<String>(setting.name) {
                let origin = Origin::Flag(format!("--{}", setting.name));
                self.given.insert(setting.name, Given { texts: texts.cloned().collect(), origin });
            }
        }
    }

    /// The value of a setting that has a default.
    pub(crate) fn value<T>(&mut self, name: &str, parse: fn(&str) -> Result<T, String>) -> T {
        self.optional(name, parse).unwrap_or_else(|| {
            // The fault is noted. The default only stands in until it is reported.
            let default = self.named(name).and_then(|setting| setting.default);
            parse(default.expect("it has a default")).expect("the default is valid")
        })
    }

    /// The value of a setting that need not be given.
    pub(crate) fn optional<T>(
        &mut self,
        name: &str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let given = self.given.get(name).map(|given| given.texts.concat());
        let text = given.or_else(|| self.named(name)?.default.map(str::to_owned))?;
        parse(&text).map_err(|fault| self.fault(name, fault)).ok()
    }

    /// The values of a list; it is empty if it is given nowhere.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        self.given.get(name).map_or(Vec::new(), |given| given.texts.clone())
    }

    /// Where a setting is given.
    pub(crate) fn origin(&self, name: &str) -> Option<String> {
        self.given.get(name).map(|given| given.origin.to_string())
    }

    /// Notes what is wrong with the value of a setting.
    pub(crate) fn fault(&mut self, name: &str, fault: impl fmt::Display) {
        self.faults.push(match self.given.get(name) {
            Some(Given { origin: origin @ Origin::File(..), .. }) => {
                format!("{origin}: {name}: {fault}")
            }
            Some(given) => format!("{}: {fault}", given.origin),
            None => format!("{name}: {fault}"),
        });
    }

    /// All that is wrong, if anything is.
    pub(crate) fn check(&mut self) -> Result<(), Faults> {
        match std::mem::take(&mut self.faults) {
            faults if faults.is_empty() => Ok(()),
            faults => Err(Faults(faults)),
        }
    }

    fn shown(&self, setting: &Setting) -> String {
        match (self.given.get(setting.name), setting.default) {
            (Some(_), _) if setting.kind == Kind::Secret => "***".to_owned(),
            (Some(given), _) => given.texts.join(", "),
            (None, default) => default.unwrap_or("none").to_owned(),
        }
    }

    /// A line for each setting: its value, and the origin of that. Secrets are hidden.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        self.table.iter().map(|setting| {
            let origin = self.origin(setting.name).unwrap_or_else(|| "default".to_owned());
            format!("{} = {} ({origin})", setting.name, self.shown(setting))
        })
    }

    /// What differs from the settings that the service was started with, and needs a restart.
    pub(crate) fn lines_for_restart(&self, started: &Self) -> impl Iterator<Item = String> {
        self.table.iter().filter(|setting| !setting.reloads).filter_map(|setting| {
            let (was, now) = (started.shown(setting), self.shown(setting));
            let name = setting.name;
            (was != now).then(|| format!("{name} stays {was} until a restart; it is to be {now}"))
        })
    }
}

/// The file of settings, if there is one.
pub(crate) fn file_of(flags: &ArgMatches) -> Option<String> {
    let variable = || env::var_os(FILE).map(|path| path.to_string_lossy().into_owned());
    flags.get_one::<String>("config").cloned().or_else(variable)
}

/// A value of the file as text; otherwise what is wanted in its place.
fn texts(value: &DeValue<'_>, kind: Kind) -> Result<Vec<String>, &'static str> {
    match (value, kind) {
        (DeValue::Array(values), Kind::List) => {
            let texts = values.iter().map(|value| value.get_ref().as_str().map(str::to_owned));
            texts.collect::<Option<_>>().ok_or("a list of texts")
        }
        (_, Kind::List) => Err("a list of texts"),
        (DeValue::String(text), _) => Ok(vec![text.to_string()]),
        (DeValue::Integer(number), Kind::One) => Ok(vec![number.to_string()]),
        (_, Kind::One) => Err("a text or a number"),
        (_, Kind::Secret) => Err("a text"),
    }
}

const PREFIX: &str = "SERVICE_";
const FILE: &str = "SERVICE_CONFIG";
