/* SPDX-License-Identifier: MIT */
/* What tools ask of the broker, and what it does about the ends of others (acts.h). */
#include "acts.h"

#include "../support/raw.h"

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

/* A file of safe-shm whose writer is gone. */
static const char *foreign_make(void)
{
	static char path[256];
	uint32_t header[16] = { 0x53484D48, 1, 0, 0, 0x7ffffff0 };

	snprintf(path, sizeof(path), "%s/imu", scene_foreign_dir());
	file_write(path, header, sizeof(header));
	return path;
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

/* The daemon looks for such files itself when it has read its configuration. */
int act_strays(struct stage *stage, struct shmb *client)
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
	worker_must(&worker, "become uid=65534");
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
