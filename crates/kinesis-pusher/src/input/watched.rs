//! A regular file that is noticed when it shrinks.

use std::fs::File;
use std::io::{self, Error, ErrorKind, Read, Seek};

/// Reads a regular file, and reports an error in place of its end if the file was cut short meanwhile: records were
/// lost then, and the last line may be half a line.
///
/// A file that grows is read to the end that it has when the reading gets there.
pub(super) struct Watched<R> {
    input: R,
    /// The file behind `input`.
    file: File,
    /// The length it had at first.
    bytes: u64,
    position: u64,
}

impl<R: Read> Watched<R> {
    /// Watches `file`, which `input` reads and which had at least `bytes` at one time.
    ///
    /// # Errors
    /// When the system does not tell the length of the file.
    pub(super) fn new(input: R, mut file: File, bytes: u64) -> io::Result<Self> {
        let bytes = file.metadata()?.len().max(bytes);
        let position = file.stream_position()?;
        Ok(Self { input, file, bytes, position })
    }

    fn check_end(&self) -> io::Result<()> {
        let bytes = self.file.metadata()?.len();
        // Files of /proc have a length of 0, and hold something all the same.
        let is_short_of_position = self.bytes > 0 && bytes < self.position;
        if bytes >= self.bytes && !is_short_of_position {
            return Ok(());
        }
        let bytes_before = self.bytes.max(self.position);
        let message = format!(
            "it was cut from {bytes_before} to {bytes} bytes while it was read, up to byte {}",
            self.position
        );
        Err(Error::new(ErrorKind::UnexpectedEof, message))
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        if read == 0 && !buffer.is_empty() {
            self.check_end()?;
        }
        self.position += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;

    use super::*;

    fn watched(path: &Path) -> Watched<File> {
        let file = File::open(path).unwrap();
        Watched::new(file.try_clone().unwrap(), file, 0).unwrap()
    }

    #[test]
    fn a_file_that_shrinks_is_an_error_wherever_the_reading_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        for (read_before, cut_to) in [(500, 0), (500, 300), (500, 500), (500, 700), (1_000, 999), (0, 0)] {
            std::fs::write(&path, [b'x'; 1_000]).unwrap();
            let mut file = watched(&path);
            file.read_exact(&mut vec![0; read_before]).unwrap();
            File::options().write(true).open(&path).unwrap().set_len(cut_to).unwrap();
            let error = file.read_to_end(&mut Vec::new()).unwrap_err();
            let position = cut_to.max(read_before as u64);
            assert_eq!(
                error.to_string(),
                format!("it was cut from 1000 to {cut_to} bytes while it was read, up to byte {position}")
            );
        }
    }

    #[test]
    fn a_file_that_grows_is_read_to_its_end_and_one_that_shrinks_back_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "one").unwrap();
        let mut file = watched(&path);
        let mut text = [0; 3];
        file.read_exact(&mut text).unwrap();
        File::options().append(true).open(&path).unwrap().write_all(b"two").unwrap();
        file.read_exact(&mut text).unwrap();
        assert_eq!(file.read(&mut text).unwrap(), 0);
        File::options().write(true).open(&path).unwrap().set_len(4).unwrap();
        let error = file.read(&mut text).unwrap_err().to_string();
        assert!(error.starts_with("it was cut from 6 to 4 bytes"), "{error}");
    }

    #[test]
    fn a_file_that_was_longer_when_it_was_checked_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "one").unwrap();
        let file = File::open(&path).unwrap();
        let mut file = Watched::new(file.try_clone().unwrap(), file, 10).unwrap();
        let error = file.read_to_end(&mut Vec::new()).unwrap_err().to_string();
        assert!(error.starts_with("it was cut from 10 to 3 bytes"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn files_of_the_kernel_whose_length_is_made_up_end_well() {
        for path in ["/proc/self/status", "/sys/kernel/mm/transparent_hugepage/enabled"] {
            if Path::new(path).exists() {
                watched(Path::new(path)).read_to_end(&mut Vec::new()).unwrap();
            }
        }
    }
}
