/* SPDX-License-Identifier: MIT */
/*
 * The frame of every integration test program (suite.h).
 *
 * Each test runs in a process of its own (CK_FORK), which becomes a subreaper: whatever it or its children start comes back to it, so
 * that "no process is left" can be checked. Its directories carry the test program's pid in their names; whatever remains of them after a
 * failed or timed-out test is found by that name, its logs are shown, and it is removed.
 *
 * A sanitizer is told where to write when a program begins: the test program starts itself once more, with that in its environment for itself and all
 * that it starts. Killed processes, those whose stderr nobody reads and those of other users write there as well.
 */
#include "suite.h"

#include "broker.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pid_t main_pid;
static unsigned *skipped; /* shared with the forked tests */
static int fds_before;
static unsigned dirs_before; /* of tests that failed before this one */
static unsigned reports_before;

pid_t suite_pid(void)
{
	return main_pid;
}

unsigned suite_slow(void)
{
	const char *text = getenv("SHMB_TEST_SLOW");
	long factor = text != NULL ? strtol(text, NULL, 10) : 1;

	return factor >= 1 && factor <= 1000 ? (unsigned)factor : 1;
}

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t deadline_in(unsigned ms)
{
	const char *text = getenv("SHMB_TEST_HURRY");
	unsigned hurry = text != NULL && atoi(text) > 0 ? (unsigned)atoi(text) : 1;

	return now_ns() + (uint64_t)ms * suite_slow() * 1000000u / hurry;
}

void time_least(uint64_t *least_ns, uint64_t begin_ns)
{
	uint64_t took = now_ns() - begin_ns;

	*least_ns = took < *least_ns ? took : *least_ns;
}

void sleep_ms(unsigned ms)
{
	struct timespec rest = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	while (nanosleep(&rest, &rest) != 0 && errno == EINTR)
		;
}

bool suite_pause(uint64_t deadline)
{
	if (now_ns() >= deadline)
		return false;
	sleep_ms(1);
	return true;
}

/* ---- what a process has open ---- */

/* Those whose target begins with `only`. */
static int for_each_fd(pid_t pid, bool print, const char *only)
{
	char path[64];
	struct dirent *entry;
	int count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (dir == NULL)
		return -1;
	while ((entry = readdir(dir)) != NULL) {
		char target[512];
		ssize_t length;

		if (entry->d_name[0] == '.')
			continue;
		if (pid == getpid() && atoi(entry->d_name) == dirfd(dir))
			continue;
		length = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
		target[length > 0 ? length : 0] = '\0';
		if (strncmp(target, only, strlen(only)) != 0)
			continue;
		count++;
		if (print)
			fprintf(stderr, "  %s -> %s\n", entry->d_name, target);
	}
	closedir(dir);
	return count;
}

int fds_count(pid_t pid)
{
	return for_each_fd(pid, false, "");
}

int fds_count_of(pid_t pid, const char *target)
{
	return for_each_fd(pid, false, target);
}

void fds_print(pid_t pid, const char *who)
{
	fprintf(stderr, "descriptors of %s (%d):\n", who, (int)pid);
	for_each_fd(pid, true, "");
}

/* ---- what /proc says of a process ---- */

char *proc_read(pid_t pid, const char *file)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	return file_read(path, NULL);
}

long proc_number(pid_t pid, const char *file, const char *key)
{
	char *text = proc_read(pid, file);
	char label[64];
	char *line;
	long number = -1;

	snprintf(label, sizeof(label), "\n%s:", key);
	line = text != NULL ? strstr(text, label) : NULL;
	if (line != NULL)
		number = strtol(line + strlen(label), NULL, 10);
	free(text);
	return number;
}

bool maps_contain(pid_t pid, const char *text)
{
	char *maps = proc_read(pid, "maps");
	bool found = maps != NULL && strstr(maps, text) != NULL;

	free(maps);
	return found;
}

long wakeups(pid_t pid)
{
	return proc_number(pid, "status", "voluntary_ctxt_switches");
}

/* ---- files ---- */

char *dir_names(const char *path)
{
	struct dirent **entries = NULL;
	int count = scandir(path, &entries, NULL, alphasort);
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (int i = 0; i < count; i++) {
		if (strcmp(entries[i]->d_name, ".") != 0 && strcmp(entries[i]->d_name, "..") != 0)
			fprintf(out, "%s\n", entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	fclose(out);
	return text;
}

void dir_remove(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		char child[1024];
		struct stat status;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(child, sizeof(child), "%s/%s", path, entry->d_name);
		if (lstat(child, &status) == 0 && S_ISDIR(status.st_mode))
			dir_remove(child);
		else
			unlink(child);
	}
	if (dir != NULL)
		closedir(dir);
	rmdir(path);
}

char *file_read(const char *path, size_t *size)
{
	FILE *in = fopen(path, "re");
	char *text = NULL;
	size_t length = 0;
	size_t got;
	FILE *out;
	char block[4096];

	if (in == NULL)
		return NULL;
	out = open_memstream(&text, &length);
	while ((got = fread(block, 1, sizeof(block), in)) > 0)
		fwrite(block, 1, got, out);
	fclose(in);
	fclose(out);
	if (size != NULL)
		*size = length;
	return text;
}

void file_write(const char *path, const void *bytes, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
	ck_assert(write(fd, bytes, size) == (ssize_t)size);
	close(fd);
}

unsigned text_count(const char *where, const char *text)
{
	unsigned count = 0;

	for (const char *at = where; (at = strstr(at, text)) != NULL; at += strlen(text))
		count++;
	return count;
}

/* ---- reports of a sanitizer ---- */

static const char reports_name[] = "SHMB_TEST_REPORTS";

/* Their directory; NULL: no sanitizer is built in. */
static const char *reports_dir(void)
{
	return SUITE_SANITIZED ? getenv(reports_name) : NULL;
}

static void option_add(const char *variable, const char *option)
{
	const char *given = getenv(variable);
	char options[2048];

	snprintf(options, sizeof(options), "%s%s%s", given != NULL ? given : "", given != NULL ? ":" : "", option);
	setenv(variable, options, 1);
}

void suite_sanitizer_option(const char *option)
{
	option_add("ASAN_OPTIONS", option);
}

void suite_reports_begin(void)
{
	char dir[64];
	char option[256];
	char self[1024];
	char *argv[64];
	size_t argc = 0;
	size_t length;
	char *words;

	if (!SUITE_SANITIZED || getenv(reports_name) != NULL)
		return;
	snprintf(dir, sizeof(dir), "%s/shmb-reports-%d-XXXXXX", broker_tmp(), (int)getpid());
	words = file_read("/proc/self/cmdline", &length);
	memset(self, 0, sizeof(self));
	if (words == NULL || readlink("/proc/self/exe", self, sizeof(self) - 1) < 0 || mkdtemp(dir) == NULL || chmod(dir, 01777) < 0) {
		perror("no place for a sanitizer's reports");
		exit(EXIT_FAILURE);
	}
	for (char *word = words; word < words + length && argc < 63; word += strlen(word) + 1)
		argv[argc++] = word;
	argv[argc] = NULL;
	setenv(reports_name, dir, 1);
	/*
	 * gcc's undefined behaviour sanitizer writes to stderr alone, but it can abort, and that the other one reports. Both want the path: the one
	 * without it makes the other forget it.
	 */
	snprintf(option, sizeof(option), "log_path=%s/report:handle_abort=1", dir);
	option_add("ASAN_OPTIONS", option);
	snprintf(option, sizeof(option), "log_path=%s/report:halt_on_error=1:abort_on_error=1:print_stacktrace=1", dir);
	option_add("UBSAN_OPTIONS", option);
	execv(self, argv);
	perror(self);
	exit(EXIT_FAILURE);
}

bool suite_has_reported(pid_t pid)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/report.%d", reports_dir() != NULL ? reports_dir() : "", (int)pid);
	return reports_dir() != NULL && access(path, F_OK) == 0;
}

static unsigned reports_count(void)
{
	char *names = reports_dir() != NULL ? dir_names(reports_dir()) : NULL;
	unsigned count = names != NULL ? text_count(names, "\n") : 0;

	free(names);
	return count;
}

unsigned suite_reports_end(void)
{
	const char *dir = reports_dir();
	unsigned count = 0;
	char *names;
	char *rest;
	char *name;

	if (dir == NULL)
		return 0;
	names = dir_names(dir);
	rest = names;
	while ((name = strsep(&rest, "\n")) != NULL && *name != '\0') {
		char path[1024];
		char *text;

		snprintf(path, sizeof(path), "%s/%s", dir, name);
		text = file_read(path, NULL);
		fprintf(stderr, "---- a sanitizer's report ----\n%s---- end of report ----\n", text != NULL ? text : "(unreadable)\n");
		free(text);
		count++;
	}
	free(names);
	dir_remove(dir);
	if (count > 0)
		printf("reports of a sanitizer: %u\n", count);
	return count;
}

/* ---- tests ---- */

void suite_skip(const char *function, const char *format, ...)
{
	size_t length = strlen(function);
	char reason[512];
	va_list args;

	if (length > 3 && strcmp(function + length - 3, "_fn") == 0)
		length -= 3;
	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	printf("skipped: %.*s: %s\n", (int)length, function, reason);
	fflush(stdout);
	__atomic_add_fetch(skipped, 1, __ATOMIC_RELAXED);
	ck_assert_msg(getenv("SHMB_TEST_NO_SKIP") == NULL, "skipped where nothing may be: %s", reason);
}

/* Directories of this test program's tests. */
static unsigned left_over(const char *root)
{
	char prefix[64];
	char *names = dir_names(root);
	unsigned count;

	snprintf(prefix, sizeof(prefix), "shmb-test-%d-", (int)main_pid);
	count = text_count(names, prefix);
	free(names);
	return count;
}

static void test_begin(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	fds_before = fds_count(getpid());
	dirs_before = left_over("/dev/shm") + left_over(broker_tmp());
	reports_before = reports_count();
}

/* The end of every test: no process, no descriptor, no mapping, no directory of it is left, and no sanitizer has found anything. */
static void test_end(void)
{
	int fds_after;
	pid_t left;

	ck_assert_msg(broker_count() == 0, "%u broker(s) not finished", broker_count());
	left = waitpid(-1, NULL, WNOHANG);
	ck_assert_msg(left == -1 && errno == ECHILD, "a process is left (%d)", (int)left);
	fds_after = fds_count(getpid());
	if (fds_after != fds_before)
		fds_print(getpid(), "the test");
	ck_assert_int_eq(fds_after, fds_before);
	ck_assert_msg(!maps_contain(getpid(), "shmb-test-"), "a segment is still mapped");
	ck_assert_msg(left_over("/dev/shm") + left_over(broker_tmp()) == dirs_before, "a directory is left");
	ck_assert_msg(reports_count() == reports_before, "a sanitizer has reported something: see below");
}

void suite_add_each(Suite *suite, const char *name, const TTest *test, double seconds, int index)
{
	TCase *tcase = tcase_create(name);
	char tag[128];

	snprintf(tag, sizeof(tag), "%s/%s", program_invocation_short_name, name);
	tcase_set_tags(tcase, tag);
	tcase_set_timeout(tcase, seconds * suite_slow());
	tcase_add_checked_fixture(tcase, test_begin, test_end);
	tcase_add_loop_test(tcase, test, index, index + 1);
	suite_add_tcase(suite, tcase);
}

void suite_add_test(Suite *suite, const char *name, const TTest *test, double seconds)
{
	suite_add_each(suite, name, test, seconds, 0);
}

/* Shows the logs that failed tests left, and removes their files and directories. Returns how many there were. */
static unsigned sweep(const char *root)
{
	char prefix[64];
	char *names = dir_names(root);
	char *rest = names;
	char *name;
	unsigned count = 0;

	snprintf(prefix, sizeof(prefix), "shmb-test-%d-", (int)main_pid);
	while ((name = strsep(&rest, "\n")) != NULL) {
		char path[1024];
		char log[1100];
		char *text;

		if (strncmp(name, prefix, strlen(prefix)) != 0)
			continue;
		count++;
		snprintf(path, sizeof(path), "%s/%s", root, name);
		snprintf(log, sizeof(log), "%s/daemon.log", path);
		text = file_read(log, NULL);
		if (text != NULL)
			fprintf(stderr, "---- %s ----\n%s---- end of log ----\n", log, text);
		free(text);
		if (unlink(path) < 0)
			dir_remove(path);
	}
	free(names);
	return count;
}

int suite_run_part(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	unsigned left;
	int failed;
	int run;

	main_pid = getpid();
	setvbuf(stdout, NULL, _IOLBF, 0);
	skipped = mmap(NULL, sizeof(*skipped), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (skipped == MAP_FAILED)
		return EXIT_FAILURE;
	srunner_set_fork_status(runner, CK_FORK);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	run = srunner_ntests_run(runner);
	srunner_free(runner);
	sweep(broker_tmp());
	left = sweep("/dev/shm");
	printf("tests: %d run, %d failed, %u skipped\n", run, failed, *skipped);
	return failed == 0 && left == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int suite_run(Suite *suite)
{
	unsigned reports;
	int failed;

	suite_reports_begin();
	failed = suite_run_part(suite);
	reports = suite_reports_end();
	return failed == EXIT_SUCCESS && reports == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
