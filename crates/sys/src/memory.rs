//! The process's own memory.

/// Gives memory that was freed back to the system. The allocator keeps it for later, which a
/// process that now idles for days does not need.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes no pointers; glibc allows it at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
