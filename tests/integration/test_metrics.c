/* SPDX-License-Identifier: MIT */
/* What the broker counts of itself, and who is connected to it and what they hold and did. The text that shmbctl makes of it: test_metrics_text.c. */
#include "../support/client.h"
#include "../support/raw.h"
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OTHER_UID = 4201 };

/* ---- the library ---- */

struct seen {
	struct shmb_metrics metrics;
	uint64_t requests; /* of all buckets */
	uint64_t refusals;
	uint64_t of_reason;
	uint64_t of_kind;
	const char *reason;
	const char *kind;
};

static int see(const struct shmb_metrics *metrics, void *user)
{
	struct seen *seen = user;
	uint64_t upto = 0;

	seen->metrics = *metrics;
	for (uint32_t i = 0; i < metrics->bucket_count; i++) {
		ck_assert_uint_gt(metrics->buckets[i].upto_ns, upto);
		upto = metrics->buckets[i].upto_ns;
		seen->requests += metrics->buckets[i].count;
	}
	ck_assert_uint_eq(upto, UINT64_MAX);
	for (uint32_t i = 0; i < metrics->refusal_count; i++) {
		seen->refusals += metrics->refusals[i].value;
		if (seen->reason != NULL && strcmp(metrics->refusals[i].name, seen->reason) == 0)
			seen->of_reason = metrics->refusals[i].value;
	}
	for (uint32_t i = 0; i < metrics->event_count; i++) {
		if (seen->kind != NULL && strcmp(metrics->events[i].name, seen->kind) == 0)
			seen->of_kind = metrics->events[i].value;
	}
	return 0;
}

static struct seen metrics_of(struct shmb *client, const char *reason, const char *kind)
{
	struct seen seen = { .reason = reason, .kind = kind };

	ASSERT_OK(shmb_metrics(client, see, &seen));
	return seen;
}

static uint64_t refused(struct shmb *client, const char *reason)
{
	return metrics_of(client, reason, NULL).of_reason;
}

static uint64_t happened(struct shmb *client, const char *kind)
{
	return metrics_of(client, NULL, kind).of_kind;
}

START_TEST(counts_of_the_broker)
{
	struct shmb_ring_writer *writer;
	struct seen first, seen;
	struct program other;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	first = metrics_of(client, NULL, NULL);
	ck_assert_uint_eq(first.metrics.segments, 0);
	ck_assert_uint_eq(first.metrics.clients, 1);
	ck_assert_uint_eq(first.refusals, 0);
	ck_assert_uint_eq(first.requests, 2); /* HELLO, READY */
	ck_assert_uint_gt(first.metrics.latency_ns, 0);
	ck_assert_uint_gt(first.metrics.cpu_ns, 0);
	ck_assert_uint_gt(first.metrics.resident_bytes, 65536);
	ck_assert_uint_gt(first.metrics.descriptors, 4);
	ck_assert_uint_lt(first.metrics.descriptors, first.metrics.descriptors_max);

	writer = ring_writer(client, "m/ring", 64, 8);
	worker_start(&other, &b, "other", false);
	seen = metrics_of(client, NULL, "created");
	ck_assert_uint_eq(seen.of_kind, 1);
	ck_assert_uint_eq(seen.metrics.segments, 1);
	ck_assert_uint_eq(happened(client, "writer-up"), 1);
	/* Each refusal once, and each under its own reason. */
	ck_assert_int_eq(ring_reader_try(client, "m/nothing", SHMB_NO_WAIT), -ENOENT);
	ASSERT_ERROR(shmb_remove(client, "m/nothing"), ENOENT);
	ASSERT_RESULT(worker_ask(&other, "writer name=m/ring bytes=64 capacity=8"), -EBUSY);
	ck_assert_uint_eq(refused(client, "ENOENT"), 2);
	ck_assert_uint_eq(refused(client, "EBUSY"), 1);
	ck_assert_uint_eq(metrics_of(client, NULL, NULL).refusals, 3);
	ck_assert_uint_eq(happened(client, "refused"), 0); /* all of it in the ordinary course of things */
	seen = metrics_of(client, NULL, NULL);
	ck_assert_uint_eq(metrics_of(client, NULL, NULL).requests, seen.requests + 1);
	ck_assert_uint_gt(metrics_of(client, NULL, NULL).metrics.latency_ns, seen.metrics.latency_ns);

	worker_must(&other, "writer name=m/dies bytes=64");
	program_kill(&other);
	wait_writer(client, "m/dies", SHMB_WRITER_IS_DEAD);
	ck_assert_uint_eq(metrics_of(client, NULL, NULL).metrics.deaths, 1);
	ck_assert_uint_eq(happened(client, "writer-dead"), 1);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Every segment that is taken over, every file that is left alone, every one that is cleared away. */
START_TEST(a_restart_is_counted)
{
	struct program writer;
	struct shmb *client;
	struct seen seen;
	struct broker b;
	char path[512];
	char *log;

	broker_start(&b, NULL);
	worker_start(&writer, &b, "writer", false);
	worker_must(&writer, "writer name=r/held bytes=64 capacity=8");
	client = broker_connect(&b);
	shmb_ring_writer_close(ring_writer(client, "r/closed", 64, 8));
	broker_kill(&b);
	snprintf(path, sizeof(path), "%s/strange", b.shm);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	broker_restart(&b);
	seen = metrics_of(client, NULL, "adopted");
	ck_assert_uint_eq(seen.metrics.adopted, 2);
	ck_assert_uint_eq(seen.of_kind, 2);
	ck_assert_uint_eq(happened(client, "ignored"), 1);
	log = broker_log(&b);
	ck_assert_ptr_nonnull(strstr(log, "r/held: adopted with its writer"));
	ck_assert_ptr_nonnull(strstr(log, "r/closed: adopted with no writer and 0 readers"));
	free(log);
	unlink(path);
	worker_quit(&writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* A request that there is not. */
static void ask_nonsense(struct raw *raw)
{
	struct shmb_msg_head head = { 0 };
	struct raw_answer answer;

	ck_assert_int_eq(raw_ask(raw, SHMB_OP_COUNT + 7, &head, sizeof(head), NULL, 0, &answer), -ENOSYS);
	raw_answer_deinit(&answer);
}

/* What is no ordinary refusal is told, with who, what and why; not more of it than a watcher can take. */
START_TEST(refusals_are_told)
{
	enum { FLOOD = 300 };
	struct shmb_watch *watch, *narrow;
	struct shmb_event event = { 0 };
	struct shmb_ring_writer *writer;
	unsigned told = 0;
	struct raw raw = { 0 };
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "t/ring", 64, 8);
	ASSERT_OK(shmb_watch_open(&watch, b.socket, NULL));
	ASSERT_OK(shmb_watch_open(&narrow, b.socket, "t/*"));
	ck_assert_int_eq(ring_writer_try(client, "t/ring", 32, 8), -EPROTOTYPE);
	for (unsigned i = 0; i < 2; i++) {
		ASSERT_OK(shmb_watch_next(i == 0 ? watch : narrow, &event, deadline_in(SUITE_PATIENCE_MS)));
		ck_assert_str_eq(event.kind, "refused");
		ck_assert_str_eq(event.segment, "t/ring");
		ck_assert_str_eq(event.reason, "EPROTOTYPE");
		ck_assert_int_eq(event.pid, getpid());
		ck_assert_ptr_nonnull(strstr(event.text, "OPEN_WRITER"));
	}
	ASSERT_OK(raw_start(&raw, b.socket));
	for (unsigned i = 0; i < FLOOD; i++)
		ask_nonsense(&raw);
	ck_assert_uint_eq(refused(client, "ENOSYS"), FLOOD);
	ck_assert_uint_eq(happened(client, "refused"), FLOOD + 1);
	while (shmb_watch_next(watch, &event, deadline_in(300)) == 0) {
		ck_assert_str_eq(event.kind, "refused");
		ck_assert_uint_eq(event.lost, 0);
		ck_assert_str_eq(event.segment, "");
		told++;
	}
	ck_assert_msg(told >= 1 && told <= 40, "%u of %d were told", told, FLOOD);
	ASSERT_ERROR(shmb_watch_next(narrow, &event, SHMB_NO_WAIT), ETIMEDOUT);
	raw_close(&raw);
	shmb_watch_close(watch);
	shmb_watch_close(narrow);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- clients ---- */

struct found {
	int32_t pid; /* looked for */
	unsigned clients;
	uint64_t last_id;
	struct shmb_client_info info;
	char handles[2048]; /* "writes a, reads b" of that one */
	uint64_t handle_sum;
	unsigned stop_at;
};

static const char *const role_words[] = { "", "writes", "reads", "observes", "consumes", "shares" };

static int find(const struct shmb_client_info *client, void *user)
{
	struct found *found = user;

	ck_assert(found->clients == 0 || client->id < found->last_id);
	found->last_id = client->id;
	found->clients++;
	found->handle_sum += client->handle_count;
	if (client->pid == found->pid) {
		found->info = *client;
		found->handles[0] = '\0';
		for (uint32_t i = 0; i < client->handle_count && i < 20; i++) {
			size_t length = strlen(found->handles);

			snprintf(found->handles + length, sizeof(found->handles) - length, "%s%s %s", i > 0 ? ", " : "",
				 role_words[client->handles[i].role], client->handles[i].segment);
		}
	}
	return found->clients == found->stop_at ? 5 : 0;
}

static struct found find_client(struct shmb *client, int32_t pid)
{
	struct found found = { .pid = pid };

	ASSERT_OK(shmb_clients(client, find, &found));
	return found;
}

START_TEST(clients_and_what_they_hold)
{
	struct program writer, reader;
	struct found found, later;
	struct shmb *client;
	struct listed listed;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	worker_start(&writer, &b, "writer", false);
	worker_start(&reader, &b, "reader", false);
	worker_must(&writer, "writer name=c/ring bytes=64 capacity=8");
	worker_must(&reader, "reader name=c/ring bytes=64");
	found = find_client(client, writer.pid);
	ck_assert_uint_eq(found.clients, 3);
	ck_assert_str_eq(found.handles, "writes c/ring");
	ck_assert(segment_listed(client, "c/ring", &listed));
	ck_assert_uint_eq(found.info.bytes, listed.bytes);
	ck_assert_uint_eq(found.info.uid, getuid());
	ck_assert_uint_eq(found.info.gid, getgid());
	ck_assert_uint_eq(found.info.requests, 3); /* HELLO, READY, OPEN_WRITER */
	ck_assert_uint_eq(found.info.refusals, 0);
	ck_assert_uint_ne(found.info.connected_ns, 0);
	found = find_client(client, reader.pid);
	ck_assert_str_eq(found.handles, "reads c/ring");
	ck_assert_uint_eq(found.info.bytes, 0);
	ASSERT_RESULT(worker_ask(&reader, "writer name=c/ring bytes=64 capacity=8"), -EBUSY);
	later = find_client(client, reader.pid);
	ck_assert_uint_eq(later.info.requests, found.info.requests + 1);
	ck_assert_uint_eq(later.info.refusals, 1);
	ck_assert_uint_eq(later.info.id, found.info.id);
	found = (struct found){ .stop_at = 2 };
	ck_assert_int_eq(shmb_clients(client, find, &found), 5);
	worker_quit(&reader);
	program_kill(&writer);
	wait_writer(client, "c/ring", SHMB_WRITER_IS_DEAD);
	found = find_client(client, getpid());
	ck_assert_uint_eq(found.clients, 1);
	ck_assert_str_eq(found.handles, "");
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* More handles than fit one answer, several clients. */
START_TEST(clients_in_pages)
{
	enum { CLIENTS = 5, HANDLES = 250 };
	static struct shmb_ring_reader *readers[CLIENTS][HANDLES];
	struct shmb *clients[CLIENTS];
	struct shmb_ring_writer *writer;
	struct found found;
	struct broker b;

	broker_start(&b, NULL);
	for (unsigned i = 0; i < CLIENTS; i++)
		clients[i] = broker_connect(&b);
	writer = ring_writer(clients[0], "p/ring", 64, 8);
	for (unsigned i = 0; i < CLIENTS; i++) {
		for (unsigned j = 0; j < HANDLES; j++)
			ASSERT_OK(shmb_ring_observe(&readers[i][j], clients[i], "p/ring"));
	}
	found = find_client(clients[2], getpid());
	ck_assert_uint_eq(found.clients, CLIENTS);
	ck_assert_uint_eq(found.handle_sum, CLIENTS * HANDLES + 1);
	for (unsigned i = 0; i < CLIENTS; i++) {
		for (unsigned j = 0; j < HANDLES; j++)
			shmb_ring_reader_close(readers[i][j]);
	}
	shmb_ring_writer_close(writer);
	for (unsigned i = 0; i < CLIENTS; i++)
		shmb_disconnect(clients[i]);
	broker_finish(&b);
}
END_TEST

/* Runs as the other user: sees itself and nobody else, hears of no stranger's refusals, and the segments that it may. */
static int other_user_sees(struct broker *b)
{
	struct shmb_watch *watch = NULL;
	struct found found = { .pid = getpid() };
	struct shmb_event event = { 0 };
	struct shmb *client = NULL;

	if (shmb_connect(&client, b->socket) != 0 || shmb_watch_open(&watch, b->socket, NULL) != 0)
		return 1;
	if (shmb_clients(client, find, &found) != 0 || found.clients != 2 || found.info.uid != OTHER_UID)
		return 2;
	if (raise(SIGSTOP) != 0) /* the parent is refused something now */
		return 3;
	if (shmb_watch_next(watch, &event, shmb_now_ns() + 300000000) != -ETIMEDOUT)
		return 4;
	shmb_watch_close(watch);
	shmb_disconnect(client);
	return 0;
}

START_TEST(other_users_see_their_own)
{
	static const char config[] = "[segment secret/*]\nreaders = @root\n";
	struct shmb_ring_writer *writers[2];
	struct program_result result;
	struct shmb *client;
	struct raw raw = { 0 };
	struct broker b;
	int status;
	pid_t pid;

	if (geteuid() != 0)
		TEST_SKIP("needs root to run as another user");
	broker_start(&b, &(struct broker_options){ .runtime_mode = 0755, .config = config });
	client = broker_connect(&b);
	writers[0] = ring_writer(client, "secret/ring", 64, 8);
	writers[1] = ring_writer(client, "public/ring", 64, 8);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (setgroups(0, NULL) != 0 || setresgid(OTHER_UID, OTHER_UID, OTHER_UID) != 0 ||
		    setresuid(OTHER_UID, OTHER_UID, OTHER_UID) != 0)
			_exit(126);
		_exit(other_user_sees(&b));
	}
	ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
	ck_assert_msg(WIFSTOPPED(status), "ended with %#x", (unsigned)status);
	/* Root sees both users. */
	ck_assert_uint_eq(find_client(client, pid).clients, 3);
	ASSERT_OK(raw_start(&raw, b.socket));
	ask_nonsense(&raw);
	raw_close(&raw);
	kill(pid, SIGCONT);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "ended with %#x", (unsigned)status);
	if (path_shmbctl() != NULL) {
		SHMBCTL(&result, &b, "metrics");
		ck_assert_int_eq(result.status, 0);
		ck_assert_ptr_nonnull(strstr(result.out, "{segment=\"secret/ring\"} "));
		program_result_deinit(&result);
	}
	for (unsigned i = 0; i < 2; i++)
		shmb_ring_writer_close(writers[i]);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- readers' counters ---- */

static int keep_reader(const struct shmb_segment_info *info, const char *schema, const struct shmb_reader_info *readers, void *user)
{
	(void)schema;
	ck_assert_uint_eq(info->readers, 1);
	*(struct shmb_reader_info *)user = readers[0];
	return 0;
}

START_TEST(what_a_reader_did)
{
	struct shmb_reader_info reader = { 0 };
	struct shmb_ring_writer *writer;
	struct program program;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "d/ring", 64, 4);
	worker_start(&program, &b, "reader", false);
	worker_must(&program, "reader name=d/ring bytes=64");
	ring_write(writer, 64, 2, 1);
	worker_must(&program, "next");
	ring_write(writer, 64, 5, 2); /* 1 to 3 are overwritten unread */
	worker_must(&program, "next");
	worker_must(&program, "next");
	worker_must(&program, "next");
	/* What it shows before it sleeps, which must not be too late to sleep. */
	ASSERT_RESULT(worker_ask(&program, "wait deadline=500"), -ETIMEDOUT);
	ASSERT_RESULT(worker_ask(&program, "wait deadline=500"), -ETIMEDOUT);
	ASSERT_OK(shmb_info(client, "d/ring", keep_reader, &reader));
	ck_assert_uint_eq(reader.role, SHMB_HANDLE_READS);
	ck_assert_uint_eq(reader.behind, 0);
	if (reader.read != 0) { /* built with counters */
		ck_assert_uint_eq(reader.read, 4);
		ck_assert_uint_eq(reader.lapped, 3);
		/* Where there is no futex_waitv(2), each slice of a wait counts. */
		if (syscall(SYS_futex_waitv, NULL, 0, 0, NULL, 0) < 0 && errno == ENOSYS)
			ck_assert_uint_ge(reader.waited, 1);
		else
			ck_assert_uint_eq(reader.waited, 1);
		ck_assert_uint_eq(reader.woken, 0);
	}
	ck_assert_uint_eq(reader.published, 0);
	worker_quit(&program);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("metrics");

	suite_add(suite, counts_of_the_broker, 60);
	suite_add(suite, a_restart_is_counted, 60);
	suite_add(suite, refusals_are_told, 60);
	suite_add(suite, clients_and_what_they_hold, 60);
	suite_add(suite, clients_in_pages, 60);
	suite_add(suite, other_users_see_their_own, 60);
	suite_add(suite, what_a_reader_did, 60);
	return suite_run(suite);
}
