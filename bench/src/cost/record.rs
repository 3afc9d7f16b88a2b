//! The record: the figures of the last deliberate change, with the compiler and the processor.

use std::env;
use std::fmt::{self, Write as _};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The compiler and the processor: the figures depend on them as well as on the code.
#[derive(PartialEq, Eq)]
pub(super) struct Conditions {
    compiler: String,
    processor: String,
}

impl Conditions {
    pub(super) fn here() -> io::Result<Self> {
        let compiler = Command::new("rustc").arg("--version").output()?.stdout;
        let compiler = String::from_utf8_lossy(&compiler).trim().to_owned();
        let processor = fs::read_to_string("/proc/cpuinfo")?;
        let flags = processor.lines().find_map(|line| line.strip_prefix("flags"));
        let flags: Vec<_> = flags.unwrap_or_default().split_whitespace().collect();
        let mut processor = env::consts::ARCH.to_owned();
        for feature in FEATURES.iter().filter(|feature| flags.contains(feature)) {
            processor.push(' ');
            processor.push_str(feature);
        }
        Ok(Self { compiler, processor })
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.compiler, self.processor)
    }
}

/// The figures of the last deliberate change.
pub(super) struct Record {
    pub(super) conditions: Conditions,
    pub(super) figures: Vec<(String, u64)>,
}

impl Record {
    pub(super) fn read() -> io::Result<Self> {
        let path = record_path();
        let place =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        Self::parse(&fs::read_to_string(&path).map_err(place)?).map_err(place)
    }

    fn parse(text: &str) -> io::Result<Self> {
        let (mut compiler, mut processor, mut figures) = (String::new(), String::new(), Vec::new());
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let (name, value) = line.split_once(' ').unwrap_or((line, ""));
            match (name, value.parse()) {
                ("compiler", _) => value.clone_into(&mut compiler),
                ("processor", _) => value.clone_into(&mut processor),
                (_, Ok(figure)) => figures.push((name.to_owned(), figure)),
                _ => return Err(io::Error::other(format!("{line:?} is no figure"))),
            }
        }
        Ok(Self { conditions: Conditions { compiler, processor }, figures })
    }

    pub(super) fn write(&self) -> io::Result<()> {
        fs::write(record_path(), self.to_text())
    }

    fn to_text(&self) -> String {
        let Conditions { compiler, processor } = &self.conditions;
        let mut text = format!("{RECORD_STORY}\ncompiler {compiler}\nprocessor {processor}\n");
        for (name, figure) in &self.figures {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name} {figure}");
        }
        text
    }

    /// Prints which figures are too high, and which entries of the record could be lowered; false
    /// if a figure is too high.
    pub(super) fn allows(&self, figures: &[(&str, u64)]) -> bool {
        let mut allowed = true;
        for &(name, figure) in figures {
            let recorded = self.figures.iter().find(|(other, _)| other == name);
            let Some(&(_, recorded)) = recorded else {
                println!("{name} is not in the record");
                allowed = false;
                continue;
            };
            if figure * 100 > recorded * (100 + PERCENT_MAX) {
                println!("{name} is {figure}, above {recorded} in the record: too high");
                allowed = false;
            } else if figure * (100 + PERCENT_MAX) < recorded * 100 {
                println!(
                    "{name} is {figure}, below {recorded} in the record: the record can be lowered"
                );
            }
        }
        if !allowed {
            println!(
                "if it is worth it, run straightline-bench cost --update; the commit says why"
            );
        }
        allowed
    }
}

pub(super) fn record_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cost.txt")
}

const RECORD_STORY: &str = "\
# The instructions of a request in user space (callgrind), and the bytes of heap of an idle
# connection (dhat). `straightline-bench cost` measures and compares; with `--update` it writes this
# file. A commit that changes it says why.
#
# Hooks at a fiber's switch, wrappers, and reports of requests may cost a request 60 instructions
# together while they are not used. When they came it was 13 for the hooks, and 17 for the others.";

/// How much a figure may be above the record. Two runs of one binary differ by 0.3 %.
const PERCENT_MAX: u64 = 3;

/// The features that decide at run time which code runs, as far as valgrind knows them.
const FEATURES: [&str; 5] = ["sse4_2", "avx2", "bmi2", "erms", "asimd"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_may_be_three_percent_above_the_record() {
        let text = "compiler rustc 1\nprocessor x\ninstructions 1000\n";
        let record = Record::parse(text).expect("a record");
        for (figure, allowed) in [(900, true), (1_000, true), (1_030, true), (1_031, false)] {
            let figures = [("instructions", figure)];
            assert_eq!(record.allows(&figures), allowed, "{figure}");
        }
        assert!(!record.allows(&[("another", 1)]), "a figure without a record");
    }

    #[test]
    fn what_is_written_is_read() {
        let text = "# a story\ncompiler rustc 1.2 (a b)\nprocessor x avx2\nbytes 7\n";
        let record = Record::parse(text).expect("a record");
        assert_eq!(record.conditions.to_string(), "rustc 1.2 (a b); x avx2");
        assert_eq!(record.figures, [("bytes".to_owned(), 7)]);
        let again = Record::parse(&record.to_text()).expect("a record");
        assert!(again.conditions == record.conditions);
        assert_eq!(again.figures, record.figures);
        assert!(Record::parse("bytes many\n").is_err());
    }
}
