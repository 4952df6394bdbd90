/* SPDX-License-Identifier: MIT */
/* The daemon's command line: defaults, every option, everything that can be wrong with one. */
#include "daemon/options.h"
#include "tests/support/unit.h"

#include <string.h>
#include <sys/un.h>

static const struct options_surroundings root = { .uid = 0 };
static const struct options_surroundings user = { .uid = 1000, .xdg_runtime_dir = "/run/user/1000" };

static struct options options;
static char message[OPTIONS_MESSAGE_MAX];

/* getopt_long() does not write to them: with "+" it does not sort. */
#define PARSE(surroundings, ...) parse(surroundings, (const char *[]){ "shmbrokerd", ##__VA_ARGS__, NULL })

static enum options_verdict parse(const struct options_surroundings *surroundings, const char **argv)
{
	int count = 0;

	while (argv[count] != NULL)
		count++;
	memset(message, 0, sizeof(message));
	return options_parse(&options, count, (char **)argv, surroundings, message);
}

START_TEST(defaults_of_root)
{
	ck_assert_int_eq(PARSE(&root), OPTIONS_RUN);
	ck_assert_str_eq(options.runtime_dir, "/run/shmbroker");
	ck_assert_str_eq(options.socket, "/run/shmbroker/control.sock");
	ck_assert_str_eq(options.shm_dir, "/dev/shm/shmbroker");
	ck_assert_uint_eq(options.linger_ns, 10000000000u);
}
END_TEST

START_TEST(defaults_of_a_user)
{
	ck_assert_int_eq(PARSE(&user), OPTIONS_RUN);
	ck_assert_str_eq(options.runtime_dir, "/run/user/1000/shmbroker");
	ck_assert_str_eq(options.socket, "/run/user/1000/shmbroker/control.sock");
	ck_assert_str_eq(options.shm_dir, "/dev/shm/shmbroker-1000");
}
END_TEST

START_TEST(a_user_without_a_runtime_directory)
{
	const struct options_surroundings bare = { .uid = 1000 };
	const struct options_surroundings empty = { .uid = 1000, .xdg_runtime_dir = "" };

	ck_assert_int_eq(PARSE(&bare), OPTIONS_BAD);
	ck_assert_ptr_nonnull(strstr(message, "--runtime-dir"));
	ck_assert_int_eq(PARSE(&empty), OPTIONS_BAD);
	ck_assert_int_eq(PARSE(&bare, "--runtime-dir", "/tmp/r"), OPTIONS_RUN);
	ck_assert_int_eq(PARSE(&bare, "--socket", "/tmp/s"), OPTIONS_RUN);
	ck_assert_str_eq(options.runtime_dir, "");
	ck_assert_str_eq(options.socket, "/tmp/s");
}
END_TEST

START_TEST(everything_given)
{
	ck_assert_int_eq(PARSE(&root, "--runtime-dir=/a", "--socket", "/b/c", "--shm-dir", "/dev/shm/d", "--linger=2min"), OPTIONS_RUN);
	ck_assert_str_eq(options.runtime_dir, "/a");
	ck_assert_str_eq(options.socket, "/b/c");
	ck_assert_str_eq(options.shm_dir, "/dev/shm/d");
	ck_assert_uint_eq(options.linger_ns, 120000000000u);
	ck_assert_int_eq(PARSE(&root, "--runtime-dir", "/a"), OPTIONS_RUN);
	ck_assert_str_eq(options.socket, "/a/control.sock");
	ck_assert_int_eq(PARSE(&root, "--help", "--nonsense"), OPTIONS_HELP);
	ck_assert_int_eq(PARSE(&root, "--version"), OPTIONS_VERSION);
}
END_TEST

/* Each is refused with a message that names what was written. */
START_TEST(mistakes)
{
	char long_path[300] = "";

	ck_assert_int_eq(PARSE(&root, "--lingr", "3s"), OPTIONS_BAD);
	ck_assert_ptr_nonnull(strstr(message, "--lingr"));
	ck_assert_int_eq(PARSE(&root, "-x"), OPTIONS_BAD);
	ck_assert_ptr_nonnull(strstr(message, "-x"));
	ck_assert_int_eq(PARSE(&root, "--socket"), OPTIONS_BAD);
	ck_assert_ptr_nonnull(strstr(message, "--socket"));
	ck_assert_int_eq(PARSE(&root, "--socket", ""), OPTIONS_BAD);
	ck_assert_ptr_nonnull(strstr(message, "--socket"));
	ck_assert_int_eq(PARSE(&root, "--version=3"), OPTIONS_BAD);
	ck_assert_ptr_nonnull(strstr(message, "--version=3"));
	ck_assert_int_eq(PARSE(&root, "start"), OPTIONS_BAD);
	ck_assert_ptr_nonnull(strstr(message, "start"));
	ck_assert_int_eq(PARSE(&root, "--linger", "soon"), OPTIONS_BAD);
	ck_assert_ptr_nonnull(strstr(message, "soon"));

	memset(long_path, 'a', sizeof(long_path) - 1);
	long_path[0] = '/';
	/* What is accepted can be bound, under the other name that it has first, too. */
	ck_assert_uint_lt(OPTIONS_SOCKET_MAX + strlen(".new"), sizeof(((struct sockaddr_un *)0)->sun_path));
	long_path[OPTIONS_SOCKET_MAX + 1] = '\0';
	ck_assert_int_eq(PARSE(&root, "--socket", long_path), OPTIONS_BAD);
	ck_assert_int_eq(PARSE(&root, "--runtime-dir", long_path), OPTIONS_BAD);
	long_path[OPTIONS_SOCKET_MAX] = '\0';
	ck_assert_int_eq(PARSE(&root, "--socket", long_path), OPTIONS_RUN);
	memset(long_path, 'a', sizeof(long_path) - 1);
	ck_assert_int_eq(PARSE(&root, "--shm-dir", long_path), OPTIONS_BAD);
}
END_TEST

START_TEST(times)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} good[] = { { "0", 0 },
		     { "0s", 0 },
		     { "500ms", 500000000 },
		     { "10s", 10000000000 },
		     { "1.5s", 1500000000 },
		     { "2min", 120000000000 },
		     { "1h", 3600000000000 },
		     { "7us", 7000 },
		     { "3ns", 3 },
		     { "2sec", 2000000000 },
		     { "infinity", UINT64_MAX } };
	static const char *const bad[] = { "",	  "10", "s",   "-1s", " 1s", "1 s",   "1S",	  "1e3s",	  "0x10s", "nan",
					   "inf", "1m", "1s2", "+1s", ".5s", "1..5s", "Infinity", "99999999999h", "1.5" };
	uint64_t ns;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ck_assert_msg(options_parse_time(good[i].text, &ns) == 0, "%s", good[i].text);
		ck_assert_msg(ns == good[i].ns, "%s", good[i].text);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(options_parse_time(bad[i], &ns) < 0, "'%s'", bad[i]);
}
END_TEST

START_TEST(help_names_every_option)
{
	static const char *const names[] = { "--runtime-dir", "--socket", "--shm-dir", "--linger", "--help", "--version" };
	char text[8192] = "";
	FILE *out = fmemopen(text, sizeof(text) - 1, "w");

	ck_assert_ptr_nonnull(out);
	options_help(out);
	ck_assert_int_eq(fclose(out), 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		ck_assert_ptr_nonnull(strstr(text, names[i]));
	ck_assert_ptr_nonnull(strstr(text, "Example"));
}
END_TEST

START_TEST(one_file_is_checked)
{
	ck_assert_int_eq(PARSE(&root, "--check-config"), OPTIONS_CHECK);
	ck_assert_str_eq(options.config, "/etc/shmbroker/shmbrokerd.conf");
	ck_assert(!options.config_given);
	ck_assert_int_eq(PARSE(&root, "--check-config", "/tmp/a"), OPTIONS_CHECK);
	ck_assert_str_eq(options.config, "/tmp/a");
	ck_assert(options.config_given);
	ck_assert_int_eq(PARSE(&root, "--check-config", "--config", "/tmp/a"), OPTIONS_CHECK);
	ck_assert_str_eq(options.config, "/tmp/a");
	ck_assert_int_eq(PARSE(&root, "--check-config", "/tmp/a", "/tmp/b"), OPTIONS_BAD);
	ck_assert_ptr_nonnull(strstr(message, "one file"));
	ck_assert_ptr_nonnull(strstr(message, "'/tmp/b' is too much"));
	ck_assert_int_eq(PARSE(&root, "--config", "/tmp/a", "--check-config", "/tmp/b"), OPTIONS_BAD);
	ck_assert_ptr_nonnull(strstr(message, "'/tmp/b' is too much"));
	ck_assert_int_eq(PARSE(&root, "/tmp/b"), OPTIONS_BAD);
	ck_assert_str_eq(message, "'/tmp/b' is no option");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("options");

	unit_add(suite, defaults_of_root, 5);
	unit_add(suite, defaults_of_a_user, 5);
	unit_add(suite, a_user_without_a_runtime_directory, 5);
	unit_add(suite, everything_given, 5);
	unit_add(suite, mistakes, 5);
	unit_add(suite, times, 5);
	unit_add(suite, one_file_is_checked, 5);
	unit_add(suite, help_names_every_option, 5);
	return unit_run(suite);
}
