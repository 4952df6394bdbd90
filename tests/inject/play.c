/* SPDX-License-Identifier: MIT */
/* Plays the scenes (play.h). */
#include "play.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct inject_page *library; /* of this process */
static struct inject_page *daemon_one;
static int daemon_fd;

void library_hook(void)
{
	library = mmap(NULL, sizeof(*library), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (library == MAP_FAILED || inject_hook(library, "libshmbroker.so") == 0)
		abort();
}

/* ---- pages ---- */

struct inject_page *daemon_page(void)
{
	static char path[64];

	if (daemon_one != NULL)
		return daemon_one;
	daemon_fd = memfd_create("inject", 0);
	ck_assert(daemon_fd >= 0 && ftruncate(daemon_fd, sizeof(*daemon_one)) == 0);
	daemon_one = mmap(NULL, sizeof(*daemon_one), PROT_READ | PROT_WRITE, MAP_SHARED, daemon_fd, 0);
	ck_assert(daemon_one != MAP_FAILED);
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), daemon_fd);
	ck_assert(fcntl(daemon_fd, F_SETFD, FD_CLOEXEC) == 0);
	setenv("SHMB_INJECT", path, 1);
	setenv("LD_PRELOAD", SHMB_BUILT_INJECT, 1);
	suite_sanitizer_option("verify_asan_link_order=0"); /* nothing that it takes over is defined by what is loaded before it */
	return daemon_one;
}

void daemon_page_drop(void)
{
	munmap(daemon_one, sizeof(*daemon_one));
	daemon_one = NULL;
	close(daemon_fd);
}

void page_count(struct inject_page *page)
{
	atomic_store(&page->calls, 0);
	atomic_store(&page->mode, INJECT_COUNT);
}

/* Armed, but not yet. */
static void page_hold(struct inject_page *page)
{
	atomic_store(&page->mode, INJECT_OFF);
}

static void page_release(struct inject_page *page)
{
	atomic_store(&page->mode, page->armed);
}

void page_disarm(struct inject_page *page)
{
	atomic_store(&page->mode, INJECT_OFF);
}

/* What the daemon does when its client has gone belongs to the play. */
static void page_settle(struct inject_page *page)
{
	if (page == daemon_one)
		sleep_ms(2);
	page_disarm(page);
}

/* ---- what must hold ---- */

/* What there is while nobody does anything. */
struct rest {
	int fds, maps, memory;
	int own_fds, own_maps, own_memory;
	char *files;
};

static int maps_of(pid_t pid)
{
	char *maps = proc_read(pid, "maps");
	unsigned count = maps != NULL ? text_count(maps, "/dev/shm/shmb-test-") + text_count(maps, "memfd:shmbroker") : 0;

	free(maps);
	return (int)count;
}

/* Names in the directory; event pages, which have another name each time, without it. */
static char *files_of(struct stage *stage)
{
	char *names = dir_names(stage->b.shm);
	char *rest = names;
	char *out = calloc(1, strlen(names) + 1);
	char *name;

	while ((name = strsep(&rest, "\n")) != NULL && *name != '\0')
		strcat(strcat(out, strncmp(name, ",event,", 7) == 0 ? ",event" : name), "\n");
	free(names);
	return out;
}

static void rest_take(struct rest *rest, struct stage *stage)
{
	*rest = (struct rest){ .fds = fds_count(stage->b.daemon.pid),
			       .maps = maps_of(stage->b.daemon.pid),
			       .memory = atomic_load(&daemon_one->memory),
			       .own_fds = fds_count(getpid()),
			       .own_maps = maps_of(getpid()),
			       .own_memory = atomic_load(&library->memory),
			       .files = files_of(stage) };
}

static bool rest_equal(const struct rest *a, const struct rest *b)
{
	/* Fewer descriptors of the daemon: what it does without from then on. */
	return a->fds >= b->fds && a->maps == b->maps && a->memory == b->memory && a->own_fds == b->own_fds && a->own_maps == b->own_maps &&
	       a->own_memory == b->own_memory && strcmp(a->files, b->files) == 0;
}

static void rest_drop(struct rest *rest)
{
	free(rest->files);
	rest->files = NULL;
}

/* Until it stays the same: what has been closed or freed last may be on its way. */
static void rest_settle(struct rest *rest, struct stage *stage)
{
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);

	rest_take(rest, stage);
	for (unsigned same = 0; same < 10;) {
		struct rest now;

		sleep_ms(5);
		rest_take(&now, stage);
		same = rest_equal(rest, &now) && rest_equal(&now, rest) ? same + 1 : 0;
		rest_drop(rest);
		*rest = now;
		ck_assert_uint_lt(now_ns(), deadline);
	}
}

/* Waits until it is as before; tells what is not. */
static bool rest_again(const struct rest *before, struct stage *stage, char *why, size_t size)
{
	uint64_t deadline = deadline_in(5000);
	struct rest now;

	for (;;) {
		bool same;

		rest_take(&now, stage);
		same = rest_equal(before, &now);
		if (same || !suite_pause(deadline)) {
			if (!same)
				snprintf(why, size,
					 "left: daemon fds %+d, mappings %+d, memory %+d; client fds %+d, mappings %+d, memory %+d; files "
					 "%.300s",
					 now.fds - before->fds, now.maps - before->maps, now.memory - before->memory,
					 now.own_fds - before->own_fds, now.own_maps - before->own_maps,
					 now.own_memory - before->own_memory, strcmp(before->files, now.files) == 0 ? "same" : now.files);
			rest_drop(&now);
			return same;
		}
		rest_drop(&now);
	}
}

/* Errors that the headers name for what can go wrong outside the caller. */
static bool is_documented(int r, const struct inject_page *page)
{
	static const int named[] = { 0,		 ENOMEM,    EMFILE, ENOSPC, EUSERS,  EAGAIN, ECONNREFUSED,
				     ECONNRESET, ETIMEDOUT, EACCES, EPERM,  EBADMSG, EIO };

	for (unsigned i = 0; i < sizeof(named) / sizeof(named[0]); i++)
		if (r == -named[i])
			return true;
	/* A writer that lost the broker, and could not come back at once, has let go of it. */
	if (r == -EPIPE && page == library)
		return true;
	/* No socket; somebody's file in the place of ours. */
	for (unsigned i = 0; i < page->fault_count; i++) {
		const char *call = inject_call_name(page->faults[i].call);

		if (r == -page->faults[i].error && (r == -ENOENT || r == -EEXIST) &&
		    (strcmp(call, "connect") == 0 || strcmp(call, "linkat") == 0))
			return true;
	}
	return false;
}

/* ---- playing ---- */

struct names {
	char name[64][64];
	unsigned count;
};

static int note_name(const struct shmb_segment_info *info, void *user)
{
	struct names *names = user;

	if (strncmp(info->name, "keep/", 5) != 0 && names->count < 64)
		snprintf(names->name[names->count++], 64, "%.63s", info->name);
	return 0;
}

/* Removes what a scene that failed has left. True: it is gone. */
static bool clean(struct stage *stage)
{
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);
	struct names names;

	for (;;) {
		names.count = 0;
		if (shmb_list(stage->other, note_name, &names) == 0) {
			if (names.count == 0)
				return true;
			for (unsigned i = 0; i < names.count; i++)
				shmb_remove(stage->other, names.name[i]);
		}
		if (now_ns() >= deadline)
			return false;
		if (names.count > 0)
			suite_pause(deadline);
	}
}

/* Without a fault: a lease that the daemon has not yet seen given up is waited for. */
static int again(const struct scene *scene, struct stage *stage)
{
	uint64_t deadline = deadline_in(5000);
	int r;

	clean(stage);
	do {
		r = scene_play(scene, stage);
	} while ((r == -EBUSY || r == -ENOTRECOVERABLE) && suite_pause(deadline));
	return r;
}

static int nothing_seen(const struct shmb_broker_status *status, void *user)
{
	(void)status;
	(void)user;
	return 0;
}

/* What the daemon makes once and keeps: a segment is left for its linger time, and removed. */
static void stage_warm(struct stage *stage)
{
	shmb_value_writer_close(value_writer(stage->other, "warm", 64));
	sleep_ms(1);
	ASSERT_OK(shmb_remove(stage->other, "warm"));
}

static void stage_open(struct stage *stage, const struct scene *scene)
{
	char config[2048];
	struct broker_options options = { .config = config, .runtime_mode = scene->as_root ? 0755 : 0 };

	mkdir(scene_foreign_dir(), 0700);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(config, sizeof(config), scene_config, scene_foreign_dir());
#pragma GCC diagnostic pop
	daemon_page()->host = scene->host;
	library->host = scene->host;
	broker_start(&stage->b, &options);
	stage->other = broker_connect(&stage->b);
	if (scene->prepare != NULL)
		scene->prepare(stage);
	stage_warm(stage);
}

static void stage_close(struct stage *stage)
{
	shmb_disconnect(stage->other);
	if (!program_has_ended(&stage->b.daemon))
		broker_stop(&stage->b);
	broker_drop(&stage->b);
	dir_remove(scene_foreign_dir());
	daemon_page_drop();
}

/* The daemon anew, everything at rest. */
static void stage_again(struct stage *stage, const struct scene *scene, struct rest *rest)
{
	rest_drop(rest);
	page_disarm(daemon_one);
	page_disarm(library);
	if (!program_has_ended(&stage->b.daemon))
		broker_kill(&stage->b);
	broker_restart(&stage->b);
	ASSERT_OK(shmb_status(stage->other, nothing_seen, NULL));
	stage_warm(stage);
	for (unsigned i = 0; i < 2; i++) {
		again(scene, stage);
		clean(stage);
	}
	rest_settle(rest, stage);
}

/* A daemon that has done nothing yet. */
static void stage_fresh(struct stage *stage)
{
	if (!program_has_ended(&stage->b.daemon))
		broker_kill(&stage->b);
	broker_restart(&stage->b);
	ASSERT_OK(shmb_status(stage->other, nothing_seen, NULL));
	stage_warm(stage);
}

/* One play with a fault, and what must hold after it. False: something does not. */
static bool fault_play(struct stage *stage, const struct scene *scene, struct inject_page *page, const struct rest *rest)
{
	bool is_library = page == library;
	uint64_t begin = now_ns();
	int r = scene_play(scene, stage);
	uint64_t took = now_ns() - begin;
	char why[600];

	page_settle(page);
	if (program_has_ended(&stage->b.daemon)) {
		if (!complain_of_report(page, is_library, stage->b.daemon.pid))
			complain(page, is_library, "the daemon has ended (status %#x)", (unsigned)stage->b.daemon.status);
		return false;
	}
	if (r == -ETIMEDOUT || took > UINT64_C(4000000000) * suite_slow()) {
		complain(page, is_library, "it took %u ms (result %d)", (unsigned)(took / 1000000), r);
		return false;
	}
	if (!is_documented(r, page) && r != -scene->also) {
		complain(page, is_library, "the client was told %d, %s: %s", r,
			 r == -ENOTRECOVERABLE ? "what may not be" : strerrorname_np(-r), shmb_text());
		return false;
	}
	r = shmb_status(stage->other, nothing_seen, NULL);
	if (r != 0) {
		complain(page, is_library, "another client is not served: %d, %s", r, shmb_text());
		return false;
	}
	r = again(scene, stage);
	if (r != 0) {
		complain(page, is_library, "without the fault it is then %d, %s: %s", r, strerrorname_np(-r), shmb_text());
		return false;
	}
	if (!clean(stage)) {
		complain(page, is_library, "what is left cannot be removed");
		return false;
	}
	if (!rest_again(rest, stage, why, sizeof(why))) {
		complain(page, is_library, "%s", why);
		return false;
	}
	return true;
}

/*
 * In a process of its own, which is gone then: what it had no daemon took back goes with it. It ends in order, having given back its memory, but for one
 * that is killed itself.
 */
static void play_apart(struct stage *stage, const struct scene *scene, struct inject_page *page)
{
	int memory = atomic_load(&library->memory);
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		scene_play(scene, stage);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	page_disarm(page);
	if (status != (page == library && inject_is_done(page) ? SIGKILL : 0))
		complain(page, page == library, "the client has ended (status %#x)", (unsigned)status);
	else if (status == 0 && atomic_load(&library->memory) != memory)
		complain(page, page == library, "left: client memory %+d", atomic_load(&library->memory) - memory);
	atomic_store(&library->memory, memory); /* its memory went with it */
}

/* Plays while the daemon is killed; the next one must find everything in order. */
static void daemon_kill(struct stage *stage, const struct scene *scene, const struct rest *rest)
{
	char *files;
	int r;

	play_apart(stage, scene, daemon_one);
	if (!inject_is_done(daemon_one))
		return;
	if (program_wait(&stage->b.daemon) != -SIGKILL && !complain_of_report(daemon_one, false, stage->b.daemon.pid))
		complain(daemon_one, false, "the daemon has ended by itself (status %#x)", (unsigned)stage->b.daemon.status);
	broker_restart(&stage->b);
	r = again(scene, stage);
	if (r != 0)
		complain(daemon_one, false, "with the next daemon it is %d, %s: %s", r, strerrorname_np(-r), shmb_text());
	if (!clean(stage))
		complain(daemon_one, false, "what is left cannot be removed");
	files = files_of(stage);
	for (uint64_t deadline = deadline_in(3000); strcmp(files, rest->files) != 0 && suite_pause(deadline);) {
		free(files);
		files = files_of(stage);
	}
	if (strcmp(files, rest->files) != 0)
		complain(daemon_one, false, "left: %s", files);
	free(files);
}

/* A process of its own plays, and is killed. */
static void client_kill(struct stage *stage, const struct scene *scene, const struct rest *rest)
{
	char why[600];
	int r;

	play_apart(stage, scene, library);
	r = again(scene, stage);
	if (r != 0)
		complain(library, true, "another client then is told %d, %s: %s", r, strerrorname_np(-r), shmb_text());
	if (!clean(stage))
		complain(library, true, "what is left cannot be removed");
	if (!rest_again(rest, stage, why, sizeof(why)))
		complain(library, true, "%s", why);
}

bool play_applies(const struct scene *scene, enum way way)
{
	if (scene->as_root && geteuid() != 0)
		return false;
	switch (way) {
	case FAIL_IN_DAEMON:
		return !scene->only_library;
	case FAIL_IN_LIBRARY:
		return !scene->only_daemon && !scene->fresh;
	case KILL_DAEMON:
		return !scene->only_library;
	default:
		return !scene->only_daemon && !scene->only_library && !scene->with_others && !scene->fresh;
	}
}

void play(const struct scene *scene, enum way way)
{
	bool kills = way == KILL_DAEMON || way == KILL_CLIENT;
	bool is_library = way == FAIL_IN_LIBRARY || way == KILL_CLIENT;
	struct inject_page *page;
	struct stage stage = { 0 };
	struct rest rest = { 0 };
	struct plan plan;

	stage_open(&stage, scene);
	page = is_library ? library : daemon_one;
	complain_when_dying(page, is_library);
	for (unsigned i = 0; i < 3; i++) {
		sleep_ms(5);
		if (i == 2 && scene->fresh)
			stage_fresh(&stage);
		if (i == 2)
			page_count(page);
		ASSERT_OK(scene_play(scene, &stage));
		page_settle(page);
		ck_assert(clean(&stage));
	}
	rest_settle(&rest, &stage);
	plan_init(&plan, page, is_library, kills);
	plan.kills_later = play_applies(scene, is_library ? KILL_CLIENT : KILL_DAEMON);
	while (plan_next(&plan)) {
		if (scene->fresh) {
			page_hold(page);
			stage_fresh(&stage);
			page_release(page);
		}
		if (page->armed == INJECT_FAIL) {
			if (!fault_play(&stage, scene, page, &rest))
				stage_again(&stage, scene, &rest);
		} else if (is_library) {
			client_kill(&stage, scene, &rest);
		} else {
			daemon_kill(&stage, scene, &rest);
			if (!kills)
				stage_again(&stage, scene, &rest);
		}
		forced(&plan);
	}
	plan_deinit(&plan);
	sites_merge(page, is_library);
	rest_drop(&rest);
	stage_close(&stage);
	complaints_end();
}
