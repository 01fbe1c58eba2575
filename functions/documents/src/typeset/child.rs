//! The child's side of the pipe: one job at a time, until the parent closes it.

use std::io::{self, Read, Write};
use std::sync::Arc;

use super::{Typeset, limits, typeset};
use crate::job::{Answer, Job, Request, TypesetError, announced_length, frame_length};
use crate::{pdf, picture};

/// Answers jobs until the input ends, or until the process has grown so much that a fresh one is
/// cheaper: the allocator does not give back what a very large document took.
///
/// # Errors
/// If a pipe breaks or a frame is not ours; the process then has no purpose any more.
pub fn serve(mut input: impl Read, mut output: impl Write) -> io::Result<()> {
    while let Some(frame) = read_frame(&mut input)? {
        limits::restrict_cpu()?;
        let made = match serde_json::from_slice(&frame).map_err(io::Error::other)? {
            Request::Typeset(job) => typeset(&dressed(&mut input, job.into_owned())?),
            Request::Edit {
                edit,
                files,
                limits,
            } => pdf::edit(&edit, &read_files(&mut input, files)?, limits),
            Request::Picture => examined(&read_file(&mut input)?),
        };
        let retires = limits::has_outgrown()?;
        answer(&mut output, made, retires)?;
        if retires {
            break;
        }
    }
    Ok(())
}

fn answer(
    output: &mut impl Write,
    made: Result<Typeset, TypesetError>,
    retires: bool,
) -> io::Result<()> {
    let (outcome, file) = match made {
        Ok(Typeset { file, pages }) => (Ok(pages), Some(file)),
        Err(error) => (Err(error), None),
    };
    write_frame(output, &serde_json::to_vec(&Answer { outcome, retires })?)?;
    if let Some(file) = file {
        write_frame(output, &file)?;
    }
    output.flush()
}

/// The job with the logo that follows it, if it wears one.
fn dressed(input: &mut impl Read, mut job: Job) -> io::Result<Job> {
    if let Some(look) = &mut job.look
        && look.brand.logo.is_some()
    {
        look.logo = Some(Arc::new(read_file(input)?));
    }
    Ok(job)
}

fn examined(file: &[u8]) -> Result<Typeset, TypesetError> {
    let bare = picture::examined(file).map_err(|flaw| TypesetError::BadPicture { flaw })?;
    Ok(Typeset {
        file: bare,
        pages: None,
    })
}

/// The files that belong to a request.
fn read_files(input: &mut impl Read, count: u32) -> io::Result<Vec<Vec<u8>>> {
    (0..count).map(|_| read_file(input)).collect()
}

fn read_file(input: &mut impl Read) -> io::Result<Vec<u8>> {
    read_frame(input)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// The next frame; nothing if the input ended before it began.
fn read_frame(input: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match input.read_exact(&mut length) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let mut frame = vec![0; announced_length(length)?];
    input.read_exact(&mut frame)?;
    Ok(Some(frame))
}

fn write_frame(output: &mut impl Write, frame: &[u8]) -> io::Result<()> {
    output.write_all(&frame_length(frame)?)?;
    output.write_all(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_that_ends_between_frames_ends_the_service() {
        assert!(serve(&[][..], Vec::new()).is_ok());
    }

    #[test]
    fn a_length_that_is_not_ours_is_refused_before_it_is_allocated() {
        let refused = serve(&u32::MAX.to_be_bytes()[..], Vec::new());

        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
