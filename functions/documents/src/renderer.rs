//! The parent's side of the pipe: one long-lived child with an empty environment, given one job at a
//! time and replaced whenever it did not answer.

use std::borrow::Cow;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use ring::digest::{SHA256, digest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::job::{
    Answer, Job, Limits, Rendered, Request, TypesetError, announced_length, frame_length,
};
use crate::pdf::Edit;

/// How long a document may take by the clock on the wall, its child's start included.
const LONGEST: Duration = Duration::from_secs(10);

/// How a program ends whose main thread panicked.
const PANICKED: i32 = 101;

/// Renders documents in a child process.
#[derive(Debug)]
pub struct Renderer {
    program: PathBuf,
    longest: Duration,
    idle: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl Renderer {
    /// A renderer that starts this program when the first job comes.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            longest: LONGEST,
            idle: Mutex::new(None),
        }
    }

    /// The same renderer with another limit of time per document.
    #[must_use]
    pub fn within(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    /// Starts the child before the first job needs it.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub async fn warm(&self) -> Result<(), TypesetError> {
        let mut idle = self.idle.lock().await;
        if idle.is_none() {
            *idle = Some(Running::start(&self.program)?);
        }
        Ok(())
    }

    /// The process id of the child, unless it is busy or there is none.
    pub fn process_id(&self) -> Option<u32> {
        self.idle.try_lock().ok()?.as_ref()?.child.id()
    }

    /// Makes the document; waits until the jobs before it are done.
    ///
    /// A child that did not answer as it should, or whose caller went away, is killed, so that the next
    /// job begins with a fresh one.
    ///
    /// # Errors
    /// What the child says, or that it died or took too long.
    pub async fn render(&self, job: &Job) -> Result<Rendered, TypesetError> {
        let request = Request::Typeset(Cow::Borrowed(job));
        let emblem = job.look.as_ref().and_then(|look| look.emblem());
        let files: Vec<&[u8]> = emblem.into_iter().map(|(_, octets)| octets).collect();
        self.answer(&request, &files, job.limits).await
    }

    /// The picture without what is said about it, once it was unpacked to its end.
    ///
    /// # Errors
    /// [`TypesetError::BadPicture`], or that the child died or took too long.
    pub async fn picture(&self, file: &[u8]) -> Result<Rendered, TypesetError> {
        self.answer(&Request::Picture, &[file], Limits::default())
            .await
    }

    /// Makes one file of the files; like [`Self::render`] in all else.
    ///
    /// # Errors
    /// What the child says, or that it died or took too long.
    pub async fn edit(
        &self,
        edit: &Edit,
        files: &[&[u8]],
        limits: Limits,
    ) -> Result<Rendered, TypesetError> {
        let request = Request::Edit {
            edit: Cow::Borrowed(edit),
            files: u32::try_from(files.len()).map_err(|e| crashed(&e))?,
            limits,
        };
        self.answer(&request, files, limits).await
    }

    async fn answer(
        &self,
        request: &Request<'_>,
        files: &[&[u8]],
        limits: Limits,
    ) -> Result<Rendered, TypesetError> {
        let frame = serde_json::to_vec(request).map_err(|e| crashed(&e))?;
        let mut idle = self.idle.lock().await;
        let mut running = self.living(idle.take())?;
        let longest = self.longest.min(Duration::from_millis(limits.millis));
        let Ok(answered) = timeout(longest, running.ask(&frame, files)).await else {
            running.end().await;
            return Err(TypesetError::TimedOut);
        };
        match answered {
            Ok(Answered { outcome, retires }) => {
                // One that retires is dropped here, and with that ended.
                *idle = Some(running).filter(|_| !retires);
                outcome.map(|(file, pages)| rendered(file, pages))
            }
            Err(pipe) => Err(running.autopsy(&pipe).await),
        }
    }

    /// The child if it is still alive (it may have been killed while nobody asked), else a new one.
    fn living(&self, idle: Option<Running>) -> Result<Running, TypesetError> {
        if let Some(mut running) = idle
            && matches!(running.child.try_wait(), Ok(None))
        {
            return Ok(running);
        }
        Running::start(&self.program)
    }
}

/// The child's answer with its file.
struct Answered {
    outcome: Result<(Vec<u8>, Option<u32>), TypesetError>,
    retires: bool,
}

impl Running {
    fn start(program: &PathBuf) -> Result<Self, TypesetError> {
        let mut child = Command::new(program)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A panic's message may quote the document.
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(input), Some(output)) => Ok(Self {
                child,
                input,
                output,
            }),
            _ => Err(TypesetError::Crashed {
                cause: "no pipe".to_owned(),
            }),
        }
    }

    /// Sends the request with its files and reads the answer; the outer error means that the child is of no
    /// use any more.
    async fn ask(&mut self, frame: &[u8], files: &[&[u8]]) -> std::io::Result<Answered> {
        for frame in std::iter::once(&frame).chain(files) {
            self.input.write_all(&frame_length(frame)?).await?;
            self.input.write_all(frame).await?;
        }
        self.input.flush().await?;
        let Answer { outcome, retires } = serde_json::from_slice(&self.read_frame().await?)?;
        let outcome = match outcome {
            Ok(pages) => Ok((self.read_frame().await?, pages)),
            Err(error) => Err(error),
        };
        Ok(Answered { outcome, retires })
    }

    async fn read_frame(&mut self) -> std::io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.output.read_exact(&mut length).await?;
        let mut frame = vec![0; announced_length(length)?];
        self.output.read_exact(&mut frame).await?;
        Ok(frame)
    }

    /// Kills the child and waits until it is gone, so that none is left behind.
    async fn end(&mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::warn!(%error, "cannot end the renderer");
        }
    }

    /// Why the pipe broke: a child that used up its processor time was ended by the system, one that used
    /// up its memory by itself.
    async fn autopsy(&mut self, pipe: &std::io::Error) -> TypesetError {
        use std::os::unix::process::ExitStatusExt;
        // A pipe that broke because the child ended needs no kill; one that talks nonsense does.
        let Ok(Ok(status)) = timeout(Duration::from_secs(1), self.child.wait()).await else {
            self.end().await;
            return crashed(pipe);
        };
        match status.signal().map(Signal::try_from) {
            Some(Ok(Signal::SIGXCPU)) => TypesetError::TimedOut,
            // Memory that is refused aborts a process, and so does a stack that is used up.
            Some(Ok(Signal::SIGABRT | Signal::SIGSEGV | Signal::SIGBUS)) => TypesetError::Aborted,
            None if status.code() == Some(PANICKED) => TypesetError::Aborted,
            _ => TypesetError::Crashed {
                cause: format!("{status}; {pipe}"),
            },
        }
    }
}

fn rendered(file: Vec<u8>, pages: Option<u32>) -> Rendered {
    let sha256 = data_encoding::HEXLOWER.encode(digest(&SHA256, &file).as_ref());
    Rendered {
        file,
        pages,
        sha256,
    }
}

fn crashed(error: &impl ToString) -> TypesetError {
    TypesetError::Crashed {
        cause: error.to_string(),
    }
}
