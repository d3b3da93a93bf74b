//! A file system whose server never answers, as NFS of a machine that is gone.

use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// What a server says first, after the length, the error and the number: its version, and what it
/// can. The kernel fills up what it asked for.
const HELLO: [u32; 4] = [7, 23, 0, 0];
const HELLO_SIZE: usize = 64;

/// Mounted until it is dropped; then whoever waits for it gets an error.
pub struct Hung {
    place: PathBuf,
    /// Nobody reads what is asked here, but for the kernel's greeting.
    device: Option<File>,
}

impl Hung {
    /// Mounts one on the folder `place`.
    pub fn mount(place: &Path) -> Self {
        let device = File::options().read(true).write(true).open("/dev/fuse");
        let device = device.expect("/dev/fuse");
        let options = format!(
            "fd={},rootmode=40000,user_id=0,group_id=0,allow_other",
            device.as_raw_fd()
        );
        let options = CString::new(options).expect("no zero byte");
        mount(
            "hung",
            place,
            "fuse",
            MountFlags::empty(),
            options.as_c_str(),
        )
        .expect("a FUSE file system");
        greet(&device);
        Self {
            place: place.to_owned(),
            device: Some(device),
        }
    }

    /// Whether somebody waits for an answer.
    pub fn asked(&self) -> bool {
        let Some(device) = &self.device else {
            return false;
        };
        let mut fds = [PollFd::new(device, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    /// Ends the server: all who wait get an error.
    pub fn end(&mut self) {
        self.device = None;
    }
}

/// Answers the kernel's first question.
fn greet(mut device: &File) {
    let mut asked = vec![0; 1 << 16];
    let length = device.read(&mut asked).expect("the kernel's greeting");
    assert!(length > 16, "the kernel's greeting");
    let mut answer = Vec::new();
    answer.extend((16 + u32::try_from(HELLO_SIZE).expect("small")).to_ne_bytes());
    answer.extend(0_u32.to_ne_bytes());
    answer.extend_from_slice(&asked[8..16]);
    HELLO
        .iter()
        .for_each(|word| answer.extend(word.to_ne_bytes()));
    answer.resize(16 + HELLO_SIZE, 0);
    device
        .write_all(&answer)
        .expect("a greeting for the kernel");
}

impl Drop for Hung {
    fn drop(&mut self) {
        self.end();
        let _ = unmount(&self.place, UnmountFlags::DETACH);
    }
}
