/* SPDX-License-Identifier: MIT */
/*
 * The library against a broker that is not one (fake_broker.h) and answers as the test says, or goes away in the middle. Nothing of it may
 * crash the client, make it wait beyond its time, or leave a descriptor or a mapping.
 */
#include "fake_broker.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "map.h"

static int no_visit(const struct shmb_broker_status *status, void *user)
{
	(void)status;
	(void)user;
	return 0;
}

static void text_has(const char *text)
{
	ck_assert_msg(strstr(shmb_text(), text) != NULL, "'%s' lacks '%s'", shmb_text(), text);
}

START_TEST(hello)
{
	static const struct {
		enum fault fault;
		int result;
		const char *text;
	} cases[] = {
		{ FAULT_NONE, 0, NULL },
		{ FAULT_STALE, 0, NULL },
		{ FAULT_CLOSE_ONCE, -ECONNREFUSED, "closed the connection" },
		{ FAULT_REFUSED, -EPERM, "not for you" },
		{ FAULT_SHORT, -EBADMSG, NULL },
		{ FAULT_OPCODE, -EBADMSG, NULL },
		{ FAULT_NO_FDS, -EBADMSG, "no event page" },
		{ FAULT_EVENT_SIZE, -EBADMSG, "event page" },
		{ FAULT_EVENT_MAGIC, -EBADMSG, "event page" },
		{ FAULT_EVENT_COOKIE, -EBADMSG, "another connection" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fake fake;
		struct shmb *broker = (struct shmb *)&fake;
		int r;

		fake_start(&fake, SHMB_OP_HELLO, cases[i].fault);
		r = shmb_connect(&broker, fake.path);
		ck_assert_msg(r == cases[i].result, "case %zu: %d %s", i, r, shmb_text());
		ck_assert((broker != NULL) == (r == 0));
		if (cases[i].text != NULL)
			text_has(cases[i].text);
		shmb_disconnect(broker);
		fake_stop(&fake);
	}
}
END_TEST

/* The kernel says that it has left some out; those that came are closed. */
START_TEST(too_many_descriptors)
{
	struct shmb_ring_writer *writer;
	struct shmb *broker;
	struct fake fake;

	fake_start(&fake, SHMB_OP_HELLO, FAULT_MORE_FDS);
	ck_assert_int_eq(shmb_connect(&broker, fake.path), -EMFILE);
	ck_assert_ptr_null(broker);
	fake_stop(&fake);
	fake_start(&fake, SHMB_OP_OPEN_WRITER, FAULT_MORE_FDS);
	ck_assert_int_eq(shmb_connect(&broker, fake.path), 0);
	ck_assert_int_eq(shmb_ring_writer_open(&writer, broker, "seg", &pair_type, NULL), -EMFILE);
	ck_assert_int_eq(shmb_status(broker, no_visit, NULL), 0);
	ck_assert_uint_eq(fake.closes, 1);
	shmb_disconnect(broker);
	fake_stop(&fake);
}
END_TEST

START_TEST(nobody)
{
	struct shmb *broker;
	struct fake fake;
	char path[200];

	fake_start(&fake, 0, FAULT_NONE);
	snprintf(path, sizeof(path), "%s/nothing", fake.dir);
	ck_assert_int_eq(shmb_connect(&broker, path), -ENOENT);
	text_has(path);
	snprintf(path, sizeof(path), "%s/s/t", fake.dir);
	ck_assert_int_eq(shmb_connect(&broker, path), -ENOENT);
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	ck_assert_int_eq(shmb_connect(&broker, path), -ENAMETOOLONG);
	/* The environment's word is taken as it is, and the caller's before it. */
	setenv("SHMBROKER_SOCKET", "/nonexistent/socket", 1);
	ck_assert_int_eq(shmb_connect(&broker, NULL), -ENOENT);
	text_has("/nonexistent/socket");
	ck_assert_int_eq(shmb_connect(&broker, fake.path), 0);
	shmb_disconnect(broker);
	setenv("SHMBROKER_SOCKET", fake.path, 1);
	ck_assert_int_eq(shmb_connect(&broker, NULL), 0);
	shmb_disconnect(broker);
	/* Nothing named: the user's own, where there is one, else the system's. */
	setenv("SHMBROKER_SOCKET", "", 1);
	setenv("XDG_RUNTIME_DIR", fake.dir, 1);
	snprintf(path, sizeof(path), "%s/shmbroker", fake.dir);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/shmbroker/control.sock", fake.dir);
	ck_assert_int_eq(symlink(fake.path, path), 0);
	ck_assert_int_eq(shmb_connect(&broker, NULL), 0);
	shmb_disconnect(broker);
	ck_assert_uint_eq(fake.hellos, 3);
	unlink(path);
	if (shmb_connect(&broker, NULL) != 0) /* a machine may have one that runs */
		text_has("/run/shmbroker/control.sock");
	shmb_disconnect(broker);
	setenv("XDG_RUNTIME_DIR", "relative", 1);
	if (shmb_connect(&broker, NULL) != 0)
		text_has("/run/shmbroker/control.sock");
	shmb_disconnect(broker);
	ck_assert_uint_eq(fake.hellos, 3);
	snprintf(path, sizeof(path), "%s/shmbroker", fake.dir);
	ck_assert_int_eq(rmdir(path), 0);
	fake_stop(&fake);
}
END_TEST

/* Sockets that nobody of ours listens on. */
START_TEST(other_sockets)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char dir[] = "/tmp/shmb-unit-XXXXXX";
	struct shmb *broker;
	int fd;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", dir);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	ck_assert_int_eq(shmb_connect(&broker, address.sun_path), -ECONNREFUSED);
	text_has("is no socket of shmbrokerd");
	ck_assert_ptr_null(broker);
	close(fd); /* and one that nobody listens on any more */
	ck_assert_int_eq(shmb_connect(&broker, address.sun_path), -ECONNREFUSED);
	text_has("no shmbrokerd at");
	unlink(address.sun_path);
	rmdir(dir);
}
END_TEST

START_TEST(requests)
{
	static const struct {
		enum fault fault;
		int result;
	} cases[] = {
		{ FAULT_NONE, 0 },
		{ FAULT_STALE, 0 },
		{ FAULT_REFUSED, -EPERM },
		{ FAULT_CLOSE_ONCE, 0 },
		{ FAULT_CLOSE, -ECONNREFUSED },
		{ FAULT_SHORT, -EBADMSG },
		{ FAULT_OPCODE, -EBADMSG },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fake fake;
		struct shmb *broker;
		int r;

		fake_start(&fake, SHMB_OP_STATUS, cases[i].fault);
		ck_assert_int_eq(shmb_connect(&broker, fake.path), 0);
		r = shmb_status(broker, no_visit, NULL);
		ck_assert_msg(r == cases[i].result, "case %zu: %d %s", i, r, shmb_text());
		/* It goes on after each. */
		fake.fault = FAULT_NONE;
		ck_assert_int_eq(shmb_status(broker, no_visit, NULL), 0);
		ck_assert_int_eq(shmb_remove(broker, "x"), 0);
		shmb_disconnect(broker);
		fake_stop(&fake);
	}
}
END_TEST

static void open_both(enum fault fault, int writer_result, int reader_result)
{
	struct shmb_ring_writer *writer;
	struct shmb_ring_reader *reader;
	struct shmb *broker;
	struct fake fake;
	int r;

	fake_start(&fake, SHMB_OP_OPEN_WRITER, fault);
	ck_assert_int_eq(shmb_connect(&broker, fake.path), 0);
	r = shmb_ring_writer_open(&writer, broker, "seg", &pair_type, NULL);
	ck_assert_msg(r == writer_result, "fault %d, writer: %d %s", fault, r, shmb_text());
	ck_assert((writer != NULL) == (r == 0));
	fake.opcode = SHMB_OP_OPEN_READER;
	for (int typed = 0; typed < 2; typed++) {
		/* A reader of any type can only find out what contradicts itself. */
		int expected = !typed && fault == FAULT_CARD_TYPE ? -EBADMSG : reader_result;

		if (fault == FAULT_CLOSE_ONCE)
			fake.fault = fault;
		r = shmb_ring_reader_open(&reader, broker, "seg", typed ? &pair_type : NULL, SHMB_NO_WAIT);
		ck_assert_msg(r == expected, "fault %d, reader: %d %s", fault, r, shmb_text());
		ck_assert((reader != NULL) == (r == 0));
		if (r == 0) {
			ck_assert_str_eq(shmb_ring_type(reader)->schema, pair_type.schema);
			ck_assert_int_eq(shmb_ring_latest(reader, &(struct pair){ 0 }, NULL), -ENODATA);
		}
		shmb_ring_reader_close(reader);
	}
	shmb_ring_writer_close(writer);
	shmb_disconnect(broker);
	fake_stop(&fake);
}

START_TEST(opens)
{
	open_both(FAULT_NONE, 0, 0);
	open_both(FAULT_STALE, 0, 0);
	open_both(FAULT_CLOSE_ONCE, 0, 0);
	open_both(FAULT_REFUSED, -EPERM, -EPERM);
	open_both(FAULT_CLOSE, -ECONNREFUSED, -ECONNREFUSED);
	open_both(FAULT_SHORT, -EBADMSG, -EBADMSG);
	open_both(FAULT_OPCODE, -EBADMSG, -EBADMSG);
	open_both(FAULT_NO_FDS, -EBADMSG, -EBADMSG);
}
END_TEST

START_TEST(bad_segments)
{
	open_both(FAULT_CARD_ZERO, -EBADMSG, -EBADMSG);
	open_both(FAULT_CARD_TINY, -EBADMSG, -EBADMSG);
	open_both(FAULT_CARD_NAME, -EBADMSG, -EBADMSG);
	open_both(FAULT_CARD_ID, -EBADMSG, -EBADMSG);
	open_both(FAULT_CARD_KIND, -EBADMSG, -EBADMSG);
	open_both(FAULT_CARD_TYPE, -EBADMSG, -EBADMSG);
	open_both(FAULT_CARD_SCHEMA, -EBADMSG, -EBADMSG);
	open_both(FAULT_DATA_TINY, -EBADMSG, -EBADMSG);
	open_both(FAULT_AREA_SIZE, -EBADMSG, -EBADMSG);
	open_both(FAULT_AREA_MISSING, -EBADMSG, -EBADMSG);
	open_both(FAULT_IS_DIRECTORY, -EBADMSG, -EBADMSG);
	/* A writer has no cell. */
	open_both(FAULT_CELL, 0, -EBADMSG);
}
END_TEST

/* The broker goes away with handles open: the next request finds another one and tells it what is held. */
START_TEST(resuming)
{
	struct shmb_ring_writer *writer;
	struct shmb_ring_reader *reader;
	struct shmb *broker;
	struct fake fake;

	fake_start(&fake, SHMB_OP_STATUS, FAULT_NONE);
	ck_assert_int_eq(shmb_connect(&broker, fake.path), 0);
	ck_assert_int_eq(shmb_ring_reader_open(&reader, broker, "seg", &pair_type, SHMB_NO_WAIT), 0);
	fake.fault = FAULT_CLOSE_ONCE;
	ck_assert_int_eq(shmb_status(broker, no_visit, NULL), 0);
	ck_assert_uint_eq(fake.hellos, 2);
	ck_assert_uint_eq(fake.resumes, 1);
	ck_assert_uint_eq(fake.readies, 2);
	ck_assert_str_eq(fake.resumed.name, "seg");
	ck_assert_uint_eq(fake.resumed.role, SHMB_ROLE_READER);
	ck_assert_uint_eq(fake.resumed.cell, 32);
	ck_assert_uint_eq(fake.resumed.segment_id, 77);
	shmb_ring_reader_close(reader);
	ck_assert_int_eq(shmb_ring_writer_open(&writer, broker, "seg", &pair_type, NULL), 0);
	fake.fault = FAULT_CLOSE_ONCE;
	ck_assert_int_eq(shmb_status(broker, no_visit, NULL), 0);
	ck_assert_uint_eq(fake.resumes, 2);
	ck_assert_uint_eq(fake.resumed.role, SHMB_ROLE_WRITER);
	ck_assert_uint_eq(fake.resumed.epoch, 1);
	ck_assert_int_eq(shmb_ring_insert(writer, &(struct pair){ 1, 2 }), 0);
	/* A handle that the broker does not know any more is no reason to go without a connection. */
	fake.refuse_resumes = true;
	fake.fault = FAULT_CLOSE_ONCE;
	ck_assert_int_eq(shmb_status(broker, no_visit, NULL), 0);
	ck_assert_uint_eq(fake.hellos, 4);
	ck_assert_uint_eq(fake.resumes, 3);
	ck_assert_uint_eq(fake.readies, 4);
	shmb_disconnect(broker);
	fake_stop(&fake);
}
END_TEST

/* The broker that comes back has no memory for a moment: the handle is not given up. For how long it is asked is bounded. */
START_TEST(resuming_without_memory)
{
	struct shmb_ring_reader *reader;
	struct shmb *broker;
	struct fake fake;

	fake_start(&fake, SHMB_OP_STATUS, FAULT_NONE);
	ck_assert_int_eq(shmb_connect(&broker, fake.path), 0);
	ck_assert_int_eq(shmb_ring_reader_open(&reader, broker, "seg", &pair_type, SHMB_NO_WAIT), 0);
	fake.short_of_memory = 3;
	fake.fault = FAULT_CLOSE_ONCE;
	ck_assert_int_eq(shmb_status(broker, no_visit, NULL), 0);
	ck_assert_uint_eq(fake.resumes, 4);
	ck_assert_uint_eq(fake.hellos, 2);
	ck_assert_uint_eq(fake.readies, 2);
	/* For good: the connection is there, the handle's cell is not. */
	fake.short_of_memory = 1000;
	fake.fault = FAULT_CLOSE_ONCE;
	ck_assert_int_eq(shmb_status(broker, no_visit, NULL), 0);
	ck_assert_uint_eq(fake.resumes, 4 + 8);
	ck_assert_uint_eq(fake.readies, 3);
	shmb_disconnect(broker);
	fake_stop(&fake);
}
END_TEST

static int no_gc_visit(const struct shmb_gc_info *info, void *user)
{
	(void)info;
	(void)user;
	return 1;
}

static int no_user_visit(const struct shmb_user_info *info, void *user)
{
	(void)info;
	(void)user;
	return 0;
}

/* A broker that always says that there is more is not asked for ever. */
START_TEST(there_is_always_more)
{
	struct shmb *broker;
	struct fake fake;

	fake_start(&fake, SHMB_OP_GC, FAULT_MORE);
	ck_assert_int_eq(shmb_connect(&broker, fake.path), 0);
	ck_assert_int_eq(shmb_gc(broker, SHMB_GC_TELL, no_gc_visit, NULL), 0);
	ck_assert_int_eq(shmb_gc(broker, SHMB_GC_TELL | SHMB_GC_FOREIGN_FILES, no_gc_visit, NULL), 0);
	fake.opcode = SHMB_OP_USERS;
	ck_assert_int_eq(shmb_users(broker, no_user_visit, NULL), 0);
	shmb_disconnect(broker);
	fake_stop(&fake);
}
END_TEST

/* No broker comes back: what is mapped stays readable, and closing is quick. */
START_TEST(no_broker_left)
{
	struct shmb_ring_reader *reader;
	struct shmb *broker;
	struct fake fake;

	fake_start(&fake, SHMB_OP_STATUS, FAULT_NONE);
	ck_assert_int_eq(shmb_connect(&broker, fake.path), 0);
	ck_assert_int_eq(shmb_ring_reader_open(&reader, broker, "seg", &pair_type, SHMB_NO_WAIT), 0);
	shutdown(fake.listener, SHUT_RDWR); /* the thread ends with its connection */
	fake.fault = FAULT_CLOSE_ONCE;
	ck_assert_int_eq(shmb_status(broker, no_visit, NULL), -ECONNREFUSED);
	text_has(fake.path);
	ck_assert_int_eq(shmb_remove(broker, "seg"), -ECONNREFUSED);
	pthread_join(fake.thread, NULL);
	close(fake.listener);
	unlink(fake.path);
	rmdir(fake.dir);
	ck_assert_int_eq(shmb_remove(broker, "seg"), -ECONNREFUSED);
	ck_assert_int_eq(shmb_ring_latest(reader, &(struct pair){ 0 }, NULL), -ENODATA);
	shmb_ring_reader_close(reader);
	shmb_disconnect(broker);
	ck_assert_uint_eq(fd_count(), fds_before);
	ck_assert_uint_eq(mapped(), 0);
}
END_TEST

/* The answer that came too late is not taken for that of the next request, and what it opened is closed. */
START_TEST(late_answers)
{
	struct shmb_ring_writer *writer;
	struct shmb *broker;
	struct fake fake;
	uint64_t begin;

	fake_start(&fake, SHMB_OP_OPEN_WRITER, FAULT_SILENT);
	ck_assert_int_eq(shmb_connect(&broker, fake.path), 0);
	begin = shmb_now_ns();
	ck_assert_int_eq(shmb_ring_writer_open(&writer, broker, "seg", &pair_type, NULL), -ETIMEDOUT);
	ck_assert_uint_ge(shmb_now_ns() - begin, SHMB_ANSWER_TIMEOUT_NS);
	text_has("did not answer");
	ck_assert_int_eq(shmb_status(broker, no_visit, NULL), 0);
	ck_assert_int_eq(shmb_ring_writer_open(&writer, broker, "seg", &pair_type, NULL), 0);
	ck_assert_uint_eq(fake.hellos, 1);
	shmb_disconnect(broker);
	fake_stop(&fake);
}
END_TEST

/* What the broker has opened and the client cannot use is closed again at the broker. */
START_TEST(unusable_answers)
{
	static const enum fault faults[] = { FAULT_SHORT, FAULT_CARD_ZERO };
	static const int results[] = { -EBADMSG, -EBADMSG };
	struct shmb_ring_writer *writer;
	struct shmb *broker;
	struct fake fake;

	for (int i = 0; i < 2; i++) {
		fake_start(&fake, SHMB_OP_OPEN_WRITER, faults[i]);
		ck_assert_int_eq(shmb_connect(&broker, fake.path), 0);
		ck_assert_int_eq(shmb_ring_writer_open(&writer, broker, "seg", &pair_type, NULL), results[i]);
		ck_assert_int_eq(shmb_status(broker, no_visit, NULL), 0);
		ck_assert_uint_eq(fake.closes, 1);
		shmb_disconnect(broker);
		fake_stop(&fake);
	}
}
END_TEST

static void *appear(void *arg)
{
	struct fake *fake = arg;

	nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	fake->fault = FAULT_NONE;
	return NULL;
}

/* Waiting for a name survives a broker that is away, to the deadline and not beyond. */
START_TEST(broker_away_while_opening)
{
	struct shmb_ring_reader *reader;
	struct shmb *broker;
	struct fake fake;
	pthread_t thread;
	uint64_t begin;

	fake_start(&fake, SHMB_OP_OPEN_READER, FAULT_CLOSE);
	ck_assert_int_eq(shmb_connect(&broker, fake.path), 0);
	begin = shmb_now_ns();
	ck_assert_int_eq(shmb_ring_reader_open(&reader, broker, "seg", &pair_type, begin + 100000000), -ECONNREFUSED);
	ck_assert_uint_ge(shmb_now_ns() - begin, 100000000);
	ck_assert_int_eq(pthread_create(&thread, NULL, appear, &fake), 0);
	ck_assert_int_eq(shmb_ring_reader_open(&reader, broker, "seg", &pair_type, SHMB_FOREVER), 0);
	pthread_join(thread, NULL);
	shmb_disconnect(broker);
	fake_stop(&fake);
}
END_TEST

START_TEST(bad_arguments)
{
	struct shmb_type wrong = pair_type;
	struct shmb_ring_writer *writer;
	struct shmb_ring_reader *reader;
	struct shmb_value_writer *value;
	struct shmb *broker;
	struct fake fake;
	char longest[SHMB_NAME_MAX + 2];

	fake_start(&fake, 0, FAULT_NONE);
	ck_assert_int_eq(shmb_connect(&broker, fake.path), 0);
	ck_assert_int_eq(shmb_ring_writer_open(&writer, broker, "a//b", &pair_type, NULL), -EINVAL);
	text_has("a//b");
	ck_assert_int_eq(shmb_ring_writer_open(&writer, broker, NULL, &pair_type, NULL), -EINVAL);
	ck_assert_int_eq(shmb_ring_reader_open(&reader, broker, "", &pair_type, SHMB_NO_WAIT), -EINVAL);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[SHMB_NAME_MAX + 1] = '\0';
	ck_assert_int_eq(shmb_ring_reader_open(&reader, broker, longest, &pair_type, SHMB_NO_WAIT), -ENAMETOOLONG);
	ck_assert_int_eq(shmb_remove(broker, longest), -ENAMETOOLONG);
	ck_assert_int_eq(shmb_info(broker, "../x", NULL, NULL), -EINVAL);
	ck_assert_int_eq(shmb_ring_writer_open(&writer, broker, "seg", NULL, NULL), -EINVAL);
	wrong.size = 8;
	ck_assert_int_eq(shmb_ring_writer_open(&writer, broker, "seg", &wrong, NULL), -EINVAL);
	text_has("8 bytes");
	ck_assert_int_eq(shmb_ring_reader_open(&reader, broker, "seg", &wrong, SHMB_NO_WAIT), -EINVAL);
	ck_assert_int_eq(shmb_value_writer_open(&value, broker, "seg", &wrong, NULL), -EINVAL);
	ck_assert_ptr_null(shmb_ring_writer_close(NULL));
	ck_assert_ptr_null(shmb_ring_reader_close(NULL));
	ck_assert_ptr_null(shmb_value_writer_close(NULL));
	ck_assert_ptr_null(shmb_value_reader_close(NULL));
	ck_assert_ptr_null(shmb_disconnect(NULL));
	shmb_disconnect(broker);
	fake_stop(&fake);
}
END_TEST

/* The payload is read at the key's place at each publish: a segment with another key, or none, is not taken. */
START_TEST(another_key_than_was_asked_for)
{
	static const struct shmb_options asked[] = { { .capacity = 8, .key_clock = SHMB_CLOCK_SEQUENCE, .key_field = "a" },
						     { .capacity = 8, .key_clock = SHMB_CLOCK_MONOTONIC, .stamped = 1 } };

	for (unsigned i = 0; i < 2; i++) {
		struct shmb_ring_writer *writer;
		struct shmb *broker;
		struct fake fake;

		fake_start(&fake, 0, FAULT_NONE);
		ck_assert_int_eq(shmb_connect(&broker, fake.path), 0);
		ck_assert_int_eq(shmb_ring_writer_open(&writer, broker, "seg", &pair_type, &asked[i]), -EBADMSG);
		text_has("another key");
		ck_assert_ptr_null(writer);
		ck_assert_uint_eq(fake.closes, 1);
		shmb_disconnect(broker);
		fake_stop(&fake);
	}
}
END_TEST

/* A data part that is cut short behind the look at its size: what cannot be made present is told as what it is. */
START_TEST(pages_that_are_gone)
{
	const struct expected expected = { .name = "cut", .kind = SHMB_KIND_RING, .role = SHMB_ROLE_READER };
	struct mappings mappings = { .geometry.data_bytes = 4 * SHMB_PAGE };
	void *memory;
	int fd = memfd_create("cut", MFD_CLOEXEC);

	ck_assert(fd >= 0 && ftruncate(fd, 4 * SHMB_PAGE) == 0);
	memory = mmap(NULL, 4 * SHMB_PAGE, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(memory, MAP_FAILED);
	ck_assert_int_eq(ftruncate(fd, SHMB_PAGE), 0);
	mappings.data = memory;
	/* Kernels before 5.14, and the emulator of arm64, have no such call: the pages would be touched. */
	if (madvise(memory, SHMB_PAGE, MADV_POPULATE_READ) == 0 && madvise(memory, 4 * SHMB_PAGE, MADV_POPULATE_READ) < 0) {
		ck_assert_int_eq(segment_settle(&mappings, &expected, SHMB_PREFAULT), -EBADMSG);
		text_has("making its pages present");
	}
	munmap(memory, 4 * SHMB_PAGE);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("client_decode");

	unit_add(suite, hello, 30);
	unit_add(suite, too_many_descriptors, 30);
	unit_add(suite, nobody, 10);
	unit_add(suite, requests, 30);
	unit_add(suite, opens, 30);
	unit_add(suite, bad_segments, 30);
	unit_add(suite, resuming_without_memory, 10);
	unit_add(suite, resuming, 10);
	unit_add(suite, there_is_always_more, 10);
	unit_add(suite, no_broker_left, 10);
	unit_add(suite, late_answers, 30);
	unit_add(suite, unusable_answers, 30);
	unit_add(suite, broker_away_while_opening, 30);
	unit_add(suite, bad_arguments, 10);
	unit_add(suite, another_key_than_was_asked_for, 10);
	unit_add(suite, other_sockets, 10);
	unit_add(suite, pages_that_are_gone, 10);
	return unit_run(suite);
}
