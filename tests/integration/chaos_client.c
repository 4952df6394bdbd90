/* SPDX-License-Identifier: MIT */
/* A hostile client (chaos.h). */
#include "chaos.h"

#include "../support/raw.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINKS = 5, ASKED = 64, OPENS = 16, FDS = 6 };

/* ---- numbers ---- */

static uint64_t state;

uint32_t chaos_draw(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 20) % below;
}

void chaos_seed(uint64_t seed, unsigned who, unsigned life)
{
	state = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) + who * UINT64_C(0xbf58476d1ce4e5b9) + life * UINT64_C(0x94d049bb133111eb);
	for (unsigned i = 0; i < 8; i++)
		chaos_draw(2);
}

/* ---- one client ---- */

/* With the kind that it mostly is. */
static const struct {
	const char *name;
	enum shmb_kind kind;
} names[] = {
	{ "replace/a", SHMB_KIND_QUEUE }, { "replace/b", SHMB_KIND_QUEUE }, { "replace/c", SHMB_KIND_FRAME },
	{ "replace/d", SHMB_KIND_BLOCK }, { "reap/a", SHMB_KIND_RING },	    { "reap/b", SHMB_KIND_QUEUE },
	{ "sealed/a", SHMB_KIND_VALUE },  { "sealed/b", SHMB_KIND_QUEUE },  { "hung/a", SHMB_KIND_RING },
	{ "hung/b", SHMB_KIND_FRAME },	  { "keep/a", SHMB_KIND_VALUE },    { "keep/b", SHMB_KIND_BLOCK },
};
static const char *const honest[] = { "honest", "soak/lapped", "soak/frame", "soak/jobs", "soak/block" };
static const char *const patterns[] = { "", "*", "replace/*", "?eap/*", "none" };
static const struct {
	const char *schema;
	uint64_t bytes;
} types[] = {
	{ "uint64[8] words\n", 64 },
	{ "uint32[30] counts\n", 120 },
	{ "uint8[300000] picture\n", 300000 }, /* had and freed by the daemon's other thread */
};

/* What was opened, for a RESUME. */
struct opened {
	char name[SHMB_NAME_MAX + 8];
	uint32_t handle;
	uint8_t role;
	struct shmb_msg_open_answer answer;
};

struct asked {
	uint16_t opcode;
	struct opened open;
};

struct link {
	struct raw raw;
	struct asked asked[ASKED];
};

static struct link links[LINKS];
static struct opened opens[OPENS];
static unsigned open_count;
static int fds[FDS]; /* of what was handed out */
static unsigned fd_count;
static const char *socket_path;
static struct chaos_books *books;

static unsigned some_name(char out[SHMB_NAME_MAX + 8])
{
	unsigned which = chaos_draw(2) == 0 ? chaos_draw(4) : chaos_draw(sizeof(names) / sizeof(names[0]));

	snprintf(out, SHMB_NAME_MAX + 8, "%s", chaos_draw(40) == 0 ? "none" : names[which].name);
	return which;
}

static uint32_t some_handle(void)
{
	return chaos_draw(30) == 0 ? chaos_draw(3) * 1000 : 1 + chaos_draw(20);
}

static void note_fds(struct raw_answer *answer)
{
	for (unsigned i = 0; i < answer->fd_count; i++) {
		if (answer->head.opcode == SHMB_OP_HELLO || chaos_draw(2) == 0) {
			close(answer->fds[i]);
			continue;
		}
		if (fd_count >= FDS)
			close(fds[fd_count % FDS]);
		fds[fd_count++ % FDS] = answer->fds[i];
	}
}

static void note_answer(struct link *link, struct raw_answer *answer)
{
	const struct asked *asked = &link->asked[answer->head.serial % ASKED];
	uint16_t opcode = answer->head.opcode;

	note_fds(answer);
	if (opcode >= SHMB_OP_COUNT)
		return;
	atomic_fetch_add(answer->head.result == 0 ? &books->served[opcode] : &books->refused[opcode], 1);
	if (answer->head.result == 0 && asked->opcode == opcode && (opcode == SHMB_OP_OPEN_WRITER || opcode == SHMB_OP_OPEN_READER)) {
		opens[open_count % OPENS] = asked->open;
		opens[open_count++ % OPENS].answer = answer->open;
	}
}

/* Reads what there is, for some milliseconds or just so. */
static void listen_to(struct link *link, unsigned ms)
{
	static struct raw_answer answer;

	for (unsigned i = 0; i < 4; i++) {
		int r = raw_receive(&link->raw, &answer, ms);

		if (r == -ETIMEDOUT)
			return;
		if (r <= 0) {
			raw_close(&link->raw);
			return;
		}
		note_answer(link, &answer);
		ms = 0;
	}
}

/* Packs and sends it, perhaps with something wrong, perhaps with descriptors, and perhaps waits for the answer. */
static void send_off(struct link *link, uint16_t opcode, void *request, size_t size, const char *tail, const struct opened *open)
{
	static char packet[SHMB_MESSAGE_MAX + 64];
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(3 * sizeof(int))] = { 0 };
	struct iovec bytes = { .iov_base = packet };
	struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1 };
	size_t tail_bytes = strlen(tail);
	struct shmb_msg_head *head = request;
	struct asked *asked;

	*head = (struct shmb_msg_head){ .opcode = opcode, .serial = ++link->raw.serial, .tail_bytes = (uint32_t)tail_bytes };
	asked = &link->asked[head->serial % ASKED];
	*asked = (struct asked){ .opcode = opcode };
	if (open != NULL)
		asked->open = *open;
	memcpy(packet, request, size);
	memcpy(packet + size, tail, tail_bytes);
	bytes.iov_len = size + tail_bytes;
	if (chaos_draw(50) == 0) {
		atomic_fetch_add(&books->odd, 1);
		switch (chaos_draw(4)) {
		case 0:
			bytes.iov_len = chaos_draw((uint32_t)bytes.iov_len + 1);
			break;
		case 1:
			memset(packet + bytes.iov_len, (int)chaos_draw(256), 60);
			bytes.iov_len += chaos_draw(60);
			break;
		default:
			for (unsigned i = 1 + chaos_draw(3); i > 0; i--)
				packet[chaos_draw((uint32_t)bytes.iov_len)] = (char)(chaos_draw(2) == 0 ? 0 : chaos_draw(256));
			break;
		}
	}
	if (chaos_draw(60) == 0) {
		int sent[3] = { STDERR_FILENO, link->raw.fd, fd_count > 0 ? fds[0] : STDERR_FILENO };
		struct cmsghdr *c;

		message.msg_control = control;
		message.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&message);
		*c = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(sent)) };
		memcpy(CMSG_DATA(c), sent, sizeof(sent));
		atomic_fetch_add(&books->sent_fds, 1);
	}
	if (sendmsg(link->raw.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN) {
		raw_close(&link->raw);
		return;
	}
	if (chaos_draw(5) == 0)
		atomic_fetch_add(&books->unread, 1);
	else
		listen_to(link, 20);
}

static void send_hello(struct link *link)
{
	struct shmb_msg_hello hello = {
		.magic = SHMB_MESSAGE_MAGIC, .version = SHMB_PROTOCOL_VERSION, .oldest = SHMB_PROTOCOL_OLDEST, .comm = "chaos"
	};

	/* Few cookies: the same client comes again, while it is still here and afterwards. */
	hello.cookie[0] = (uint8_t)(1 + chaos_draw(20));
	send_off(link, SHMB_OP_HELLO, &hello, sizeof(hello), "", NULL);
}

static void send_ready(struct link *link)
{
	struct shmb_msg_ready ready;

	send_off(link, SHMB_OP_READY, &ready, sizeof(ready), "", NULL);
}

/* Something else than what was opened, and perhaps there. */
static void lie(struct shmb_msg_resume *resume)
{
	atomic_fetch_add(&books->lies, 1);
	switch (resume->role == SHMB_ROLE_OBSERVER ? 7 : chaos_draw(8)) {
	case 0:
		resume->role = (uint8_t)chaos_draw(7);
		break;
	case 1:
		resume->generation += chaos_draw(3) - 1;
		break;
	case 2:
		resume->epoch += chaos_draw(5) - 2;
		break;
	case 3:
		resume->cell = chaos_draw(3) == 0 ? UINT32_MAX : chaos_draw(SHMB_CELLS_MAX + 2);
		break;
	case 4:
		resume->incarnation += chaos_draw(5) - 2;
		break;
	case 5:
		resume->handle = some_handle();
		break;
	case 6:
		resume->segment_id ^= UINT64_C(1) << chaos_draw(64);
		break;
	default: /* the lease of one that it has as a reader, or the other way round */
		resume->role = resume->role == SHMB_ROLE_WRITER ? SHMB_ROLE_READER : SHMB_ROLE_WRITER;
		resume->epoch = 1 + chaos_draw(4);
		resume->cell = UINT32_MAX;
		break;
	}
}

static void send_resume(struct link *link)
{
	struct shmb_msg_resume resume = { 0 };
	const struct opened *open = &opens[chaos_draw(OPENS)];

	resume.handle = open->handle;
	resume.role = open->role;
	resume.segment_id = open->answer.segment_id;
	resume.generation = open->answer.generation;
	resume.epoch = open->answer.epoch;
	resume.cell = open->answer.cell;
	resume.incarnation = open->answer.incarnation;
	memcpy(resume.name, open->name, sizeof(resume.name));
	if (chaos_draw(3) == 0)
		lie(&resume);
	send_off(link, SHMB_OP_RESUME, &resume, sizeof(resume), "", NULL);
}

static void link_begin(struct link *link)
{
	memset(link, 0, sizeof(*link));
	if (raw_connect(&link->raw, socket_path) != 0) {
		link->raw.fd = -1;
		return;
	}
	atomic_fetch_add(&books->connections, 1);
	if (chaos_draw(30) != 0)
		send_hello(link);
	for (unsigned i = chaos_draw(8); i > 0 && open_count >= OPENS && link->raw.fd >= 0; i--)
		send_resume(link);
	if (chaos_draw(30) != 0 && link->raw.fd >= 0)
		send_ready(link);
}

static void send_open_writer(struct link *link)
{
	unsigned type = chaos_draw(6) == 0 ? chaos_draw(sizeof(types) / sizeof(types[0])) : 0;
	struct shmb_msg_open_writer request;
	struct opened open = { .handle = some_handle() };
	enum shmb_kind kind = names[some_name(open.name)].kind;

	if (chaos_draw(12) == 0)
		kind = SHMB_KIND_VALUE + chaos_draw(5);
	raw_open_kind(&request, kind, open.name, types[type].schema, types[type].bytes);
	request.handle = open.handle;
	request.open_flags = chaos_draw(2);
	if (kind == SHMB_KIND_VALUE)
		request.capacity = 4;
	open.role = request.role;
	send_off(link, SHMB_OP_OPEN_WRITER, &request, sizeof(request), types[type].schema, &open);
}

static void send_open_reader(struct link *link)
{
	struct opened open = { .handle = some_handle() };
	enum shmb_kind kind = names[some_name(open.name)].kind;
	struct shmb_msg_open_reader request;

	open.role = kind == SHMB_KIND_QUEUE ? SHMB_ROLE_CONSUMER : SHMB_ROLE_READER;
	if (chaos_draw(6) == 0)
		open.role = SHMB_ROLE_OBSERVER;
	raw_open_reader(&request, open.name);
	request.handle = open.handle;
	request.role = open.role;
	request.kind = open.role == SHMB_ROLE_CONSUMER || chaos_draw(3) == 0 ? (uint8_t)kind : SHMB_KIND_NONE;
	request.open_flags = chaos_draw(2);
	request.follows = chaos_draw(4) == 0 ? some_handle() : 0;
	/* Of somebody who behaves it is told all that a RESUME says but the cookie. */
	if (open.role == SHMB_ROLE_OBSERVER && chaos_draw(2) == 0) {
		snprintf(open.name, sizeof(open.name), "%s", honest[chaos_draw(sizeof(honest) / sizeof(honest[0]))]);
		snprintf(request.name, sizeof(request.name), "%s", open.name);
		request.kind = SHMB_KIND_NONE;
	}
	send_off(link, SHMB_OP_OPEN_READER, &request, sizeof(request), "", &open);
}

static void send_close(struct link *link)
{
	struct shmb_msg_close request = { .handle = some_handle() };

	send_off(link, SHMB_OP_CLOSE, &request, sizeof(request), "", NULL);
}

static void send_name(struct link *link, uint16_t opcode)
{
	struct shmb_msg_name request = { 0 };

	some_name(request.name);
	send_off(link, opcode, &request, sizeof(request), "", NULL);
}

static void send_policy(struct link *link)
{
	struct shmb_msg_policy request = { .uid = chaos_draw(2) == 0 ? UINT32_MAX : CHAOS_UID };

	some_name(request.name);
	send_off(link, SHMB_OP_POLICY, &request, sizeof(request), "", NULL);
}

static void send_gc(struct link *link)
{
	struct shmb_msg_gc request = { .flags = chaos_draw(4), .after = chaos_draw(20) };

	send_off(link, SHMB_OP_GC, &request, sizeof(request), "", NULL);
}

static void send_pattern(struct link *link, uint16_t opcode)
{
	struct shmb_msg_figures figures = { .after = chaos_draw(20) };
	struct shmb_msg_watch watch = { 0 };
	const char *pattern = patterns[chaos_draw(sizeof(patterns) / sizeof(patterns[0]))];

	snprintf(figures.pattern, sizeof(figures.pattern), "%s", pattern);
	snprintf(watch.pattern, sizeof(watch.pattern), "%s", pattern);
	if (opcode == SHMB_OP_WATCH)
		send_off(link, opcode, &watch, sizeof(watch), "", NULL);
	else
		send_off(link, opcode, &figures, sizeof(figures), "", NULL);
}

/* LIST, CLIENTS, USERS: a number behind the head. STATUS, METRICS, RELOAD: nothing. */
static void send_plain(struct link *link, uint16_t opcode)
{
	struct shmb_msg_list request = { .after = chaos_draw(3) == 0 ? chaos_draw(20) : 0 };

	send_off(link, opcode, &request, shmb_request_size(opcode), "", NULL);
}

/* Bytes into what was handed out, or its end cut off; most of it can only be read. */
static void spoil(void)
{
	uint64_t bytes[4];
	int fd = fd_count > 0 ? fds[chaos_draw(fd_count < FDS ? fd_count : FDS)] : -1;

	if (fd < 0)
		return;
	for (unsigned i = 0; i < 4; i++)
		bytes[i] = chaos_draw(3) == 0 ? chaos_draw(100) : (uint64_t)chaos_draw(UINT32_MAX) << chaos_draw(33);
	if (chaos_draw(books->cut_one_in) == 0)
		atomic_fetch_add(&books->spoilt, ftruncate(fd, chaos_draw(3) * SHMB_PAGE) == 0);
	else
		atomic_fetch_add(&books->spoilt, pwrite(fd, bytes, sizeof(bytes), chaos_draw(chaos_draw(4) == 0 ? 512 : 64) * 8) > 0);
}

static void act(void)
{
	struct link *link = &links[chaos_draw(LINKS)];

	if (link->raw.fd < 0) {
		link_begin(link);
		if (link->raw.fd < 0) { /* no daemon is there: the next one finds this */
			spoil();
			usleep(chaos_draw(1000));
		}
		return;
	}
	switch (chaos_draw(40)) {
	case 0 ... 9:
		send_open_writer(link);
		break;
	case 10 ... 17:
		send_open_reader(link);
		break;
	case 18 ... 20:
		send_close(link);
		break;
	case 21:
		send_name(link, SHMB_OP_REMOVE);
		break;
	case 22:
		send_name(link, SHMB_OP_INFO);
		break;
	case 23:
		send_gc(link);
		break;
	case 24 ... 25:
		send_pattern(link, SHMB_OP_FIGURES);
		break;
	case 26:
		send_pattern(link, SHMB_OP_WATCH);
		break;
	case 27:
		send_plain(link, SHMB_OP_LIST);
		break;
	case 28:
		send_plain(link, SHMB_OP_CLIENTS);
		break;
	case 29:
		send_plain(link, SHMB_OP_USERS);
		break;
	case 30:
		send_plain(link, SHMB_OP_STATUS);
		break;
	case 31:
		send_plain(link, SHMB_OP_METRICS);
		break;
	case 32:
		if (chaos_draw(2) == 0)
			send_plain(link, SHMB_OP_RELOAD);
		else
			send_policy(link);
		break;
	case 33:
		if (chaos_draw(2) == 0)
			send_resume(link);
		else
			send_hello(link);
		break;
	case 34 ... 35:
		spoil();
		break;
	case 36:
		listen_to(link, 2);
		break;
	case 37:
		usleep(chaos_draw(3000));
		break;
	default: /* away, whatever is under way */
		if (chaos_draw(8) == 0)
			raw_close(&link->raw);
		break;
	}
}

pid_t chaos_client(struct broker *b, struct chaos_books *shared, uint64_t seed, unsigned who, unsigned life)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid != 0)
		return pid;
	if (geteuid() == 0 && who >= CHAOS_CLIENTS - 2) {
		uid_t uid = CHAOS_UID + who % 2;

		if (setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0)
			_exit(126);
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	chaos_seed(seed, who, life);
	socket_path = b->socket;
	books = shared;
	for (unsigned i = 0; i < LINKS; i++)
		links[i].raw.fd = -1;
	for (;;)
		act();
}
