/* SPDX-License-Identifier: MIT */
/*
 * A whole broker in this process, spoken to by simulated peers: connections made and broken, requests well-formed and not, in any order, the
 * memory that was handed out overwritten and cut short, processes that end, time that passes, the broker started anew on what it left.
 *
 * Time is simulated: the linker's --wrap puts the functions below in the place of the loop's timers and clock and of ev_run(), which here looks
 * once at what is ready. Each input begins with a new broker on an empty directory. No file becomes larger than FILE_MAX_BYTES.
 */
#include "fuzz.h"

#include "daemon/attachment.h"
#include "daemon/broker.h"
#include "daemon/liveness.h"
#include "daemon/log.h"
#include "daemon/peer.h"
#include "memory.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PEERS = 4, STEPS = 48, ROUNDS = 8, FILE_MAX_BYTES = 2 << 20, NAMES = 3 };

/* ---- simulated time ---- */

struct loop_timer {
	loop_timer_fn *fn;
	void *user;
	uint64_t due; /* 0: stopped */
	LIST_ENTRY(loop_timer) link;
};

int __wrap_loop_timer_new(struct loop *loop, loop_timer_fn *fn, void *user, struct loop_timer **out);
void __wrap_loop_timer_set(struct loop_timer *timer, uint64_t delay_ns);
void __wrap_loop_timer_stop(struct loop_timer *timer);
void __wrap_loop_timer_last(struct loop_timer *timer);
struct loop_timer *__wrap_loop_timer_free(struct loop_timer *timer);
uint64_t __wrap_loop_now_ns(void);
int __wrap_ev_run(struct ev_loop *loop, int flags);
int __real_ev_run(struct ev_loop *loop, int flags);

static LIST_HEAD(, loop_timer) timers = LIST_HEAD_INITIALIZER(timers);
static uint64_t now_ns = 1;

int __wrap_loop_timer_new(struct loop *loop, loop_timer_fn *fn, void *user, struct loop_timer **out)
{
	struct loop_timer *timer = calloc(1, sizeof(*timer));

	(void)loop;
	*timer = (struct loop_timer){ .fn = fn, .user = user };
	LIST_INSERT_HEAD(&timers, timer, link);
	*out = timer;
	return 0;
}

void __wrap_loop_timer_set(struct loop_timer *timer, uint64_t delay_ns)
{
	timer->due = now_ns + delay_ns;
	if (timer->due < now_ns)
		timer->due = UINT64_MAX;
}

void __wrap_loop_timer_stop(struct loop_timer *timer)
{
	timer->due = 0;
}

void __wrap_loop_timer_last(struct loop_timer *timer)
{
	(void)timer;
}

struct loop_timer *__wrap_loop_timer_free(struct loop_timer *timer)
{
	if (timer != NULL) {
		LIST_REMOVE(timer, link);
		free(timer);
	}
	return NULL;
}

uint64_t __wrap_loop_now_ns(void)
{
	return now_ns;
}

static void time_pass(uint64_t ns)
{
	struct loop_timer *timer;

	now_ns += ns;
	for (unsigned i = 0; i < 16; i++) {
		LIST_FOREACH (timer, &timers, link) {
			if (timer->due != 0 && timer->due <= now_ns)
				break;
		}
		if (timer == NULL)
			return;
		timer->due = 0;
		timer->fn(timer->user);
	}
}

int __wrap_ev_run(struct ev_loop *loop, int flags)
{
	int r = __real_ev_run(loop, EVRUN_NOWAIT);

	(void)flags;
	time_pass(0); /* what was put off to the next turn */
	return r;
}

/* ---- the broker and its peers ---- */

struct sim {
	int fd; /* our end, -1 none */
	uint8_t state;
	uint32_t serial;
	uint16_t asked; /* opcode that waits for its answer, 0 none */
	int data_fd;	/* of the last writer's open, -1 none */
};

static char base[64];
static struct options options;
static struct broker broker;
static struct sim sims[PEERS];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	return ftw->level > 1 ? remove(path) : 0;
}

static void clear(void)
{
	nftw(base, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void at_exit(void)
{
	clear();
	rmdir(options.runtime_dir);
	rmdir(options.shm_dir);
	rmdir(base);
}

static void begin(void)
{
	struct rlimit limit = { FILE_MAX_BYTES, FILE_MAX_BYTES };

	log_init((enum log_level)0);
	umask(077);
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
	fuzz_directory(base);
	snprintf(options.runtime_dir, sizeof(options.runtime_dir), "%s/run", base);
	snprintf(options.socket, sizeof(options.socket), "%s/run/s", base);
	snprintf(options.shm_dir, sizeof(options.shm_dir), "%s/shm", base);
	options.linger_ns = 1000;
	options.linger_given = true;
	atexit(at_exit);
	for (unsigned i = 0; i < PEERS; i++)
		sims[i].fd = sims[i].data_fd = -1;
}

static void sim_close(struct sim *sim)
{
	if (sim->fd >= 0)
		close(sim->fd);
	if (sim->data_fd >= 0)
		close(sim->data_fd);
	*sim = (struct sim){ .fd = -1, .data_fd = -1 };
}

static void sim_connect(struct sim *sim)
{
	int ends[2];
	int on = 1;

	sim_close(sim);
	FUZZ_HOLDS(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
	FUZZ_HOLDS(setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0);
	if (peer_new(&broker, ends[1]) == 0)
		sim->fd = ends[0];
	else
		close(ends[0]);
}

/* What the broker says is always an answer to what was asked, or an event. */
static void sim_receive(struct sim *sim)
{
	static unsigned char packet[SHMB_MESSAGE_MAX];
	static unsigned char out[4096];
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(SHMB_FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = { packet, sizeof(packet) };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	struct shmb_msg_head head;
	struct shmb_msg_answer error;
	const char *tail = NULL;
	size_t tail_bytes;
	int fds[SHMB_FDS_MAX];
	unsigned count = 0;
	ssize_t length;
	int r;

	if (sim->fd < 0)
		return;
	length = recvmsg(sim->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (length == 0)
		sim_close(sim);
	if (length <= 0)
		return;
	FUZZ_HOLDS((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 && (size_t)length >= sizeof(head));
	if (CMSG_FIRSTHDR(&message) != NULL) {
		count = (unsigned)((CMSG_FIRSTHDR(&message)->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&message)), count * sizeof(int));
	}
	memcpy(&head, packet, sizeof(head));
	if (shmb_answer_size(head.opcode) != 0) {
		r = shmb_answer_decode(packet, (size_t)length, head.opcode, head.serial, out, &error, &tail, &tail_bytes);
		FUZZ_HOLDS(r == 0 || tail != NULL);
		if (head.opcode != SHMB_OP_EVENT)
			FUZZ_HOLDS(sim->asked == 0 || head.opcode == sim->asked);
		if (r == 0 && head.opcode == SHMB_OP_HELLO)
			sim->state = 1;
		if (r == 0 && head.opcode == SHMB_OP_READY)
			sim->state = 2;
		if (r == 0 && head.opcode == SHMB_OP_OPEN_WRITER && count >= 2) {
			if (sim->data_fd >= 0)
				close(sim->data_fd);
			sim->data_fd = fds[1];
			fds[1] = -1;
		}
	} else {
		FUZZ_HOLDS(head.result < 0); /* an opcode that is none */
	}
	for (unsigned i = 0; i < count; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
}

static void loop_look(void)
{
	for (unsigned i = 0; i < ROUNDS; i++)
		loop_run(broker.loop);
	for (unsigned i = 0; i < PEERS; i++)
		sim_receive(&sims[i]);
}

static const char *const names[NAMES] = { "a", "b/c", "a/d" };

/* A request as a client would make it; then bytes of it are overwritten. */
static size_t request_make(struct fuzz *fuzz, const struct sim *sim, unsigned char *packet, unsigned index)
{
	static const uint8_t opcodes[] = { SHMB_OP_HELLO,  SHMB_OP_RESUME, SHMB_OP_READY,	SHMB_OP_OPEN_WRITER, SHMB_OP_OPEN_READER,
					   SHMB_OP_CLOSE,  SHMB_OP_LIST,   SHMB_OP_INFO,	SHMB_OP_STATUS,	     SHMB_OP_REMOVE,
					   SHMB_OP_RELOAD, SHMB_OP_POLICY, SHMB_OP_GC,		SHMB_OP_WATCH,	     SHMB_OP_FIGURES,
					   SHMB_OP_READY,  SHMB_OP_HELLO,  SHMB_OP_OPEN_WRITER, SHMB_OP_OPEN_READER };
	uint8_t choice = fuzz_u8(fuzz);
	uint8_t how = fuzz_u8(fuzz);
	union shmb_msg_request *request = (union shmb_msg_request *)packet;
	const struct shmb_request *wish = &shapes[how % SHAPES];
	const char *name = names[(how >> 4) % NAMES];
	size_t length;

	memset(packet, 0, sizeof(*request));
	request->head.opcode = opcodes[choice % sizeof(opcodes)];
	/* Half of all go the way that a client goes. */
	if ((choice & 0x80) != 0 && sim->state < 2)
		request->head.opcode = sim->state == 0 ? SHMB_OP_HELLO : SHMB_OP_READY;
	request->head.serial = sim->serial + 1;
	length = shmb_request_size(request->head.opcode);
	switch (request->head.opcode) {
	case SHMB_OP_HELLO:
		request->hello.magic = SHMB_MESSAGE_MAGIC;
		request->hello.version = SHMB_PROTOCOL_VERSION;
		request->hello.oldest = SHMB_PROTOCOL_OLDEST;
		request->hello.cookie[0] = (uint8_t)(1 + ((how & 1) != 0 ? 0 : index));
		strcpy(request->hello.comm, "fuzz");
		break;
	case SHMB_OP_RESUME:
		request->resume.handle = 1 + (how & 3);
		request->resume.role = (uint8_t)(1 + how % 5);
		request->resume.generation = 1;
		request->resume.epoch = 1;
		request->resume.cell = UINT32_MAX;
		strcpy(request->resume.name, name);
		if (!TAILQ_EMPTY(&broker.registry.in_order)) {
			const struct segment *segment = TAILQ_FIRST(&broker.registry.in_order);

			request->resume.segment_id = segment->segment_id;
			request->resume.generation = segment->geometry.generation;
			request->resume.epoch = segment->epoch;
		}
		break;
	case SHMB_OP_OPEN_WRITER:
		request->open_writer.handle = 1 + (choice >> 5 & 3);
		request->open_writer.open_flags = choice >> 4 & 1;
		request->open_writer.kind = (uint8_t)wish->kind;
		request->open_writer.role = wish->kind == SHMB_KIND_BLOCK ? SHMB_ROLE_SHARER : SHMB_ROLE_WRITER;
		request->open_writer.segment_flags = wish->flags;
		request->open_writer.key_type = (uint8_t)wish->key_type;
		request->open_writer.capacity = wish->capacity;
		request->open_writer.payload_align = wish->payload_align;
		request->open_writer.payload_bytes = 16;
		request->open_writer.history = wish->history;
		request->open_writer.pins = wish->pins;
		request->open_writer.key_field = wish->key_field;
		request->open_writer.schema_hash = shmb_schema_hash(shape_schema, sizeof(shape_schema) - 1);
		request->head.tail_bytes = sizeof(shape_schema) - 1;
		strcpy(request->open_writer.name, name);
		strcpy(request->open_writer.type, "pair");
		memcpy(packet + length, shape_schema, sizeof(shape_schema) - 1);
		length += sizeof(shape_schema) - 1;
		break;
	case SHMB_OP_OPEN_READER:
		request->open_reader.handle = 1 + (choice >> 5 & 3);
		request->open_reader.open_flags = choice >> 4 & 1;
		request->open_reader.role = (uint8_t)(SHMB_ROLE_READER + how % 3);
		strcpy(request->open_reader.name, name);
		break;
	case SHMB_OP_CLOSE:
		request->close.handle = 1 + (how & 3);
		break;
	case SHMB_OP_INFO:
	case SHMB_OP_REMOVE:
		strcpy(request->name.name, name);
		break;
	case SHMB_OP_POLICY:
		request->policy.uid = UINT32_MAX;
		strcpy(request->policy.name, name);
		break;
	case SHMB_OP_GC:
		request->gc.flags = how & 1;
		break;
	default:
		break;
	}
	if ((how & 0x0c) == 0x0c)
		fuzz_patch(fuzz, packet, length);
	return length;
}

static void sim_send(struct fuzz *fuzz, struct sim *sim, unsigned index)
{
	static unsigned char packet[SHMB_MESSAGE_MAX];
	size_t length = request_make(fuzz, sim, packet, index);
	struct shmb_msg_head head;

	if (sim->fd < 0 || send(sim->fd, packet, length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;
	memcpy(&head, packet, sizeof(head));
	sim->serial++;
	/* Of several that lie in the queue at once only the order is known. */
	sim->asked = 0;
	loop_look();
}

static void sim_send_raw(struct fuzz *fuzz, const struct sim *sim)
{
	unsigned char bytes[256];
	size_t length = fuzz_take(fuzz, bytes, fuzz_u8(fuzz));

	if (sim->fd >= 0 && length > 0)
		send(sim->fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
	loop_look();
}

/* The data part that a writer was given, overwritten or cut. */
static void sim_spoil(struct fuzz *fuzz, const struct sim *sim)
{
	unsigned char bytes[32];
	uint16_t at = fuzz_u16(fuzz);
	size_t length = fuzz_take(fuzz, bytes, fuzz_u8(fuzz) & 31);

	if (sim->fd < 0 || sim->data_fd < 0)
		return;
	if (length > 0)
		FUZZ_HOLDS(pwrite(sim->data_fd, bytes, length, at % (4 * SHMB_PAGE)) == (ssize_t)length);
	else
		FUZZ_HOLDS(ftruncate(sim->data_fd, at % SHMB_PAGE) == 0);
}

/* This process, which is all clients, ends as the broker sees it. Its pidfd has said nothing, so the next connection finds it alive. */
static void process_end(void)
{
	struct peer *peer = LIST_FIRST(&broker.peers);
	struct process *process = peer != NULL ? peer->process : NULL;

	if (process == NULL || process->dead)
		return;
	process->dead = true;
	process->watch = loop_fd_free(process->watch);
	process_ref(process);
	liveness_process_died(process, &broker);
	process_unref(process);
	for (unsigned i = 0; i < PEERS; i++)
		sim_close(&sims[i]);
}

static void broker_again(void)
{
	broker_stop(&broker);
	FUZZ_HOLDS(LIST_EMPTY(&timers));
	for (unsigned i = 0; i < PEERS; i++)
		sim_close(&sims[i]);
	FUZZ_HOLDS(broker_start(&broker, &options) == 0);
}

static unsigned descriptors(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 64; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	static bool begun;
	struct fuzz fuzz = { bytes, length };
	unsigned before;

	if (!begun)
		begin();
	begun = true;
	before = descriptors();
	FUZZ_HOLDS(broker_start(&broker, &options) == 0);
	for (unsigned i = 0; i < STEPS && fuzz.left > 0; i++) {
		uint8_t op = fuzz_u8(&fuzz);
		struct sim *sim = &sims[op >> 6];

		switch (op & 15) {
		case 0:
			sim_close(sim);
			loop_look();
			break;
		case 1:
			sim_send_raw(&fuzz, sim);
			break;
		case 2:
			sim_spoil(&fuzz, sim);
			break;
		case 3:
			time_pass(UINT64_C(1) << (fuzz_u8(&fuzz) & 63));
			break;
		case 4:
			if ((op & 0x30) == 0x30)
				broker_again();
			else if ((op & 0x30) == 0x20)
				process_end();
			break;
		default:
			if (sim->fd < 0)
				sim_connect(sim);
			sim_send(&fuzz, sim, op >> 6);
			break;
		}
	}
	broker_stop(&broker);
	FUZZ_HOLDS(LIST_EMPTY(&timers));
	for (unsigned i = 0; i < PEERS; i++)
		sim_close(&sims[i]);
	clear();
	FUZZ_HOLDS(descriptors() == before);
	return 0;
}
