/* SPDX-License-Identifier: MIT */
/* What tools ask of the broker, and what it does about the ends of others (acts.h). */
#include "acts.h"

#include "../support/raw.h"
#include "proto/layout.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int visit_segment(const struct shmb_segment_info *info, void *user)
{
	(void)info;
	return count_visit(user);
}

/* ---- what tools ask ---- */

void prepare_segments(struct stage *stage)
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

int act_look(struct stage *stage, struct shmb *client)
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

/* From a container with pids of its own one can read. */
int act_unseen(struct stage *stage, struct shmb *client)
{
	struct shmb_ring_reader *reader = NULL;
	struct shmb *second = NULL;
	unsigned n = 0;
	int r = shmb_ring_reader_open(&reader, client, "keep/ring", NULL, SHMB_NO_WAIT);

	THEN(shmb_connect(&second, stage->b.socket));
	shmb_disconnect(second);
	shmb_ring_reader_close(reader);
	/* Where the close could not be sent: a connection that does not come back keeps its cells for as long as its process lives. */
	THEN(shmb_status(client, visit_status, &n));
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

int act_policy(struct stage *stage, struct shmb *client)
{
	unsigned n = 0;
	int r = shmb_policy(client, "ours/thing", NULL, visit_policy, &n);

	(void)stage;
	THEN(shmb_policy(client, "ours/thing", &(struct shmb_user){ .uid = 1, .gids = (uint32_t[]){ 1 }, .gid_count = 1 }, visit_policy,
			 &n));
	THEN(shmb_reload(client, visit_reload, &n));
	return r;
}

/* What takes long is put off, turn by turn. */
int act_turns(struct stage *stage, struct shmb *client)
{
	unsigned n = 0;
	int r = shmb_figures(client, "nobody/*", visit_figures, &n);

	(void)stage;
	THEN(shmb_reload(client, visit_reload, &n));
	return r;
}

/* A file behind the configuration's own. */
void prepare_drop_in(struct stage *stage)
{
	static const char text[] = "[segment more]\nlinger = 1s\n";
	char path[256];

	snprintf(path, sizeof(path), "%s.d", stage->b.config);
	mkdir(path, 0755);
	strcat(path, "/more.conf");
	file_write(path, text, strlen(text));
}

/* The signal; what came of it is told by nobody, so it is waited for. */
int act_hangup(struct stage *stage, struct shmb *client)
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

static void foreign_write(const char *name, uint32_t pid)
{
	uint32_t header[16] = { 0x53484D48, 1, 0, 0, pid };
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", scene_foreign_dir(), name);
	file_write(path, header, sizeof(header));
}

/* A file of safe-shm whose writer is gone. */
static const char *foreign_make(void)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/imu", scene_foreign_dir());
	foreign_write("imu", 0x7ffffff0);
	return path;
}

/* Those of a writer that lives: one of them was being removed by a daemon that took it for another. */
static void foreign_living(bool make)
{
	static const char *const names[] = { "camera", ".shmbroker-gone,lidar", "lidar" };
	char path[256];

	for (unsigned i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", scene_foreign_dir(), names[i]);
		unlink(path);
		if (make && i < 2)
			foreign_write(names[i], (uint32_t)getpid());
	}
}

int act_gc(struct stage *stage, struct shmb *client)
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

/* Whether anything was ever published decides. */
int act_never(struct stage *stage, struct shmb *client)
{
	struct shmb_ring_writer *writer = NULL;
	struct shmb_type *type = NULL;
	unsigned n = 0;
	int r = type_of(&type, BYTES);

	(void)stage;
	THEN(shmb_ring_writer_open(&writer, client, "never", type, &(struct shmb_options){ .deadline_ns = soon(500) }));
	shmb_ring_writer_close(writer);
	shmb_type_free(type);
	THEN(shmb_gc(client, SHMB_GC_TELL, visit_gc, &n));
	THEN(shmb_remove(client, "never"));
	return r;
}

/* Somebody has put other files in the place of ours: those are not removed. */
int act_swapped(struct stage *stage, struct shmb *client)
{
	struct shmb_value_writer *writer = NULL;
	struct shmb_type *type = NULL;
	char path[300];
	char other[320];
	char *card = NULL;
	size_t size;
	int r = type_of(&type, BYTES);

	THEN(shmb_value_writer_open(&writer, client, "swapped", type, &(struct shmb_options){ .deadline_ns = soon(500) }));
	shmb_value_writer_close(writer);
	shmb_type_free(type);
	snprintf(path, sizeof(path), "%s/swapped,1", stage->b.shm);
	snprintf(other, sizeof(other), "%s.new", path);
	if (r == 0)
		card = file_read(path, &size);
	if (card != NULL) {
		card[offsetof(struct shmb_shm_card, segment_id)] ^= 1;
		file_write(other, card, size);
		THEN_TRUE(rename(other, path) == 0);
		free(card);
	}
	/* What cannot be looked at is taken for what its name says. */
	if (r == 0) {
		r = shmb_remove(client, "swapped");
		if (r == -ESTALE)
			r = 0;
	}
	for (const char *const *part = (const char *const[]){ "", ",record", ",data", ",area0", ",area1", ",area2", ",area3", NULL };
	     *part != NULL; part++) {
		snprintf(path, sizeof(path), "%s/swapped,1%s", stage->b.shm, *part);
		unlink(path);
	}
	return r;
}

/* The daemon looks for such files itself when it has read its configuration. */
int act_strays(struct stage *stage, struct shmb *client)
{
	uint64_t deadline = deadline_in(200);
	const char *path = foreign_make();
	unsigned n = 0;
	int r = 0;

	(void)stage;
	foreign_living(true);
	THEN(shmb_reload(client, visit_reload, &n));
	while (r == 0 && access(path, F_OK) == 0)
		if (!suite_pause(deadline))
			break;
	THEN(shmb_gc(client, SHMB_GC_FOREIGN_FILES, visit_gc, &n));
	THEN_TRUE(access(path, F_OK) != 0);
	foreign_living(false);
	return r;
}

/* The socket is looked for where a user's own daemon has it. */
int act_found(struct stage *stage, struct shmb *client)
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

/* ---- the ends of others ---- */

/* Of an answer: 1 is a lock whose owner died. */
static int asked(struct answer answer)
{
	return answer.result > 0 ? 0 : answer.result;
}

/* Holds everything there is, and dies. */
int act_death(struct stage *stage, struct shmb *client)
{
	static const char *const names[] = { "dead/ring", "dead/frame", "dead/block" };
	struct shmb_ring_reader *reader = NULL;
	struct program worker;
	int r = 0;

	worker_start(&worker, &stage->b, "dying", false);
	for (unsigned i = 0; scene_holds[i] != NULL; i++)
		THEN(asked(worker_ask(&worker, "%s", scene_holds[i])));
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
int act_linger(struct stage *stage, struct shmb *client)
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
int act_silent(struct stage *stage, struct shmb *client)
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
int act_refused(struct stage *stage, struct shmb *client)
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
int act_users(struct stage *stage, struct shmb *client)
{
	struct shmb_ring_writer *writer = NULL;
	struct shmb_type *type = NULL;
	struct program worker;
	int r = type_of(&type, BYTES);

	THEN(shmb_ring_writer_open(&writer, client, "ours", type, &(struct shmb_options){ .deadline_ns = soon(500) }));
	worker_start(&worker, &stage->b, "other", false);
	worker_must(&worker, "become uid=65534 group=4242");
	THEN(worker_ask(&worker, "reader name=ours bytes=64").result);
	program_kill(&worker);
	shmb_ring_writer_close(writer);
	shmb_type_free(type);
	THEN(shmb_remove(client, "ours"));
	return r;
}

/* Somebody sends descriptors. */
int act_sent(struct stage *stage, struct shmb *client)
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
int act_restart(struct stage *stage, struct shmb *client)
{
	struct shmb_ring_writer *writer = NULL;
	struct shmb_ring_reader *reader = NULL;
	struct shmb_ring_reader *other = NULL;
	struct shmb_watch *watch = NULL;
	struct shmb_type *type = NULL;
	struct shmb_event event = { .kind = "" };
	unsigned n = 0;
	int r = type_of(&type, BYTES);

	THEN(shmb_watch_open(&watch, stage->b.socket, NULL));
	THEN(shmb_ring_writer_open(&writer, client, "again", type, &(struct shmb_options){ .deadline_ns = soon(500) }));
	THEN(shmb_ring_reader_open(&reader, client, "again", type, SHMB_NO_WAIT));
	broker_kill(&stage->b);
	/* While there is none: told at once, and waited for. */
	THEN_ERROR(ECONNREFUSED, shmb_status(client, visit_status, &n));
	THEN_ERROR(ECONNREFUSED, shmb_ring_reader_open(&other, client, "other", type, soon(1)));
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
