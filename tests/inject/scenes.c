/* SPDX-License-Identifier: MIT */
/* The scenes (scenes.h). A call that fails ends its scene: `r` keeps the first error, and what is open is closed. */
#include "scenes.h"

#include "../support/other.h"
#include "../support/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* The first error is kept. */
#define THEN(call)                                                                                                                         \
	do {                                                                                                                               \
		if (r == 0)                                                                                                                \
			r = (call);                                                                                                        \
	} while (0)
/* It must end with this; another error is kept, and 0 is told as -ENOTRECOVERABLE, which nothing returns. */
#define THEN_ERROR(error, call)                                                                                                            \
	do {                                                                                                                               \
		if (r == 0)                                                                                                                \
			r = expected(call, error);                                                                                         \
	} while (0)
#define THEN_TRUE(condition)                                                                                                               \
	do {                                                                                                                               \
		if (r == 0 && !(condition))                                                                                                \
			r = -ENOTRECOVERABLE;                                                                                              \
	} while (0)

const char scene_config[] = "[broker]\n"
			    "foreign = reap\n"
			    "foreign-dir = %s\n"
			    "[user root]\n"
			    "segments-max = 4096\n"
			    "[segment sealed*]\n"
			    "backing = sealed\n"
			    "[segment big*]\n"
			    "huge-pages = yes\n"
			    "prefault = yes\n"
			    "lock = yes\n"
			    "[segment brief*]\n"
			    "linger = 1ms\n"
			    "[segment silent*]\n"
			    "stale-time = 10ms\n"
			    "on-hang = replace\n"
			    "[segment ours*]\n"
			    "writers = root @root daemon\n"
			    "readers = @daemon nobody\n";

enum { BYTES = 64, BIG = 4 << 20 };

static char payload[BIG];
static char got[BIG];

const char *scene_foreign_dir(void)
{
	static char dir[128];

	snprintf(dir, sizeof(dir), "%s/shmb-test-%d-foreign", broker_tmp(), (int)suite_pid());
	return dir;
}

static int expected(int result, int error)
{
	if (result == -error)
		return 0;
	return result == 0 ? -ENOTRECOVERABLE : result;
}

static uint64_t soon(unsigned ms)
{
	return shmb_now_ns() + ms * UINT64_C(1000000);
}

static int type_of(struct shmb_type **out, size_t bytes)
{
	char schema[64];

	snprintf(schema, sizeof(schema), "uint64[%zu] words\n", bytes / 8);
	return shmb_type_parse(out, "pattern", schema);
}

static int count_visit(void *user)
{
	++*(unsigned *)user;
	return 0;
}

static int visit_segment(const struct shmb_segment_info *info, void *user)
{
	(void)info;
	return count_visit(user);
}

/* ---- a segment of each kind, from the making to the removal ---- */

static int ring_play(struct shmb *client, const char *name, size_t bytes, uint32_t capacity)
{
	struct shmb_ring_writer *writer = NULL;
	struct shmb_ring_reader *reader = NULL;
	struct shmb_type *type = NULL;
	struct shmb_segment_status status;
	int r = type_of(&type, bytes);

	THEN(shmb_ring_writer_open(&writer, client, name, type, &(struct shmb_options){ .capacity = capacity, .deadline_ns = soon(500) }));
	payload[0]++;
	THEN(shmb_ring_insert(writer, payload));
	THEN(shmb_ring_reader_open(&reader, client, name, type, SHMB_NO_WAIT));
	THEN(shmb_ring_latest(reader, got, NULL));
	THEN_TRUE(memcmp(got, payload, bytes) == 0);
	THEN(shmb_ring_status(reader, &status));
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	shmb_type_free(type);
	THEN(shmb_remove(client, name));
	return r;
}

static int act_nothing(struct stage *stage, struct shmb *client)
{
	(void)stage;
	(void)client;
	return 0;
}

static int act_ring(struct stage *stage, struct shmb *client)
{
	(void)stage;
	return ring_play(client, "ring", BYTES, 8);
}

static int act_sealed(struct stage *stage, struct shmb *client)
{
	(void)stage;
	return ring_play(client, "sealed/ring", BYTES, 8);
}

static int act_big(struct stage *stage, struct shmb *client)
{
	(void)stage;
	return ring_play(client, "big", BIG / 2, 2);
}

static int act_large(struct stage *stage, struct shmb *client)
{
	(void)stage;
	return ring_play(client, "large", BIG, 4);
}

static int act_large_sealed(struct stage *stage, struct shmb *client)
{
	(void)stage;
	return ring_play(client, "sealed/large", BIG, 4);
}

static int act_value(struct stage *stage, struct shmb *client)
{
	struct shmb_value_writer *writer = NULL;
	struct shmb_value_reader *reader = NULL;
	struct shmb_value_reader *observer = NULL;
	struct shmb_type *type = NULL;
	int r = shmb_type_opaque(&type, BYTES);

	(void)stage;
	THEN(shmb_set_mapping(client, SHMB_PREFAULT | SHMB_LOCK));
	THEN(shmb_value_writer_open(&writer, client, "value", type, &(struct shmb_options){ .stamped = 1 }));
	THEN(shmb_value_store(writer, payload));
	THEN(shmb_value_reader_open(&reader, client, "value", NULL, SHMB_NO_WAIT));
	THEN(shmb_value_load(reader, got, NULL));
	THEN(shmb_value_observe(&observer, client, "value"));
	THEN(shmb_value_load(observer, got, NULL));
	shmb_value_reader_close(observer);
	shmb_value_reader_close(reader);
	shmb_value_writer_close(writer);
	shmb_type_free(type);
	THEN(shmb_remove(client, "value"));
	return r;
}

static int frame_play(struct shmb *client, const char *name)
{
	struct shmb_frame_writer *writer = NULL;
	struct shmb_frame_reader *reader = NULL;
	struct shmb_type *type = NULL;
	struct shmb_image_layout layout;
	struct shmb_frame frame;
	size_t capacity;
	void *loan;
	int r = shmb_image_layout(&layout, 32, 16, 0, SHMB_IMAGE_RGB8);

	THEN(shmb_image_type(&type, &layout));
	THEN(shmb_frame_writer_open(&writer, client, name, type, &(struct shmb_frame_options){ .deadline_ns = soon(500) }));
	THEN(shmb_frame_loan(writer, &loan, &capacity));
	if (r == 0)
		shmb_image_init(loan, &layout, 1, 1);
	THEN(shmb_frame_commit(writer, layout.payload_bytes));
	THEN(shmb_frame_reader_open(&reader, client, name, type, SHMB_NO_WAIT));
	THEN(shmb_frame_pin_newest(reader, &frame));
	THEN(shmb_image_check(frame.payload, frame.length, &layout));
	THEN(shmb_frame_release(reader, &frame));
	shmb_frame_reader_close(reader);
	shmb_frame_writer_close(writer);
	shmb_type_free(type);
	THEN(shmb_remove(client, name));
	return r;
}

static int act_frame(struct stage *stage, struct shmb *client)
{
	(void)stage;
	return frame_play(client, "frame");
}

static int act_frame_sealed(struct stage *stage, struct shmb *client)
{
	(void)stage;
	return frame_play(client, "sealed/frame");
}

static int act_queue(struct stage *stage, struct shmb *client)
{
	struct shmb_queue_producer *producer = NULL;
	struct shmb_queue_consumer *consumer = NULL;
	struct shmb_type *type = NULL;
	int r = type_of(&type, BYTES);

	(void)stage;
	THEN(shmb_queue_producer_open(&producer, client, "queue", type, &(struct shmb_options){ .capacity = 2, .deadline_ns = soon(500) }));
	THEN(shmb_queue_push(producer, payload));
	THEN(shmb_queue_consumer_open(&consumer, client, "queue", type, SHMB_NO_WAIT));
	THEN(shmb_queue_pop(consumer, got, NULL));
	THEN_ERROR(ETIMEDOUT, shmb_queue_pop_until(consumer, got, NULL, soon(1)));
	for (int i = 0; i < 2; i++)
		THEN(shmb_queue_push_until(producer, payload, soon(100)));
	THEN_ERROR(ETIMEDOUT, shmb_queue_push_until(producer, payload, soon(1)));
	for (int i = 0; i < 2; i++)
		THEN(shmb_queue_pop(consumer, got, NULL));
	shmb_queue_consumer_close(consumer);
	shmb_queue_producer_close(producer);
	shmb_type_free(type);
	THEN(shmb_remove(client, "queue"));
	return r;
}

static int act_block(struct stage *stage, struct shmb *client)
{
	struct shmb_block *block = NULL;
	struct shmb_type *type = NULL;
	int r = type_of(&type, BYTES);

	(void)stage;
	THEN(shmb_block_open(&block, client, "block", type));
	THEN(shmb_block_lock(block, soon(100)));
	THEN(shmb_block_unlock(block));
	shmb_block_close(block);
	shmb_type_free(type);
	THEN(shmb_remove(client, "block"));
	return r;
}

/* ---- what tools ask ---- */

static void prepare_segments(struct stage *stage)
{
	ring_writer(stage->other, "keep/ring", BYTES, 8);
	ring_reader(stage->other, "keep/ring");
	value_writer(stage->other, "keep/value", BYTES);
}

static int visit_info(const struct shmb_segment_info *info, const char *schema, const struct shmb_reader_info *readers, void *user)
{
	(void)info;
	(void)schema;
	(void)readers;
	return count_visit(user);
}

static int visit_status(const struct shmb_broker_status *status, void *user)
{
	(void)status;
	return count_visit(user);
}

static int visit_metrics(const struct shmb_metrics *metrics, void *user)
{
	(void)metrics;
	return count_visit(user);
}

static int visit_client(const struct shmb_client_info *info, void *user)
{
	(void)info;
	return count_visit(user);
}

static int visit_figures(const struct shmb_figures *figures, void *user)
{
	(void)figures;
	return count_visit(user);
}

static int act_look(struct stage *stage, struct shmb *client)
{
	unsigned n = 0;
	int r = shmb_list(client, visit_segment, &n);

	(void)stage;
	THEN_TRUE(n == 2);
	THEN(shmb_info(client, "keep/ring", visit_info, &n));
	THEN(shmb_status(client, visit_status, &n));
	THEN(shmb_metrics(client, visit_metrics, &n));
	THEN(shmb_clients(client, visit_client, &n));
	THEN(shmb_figures(client, "keep/*", visit_figures, &n));
	return r;
}

static int visit_policy(const struct shmb_policy_info *info, void *user)
{
	(void)info;
	return count_visit(user);
}

static int visit_reload(const struct shmb_reload_result *result, void *user)
{
	(void)result;
	return count_visit(user);
}

static int act_policy(struct stage *stage, struct shmb *client)
{
	unsigned n = 0;
	int r = shmb_policy(client, "ours/thing", NULL, visit_policy, &n);

	(void)stage;
	THEN(shmb_policy(client, "ours/thing", &(struct shmb_user){ .uid = 1, .gids = (uint32_t[]){ 1 }, .gid_count = 1 }, visit_policy,
			 &n));
	THEN(shmb_reload(client, visit_reload, &n));
	return r;
}

/* A file behind the configuration's own. */
static void prepare_drop_in(struct stage *stage)
{
	static const char text[] = "[segment more]\nlinger = 1s\n";
	char path[256];

	snprintf(path, sizeof(path), "%s.d", stage->b.config);
	mkdir(path, 0755);
	strcat(path, "/more.conf");
	file_write(path, text, strlen(text));
}

/* The signal; what came of it is told by nobody, so it is waited for. */
static int act_hangup(struct stage *stage, struct shmb *client)
{
	unsigned n = 0;

	kill(stage->b.daemon.pid, SIGHUP);
	sleep_ms(2);
	return shmb_status(client, visit_status, &n);
}

static int visit_gc(const struct shmb_gc_info *info, void *user)
{
	(void)info;
	return count_visit(user);
}

/* A file of safe-shm whose writer is gone. */
static const char *foreign_make(void)
{
	static char path[256];
	uint32_t header[16] = { 0x53484D48, 1, 0, 0, 0x7ffffff0 };

	snprintf(path, sizeof(path), "%s/imu", scene_foreign_dir());
	file_write(path, header, sizeof(header));
	return path;
}

static int act_gc(struct stage *stage, struct shmb *client)
{
	struct shmb_ring_writer *writer = NULL;
	struct shmb_type *type = NULL;
	unsigned n = 0;
	int r = type_of(&type, BYTES);

	(void)stage;
	foreign_make();
	THEN(shmb_ring_writer_open(&writer, client, "garbage", type, &(struct shmb_options){ .deadline_ns = soon(500) }));
	shmb_ring_writer_close(writer);
	shmb_type_free(type);
	THEN(shmb_gc(client, SHMB_GC_TELL, visit_gc, &n));
	THEN(shmb_gc(client, 0, visit_gc, &n));
	THEN(shmb_gc(client, SHMB_GC_FOREIGN_FILES | SHMB_GC_TELL, visit_gc, &n));
	THEN(shmb_gc(client, SHMB_GC_FOREIGN_FILES, visit_gc, &n));
	return r;
}

/* The daemon looks for such files itself when it has read its configuration. */
static int act_strays(struct stage *stage, struct shmb *client)
{
	uint64_t deadline = deadline_in(200);
	const char *path = foreign_make();
	unsigned n = 0;
	int r = 0;

	(void)stage;
	THEN(shmb_reload(client, visit_reload, &n));
	while (r == 0 && access(path, F_OK) == 0)
		if (!suite_pause(deadline))
			break;
	THEN(shmb_gc(client, SHMB_GC_FOREIGN_FILES, visit_gc, &n));
	THEN_TRUE(access(path, F_OK) != 0);
	return r;
}

/* The socket is looked for where a user's own daemon has it. */
static int act_found(struct stage *stage, struct shmb *client)
{
	struct shmb *found = NULL;
	char path[256];
	unsigned n = 0;
	int r;

	(void)client;
	snprintf(path, sizeof(path), "%s/xdg", stage->b.dir);
	mkdir(path, 0700);
	setenv("XDG_RUNTIME_DIR", path, 1);
	unsetenv("SHMBROKER_SOCKET");
	strcat(path, "/shmbroker");
	mkdir(path, 0700);
	strcat(path, "/control.sock");
	if (symlink(stage->b.socket, path) < 0 && errno != EEXIST)
		return -errno;
	r = shmb_connect(&found, NULL);
	THEN(shmb_status(found, visit_status, &n));
	shmb_disconnect(found);
	return r;
}

/* ---- waits ---- */

static int act_wait(struct stage *stage, struct shmb *client)
{
	struct shmb_ring_writer *writer = NULL;
	struct shmb_ring_reader *reader = NULL;
	struct shmb_value_reader *nobody = NULL;
	struct shmb_type *type = NULL;
	int r = type_of(&type, BYTES);

	(void)stage;
	THEN_ERROR(ENOENT, shmb_value_reader_open(&nobody, client, "missing", NULL, soon(1)));
	THEN(shmb_ring_writer_open(&writer, client, "wait", type, &(struct shmb_options){ .deadline_ns = soon(500) }));
	THEN(shmb_ring_reader_open(&reader, client, "wait", type, soon(100)));
	THEN_ERROR(ETIMEDOUT, shmb_ring_wait(reader, soon(1)));
	THEN(shmb_ring_insert(writer, payload));
	THEN(shmb_ring_wait(reader, soon(100)));
	THEN(shmb_ring_latest(reader, got, NULL));
	if (r == 0) {
		struct shmb_waitable *list[] = { shmb_ring_waitable(reader) };
		size_t which;

		THEN(shmb_cancel(list[0]));
		THEN_ERROR(ECANCELED, shmb_wait_any(list, 1, SHMB_FOREVER, &which));
		THEN_ERROR(ETIMEDOUT, shmb_wait_any(list, 1, soon(1), &which));
	}
	shmb_ring_writer_close(writer);
	THEN_ERROR(EPIPE, shmb_ring_wait(reader, soon(1000)));
	shmb_ring_reader_close(reader);
	shmb_type_free(type);
	THEN(shmb_remove(client, "wait"));
	return r;
}

static int act_waitset(struct stage *stage, struct shmb *client)
{
	struct shmb_ring_writer *writer = NULL;
	struct shmb_ring_reader *reader = NULL;
	struct shmb_waitset *set = NULL;
	struct shmb_type *type = NULL;
	bool is_in = false;
	int r = type_of(&type, BYTES);

	(void)stage;
	THEN(shmb_ring_writer_open(&writer, client, "set", type, &(struct shmb_options){ .deadline_ns = soon(500) }));
	THEN(shmb_ring_reader_open(&reader, client, "set", type, SHMB_NO_WAIT));
	THEN(shmb_waitset_new(&set, client));
	if (r == 0) {
		r = shmb_waitset_add(set, shmb_ring_waitable(reader), NULL);
		is_in = r == 0;
	}
	THEN(shmb_ring_insert(writer, payload));
	if (r == 0) {
		struct pollfd ready = { .fd = shmb_waitset_fd(set), .events = POLLIN };
		uint64_t deadline = deadline_in(2000);
		void *user;
		int next = -ENODATA;

		while (next == -ENODATA && now_ns() < deadline) {
			poll(&ready, 1, 1000);
			next = shmb_waitset_next(set, &user);
		}
		THEN(next);
		THEN(shmb_ring_latest(reader, got, NULL));
		while ((next = shmb_waitset_next(set, &user)) == 0)
			;
		THEN_ERROR(ENODATA, next);
	}
	if (is_in)
		shmb_waitset_remove(set, shmb_ring_waitable(reader));
	shmb_waitset_free(set);
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	shmb_type_free(type);
	THEN(shmb_remove(client, "set"));
	return r;
}

static int act_loader(struct stage *stage, struct shmb *client)
{
	struct shmb_value_writer *writer = NULL;
	struct shmb_value_reader *reader = NULL;
	struct shmb_loader *loader = NULL;
	struct shmb_type *type = NULL;
	const void *snapshot;
	int r = type_of(&type, BYTES);

	(void)stage;
	THEN(shmb_value_writer_open(&writer, client, "loader", type, &(struct shmb_options){ .deadline_ns = soon(500) }));
	THEN(shmb_value_reader_open(&reader, client, "loader", type, SHMB_NO_WAIT));
	THEN(shmb_value_store(writer, payload));
	THEN(shmb_loader_open_value(&loader, reader));
	THEN(shmb_loader_snapshot(loader, &snapshot, NULL));
	THEN(shmb_value_store(writer, payload));
	THEN(shmb_loader_wait(loader, soon(2000)));
	THEN(shmb_loader_snapshot(loader, &snapshot, NULL));
	shmb_loader_close(loader);
	shmb_value_reader_close(reader);
	shmb_value_writer_close(writer);
	shmb_type_free(type);
	THEN(shmb_remove(client, "loader"));
	return r;
}

static int act_watch(struct stage *stage, struct shmb *client)
{
	struct shmb_watch *watch = NULL;
	struct shmb_value_writer *writer = NULL;
	struct shmb_type *type = NULL;
	struct shmb_event event = { .kind = "" };
	int r = type_of(&type, BYTES);

	THEN(shmb_watch_open(&watch, stage->b.socket, "seen*"));
	THEN(shmb_value_writer_open(&writer, client, "seen", type, &(struct shmb_options){ .deadline_ns = soon(500) }));
	while (r == 0 && strcmp(event.kind, "writer-up") != 0 && strcmp(event.kind, "lost") != 0 && strcmp(event.kind, "reconnected") != 0)
		r = shmb_watch_next(watch, &event, soon(2000));
	shmb_value_writer_close(writer);
	shmb_watch_close(watch);
	shmb_type_free(type);
	THEN(shmb_remove(client, "seen"));
	return r;
}

static int act_generation(struct stage *stage, struct shmb *client)
{
	struct shmb_ring_writer *writer = NULL;
	struct shmb_ring_reader *reader = NULL;
	struct shmb_type *type = NULL;
	int r = type_of(&type, BYTES);

	(void)stage;
	THEN(shmb_ring_writer_open(&writer, client, "anew", type, &(struct shmb_options){ .capacity = 8, .deadline_ns = soon(500) }));
	THEN(shmb_ring_insert(writer, payload));
	THEN(shmb_ring_reader_open(&reader, client, "anew", type, SHMB_NO_WAIT));
	THEN(shmb_ring_latest(reader, got, NULL));
	shmb_ring_writer_close(writer);
	writer = NULL;
	THEN(shmb_ring_writer_open(&writer, client, "anew", type, &(struct shmb_options){ .capacity = 16, .deadline_ns = soon(500) }));
	THEN(shmb_ring_insert(writer, payload));
	/* A generation that was made and could not be handed out is passed as well. */
	for (int i = 0, next = -ENODATA; r == 0 && i < 3 && next == -ENODATA; i++) {
		THEN(shmb_follow(shmb_ring_waitable(reader)));
		next = shmb_ring_latest(reader, got, NULL);
		if (i == 2 || next != -ENODATA)
			THEN(next);
	}
	shmb_ring_writer_close(writer);
	writer = NULL;
	THEN(shmb_ring_writer_open(&writer, client, "anew", type, &(struct shmb_options){ .capacity = 8, .deadline_ns = soon(500) }));
	/* The wait goes on by itself; what it tells before is the closing of the writer. */
	for (int told = -EPIPE; r == 0 && told == -EPIPE;) {
		told = shmb_ring_wait(reader, soon(1000));
		if (told != -EPIPE)
			r = expected(told, EREMCHG);
	}
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	shmb_type_free(type);
	THEN(shmb_remove(client, "anew"));
	return r;
}

/* ---- the ends of others ---- */

/* Of an answer: 1 is a lock whose owner died. */
static int asked(struct answer answer)
{
	return answer.result > 0 ? 0 : answer.result;
}

/* Holds everything there is, and dies. */
static int act_death(struct stage *stage, struct shmb *client)
{
	static const char *const opens[] = { "writer name=dead/ring bytes=64 capacity=8 salt=1",
					     "write n=3",
					     "reader name=dead/ring bytes=64",
					     "frame-writer name=dead/frame bytes=64 salt=1",
					     "frame-write n=1",
					     "frame-reader name=dead/frame",
					     "frame-pin",
					     "block name=dead/block",
					     "lock deadline=forever" };
	static const char *const names[] = { "dead/ring", "dead/frame", "dead/block" };
	struct shmb_ring_reader *reader = NULL;
	struct program worker;
	int r = 0;

	worker_start(&worker, &stage->b, "dying", false);
	for (unsigned i = 0; i < sizeof(opens) / sizeof(opens[0]); i++)
		THEN(asked(worker_ask(&worker, "%s", opens[i])));
	THEN(shmb_ring_reader_open(&reader, client, "dead/ring", NULL, SHMB_NO_WAIT));
	THEN(shmb_ring_latest(reader, got, NULL));
	program_kill(&worker);
	THEN_ERROR(EOWNERDEAD, shmb_ring_wait(reader, soon(2000)));
	shmb_ring_reader_close(reader);
	for (unsigned i = 0; i < 3; i++)
		THEN(shmb_remove(client, names[i]));
	return r;
}

/* Nobody writes it any more: it goes by itself. */
static int act_linger(struct stage *stage, struct shmb *client)
{
	uint64_t deadline = deadline_in(3000);
	struct shmb_value_writer *writer = NULL;
	struct shmb_value_reader *reader = NULL;
	struct shmb_type *type = NULL;
	int r = type_of(&type, BYTES);

	(void)stage;
	THEN(shmb_value_writer_open(&writer, client, "brief", type, &(struct shmb_options){ .deadline_ns = soon(500) }));
	THEN(shmb_value_store(writer, payload));
	shmb_value_writer_close(writer);
	while (r == 0) {
		r = shmb_value_reader_open(&reader, client, "brief", NULL, SHMB_NO_WAIT);
		reader = shmb_value_reader_close(reader);
		if (r == 0 && !suite_pause(deadline))
			r = -ENOTRECOVERABLE;
	}
	shmb_type_free(type);
	return expected(r, ENOENT);
}

/* Its writer is silent and replaced. */
static int act_silent(struct stage *stage, struct shmb *client)
{
	struct shmb_value_writer *writer = NULL;
	struct shmb_type *type = NULL;
	struct program worker;
	int r = type_of(&type, BYTES);

	worker_start(&worker, &stage->b, "silent", false);
	THEN(worker_ask(&worker, "writer name=silent kind=value bytes=64 salt=1").result);
	THEN(worker_ask(&worker, "write n=1").result);
	program_signal(&worker, SIGSTOP);
	THEN(shmb_value_writer_open(&writer, client, "silent", type, &(struct shmb_options){ .deadline_ns = soon(3000) }));
	shmb_value_writer_close(writer);
	shmb_type_free(type);
	program_kill(&worker);
	THEN(shmb_remove(client, "silent"));
	return r;
}

/* The lease is waited for, and refused; so is what is not there and what one may not. */
static int act_refused(struct stage *stage, struct shmb *client)
{
	struct shmb_ring_writer *writer = NULL;
	struct shmb_ring_reader *reader = NULL;
	struct shmb_value_reader *value = NULL;
	struct shmb_type *type = NULL;
	unsigned n = 0;
	int r = type_of(&type, BYTES);

	(void)stage;
	THEN_ERROR(ENOENT, shmb_ring_reader_open(&reader, client, "missing", NULL, SHMB_NO_WAIT));
	THEN_ERROR(ENOENT, shmb_info(client, "missing", visit_info, &n));
	THEN_ERROR(EMEDIUMTYPE, shmb_value_reader_open(&value, client, "keep/ring", NULL, SHMB_NO_WAIT));
	THEN_ERROR(EBUSY, shmb_ring_writer_open(&writer, client, "keep/ring", type, &(struct shmb_options){ .capacity = 8 }));
	THEN_ERROR(EBUSY, shmb_ring_writer_open(&writer, client, "keep/ring", type,
						&(struct shmb_options){ .capacity = 8, .deadline_ns = soon(1) }));
	THEN_ERROR(EBUSY, shmb_remove(client, "keep/ring"));
	shmb_ring_writer_close(writer);
	shmb_ring_reader_close(reader);
	shmb_value_reader_close(value);
	shmb_type_free(type);
	return r;
}

/* Another user, whose groups are asked for. */
static int act_users(struct stage *stage, struct shmb *client)
{
	struct shmb_ring_writer *writer = NULL;
	struct shmb_type *type = NULL;
	struct program worker;
	int r = type_of(&type, BYTES);

	THEN(shmb_ring_writer_open(&writer, client, "ours", type, &(struct shmb_options){ .deadline_ns = soon(500) }));
	worker_start(&worker, &stage->b, "other", false);
	worker_must(&worker, "become uid=65534");
	THEN(worker_ask(&worker, "reader name=ours bytes=64").result);
	program_kill(&worker);
	shmb_ring_writer_close(writer);
	shmb_type_free(type);
	THEN(shmb_remove(client, "ours"));
	return r;
}

/* Somebody sends descriptors. */
static int act_sent(struct stage *stage, struct shmb *client)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct shmb_msg_head request = { .opcode = SHMB_OP_STATUS };
	struct iovec iov = { .iov_base = &request, .iov_len = sizeof(request) };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	struct raw_answer answer;
	struct raw raw = { .fd = -1 };
	unsigned n = 0;
	int r;

	if (raw_start(&raw, stage->b.socket) == 0) {
		int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

		control.head = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.head), &null, sizeof(null));
		if (sendmsg(raw.fd, &message, MSG_NOSIGNAL) >= 0) {
			r = raw_receive(&raw, &answer, 500);
			if (r > 0)
				raw_answer_deinit(&answer);
		}
		close(null);
	}
	raw_close(&raw);
	r = shmb_status(client, visit_status, &n);
	return r;
}

/* The daemon is killed and comes again, while everything is open. */
static int act_restart(struct stage *stage, struct shmb *client)
{
	struct shmb_ring_writer *writer = NULL;
	struct shmb_ring_reader *reader = NULL;
	struct shmb_watch *watch = NULL;
	struct shmb_type *type = NULL;
	struct shmb_event event = { .kind = "" };
	unsigned n = 0;
	int r = type_of(&type, BYTES);

	THEN(shmb_watch_open(&watch, stage->b.socket, NULL));
	THEN(shmb_ring_writer_open(&writer, client, "again", type, &(struct shmb_options){ .deadline_ns = soon(500) }));
	THEN(shmb_ring_reader_open(&reader, client, "again", type, SHMB_NO_WAIT));
	broker_kill(&stage->b);
	broker_restart(&stage->b);
	THEN_ERROR(ETIMEDOUT, shmb_ring_wait(reader, soon(1)));
	THEN(shmb_status(client, visit_status, &n));
	THEN(shmb_ring_insert(writer, payload));
	THEN(shmb_ring_wait(reader, soon(100)));
	while (r == 0 && strcmp(event.kind, "reconnected") != 0)
		r = shmb_watch_next(watch, &event, soon(3000));
	/* A connection that does not come back leaves its event page there for as long as its process lives. */
	if (r < 0 && watch != NULL)
		shmb_watch_next(watch, &event, soon(1000));
	shmb_watch_close(watch);
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	shmb_type_free(type);
	THEN(shmb_remove(client, "again"));
	return r;
}

const struct scene scenes[] = {
	{ .name = "connect", .act = act_nothing },
	{ .name = "ring", .act = act_ring },
	{ .name = "value", .act = act_value },
	{ .name = "frame", .act = act_frame },
	{ .name = "queue", .act = act_queue },
	{ .name = "block", .act = act_block },
	{ .name = "sealed", .act = act_sealed },
	{ .name = "sealed-frame", .act = act_frame_sealed },
	{ .name = "huge-locked", .act = act_big },
	{ .name = "large", .act = act_large },
	{ .name = "large-first", .act = act_large, .fresh = true },
	{ .name = "large-sealed", .act = act_large_sealed },
	{ .name = "large-sealed-first", .act = act_large_sealed, .fresh = true },
	{ .name = "look", .act = act_look, .prepare = prepare_segments },
	{ .name = "refused", .act = act_refused, .prepare = prepare_segments },
	{ .name = "policy", .act = act_policy, .prepare = prepare_drop_in, .also = EINVAL },
	{ .name = "hangup", .act = act_hangup, .only_daemon = true },
	{ .name = "found", .act = act_found, .also = ENOENT },
	{ .name = "gc", .act = act_gc },
	{ .name = "strays", .act = act_strays, .only_daemon = true },
	{ .name = "wait", .act = act_wait },
	{ .name = "waitset", .act = act_waitset },
	{ .name = "loader", .act = act_loader },
	{ .name = "watch", .act = act_watch },
	{ .name = "generation", .act = act_generation },
	{ .name = "death", .act = act_death, .with_others = true },
	{ .name = "linger", .act = act_linger, .only_daemon = true },
	{ .name = "silent", .act = act_silent, .also = EBUSY, .only_daemon = true },
	{ .name = "users", .act = act_users, .only_daemon = true, .as_root = true },
	{ .name = "descriptors-sent-first", .act = act_sent, .fresh = true, .only_daemon = true, .old_kernel = true },
	{ .name = "descriptors-sent", .act = act_sent, .only_daemon = true, .old_kernel = true },
	{ .name = "ring-old-kernel", .act = act_ring, .old_kernel = true },
	{ .name = "wait-old-kernel", .act = act_wait, .old_kernel = true },
	{ .name = "restart", .act = act_restart, .only_library = true },
};

const unsigned scene_count = sizeof(scenes) / sizeof(scenes[0]);

int scene_play(const struct scene *scene, struct stage *stage)
{
	struct shmb *client = NULL;
	int r = shmb_connect(&client, stage->b.socket);

	THEN(scene->act(stage, client));
	shmb_disconnect(client);
	return r;
}
