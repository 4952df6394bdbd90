/* SPDX-License-Identifier: MIT */
/*
 * Hostile clients and hostile segments (lines 24 to 35 of the catalogue): whatever comes over the socket, lies in the directory or is written into
 * shared memory, the daemon stays, others are served, and who reads it gets an error or a value, soon. Each test forces its line and then asks for a
 * segment as somebody else.
 */
#include "../support/client.h"
#include "../support/other.h"
#include "../support/raw.h"
#include "look.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static const char schema[] = "uint64[8] words\n";

/* Others are served within 10 ms; asserted with 50 times that. */
enum { SERVED_WITHIN_NS = 50 * 10 * 1000000 };

static void serves_others(struct broker *b)
{
	struct shmb *client;
	uint64_t begin;

	ck_assert_msg(!program_has_ended(&b->daemon), "the daemon has ended");
	client = broker_connect(b);
	for (unsigned i = 0; i < 10; i++) {
		begin = now_ns();
		ASSERT_OK(ring_writer_try(client, "others", 64, 8));
		ck_assert_uint_lt(now_ns() - begin, (uint64_t)SERVED_WITHIN_NS * suite_slow());
		ASSERT_OK(shmb_remove(client, "others"));
	}
	shmb_disconnect(client);
}

/* How long a process ran or wanted to run so far: one that spins does all the time, however busy the machine is. */
static uint64_t busy_ns(pid_t pid)
{
	char path[64];
	unsigned long long ran = 0;
	unsigned long long waited = 0;
	char *text;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)pid);
	text = file_read(path, NULL);
	ck_assert_ptr_nonnull(text);
	ck_assert_int_eq(sscanf(text, "%llu %llu", &ran, &waited), 2);
	free(text);
	return ran + waited;
}

/* ---- 24 ---- */

/* The beginning of a good request, behind the whole of it: what of it lies in the daemon's buffer still is not taken for the rest. */
static void beginnings_are_refused(struct broker *b)
{
	static struct raw_answer answer;

	for (size_t length = 1; length < sizeof(struct shmb_msg_status); length++) {
		struct shmb_msg_status status = { .head = { 0 } };
		struct raw raw = { 0 };
		int r;

		ASSERT_OK(raw_start(&raw, b->socket));
		ASSERT_OK(raw_ask(&raw, SHMB_OP_STATUS, &status, sizeof(status), NULL, 0, &answer));
		raw_answer_deinit(&answer);
		ASSERT_OK(raw_send(&raw, &status, length));
		r = raw_receive(&raw, &answer, SUITE_PATIENCE_MS);
		ck_assert_msg(r <= 0 || answer.head.result == -EBADMSG, "%zu bytes of a request were answered", length);
		raw_answer_deinit(&answer);
		raw_close(&raw);
	}
}

/* A good request with more behind it than it says. */
static void more_than_it_says_is_refused(struct broker *b)
{
	struct {
		struct shmb_msg_status status;
		char more[64];
	} request = { .status = { .head = { .opcode = SHMB_OP_STATUS, .serial = 1 } } };
	static struct raw_answer answer;
	struct raw raw = { 0 };
	int r;

	ASSERT_OK(raw_start(&raw, b->socket));
	ASSERT_OK(raw_send(&raw, &request, sizeof(request)));
	r = raw_receive(&raw, &answer, SUITE_PATIENCE_MS);
	ck_assert_msg(r <= 0 || answer.head.result == -EBADMSG, "%zu bytes too many were accepted", sizeof(request.more));
	raw_answer_deinit(&answer);
	raw_close(&raw);
}

START_TEST(fault_24_garbage_short_and_oversize_packets)
{
	static const size_t lengths[] = { 0, 1, 15, 16, 17, 64, 1000, SHMB_MESSAGE_MAX, SHMB_MESSAGE_MAX + 1, 2 * SHMB_MESSAGE_MAX };
	static unsigned char bytes[2 * SHMB_MESSAGE_MAX];
	static struct raw_answer answer;
	struct broker b;

	broker_start(&b, NULL);
	srandom(24);
	for (unsigned state = 0; state < 3; state++) {
		for (unsigned i = 0; i < 3 * sizeof(lengths) / sizeof(lengths[0]); i++) {
			struct raw raw = { 0 };
			int r;

			for (size_t at = 0; at < sizeof(bytes); at++)
				bytes[at] = (unsigned char)(i % 3 == 0 ? 0 : i % 3 == 1 ? 0xff : random());
			ASSERT_OK(state == 0   ? raw_connect(&raw, b.socket)
				  : state == 1 ? raw_hello(&raw, b.socket)
					       : raw_start(&raw, b.socket));
			if (raw_send(&raw, bytes, lengths[i / 3]) == 0) {
				r = raw_receive(&raw, &answer, SUITE_PATIENCE_MS);
				ck_assert_int_ne(r, -ETIMEDOUT);
				ck_assert_msg(r <= 0 || answer.head.result < 0, "%zu bytes were accepted", lengths[i / 3]);
				/* What was cut off is not even looked at. */
				ck_assert_msg(r <= 0 || lengths[i / 3] <= SHMB_MESSAGE_MAX, "%zu bytes were answered", lengths[i / 3]);
				raw_answer_deinit(&answer);
			}
			raw_close(&raw);
		}
	}
	beginnings_are_refused(&b);
	more_than_it_says_is_refused(&b);
	serves_others(&b);
	broker_finish(&b);
}
END_TEST

/* ---- 25 ---- */

/* Who reads late, and has asked for as much as can be asked: each request is answered, in order, and the connection stays. */
static void late_reader_misses_nothing(struct broker *b)
{
	enum { REQUESTS_MAX = 5000 };
	static struct raw_answer answer;
	struct raw raw = { 0 };
	uint32_t count = 0;

	ASSERT_OK(raw_start(&raw, b->socket));
	for (unsigned idle = 0; idle < 20 && count < REQUESTS_MAX;) {
		struct shmb_msg_status status = { .head = { .opcode = SHMB_OP_STATUS, .serial = count } };

		if (send(raw.fd, &status, sizeof(status), MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof(status)) {
			count++;
			continue;
		}
		ck_assert_msg(errno == EAGAIN, "request %u: %s", count, strerror(errno));
		sleep_ms(1);
		idle++;
	}
	serves_others(b);
	for (uint32_t i = 0; i < count; i++) {
		int r = raw_receive(&raw, &answer, SUITE_PATIENCE_MS);

		ck_assert_msg(r > 0 && answer.head.result == 0 && answer.head.serial == i, "request %u of %u: %d", i, count, r);
		raw_answer_deinit(&answer);
	}
	raw_end(&raw);
}

START_TEST(fault_25_flood_and_never_reading)
{
	struct shmb_msg_status status = { .head = { .opcode = SHMB_OP_STATUS } };
	struct broker b;
	pid_t floods[2];

	broker_start(&b, NULL);
	for (unsigned i = 0; i < 2; i++) {
		floods[i] = fork();
		if (floods[i] == 0) {
			static char drain[SHMB_MESSAGE_MAX];
			struct raw raw = { 0 };

			/* The first never reads; the second takes what comes and asks on. */
			while (raw_start(&raw, b.socket) == 0) {
				while (send(raw.fd, &status, sizeof(status), MSG_NOSIGNAL) == sizeof(status))
					if (i == 1)
						recv(raw.fd, drain, sizeof(drain), MSG_DONTWAIT);
				raw_close(&raw);
			}
			_exit(1);
		}
	}
	sleep_ms(50);
	for (unsigned i = 0; i < 3; i++)
		serves_others(&b);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(waitpid(floods[i], NULL, WNOHANG), 0);
		other_kill(floods[i]);
	}
	late_reader_misses_nothing(&b);
	serves_others(&b);
	broker_finish(&b);
}
END_TEST

/* ---- 26 ---- */

START_TEST(fault_26_descriptors_nobody_asked_for)
{
	enum { COUNT = 253 };
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(COUNT * sizeof(int))] = "";
	struct shmb_msg_status status = { .head = { .opcode = SHMB_OP_STATUS, .serial = 1 } };
	struct iovec bytes = { .iov_base = &status, .iov_len = sizeof(status) };
	struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
	static struct raw_answer answer;
	struct shmb *client;
	struct broker b;
	int fds[COUNT];
	int before;
	int after;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	before = fds_count(b.daemon.pid);
	for (unsigned round = 0; round < 5; round++) {
		struct raw raw = { 0 };

		ASSERT_OK(raw_start(&raw, b.socket));
		for (unsigned i = 0; i < COUNT; i++)
			fds[i] = raw.fd;
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(sizeof(fds));
		memcpy(CMSG_DATA(rights), fds, sizeof(fds));
		if (sendmsg(raw.fd, &message, MSG_NOSIGNAL) > 0) /* the kernel may refuse by itself: SO_PASSRIGHTS */
			raw_receive(&raw, &answer, SUITE_PATIENCE_MS);
		raw_close(&raw);
	}
	WAIT_UNTIL(clients_count(client) == 1);
	/* The thread that closes them, and a pipe to it, stay. */
	after = fds_count(b.daemon.pid);
	ck_assert_msg(after == before || after == before + 2, "%d descriptors before, %d after", before, after);
	b.fds += after - before;
	shmb_disconnect(client);
	serves_others(&b);
	broker_finish(&b);
}
END_TEST

/* ---- 27 ---- */

START_TEST(fault_27_no_descriptors_no_spin)
{
	struct rlimit limit;
	struct rlimit none;
	struct raw waiting[4] = { { 0 } };
	struct shmb *client;
	struct broker b;
	uint64_t before;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ck_assert_int_eq(prlimit(b.daemon.pid, RLIMIT_NOFILE, NULL, &limit), 0);
	none = (struct rlimit){ .rlim_cur = 3, .rlim_max = limit.rlim_max };
	ck_assert_int_eq(prlimit(b.daemon.pid, RLIMIT_NOFILE, &none, NULL), 0);
	for (unsigned i = 0; i < 4; i++)
		ASSERT_OK(raw_connect(&waiting[i], b.socket)); /* into the backlog */
	before = busy_ns(b.daemon.pid);
	sleep_ms(400);
	ck_assert_uint_lt(busy_ns(b.daemon.pid) - before, UINT64_C(200000000));
	segments_count(client); /* who is connected is served */
	ck_assert_int_eq(prlimit(b.daemon.pid, RLIMIT_NOFILE, &limit, NULL), 0);
	for (unsigned i = 0; i < 4; i++)
		raw_close(&waiting[i]);
	serves_others(&b);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- 28 ---- */

/* Sends a request in the name of another process and user; 0 or a negative errno. */
static int forge(struct raw *raw, pid_t pid, uid_t uid)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct ucred))] = "";
	struct ucred claim = { .pid = pid, .uid = uid, .gid = uid };
	struct shmb_msg_status status = { .head = { .opcode = SHMB_OP_STATUS, .serial = 99 } };
	struct iovec bytes = { .iov_base = &status, .iov_len = sizeof(status) };
	struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *credentials = CMSG_FIRSTHDR(&message);

	credentials->cmsg_level = SOL_SOCKET;
	credentials->cmsg_type = SCM_CREDENTIALS;
	credentials->cmsg_len = CMSG_LEN(sizeof(claim));
	memcpy(CMSG_DATA(credentials), &claim, sizeof(claim));
	return sendmsg(raw->fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int forges(struct broker *b)
{
	struct raw raw = { 0 };

	CHILD_CHECK(raw_start(&raw, b->socket) == 0);
	CHILD_CHECK(forge(&raw, getpid(), 0) == -EPERM);
	CHILD_CHECK(forge(&raw, b->daemon.pid, getuid()) == -EPERM);
	raw_end(&raw);
	return 0;
}

START_TEST(fault_28_forged_pid_or_uid)
{
	static struct raw_answer answer;
	struct raw raw = { 0 };
	struct broker b;

	OTHER_SKIP();
	broker_start(&b, &(struct broker_options){ .runtime_mode = 0755 });
	other_run(OTHER_UID, forges, &b); /* the kernel's part */
	/* Root may say what it likes, and is not believed. */
	ASSERT_OK(raw_start(&raw, b.socket));
	ASSERT_OK(forge(&raw, b.daemon.pid, getuid()));
	ck_assert_int_le(raw_receive(&raw, &answer, SUITE_PATIENCE_MS), 0);
	raw_close(&raw);
	serves_others(&b);
	broker_finish(&b);
}
END_TEST

/* ---- 29 ---- */

START_TEST(fault_29_traversal_nul_and_long_names)
{
	static const char *const names[] = { "..",   "../x",	 "/etc/passwd", "a/../b",   "./a", "a//b", ",a",   "a,1",
					     "a\nb", "a\x1b[2J", " ",		"\xff\xfe", "a/",  "",	   "a\x7f" };
	static struct raw_answer answer;
	struct shmb_msg_open_writer open;
	struct shmb_msg_open_reader reader;
	struct raw raw = { 0 };
	struct broker b;
	char *before;
	char *after;
	int r;

	broker_start(&b, NULL);
	ASSERT_OK(raw_start(&raw, b.socket));
	before = dir_names(b.shm);
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]) + 2; i++) {
		raw_open_writer(&open, "good", schema, 64);
		raw_open_reader(&reader, "good");
		memset(open.name, 0, sizeof(open.name));
		if (i < sizeof(names) / sizeof(names[0]))
			strcpy(open.name, names[i]);
		else if (i == sizeof(names) / sizeof(names[0]))
			memset(open.name, 'x', sizeof(open.name)); /* without an end */
		else
			memcpy(open.name, "nul\0more", 8);
		memcpy(reader.name, open.name, sizeof(open.name));
		r = raw_ask(&raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), schema, strlen(schema), &answer);
		raw_answer_deinit(&answer);
		ck_assert_msg(r == -EINVAL, "name %u '%.20s' to write: %d", i, open.name, r);
		r = raw_ask(&raw, SHMB_OP_OPEN_READER, &reader, sizeof(reader), NULL, 0, &answer);
		raw_answer_deinit(&answer);
		ck_assert_msg(r == -EINVAL, "name %u '%.20s' to read: %d", i, open.name, r);
	}
	after = dir_names(b.shm);
	ck_assert_str_eq(before, after);
	free(before);
	free(after);
	raw_end(&raw);
	serves_others(&b);
	broker_finish(&b);
}
END_TEST

/* ---- 30 ---- */

START_TEST(fault_30_fifo_device_and_directory_under_a_name)
{
	static const char *const names[] = { "fifo", "directory", "device" };
	unsigned count = geteuid() == 0 ? 3 : 2;
	struct shmb *client;
	struct stat before[3];
	struct stat after;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	segments_count(client);
	ck_assert_int_eq(mkfifo(look_path(&b, "fifo", ""), 0600), 0);
	ck_assert_int_eq(mkdir(look_path(&b, "directory", ""), 0700), 0);
	if (count == 3 && mknod(look_path(&b, "device", ""), S_IFCHR | 0600, makedev(1, 5)) != 0)
		count = 2;
	for (unsigned i = 0; i < count; i++)
		ck_assert_int_eq(lstat(look_path(&b, names[i], ""), &before[i]), 0);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < count; i++) {
			uint64_t begin = now_ns();
			int r = ring_writer_try(client, names[i], 64, 8);

			ck_assert_msg(r == -EEXIST || r == -EBADMSG, "%s: %d %s", names[i], r, shmb_text());
			ck_assert_uint_lt(now_ns() - begin, (uint64_t)SERVED_WITHIN_NS * suite_slow());
			ASSERT_ERROR(ring_reader_try(client, names[i], SHMB_NO_WAIT), ENOENT);
			ASSERT_ERROR(shmb_remove(client, names[i]), ENOENT);
			ck_assert_int_eq(lstat(look_path(&b, names[i], ""), &after), 0);
			ck_assert(after.st_ino == before[i].st_ino && after.st_mode == before[i].st_mode);
		}
		if (round == 0) {
			broker_kill(&b);
			broker_restart(&b);
		}
	}
	for (unsigned i = 0; i < count; i++)
		ck_assert_int_eq(remove(look_path(&b, names[i], "")), 0);
	serves_others(&b);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- 31 ---- */

static int reopens(struct broker *b)
{
	static struct raw_answer answer;
	struct shmb_msg_open_reader request;
	struct raw raw = { 0 };
	char path[64];

	CHILD_CHECK(raw_start(&raw, b->socket) == 0);
	raw_open_reader(&request, "read");
	CHILD_CHECK(raw_ask(&raw, SHMB_OP_OPEN_READER, &request, sizeof(request), NULL, 0, &answer) == 0);
	CHILD_CHECK(answer.fd_count >= 2);
	for (unsigned i = 0; i < 2; i++) { /* card and data; the area is its user's own */
		snprintf(path, sizeof(path), "/proc/self/fd/%d", answer.fds[i]);
		CHILD_CHECK(open(path, O_RDWR | O_CLOEXEC) < 0);
		CHILD_CHECK(open(path, O_WRONLY | O_TRUNC | O_CLOEXEC) < 0);
		CHILD_CHECK(mmap(NULL, SHMB_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, answer.fds[i], 0) == MAP_FAILED);
		CHILD_CHECK(ftruncate(answer.fds[i], 0) < 0);
		CHILD_CHECK(fchmod(answer.fds[i], 0666) < 0);
		CHILD_CHECK(write(answer.fds[i], "x", 1) < 0);
	}
	raw_answer_deinit(&answer);
	raw_end(&raw);
	return 0;
}

START_TEST(fault_31_reader_reopens_read_write)
{
	struct broker_options options = { .runtime_mode = 0755 };
	struct shmb_ring_writer *writer;
	struct shmb_ring_reader *reader;
	struct shmb *client;
	struct broker b;

	OTHER_SKIP();
	broker_start(&b, &options);
	client = broker_connect(&b);
	writer = ring_writer(client, "read", 64, 8);
	ring_write(writer, 64, 3, 1);
	other_run(OTHER_UID, reopens, &b);
	reader = ring_reader(client, "read");
	ck_assert_uint_eq(ring_latest(reader, 2, -1), 1);
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	serves_others(&b);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- 32 ---- */

START_TEST(fault_32_random_header)
{
	struct shmb *client;
	struct broker b;

	srandom(32);
	for (unsigned round = 0; round < 4; round++) {
		size_t size;
		char *card;

		broker_start(&b, NULL);
		client = broker_connect(&b);
		ASSERT_OK(ring_writer_try(client, "victim", 64, 8));
		broker_kill(&b);
		card = look_map(&b, "victim", "", &size);
		for (size_t i = 0; i < size; i++)
			card[i] = (char)random();
		look_unmap(card, size);
		broker_restart(&b);
		ck_assert_uint_eq(segments_count(client), 0);
		ASSERT_ERROR(ring_reader_try(client, "victim", SHMB_NO_WAIT), ENOENT);
		ck_assert_int_lt(ring_writer_try(client, "victim", 64, 8), 0);
		ck_assert_uint_ge(look_log(&b, "victim", "left alone"), 1);
		serves_others(&b);
		shmb_disconnect(client);
		broker_kill(&b);
		broker_drop(&b);
	}
}
END_TEST

/* ---- 33 ---- */

START_TEST(fault_33_header_changed_after_validation)
{
	struct shmb_ring_writer *writer;
	struct shmb_ring_reader *reader;
	struct shmb_shm_card *card;
	struct shmb_shm_card good;
	struct shmb *client;
	struct broker b;
	size_t size;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "changed", 64, 8);
	reader = ring_reader(client, "changed");
	ring_write(writer, 64, 1, 1);
	ring_next(reader, 0, 0);
	card = look_map(&b, "changed", "", &size);
	memcpy(&good, card, sizeof(good));
	for (unsigned i = 1; i <= 20; i++) {
		card->slot_count = i % 2 == 0 ? UINT32_MAX : 0;
		card->slot_shift = (uint8_t)(i * 13);
		card->slot_offset = UINT32_MAX - i;
		card->data_bytes = UINT64_MAX / i;
		card->kind = (uint8_t)i;
		ring_write(writer, 64, 1, 1);
		ck_assert_uint_eq(ring_next(reader, i, 0), 1);
		ck_assert_uint_eq(segments_count(client), 1);
	}
	serves_others(&b);
	card->slot_count = good.slot_count;
	card->slot_shift = good.slot_shift;
	card->slot_offset = good.slot_offset;
	card->data_bytes = good.data_bytes;
	card->kind = good.kind;
	look_unmap(card, size);
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- 34 and 35 ---- */

static struct shmb_shm_slot *slot_at(const struct shmb_shm_card *card, struct shmb_shm_data *data, uint64_t number)
{
	return (struct shmb_shm_slot *)(void *)((char *)data + card->slot_offset + ((number & (card->slot_count - 1)) << card->slot_shift));
}

/* Entries that are there, and name what is not: refused, and nothing is followed. */
static void entries_name_nothing(struct broker *b, struct program *frame)
{
	struct shmb_shm_card card;
	struct shmb_shm_data *data;
	size_t size;

	look_card(b, "pins", &card);
	data = look_map(b, "pins", ",data", &size);
	for (uint64_t i = 0; i < card.entry_count; i++) {
		struct shmb_shm_entry *entry =
			(struct shmb_shm_entry *)(void *)((char *)data + card.entry_offset + (i << card.entry_shift));

		atomic_store(&entry->slot, UINT64_C(1) << 40);
	}
	look_unmap(data, size);
	worker_must(frame, "frame-release");
	ASSERT_RESULT(worker_ask(frame, "frame-pin"), -EBADMSG);
}

START_TEST(fault_34_numbers_and_pins_corrupted_live)
{
	static const char *const commands[] = { "latest", "next", "wait deadline=2", "bounds", "read n=1" };
	static const int known[] = { 0, ENODATA, EAGAIN, ESTALE, EBADMSG, ETIMEDOUT, EOVERFLOW };
	static const char *const parts[] = { ",data", ",area0" };
	struct program writer;
	struct program reader;
	struct program frame;
	struct broker b;

	broker_start(&b, NULL);
	srandom(34);
	worker_start(&writer, &b, "writer", false);
	worker_start(&reader, &b, "reader", false);
	worker_start(&frame, &b, "frame", false);
	worker_must(&writer, "writer name=live bytes=64 salt=1");
	worker_must(&writer, "write n=3");
	worker_must(&reader, "reader name=live bytes=64");
	worker_must(&writer, "frame-writer name=pins bytes=64 history=2 pins=2 salt=1");
	worker_must(&writer, "frame-write n=2");
	worker_must(&frame, "frame-reader name=pins");
	worker_must(&frame, "frame-pin");
	entries_name_nothing(&b, &frame);
	for (unsigned i = 0; i < 60; i++) {
		size_t size;
		uint64_t *words = look_map(&b, i % 2 == 0 ? "live" : "pins", parts[i / 2 % 2], &size);
		uint64_t begin = now_ns();
		struct answer answer;
		bool fits = false;

		if (words != NULL) {
			for (size_t at = 0; at < size / 8; at++)
				words[at] = i % 3 == 0 ? UINT64_MAX : (uint64_t)random() << (random() % 34);
			look_unmap(words, size);
		}
		answer = worker_ask(&reader, "%s", commands[i % 5]);
		for (unsigned k = 0; k < sizeof(known) / sizeof(known[0]); k++)
			fits |= answer.result == -known[k];
		ck_assert_msg(fits, "%s: %d (%s)", commands[i % 5], answer.result, shmb_strerror(answer.result));
		worker_ask(&frame, "frame-release");
		worker_ask(&frame, "frame-pin");
		ck_assert_uint_lt(now_ns() - begin, (uint64_t)10 * SERVED_WITHIN_NS * suite_slow());
		ck_assert(!program_has_ended(&reader) && !program_has_ended(&frame));
	}
	serves_others(&b);
	program_kill(&writer);
	program_kill(&reader);
	program_kill(&frame);
	serves_others(&b);
	broker_kill(&b);
	broker_restart(&b);
	serves_others(&b);
	broker_kill(&b);
	broker_drop(&b);
}
END_TEST

START_TEST(fault_35_sequence_stuck_odd)
{
	struct program writer;
	struct program reader;
	struct shmb_shm_card card;
	struct shmb_shm_data *data;
	struct answer answer;
	struct broker b;
	uint64_t before;
	uint64_t begin;
	size_t size;

	broker_start(&b, NULL);
	worker_start(&writer, &b, "writer", false);
	worker_start(&reader, &b, "reader", false);
	worker_must(&writer, "writer name=odd bytes=64 salt=1");
	worker_must(&writer, "write n=3");
	worker_must(&reader, "reader name=odd bytes=64");
	worker_must(&reader, "latest");
	look_card(&b, "odd", &card);
	data = look_map(&b, "odd", ",data", &size);
	for (uint64_t number = 0; number < card.slot_count; number++)
		atomic_store(&slot_at(&card, data, number)->id, shmb_id_writing(number));
	look_unmap(data, size);
	before = busy_ns(reader.pid);
	begin = now_ns();
	answer = worker_ask(&reader, "latest");
	ck_assert_msg(answer.result < 0, "a half-written element was read");
	ASSERT_RESULT(worker_ask(&reader, "wait deadline=400"), -ETIMEDOUT);
	ck_assert_uint_lt(now_ns() - begin, (uint64_t)10 * SERVED_WITHIN_NS * suite_slow());
	ck_assert_uint_lt(busy_ns(reader.pid) - before, UINT64_C(200000000)); /* of 400 ms: it sleeps */
	/* The writer goes on as if nothing had been, and so does who reads. */
	worker_must(&writer, "write n=20");
	ck_assert_uint_eq(worker_must(&reader, "latest").v[0], 22);
	worker_quit(&writer);
	worker_quit(&reader);
	serves_others(&b);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fault: hostile clients and segments");

	suite_add(suite, fault_24_garbage_short_and_oversize_packets, 30);
	suite_add(suite, fault_25_flood_and_never_reading, 60);
	suite_add(suite, fault_26_descriptors_nobody_asked_for, 30);
	suite_add(suite, fault_27_no_descriptors_no_spin, 30);
	suite_add(suite, fault_28_forged_pid_or_uid, 30);
	suite_add(suite, fault_29_traversal_nul_and_long_names, 30);
	suite_add(suite, fault_30_fifo_device_and_directory_under_a_name, 30);
	suite_add(suite, fault_31_reader_reopens_read_write, 30);
	suite_add(suite, fault_32_random_header, 30);
	suite_add(suite, fault_33_header_changed_after_validation, 30);
	suite_add(suite, fault_34_numbers_and_pins_corrupted_live, 60);
	suite_add(suite, fault_35_sequence_stuck_odd, 30);
	return suite_run(suite);
}
