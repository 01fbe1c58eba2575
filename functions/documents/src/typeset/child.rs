//! The child's side of the pipe: one job at a time, until the parent closes it.

use std::io::{self, Read, Write};

use super::{Typeset, restrict_cpu, typeset};
use crate::job::{Answer, Job, TypesetError, announced_length, frame_length};

/// Answers jobs until the input ends.
///
/// # Errors
/// If a pipe breaks or a frame is not ours; the process then has no purpose any more.
pub fn serve(mut input: impl Read, mut output: impl Write) -> io::Result<()> {
    while let Some(frame) = read_frame(&mut input)? {
        restrict_cpu().map_err(io::Error::from)?;
        let job: Job = serde_json::from_slice(&frame).map_err(io::Error::other)?;
        answer(&mut output, typeset(&job))?;
        output.flush()?;
    }
    Ok(())
}

fn answer(output: &mut impl Write, made: Result<Typeset, TypesetError>) -> io::Result<()> {
    match made {
        Ok(Typeset { pdf, pages }) => {
            write_frame(output, &serde_json::to_vec(&Answer::Ready { pages })?)?;
            write_frame(output, &pdf)
        }
        Err(error) => write_frame(output, &serde_json::to_vec(&Answer::Failed(error))?),
    }
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
