/* SPDX-License-Identifier: MIT */
/* Fork and exec: a child owns nothing of its parent's, and whoever execs has let go. */
#include "../support/client.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_CHECK(condition)                                                                                                             \
	do {                                                                                                                               \
		if (!(condition)) {                                                                                                        \
			fprintf(stderr, "in the child: %s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                              \
			_exit(1);                                                                                                          \
		}                                                                                                                          \
	} while (0)

/* Does this kernel wipe a page in a forked child that asked for it? Emulators do not, and then no library can know that it was forked. */
static bool fork_is_seen(void)
{
	volatile char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t pid;
	int status;

	ck_assert(page != MAP_FAILED);
	*page = 1;
	madvise((void *)(uintptr_t)page, 4096, MADV_WIPEONFORK);
	pid = fork();
	if (pid == 0)
		_exit(*page);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	munmap((void *)(uintptr_t)page, 4096);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

#define NEEDS_FORK_RULES()                                                                                                                 \
	do {                                                                                                                               \
		if (!fork_is_seen())                                                                                                       \
			TEST_SKIP("MADV_WIPEONFORK does nothing here (an emulator)");                                                      \
	} while (0)

struct family {
	struct broker b;
	struct shmb *client;
	struct shmb_ring_writer *ring;
	struct shmb_ring_reader *ring_in;
	struct shmb_value_writer *value;
	struct shmb_value_reader *value_in;
};

static void family_start(struct family *f)
{
	broker_start(&f->b, NULL);
	f->client = broker_connect(&f->b);
	f->ring = ring_writer(f->client, "family/ring", 64, 8);
	f->value = value_writer(f->client, "family/value", 64);
	f->ring_in = ring_reader(f->client, "family/ring");
	f->value_in = value_reader(f->client, "family/value");
	ring_write(f->ring, 64, 3, 1);
	value_write(f->value, 64, 3, 1);
	ring_next(f->ring_in, 0, 0);
	value_latest(f->value_in, 2, -1);
}

/* The parent's handles work as before: nobody else has touched them. */
static void family_end(struct family *f)
{
	ring_next(f->ring_in, 1, 0);
	ring_next(f->ring_in, 2, 0);
	ring_write(f->ring, 64, 1, 1);
	value_write(f->value, 64, 1, 1);
	ASSERT_OK(shmb_ring_wait(f->ring_in, SHMB_NO_WAIT));
	ring_next(f->ring_in, 3, 0);
	value_latest(f->value_in, 3, -1);
	ASSERT_ERROR(shmb_ring_wait(f->ring_in, SHMB_NO_WAIT), ETIMEDOUT);
	ck_assert(segment_listed(f->client, "family/ring", NULL) && segment_listed(f->client, "family/value", NULL));
	shmb_ring_reader_close(f->ring_in);
	shmb_value_reader_close(f->value_in);
	shmb_ring_writer_close(f->ring);
	shmb_value_writer_close(f->value);
	shmb_disconnect(f->client);
	broker_finish(&f->b);
}

static void child_wait(pid_t pid)
{
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0)
		ck_assert_msg(suite_pause(deadline), "the child does not end");
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child ended with %#x", (unsigned)status);
}

START_TEST(every_call_of_a_child_is_refused)
{
	struct family f;
	pid_t pid;

	NEEDS_FORK_RULES();
	family_start(&f);
	pid = fork();
	if (pid == 0) {
		struct shmb_segment_status status;
		struct shmb_sample sample;
		struct shmb_ring_reader *reader = NULL;
		struct shmb_ring_writer *writer = NULL;
		struct shmb_type *type = NULL;
		char payload[64] = "";
		uint64_t oldest;
		uint64_t next;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		CHILD_CHECK(shmb_ring_insert(f.ring, payload) == -EOWNERDEAD);
		CHILD_CHECK(shmb_ring_heartbeat(f.ring) == -EOWNERDEAD);
		CHILD_CHECK(shmb_value_store(f.value, payload) == -EOWNERDEAD);
		CHILD_CHECK(shmb_value_heartbeat(f.value) == -EOWNERDEAD);
		CHILD_CHECK(shmb_ring_latest(f.ring_in, payload, &sample) == -EOWNERDEAD);
		CHILD_CHECK(shmb_ring_read(f.ring_in, 0, payload, &sample) == -EOWNERDEAD);
		CHILD_CHECK(shmb_ring_read_next(f.ring_in, payload, &sample) == -EOWNERDEAD);
		CHILD_CHECK(shmb_ring_bounds(f.ring_in, &oldest, &next) == -EOWNERDEAD);
		CHILD_CHECK(shmb_ring_wait(f.ring_in, SHMB_FOREVER) == -EOWNERDEAD);
		CHILD_CHECK(strstr(shmb_text(), "fork") != NULL);
		CHILD_CHECK(shmb_ring_status(f.ring_in, &status) == -EOWNERDEAD);
		CHILD_CHECK(shmb_ring_seek(f.ring_in, 0) == -EOWNERDEAD);
		CHILD_CHECK(shmb_value_load(f.value_in, payload, &sample) == -EOWNERDEAD);
		CHILD_CHECK(shmb_value_wait(f.value_in, SHMB_FOREVER) == -EOWNERDEAD);
		CHILD_CHECK(shmb_value_status(f.value_in, &status) == -EOWNERDEAD);
		CHILD_CHECK(shmb_type_opaque(&type, 64) == 0);
		CHILD_CHECK(shmb_ring_reader_open(&reader, f.client, "family/ring", NULL, SHMB_NO_WAIT) == -EOWNERDEAD);
		CHILD_CHECK(shmb_ring_writer_open(&writer, f.client, "new", type, NULL) == -EOWNERDEAD);
		CHILD_CHECK(shmb_remove(f.client, "family/ring") == -EOWNERDEAD);
		CHILD_CHECK(shmb_type_free(type) == NULL);
		CHILD_CHECK(shmb_ring_reader_close(f.ring_in) == NULL);
		CHILD_CHECK(shmb_value_reader_close(f.value_in) == NULL);
		CHILD_CHECK(shmb_ring_writer_close(f.ring) == NULL);
		CHILD_CHECK(shmb_value_writer_close(f.value) == NULL);
		CHILD_CHECK(shmb_disconnect(f.client) == NULL);
		_exit(0);
	}
	child_wait(pid);
	family_end(&f);
}
END_TEST

/* The defect S6 of what was used before: the exit of a forked child, or a late one of an old writer, removed the live segment. */
START_TEST(defect_S6_exit_of_a_child_removes_nothing)
{
	struct program old;
	struct program new;
	struct family f;
	struct answer answer;
	pid_t pid;

	NEEDS_FORK_RULES();
	family_start(&f);
	pid = fork();
	if (pid == 0)
		exit(0); /* with everything that runs at exit */
	child_wait(pid);
	pid = fork();
	if (pid == 0) {
		raise(SIGKILL);
		_exit(1);
	}
	waitpid(pid, NULL, 0);

	/* an old writer that ends after another took over */
	worker_start(&old, &f.b, "old", false);
	worker_start(&new, &f.b, "new", false);
	worker_must(&old, "writer name=handed bytes=64 salt=1");
	worker_must(&old, "write n=1");
	worker_must(&old, "close-writer");
	worker_must(&new, "writer name=handed bytes=64 salt=2");
	worker_must(&new, "write n=1");
	worker_quit(&old);
	worker_must(&new, "write n=1");
	worker_must(&new, "reader name=handed bytes=64");
	answer = worker_must(&new, "latest");
	ck_assert(answer.v[0] == 2 && answer.v[3] == 2);
	ASSERT_RESULT(worker_ask(&new, "remove name=family/none"), -ENOENT);
	worker_quit(&new);
	family_end(&f);
}
END_TEST

/* A child that outlives its parent does not keep the lease alive. */
START_TEST(orphan_does_not_keep_the_lease)
{
	struct family f;
	int gate[2];
	pid_t parent;
	pid_t orphan;
	struct shmb_ring_reader *reader;

	NEEDS_FORK_RULES();
	family_start(&f);
	ck_assert_int_eq(pipe(gate), 0);
	parent = fork();
	if (parent == 0) {
		struct shmb_ring_writer *writer;
		struct shmb *own;
		pid_t pid;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		own = broker_connect(&f.b);
		writer = ring_writer(own, "orphaned", 64, 8);
		ring_write(writer, 64, 1, 1);
		pid = fork();
		if (pid == 0) {
			char byte;

			close(gate[1]);
			_exit(read(gate[0], &byte, 1) == 0 ? 0 : 1); /* holds every descriptor of its parent */
		}
		_exit(0);
	}
	child_wait(parent);
	reader = ring_reader(f.client, "orphaned");
	ring_latest(reader, 0, -1);
	ASSERT_ERROR(shmb_ring_wait(reader, deadline_in(SUITE_PATIENCE_MS)), EOWNERDEAD);
	ASSERT_OK(ring_writer_try(f.client, "orphaned", 64, 8));
	shmb_ring_reader_close(reader);
	close(gate[0]);
	close(gate[1]);
	orphan = waitpid(-1, NULL, 0);
	ck_assert_int_gt(orphan, 0);
	family_end(&f);
}
END_TEST

/* A child connects anew and is a client of its own; the parent's lease is not its. */
START_TEST(child_connects_anew)
{
	struct family f;
	pid_t pid;

	NEEDS_FORK_RULES();
	family_start(&f);
	pid = fork();
	if (pid == 0) {
		struct shmb_value_reader *reader = NULL;
		struct shmb_ring_writer *writer = NULL;
		struct shmb_type *type = NULL;
		struct shmb *own = NULL;
		char payload[64];

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		shmb_ring_writer_close(f.ring);
		shmb_disconnect(f.client);
		CHILD_CHECK(shmb_connect(&own, f.b.socket) == 0);
		CHILD_CHECK(shmb_value_reader_open(&reader, own, "family/value", NULL, SHMB_NO_WAIT) == 0);
		CHILD_CHECK(shmb_value_load(reader, payload, NULL) == 0);
		CHILD_CHECK(shmb_type_parse(&type, "pattern", "uint64[8] words\n") == 0);
		CHILD_CHECK(shmb_ring_writer_open(&writer, own, "family/ring", type, &(struct shmb_options){ .capacity = 8 }) == -EBUSY);
		shmb_type_free(type);
		shmb_value_reader_close(reader);
		shmb_disconnect(own);
		_exit(0);
	}
	child_wait(pid);
	family_end(&f);
}
END_TEST

/*
 * After exec the process lives, so its memory may still be mapped somewhere: the lease is given up, and the next writer gets a new generation, to
 * which readers go on. Nothing of the library is open in the new program.
 */
START_TEST(exec_gives_the_lease_up)
{
	struct program writer;
	struct program other;
	struct program reader;
	struct shmb *client;
	struct answer taken;
	struct broker b;
	int fds;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	worker_start(&writer, &b, "writer", false);
	worker_start(&other, &b, "other", false);
	worker_start(&reader, &b, "reader", false);
	worker_must(&writer, "ping");
	fds = fds_count(writer.pid);
	worker_must(&writer, "writer name=exec bytes=64");
	worker_must(&writer, "write n=2");
	worker_must(&reader, "reader name=exec bytes=64");
	worker_must(&reader, "latest");
	worker_must(&writer, "exec");
	wait_writer(client, "exec", SHMB_WRITER_IS_GONE);
	WAIT_UNTIL(fds_count(writer.pid) <= fds); /* the new program opens and closes files of its own as it starts */
	ck_assert(!maps_contain(writer.pid, b.shm));
	taken = worker_must(&other, "writer name=exec bytes=64");
	ck_assert_uint_eq(taken.v[0], 3); /* number 2 may have been under way */
	ck_assert_uint_eq(worker_must(&reader, "status").v[0], SHMB_WRITER_IS_GONE);
	ck_assert_uint_eq(worker_must(&reader, "latest").v[0], 1);
	ASSERT_RESULT(worker_ask(&reader, "wait deadline=15000"), -EPIPE);
	ASSERT_RESULT(worker_ask(&reader, "wait deadline=15000"), -EREMCHG);
	worker_must(&other, "write n=1");
	worker_must(&reader, "wait deadline=15000");
	taken = worker_must(&reader, "next");
	ck_assert(taken.v[0] == 3 && taken.v[1] == 1);
	program_kill(&writer);
	ck_assert_uint_eq(worker_must(&reader, "status").v[0], SHMB_WRITER_IS_ALIVE);
	worker_quit(&other);
	worker_quit(&reader);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* The same when the daemon was restarted between exec and the end of the process. */
START_TEST(given_up_lease_survives_a_restart)
{
	struct program writer;
	struct program other;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	worker_start(&writer, &b, "writer", false);
	worker_start(&other, &b, "other", false);
	worker_must(&writer, "writer name=exec bytes=64");
	worker_must(&writer, "write n=2");
	worker_must(&writer, "exec");
	wait_writer(client, "exec", SHMB_WRITER_IS_GONE);
	broker_kill(&b);
	broker_restart(&b);
	wait_writer(client, "exec", SHMB_WRITER_IS_GONE);
	ck_assert_uint_eq(worker_must(&other, "writer name=exec bytes=64").v[0], 3);
	program_kill(&writer);
	worker_quit(&other);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* The library's own socket, found by its peer's name (that of the socket when it was made: it is renamed then); -1 none. */
static int client_socket(const char *path)
{
	for (int fd = 0; fd < 1024; fd++) {
		struct sockaddr_un address = { .sun_family = 0 };
		socklen_t length = sizeof(address);

		if (getpeername(fd, (struct sockaddr *)&address, &length) == 0 && address.sun_family == AF_UNIX &&
		    strncmp(address.sun_path, path, strlen(path)) == 0)
			return fd;
	}
	return -1;
}

/*
 * The connection is lost while the process lives (a stray close). The lease is given up: the writer is stopped at its next write. When it comes
 * back with a control request before another one writes, it takes the lease back and writes on.
 */
START_TEST(lost_connection_stops_the_writer_until_it_is_back)
{
	struct shmb_ring_writer *writer;
	struct shmb_ring_reader *reader;
	struct program other;
	struct shmb *client;
	struct shmb *second;
	char payload[64] = "";
	struct broker b;
	int fd;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	fd = client_socket(b.socket);
	second = broker_connect(&b);
	worker_start(&other, &b, "other", false);
	writer = ring_writer(client, "lost", 64, 8);
	ring_write(writer, 64, 2, 1);
	reader = ring_reader(second, "lost");
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(shutdown(fd, SHUT_RDWR), 0);
	wait_writer(second, "lost", SHMB_WRITER_IS_GONE);
	ASSERT_ERROR(shmb_ring_insert(writer, payload), ESTALE);
	ASSERT_ERROR(shmb_ring_heartbeat(writer), ESTALE);
	ck_assert_uint_eq(shmb_ring_next_number(writer), 2);
	ck_assert_uint_eq(segments_count(client), 1); /* reconnects */
	wait_writer(second, "lost", SHMB_WRITER_IS_ALIVE);
	ring_write(writer, 64, 2, 1);
	ring_latest(reader, 3, -1);
	ASSERT_RESULT(worker_ask(&other, "writer name=lost bytes=64 capacity=8"), -EBUSY);
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	worker_quit(&other);
	shmb_disconnect(second);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* exec while the daemon is away: the next one finds a process that lives, may have the memory mapped and does not speak. */
START_TEST(exec_during_the_outage)
{
	struct program writer;
	struct program other;
	struct answer refused;
	struct broker b;

	broker_start(&b, NULL);
	worker_start(&writer, &b, "writer", false);
	worker_start(&other, &b, "other", false);
	worker_must(&writer, "writer name=exec bytes=64");
	broker_kill(&b);
	worker_must(&writer, "exec");
	broker_restart(&b);
	refused = worker_ask(&other, "writer name=exec bytes=64");
	ck_assert_msg(refused.result == -EBUSY || refused.result == -ESTALE, "%d %s", refused.result, refused.text);
	program_kill(&writer);
	worker_must(&other, "writer name=exec bytes=64 deadline=15000");
	worker_quit(&other);
	broker_finish(&b);
}
END_TEST

/* Mappings of segments, event pages among them, as this process has them; all of them must be marked. */
static unsigned marked_mappings(void)
{
	FILE *in = fopen("/proc/self/smaps", "re");
	char line[1024], name[1024] = "";
	unsigned count = 0;

	ck_assert_ptr_nonnull(in);
	while (fgets(line, sizeof(line), in) != NULL) {
		if (strchr(line, '-') != NULL && strchr(line, '-') < line + 20)
			strcpy(name, strstr(line, "/dev/shm/") != NULL || strstr(line, "memfd:shmbroker") != NULL ? line : "");
		if (name[0] == '\0' || strncmp(line, "VmFlags:", 8) != 0)
			continue;
		ck_assert_msg(strstr(line, " dc") != NULL, "a child has %s", name); /* MADV_DONTFORK */
		ck_assert_msg(strstr(line, " dd") != NULL, "a core dump holds %s", name);
		count++;
	}
	fclose(in);
	return count;
}

/* One mapping beside the other, and where they found no such place: what is marked and unmapped together is all of them and nothing else. */
START_TEST(no_part_is_inherited_or_dumped)
{
	struct shmb_ring_reader *readers[24];
	char *holes[48];
	struct family f;
	unsigned before, with_family;

	NEEDS_FORK_RULES();
	family_start(&f);
	with_family = marked_mappings();
	ck_assert_uint_ge(with_family,
			  1 + 2 * 2 + 2 * 3); /* the event page; of each segment a writer's two parts, of each a reader's three */
	for (unsigned i = 0; i < 48; i++)
		holes[i] = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (unsigned i = 0; i < 48; i++) {
		ck_assert(holes[i] != MAP_FAILED);
		*holes[i] = (char)i;
		if (i % 2 == 1)
			munmap(holes[i], 4096);
	}
	before = marked_mappings();
	for (unsigned i = 0; i < 24; i++) {
		readers[i] = ring_reader(f.client, "family/ring");
		ck_assert_uint_ge(marked_mappings(), before + 2 * (i + 1));
	}
	for (unsigned i = 0; i < 24; i++)
		readers[i] = shmb_ring_reader_close(readers[i]);
	ck_assert_uint_eq(marked_mappings(), before);
	for (unsigned i = 0; i < 48; i += 2) {
		ck_assert_int_eq(*holes[i], (char)i);
		munmap(holes[i], 4096);
	}
	family_end(&f);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fork");

	suite_add(suite, every_call_of_a_child_is_refused, 30);
	suite_add(suite, defect_S6_exit_of_a_child_removes_nothing, 60);
	suite_add(suite, orphan_does_not_keep_the_lease, 60);
	suite_add(suite, child_connects_anew, 30);
	suite_add(suite, no_part_is_inherited_or_dumped, 30);
	suite_add(suite, exec_gives_the_lease_up, 60);
	suite_add(suite, given_up_lease_survives_a_restart, 60);
	suite_add(suite, lost_connection_stops_the_writer_until_it_is_back, 60);
	suite_add(suite, exec_during_the_outage, 60);
	return suite_run(suite);
}
