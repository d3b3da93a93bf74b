//! A file system whose server never answers, as NFS of a machine that is gone.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// Mounted until it is dropped; then whoever waits for it gets an error.
pub struct Hung {
    place: PathBuf,
    /// Nobody ever reads what is asked here.
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
        Self {
            place: place.to_owned(),
            device: Some(device),
        }
    }

    /// Ends the server: all who wait get an error.
    pub fn end(&mut self) {
        self.device = None;
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        self.end();
        let _ = unmount(&self.place, UnmountFlags::DETACH);
    }
}
