//! The two directions of a stream as two values.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::rc::Rc;

/// Makes two values of a stream, one to read and one to write, for two fibers or for code that
/// takes them by value. Any stream will do that reads and writes by shared reference:
/// [`TcpStream`](crate::TcpStream), [`UnixStream`](crate::UnixStream),
/// [`MemoryStream`](crate::MemoryStream), `straightline::Upgraded`.
///
/// Where both directions live in one function, no split is needed: `&stream` is a `Read` and a
/// `Write` as well. The stream is closed when both halves are dropped; to drop one of them tells
/// the peer nothing.
///
/// Not a yield point.
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::Shutdown;
/// use straightline_net::{UnixStream, split};
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let (near, mut far) = UnixStream::pair()?;
///     let (mut reader, mut writer) = split(near);
///     let received = sched::spawn(move || {
///         let mut text = String::new();
///         reader.read_to_string(&mut text).map(|_| text)
///     });
///     writer.write_all(b"ask")?;
///     writer.get_ref().shutdown(Shutdown::Write)?;
///     std::io::copy(&mut (&far), &mut std::io::sink())?; // up to the end of the question
///     far.write_all(b"answer")?;
///     drop(far);
///     assert_eq!(received.join().unwrap()?, "answer");
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn split<S>(stream: S) -> (ReadHalf<S>, WriteHalf<S>)
where
    for<'s> &'s S: Read + Write,
{
    let stream = Rc::new(stream);
    (ReadHalf { stream: Rc::clone(&stream) }, WriteHalf { stream })
}

/// The half of a stream that reads, see [`split`].
pub struct ReadHalf<S> {
    stream: Rc<S>,
}

/// The half of a stream that writes, see [`split`].
pub struct WriteHalf<S> {
    stream: Rc<S>,
}

impl<S> ReadHalf<S> {
    /// The stream, for its timeouts and addresses. Not a yield point.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl<S> WriteHalf<S> {
    /// The stream, for its timeouts, and to shut its writing side down. Not a yield point.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl<S> Read for ReadHalf<S>
where
    for<'s> &'s S: Read,
{
    /// As the stream's read.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.stream).read(buffer)
    }

    /// As the stream's read.
    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self.stream).read_vectored(buffers)
    }
}

impl<S> Write for WriteHalf<S>
where
    for<'s> &'s S: Write,
{
    /// As the stream's write.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.stream).write(bytes)
    }

    /// As the stream's write.
    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self.stream).write_vectored(buffers)
    }

    /// As the stream's flush.
    fn flush(&mut self) -> io::Result<()> {
        (&*self.stream).flush()
    }
}

impl<S: fmt::Debug> fmt::Debug for ReadHalf<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadHalf").field(&self.stream).finish()
    }
}

impl<S: fmt::Debug> fmt::Debug for WriteHalf<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WriteHalf").field(&self.stream).finish()
    }
}
