/* SPDX-License-Identifier: MIT */
/*
 * Private daemons for tests (broker.h).
 *
 * /tmp/shmb-test-PID-XXXXXX/ holds daemon.log and run/ (the runtime directory with the socket), /dev/shm/shmb-test-PID-XXXXXX/ the
 * segments. PID is the test program's, so that its end finds what failed tests left.
 */
#include "broker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned running;

unsigned broker_count(void)
{
	return running;
}

const char *broker_tmp(void)
{
	return "/tmp";
}

char *broker_log(struct broker *broker)
{
	char *log = file_read(broker->log, NULL);

	return log != NULL ? log : strdup("");
}

static bool log_contains(struct broker *broker, const char *text)
{
	char *log = broker_log(broker);
	bool found = strstr(log, text) != NULL;

	free(log);
	return found;
}

void broker_wait_log(struct broker *broker, const char *text)
{
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);

	while (!log_contains(broker, text))
		ck_assert_msg(suite_pause(deadline), "the daemon's log never says '%s'", text);
}

/* ---- start and end ---- */

static void daemon_start(struct broker *broker)
{
	const char *linger = broker->options.linger != NULL ? broker->options.linger : "infinity";
	const char *config = broker->options.config != NULL ? broker->config : "";
	const char *step = broker->started_once ? NULL : broker->options.step_at;
	struct keeper *keeper = broker->options.keeper;
	const char *environment[] = { "SHMB_STEP_AT", "SHMB_STEP_DO", "SHMBROKER_SOCKET", "NOTIFY_SOCKET", NULL };
	char *before = broker_log(broker);
	unsigned ready = text_count(before, "ready");
	int log = open(broker->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	struct program_options options = { .name = "shmbrokerd",
					   .environment = environment,
					   .stderr_fd = log,
					   .no_pipes = true,
					   .uid = broker->options.uid,
					   .handed = keeper != NULL ? &keeper->handed : NULL,
					   .umask = broker->options.umask };
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);
	char notify[224];
	char at[128];
	char act[64];

	free(before);
	ck_assert_int_ge(log, 0);
	if (step != NULL) {
		snprintf(at, sizeof(at), "SHMB_STEP_AT=%s", step);
		environment[0] = at;
		snprintf(act, sizeof(act), "SHMB_STEP_DO=%s", broker->options.step_do != NULL ? broker->options.step_do : "kill");
		environment[1] = act;
	}
	if (keeper != NULL) {
		keeper_listen(keeper);
		keeper->is_ready = false;
		snprintf(notify, sizeof(notify), "NOTIFY_SOCKET=%s", keeper->path);
		environment[3] = notify;
	}
	program_start(&broker->daemon, &options,
		      ARGV(broker->options.steps ? path_daemon_steps() : path_daemon(), "--runtime-dir", broker->runtime, "--shm-dir",
			   broker->shm, "--config", config,
			   broker->options.config == NULL || broker->options.linger != NULL ? "--linger" : NULL, linger));
	close(log);
	broker->started_once = true;
	while (!broker->options.not_ready) {
		bool has_ended = program_has_ended(&broker->daemon);
		char *text = broker_log(broker);
		bool is_ready = text_count(text, "ready") > ready;

		if (is_ready && keeper != NULL) { /* the service manager is told last, with a socket that stays open */
			keeper_listen(keeper);
			is_ready = keeper->is_ready;
		}

		free(text);
		if (is_ready)
			break;
		if (has_ended && step != NULL)
			return;
		ck_assert_msg(!has_ended, "the daemon ended at once (status %#x)", (unsigned)broker->daemon.status);
		ck_assert_msg(suite_pause(deadline), "the daemon does not get ready");
	}
}

/* Descriptors of a daemon that has said "ready": some of its beginning may just be closing. */
static int fds_at_rest(pid_t pid)
{
	int fds = fds_count(pid);

	for (unsigned same = 0; same < 10; same++) {
		int now;

		sleep_ms(1);
		now = fds_count(pid);
		if (now != fds)
			same = 0;
		fds = now;
	}
	return fds;
}

void broker_start(struct broker *broker, const struct broker_options *options)
{
	memset(broker, 0, sizeof(*broker));
	if (options != NULL)
		broker->options = *options;
	snprintf(broker->dir, sizeof(broker->dir), "%s/shmb-test-%d-XXXXXX", broker_tmp(), (int)suite_pid());
	ck_assert_ptr_nonnull(mkdtemp(broker->dir));
	chmod(broker->dir, 0755);
	snprintf(broker->runtime, sizeof(broker->runtime), "%s/run", broker->dir);
	ck_assert_int_eq(mkdir(broker->runtime, 0700), 0);
	if (broker->options.runtime_mode != 0)
		ck_assert_int_eq(chmod(broker->runtime, broker->options.runtime_mode), 0);
	snprintf(broker->socket, sizeof(broker->socket), "%s/control.sock", broker->runtime);
	snprintf(broker->environment, sizeof(broker->environment), "SHMBROKER_SOCKET=%s", broker->socket);
	snprintf(broker->log, sizeof(broker->log), "%s/daemon.log", broker->dir);
	snprintf(broker->config, sizeof(broker->config), "%s/shmbrokerd.conf", broker->dir);
	if (broker->options.config != NULL)
		broker_configure(broker, broker->options.config);
	if (broker->options.shm != NULL) {
		snprintf(broker->shm, sizeof(broker->shm), "%s", broker->options.shm);
	} else {
		snprintf(broker->shm, sizeof(broker->shm), "/dev/shm/shmb-test-%d-XXXXXX", (int)suite_pid());
		ck_assert_ptr_nonnull(mkdtemp(broker->shm));
	}
	if (broker->options.uid != 0) {
		uid_t uid = broker->options.uid;

		ck_assert(chown(broker->runtime, uid, uid) == 0 && chown(broker->shm, uid, uid) == 0);
	}
	running++;
	if (broker->options.keeper != NULL) {
		char path[192];

		snprintf(path, sizeof(path), "%s/notify", broker->dir);
		keeper_init(broker->options.keeper, path);
	}
	daemon_start(broker);
	if (!program_has_ended(&broker->daemon)) {
		broker->fds = fds_at_rest(broker->daemon.pid);
		broker->files = dir_names(broker->shm);
	}
}

void broker_configure(struct broker *broker, const char *text)
{
	char path[sizeof(broker->config) + 4];

	/* At once: a client may tell the daemon to read it just now. */
	snprintf(path, sizeof(path), "%s.new", broker->config);
	file_write(path, text, strlen(text));
	ck_assert_int_eq(chmod(path, 0644), 0);
	ck_assert_int_eq(rename(path, broker->config), 0);
}

void broker_restart(struct broker *broker)
{
	ck_assert_msg(program_has_ended(&broker->daemon), "the daemon still runs");
	daemon_start(broker);
	if (broker->files == NULL) {
		broker->fds = fds_at_rest(broker->daemon.pid);
		broker->files = strdup(",lock\n");
	}
}

void broker_kill(struct broker *broker)
{
	program_kill(&broker->daemon);
}

void broker_stop(struct broker *broker)
{
	int status;

	program_signal(&broker->daemon, SIGTERM);
	status = program_wait(&broker->daemon);
	ck_assert_msg(status == 0, "the daemon ended with %d after SIGTERM", status);
	ck_assert_msg(access(broker->socket, F_OK) != 0, "the socket is left after SIGTERM");
}

void broker_drop(struct broker *broker)
{
	if (!program_has_ended(&broker->daemon))
		program_kill(&broker->daemon);
	free(broker->files);
	broker->files = NULL;
	if (broker->options.keeper != NULL)
		keeper_deinit(broker->options.keeper);
	dir_remove(broker->dir);
	if (broker->options.shm == NULL)
		dir_remove(broker->shm);
	running--;
}

int broker_sealed(const struct broker *broker)
{
	return fds_count_of(broker->daemon.pid, "/memfd:shmbroker");
}

static int fds_without_sealed(const struct broker *broker)
{
	return fds_count(broker->daemon.pid) - broker_sealed(broker);
}

void broker_settle(struct broker *broker)
{
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);

	while (fds_without_sealed(broker) != broker->fds) {
		if (!suite_pause(deadline)) {
			fds_print(broker->daemon.pid, "the daemon");
			ck_abort_msg("the daemon has %d descriptors, %d before its first client", fds_without_sealed(broker), broker->fds);
		}
	}
}

struct names {
	char name[256][208];
	unsigned count;
};

static int note_name(const struct shmb_segment_info *info, void *user)
{
	struct names *names = user;

	if (names->count < 256)
		snprintf(names->name[names->count++], 208, "%s", info->name);
	return 0;
}

void broker_remove_segments(struct broker *broker)
{
	struct names *names = calloc(1, sizeof(*names));
	struct shmb *client = broker_connect(broker);

	ASSERT_OK(shmb_list(client, note_name, names));
	for (unsigned i = 0; i < names->count; i++) {
		int r = shmb_remove(client, names->name[i]);

		/* It may have been reaped since it was listed. */
		ck_assert_msg(r == 0 || r == -ENOENT, "%s: %d: %s", names->name[i], r, shmb_text());
	}
	shmb_disconnect(client);
	free(names);
}

static bool files_are_as_before(struct broker *broker)
{
	char *now = dir_names(broker->shm);
	bool same = strcmp(now, broker->files) == 0;

	free(now);
	return same;
}

void broker_clear(struct broker *broker)
{
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);
	bool mapped;

	ck_assert_msg(!program_has_ended(&broker->daemon), "the daemon has ended (status %#x)", (unsigned)broker->daemon.status);
	broker_settle(broker);
	broker_remove_segments(broker);
	while (!files_are_as_before(broker)) {
		if (!suite_pause(deadline)) {
			char *now = dir_names(broker->shm);

			ck_abort_msg("left in %s:\n%swhere there was before:\n%s", broker->shm, now, broker->files);
		}
	}
	broker_settle(broker);
	while (broker_sealed(broker) != 0)
		ck_assert_msg(suite_pause(deadline), "the daemon keeps %d sealed parts of no segment", broker_sealed(broker));
	mapped = maps_contain(broker->daemon.pid, broker->shm);
	ck_assert_msg(!mapped, "the daemon still maps something in %s", broker->shm);
}

void broker_finish(struct broker *broker)
{
	broker_clear(broker);
	broker_stop(broker);
	ck_assert_msg(files_are_as_before(broker), "files are left after the daemon's end");
	broker_drop(broker);
}

/* ---- clients ---- */

struct shmb *broker_connect(struct broker *broker)
{
	struct shmb *client = NULL;

	ASSERT_OK(shmb_connect(&client, broker->socket));
	return client;
}

static int note_status(const struct shmb_broker_status *status, void *user)
{
	struct shmb_broker_status *out = user;

	*out = *status;
	out->version = NULL; /* valid during the call only */
	out->shm_dir = NULL;
	return 0;
}

void broker_status(struct broker *broker, struct shmb_broker_status *out)
{
	struct shmb *client = broker_connect(broker);

	ASSERT_OK(shmb_status(client, note_status, out));
	shmb_disconnect(client);
}

/* ---- workers ---- */

void worker_start(struct program *worker, struct broker *broker, const char *name, bool steps)
{
	const char *environment[] = { broker->environment, "SHMB_STEP_AT", "SHMB_STEP_DO", NULL };

	program_start(worker, &(struct program_options){ .name = name, .environment = environment },
		      ARGV(steps ? path_worker_steps() : path_worker()));
}

struct answer worker_answer(struct program *worker)
{
	const char *line = program_line(worker, 2 * SUITE_PATIENCE_MS);
	struct answer answer = { 0 };
	const char *text;
	char *end;

	ck_assert_msg(line != NULL, "%s ended instead of answering", worker->name);
	answer.result = (int)strtol(line, &end, 10);
	text = strchr(line, '|');
	while (answer.count < 12) {
		const char *from = end;

		answer.v[answer.count] = strtoull(from, &end, 10);
		if (end == from || (text != NULL && end > text))
			break;
		answer.count++;
	}
	snprintf(answer.text, sizeof(answer.text), "%s", text != NULL ? text + 1 : "");
	return answer;
}

static struct answer ask(struct program *worker, const char *format, va_list args)
{
	char command[2048];

	vsnprintf(command, sizeof(command), format, args);
	program_send(worker, "%s", command);
	return worker_answer(worker);
}

struct answer worker_ask(struct program *worker, const char *format, ...)
{
	struct answer answer;
	va_list args;

	va_start(args, format);
	answer = ask(worker, format, args);
	va_end(args);
	return answer;
}

struct answer worker_must(struct program *worker, const char *format, ...)
{
	struct answer answer;
	va_list args;

	va_start(args, format);
	answer = ask(worker, format, args);
	va_end(args);
	ck_assert_msg(answer.result == 0, "%s, '%s': %d (%s); %s", worker->name, format, answer.result, shmb_strerror(answer.result),
		      answer.text);
	return answer;
}

void worker_quit(struct program *worker)
{
	int status;

	program_send(worker, "quit");
	status = program_wait(worker);
	ck_assert_msg(status == 0, "%s ended with %d", worker->name, status);
}
