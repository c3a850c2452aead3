//! Where lines are written, and when: those of requests may wait for each other, all others are written at once.

use std::cell::Cell;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Builder;

/// More than this does not wait, in bytes.
const ENOUGH: usize = 8 << 10;

thread_local! {
    /// This thread is at work for a runtime that says when it comes to rest.
    static AT_WORK: Cell<bool> = const { Cell::new(false) };
}

/// Writes lines in the order in which they came. Clones share them. A log that cannot be written ends no request: such
/// lines are lost.
#[derive(Debug)]
pub struct Pen<W>(Arc<Mutex<Waiting<W>>>);

#[derive(Debug)]
struct Waiting<W> {
    lines: Vec<u8>,
    out: W,
}

impl<W> Clone for Pen<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<W: Write> Pen<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self(Arc::new(Mutex::new(Waiting { lines: Vec::new(), out })))
    }

    /// Writes `line`, after those that wait.
    pub fn write(&self, line: &[u8]) {
        let mut waiting = self.lock();
        if waiting.lines.is_empty() {
            let _ = waiting.out.write_all(line);
        } else {
            waiting.lines.extend_from_slice(line);
            waiting.flush();
        }
    }

    /// Writes `line` before this thread comes to rest: under load, one call to the system serves many lines. On a thread
    /// whose rest is not told of, that is now.
    pub fn write_soon(&self, line: &[u8]) {
        if !AT_WORK.get() {
            return self.write(line);
        }
        let mut waiting = self.lock();
        waiting.lines.extend_from_slice(line);
        if waiting.lines.len() >= ENOUGH {
            waiting.flush();
        }
    }

    /// Writes what waits.
    pub fn flush(&self) {
        self.lock().flush();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<W>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Write + Send + 'static> Pen<W> {
    /// Lets the threads of the runtime say when they come to rest. Without, no line waits.
    pub fn follow<'a>(&self, runtime: &'a mut Builder) -> &'a mut Builder {
        let pen = self.clone();
        runtime.on_thread_unpark(|| AT_WORK.set(true)).on_thread_park(move || {
            AT_WORK.set(false);
            pen.flush();
        })
    }
}

impl<W: Write> Waiting<W> {
    fn flush(&mut self) {
        if !self.lines.is_empty() {
            let _ = self.out.write_all(&self.lines);
            self.lines.clear();
            self.lines.shrink_to(2 * ENOUGH); // one long line is not remembered for ever
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Each call to it, as one text.
    #[derive(Clone, Default)]
    struct Calls(Arc<Mutex<Vec<String>>>);

    impl Write for Calls {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().push(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn pen() -> (Pen<Calls>, impl Fn() -> Vec<String>) {
        let calls = Calls::default();
        (Pen::new(calls.clone()), move || calls.0.lock().unwrap().clone())
    }

    /// Nobody would say when an unknown thread rests.
    #[test]
    fn elsewhere_no_line_waits() {
        let (pen, calls) = pen();
        pen.write_soon(b"a");
        assert_eq!(calls(), ["a"]);
    }

    /// What is no line of a request takes along what waited before it, in order.
    #[test]
    fn lines_keep_their_order() {
        let (pen, calls) = pen();
        AT_WORK.set(true);
        pen.write_soon(b"a");
        pen.write_soon(b"b");
        assert!(calls().is_empty());
        pen.write(b"c");
        pen.write(b"d");
        pen.write_soon(b"e");
        pen.flush();
        pen.flush();
        assert_eq!(calls(), ["abc", "d", "e"]);
        AT_WORK.set(false);
    }

    /// S-97: the lines that wait are bounded.
    #[test]
    fn not_too_many_wait() {
        let (pen, calls) = pen();
        AT_WORK.set(true);
        let line = [b'x'; 1000];
        (0..9).for_each(|_| pen.write_soon(&line));
        assert_eq!(calls().concat().len(), 9000);
        AT_WORK.set(false);
    }

    /// A runtime's threads write before they rest, so that no line waits for the next request.
    #[test]
    fn a_thread_that_rests_has_written() {
        struct Told(mpsc::Sender<String>);
        impl Write for Told {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                let _ = self.0.send(String::from_utf8_lossy(bytes).into_owned());
                Ok(bytes.len())
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }

        let (told, calls) = mpsc::channel();
        let pen = Pen::new(Told(told));
        let mut builder = Builder::new_multi_thread();
        let runtime = pen.follow(builder.worker_threads(1)).build().unwrap();
        let (ask, asked) = mpsc::channel();
        let (answer, mut answered) = tokio::sync::mpsc::unbounded_channel();
        runtime.spawn(async move {
            while !AT_WORK.get() {
                ask.send(()).unwrap(); // until the thread has rested once
                answered.recv().await.unwrap();
            }
            pen.write_soon(b"a");
            pen.write_soon(b"b");
        });
        asked.iter().for_each(|()| answer.send(()).unwrap());
        let line = calls.recv_timeout(std::time::Duration::from_secs(30));
        assert_eq!(line.as_deref(), Ok("ab"));
    }
}
