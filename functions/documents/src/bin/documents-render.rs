//! The renderer: a child of `documents-api` that sets documents from jobs on its standard input.

use std::io;

use documents::typeset;

fn main() -> io::Result<()> {
    typeset::restrict().map_err(io::Error::from)?;
    typeset::serve(io::stdin().lock(), io::stdout().lock())
}
