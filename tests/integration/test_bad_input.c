/* SPDX-License-Identifier: MIT */
/* Wrong names, sizes, types and options, and no daemon where one should be: one clear message or error code each, and nothing changed. */
#include "../support/client.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* The text of the last error is a sentence, and names what it is about. */
static void assert_text(const char *word)
{
	ck_assert_msg(strlen(shmb_text()) > 10 && strstr(shmb_text(), word) != NULL, "'%s' is not in: %s", word, shmb_text());
}

/* ---- through the library ---- */

/* The defect S7 of what was used before: "../" was accepted in names. */
START_TEST(defect_S7_bad_names_are_refused)
{
	static const char *const names[] = { "",   "/",	   "..",      "../x", "a/../b", "/etc/passwd", "a//b",	  "a/",
					     "/a", ".",	   ".hidden", "a/.b", "a b",	"a\nb",	       "a%b",	  "a,1",
					     "ü",  "a\\b", "a:b",     "~",    "*",	"a\x7f",       "a\x1b[2J" };
	struct shmb *client;
	struct broker b;
	char longest[202];
	char *before;
	char *after;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	before = dir_names(b.shm);
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		ASSERT_ERROR(ring_writer_try(client, names[i], 64, 8), EINVAL);
		assert_text("name");
		ASSERT_ERROR(value_writer_try(client, names[i], 64), EINVAL);
		ASSERT_ERROR(ring_reader_try(client, names[i], SHMB_NO_WAIT), EINVAL);
		ASSERT_ERROR(shmb_remove(client, names[i]), EINVAL);
	}
	memset(longest, 'x', sizeof(longest));
	longest[201] = '\0';
	ASSERT_ERROR(ring_writer_try(client, longest, 64, 8), ENAMETOOLONG);
	assert_text("200");
	after = dir_names(b.shm);
	ck_assert_str_eq(before, after);
	free(before);
	free(after);
	longest[200] = '\0';
	ASSERT_OK(ring_writer_try(client, longest, 64, 8));
	ASSERT_OK(ring_writer_try(client, "a/b.c/d-e_f/0", 64, 8));
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(bad_capacities_are_refused)
{
	static const uint32_t capacities[] = { 1, 3, 5, 6, 7, 9, 100, 1023, (1 << 20) + 1, 1 << 21, UINT32_MAX };
	struct shmb_value_writer *value = NULL;
	struct shmb_type *type;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	for (unsigned i = 0; i < sizeof(capacities) / sizeof(capacities[0]); i++) {
		ASSERT_ERROR(ring_writer_try(client, "capacity", 8, capacities[i]), EINVAL);
		assert_text("capacity");
	}
	type = pattern_type(64);
	for (uint32_t capacity = 1; capacity < 20; capacity++) {
		if (capacity == 4 || capacity == 8)
			continue;
		ASSERT_ERROR(shmb_value_writer_open(&value, client, "capacity", type, &(struct shmb_options){ .capacity = capacity }),
			     EINVAL);
		assert_text("capacity");
	}
	shmb_type_free(type);
	ck_assert_uint_eq(segments_count(client), 0);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(bad_types_are_refused)
{
	static const struct {
		const char *name;
		const char *schema;
		const char *word;
	} bad[] = {
		{ "t", "", "field" },
		{ "t", "uint64\n", "line 1" },
		{ "t", "uint64 a\nuint65 b\n", "line 2" },
		{ "t", "uint64 a\nuint64 a\n", "a" },
		{ "t", "string a\n", "line 1" },
		{ "t", "uint8[] a\n", "line 1" },
		{ "t", "uint8[0] a\n", "line 1" },
		{ "t", "uint8[268435457] a\n", "line 1" },
		{ "t", "uint64[18446744073709551615] a\n", "line 1" },
		{ "t", "geometry_msgs/Point a\n", "line 1" },
		{ "t", "uint64 Upper\n", "line 1" },
		{ "t", "uint64 a=5\n", "line 1" },
		{ "", "uint64 a\n", "name" },
		{ "a name with \x1b in it", "uint64 a\n", "name" },
		{ "a name of more than forty-seven bytes, which is too long", "uint64 a\n", "name" },
	};
	struct shmb_type forged = { .name = "forged", .schema = "uint64 a\n", .size = 16, .align = 8 };
	struct shmb_ring_writer *writer = NULL;
	struct shmb_type *type = NULL;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int r = shmb_type_parse(&type, bad[i].name, bad[i].schema);

		ck_assert_msg(r == -EINVAL && type == NULL, "%u '%s': %d %s", i, bad[i].schema, r, shmb_text());
		assert_text(bad[i].word);
	}
	ASSERT_ERROR(shmb_type_opaque(&type, 0), EINVAL);
	ASSERT_ERROR(shmb_type_opaque(&type, ((size_t)256 << 20) + 1), EINVAL);
	ASSERT_ERROR(shmb_ring_writer_open(&writer, client, "forged", &forged, NULL), EINVAL);
	forged.size = 8;
	forged.align = 4;
	ASSERT_ERROR(shmb_ring_writer_open(&writer, client, "forged", &forged, NULL), EINVAL);
	ck_assert_ptr_null(writer);
	ck_assert_uint_eq(segments_count(client), 0);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(no_daemon_is_said_clearly)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct shmb *client = NULL;
	struct broker b;
	char path[256];
	int fd;

	broker_start(&b, NULL);
	snprintf(path, sizeof(path), "%s/nowhere.sock", b.dir);
	ASSERT_ERROR(shmb_connect(&client, path), ENOENT);
	assert_text(path);
	snprintf(path, sizeof(path), "%s/none/control.sock", b.dir);
	ASSERT_ERROR(shmb_connect(&client, path), ENOENT);
	/* a socket that nobody listens on */
	snprintf(path, sizeof(path), "%s/dead.sock", b.dir);
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	ASSERT_ERROR(shmb_connect(&client, path), ECONNREFUSED);
	assert_text(path);
	/* a file, a stream socket, a path that is too long */
	ASSERT_ERROR(shmb_connect(&client, b.log), ECONNREFUSED);
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[200] = '\0';
	ck_assert_int_lt(shmb_connect(&client, path), 0);
	assert_text("long");
	ck_assert_ptr_null(client);
	broker_finish(&b);
}
END_TEST

/* A listener that says nothing, and one that says rubbish. */
START_TEST(broker_that_is_none)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct shmb *client = NULL;
	struct broker b;
	char path[256];
	pid_t pid;
	int fd;
	int r;

	broker_start(&b, NULL);
	snprintf(path, sizeof(path), "%s/other.sock", b.dir);
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ck_assert(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 1) == 0);
	pid = fork();
	if (pid == 0) {
		for (unsigned i = 0; i < 3; i++) {
			char bytes[65536] = "";
			int peer = accept(fd, NULL, NULL);

			if (recv(peer, bytes, sizeof(bytes), 0) > 0 && i < 2)
				send(peer, bytes, i == 0 ? 7 : 60000, MSG_NOSIGNAL);
			close(peer);
		}
		_exit(0);
	}
	for (unsigned i = 0; i < 3; i++) {
		r = shmb_connect(&client, path);
		ck_assert_msg(r < 0 && client == NULL && strlen(shmb_text()) > 10, "%d %s", r, shmb_text());
	}
	kill(pid, SIGKILL);
	WAIT_UNTIL(waitpid(pid, NULL, WNOHANG) != 0);
	close(fd);
	broker_finish(&b);
}
END_TEST

/* ---- options ---- */

static void refuses(const char *const argv[], int status, const char *word)
{
	struct program_result result;

	program_run(&result, NULL, argv);
	ck_assert_msg(result.status == status, "%s %s: exit status %d, not %d\n%s", argv[0], argv[1] != NULL ? argv[1] : "", result.status,
		      status, result.err);
	ck_assert_msg(strstr(result.err, word) != NULL, "%s %s: '%s' is not in: %s", argv[0], argv[1] != NULL ? argv[1] : "", word,
		      result.err);
	ck_assert_msg(text_count(result.err, "\n") == 1, "more than one line: %s", result.err);
	ck_assert_str_eq(result.out, "");
	program_result_deinit(&result);
}

START_TEST(options_of_the_daemon)
{
	const char *daemon = path_daemon();
	struct program_result result;
	char longest[300];

	memset(longest, 'x', sizeof(longest));
	memcpy(longest, "/tmp/", 5);
	longest[299] = '\0';
	refuses(ARGV(daemon, "--bogus"), 2, "bogus");
	refuses(ARGV(daemon, "-x"), 2, "x");
	refuses(ARGV(daemon, "operand"), 2, "operand");
	refuses(ARGV(daemon, "--linger"), 2, "linger");
	refuses(ARGV(daemon, "--linger", "soon"), 2, "soon");
	refuses(ARGV(daemon, "--linger", "-1s"), 2, "linger");
	refuses(ARGV(daemon, "--linger", "10"), 2, "10");
	refuses(ARGV(daemon, "--linger", "99999999999999h"), 2, "linger");
	refuses(ARGV(daemon, "--socket", ""), 2, "socket");
	refuses(ARGV(daemon, "--socket", longest), 2, "socket");
	refuses(ARGV(daemon, "--runtime-dir", longest), 2, "runtime-dir");
	refuses(ARGV(daemon, "--runtime-dir", "/proc/nothing", "--shm-dir", "/proc/nothing"), 1, "/proc/nothing");
	program_run(&result, NULL, ARGV(daemon, "--help"));
	ck_assert(result.status == 0 && strstr(result.out, "--linger") != NULL && result.err[0] == '\0');
	program_result_deinit(&result);
	program_run(&result, NULL, ARGV(daemon, "--version"));
	ck_assert(result.status == 0 && strstr(result.out, shmb_version()) != NULL && result.err[0] == '\0');
	program_result_deinit(&result);
}
END_TEST

/* A directory of segments that is not ours alone is refused. */
START_TEST(directory_that_others_may_enter)
{
	struct program_result result;
	struct broker b;
	char path[300];

	broker_start(&b, NULL);
	snprintf(path, sizeof(path), "%s/open", b.shm);
	ck_assert(mkdir(path, 0755) == 0 && chmod(path, 0777) == 0);
	program_run(&result, NULL, ARGV(path_daemon(), "--runtime-dir", b.dir, "--shm-dir", path));
	ck_assert_int_eq(result.status, 1);
	ck_assert_msg(strstr(result.err, path) != NULL, "the directory is not named: %s", result.err);
	program_result_deinit(&result);
	rmdir(path);
	ck_assert_int_eq(symlink("/tmp", path), 0);
	program_run(&result, NULL, ARGV(path_daemon(), "--runtime-dir", b.dir, "--shm-dir", path));
	ck_assert_int_eq(result.status, 1);
	ck_assert_msg(strstr(result.err, path) != NULL, "the directory is not named: %s", result.err);
	program_result_deinit(&result);
	unlink(path);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bad input");

	suite_add(suite, defect_S7_bad_names_are_refused, 30);
	suite_add(suite, bad_capacities_are_refused, 30);
	suite_add(suite, bad_types_are_refused, 30);
	suite_add(suite, no_daemon_is_said_clearly, 30);
	suite_add(suite, broker_that_is_none, 60);
	suite_add(suite, options_of_the_daemon, 60);
	suite_add(suite, directory_that_others_may_enter, 30);
	return suite_run(suite);
}
