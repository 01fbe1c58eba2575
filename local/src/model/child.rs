//! Runs a program to its end and hears what it says.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use crate::{
    compile::typed,
    console::note,
    failure::{Failure, Outcome, While},
};

/// How many of its last lines a program that failed is quoted with.
const QUOTED: usize = 12;

/// Runs a program; each line of its standard output is noted and handed to `line`. Its errors go where this
/// program's go.
pub fn run(command: &mut Command, mut line: impl FnMut(&str)) -> Outcome {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .during(format_args!("starting {}", command.get_program().display()))?;
    let mut last = Vec::new();
    if let Some(output) = child.stdout.take() {
        for text in BufReader::new(output).lines().map_while(Result::ok) {
            line(&text);
            last.push(text);
            if last.len() > QUOTED {
                last.remove(0);
            }
        }
    }
    let status = child.wait().during(format_args!(
        "waiting for {}",
        command.get_program().display()
    ))?;
    if status.success() {
        return Ok(());
    }
    last.iter().for_each(note);
    let said = last.last().map(String::as_str).unwrap_or_default();
    Err(Failure::new(format!(
        "`{}` failed ({status}): {said}",
        typed(command)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_fails_is_quoted() {
        let mut heard = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two; exit 3"]);

        let refused = run(&mut command, |line| heard.push(line.to_owned()));

        assert_eq!(heard, ["one", "two"]);
        let refused = refused.unwrap_err().to_string();
        assert!(
            refused.contains("two") && refused.contains('3'),
            "{refused}"
        );
    }
}
