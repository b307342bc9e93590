//! What the server tells: lines for people on stderr by default, JSON for programs, as etcd's flags choose.

use std::fs::OpenOptions;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, Registry};

/// What is told, how and where.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogSettings {
    /// The least that is told.
    pub level: LogLevel,
    /// For people or for programs.
    pub format: LogFormat,
    /// Where to. Each line goes to each of them.
    pub outputs: Vec<LogOutput>,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { level: LogLevel::Info, format: LogFormat::Console, outputs: vec![LogOutput::Stderr] }
    }
}

/// The least that is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// All that may help to find a fault.
    Debug,
    /// What an operator may want to know afterwards.
    Info,
    /// What may need a look: slow requests, connections that failed.
    Warn,
    /// What needs a look.
    Error,
}

/// How it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// A line of text.
    Console,
    /// A line of JSON.
    Json,
}

/// Where it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogOutput {
    /// The standard error.
    Stderr,
    /// The standard output.
    Stdout,
    /// A file, at its end.
    File(PathBuf),
}

impl FromStr for LogLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "debug" => Self::Debug,
            "info" => Self::Info,
            "warn" => Self::Warn,
            // etcd's other two are what it says before it ends, which is an error here.
            "error" | "dpanic" | "panic" | "fatal" => Self::Error,
            _ => return Err(format!("{text:?} is none of debug, info, warn, error, panic and fatal")),
        })
    }
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "console" => Ok(Self::Console),
            "json" => Ok(Self::Json),
            _ => Err(format!("{text:?} is neither console nor json")),
        }
    }
}

impl LogOutput {
    /// What etcd means by this name.
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "default" | "stderr" => Self::Stderr,
            // Under systemd the standard error is the journal.
            "systemd/journal" => Self::Stderr,
            "stdout" => Self::Stdout,
            path => Self::File(path.into()),
        }
    }
}

/// Why nothing can be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// A file cannot be appended to.
    #[error("cannot write the log to {}: {source}; choose another file in --log-outputs, or stderr", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Something else in this process already tells.
    #[error("the log is set up twice: {0}")]
    Twice(#[source] TryInitError),
}

/// Makes what the process tells go where the settings say. Once a process.
///
/// # Errors
///
/// When a file cannot be appended to, or it was called before.
pub fn init(settings: &LogSettings) -> Result<(), LogError> {
    let layers = settings.outputs.iter().map(|output| layer(settings, output));
    let layers = layers.collect::<Result<Vec<_>, _>>()?;
    tracing_subscriber::registry().with(layers).try_init().map_err(LogError::Twice)
}

fn layer(
    settings: &LogSettings,
    output: &LogOutput,
) -> Result<Box<dyn Layer<Registry> + Send + Sync>, LogError> {
    let layer =
        tracing_subscriber::fmt::layer().with_writer(writer(output)?).with_ansi(false).with_target(false);
    let filter = filter(settings.level);
    Ok(match settings.format {
        LogFormat::Console => layer.with_filter(filter).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_filter(filter).boxed(),
    })
}

/// Our own events from the level on. Of the libraries below only what is wrong: at `debug` they tell every frame.
fn filter(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("watchful", level)
}

fn writer(output: &LogOutput) -> Result<BoxMakeWriter, LogError> {
    Ok(match output {
        LogOutput::Stderr => BoxMakeWriter::new(io::stderr),
        LogOutput::Stdout => BoxMakeWriter::new(io::stdout),
        LogOutput::File(path) => BoxMakeWriter::new(AppendTo::open(path)?),
    })
}

/// A file that lines are appended to, each in one write, so that those of several processes do not mix.
#[derive(Clone)]
struct AppendTo(Arc<std::fs::File>);

impl AppendTo {
    fn open(path: &PathBuf) -> Result<Self, LogError> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(|source| LogError::File { path: path.clone(), source })?;
        Ok(Self(Arc::new(file)))
    }
}

impl io::Write for AppendTo {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        (&*self.0).write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self.0).flush()
    }
}

impl<'a> MakeWriter<'a> for AppendTo {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is in the file after one line of each level and one of a library.
    fn told(level: LogLevel, format: LogFormat) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.log");
        std::fs::write(&path, "what was there\n").unwrap();
        let settings = LogSettings { level, format, outputs: Vec::new() };
        let layer = layer(&settings, &LogOutput::File(path.clone())).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::debug!(target: "watchful_server::kv", "a detail");
            tracing::info!(target: "watchful_server", "started");
            tracing::warn!(target: "watchful_server", took_ms = 250, "slow");
            tracing::info!(target: "h2", "a frame");
            tracing::error!(target: "h2", "broken");
        });
        std::fs::read_to_string(&path).unwrap()
    }

    #[track_caller]
    fn check(level: LogLevel, expected: &[&str], missing: &[&str]) {
        let told = told(level, LogFormat::Console);
        assert!(told.starts_with("what was there\n"), "{told}");
        assert!(expected.iter().all(|line| told.contains(line)), "{told}");
        assert!(missing.iter().all(|line| !told.contains(line)), "{told}");
    }

    #[test]
    fn the_level_decides_what_is_told_and_libraries_tell_only_what_is_wrong() {
        check(LogLevel::Debug, &["a detail", "started", "slow", "broken"], &["a frame"]);
        check(LogLevel::Info, &["started", "slow", "broken"], &["a detail", "a frame"]);
        check(LogLevel::Warn, &["slow", "broken"], &["a detail", "started", "a frame"]);
        check(LogLevel::Error, &["broken"], &["a detail", "started", "slow", "a frame"]);
    }

    #[test]
    fn json_is_one_object_a_line() {
        let told = told(LogLevel::Warn, LogFormat::Json);
        let lines: Vec<serde_json::Value> =
            told.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!((&lines[0]["message"], &lines[0]["took_ms"]), (&"slow".into(), &250.into()));
        assert_eq!(lines[0]["level"], "WARN");
    }

    #[test]
    fn a_file_that_cannot_be_written_is_one_clear_line() {
        let settings = LogSettings::default();
        let output = LogOutput::File("/nowhere/w.log".into());
        let Err(error) = layer(&settings, &output) else { panic!("it can be written") };
        let expected = "cannot write the log to /nowhere/w.log: No such file or directory (os error 2); choose another \
                        file in --log-outputs, or stderr";
        assert_eq!(error.to_string(), expected);
    }
}
