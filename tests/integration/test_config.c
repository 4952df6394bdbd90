/* SPDX-License-Identifier: MIT */
/* The operator's configuration: where it is found, what is refused, and of each setting the effect that can be seen. */
#include "../support/client.h"
#include "../support/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char schema[] = "uint64[8] words\n";

/* ---- files ---- */

struct check {
	int status;
	char text[2048];
};

static struct check check_config_as(const struct program_options *options, const char *const argv[])
{
	struct program_result result;
	struct check check;

	program_run(&result, options, argv);
	check.status = result.status;
	snprintf(check.text, sizeof(check.text), "%s%s", result.out, result.err);
	program_result_deinit(&result);
	return check;
}

#define CHECK_CONFIG(...) check_config_as(NULL, ARGV(path_daemon(), "--check-config", __VA_ARGS__))

static void write_text(const char *path, const char *text, mode_t mode)
{
	file_write(path, text, strlen(text));
	ck_assert_int_eq(chmod(path, mode), 0);
}

START_TEST(check_config_says_where)
{
	char dir[] = "/tmp/shmb-test-conf-XXXXXX";
	char file[64];
	char expected[128];
	struct check check;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/a.conf", dir);
	write_text(file, "[segment a/*]\nlinger = 1s\n", 0644);
	check = CHECK_CONFIG(file);
	ck_assert_msg(check.status == 0 && strstr(check.text, file) != NULL, "%d: %s", check.status, check.text);
	check = CHECK_CONFIG("--config", file);
	ck_assert_int_eq(check.status, 0);
	write_text(file, "[segment a/*]\nlinger = 1 week\n", 0644);
	check = CHECK_CONFIG(file);
	snprintf(expected, sizeof(expected), "%s:2: linger: '1 week' is no time", file);
	ck_assert_msg(check.status == 1 && strstr(check.text, expected) != NULL, "%d: %s", check.status, check.text);
	ck_assert_int_eq(unlink(file), 0);
	check = CHECK_CONFIG(file);
	ck_assert_msg(check.status == 1 && strstr(check.text, "No such file") != NULL, "%d: %s", check.status, check.text);
	check = CHECK_CONFIG(file, "too", "much");
	ck_assert_int_eq(check.status, 2);
	ck_assert_int_eq(mkdir(file, 0755), 0);
	check = CHECK_CONFIG(file);
	ck_assert_msg(check.status == 1 && strstr(check.text, "no ordinary file") != NULL, "%d: %s", check.status, check.text);
	dir_remove(dir);
}
END_TEST

/* Whoever can write the configuration is the operator: so nobody else may. */
START_TEST(files_that_others_can_write_are_refused)
{
	char dir[] = "/tmp/shmb-test-conf-XXXXXX";
	char file[64];
	char dropins[80];
	char dropin[96];
	struct check check;

	if (geteuid() != 0)
		TEST_SKIP("needs root to give files away");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/a.conf", dir);
	snprintf(dropins, sizeof(dropins), "%s.d", file);
	snprintf(dropin, sizeof(dropin), "%s/10.conf", dropins);
	write_text(file, "[broker]\n", 0646);
	check = CHECK_CONFIG(file);
	ck_assert_msg(check.status == 1 && strstr(check.text, "anybody can write it") != NULL, "%s", check.text);
	write_text(file, "[broker]\n", 0664);
	ck_assert_int_eq(chown(file, 0, 1234), 0);
	check = CHECK_CONFIG(file);
	ck_assert_msg(check.status == 1 && strstr(check.text, "group 1234 can write") != NULL, "%s", check.text);
	ck_assert_int_eq(chmod(file, 0644), 0);
	ck_assert_int_eq(chown(file, 1234, 0), 0);
	check = CHECK_CONFIG(file);
	ck_assert_msg(check.status == 1 && strstr(check.text, "belongs to uid 1234") != NULL, "%s", check.text);
	ck_assert_int_eq(chown(file, 0, 0), 0);
	ck_assert_int_eq(mkdir(dropins, 0755), 0);
	write_text(dropin, "[broker]\nlinger = 1s\n", 0644);
	check = CHECK_CONFIG(file);
	ck_assert_msg(check.status == 0 && strstr(check.text, dropin) != NULL, "%s", check.text);
	ck_assert_int_eq(chmod(dropin, 0666), 0);
	check = CHECK_CONFIG(file);
	ck_assert_msg(check.status == 1 && strstr(check.text, dropin) != NULL, "%s", check.text);
	ck_assert_int_eq(chmod(dropin, 0644), 0);
	ck_assert_int_eq(chmod(dropins, 0777), 0);
	check = CHECK_CONFIG(file);
	ck_assert_msg(check.status == 1 && strstr(check.text, dropins) != NULL, "%s", check.text);
	dir_remove(dir);
}
END_TEST

/* systemd's rules: /etc hides /run hides /usr/lib by name, and the names are sorted over all of them. In a mount namespace of our own. */
START_TEST(drop_ins_by_precedence)
{
	static const char script[] = "set -e\n"
				     "mount -t tmpfs t /mnt && mkdir -p /mnt/u1 /mnt/w1 /mnt/u2 /mnt/w2\n"
				     "mount -t overlay -o lowerdir=/etc,upperdir=/mnt/u1,workdir=/mnt/w1 o /etc\n"
				     "mount -t overlay -o lowerdir=/usr/lib,upperdir=/mnt/u2,workdir=/mnt/w2 o /usr/lib\n"
				     "mount -t tmpfs t /run\n"
				     "e=/etc/shmbroker r=/run/shmbroker u=/usr/lib/shmbroker d=shmbrokerd.conf.d\n"
				     "mkdir -p $e/$d $r/$d $u/$d\n"
				     "say() { printf '[segment %s]\\nlinger = 1s\\n' $2 >$1; }\n"
				     "say $e/shmbrokerd.conf main\n"
				     "say $u/$d/10-a.conf hidden; say $r/$d/10-a.conf hidden2; say $e/$d/10-a.conf a\n"
				     "say $u/$d/20-b.conf hidden; say $r/$d/20-b.conf b\n"
				     "say $u/$d/15-c.conf c; say $u/$d/30-d.conf hidden; ln -s /dev/null $e/$d/30-d.conf\n"
				     "say $e/$d/not-one.txt hidden\n"
				     "exec $SHMB_TEST_WRAPPER \"$0\" --check-config\n";
	static const char *const order[] = { "/etc/shmbroker/shmbrokerd.conf\n",
					     "/etc/shmbroker/shmbrokerd.conf.d/10-a.conf\n",
					     "/usr/lib/shmbroker/shmbrokerd.conf.d/15-c.conf\n",
					     "/run/shmbroker/shmbrokerd.conf.d/20-b.conf\n",
					     "/etc/shmbroker/shmbrokerd.conf.d/30-d.conf\n",
					     "good: 5 files, 4 patterns\n" };
	struct check check;
	const char *at;

	if (geteuid() != 0)
		TEST_SKIP("needs root for a mount namespace");
	check = check_config_as(&(struct program_options){ .without_wrapper = true },
				ARGV("unshare", "--mount", "--propagation", "private", "sh", "-c", script, path_daemon()));
	if (check.status != 0 && strstr(check.text, "mount:") != NULL)
		TEST_SKIP("no overlay can be mounted here: %s", check.text);
	ck_assert_msg(check.status == 0, "%d: %s", check.status, check.text);
	at = check.text;
	for (unsigned i = 0; i < 6; i++) {
		at = strstr(at, order[i]);
		ck_assert_msg(at != NULL, "%s is not in its place: %s", order[i], check.text);
	}
}
END_TEST

/* A daemon does not start with a mistake in its configuration. */
START_TEST(no_start_with_a_mistake)
{
	struct broker b;

	broker_start(&b, &(struct broker_options){ .config = "[segment a]\nlinger = often\n", .not_ready = true });
	ck_assert_int_eq(program_wait(&b.daemon), 1);
	broker_wait_log(&b, "shmbrokerd.conf:2: linger");
	broker_drop(&b);
}
END_TEST

/* ---- reload ---- */

struct reloaded {
	struct shmb_reload_result result;
	char notes[4096];
};

static int note_reload(const struct shmb_reload_result *result, void *user)
{
	struct reloaded *out = user;

	out->result = *result;
	snprintf(out->notes, sizeof(out->notes), "%s", result->notes);
	return 0;
}

struct config_status {
	char error[512];
	char files[1024];
	uint64_t linger_ns;
};

static int note_config(const struct shmb_broker_status *status, void *user)
{
	struct config_status *out = user;

	snprintf(out->error, sizeof(out->error), "%s", status->config_error);
	snprintf(out->files, sizeof(out->files), "%s", status->config_files);
	out->linger_ns = status->linger_ns;
	return 0;
}

START_TEST(reload_applies_and_refuses_whole)
{
	struct shmb_ring_writer *writer;
	struct config_status status;
	struct reloaded reloaded;
	struct shmb *client;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .config = "[broker]\nlinger = 1h\n" });
	client = broker_connect(&b);
	writer = ring_writer(client, "cam/a", 64, 8);
	ring_write(writer, 64, 1, 1);
	shmb_ring_writer_close(writer);
	ASSERT_OK(shmb_status(client, note_config, &status));
	ck_assert_str_eq(status.error, "");
	ck_assert(strncmp(status.files, b.config, strlen(b.config)) == 0 && text_count(status.files, "\n") == 1);
	ck_assert_uint_eq(status.linger_ns, 3600000000000);

	/* The first section would remove it at once; the mistake is behind that. */
	broker_configure(&b, "[segment cam/*]\nlinger = 0\n[segment x]\nnonsense = 1\n");
	ASSERT_ERROR(shmb_reload(client, note_reload, &reloaded), EINVAL);
	ck_assert_msg(strstr(shmb_text(), "shmbrokerd.conf:4: ") != NULL, "%s", shmb_text());
	sleep_ms(50);
	ck_assert(segment_listed(client, "cam/a", &(struct listed){ 0 }));
	ASSERT_OK(shmb_status(client, note_config, &status));
	ck_assert_msg(strstr(status.error, "shmbrokerd.conf:4: ") != NULL, "%s", status.error);
	ck_assert_uint_eq(status.linger_ns, 3600000000000);
	broker_wait_log(&b, "the configuration is refused, the one before stays");

	broker_configure(&b, "[segment cam/*]\nlinger = 0\n");
	ASSERT_OK(shmb_reload(client, note_reload, &reloaded));
	ck_assert(reloaded.result.files == 1 && reloaded.result.patterns == 1 && reloaded.result.segments == 1 &&
		  reloaded.result.not_applied == 0);
	WAIT_UNTIL(segments_count(client) == 0);
	ASSERT_OK(shmb_status(client, note_config, &status));
	ck_assert_str_eq(status.error, "");
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Not only what stands in it: who may write it, whether it is there and what it is. What holds goes on holding, and is told. */
START_TEST(reload_of_a_file_that_cannot_be)
{
	static const char good[] = "[broker]\nlinger = 1h\n";
	struct config_status status;
	struct reloaded reloaded;
	struct shmb *client;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .config = good });
	client = broker_connect(&b);
	for (unsigned i = 0; i < 3; i++) {
		static const char *const why[] = { "anybody can write it", "No such file", "no ordinary file" };

		if (i == 0)
			write_text(b.config, "[broker]\nlinger = 0\n", 0646);
		else
			ck_assert_int_eq(unlink(b.config), 0);
		if (i == 2)
			ck_assert_int_eq(mkdir(b.config, 0755), 0);
		ASSERT_ERROR(shmb_reload(client, note_reload, &reloaded), EINVAL);
		ck_assert_msg(strstr(shmb_text(), why[i]) != NULL && strstr(shmb_text(), "shmbrokerd.conf") != NULL, "%s", shmb_text());
		ASSERT_OK(shmb_status(client, note_config, &status));
		ck_assert_msg(strstr(status.error, why[i]) != NULL, "%s", status.error);
		ck_assert_uint_eq(status.linger_ns, 3600000000000);
		if (i == 2)
			ck_assert_int_eq(rmdir(b.config), 0);
		write_text(b.config, good, 0644);
		ASSERT_OK(shmb_reload(client, note_reload, &reloaded));
		ASSERT_OK(shmb_status(client, note_config, &status));
		ck_assert_str_eq(status.error, "");
	}
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* A daemon that is not root, and a file that it may not read. */
START_TEST(unreadable_files_are_said)
{
	char dir[] = "/tmp/shmb-test-conf-XXXXXX";
	char file[64];
	struct check check;

	if (geteuid() != 0)
		TEST_SKIP("needs root to become another user");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chmod(dir, 0755), 0);
	snprintf(file, sizeof(file), "%s/a.conf", dir);
	write_text(file, "[broker]\n", 0600);
	check = check_config_as(
		NULL, ARGV("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", path_daemon(), "--check-config", file));
	dir_remove(dir);
	if (strstr(check.text, "setpriv:") != NULL)
		TEST_SKIP("the daemon is not for other users here: %s", check.text);
	ck_assert_msg(check.status == 1 && strstr(check.text, file) != NULL && strstr(check.text, "Permission denied") != NULL, "%d: %s",
		      check.status, check.text);
}
END_TEST

START_TEST(sighup_reloads)
{
	struct shmb_ring_writer *writer;
	struct shmb *client;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .config = "[broker]\nlinger = infinity\n" });
	client = broker_connect(&b);
	writer = ring_writer(client, "a", 64, 8);
	shmb_ring_writer_close(writer);
	broker_configure(&b, "[broker]\nlinger = nonsense\n");
	program_signal(&b.daemon, SIGHUP);
	broker_wait_log(&b, "the configuration is refused");
	ck_assert_uint_eq(segments_count(client), 1);
	broker_configure(&b, "[broker]\nlinger = 1ms\n");
	program_signal(&b.daemon, SIGHUP);
	WAIT_UNTIL(segments_count(client) == 0);
	/* A file that is gone is no empty configuration where it was named. */
	ck_assert_int_eq(unlink(b.config), 0);
	program_signal(&b.daemon, SIGHUP);
	broker_wait_log(&b, "shmbrokerd.conf: No such file");
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* What was settled when a segment was made is said, segment by segment, in the answer and in the log. */
START_TEST(reload_says_what_does_not_apply)
{
	struct shmb_ring_writer *writer;
	struct reloaded reloaded;
	struct shmb *client;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .config = "", .linger = "infinity" });
	client = broker_connect(&b);
	writer = ring_writer(client, "cam/a", 64, 8);
	broker_configure(&b, "[segment cam/*]\nreader-areas = 1\nlock = yes\nbytes-max = 4096\nstale-time = 1h\n[segment b]\nlock = yes\n");
	ASSERT_OK(shmb_reload(client, note_reload, &reloaded));
	ck_assert_uint_eq(reloaded.result.not_applied, 3);
	ck_assert_msg(strstr(reloaded.notes, "cam/a: reader-areas = 1 (") != NULL && strstr(reloaded.notes, "conf:2)") != NULL &&
			      strstr(reloaded.notes, "cam/a: lock = yes") != NULL &&
			      strstr(reloaded.notes, "cam/a: bytes-max = 4K") != NULL,
		      "%s", reloaded.notes);
	broker_wait_log(&b, "cam/a: lock = yes");
	/* The same again changes nothing more. */
	ASSERT_OK(shmb_reload(client, note_reload, &reloaded));
	ck_assert_uint_eq(reloaded.result.not_applied, 0);
	ring_write(writer, 64, 1, 1);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- what follows an end ---- */

/* Makes it, publishes `n` and closes. */
static void made(struct shmb *client, const char *name, unsigned n)
{
	struct shmb_ring_writer *writer = ring_writer(client, name, 64, 8);

	if (n > 0)
		ring_write(writer, 64, n, 1);
	shmb_ring_writer_close(writer);
}

START_TEST(linger_by_pattern)
{
	struct shmb *client;
	struct broker b;
	char *log;

	broker_start(&b, &(struct broker_options){ .config = "[broker]\nlinger = infinity\n[segment quick/*]\nlinger = 20ms\n" });
	client = broker_connect(&b);
	made(client, "slow/a", 1);
	made(client, "quick/a", 1);
	made(client, "quick/b", 0);
	WAIT_UNTIL(segments_count(client) == 1);
	ck_assert(segment_listed(client, "slow/a", &(struct listed){ 0 }));
	broker_wait_log(&b, "quick/a: removed: nobody has written or read it; on-exit = reap, linger = 20ms (built in)");
	log = broker_log(&b);
	ck_assert_uint_eq(text_count(log, "removed: nobody"), 2);
	free(log);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(what_follows_an_exit)
{
	struct program writer;
	struct shmb *client;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .config = "[broker]\nlinger = 0\n"
							     "[segment keep/*]\non-exit = keep\n"
							     "[segment never/*]\non-exit = keep\non-never = reap\n"
							     "[segment hold/*]\non-never = keep\n" });
	client = broker_connect(&b);
	made(client, "keep/a", 1);
	made(client, "never/written", 1);
	made(client, "never/empty", 0);
	made(client, "hold/written", 1);
	made(client, "hold/empty", 0);
	WAIT_UNTIL(segments_count(client) == 3);
	ck_assert(segment_listed(client, "keep/a", &(struct listed){ 0 }));
	ck_assert(segment_listed(client, "never/written", &(struct listed){ 0 }));
	ck_assert(segment_listed(client, "hold/empty", &(struct listed){ 0 }));
	broker_wait_log(&b, "never/empty: removed: nothing was ever published; on-never = reap");
	/* A death is an exit as well. */
	worker_start(&writer, &b, "writer", false);
	worker_must(&writer, "writer name=keep/b bytes=64");
	worker_must(&writer, "write n=1");
	program_kill(&writer);
	wait_writer(client, "keep/b", SHMB_WRITER_IS_DEAD);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* The next writer gets new memory, the same user too. */
START_TEST(replaced_after_an_exit)
{
	struct shmb *client;
	struct listed listed;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .config = "[broker]\nlinger = 0\n[segment new/*]\non-exit = replace\n"
							     "[segment old/*]\non-exit = keep\n" });
	client = broker_connect(&b);
	for (unsigned i = 0; i < 2; i++) {
		made(client, "new/a", 2);
		made(client, "old/a", 2);
	}
	ck_assert(segment_listed(client, "old/a", &listed) && listed.generation == 1);
	ck_assert(segment_listed(client, "new/a", &listed) && listed.generation == 2);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(readers_keep_it_or_not)
{
	struct shmb_ring_reader *kept;
	struct shmb_ring_reader *lost;
	struct shmb *client;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .config = "[broker]\nlinger = infinity\n[segment no/*]\nkeep-while-read = no\n" });
	client = broker_connect(&b);
	made(client, "yes/a", 2);
	made(client, "no/a", 2);
	kept = ring_reader(client, "yes/a");
	lost = ring_reader(client, "no/a");
	broker_configure(&b, "[broker]\nlinger = 30ms\n[segment no/*]\nkeep-while-read = no\n");
	ck_assert_uint_eq(ring_latest(lost, 1, -1), 1);
	program_signal(&b.daemon, SIGHUP);
	WAIT_UNTIL(segments_count(client) == 1);
	ck_assert(segment_listed(client, "yes/a", &(struct listed){ 0 }));
	/* What it has mapped stays; a wait says that it is over. */
	ck_assert_uint_eq(ring_latest(lost, 1, -1), 1);
	{
		int r = 0;

		for (unsigned i = 0; i < 3 && r != -ESTALE; i++) /* first of all: the writer closed */
			r = shmb_ring_wait(lost, deadline_in(SUITE_PATIENCE_MS));
		ck_assert_int_eq(r, -ESTALE);
	}
	shmb_ring_reader_close(lost);
	shmb_ring_reader_close(kept);
	WAIT_UNTIL(segments_count(client) == 0);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(what_follows_a_hang)
{
	struct program hangs;
	struct program stops;
	struct program ignored;
	struct answer answer;
	struct shmb *client;
	struct listed listed;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .config = "[segment *]\nstale-time = 60ms\nlinger = 0\n"
							     "[segment reap/*]\non-hang = reap\n"
							     "[segment keep/*]\non-hang = keep\n"
							     "[segment mark/*]\non-hang = mark\n" });
	client = broker_connect(&b);
	worker_start(&ignored, &b, "ignored", false);
	worker_must(&ignored, "writer name=keep/a bytes=64");
	worker_must(&ignored, "write n=1");
	worker_start(&stops, &b, "stops", false);
	worker_must(&stops, "writer name=reap/stopped bytes=64");
	worker_must(&stops, "write n=1");
	program_signal(&stops, SIGSTOP);
	program_wait_stopped(&stops);
	worker_start(&hangs, &b, "hangs", false);
	worker_must(&hangs, "writer name=reap/a bytes=64");
	worker_must(&hangs, "write n=1");
	WAIT_UNTIL(!segment_listed(client, "reap/a", &listed));
	broker_wait_log(&b, "reap/a: removed: its writer hangs; on-hang = reap, linger = 0");
	answer = worker_ask(&hangs, "write n=1");
	ASSERT_RESULT(answer, -ESTALE);
	/* Stopped is not hung: the policy does not name it. */
	wait_writer(client, "reap/stopped", SHMB_WRITER_IS_STOPPED);
	sleep_ms(200);
	ck_assert(segment_listed(client, "reap/stopped", &listed));
	ck_assert(segment_listed(client, "keep/a", &listed) && listed.writer == SHMB_WRITER_IS_ALIVE);
	worker_must(&hangs, "close-writer");
	worker_must(&hangs, "writer name=mark/a bytes=64");
	worker_must(&hangs, "write n=1");
	wait_writer(client, "mark/a", SHMB_WRITER_IS_HUNG);
	sleep_ms(200);
	ck_assert(segment_listed(client, "mark/a", &listed));
	program_signal(&stops, SIGCONT);
	worker_quit(&hangs);
	worker_quit(&stops);
	worker_quit(&ignored);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- what a segment is made like ---- */

START_TEST(reader_areas_by_policy)
{
	static struct raw_answer answer;
	struct shmb_msg_open_writer open;
	struct raw raw = { 0 };
	struct broker b;

	broker_start(&b, &(struct broker_options){ .config = "[segment none]\nreader-areas = 0\n[segment six]\nreader-areas = 6\n",
						   .linger = "infinity" });
	ck_assert_int_eq(raw_start(&raw, b.socket), 0);
	raw_open_writer(&open, "none", schema, 64);
	open.handle = 1;
	ck_assert_int_eq(raw_ask(&raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), schema, strlen(schema), &answer), 0);
	ck_assert_uint_eq(answer.open.fd_count, 2);
	raw_answer_deinit(&answer);
	raw_open_writer(&open, "six", schema, 64);
	open.handle = 2;
	ck_assert_int_eq(raw_ask(&raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), schema, strlen(schema), &answer), 0);
	ck_assert_uint_eq(answer.open.fd_count, 8);
	raw_answer_deinit(&answer);
	raw_open_writer(&open, "other", schema, 64);
	open.handle = 3;
	ck_assert_int_eq(raw_ask(&raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), schema, strlen(schema), &answer), 0);
	ck_assert_uint_eq(answer.open.fd_count, 6);
	raw_answer_deinit(&answer);
	raw_end(&raw);
	broker_finish(&b);
}
END_TEST

/* Sealed memory cannot be made shorter by who writes it. */
START_TEST(backing_by_policy)
{
	static const char *const names[] = { "named", "sealed" };
	static struct raw_answer answer;
	struct shmb_msg_open_writer open;
	struct raw raw = { 0 };
	struct broker b;

	broker_start(&b, &(struct broker_options){ .config = "[segment sealed]\nbacking = sealed\n", .linger = "infinity" });
	ck_assert_int_eq(raw_start(&raw, b.socket), 0);
	for (unsigned i = 0; i < 2; i++) {
		raw_open_writer(&open, names[i], schema, 64);
		open.handle = i + 1;
		ck_assert_int_eq(raw_ask(&raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), schema, strlen(schema), &answer), 0);
		ck_assert_int_eq(ftruncate(answer.fds[1], 0) == 0, i == 0);
		raw_answer_deinit(&answer);
	}
	raw_end(&raw);
	broker_stop(&b); /* what was truncated is for nobody any more */
	broker_drop(&b);
}
END_TEST

START_TEST(sizes_by_policy)
{
	struct shmb *client;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .config = "[segment small/*]\nbytes-max = 64K\n[segment few/*]\ncapacity-max = 8\n",
						   .linger = "infinity" });
	client = broker_connect(&b);
	made(client, "small/a", 1);
	ck_assert_int_eq(ring_writer_try(client, "small/b", 8192, 64), -EFBIG);
	ck_assert_msg(strstr(shmb_text(), "bytes-max = 64K (") != NULL && strstr(shmb_text(), "conf:2)") != NULL, "%s", shmb_text());
	made(client, "few/a", 1);
	ck_assert_int_eq(ring_writer_try(client, "few/b", 64, 16), -EFBIG);
	ck_assert_msg(strstr(shmb_text(), "capacity-max = 8") != NULL, "%s", shmb_text());
	ck_assert_uint_eq(segments_count(client), 2);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* A number of kB from the entry of /proc/self/smaps for the mapping of this file. */
static long smaps_kb(const char *file, const char *key)
{
	FILE *in = fopen("/proc/self/smaps", "r");
	char line[1024];
	bool inside = false;
	long kb = -1;

	ck_assert_ptr_nonnull(in);
	while (fgets(line, sizeof(line), in) != NULL) {
		if (strchr(line, '-') != NULL && strchr(line, '-') < line + 20)
			inside = strstr(line, file) != NULL;
		else if (inside && strncmp(line, key, strlen(key)) == 0)
			kb = atol(line + strlen(key) + 1);
	}
	fclose(in);
	return kb;
}

START_TEST(mapped_as_wished)
{
	static const char *const names[] = { "plain", "prefault", "lock" };
	static char own[1 << 19];
	struct shmb_ring_writer *writers[3];
	struct shmb *client;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .config = "[segment prefault]\nprefault = yes\n[segment lock]\nlock = yes\n",
						   .linger = "infinity" });
	client = broker_connect(&b);
	for (unsigned i = 0; i < 3; i++)
		writers[i] = ring_writer(client, names[i], 8192, 64); /* 512 KiB */
	ck_assert_int_lt(smaps_kb("/plain,1,data", "Rss:"), 400);
	ck_assert_int_eq(smaps_kb("/plain,1,data", "Locked:"), 0);
	ck_assert_int_ge(smaps_kb("/prefault,1,data", "Rss:"), 512);
	ck_assert_int_eq(smaps_kb("/prefault,1,data", "Locked:"), 0);
	if (SUITE_SANITIZED || mlock(own, sizeof(own)) < 0)
		printf("skipped in part: this process may not lock that much memory, or a sanitizer makes mlock do nothing\n");
	else
		ck_assert_int_ge(smaps_kb("/lock,1,data", "Locked:"), 512);
	for (unsigned i = 0; i < 3; i++)
		shmb_ring_writer_close(writers[i]);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- cleaning up, explaining ---- */

struct gc_seen {
	unsigned count;
	struct {
		char name[256], reason[256];
		enum shmb_gc_outcome outcome;
		uint64_t due_ns;
		int is_foreign;
	} item[8];
};

static int note_gc(const struct shmb_gc_info *info, void *user)
{
	struct gc_seen *seen = user;

	ck_assert_uint_lt(seen->count, 8);
	snprintf(seen->item[seen->count].name, 256, "%s", info->name);
	snprintf(seen->item[seen->count].reason, 256, "%s", info->reason);
	seen->item[seen->count].outcome = info->outcome;
	seen->item[seen->count].due_ns = info->due_ns;
	seen->item[seen->count++].is_foreign = info->is_foreign;
	return 0;
}

START_TEST(gc_tells_and_removes)
{
	struct shmb_ring_writer *writer;
	struct gc_seen seen = { 0 };
	struct shmb *client;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .config = "[segment *]\nlinger = 1h\n[segment for/ever]\nlinger = infinity\n"
							     "[segment kept]\non-exit = keep\n" });
	client = broker_connect(&b);
	made(client, "idle", 1);
	made(client, "for/ever", 1);
	made(client, "kept", 1);
	writer = ring_writer(client, "written", 64, 8);
	ASSERT_OK(shmb_gc(client, SHMB_GC_TELL, note_gc, &seen));
	ck_assert_uint_eq(seen.count, 2);
	ck_assert_str_eq(seen.item[0].name, "idle");
	ck_assert_int_eq(seen.item[0].outcome, SHMB_GC_WOULD_GO);
	ck_assert(seen.item[0].due_ns > 3000000000000 && seen.item[0].due_ns <= 3600000000000);
	ck_assert_msg(strstr(seen.item[0].reason, "unused: on-exit = reap (built in)") != NULL, "%s", seen.item[0].reason);
	ck_assert(strcmp(seen.item[1].name, "for/ever") == 0 && seen.item[1].due_ns == UINT64_MAX);
	ck_assert_uint_eq(segments_count(client), 4);
	seen.count = 0;
	ASSERT_OK(shmb_gc(client, 0, note_gc, &seen));
	ck_assert(seen.count == 2 && seen.item[0].outcome == SHMB_GC_IS_REMOVED && seen.item[1].outcome == SHMB_GC_IS_REMOVED);
	ck_assert_uint_eq(segments_count(client), 2);
	broker_wait_log(&b, "for/ever: removed");
	ring_write(writer, 64, 1, 1);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

struct explained {
	unsigned patterns;
	char first[256], first_source[300];
	char linger[64], linger_source[300], lock_source[64];
	int may_read, may_write, is_there;
	char write_why[300];
};

static int note_policy(const struct shmb_policy_info *info, void *user)
{
	struct explained *out = user;

	*out = (struct explained){
		.patterns = info->pattern_count, .may_read = info->may_read, .may_write = info->may_write, .is_there = info->is_there
	};
	if (info->pattern_count > 0) {
		snprintf(out->first, sizeof(out->first), "%s", info->patterns[0].pattern);
		snprintf(out->first_source, sizeof(out->first_source), "%s", info->patterns[0].source);
	}
	for (unsigned i = 0; i < info->setting_count; i++) {
		if (strcmp(info->settings[i].name, "linger") == 0) {
			snprintf(out->linger, sizeof(out->linger), "%s", info->settings[i].value);
			snprintf(out->linger_source, sizeof(out->linger_source), "%s", info->settings[i].source);
		}
		if (strcmp(info->settings[i].name, "lock") == 0)
			snprintf(out->lock_source, sizeof(out->lock_source), "%s", info->settings[i].source);
	}
	snprintf(out->write_why, sizeof(out->write_why), "%s", info->write_why);
	return 0;
}

START_TEST(policy_is_explained)
{
	const uint32_t groups[] = { 44 };
	struct explained seen;
	struct shmb *client;
	struct broker b;

	broker_start(&b, &(struct broker_options){
				 .config = "[segment *]\nlinger = 1h\n[segment cam/*]\nwriters = 1000 @44\nreaders = none\n" });
	client = broker_connect(&b);
	ASSERT_OK(shmb_policy(client, "cam/x", NULL, note_policy, &seen));
	ck_assert(seen.patterns == 2 && !seen.is_there && seen.may_read);
	ck_assert_str_eq(seen.first, "cam/*");
	ck_assert_str_eq(seen.linger, "1h");
	ck_assert_msg(strstr(seen.linger_source, "shmbrokerd.conf:2") != NULL, "%s", seen.linger_source);
	ck_assert_msg(strstr(seen.first_source, "shmbrokerd.conf:3") != NULL, "%s", seen.first_source);
	ck_assert_str_eq(seen.lock_source, "built in");
	ASSERT_OK(shmb_policy(client, "cam/x", &(struct shmb_user){ .uid = 7, .gids = groups }, note_policy, &seen));
	ck_assert(!seen.may_read && !seen.may_write);
	ck_assert_msg(strstr(seen.write_why, "writers = 1000 @44 (") != NULL && strstr(seen.write_why, "conf:4)") != NULL, "%s",
		      seen.write_why);
	ASSERT_OK(shmb_policy(client, "cam/x", &(struct shmb_user){ .uid = 7, .gids = groups, .gid_count = 1 }, note_policy, &seen));
	ck_assert(seen.may_read && seen.may_write);
	ASSERT_ERROR(shmb_policy(client, "cam/*", NULL, note_policy, &seen), EINVAL);
	made(client, "there", 1);
	ASSERT_OK(shmb_policy(client, "there", NULL, note_policy, &seen));
	ck_assert(seen.is_there);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config");

	suite_add(suite, check_config_says_where, 30);
	suite_add(suite, files_that_others_can_write_are_refused, 30);
	suite_add(suite, drop_ins_by_precedence, 30);
	suite_add(suite, no_start_with_a_mistake, 30);
	suite_add(suite, reload_applies_and_refuses_whole, 60);
	suite_add(suite, reload_of_a_file_that_cannot_be, 30);
	suite_add(suite, unreadable_files_are_said, 30);
	suite_add(suite, sighup_reloads, 60);
	suite_add(suite, reload_says_what_does_not_apply, 60);
	suite_add(suite, linger_by_pattern, 60);
	suite_add(suite, what_follows_an_exit, 60);
	suite_add(suite, replaced_after_an_exit, 60);
	suite_add(suite, readers_keep_it_or_not, 60);
	suite_add(suite, what_follows_a_hang, 60);
	suite_add(suite, reader_areas_by_policy, 30);
	suite_add(suite, backing_by_policy, 30);
	suite_add(suite, sizes_by_policy, 30);
	suite_add(suite, mapped_as_wished, 30);
	suite_add(suite, gc_tells_and_removes, 30);
	suite_add(suite, policy_is_explained, 30);
	return suite_run(suite);
}
