//! Descriptors that travel over Unix sockets.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd},
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// The kernel's limit for one message.
pub const MAX_FDS: usize = 253;

/// Sends `bytes`, all of them, the descriptors with the first.
pub fn send_with_fds(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(fds.len()))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::other(format!(
            "{} descriptors do not fit one message",
            fds.len()
        )));
    }
    let mut at = 0;
    while at < bytes.len() {
        match sendmsg(
            &socket,
            &[IoSlice::new(&bytes[at..])],
            &mut control,
            SendFlags::NOSIGNAL,
        ) {
            Ok(n) => at += n,
            Err(rustix::io::Errno::INTR) => continue,
            Err(e) => return Err(e.into()),
        }
        control.clear();
    }
    Ok(())
}

/// Sends `bytes` with a descriptor that is known by its number only, since another process that
/// shares our table of descriptors has made it.
pub fn send_number(socket: impl AsFd, bytes: &[u8], number: RawFd) -> io::Result<()> {
    // SAFETY: borrowed for this call only; should it be closed meanwhile, the kernel says so.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    send_with_fds(socket, bytes, &[fd])
}

/// Receives what is there, as `read` does; descriptors that come along are added to `fds` and are
/// closed on exec.
pub fn recv_with_fds(
    socket: impl AsFd,
    buf: &mut [u8],
    fds: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = loop {
        let mut iov = [IoSliceMut::new(buf)];
        match recvmsg(&socket, &mut iov, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?,
        }
    };
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    if got.flags.contains(rustix::net::ReturnFlags::CTRUNC) {
        return Err(io::Error::other(
            "descriptors were lost on the way: the limit of open files (RLIMIT_NOFILE) is too low",
        ));
    }
    Ok(got.bytes)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Seek, Write},
        os::unix::net::UnixStream,
    };

    use super::*;

    #[test]
    fn descriptors_arrive() {
        let (a, b) = UnixStream::pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"content").unwrap();
        file.rewind().unwrap();
        send_with_fds(&a, b"hello", &[file.as_fd(), file.as_fd()]).unwrap();
        let (mut buf, mut fds) = ([0; 16], Vec::new());
        assert_eq!(recv_with_fds(&b, &mut buf, &mut fds).unwrap(), 5);
        assert_eq!(fds.len(), 2);
        let mut text = String::new();
        std::fs::File::from(fds.remove(0))
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "content");
    }
}
