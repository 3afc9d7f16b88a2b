//! Calls on files have the results of std's.

use std::fs;
use std::io::{self, ErrorKind, IoSlice, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};

use crate::common::run;
use crate::scratch::Scratch;
use quickcheck::{Arbitrary, Gen, QuickCheck};
use straightline_sched as sched;

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<u8>),
    WriteVectored(Vec<u8>, Vec<u8>),
    WriteAt(Vec<u8>, u16),
    Read(u8),
    ReadAt(u8, u16),
    ReadToEnd,
    Seek(i16),
    SeekFromEnd(i16),
    SetLength(u16),
}

impl Arbitrary for Step {
    fn arbitrary(g: &mut Gen) -> Self {
        match u8::arbitrary(g) % 9 {
            0 => Self::Write(Vec::arbitrary(g)),
            1 => Self::WriteVectored(Vec::arbitrary(g), Vec::arbitrary(g)),
            2 => Self::WriteAt(Vec::arbitrary(g), u16::arbitrary(g)),
            3 => Self::Read(u8::arbitrary(g)),
            4 => Self::ReadAt(u8::arbitrary(g), u16::arbitrary(g)),
            5 => Self::ReadToEnd,
            6 => Self::Seek(i16::arbitrary(g)),
            7 => Self::SeekFromEnd(i16::arbitrary(g)),
            _ => Self::SetLength(u16::arbitrary(g)),
        }
    }
}

/// What a step has returned: a number and bytes, or the kind of its error.
type Outcome = Result<(u64, Vec<u8>), ErrorKind>;

fn outcome(result: io::Result<(u64, Vec<u8>)>) -> Outcome {
    result.map_err(|error| error.kind())
}

/// Writes the steps for a type of files.
macro_rules! step {
    ($file:expr, $step:expr) => {{
        let file = $file;
        outcome(match $step {
            Step::Write(bytes) => file.write(bytes).map(|count| (count as u64, Vec::new())),
            Step::WriteVectored(one, two) => file
                .write_vectored(&[IoSlice::new(one), IoSlice::new(two)])
                .map(|count| (count as u64, Vec::new())),
            Step::WriteAt(bytes, offset) => {
                file.write_at(bytes, u64::from(*offset)).map(|count| (count as u64, Vec::new()))
            }
            Step::Read(count) => {
                let mut bytes = vec![0; usize::from(*count)];
                file.read(&mut bytes).map(|count| (count as u64, bytes))
            }
            Step::ReadAt(count, offset) => {
                let mut bytes = vec![0; usize::from(*count)];
                file.read_at(&mut bytes, u64::from(*offset)).map(|count| (count as u64, bytes))
            }
            Step::ReadToEnd => {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes).map(|count| (count as u64, bytes))
            }
            Step::Seek(by) => {
                file.seek(SeekFrom::Current(i64::from(*by))).map(|at| (at, Vec::new()))
            }
            Step::SeekFromEnd(by) => {
                file.seek(SeekFrom::End(i64::from(*by))).map(|at| (at, Vec::new()))
            }
            Step::SetLength(length) => file.set_len(u64::from(*length)).map(|()| (0, Vec::new())),
        })
    }};
}

#[test]
fn any_steps_have_the_outcomes_of_std() {
    fn model(steps: Vec<Step>) -> bool {
        run(move || {
            let scratch = Scratch::new();
            let mut ours = sched::fs::File::create_new(scratch.join("ours")).unwrap();
            let mut options = fs::OpenOptions::new();
            options.read(true).write(true).create_new(true);
            let mut stds = options.open(scratch.join("stds")).unwrap();
            for step in &steps {
                assert_eq!(step!(&mut ours, step), step!(&mut stds, step), "{step:?}");
            }
            let read = |name| fs::read(scratch.join(name)).unwrap();
            assert_eq!(read("ours"), read("stds"));
            true
        })
    }
    QuickCheck::new().tests(50).quickcheck(model as fn(Vec<Step>) -> bool);
}

#[test]
fn errors_are_those_of_the_system() {
    run(|| {
        let scratch = Scratch::new();
        let missing = scratch.join("missing");
        let kind = |result: io::Result<()>| result.unwrap_err().kind();
        assert_eq!(kind(sched::fs::read(&missing).map(drop)), ErrorKind::NotFound);
        assert_eq!(kind(sched::fs::File::open(&missing).map(drop)), ErrorKind::NotFound);
        assert_eq!(kind(sched::fs::metadata(&missing).map(drop)), ErrorKind::NotFound);
        assert_eq!(kind(sched::fs::remove_file(&missing)), ErrorKind::NotFound);
        assert_eq!(kind(sched::fs::read_dir(&missing).map(drop)), ErrorKind::NotFound);
        assert_eq!(kind(sched::fs::create_dir(scratch.path())), ErrorKind::AlreadyExists);
        let again = sched::fs::File::create_new(scratch.join("new"));
        drop(again.unwrap());
        let again = sched::fs::File::create_new(scratch.join("new"));
        assert_eq!(kind(again.map(drop)), ErrorKind::AlreadyExists);
        let folder = sched::fs::copy(scratch.path(), scratch.join("copy"));
        assert_eq!(kind(folder.map(drop)), ErrorKind::InvalidInput);
        fs::write(scratch.join("bytes"), [0xff]).unwrap();
        let text = sched::fs::read_to_string(scratch.join("bytes"));
        assert_eq!(kind(text.map(drop)), ErrorKind::InvalidData);
        let mut text = String::from("kept");
        let mut file = sched::fs::File::open(scratch.join("bytes")).unwrap();
        assert_eq!(kind(file.read_to_string(&mut text).map(drop)), ErrorKind::InvalidData);
        assert_eq!(text, "kept");
        assert_eq!(
            kind(file.write_all(b"x")),
            kind((&fs::File::open(scratch.join("bytes")).unwrap()).write_all(b"x"))
        );
        assert_eq!(kind(file.read_exact_at(&mut [0; 2], 0)), ErrorKind::UnexpectedEof);
    });
}

#[test]
fn a_file_is_made_with_its_mode_and_appended_to() {
    run(|| {
        let scratch = Scratch::new();
        let path = scratch.join("log");
        let open = || {
            let mut options = sched::fs::File::options();
            options.append(true).create(true).mode(0o600).open(&path).unwrap()
        };
        open().write_all(b"one ").unwrap();
        open().write_all(b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one two");
        let mode = sched::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // A copy has the permissions of the file.
        sched::fs::copy(&path, scratch.join("copy")).unwrap();
        let mode = fs::metadata(scratch.join("copy")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    });
}

#[test]
fn a_file_is_read_through_a_shared_reference_and_a_clone() {
    run(|| {
        let scratch = Scratch::new();
        fs::write(scratch.join("file"), "abcdef").unwrap();
        let file = sched::fs::File::open(scratch.join("file")).unwrap();
        let clone = file.try_clone().unwrap();
        let mut two = [0; 2];
        (&file).read_exact(&mut two).unwrap();
        assert_eq!(&two, b"ab");
        (&clone).read_exact(&mut two).unwrap(); // they share the position
        assert_eq!(&two, b"cd");
        let mut rest = String::new();
        file.into_std().unwrap().read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "ef");
    });
}

#[test]
fn calls_on_a_thread_without_fibers_work_as_well() {
    let scratch = Scratch::new();
    sched::fs::write(scratch.join("file"), "text").unwrap();
    assert_eq!(sched::fs::read_to_string(scratch.join("file")).unwrap(), "text");
}
