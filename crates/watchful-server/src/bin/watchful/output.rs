//! Where answers go: lines for people, or one JSON object a line for programs.

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;

use crate::failure::Failure;

/// The output, and for whom it is.
pub(crate) struct Output<'a> {
    out: &'a mut dyn Write,
    /// For programs.
    pub(crate) json: bool,
}

impl<'a> Output<'a> {
    pub(crate) fn new(out: &'a mut dyn Write, json: bool) -> Self {
        Self { out, json }
    }

    /// A line for people.
    pub(crate) fn line(&mut self, line: impl Display) -> Result<(), Failure> {
        writeln!(self.out, "{line}").map_err(unwritten)
    }

    /// An object for programs.
    pub(crate) fn object(&mut self, object: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut *self.out, object).map_err(|error| unwritten(error.into()))?;
        self.bytes(b"\n")
    }

    /// Bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out.write_all(bytes).map_err(unwritten)
    }

    /// Hands on what has been written: before every wait for something new.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(unwritten)
    }

    /// The object for programs, or else the line for people.
    pub(crate) fn answer(&mut self, object: &impl Serialize, line: impl Display) -> Result<(), Failure> {
        if self.json { self.object(object) } else { self.line(line) }
    }
}

fn unwritten(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::NobodyReads,
        _ => Failure::told(format!("the output cannot be written: {error}")),
    }
}

/// What `print` prints: for tests.
#[cfg(test)]
pub(crate) fn printed(json: bool, print: impl FnOnce(&mut Output<'_>) -> Result<(), Failure>) -> String {
    let mut bytes = Vec::new();
    print(&mut Output::new(&mut bytes, json)).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_gone_is_no_error_and_a_full_disk_is() {
        let broken = &mut Broken(io::ErrorKind::BrokenPipe);
        let mut out = Output::new(broken, true);
        assert!(matches!(out.object(&1), Err(Failure::NobodyReads)));
        assert!(matches!(out.line("x"), Err(Failure::NobodyReads)));
        let full = &mut Broken(io::ErrorKind::StorageFull);
        assert!(matches!(Output::new(full, false).line("x"), Err(Failure::Told(_))));
    }
}
