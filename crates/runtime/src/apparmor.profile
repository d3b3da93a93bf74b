# wharf's default for containers. Other walls (namespaces, capabilities, seccomp, masked paths) stand
# already; this one keeps the kernel's own files shut should one of them give way.
profile wharf-default flags=(attach_disconnected, mediate_deleted) {
  file,
  network,
  capability,
  umount,

  # From the host, and among the container's own.
  signal (receive) peer=unconfined,
@DAEMON@  signal (send, receive) peer=wharf-default,
  ptrace (trace, read, tracedby, readby) peer=wharf-default,

  deny mount,

  # In /proc only the processes' own directories may be written to, and of the settings those of shared
  # memory, which belong to the IPC namespace.
  deny /proc/* w,
  deny /proc/[^1-9s]*/** w,
  deny /proc/s[^y]*/** w,
  deny /proc/sy[^s]*/** w,
  deny /proc/sys?*/** w,
  deny /proc/sys/[^k]** w,
  deny /proc/sys/k[^e]** w,
  deny /proc/sys/kernel/[^s]** w,
  deny /proc/sys/kernel/s[^h]** w,
  deny /proc/sys/kernel/sh[^m]** w,
  deny /proc/sysrq-trigger rwklx,
  deny /proc/kcore rwklx,

  # In /sys only the control groups.
  deny /sys/[^f]*/** wklx,
  deny /sys/f[^s]*/** wklx,
  deny /sys/fs/[^c]*/** wklx,
  deny /sys/fs/c[^g]*/** wklx,
  deny /sys/fs/cg[^r]*/** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
  deny /sys/kernel/security/** rwklx,
}
