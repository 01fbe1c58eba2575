//! `cargo fleet token verify`: the authorizer's verifier for whoever must find out why a token is refused.
//!
//! A program of its own, because it is built from the fleet's code: `fleet` itself depends on none of it, so that
//! a function that does not compile never keeps a developer from stopping or inspecting the local cloud.

use std::{
    fs,
    io::{self, BufRead, Write},
    path::PathBuf,
    process::ExitCode,
};

use auth::token::{Jwks, TokenError, Verifier};
use clap::{Parser, Subcommand};
use jiff::Timestamp;

#[derive(Parser)]
#[command(name = "cargo fleet token", bin_name = "cargo fleet token")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Read tokens from the standard input, one a line; answer `accept` or `reject CODE`, one a line.
    Verify {
        /// A file with the issuer's keys (a JWK set).
        #[arg(long)]
        jwks: PathBuf,
        /// Who has to have issued the token, such as `https://cognito-idp.REGION.amazonaws.com/POOL`.
        #[arg(long)]
        issuer: String,
        /// Which client the token has to be for.
        #[arg(long)]
        client: String,
    },
}

fn main() -> ExitCode {
    let Command::Verify {
        jwks,
        issuer,
        client,
    } = Cli::parse().command;
    match verify(&jwks, &Verifier::new(issuer, client)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _closed = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn verify(jwks: &PathBuf, verifier: &Verifier) -> io::Result<()> {
    let keys = Jwks::parse(&fs::read(jwks)?).map_err(io::Error::other)?;
    verdicts(io::stdin().lock(), io::stdout().lock(), |token| {
        verifier
            .verify(token, &keys, Timestamp::now())
            .map(|_token| ())
    })
}

/// A verdict for each line, also for an empty one; only the line's end is taken off.
fn verdicts(
    mut tokens: impl BufRead,
    mut out: impl Write,
    verify: impl Fn(&str) -> Result<(), TokenError>,
) -> io::Result<()> {
    let mut line = Vec::new();
    while tokens.read_until(b'\n', &mut line)? > 0 {
        let token = line.strip_suffix(b"\n").unwrap_or(&line);
        let token = token.strip_suffix(b"\r").unwrap_or(token);
        let verdict = std::str::from_utf8(token)
            .map_err(|_| TokenError::Malformed)
            .and_then(&verify);
        match verdict {
            Ok(()) => writeln!(out, "accept")?,
            Err(error) => writeln!(out, "reject {}", error.code())?,
        }
        line.clear();
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_gets_a_verdict_of_its_own() {
        let only_good = |token: &str| {
            if token == "good" {
                Ok(())
            } else {
                Err(TokenError::Signature)
            }
        };
        let mut out = Vec::new();

        verdicts(
            &b"good\r\nbad\n\n\xff\ngood \ngood"[..],
            &mut out,
            only_good,
        )
        .unwrap();

        let said = String::from_utf8(out).unwrap();
        let lines: Vec<_> = said.lines().collect();
        let wrong = "reject wrong_signature";
        assert_eq!(
            lines,
            [
                "accept",
                wrong,
                wrong,
                "reject token_malformed",
                wrong,
                "accept"
            ]
        );
    }
}
