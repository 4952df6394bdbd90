/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_CALLS_H
#define SHMB_TESTS_CALLS_H

/*
 * What can fail of what daemon and library call, and how: the errors that the manual page of each names and that are possible with the arguments
 * we give it. Not: those of a wrong argument, as EBADF, EFAULT, EINVAL; nor what is true or not, and comes by itself: ETIMEDOUT of a futex, ENOENT of
 * unlink(2), EAGAIN of an eventfd; a wake of a word that is mapped; taking out of an epoll what is in it.
 *
 * CALL(name, how it says so, errors): of a symbol "64" is left out, as openat64 is openat.
 * VARIANT(name, call, condition, errors): where the arguments a (first) to c (third) meet the condition, these instead. The first that fits counts.
 *
 * Besides errors, what comes in parts: INJECT_END, nothing more comes; INJECT_SHORT, half of what was asked for.
 *
 * How: FAIL_MINUS -1 and errno; FAIL_NULL NULL and errno; FAIL_CODE the error itself; FAIL_NEGATIVE the negative error; FAIL_DONE it is done and
 * then said to have failed, as close(2) does; FAIL_MEMORY a block of memory, counted while it is held; FAIL_NEVER only counted.
 */

#define ERRORS(...) __VA_ARGS__

#define INJECT_CALLS(CALL)                                                                                                                 \
	CALL(malloc, FAIL_MEMORY, ERRORS(ENOMEM))                                                                                          \
	CALL(calloc, FAIL_MEMORY, ERRORS(ENOMEM))                                                                                          \
	CALL(realloc, FAIL_MEMORY, ERRORS(ENOMEM))                                                                                         \
	CALL(reallocarray, FAIL_MEMORY, ERRORS(ENOMEM))                                                                                    \
	CALL(aligned_alloc, FAIL_MEMORY, ERRORS(ENOMEM))                                                                                   \
	CALL(strdup, FAIL_MEMORY, ERRORS(ENOMEM))                                                                                          \
	CALL(free, FAIL_NEVER, ERRORS(0))                                                                                                  \
	CALL(tsearch, FAIL_NULL, ERRORS(ENOMEM))                                                                                           \
	CALL(accept4, FAIL_MINUS, ERRORS(EAGAIN, ECONNABORTED, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM, EPROTO))                     \
	CALL(access, FAIL_MINUS, ERRORS(EACCES, EIO, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR))                                        \
	CALL(bind, FAIL_MINUS, ERRORS(EACCES, EADDRINUSE, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR, EROFS))                            \
	CALL(clock_gettime, FAIL_NEVER, ERRORS(0))                                                                                         \
	CALL(clock_nanosleep, FAIL_CODE, ERRORS(EINTR))                                                                                    \
	CALL(close, FAIL_DONE, ERRORS(EINTR, EIO, ENOSPC, EDQUOT))                                                                         \
	CALL(close_range, FAIL_MINUS, ERRORS(ENOMEM, ENOSYS))                                                                              \
	CALL(closedir, FAIL_DONE, ERRORS(EINTR))                                                                                           \
	CALL(connect, FAIL_MINUS, ERRORS(EACCES, EPERM, EAGAIN, ECONNREFUSED, EINTR, ENOENT, EPROTOTYPE))                                  \
	CALL(epoll_create1, FAIL_MINUS, ERRORS(EMFILE, ENFILE, ENOMEM))                                                                    \
	CALL(epoll_ctl, FAIL_MINUS, ERRORS(ENOMEM, ENOSPC, EPERM))                                                                         \
	CALL(epoll_wait, FAIL_MINUS, ERRORS(EINTR))                                                                                        \
	CALL(ev_loop_new, FAIL_NULL, ERRORS(EMFILE, ENOMEM))                                                                               \
	CALL(eventfd, FAIL_MINUS, ERRORS(EMFILE, ENFILE, ENODEV, ENOMEM))                                                                  \
	CALL(eventfd_read, FAIL_MINUS, ERRORS(EAGAIN, EINTR))                                                                              \
	CALL(eventfd_write, FAIL_MINUS, ERRORS(EINTR))                                                                                     \
	CALL(fallocate, FAIL_MINUS, ERRORS(EINTR, EIO, ENOSPC, ENOSYS, EOPNOTSUPP, EPERM))                                                 \
	CALL(fchmod, FAIL_MINUS, ERRORS(EIO, EPERM, EROFS))                                                                                \
	CALL(fcntl, FAIL_MINUS, ERRORS(EINVAL))                                                                                            \
	CALL(fdopendir, FAIL_NULL, ERRORS(ENOMEM))                                                                                         \
	CALL(flock, FAIL_MINUS, ERRORS(EINTR, ENOLCK, EWOULDBLOCK))                                                                        \
	CALL(fstat, FAIL_MINUS, ERRORS(ENOMEM, EOVERFLOW))                                                                                 \
	CALL(fstatat, FAIL_MINUS, ERRORS(EACCES, ELOOP, ENOENT, ENOMEM, ENOTDIR, EOVERFLOW))                                               \
	CALL(fstatfs, FAIL_MINUS, ERRORS(EINTR, EIO, ENOMEM, ENOSYS, EOVERFLOW))                                                           \
	CALL(fstatvfs, FAIL_MINUS, ERRORS(EINTR, EIO, ENOMEM, ENOSYS, EOVERFLOW))                                                          \
	CALL(ftruncate, FAIL_MINUS, ERRORS(EFBIG, EINTR, EIO, EPERM, EROFS))                                                               \
	CALL(getgrnam, FAIL_NULL, ERRORS(EINTR, EIO, EMFILE, ENFILE, ENOMEM))                                                              \
	CALL(getpwnam, FAIL_NULL, ERRORS(EINTR, EIO, EMFILE, ENFILE, ENOMEM))                                                              \
	CALL(getrandom, FAIL_MINUS, ERRORS(EINTR, ENOSYS))                                                                                 \
	CALL(getsockname, FAIL_MINUS, ERRORS(ENOBUFS))                                                                                     \
	CALL(getsockopt, FAIL_MINUS, ERRORS(ENOPROTOOPT))                                                                                  \
	CALL(ini_parse_stream, FAIL_CODE, ERRORS(-2))                                                                                      \
	CALL(ioctl, FAIL_MINUS, ERRORS(ENOTTY))                                                                                            \
	CALL(linkat, FAIL_MINUS,                                                                                                           \
	     ERRORS(EACCES, EDQUOT, EEXIST, EIO, ELOOP, EMLINK, ENAMETOOLONG, ENOENT, ENOMEM, ENOSPC, ENOTDIR, EPERM, EROFS, EXDEV))       \
	CALL(listen, FAIL_MINUS, ERRORS(EADDRINUSE, EOPNOTSUPP))                                                                           \
	CALL(lstat, FAIL_MINUS, ERRORS(EACCES, ELOOP, ENOENT, ENOMEM, ENOTDIR, EOVERFLOW))                                                 \
	CALL(madvise, FAIL_MINUS, ERRORS(EAGAIN, EINVAL, EIO, ENOMEM))                                                                     \
	CALL(memfd_create, FAIL_MINUS, ERRORS(EMFILE, ENFILE, ENOMEM, EPERM))                                                              \
	CALL(mkdir, FAIL_MINUS,                                                                                                            \
	     ERRORS(EACCES, EDQUOT, EEXIST, ELOOP, EMLINK, ENAMETOOLONG, ENOENT, ENOMEM, ENOSPC, ENOTDIR, EPERM, EROFS))                   \
	CALL(mlock, FAIL_MINUS, ERRORS(EAGAIN, ENOMEM, EPERM))                                                                             \
	CALL(mmap, FAIL_MINUS, ERRORS(EACCES, EAGAIN, ENFILE, ENODEV, ENOMEM, EPERM))                                                      \
	CALL(mremap, FAIL_MINUS, ERRORS(EAGAIN, ENOMEM))                                                                                   \
	CALL(munmap, FAIL_DONE, ERRORS(ENOMEM))                                                                                            \
	CALL(nanosleep, FAIL_MINUS, ERRORS(EINTR))                                                                                         \
	CALL(open, FAIL_MINUS,                                                                                                             \
	     ERRORS(EACCES, EINTR, ELOOP, EMFILE, ENFILE, ENODEV, ENOENT, ENOMEM, ENOTDIR, ENXIO, EOVERFLOW, EPERM, EWOULDBLOCK))          \
	CALL(openat, FAIL_MINUS,                                                                                                           \
	     ERRORS(EACCES, EINTR, ELOOP, EMFILE, ENFILE, ENODEV, ENOENT, ENOMEM, ENOTDIR, ENXIO, EOVERFLOW, EPERM, EWOULDBLOCK))          \
	CALL(opendir, FAIL_NULL, ERRORS(EACCES, EMFILE, ENFILE, ENOENT, ENOMEM, ENOTDIR))                                                  \
	CALL(pidfd_open, FAIL_MINUS, ERRORS(EINVAL, EMFILE, ENFILE, ENODEV, ENOMEM, ESRCH))                                                \
	CALL(pipe2, FAIL_MINUS, ERRORS(EMFILE, ENFILE))                                                                                    \
	CALL(poll, FAIL_MINUS, ERRORS(EINTR, ENOMEM))                                                                                      \
	CALL(posix_fallocate, FAIL_CODE, ERRORS(EFBIG, EINTR, ENODEV, ENOSPC, EOPNOTSUPP))                                                 \
	CALL(ppoll, FAIL_MINUS, ERRORS(EINTR, ENOMEM))                                                                                     \
	CALL(pread, FAIL_MINUS, ERRORS(EINTR, EIO, INJECT_END, INJECT_SHORT))                                                              \
	CALL(pthread_attr_init, FAIL_CODE, ERRORS(ENOMEM))                                                                                 \
	CALL(pthread_attr_setsigmask_np, FAIL_CODE, ERRORS(ENOMEM))                                                                        \
	CALL(pthread_create, FAIL_CODE, ERRORS(EAGAIN, EPERM))                                                                             \
	CALL(pthread_mutex_trylock, FAIL_CODE, ERRORS(EBUSY))                                                                              \
	CALL(pthread_setname_np, FAIL_CODE, ERRORS(EIO))                                                                                   \
	CALL(pwrite, FAIL_MINUS, ERRORS(EDQUOT, EFBIG, EINTR, EIO, ENOSPC, EPERM, INJECT_SHORT))                                           \
	CALL(pwritev2, FAIL_MINUS, ERRORS(EAGAIN, EINTR, EIO, ENOSPC, EOPNOTSUPP, EPIPE))                                                  \
	CALL(read, FAIL_MINUS, ERRORS(EAGAIN, EINTR, EIO, INJECT_END, INJECT_SHORT))                                                       \
	CALL(readdir, FAIL_NULL, ERRORS(EIO, ENOENT))                                                                                      \
	CALL(recv, FAIL_MINUS, ERRORS(EAGAIN, ECONNRESET, EINTR, ENOMEM, INJECT_END))                                                      \
	CALL(recvmsg, FAIL_MINUS, ERRORS(EAGAIN, ECONNRESET, EINTR, ENOMEM, INJECT_END))                                                   \
	CALL(rename, FAIL_MINUS, ERRORS(EACCES, EBUSY, EDQUOT, ELOOP, ENOENT, ENOMEM, ENOSPC, EPERM, EROFS, EXDEV))                        \
	CALL(renameat2, FAIL_MINUS,                                                                                                        \
	     ERRORS(EACCES, EBUSY, EDQUOT, EEXIST, EINVAL, ELOOP, ENOENT, ENOMEM, ENOSPC, ENOSYS, EPERM, EROFS, EXDEV))                    \
	CALL(sd_is_socket_unix, FAIL_NEGATIVE, ERRORS(EINVAL, ENOMEM))                                                                     \
	CALL(sd_listen_fds_with_names, FAIL_NEGATIVE, ERRORS(EINVAL, ENOMEM))                                                              \
	CALL(sd_watchdog_enabled, FAIL_NEGATIVE, ERRORS(EINVAL))                                                                           \
	CALL(send, FAIL_MINUS, ERRORS(EAGAIN, ECONNRESET, EINTR, EMSGSIZE, ENOBUFS, ENOMEM, EPIPE))                                        \
	CALL(sendmsg, FAIL_MINUS,                                                                                                          \
	     ERRORS(EAGAIN, ECONNREFUSED, ECONNRESET, EINTR, EMSGSIZE, ENOBUFS, ENOENT, ENOMEM, ENOTCONN, EPIPE, ETOOMANYREFS))            \
	CALL(setrlimit, FAIL_MINUS, ERRORS(EPERM))                                                                                         \
	CALL(setsockopt, FAIL_MINUS, ERRORS(ENOMEM, ENOPROTOOPT))                                                                          \
	CALL(shutdown, FAIL_MINUS, ERRORS(ENOTCONN))                                                                                       \
	CALL(socket, FAIL_MINUS, ERRORS(EACCES, EAFNOSUPPORT, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPROTONOSUPPORT))                           \
	CALL(stat, FAIL_MINUS, ERRORS(EACCES, ELOOP, ENOENT, ENOMEM, ENOTDIR, EOVERFLOW))                                                  \
	CALL(syscall, FAIL_MINUS, ERRORS(ENOSYS))                                                                                          \
	CALL(timerfd_create, FAIL_MINUS, ERRORS(EMFILE, ENFILE, ENODEV, ENOMEM, EPERM))                                                    \
	CALL(unlink, FAIL_MINUS, ERRORS(EACCES, EBUSY, EIO, EISDIR, ELOOP, ENOMEM, EPERM, EROFS))                                          \
	CALL(unlinkat, FAIL_MINUS, ERRORS(EACCES, EBUSY, EIO, EISDIR, ELOOP, ENOMEM, EPERM, EROFS))                                        \
	CALL(write, FAIL_MINUS, ERRORS(EAGAIN, EDQUOT, EFBIG, EINTR, EIO, ENOSPC, EPERM, EPIPE))

/* What was written at once comes out of a pipe at once. */
#define INJECT_VARIANTS(VARIANT)                                                                                                           \
	VARIANT(openat_tmpfile, openat, (c & O_TMPFILE) == O_TMPFILE,                                                                      \
		ERRORS(EACCES, EDQUOT, EINTR, EISDIR, EMFILE, ENFILE, ENOENT, ENOMEM, ENOSPC, EOPNOTSUPP, EPERM, EROFS))                   \
	VARIANT(openat_create, openat, (c & O_CREAT) != 0,                                                                                 \
		ERRORS(EACCES, EDQUOT, EEXIST, EINTR, EISDIR, ELOOP, EMFILE, ENFILE, ENOENT, ENOMEM, ENOSPC, EPERM, EROFS))                \
	VARIANT(open_create, open, (b & O_CREAT) != 0,                                                                                     \
		ERRORS(EACCES, EDQUOT, EEXIST, EINTR, EISDIR, ELOOP, EMFILE, ENFILE, ENOENT, ENOMEM, ENOSPC, EPERM, EROFS))                \
	VARIANT(fcntl_add_seals, fcntl, b == F_ADD_SEALS, ERRORS(EBUSY, EPERM))                                                            \
	VARIANT(fcntl_get_seals, fcntl, b == F_GET_SEALS, ERRORS(EPERM))                                                                   \
	VARIANT(fcntl_lock, fcntl, b == F_OFD_SETLK, ERRORS(EACCES, EAGAIN, EINTR, ENOLCK))                                                \
	VARIANT(fcntl_lease, fcntl, b == F_SETLEASE, ERRORS(EACCES, EAGAIN, ENOMEM))                                                       \
	VARIANT(fcntl_flags, fcntl, b == F_SETFL || b == F_GETFL, ERRORS(EPERM))                                                           \
	VARIANT(ioctl_queue, ioctl, b == SIOCOUTQ, ERRORS(ENOTTY))                                                                         \
	VARIANT(read_pipe, read, is_pipe((int)a), ERRORS(EAGAIN, EINTR, EIO, INJECT_END))                                                  \
	VARIANT(epoll_remove, epoll_ctl, b == EPOLL_CTL_DEL, ERRORS(0))                                                                    \
	VARIANT(memory_wipe, madvise, c == MADV_WIPEONFORK, ERRORS(EAGAIN, EINVAL, ENOMEM))                                                \
	VARIANT(futex_wake, syscall, a == SYS_futex && (c & FUTEX_CMD_MASK) == FUTEX_WAKE, ERRORS(0))                                      \
	VARIANT(futex_wait, syscall, a == SYS_futex, ERRORS(EAGAIN, EINTR))                                                                \
	VARIANT(futex_waitv, syscall, a == SYS_FUTEX_WAITV, ERRORS(EAGAIN, EINTR, ENOMEM, ENOSYS))                                         \
	VARIANT(syscall_pidfd_open, syscall, a == SYS_pidfd_open, ERRORS(EMFILE, ENFILE, ENODEV, ENOMEM, ESRCH))

#endif
