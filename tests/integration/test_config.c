/* SPDX-License-Identifier: MIT */
/* The operator's configuration: where it is found, what is refused, and how it is read anew. What its settings do: test_config_segments.c. */
#include "../support/client.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
	check = check_config_as(&(struct program_options){ .uid = 65534 }, ARGV(path_daemon(), "--check-config", file));
	dir_remove(dir);
	if (check.status == 127)
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
	return suite_run(suite);
}
