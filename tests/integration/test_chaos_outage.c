/* SPDX-License-Identifier: MIT */
/*
 * Hostile clients (chaos.h) upon a daemon that is itself killed, at random moments and at each of its steps, ended, stopped, told to read its
 * configuration, and started again in the midst of their requests, over what it and they have left: half made, half removed, overwritten. What it gives
 * away to the service manager (keeper.h) comes back, or not all of it. Clients come back with lies about what they had.
 *
 * An era has several reigns, each of one daemon from its start to its end. What happens in a reign follows from seed, era and reign alone; what comes of
 * it depends on the order of events, too. Meanwhile:
 *
 *   - no daemon ends but as it was made to, each that is left alone becomes ready and serves;
 *   - clients that behave (honest.h) find every number, item and byte right, over their own deaths, too, and hear of a writer's death.
 *
 * After an era all clients go, and nothing may be left: no connection, lease, file, mapping or descriptor, with the daemon or the service manager; nor
 * has the daemon grown. Only what a hostile writer has cut short before a start is left alone by the next daemon: that the test removes, as the operator would.
 *
 *   SHMB_CHAOS_SECONDS=N   how long, default 5
 *   SHMB_CHAOS_SEED=N      other numbers, default 20
 */
#include "chaos.h"
#include "honest.h"

#include "../support/client.h"

#include "proto/layout.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REIGNS = 12, EVENTS = 6, STEPS_MAX = 128, STEP_NAME = 40, LOG_BYTES = 1 << 20, RESIDENT_MAX_KB = 8 * 1024 };

struct outage {
	struct broker b;
	struct keeper keeper;
	struct honest honest;
	struct chaos_books *books;
	uint64_t seed;
	pid_t clients[CHAOS_CLIENTS];
	unsigned lives[CHAOS_CLIENTS];
	bool is_cut;	/* this daemon is to die at a step */
	bool is_ending; /* it was told to */
	unsigned kept;	/* by the service manager, of those that behave: not to be lost */
	char steps[STEPS_MAX][STEP_NAME];
	unsigned step_count;
	unsigned reached[STEPS_MAX];
	struct {
		unsigned eras, reigns, kills, cuts, ends, stops, reloads, lost, client_kills, honest_kills, served, cleaned;
		uint64_t written;
		long resident_kb; /* at the most */
	} totals;
};

/* ---- steps ---- */

static int step_compare(const void *left, const void *right)
{
	return strcmp(left, right);
}

/* All that there are in the daemon. */
static void steps_find(struct outage *o)
{
	static const char mark[] = "SHMB_STEP(\"";
	char path[1024];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/daemon", path_source());
	dir = opendir(path);
	ck_assert_msg(dir != NULL, "%s cannot be read", path);
	while ((entry = readdir(dir)) != NULL) {
		const char *dot = strrchr(entry->d_name, '.');
		char *text;

		if (dot == NULL || strcmp(dot, ".c") != 0)
			continue;
		snprintf(path, sizeof(path), "%s/daemon/%s", path_source(), entry->d_name);
		text = file_read(path, NULL);
		for (char *at = text; at != NULL && (at = strstr(at, mark)) != NULL;) {
			at += strlen(mark);
			ck_assert_uint_lt(o->step_count, STEPS_MAX);
			snprintf(o->steps[o->step_count++], STEP_NAME, "%.*s", (int)strcspn(at, "\""), at);
		}
		free(text);
	}
	closedir(dir);
	qsort(o->steps, o->step_count, sizeof(o->steps[0]), step_compare);
	ck_assert_uint_gt(o->step_count, 50);
}

/* ---- the daemon ---- */

static bool has_ended(struct outage *o)
{
	struct program *daemon = &o->b.daemon;

	keeper_listen(&o->keeper);
	if (!program_has_ended(daemon))
		return false;
	if (WIFEXITED(daemon->status))
		ck_assert_msg(o->is_ending && WEXITSTATUS(daemon->status) == 0, "the daemon has ended by itself, with %d",
			      WEXITSTATUS(daemon->status));
	else
		ck_assert_msg(o->is_cut && WTERMSIG(daemon->status) == SIGKILL, "the daemon has died by itself, of signal %d",
			      WTERMSIG(daemon->status));
	return true;
}

/* For a while, or until a step that is set has done it. True when it is ready and serves. */
static bool wait_ready(struct outage *o)
{
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);

	while (!has_ended(o) && !o->keeper.is_ready)
		ck_assert_msg(suite_pause(deadline), "the daemon does not get ready");
	return !program_has_ended(&o->b.daemon);
}

/*
 * At its `pass`-th time at `step` it shall die, or, with `slow_ms`, linger there from that time on, while others overwrite what it has just looked at. -1: at
 * none.
 */
static void reign_begin(struct outage *o, int step, unsigned pass, unsigned slow_ms, unsigned config)
{
	struct stat log;
	char at[STEP_NAME + 12] = "";
	char slow[16];

	/* What it was told last it may not have read yet; one that cannot be read would keep it from starting. */
	broker_configure(&o->b, chaos_configs[config]);
	if (stat(o->b.log, &log) == 0 && log.st_size > LOG_BYTES)
		ck_assert_int_eq(truncate(o->b.log, 0), 0);
	keeper_listen(&o->keeper);
	o->keeper.is_ready = false;
	o->is_cut = step >= 0 && slow_ms == 0;
	o->is_ending = false;
	if (step >= 0) {
		snprintf(at, sizeof(at), "%s:%u", o->steps[step], pass);
		o->b.started_once = false;
	}
	snprintf(slow, sizeof(slow), "slow:%u", slow_ms);
	o->b.options.step_do = slow_ms > 0 ? slow : "kill";
	o->b.options.step_at = at;
	o->b.options.not_ready = true;
	broker_restart(&o->b);
	o->totals.reigns++;
}

static void reign_end(struct outage *o, int step, unsigned how, unsigned after_us)
{
	/* Its step comes soon, if it comes. */
	for (unsigned i = 0; o->is_cut && i < 50 && !has_ended(o); i++)
		usleep(2000);
	switch (how) {
	case 0 ... 2: /* in order, perhaps killed on the way */
		if (!wait_ready(o))
			break;
		o->is_ending = true;
		program_signal(&o->b.daemon, SIGTERM);
		o->totals.ends++;
		if (how == 0) {
			uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);

			while (!has_ended(o))
				ck_assert_msg(suite_pause(deadline), "the daemon does not end");
			break;
		}
		usleep(after_us / 32);
		/* fallthrough */
	default:
		if (!program_has_ended(&o->b.daemon)) {
			program_kill(&o->b.daemon);
			o->totals.kills++;
			return;
		}
		break;
	}
	if (WIFSIGNALED(o->b.daemon.status)) {
		o->reached[step]++;
		o->totals.cuts++;
	}
}

/* ---- clients ---- */

static void clients_start(struct outage *o)
{
	for (unsigned i = 0; i < CHAOS_CLIENTS; i++)
		o->clients[i] = chaos_client(&o->b, o->books, o->seed, i, o->lives[i]++);
}

static void client_kill(struct outage *o, unsigned who)
{
	kill(o->clients[who], SIGKILL);
	ck_assert_int_eq(waitpid(o->clients[who], NULL, 0), o->clients[who]);
	o->totals.client_kills++;
}

/* All numbers are drawn before anything is looked at. */
static void event_happens(struct outage *o)
{
	unsigned after_us = chaos_draw(15000), what = chaos_draw(11), who = chaos_draw(CHAOS_CLIENTS), which = chaos_draw(HONEST_CLIENTS);
	unsigned long_us = chaos_draw(40000), config = chaos_draw(CHAOS_CONFIGS);

	usleep(after_us);
	switch (what) {
	case 0 ... 2:
		client_kill(o, who);
		o->clients[who] = chaos_client(&o->b, o->books, o->seed, who, o->lives[who]++);
		break;
	case 3:
		kill(o->clients[who], SIGSTOP);
		usleep(long_us);
		kill(o->clients[who], SIGCONT);
		break;
	case 4:
		program_signal(&o->b.daemon, SIGSTOP);
		usleep(long_us);
		program_signal(&o->b.daemon, SIGCONT);
		o->totals.stops++;
		break;
	case 5 ... 6:
		if (!has_ended(o) && o->keeper.is_ready) {
			chaos_reload(&o->b, config);
			o->totals.reloads++;
		}
		break;
	case 7 ... 8:
		honest_kill(&o->honest, which);
		o->totals.honest_kills++;
		break;
	case 9:
		honest_start(&o->honest);
		break;
	default:
		if (!o->is_cut && wait_ready(o))
			chaos_serves(&o->b, o->totals.served++ % 200);
		break;
	}
	for (unsigned i = 0; i < CHAOS_CLIENTS; i++)
		ck_assert_msg(waitpid(o->clients[i], NULL, WNOHANG) == 0, "client %u has ended", i);
	has_ended(o);
	honest_look(&o->honest);
}

/* ---- nothing is left ---- */

/* Names of which a generation has another size than its card says are removed, with all their generations. Returns how many files. */
static unsigned remove_cut_short(struct outage *o)
{
	char *names = dir_names(o->b.shm);
	char *rest = strdup(names);
	char *walk = rest;
	unsigned count = 0;
	char *name;

	while ((name = strsep(&walk, "\n")) != NULL && *name != '\0') {
		char path[1024];
		struct shmb_shm_card card;
		struct stat data;
		size_t length = strcspn(name, ",") + 1;
		int fd;

		if (name[0] == ',' || strchr(name, ',') == NULL || strchr(strchr(name, ',') + 1, ',') != NULL)
			continue;
		snprintf(path, sizeof(path), "%s/%s,data", o->b.shm, name);
		if (stat(path, &data) != 0)
			continue;
		*strrchr(path, ',') = '\0';
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT) /* just removed */
			continue;
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(pread(fd, &card, sizeof(card), 0), sizeof(card));
		close(fd);
		if ((uint64_t)data.st_size == card.data_bytes)
			continue;
		/* Older generations are left alone with it. */
		for (char *file = names; file != NULL && *file != '\0'; file = strchr(file, '\n') != NULL ? strchr(file, '\n') + 1 : NULL) {
			if (strncmp(file, name, length) != 0)
				continue;
			snprintf(path, sizeof(path), "%s/%.*s", o->b.shm, (int)strcspn(file, "\n"), file);
			count += unlink(path) == 0;
		}
	}
	free(rest);
	free(names);
	return count;
}

static bool files_are_as_before(struct outage *o)
{
	char *now = dir_names(o->b.shm);
	bool is_clean = strcmp(now, o->b.files) == 0;

	free(now);
	return is_clean;
}

/* With a daemon that dies of no step. */
static void calm(struct outage *o)
{
	uint64_t deadline;
	long resident_kb;

	ck_assert(wait_ready(o));
	honest_wait_told(&o->honest);
	honest_start(&o->honest);
	honest_wait(&o->honest);
	for (unsigned i = 0; i < CHAOS_CLIENTS; i++)
		client_kill(o, i);
	o->totals.written += honest_finish(&o->honest);
	chaos_serves(&o->b, 1);
	broker_remove_segments(&o->b);
	deadline = deadline_in(1000);
	while (!files_are_as_before(o) && suite_pause(deadline))
		;
	if (remove_cut_short(o) > 0) {
		o->totals.cleaned++;
		broker_stop(&o->b);
		reign_begin(o, -1, 0, 0, 0);
		ck_assert(wait_ready(o));
	}
	chaos_descriptor_send(&o->b);
	broker_clear(&o->b);
	deadline = deadline_in(SUITE_PATIENCE_MS);
	while (keeper_listen(&o->keeper), o->keeper.handed.count != 0)
		ck_assert_msg(suite_pause(deadline), "%u descriptors stay with the service manager", o->keeper.handed.count);
	resident_kb = proc_number(o->b.daemon.pid, "status", "VmRSS");
	if (resident_kb > o->totals.resident_kb)
		o->totals.resident_kb = resident_kb;
	/* A sanitizer's and an emulator's memory is no measure. */
	ck_assert_msg(SUITE_SANITIZED || getenv("SHMB_TEST_WRAPPER") != NULL || o->totals.resident_kb <= RESIDENT_MAX_KB,
		      "the daemon has grown to %ld KB", o->totals.resident_kb);
}

/* ---- the course ---- */

static void reign(struct outage *o, unsigned era, unsigned number)
{
	unsigned events, how, after_us, gap_us, loses, pass, slow_ms, config;
	int step;

	chaos_seed(o->seed, CHAOS_CLIENTS + 1 + number, era);
	events = chaos_draw(EVENTS);
	how = chaos_draw(8);
	after_us = chaos_draw(30000);
	gap_us = chaos_draw(3) == 0 ? chaos_draw(30000) : 0;
	loses = chaos_draw(5);
	step = chaos_draw(3) != 0 ? (int)chaos_draw(o->step_count) : -1;
	pass = 1 + chaos_draw(UINT32_C(1) << chaos_draw(4));
	slow_ms = chaos_draw(4) == 0 ? 1 + chaos_draw(3) : 0;
	config = chaos_draw(CHAOS_CONFIGS - 1);
	if (number > 0) /* the first has begun */
		reign_begin(o, step, pass, slow_ms, config);
	else
		step = -1;
	for (unsigned i = 0; i < events; i++)
		event_happens(o);
	usleep(after_us);
	reign_end(o, step, how, after_us);
	usleep(gap_us);
	keeper_listen(&o->keeper);
	for (unsigned i = o->keeper.handed.count; loses == 0 && i-- > o->kept;) {
		if (chaos_draw(2) == 0) {
			handed_drop(&o->keeper.handed, i);
			o->totals.lost++;
		}
	}
}

static void era(struct outage *o, unsigned number)
{
	honest_init(&o->honest, &o->b, o->seed + number);
	honest_start(&o->honest);
	honest_wait(&o->honest);
	chaos_serves(&o->b, 2);
	/* A socket holds few messages; what it says of a reload comes behind the rest. */
	keeper_listen(&o->keeper);
	o->keeper.is_ready = false;
	chaos_reload(&o->b, 0);
	ck_assert(wait_ready(o));
	o->kept = o->keeper.handed.count;
	clients_start(o);
	for (unsigned i = 0; i < REIGNS; i++)
		reign(o, number, i);
	reign_begin(o, -1, 0, 0, 0);
	calm(o);
	honest_deinit(&o->honest);
	o->totals.eras++;
}

static void tell(const struct outage *o, uint64_t begun_ns)
{
	uint64_t served = 0;

	for (unsigned i = 0; i < SHMB_OP_COUNT; i++)
		served += o->books->served[i];
	printf("%5.1f s: %u eras, %u daemons: %u killed, %u killed at a step, %u ended, %u stops, %u reloads, %u kept descriptors lost; %u "
	       "clients killed, "
	       "%u of those that behave; %" PRIu64 " requests served, %" PRIu64 " lies, memory spoilt %" PRIu64
	       " times, cleaned up %u times; %" PRIu64 " numbers written and found right; %ld KB resident at most\n",
	       (double)(now_ns() - begun_ns) / 1e9, o->totals.eras, o->totals.reigns, o->totals.kills, o->totals.cuts, o->totals.ends,
	       o->totals.stops, o->totals.reloads, o->totals.lost, o->totals.client_kills, o->totals.honest_kills, served,
	       (uint64_t)o->books->lies, (uint64_t)o->books->spoilt, o->totals.cleaned, o->totals.written, o->totals.resident_kb);
}

/* The search for leaks has a process of its own, which outlives a daemon that is killed at its end. */
static void orphans_end(void)
{
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);

	while (SUITE_SANITIZED && waitpid(-1, NULL, WNOHANG) >= 0)
		ck_assert_msg(suite_pause(deadline), "a process is left");
}

START_TEST(chaos_outage)
{
	static struct outage o;
	uint64_t seconds = chaos_number("SHMB_CHAOS_SECONDS", 5);
	uint64_t begun = now_ns();
	struct rlimit limit;

	o.seed = chaos_number("SHMB_CHAOS_SEED", 20);
	o.books = mmap(NULL, sizeof(*o.books), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(o.books != MAP_FAILED);
	o.books->cut_one_in = 200;
	/* What is kept is here twice between fork and exec. */
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	steps_find(&o);
	printf("seed %" PRIu64 ", %" PRIu64 " s, %u steps\n", o.seed, seconds, o.step_count);
	setenv("SHMB_STEP_NUMBER", "turn:1", 1);
	broker_start(&o.b,
		     &(struct broker_options){ .steps = true, .runtime_mode = 0755, .config = chaos_configs[0], .keeper = &o.keeper });
	o.b.fds += chaos_descriptor_send(&o.b);
	for (unsigned i = 0; i == 0 || now_ns() - begun < seconds * 1000000000; i++) {
		era(&o, i);
		tell(&o, begun);
	}
	for (unsigned i = 0; i < o.step_count; i++)
		printf("  %-20s %u\n", o.steps[i], o.reached[i]);
	munmap(o.books, sizeof(*o.books));
	broker_finish(&o.b);
	orphans_end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hostile clients, a daemon that dies");

	suite_add(suite, chaos_outage, (double)chaos_number("SHMB_CHAOS_SECONDS", 5) + 180);
	return suite_run(suite);
}
