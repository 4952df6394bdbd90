/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_FAKE_BROKER_H
#define SHMB_TESTS_FAKE_BROKER_H

/*
 * A broker that is not one: a thread that answers each request as the test says - late, twice, in pieces, with descriptors too many or too
 * few, with cards that contradict themselves - or goes away in the middle.
 */

#include "proto/geometry.h"
#include "proto/message.h"
#include "proto/schema.h"
#include "shmb.h"
#include "tests/support/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

SHMB_TYPE(pair, (uint64, a)(uint64, b));

/* What may be wrong with an answer. */
enum fault {
	FAULT_NONE,
	FAULT_REFUSED,	    /* -EPERM and a sentence */
	FAULT_CLOSE,	    /* goes away without an answer */
	FAULT_CLOSE_ONCE,   /* only the first time */
	FAULT_SILENT,	    /* no answer; the next request is answered twice */
	FAULT_STALE,	    /* answers to nothing first, with descriptors */
	FAULT_SHORT,	    /* shorter than its struct */
	FAULT_OPCODE,	    /* of another request */
	FAULT_NO_FDS,	    /* states descriptors that do not come */
	FAULT_MORE_FDS,	    /* more than there are places */
	FAULT_EVENT_SIZE,   /* event page of two pages */
	FAULT_EVENT_MAGIC,  /* event page of zeros */
	FAULT_EVENT_COOKIE, /* event page of somebody else */
	FAULT_CARD_ZERO,    /* card of zeros */
	FAULT_CARD_TINY,    /* card file of 100 bytes */
	FAULT_CARD_NAME,    /* card of another segment */
	FAULT_CARD_ID,
	FAULT_CARD_KIND,
	FAULT_CARD_TYPE,
	FAULT_CARD_SCHEMA, /* schema text that is none */
	FAULT_DATA_TINY,   /* data file shorter than the card says */
	FAULT_AREA_SIZE,
	FAULT_AREA_MISSING, /* fewer areas than the card says */
	FAULT_CELL,	    /* cell in another area than the one sent */
	FAULT_IS_DIRECTORY, /* a descriptor that cannot be mapped */
	FAULT_MORE,	    /* nothing, and more of it from the same place, each time */
};

struct fake {
	char dir[64];
	char path[96];
	int listener;
	pthread_t thread;
	uint16_t opcode; /* which request the fault is for */
	_Atomic int fault;
	_Atomic unsigned hellos, resumes, readies, closes;
	struct shmb_msg_resume resumed;
	_Atomic bool refuse_resumes;
	_Atomic int short_of_memory; /* for so many RESUMEs */
	uint8_t cookie[SHMB_COOKIE_BYTES];
	int silent; /* requests that were not answered */
	struct shmb_msg_head unanswered;
};

static int memory_file(const void *bytes, size_t length, size_t size)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	ck_assert_int_eq(pwrite(fd, bytes, length, 0), (ssize_t)length);
	return fd;
}

static void send_packet(int fd, const void *bytes, size_t length, const int *fds, unsigned count)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(32 * sizeof(int))];
	} control = { 0 };
	struct iovec part = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = length };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	if (count > 0) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		CMSG_FIRSTHDR(&message)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&message)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&message)->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), fds, count * sizeof(int));
	}
	sendmsg(fd, &message, MSG_NOSIGNAL);
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
}

static void send_error(int fd, const struct shmb_msg_head *request, int error, const char *text)
{
	struct shmb_msg_answer answer = { .head = { .opcode = request->opcode, .serial = request->serial, .result = error } };

	shmb_text_set(answer.text, sizeof(answer.text), text);
	send_packet(fd, &answer, sizeof(answer), NULL, 0);
}

static void answer_hello(struct fake *fake, int fd, const struct shmb_msg_head *request, enum fault fault)
{
	struct shmb_msg_hello_answer answer = { .head = { .opcode = request->opcode, .serial = request->serial },
						.version = SHMB_PROTOCOL_VERSION,
						.broker_id = 1 };
	struct shmb_shm_event event = { .version = SHMB_LAYOUT_VERSION, .oldest_reader = SHMB_LAYOUT_OLDEST, .pid = getpid() };
	int fds[12];
	unsigned count = fault == FAULT_NO_FDS ? 0 : fault == FAULT_MORE_FDS ? 12 : 1;

	event.magic = fault == FAULT_EVENT_MAGIC ? 0 : SHMB_EVENT_MAGIC;
	memcpy(event.cookie, fake->cookie, sizeof(event.cookie));
	if (fault == FAULT_EVENT_COOKIE)
		event.cookie[0] ^= 2;
	for (unsigned i = 0; i < count; i++)
		fds[i] = memory_file(&event, sizeof(event), fault == FAULT_EVENT_SIZE ? 2 * SHMB_PAGE : SHMB_PAGE);
	fake->hellos++;
	send_packet(fd, &answer, sizeof(answer), fds, count);
}

/* A segment of its own for each answer. */
static void answer_open(int fd, const struct shmb_msg_head *request, bool writer, enum fault fault)
{
	struct shmb_request wish = {
		.kind = SHMB_KIND_RING, .capacity = 8, .payload_align = 8, .payload_bytes = 16, .key_field = SHMB_KEY_IS_STAMP
	};
	struct shmb_msg_open_answer answer = { .head = { .opcode = request->opcode, .serial = request->serial },
					       .segment_id = 77,
					       .generation = 1,
					       .epoch = 1,
					       .state = shmb_state_word(1, SHMB_STATE_HELD),
					       .cell = writer ? UINT32_MAX : 32,
					       .area = writer ? UINT32_MAX : 1 };
	struct shmb_geometry geometry;
	struct shmb_shm_card card = { .magic = SHMB_CARD_MAGIC };
	static const char zeros[SHMB_PAGE];
	char file[2 * SHMB_PAGE] = { 0 };
	const char *schema = fault == FAULT_CARD_SCHEMA ? "string x\n" : pair_type.schema;
	size_t card_bytes = fault == FAULT_CARD_TINY ? 100 : sizeof(file);
	uint32_t magic = SHMB_DATA_MAGIC;
	int fds[12];
	unsigned count = 2;

	ck_assert_int_eq(shmb_geometry_plan(&wish, 2, &geometry, NULL), 0);
	card.version = SHMB_LAYOUT_VERSION;
	card.oldest_reader = SHMB_LAYOUT_OLDEST;
	card.card_bytes = sizeof(file);
	card.schema_offset = SHMB_PAGE;
	card.schema_length = (uint32_t)strlen(schema);
	card.schema_hash = fault == FAULT_CARD_TYPE ? 1 : shmb_schema_hash(schema, strlen(schema));
	card.kind = fault == FAULT_CARD_KIND ? SHMB_KIND_VALUE : SHMB_KIND_RING;
	card.backing = SHMB_BACKING_NAMED;
	card.segment_id = fault == FAULT_CARD_ID ? 78 : 77;
	card.generation = 1;
	card.data_bytes = geometry.data_bytes;
	card.payload_bytes = geometry.payload_bytes;
	card.slot_offset = geometry.slot_offset;
	card.pool_offset = geometry.pool_offset;
	card.slot_count = geometry.slot_count;
	card.pool_count = geometry.pool_count;
	card.slot_shift = geometry.slot_shift;
	card.pool_shift = geometry.pool_shift;
	card.key_field = UINT32_MAX;
	card.area_count = 2;
	card.payload_align = 8;
	card.cut = UINT64_MAX;
	card.state = answer.state;
	card.writer = shmb_writer_word(1, SHMB_WRITER_ALIVE);
	strcpy(card.name, fault == FAULT_CARD_NAME ? "other" : "seg");
	strcpy(card.type, "pair");
	if (fault != FAULT_CARD_ZERO) {
		memcpy(file, &card, sizeof(card));
		memcpy(file + SHMB_PAGE, schema, strlen(schema));
	}
	fds[0] = memory_file(file, card_bytes, card_bytes);
	fds[1] = memory_file(&magic, sizeof(magic), fault == FAULT_DATA_TINY ? SHMB_PAGE / 2 : geometry.data_bytes);
	for (unsigned i = 0; i < (writer ? 2u : 1u) - (fault == FAULT_AREA_MISSING); i++)
		fds[count++] = memory_file(zeros, SHMB_PAGE, fault == FAULT_AREA_SIZE ? 2 * SHMB_PAGE : SHMB_PAGE);
	if (fault == FAULT_CELL)
		answer.cell = 5;
	if (fault == FAULT_IS_DIRECTORY) {
		close(fds[1]);
		fds[1] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	answer.fd_count = count;
	while (fault == FAULT_MORE_FDS && count < 12)
		fds[count++] = memory_file(zeros, SHMB_PAGE, SHMB_PAGE);
	if (fault == FAULT_NO_FDS) {
		for (unsigned i = 0; i < count; i++)
			close(fds[i]);
		count = 0;
	}
	send_packet(fd, &answer, sizeof(answer), fds, count);
}

static void answer_plain(int fd, const struct shmb_msg_head *request, enum fault fault)
{
	union {
		struct shmb_msg_answer answer;
		struct shmb_msg_status_answer status;
		struct shmb_msg_list_answer list;
		struct shmb_msg_gc_answer gc;
		struct shmb_msg_users_answer users;
	} all = { 0 };

	if (fault == FAULT_MORE && request->opcode == SHMB_OP_GC)
		all.gc.next = 1;
	if (fault == FAULT_MORE && request->opcode == SHMB_OP_USERS)
		all.users.next = 1;
	all.answer.head = (struct shmb_msg_head){ .opcode = request->opcode, .serial = request->serial };
	send_packet(fd, &all, shmb_answer_size(request->opcode), NULL, 0);
}

static void answer(struct fake *fake, int fd, const struct shmb_msg_head *request, enum fault fault)
{
	struct shmb_msg_head other = *request;

	switch (request->opcode) {
	case SHMB_OP_HELLO:
	case SHMB_OP_OPEN_READER:
	case SHMB_OP_OPEN_WRITER:
		if (fault == FAULT_OPCODE || fault == FAULT_SHORT)
			break;
		if (request->opcode == SHMB_OP_HELLO)
			answer_hello(fake, fd, request, fault);
		else
			answer_open(fd, request, request->opcode == SHMB_OP_OPEN_WRITER, fault);
		return;
	default:
		break;
	}
	if (fault == FAULT_OPCODE)
		other.opcode = request->opcode == SHMB_OP_STATUS ? SHMB_OP_LIST : SHMB_OP_STATUS;
	if (fault == FAULT_SHORT)
		send_packet(fd, request, sizeof(*request), NULL, 0);
	else
		answer_plain(fd, &other, fault);
}

/* False: the connection shall end. */
static bool serve(struct fake *fake, int fd, const union shmb_msg_request *request)
{
	enum fault fault = request->head.opcode == fake->opcode ? (enum fault)fake->fault : FAULT_NONE;
	struct shmb_msg_head stale = request->head;

	if (fake->silent > 0) { /* now the answer that is too late */
		fake->silent--;
		answer(fake, fd, &fake->unanswered, FAULT_NONE);
	}
	switch (fault) {
	case FAULT_CLOSE_ONCE:
		fake->fault = FAULT_NONE;
		return false;
	case FAULT_CLOSE:
		return false;
	case FAULT_SILENT:
		fake->fault = FAULT_NONE;
		fake->silent++;
		fake->unanswered = request->head;
		return true;
	case FAULT_REFUSED:
		send_error(fd, &request->head, -EPERM, "not for you");
		return true;
	case FAULT_STALE:
		for (int i = 0; i < 5; i++) {
			stale.serial--;
			answer_open(fd, &stale, true, FAULT_NONE);
		}
		break;
	default:
		break;
	}
	if (request->head.opcode == SHMB_OP_HELLO)
		memcpy(fake->cookie, request->hello.cookie, sizeof(fake->cookie));
	if (request->head.opcode == SHMB_OP_RESUME) {
		fake->resumed = request->resume;
		fake->resumes++;
		if (fake->short_of_memory > 0) {
			fake->short_of_memory--;
			send_error(fd, &request->head, -ENOMEM, "no memory");
			return true;
		}
		if (fake->refuse_resumes) {
			send_error(fd, &request->head, -ESTALE, "gone");
			return true;
		}
	}
	if (request->head.opcode == SHMB_OP_READY)
		fake->readies++;
	if (request->head.opcode == SHMB_OP_CLOSE)
		fake->closes++;
	answer(fake, fd, &request->head, fault);
	return true;
}

static void *run(void *arg)
{
	struct fake *fake = arg;

	for (;;) {
		int fd = accept4(fake->listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			return NULL;
		for (;;) {
			char packet[8192];
			union shmb_msg_request request;
			const char *tail;
			const char *why = "";
			ssize_t length = recv(fd, packet, sizeof(packet), 0);

			if (length <= 0)
				break;
			/* What the library sends is right, in every case. */
			ck_assert_msg(shmb_request_decode(packet, (size_t)length, &request, &tail, &why) == 0, "%s", why);
			if (!serve(fake, fd, &request))
				break;
		}
		close(fd);
	}
}

static unsigned fd_count(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

static unsigned mapped(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned count = 0;

	ck_assert_ptr_nonnull(maps);
	while (fgets(line, sizeof(line), maps) != NULL)
		count += strstr(line, "memfd:test") != NULL;
	fclose(maps);
	return count;
}

static unsigned fds_before;

static void fake_start(struct fake *fake, uint16_t opcode, enum fault fault)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	*fake = (struct fake){ .opcode = opcode, .fault = fault };
	fds_before = fd_count();
	strcpy(fake->dir, "/tmp/shmb-unit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(fake->dir));
	snprintf(fake->path, sizeof(fake->path), "%s/s", fake->dir);
	strcpy(address.sun_path, fake->path);
	fake->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fake->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(fake->listener, 8), 0);
	ck_assert_int_eq(pthread_create(&fake->thread, NULL, run, fake), 0);
}

/* After everything was disconnected. */
static void fake_stop(struct fake *fake)
{
	shutdown(fake->listener, SHUT_RDWR);
	pthread_join(fake->thread, NULL);
	close(fake->listener);
	unlink(fake->path);
	rmdir(fake->dir);
	ck_assert_uint_eq(fd_count(), fds_before);
	ck_assert_uint_eq(mapped(), 0);
}

#endif
