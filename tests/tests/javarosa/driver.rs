//! JavaRosa in a process of its own: commands go in, one line per node comes out (`Driver.java` says which).

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{BufRead, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::tools::Tools;

/// The instant of all interviews, as ours takes it and in milliseconds.
pub(crate) const NOW: &str = "2026-03-02T10:00:00+08:00";
const NOW_MS: &str = "1772416800000";
const TODAY: &str = "2026-03-02";

pub(crate) struct JavaRosa {
    process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// The commands since the interview began: enough to do it again by hand.
    pub(crate) script: String,
}

/// What JavaRosa makes of the answers.
#[derive(Debug, Default)]
pub(crate) struct Dump {
    /// What it refused to do: the command and the reason.
    pub(crate) errors: Vec<(String, String)>,
    pub(crate) nodes: BTreeMap<String, Node>,
    /// The rows of all repeats.
    pub(crate) rows: BTreeMap<String, bool>,
    pub(crate) choices: BTreeMap<String, Vec<String>>,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) relevant: bool,
    /// `ok`, `required`, `constraint`, or `error` with a message.
    pub(crate) verdict: String,
    pub(crate) value: String,
}

impl JavaRosa {
    /// Starts JavaRosa on a form; the files that it names lie beside it.
    pub(crate) fn start(tools: &Tools, form: &Path) -> Result<Self> {
        let mut process = Command::new("java")
            .args(["-Duser.timezone=GMT+08:00", "-Duser.language=en", "-Dfile.encoding=UTF-8", "-Xss16m"])
            .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", &tools.classes, "Driver"])
            .arg(form)
            .arg(form.parent().context("no folder")?)
            .args([NOW_MS, TODAY])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("java is missing: apt-get install openjdk-17-jdk-headless")?;
        let commands = process.stdin.take().context("no input")?;
        let answers = BufReader::new(process.stdout.take().context("no output")?);
        let mut javarosa = Self { process, commands, answers, script: String::new() };
        // A form's printed warnings come before it.
        while javarosa.line().context("JavaRosa can't read the form")? != "ready" {}
        Ok(javarosa)
    }

    pub(crate) fn begin(&mut self, seed: u64) -> Result<()> {
        self.script.clear();
        self.say(&format!("new\t{seed}"))
    }

    pub(crate) fn rows(&mut self, repeat: &str, count: usize) -> Result<()> {
        self.say(&format!("rows\t{repeat}\t{count}"))
    }

    pub(crate) fn set(&mut self, path: &str, text: &str) -> Result<()> {
        let text = text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n");
        self.say(&format!("set\t{path}\t{text}"))
    }

    pub(crate) fn walk(&mut self) -> Result<()> {
        self.say("walk")
    }

    /// Has everything worked out anew, as when an interview is opened again.
    pub(crate) fn reopen(&mut self) -> Result<()> {
        self.say("reopen")
    }

    pub(crate) fn dump(&mut self) -> Result<Dump> {
        self.say("dump")?;
        self.commands.flush()?;
        let mut dump = Dump::default();
        loop {
            let line = self.line()?;
            let fields: Vec<String> = line.split('\t').map(unescape).collect();
            match fields.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
                ["end"] => return Ok(dump),
                ["error", _, command, said] => dump.errors.push(((*command).to_owned(), (*said).to_owned())),
                ["row", path, relevant] => {
                    dump.rows.insert((*path).to_owned(), *relevant == "1");
                }
                ["node", path, relevant, verdict, value] => {
                    let node =
                        Node { relevant: *relevant == "1", verdict: (*verdict).to_owned(), value: (*value).to_owned() };
                    dump.nodes.insert((*path).to_owned(), node);
                }
                ["choices", path, names @ ..] => {
                    dump.choices.insert((*path).to_owned(), names.iter().map(|name| (*name).to_owned()).collect());
                }
                // Parts of JavaRosa print what they think.
                _ => {}
            }
        }
    }

    fn say(&mut self, command: &str) -> Result<()> {
        let _ = writeln!(self.script, "{command}");
        self.commands.write_all(command.as_bytes())?;
        self.commands.write_all(b"\n")?;
        Ok(())
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.answers.read_line(&mut line)? > 0, "JavaRosa ended");
        Ok(line.trim_end_matches('\n').to_owned())
    }
}

impl Drop for JavaRosa {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut signs = text.chars();
    while let Some(sign) = signs.next() {
        plain.push(match sign {
            '\\' => match signs.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some(other) => other,
                None => '\\',
            },
            other => other,
        });
    }
    plain
}
