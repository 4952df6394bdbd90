/* SPDX-License-Identifier: MIT */
/* Wrong input of every sort: one clear message or error code each, nothing changed, and the daemon serves on. */
#include "../support/client.h"
#include "../support/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const char schema[] = "uint64[8] words\n";

/* The text of the last error is a sentence, and names what it is about. */
static void assert_text(const char *word)
{
	ck_assert_msg(strlen(shmb_text()) > 10 && strstr(shmb_text(), word) != NULL, "'%s' is not in: %s", word, shmb_text());
}

static void assert_serves(struct broker *b, unsigned segments)
{
	struct shmb *client = broker_connect(b);

	ck_assert_uint_eq(segments_count(client), segments);
	ASSERT_OK(ring_writer_try(client, "still/serves", 64, 8));
	ASSERT_OK(shmb_remove(client, "still/serves"));
	shmb_disconnect(client);
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

/* ---- on the socket ---- */

/* Sends one packet on a fresh connection in the given state (0 connected, 1 resuming, 2 active). Returns the result of the answer: a negative errno,
 * -ECONNRESET where the broker hung up without an answer. *closed: the connection ended. */
static int garbage(struct broker *b, unsigned state, const void *packet, size_t length, bool *closed)
{
	static struct raw_answer answer;
	struct raw raw = { 0 };
	int result = -ECONNRESET;
	int r = state == 0 ? raw_connect(&raw, b->socket) : state == 1 ? raw_hello(&raw, b->socket) : raw_start(&raw, b->socket);

	ASSERT_OK(r);
	*closed = false;
	r = raw_send(&raw, packet, length);
	if (r == -EMSGSIZE) { /* the kernel's own limit */
		raw_close(&raw);
		return r;
	}
	ASSERT_OK(r);
	r = raw_receive(&raw, &answer, SUITE_PATIENCE_MS);
	ck_assert_int_ne(r, -ETIMEDOUT);
	if (r > 0) {
		ck_assert_uint_ge(answer.length, sizeof(struct shmb_msg_answer));
		result = answer.head.result;
		ck_assert_int_lt(result, 0);
		ck_assert_msg(strnlen(answer.answer.text, SHMB_TEXT_MAX) > 10 && strnlen(answer.answer.text, SHMB_TEXT_MAX) < SHMB_TEXT_MAX,
			      "no explanation for result %d", result);
		r = recv(raw.fd, &answer, 1, MSG_DONTWAIT) == 0;
	}
	*closed = r <= 0 || r == 1;
	raw_answer_deinit(&answer);
	raw_close(&raw);
	return result;
}

START_TEST(garbage_on_the_socket)
{
	static unsigned char bytes[2 * SHMB_MESSAGE_MAX];
	struct shmb_ring_writer *writer;
	struct shmb *client;
	struct broker b;
	bool closed;
	int r;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "precious", 64, 8);
	ring_write(writer, 64, 3, 1);
	for (unsigned state = 0; state < 3; state++) {
		unsigned seed = 12345 + state;

		for (size_t length = 1; length < 16; length++) { /* shorter than a head */
			memset(bytes, 0, sizeof(bytes));
			r = garbage(&b, state, bytes, length, &closed);
			ck_assert_msg(r == -EBADMSG || r == -ECONNRESET, "%zu zero bytes: %d", length, r);
		}
		for (unsigned round = 0; round < 100; round++) { /* random bytes of random length */
			size_t length = 16 + (size_t)rand_r(&seed) % 2000;

			for (size_t i = 0; i < length; i++)
				bytes[i] = (unsigned char)rand_r(&seed);
			r = garbage(&b, state, bytes, length, &closed);
			ck_assert_msg(r < 0, "random bytes were accepted");
		}
		memset(bytes, 0xff, sizeof(bytes));
		r = garbage(&b, state, bytes, SHMB_MESSAGE_MAX, &closed);
		ck_assert_int_lt(r, 0);
		r = garbage(&b, state, bytes, SHMB_MESSAGE_MAX + 1, &closed);
		ck_assert_int_lt(r, 0);
		r = garbage(&b, state, bytes, sizeof(bytes), &closed);
		ck_assert_int_lt(r, 0);
	}
	ring_write(writer, 64, 3, 1);
	assert_serves(&b, 1);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(empty_packet_and_half_closed_connection)
{
	static struct raw_answer answer;
	struct raw raw = { 0 };
	struct broker b;

	broker_start(&b, NULL);
	ASSERT_OK(raw_start(&raw, b.socket));
	ASSERT_OK(raw_send(&raw, "", 0));
	ck_assert_int_le(raw_receive(&raw, &answer, SUITE_PATIENCE_MS), 0);
	raw_close(&raw);
	ASSERT_OK(raw_start(&raw, b.socket));
	ck_assert_int_eq(shutdown(raw.fd, SHUT_WR), 0);
	ck_assert_int_le(raw_receive(&raw, &answer, SUITE_PATIENCE_MS), 0);
	raw_close(&raw);
	ASSERT_OK(raw_start(&raw, b.socket));
	ck_assert_int_eq(shutdown(raw.fd, SHUT_RD), 0);
	raw_close(&raw);
	assert_serves(&b, 0);
	broker_finish(&b);
}
END_TEST

START_TEST(hello_of_another_kind)
{
	const struct shmb_msg_hello good = { .head = { .opcode = SHMB_OP_HELLO, .serial = 1 },
					     .magic = SHMB_MESSAGE_MAGIC,
					     .version = SHMB_PROTOCOL_VERSION,
					     .oldest = SHMB_PROTOCOL_OLDEST,
					     .cookie = { 1, 2, 3 },
					     .comm = "odd" };
	struct shmb_msg_hello hello;
	struct broker b;
	bool closed;

	broker_start(&b, NULL);
	hello = good;
	hello.magic = 0x12345678;
	ck_assert_int_eq(garbage(&b, 0, &hello, sizeof(hello), &closed), -EPROTO);
	hello = good;
	hello.version = 99;
	hello.oldest = 98;
	ck_assert_int_eq(garbage(&b, 0, &hello, sizeof(hello), &closed), -EPROTONOSUPPORT);
	hello = good;
	hello.version = 0;
	hello.oldest = 0;
	ck_assert_int_lt(garbage(&b, 0, &hello, sizeof(hello), &closed), 0);
	hello = good;
	memset(hello.cookie, 0, sizeof(hello.cookie));
	ck_assert_int_eq(garbage(&b, 0, &hello, sizeof(hello), &closed), -EINVAL);
	hello = good;
	memset(hello.comm, 'x', sizeof(hello.comm));
	ck_assert_int_eq(garbage(&b, 0, &hello, sizeof(hello), &closed), -EINVAL);
	hello = good;
	hello.head.result = 1;
	ck_assert_int_eq(garbage(&b, 0, &hello, sizeof(hello), &closed), -EINVAL);
	hello = good;
	hello.head.tail_bytes = 4;
	ck_assert_int_lt(garbage(&b, 0, &hello, sizeof(hello), &closed), 0);
	/* in the wrong state */
	hello = good;
	ck_assert_int_eq(garbage(&b, 1, &hello, sizeof(hello), &closed), -EPROTO);
	ck_assert_int_eq(garbage(&b, 2, &hello, sizeof(hello), &closed), -EPROTO);
	assert_serves(&b, 0);
	broker_finish(&b);
}
END_TEST

/* Each request in the states where it has no business, and requests that do not exist. */
START_TEST(requests_out_of_turn)
{
	static const size_t sizes[SHMB_OP_COUNT] = {
		[SHMB_OP_HELLO] = sizeof(struct shmb_msg_hello),
		[SHMB_OP_RESUME] = sizeof(struct shmb_msg_resume),
		[SHMB_OP_READY] = sizeof(struct shmb_msg_ready),
		[SHMB_OP_OPEN_WRITER] = sizeof(struct shmb_msg_open_writer),
		[SHMB_OP_OPEN_READER] = sizeof(struct shmb_msg_open_reader),
		[SHMB_OP_CLOSE] = sizeof(struct shmb_msg_close),
		[SHMB_OP_LIST] = sizeof(struct shmb_msg_list),
		[SHMB_OP_INFO] = sizeof(struct shmb_msg_name),
		[SHMB_OP_STATUS] = sizeof(struct shmb_msg_status),
		[SHMB_OP_REMOVE] = sizeof(struct shmb_msg_name),
	};
	struct broker b;
	bool closed;

	broker_start(&b, NULL);
	for (unsigned state = 0; state < 3; state++) {
		for (uint16_t opcode = 0; opcode < SHMB_OP_COUNT + 3; opcode++) {
			char packet[512] = "";
			struct shmb_msg_head head = { .opcode = opcode, .serial = 7 };
			size_t size = opcode < SHMB_OP_COUNT && sizes[opcode] != 0 ? sizes[opcode] : 64;
			bool known = opcode >= 1 && opcode < SHMB_OP_COUNT;
			bool allowed = opcode == SHMB_OP_HELLO ? state == 0 : opcode <= SHMB_OP_READY ? state == 1 : state == 2;
			int r;

			if (allowed && known && (opcode == SHMB_OP_READY || opcode == SHMB_OP_LIST || opcode == SHMB_OP_STATUS))
				continue; /* would be right */
			memcpy(packet, &head, sizeof(head));
			r = garbage(&b, state, packet, size, &closed);
			if (!known)
				ck_assert_msg(r == -ENOSYS, "opcode %u in state %u: %d", opcode, state, r);
			else if (!allowed)
				ck_assert_msg(r == -EPROTO || (r == -EINVAL && state == 0), "opcode %u in state %u: %d", opcode, state, r);
			else
				ck_assert_msg(r < 0, "opcode %u of zeros in state %u was accepted", opcode, state);
		}
	}
	assert_serves(&b, 0);
	broker_finish(&b);
}
END_TEST

/* A whole request with one thing wrong in it. */
START_TEST(requests_with_one_thing_wrong)
{
	static struct raw_answer answer;
	struct shmb_msg_open_writer good;
	struct shmb_msg_open_writer open;
	struct raw raw = { 0 };
	struct broker b;
	int r;

#define WRONG(error, ...)                                                                                                                  \
	do {                                                                                                                               \
		open = good;                                                                                                               \
		__VA_ARGS__;                                                                                                               \
		r = raw_ask(&raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), schema, strlen(schema), &answer);                              \
		raw_answer_deinit(&answer);                                                                                                \
		ck_assert_msg(r == -(error), "%s: %d, expected %d", #__VA_ARGS__, r, -(error));                                            \
		ck_assert_uint_gt(strnlen(answer.answer.text, SHMB_TEXT_MAX), 10);                                                         \
	} while (0)

	broker_start(&b, NULL);
	ASSERT_OK(raw_start(&raw, b.socket));
	raw_open_writer(&good, "wrong", schema, 64);
	WRONG(EINVAL, open.handle = 0);
	WRONG(EINVAL, open.open_flags = 0x80);
	WRONG(EINVAL, open.segment_flags = 0x80);
	WRONG(EINVAL, open.reserved = 1);
	WRONG(EINVAL, open.capacity = 3);
	WRONG(EINVAL, open.capacity = 0);
	WRONG(EINVAL, open.payload_align = 3);
	WRONG(EINVAL, open.payload_align = 4096);
	WRONG(EINVAL, open.payload_bytes = 0);
	WRONG(EINVAL, open.payload_bytes = UINT64_MAX);
	WRONG(EINVAL, open.payload_bytes = 72);
	WRONG(EINVAL, open.schema_hash ^= 1);
	WRONG(EINVAL, memset(open.name, 'x', sizeof(open.name)));
	WRONG(EINVAL, strcpy(open.name, "../escape"));
	WRONG(EINVAL, strcpy(open.name, "nul\0x"); open.name[5] = 'x');
	WRONG(EINVAL, memset(open.type, 'x', sizeof(open.type)));
	WRONG(EINVAL, open.role = SHMB_ROLE_SHARER);
	WRONG(EINVAL, open.role = SHMB_ROLE_READER);
	WRONG(EINVAL, open.history = 1);
	WRONG(EINVAL, open.pins = 1);
	WRONG(EINVAL, open.key_type = 77);
	WRONG(EINVAL, open.key_type = SHMB_KEY_MONOTONIC_NS); /* the stamp, of elements that have none */
	WRONG(EINVAL, open.key_field = 8);		      /* of no type */
	WRONG(EINVAL, open.key_type = SHMB_KEY_SEQUENCE; open.key_field = 64);
	WRONG(EINVAL, open.kind = SHMB_KIND_FRAME); /* with a capacity */
	WRONG(EINVAL, open.kind = SHMB_KIND_FRAME; open.capacity = 0);
	WRONG(EINVAL, open.kind = SHMB_KIND_FRAME; open.capacity = 0; open.history = 5000);
	WRONG(EINVAL, open.kind = SHMB_KIND_QUEUE; open.pins = 1);
	WRONG(EINVAL, open.kind = SHMB_KIND_BLOCK); /* by a writer */
	WRONG(EINVAL, open.kind = SHMB_KIND_BLOCK; open.role = SHMB_ROLE_SHARER);
	WRONG(EINVAL, open.kind = 77);
	WRONG(EINVAL, open.kind = 0);
#undef WRONG
	r = raw_ask(&raw, SHMB_OP_OPEN_WRITER, &good, sizeof(good), "uint64[8] word\x01\n", strlen(schema), &answer);
	ck_assert_int_eq(r, -EINVAL);
	/* the right one is accepted on the same connection, twice the same */
	r = raw_ask(&raw, SHMB_OP_OPEN_WRITER, &good, sizeof(good), schema, strlen(schema), &answer);
	ck_assert_int_eq(r, 0);
	ck_assert_uint_eq(answer.fd_count, answer.open.fd_count);
	raw_answer_deinit(&answer);
	r = raw_ask(&raw, SHMB_OP_OPEN_WRITER, &good, sizeof(good), schema, strlen(schema), &answer);
	ck_assert_int_eq(r, 0);
	ck_assert_uint_eq(answer.open.epoch, 1);
	raw_answer_deinit(&answer);
	/* the handle for another name */
	open = good;
	strcpy(open.name, "other");
	ck_assert_int_lt(raw_ask(&raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), schema, strlen(schema), &answer), 0);
	{
		struct shmb_msg_close end = { .handle = 99 };

		/* nothing of that number is open, which is what was asked for; and nothing else was closed */
		ck_assert_int_eq(raw_ask(&raw, SHMB_OP_CLOSE, &end, sizeof(end), NULL, 0, &answer), 0);
		ASSERT_OK(raw_ask(&raw, SHMB_OP_OPEN_WRITER, &good, sizeof(good), schema, strlen(schema), &answer));
		ck_assert_uint_eq(answer.open.epoch, 1);
		raw_answer_deinit(&answer);
		end.handle = 1;
		ck_assert_int_eq(raw_ask(&raw, SHMB_OP_CLOSE, &end, sizeof(end), NULL, 0, &answer), 0);
	}
	raw_close(&raw);
	assert_serves(&b, 1);
	broker_finish(&b);
}
END_TEST

/* Claims to hold what it does not. */
START_TEST(forged_resume_takes_nothing)
{
	static struct raw_answer answer;
	struct shmb_msg_resume resume = {
		.handle = 5, .role = SHMB_ROLE_WRITER, .segment_id = 1, .generation = 1, .epoch = 1, .cell = UINT32_MAX, .name = "precious"
	};
	struct shmb_msg_ready ready = { 0 };
	struct shmb_ring_writer *writer;
	struct shmb *client;
	struct raw raw = { 0 };
	struct listed listed;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "precious", 64, 8);
	ASSERT_OK(raw_hello(&raw, b.socket));
	for (uint64_t epoch = 1; epoch < 4; epoch++) {
		resume.epoch = epoch;
		ck_assert_int_eq(raw_ask(&raw, SHMB_OP_RESUME, &resume, sizeof(resume), NULL, 0, &answer), -ESTALE);
	}
	resume.role = SHMB_ROLE_READER;
	resume.cell = 0;
	ck_assert_int_eq(raw_ask(&raw, SHMB_OP_RESUME, &resume, sizeof(resume), NULL, 0, &answer), -ESTALE);
	resume.cell = 100000;
	ck_assert_int_lt(raw_ask(&raw, SHMB_OP_RESUME, &resume, sizeof(resume), NULL, 0, &answer), 0);
	resume.cell = 0;
	strcpy(resume.name, "nothing");
	ck_assert_int_eq(raw_ask(&raw, SHMB_OP_RESUME, &resume, sizeof(resume), NULL, 0, &answer), -ESTALE);
	ASSERT_OK(raw_ask(&raw, SHMB_OP_READY, &ready, sizeof(ready), NULL, 0, &answer));
	ring_write(writer, 64, 1, 1);
	ck_assert(segment_listed(client, "precious", &listed) && listed.writer == SHMB_WRITER_IS_ALIVE && listed.epoch == 1);
	raw_close(&raw);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Requests without end by somebody who never reads: others are served. */
START_TEST(client_that_never_reads)
{
	struct shmb_msg_status status = { .head = { .opcode = SHMB_OP_STATUS } };
	struct raw raw = { 0 };
	struct broker b;
	unsigned sent = 0;

	broker_start(&b, NULL);
	ASSERT_OK(raw_start(&raw, b.socket));
	while (send(raw.fd, &status, sizeof(status), MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof(status) && sent < 100000)
		sent++;
	ck_assert_uint_gt(sent, 1);
	assert_serves(&b, 0);
	raw_close(&raw);
	broker_finish(&b);
}
END_TEST

/* Sends descriptors that nobody asked for, again and again, and goes away. */
static void send_descriptors(struct broker *b)
{
	enum { COUNT = 250 };
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(COUNT * sizeof(int))] = "";
	struct shmb_msg_status status = { .head = { .opcode = SHMB_OP_STATUS, .serial = 1 } };
	struct iovec bytes = { .iov_base = &status, .iov_len = sizeof(status) };
	struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
	static struct raw_answer answer;
	struct raw raw = { 0 };
	int fds[COUNT];

	ASSERT_OK(raw_start(&raw, b->socket));
	for (unsigned i = 0; i < COUNT; i++)
		fds[i] = raw.fd;
	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(rights), fds, sizeof(fds));
	for (unsigned i = 0; i < 5; i++) {
		int r = (int)sendmsg(raw.fd, &message, MSG_NOSIGNAL);

		ck_assert_msg(r > 0 || errno == EPERM || errno == EPIPE, "sendmsg: %s", strerror(errno)); /* EPERM: SO_PASSRIGHTS is off */
		if (r <= 0 || raw_receive(&raw, &answer, SUITE_PATIENCE_MS) <= 0)
			break;
	}
	raw_close(&raw);
}

START_TEST(unsolicited_descriptors_are_closed)
{
	struct shmb *client;
	struct broker b;
	int before;
	int after;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	before = fds_count(b.daemon.pid);
	send_descriptors(&b);
	WAIT_UNTIL(clients_count(client) == 1);
	/* The first that come start the thread that closes them, with a pipe to it, where the kernel has no SO_PASSRIGHTS. */
	after = fds_count(b.daemon.pid);
	ck_assert_msg(after == before || after == before + 2, "%d descriptors before, %d after", before, after);
	b.fds += after - before;
	shmb_disconnect(client);
	send_descriptors(&b);
	assert_serves(&b, 0);
	broker_finish(&b); /* counts the daemon's descriptors */
}
END_TEST

/* Somebody else uses the connection: a child is not the process that connected. */
START_TEST(message_of_another_process_closes_the_connection)
{
	static struct raw_answer answer;
	struct shmb_msg_status status = { 0 };
	struct raw raw = { 0 };
	struct broker b;
	pid_t pid;

	broker_start(&b, NULL);
	ASSERT_OK(raw_start(&raw, b.socket));
	pid = fork();
	if (pid == 0)
		_exit(raw_ask(&raw, SHMB_OP_STATUS, &status, sizeof(status), NULL, 0, &answer) == -ECONNRESET ? 0 : 1);
	{
		int result;

		ck_assert(waitpid(pid, &result, 0) == pid && WIFEXITED(result) && WEXITSTATUS(result) == 0);
	}
	raw_close(&raw);
	assert_serves(&b, 0);
	broker_finish(&b);
}
END_TEST

/* ---- in the directory ---- */

static const char *const foreign[] = { "foreign", "fifo,1",  "directory,1", "link,1",	     "empty,1",
				       "short,1", "noise,1", "zeros,1",	    "single,1,data", ",stray" };

static void foreign_make(const char *shm)
{
	unsigned char noise[8192];
	unsigned seed = 99;
	char path[512];

#define AT(name) (snprintf(path, sizeof(path), "%s/%s", shm, name), path)
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (unsigned char)rand_r(&seed);
	file_write(AT("foreign"), "hello", 5);
	ck_assert_int_eq(mkfifo(AT("fifo,1"), 0600), 0);
	ck_assert_int_eq(mkdir(AT("directory,1"), 0700), 0);
	ck_assert_int_eq(symlink("/etc/passwd", AT("link,1")), 0);
	file_write(AT("empty,1"), "", 0);
	file_write(AT("short,1"), noise, 100);
	file_write(AT("noise,1"), noise, sizeof(noise));
	memset(noise, 0, sizeof(noise));
	file_write(AT("zeros,1"), noise, sizeof(noise));
	file_write(AT("single,1,data"), noise, sizeof(noise));
	file_write(AT(",stray"), noise, 10);
}

static void foreign_remove(const char *shm)
{
	for (unsigned i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		char path[512];

		snprintf(path, sizeof(path), "%s/%s", shm, foreign[i]);
		ck_assert_msg(remove(path) == 0, "%s: %s", path, strerror(errno));
	}
}

/* Everything that can be seen of a directory: names, sizes, times. */
static char *foreign_state(const char *shm)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	for (unsigned i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		struct stat status;
		char path[512];

		snprintf(path, sizeof(path), "%s/%s", shm, foreign[i]);
		ck_assert_msg(lstat(path, &status) == 0, "%s: %s", path, strerror(errno));
		fprintf(out, "%s %o %ld %ld.%ld %lu\n", foreign[i], (unsigned)status.st_mode, (long)status.st_size,
			(long)status.st_mtim.tv_sec, status.st_mtim.tv_nsec, (unsigned long)status.st_ino);
	}
	fclose(out);
	return text;
}

START_TEST(foreign_files_are_left_alone)
{
	static const char *const names[] = { "fifo", "directory", "link", "empty", "short", "noise", "zeros" };
	struct shmb_ring_writer *writer;
	struct shmb *client;
	struct broker b;
	char *before;
	char *after;
	char *log;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "own", 64, 8);
	ring_write(writer, 64, 3, 1);
	foreign_make(b.shm);
	before = foreign_state(b.shm);
	/* while it runs */
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int r = ring_writer_try(client, names[i], 64, 8);

		ck_assert_msg(r == -EEXIST || r == -EBADMSG, "%s: %d %s", names[i], r, shmb_text());
		assert_text(names[i]);
		ASSERT_ERROR(ring_reader_try(client, names[i], SHMB_NO_WAIT), ENOENT);
		ASSERT_ERROR(shmb_remove(client, names[i]), ENOENT);
	}
	after = foreign_state(b.shm);
	ck_assert_str_eq(before, after);
	free(after);
	/* at a start: a line in the log for each */
	broker_kill(&b);
	file_write(b.log, "", 0);
	broker_restart(&b);
	log = broker_log(&b);
	for (unsigned i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		char name[64];
		unsigned lines = 0;
		char *copy = strdup(log);
		char *rest = copy;
		char *line;

		snprintf(name, sizeof(name), "%.*s", (int)(foreign[i][0] == ',' ? 6 : strcspn(foreign[i], ",")), foreign[i]);
		while ((line = strsep(&rest, "\n")) != NULL)
			lines += strstr(line, name) != NULL && strstr(line, "left alone") != NULL;
		free(copy);
		ck_assert_msg(lines == 1 || (strcmp(name, "foreign") == 0 && lines >= 1), "%u lines about %s in:\n%s", lines, foreign[i],
			      log);
	}
	free(log);
	after = foreign_state(b.shm);
	ck_assert_str_eq(before, after);
	free(after);
	free(before);
	ring_write(writer, 64, 1, 1);
	ck_assert_uint_eq(segments_count(client), 1);
	foreign_remove(b.shm);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* A segment of ours that somebody damaged while no daemon ran: left alone, said once, and not served. */
START_TEST(damaged_cards_are_not_adopted)
{
	static const struct {
		size_t offset;
		unsigned char bytes[8];
		size_t size;
	} damages[] = {
		{ offsetof(struct shmb_shm_card, magic), { 0, 0, 0, 1 }, 4 },
		{ offsetof(struct shmb_shm_card, version), { 99, 0, 99, 0 }, 4 },
		{ offsetof(struct shmb_shm_card, kind), { 77 }, 1 },
		{ offsetof(struct shmb_shm_card, slot_count), { 3, 0, 0, 0 }, 4 },
		{ offsetof(struct shmb_shm_card, data_bytes), { 0, 0, 0, 0, 0, 0, 0, 0x7f }, 8 },
		{ offsetof(struct shmb_shm_card, slot_shift), { 63 }, 1 },
		{ offsetof(struct shmb_shm_card, name), { 'o', 't', 'h', 'e', 'r', 0 }, 6 },
		{ offsetof(struct shmb_shm_card, generation), { 7 }, 1 },
		{ offsetof(struct shmb_shm_card, segment_id), { 1, 2, 3, 4 }, 4 },
		{ offsetof(struct shmb_shm_card, schema_length), { 0xff, 0xff, 0xff, 0xff }, 4 },
		{ offsetof(struct shmb_shm_card, lease_pid), { 0xff, 0xff, 0xff, 0xff }, 4 }, /* -1 */
		{ offsetof(struct shmb_shm_card, state), { 99 }, 1 },
	};
	struct broker b;

	broker_start(&b, NULL);
	for (unsigned i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		struct shmb *client = broker_connect(&b);
		unsigned char saved[8];
		char path[512];
		char *log;
		int fd;
		int r;

		ASSERT_OK(ring_writer_try(client, "victim", 64, 8));
		broker_kill(&b);
		snprintf(path, sizeof(path), "%s/victim,1", b.shm);
		fd = open(path, O_RDWR | O_CLOEXEC);
		ck_assert(pread(fd, saved, damages[i].size, (off_t)damages[i].offset) == (ssize_t)damages[i].size);
		ck_assert(pwrite(fd, damages[i].bytes, damages[i].size, (off_t)damages[i].offset) == (ssize_t)damages[i].size);
		file_write(b.log, "", 0);
		broker_restart(&b);
		log = broker_log(&b);
		ck_assert_msg(text_count(log, "victim") == 1 && strstr(log, "left alone") != NULL, "damage %u: in the log:\n%s", i, log);
		free(log);
		ck_assert_uint_eq(segments_count(client), 0);
		ASSERT_ERROR(ring_reader_try(client, "victim", SHMB_NO_WAIT), ENOENT);
		r = ring_writer_try(client, "victim", 64, 8);
		ck_assert_msg(r == -EEXIST || r == -EBADMSG, "damage %u: %d %s", i, r, shmb_text());
		/* mended, it is adopted again */
		broker_kill(&b);
		ck_assert(pwrite(fd, saved, damages[i].size, (off_t)damages[i].offset) == (ssize_t)damages[i].size);
		close(fd);
		broker_restart(&b);
		ck_assert_uint_eq(segments_count(client), 1);
		ASSERT_OK(shmb_remove(client, "victim"));
		shmb_disconnect(client);
	}
	broker_finish(&b);
}
END_TEST

/* The writer cuts its own data short under everybody: its readers may suffer, the daemon not. */
START_TEST(truncated_data_does_not_kill_the_daemon)
{
	static struct raw_answer answer;
	struct shmb_msg_open_writer open;
	struct raw raw = { 0 };
	struct shmb *client;
	struct broker b;
	int r;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ASSERT_OK(raw_start(&raw, b.socket));
	raw_open_writer(&open, "cut", schema, 64);
	ASSERT_OK(raw_ask(&raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), schema, strlen(schema), &answer));
	ck_assert_int_eq(ftruncate(answer.fds[1], 0), 0);
	raw_answer_deinit(&answer);
	{
		struct shmb_msg_close end = { .handle = 1 };

		raw_ask(&raw, SHMB_OP_CLOSE, &end, sizeof(end), NULL, 0, &answer);
	}
	raw_close(&raw);
	r = ring_reader_try(client, "cut", SHMB_NO_WAIT);
	ck_assert_msg(r == -EBADMSG || r == -ENOENT, "%d %s", r, shmb_text());
	r = ring_writer_try(client, "cut", 64, 8);
	ck_assert_msg(r < 0, "a segment without data was opened");
	broker_kill(&b);
	broker_restart(&b);
	ASSERT_OK(ring_writer_try(client, "fine", 64, 8));
	r = shmb_remove(client, "cut");
	if (r != 0) { /* not adopted: left alone, so it is removed by hand */
		static const char *const parts[] = { "", ",record", ",data", ",area0", ",area1", ",area2", ",area3", ",area4", ",area5" };

		ck_assert_int_eq(r, -ENOENT);
		for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
			char path[512];

			snprintf(path, sizeof(path), "%s/cut,1%s", b.shm, parts[i]);
			unlink(path);
		}
	}
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* A socket file of a daemon that was killed does not stop the next; a file that is no socket is not removed. */
START_TEST(what_lies_at_the_sockets_place)
{
	struct program_result result;
	struct broker b;
	char text[8];
	char *now;

	broker_start(&b, NULL);
	broker_kill(&b);
	ck_assert_int_eq(access(b.socket, F_OK), 0);
	broker_restart(&b);
	assert_serves(&b, 0);
	broker_stop(&b);
	file_write(b.socket, "precious", 8);
	program_run(&result, NULL, ARGV(path_daemon(), "--runtime-dir", b.runtime, "--shm-dir", b.shm));
	ck_assert_int_eq(result.status, 1);
	ck_assert_msg(strstr(result.err, b.socket) != NULL, "the path is not named: %s", result.err);
	program_result_deinit(&result);
	now = file_read(b.socket, NULL);
	snprintf(text, sizeof(text), "%.7s", now);
	ck_assert_str_eq(text, "preciou");
	free(now);
	unlink(b.socket);
	broker_restart(&b);
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
	suite_add(suite, garbage_on_the_socket, 60);
	suite_add(suite, empty_packet_and_half_closed_connection, 60);
	suite_add(suite, hello_of_another_kind, 30);
	suite_add(suite, requests_out_of_turn, 60);
	suite_add(suite, requests_with_one_thing_wrong, 30);
	suite_add(suite, forged_resume_takes_nothing, 30);
	suite_add(suite, client_that_never_reads, 30);
	suite_add(suite, unsolicited_descriptors_are_closed, 30);
	suite_add(suite, message_of_another_process_closes_the_connection, 30);
	suite_add(suite, foreign_files_are_left_alone, 60);
	suite_add(suite, damaged_cards_are_not_adopted, 60);
	suite_add(suite, truncated_data_does_not_kill_the_daemon, 30);
	suite_add(suite, what_lies_at_the_sockets_place, 60);
	suite_add(suite, options_of_the_daemon, 60);
	suite_add(suite, directory_that_others_may_enter, 30);
	return suite_run(suite);
}
