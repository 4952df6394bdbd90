/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_SUITE_H
#define SHMB_TESTS_SUITE_H

/*
 * What every integration test program shares: one TCase and time-out for each test, skips that are printed and counted, waits that are
 * bounded, and the check after each test that nothing is left of it. With the address sanitizer built in, a report of any process that a test started
 * fails that test and is shown at the end, however the process ended and wherever its stderr went.
 *
 *   SHMB_TEST_SLOW=N      all waits and time-outs N times as long (emulators, valgrind)
 *   SHMB_TEST_HURRY=N     waits 1/N as long (for a run that is expected to fail)
 *   SHMB_TEST_NO_SKIP=1   a skipped test is a failed one
 *   SHMB_TEST_WRAPPER     put before every program under test ("qemu-aarch64 -L /")
 *   CK_RUN_CASE=NAME      run only this test
 *   CK_EXCLUDE_TAGS="..." leave out these, as "test_waitset/forked"
 */

#include <check.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Built with a sanitizer of memory or threads, whose memory is no measure, and which makes mlock() do nothing? */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SUITE_SANITIZED true
#elif defined(__has_feature)
#define SUITE_SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define SUITE_SANITIZED false
#endif

/* How long a wait for something that must happen lasts at most: 50 times and more of what it takes. Milliseconds. */
enum { SUITE_PATIENCE_MS = 15000 };

/* Adds a test of its own TCase, with the leak check as its fixture. `seconds` is its time-out. */
#define suite_add(suite, test, seconds) suite_add_test(suite, #test, test, seconds)
void suite_add_test(Suite *suite, const char *name, const TTest *test, double seconds);
/* A test that is there several times: `index` is its _i. */
void suite_add_each(Suite *suite, const char *name, const TTest *test, double seconds, int index);

/* Runs, prints totals and skips and, where a test failed, the logs of its daemons; removes what it left. Returns the exit status. */
int suite_run(Suite *suite);

/* For a program whose suites run in several processes at once: in each of them one. */
int suite_run_part(Suite *suite);
/* Before everything else: starts this program once more, with a place for reports, unless that was done already or no sanitizer is built in. */
void suite_reports_begin(void);
/* When all have ended: shows the reports, and removes them. Returns how many there were. */
unsigned suite_reports_end(void);
/* Has the process left a report? */
bool suite_has_reported(pid_t pid);

/* Ends the test as skipped, saying why. For use in the test function itself. */
#define TEST_SKIP(...)                                                                                                                     \
	do {                                                                                                                               \
		suite_skip(__func__, __VA_ARGS__);                                                                                         \
		return;                                                                                                                    \
	} while (0)
void suite_skip(const char *function, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One more option of the address sanitizer ("detect_leaks=0") for the programs that this test starts from here on. */
void suite_sanitizer_option(const char *option);

/* The pid in the names of all files of this test program. */
pid_t suite_pid(void);
unsigned suite_slow(void);

/* Time: CLOCK_MONOTONIC nanoseconds. */
uint64_t now_ns(void);
/* The time `ms` milliseconds (times SHMB_TEST_SLOW) from now. */
uint64_t deadline_in(unsigned ms);
void sleep_ms(unsigned ms);
/* The time since `begin_ns` goes to *least_ns where it is less: of several tries the one that nothing held up. */
void time_least(uint64_t *least_ns, uint64_t begin_ns);
/* Sleeps a moment and returns true until `deadline` has passed: `while (!condition) ck_assert(suite_pause(deadline));` */
bool suite_pause(uint64_t deadline);

/* Repeats until the condition holds; fails the test when it does not within SUITE_PATIENCE_MS. */
#define WAIT_UNTIL(condition)                                                                                                              \
	do {                                                                                                                               \
		uint64_t wait_until_deadline = deadline_in(SUITE_PATIENCE_MS);                                                             \
		while (!(condition))                                                                                                       \
			ck_assert_msg(suite_pause(wait_until_deadline), "waited in vain for: %s", #condition);                             \
	} while (0)

/* Open descriptors of a process; -1 when it cannot be told. */
int fds_count(pid_t pid);
/* Those whose target (as /proc says) begins with this. */
int fds_count_of(pid_t pid, const char *target);
void fds_print(pid_t pid, const char *who);
/* A file of /proc/PID ("status"), as file_read() has it. */
char *proc_read(pid_t pid, const char *file);
/* The number of its line "KEY: NUMBER", which is not the first; -1 when there is none. */
long proc_number(pid_t pid, const char *file, const char *key);
/* Does a mapping of the process have this text in its path? */
bool maps_contain(pid_t pid, const char *text);
/* How often a process has gone to sleep and been woken, as /proc says; -1 when it cannot be told. */
long wakeups(pid_t pid);
/* Names in a directory, sorted, one a line; "" when there is none. The caller frees it. */
char *dir_names(const char *path);
void dir_remove(const char *path);
/* The whole file, NUL-terminated; NULL when it cannot be read. The caller frees it. */
char *file_read(const char *path, size_t *size);
void file_write(const char *path, const void *bytes, size_t size);
/* How often `text` occurs in `where`. */
unsigned text_count(const char *where, const char *text);

#endif
