/* SPDX-License-Identifier: MIT */
/*
 * What happens in the demo, in order: a daemon, two producers, two readers; a producer is killed and another takes over; the daemon is
 * killed and started again; everything ends in order, and what is left over is counted. Each number shown was counted by the process
 * it is about, or read from a clock here.
 */

#include "demo.h"
#include "shmb.h"
#include "units.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Generous: a busy build machine may stop everything for seconds. Nothing waits this long when all is well. */
#define DEMO_PATIENCE_S 20.0
#define DEMO_READY_MS 20000
#define DEMO_END_NS UINT64_C(10000000000)
#define DEMO_VICTIM 0
#define DEMO_LINGER "300ms"

/* Where in the run things happen, as parts of the whole. */
#define DEMO_KILL_PRODUCER 0.30
#define DEMO_PAUSE 0.06 /* between a producer's death and the next one */
#define DEMO_KILL_DAEMON 0.60
#define DEMO_OUTAGE 0.12

static uint64_t demo_time(const struct demo *demo, double part)
{
	return demo->screen.start_ns + (uint64_t)(part * demo->seconds * 1e9);
}

static void demo_show_processes(struct demo *demo)
{
	char daemon[32] = "none";

	if (demo->daemon.pid)
		snprintf(daemon, sizeof(daemon), "%d", (int)demo->daemon.pid);
	snprintf(demo->screen.processes, sizeof(demo->screen.processes), "daemon %s", daemon);
}

/* ---- starting --------------------------------------------------------------------------------------------------------------- */

/* False when it does not say that it is ready. */
static bool demo_daemon_start(struct demo *demo)
{
	const char *argv[] = { demo->daemon_path, "--runtime-dir",    demo->place.runtime, "--shm-dir", demo->place.shm,
			       "--socket",	  demo->place.socket, "--linger",	   DEMO_LINGER, NULL };
	struct child_options options = { .log = demo->place.log, .notify = demo->place.notify };
	char text[64];
	int r;

	child_init(&demo->daemon, "daemon");
	r = child_start(&demo->daemon, argv, &options);
	if (r < 0) {
		demo_fail(demo, "cannot start %s: %s", demo->daemon_path, shmb_strerror(r));
		return false;
	}
	/* in slices, to notice when it ends instead */
	for (int waited = 0; place_wait_ready(&demo->place, 100) < 0; waited += 100) {
		if (child_has_ended(&demo->daemon)) {
			demo_fail(demo, "the daemon did not start: %s", child_end_text(&demo->daemon, text, sizeof(text)));
			return false;
		}
		if (waited >= DEMO_READY_MS) {
			demo_fail(demo, "the daemon did not say that it is ready");
			return false;
		}
	}
	demo_show_processes(demo);
	return true;
}

static bool demo_producer_start(struct demo *demo, int index)
{
	static const char *const only[DEMO_PRODUCERS] = { "cpu,memory", "network,temperature" };
	struct demo_producer *producer = &demo->producers[index];
	char rate[16], label[CHILD_LABEL_MAX];
	const char *argv[] = {
		demo->sensors_path, "--socket", demo->place.socket, "--rate", rate, "--only", only[index], NULL, NULL, NULL
	};
	struct child_options options = { .log = demo->place.log, .has_out = true };
	int r;

	snprintf(rate, sizeof(rate), "%d", DEMO_RATE);
	if (demo->is_corrupting && index == DEMO_VICTIM && demo->successors) {
		/* by one of whom every sample is read: the readers were there before it, on a slow machine too */
		argv[7] = "--corrupt";
		argv[8] = "10";
	}
	snprintf(label, sizeof(label), "producer %d",
		 index == DEMO_VICTIM && demo->successors ? DEMO_PRODUCERS + demo->successors : index + 1);
	child_init(&producer->child, label);
	producer->is_ready = false;
	r = child_start(&producer->child, argv, &options);
	if (r < 0)
		demo_fail(demo, "cannot start %s: %s", demo->sensors_path, shmb_strerror(r));
	return r == 0;
}

static bool demo_reader_start(struct demo *demo, int index)
{
	struct demo_reader *reader = &demo->readers[index];
	const char *argv[DEMO_SEGMENTS + 3] = { demo->reader_path, demo->place.socket };
	struct child_options options = { .log = demo->place.log, .has_in = true, .has_out = true };
	char label[CHILD_LABEL_MAX];
	int r;

	for (size_t i = 0; i < demo->segment_count; i++)
		argv[2 + i] = demo->segments[i].name;
	snprintf(label, sizeof(label), "reader %d", index + 1);
	child_init(&reader->child, label);
	r = child_start(&reader->child, argv, &options);
	if (r < 0)
		demo_fail(demo, "cannot start %s: %s", demo->reader_path, shmb_strerror(r));
	return r == 0;
}

/* ---- what is waited for ------------------------------------------------------------------------------------------------------ */

/* All that were started. */
static bool are_producers_ready(const struct demo *demo)
{
	for (int i = 0; i < DEMO_PRODUCERS; i++)
		if (demo->producers[i].child.pid && !demo->producers[i].is_ready)
			return false;
	return true;
}

static bool are_segments_open(const struct demo *demo)
{
	for (int i = 0; i < DEMO_READERS; i++)
		for (size_t s = 0; s < demo->segment_count; s++)
			if (!demo->readers[i].is_opened[s])
				return false;
	return true;
}

static bool are_readers_told(const struct demo *demo)
{
	for (int i = 0; i < DEMO_READERS; i++)
		for (size_t s = 0; s < demo->segment_count; s++)
			if (demo->segments[s].producer == DEMO_VICTIM && !demo->readers[i].dead[s].kind)
				return false;
	return true;
}

static bool are_readers_resumed(const struct demo *demo)
{
	for (int i = 0; i < DEMO_READERS; i++)
		for (size_t s = 0; s < demo->segment_count; s++)
			if (demo->segments[s].producer == DEMO_VICTIM && !demo->readers[i].resumed[s].kind)
				return false;
	return true;
}

static bool are_marks_made(const struct demo *demo, unsigned marks)
{
	for (int i = 0; i < DEMO_READERS; i++)
		if (demo->readers[i].marks < marks)
			return false;
	return true;
}

static bool is_first_mark_made(const struct demo *demo)
{
	return are_marks_made(demo, 1);
}

static bool is_second_mark_made(const struct demo *demo)
{
	return are_marks_made(demo, 2);
}

static bool are_segments_finished(const struct demo *demo)
{
	for (size_t s = 0; s < demo->segment_count; s++)
		if (!demo->segments[s].is_finished)
			return false;
	return true;
}

static bool are_readers_done(const struct demo *demo)
{
	for (int i = 0; i < DEMO_READERS; i++)
		for (size_t s = 0; s < demo->segment_count; s++)
			if (!demo->readers[i].is_closed[s])
				return false;
	return true;
}

static bool are_counts_final(const struct demo *demo)
{
	for (int i = 0; i < DEMO_READERS; i++)
		if (!demo->readers[i].final_sum.kind)
			return false;
	return true;
}

static bool demo_tell_readers(struct demo *demo, char command)
{
	for (int i = 0; i < DEMO_READERS; i++) {
		if (write(demo->readers[i].child.in_fd, &command, 1) != 1) {
			demo_fail(demo, "reader %d does not listen", i + 1);
			return false;
		}
	}
	return true;
}

/* ---- chapters ------------------------------------------------------------------------------------------------------------------ */

/* The fewest within a tenth of a second: the socket through which it said that it is ready may still be closing. */
static int demo_descriptors_settled(pid_t pid)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	int fewest = place_descriptor_count(pid);

	for (int i = 0; i < 10 && fewest >= 0; i++) {
		int count;

		nanosleep(&pause, NULL);
		count = place_descriptor_count(pid);
		fewest = count < fewest ? count : fewest;
	}
	return fewest;
}

static bool demo_begin(struct demo *demo)
{
	struct screen *screen = &demo->screen;
	char names[DEMO_SEGMENTS * (DEMO_NAME_MAX + 2)] = "";
	size_t length = 0;

	if (!demo_daemon_start(demo))
		return false;
	demo->descriptors_before = demo_descriptors_settled(demo->daemon.pid);
	if (demo->descriptors_before < 0 || place_files_get(&demo->place, &demo->files_before) < 0) {
		demo_fail(demo, "cannot count the daemon's descriptors and files");
		return false;
	}
	screen_say(screen, "a private daemon (pid %d) in %s", (int)demo->daemon.pid, demo->place.base);
	for (int i = 0; i < DEMO_PRODUCERS; i++)
		if (!demo_producer_start(demo, i) || !demo_run_for(demo, are_producers_ready, DEMO_PATIENCE_S, "the start of a producer"))
			return false;
	for (size_t i = 0; i < demo->segment_count; i++)
		length += (size_t)snprintf(names + length, sizeof(names) - length, "%s%s", i ? ", " : "", demo->segments[i].name);
	screen_say(screen, "two producers (pids %d, %d) measure this machine at %d Hz: %s", (int)demo->producers[0].child.pid,
		   (int)demo->producers[1].child.pid, DEMO_RATE, names);
	for (int i = 0; i < DEMO_READERS; i++)
		if (!demo_reader_start(demo, i))
			return false;
	if (!demo_run_for(demo, are_segments_open, DEMO_PATIENCE_S, "the opening of the segments by the readers"))
		return false;
	screen_say(screen, "two readers (pids %d, %d) verify the checksum of every sample", (int)demo->readers[0].child.pid,
		   (int)demo->readers[1].child.pid);
	screen->start_ns = shmb_now_ns();
	return true;
}

static bool demo_kill_producer(struct demo *demo)
{
	struct child *victim = &demo->producers[DEMO_VICTIM].child;
	struct screen *screen = &demo->screen;
	uint64_t slowest[DEMO_READERS] = { 0 };
	char first[UNITS_SIZE], second[UNITS_SIZE];
	uint64_t kill_ns;
	int pid = victim->pid;

	victim->may_end = true;
	kill_ns = shmb_now_ns();
	kill(victim->pid, SIGKILL);
	screen_say(screen, "SIGKILL to producer 1 (pid %d)", pid);
	if (!demo_run_for(demo, are_readers_told, DEMO_PATIENCE_S, "the readers' wake-up with *writer dead*"))
		return false;
	for (int i = 0; i < DEMO_READERS; i++) {
		for (size_t s = 0; s < demo->segment_count; s++) {
			const struct demo_report *dead = &demo->readers[i].dead[s];

			if (demo->segments[s].producer != DEMO_VICTIM)
				continue;
			if (!dead->is_right)
				demo_fail(demo, "reader %d lost the last value of %s", i + 1, demo->segments[s].name);
			if (dead->at_ns - kill_ns > slowest[i])
				slowest[i] = dead->at_ns - kill_ns;
		}
	}
	screen_say(screen, "woken with *writer dead* after the kill: reader 1 %s, reader 2 %s", units_duration(first, slowest[0]),
		   units_duration(second, slowest[1]));
	for (size_t s = 0; s < demo->segment_count && !demo->is_failed; s++)
		if (demo->segments[s].producer == DEMO_VICTIM)
			screen_say(screen, "the last value of %s, number %" PRIu64 ", is still there for both, byte for byte",
				   demo->segments[s].name, demo->readers[0].dead[s].last);
	child_end(victim, shmb_now_ns() + DEMO_END_NS);
	child_deinit(victim);
	return !demo->is_failed;
}

static bool demo_take_over(struct demo *demo)
{
	demo->successors++;
	if (!demo_producer_start(demo, DEMO_VICTIM) ||
	    !demo_run_for(demo, are_producers_ready, DEMO_PATIENCE_S, "the start of the next producer") ||
	    !demo_run_for(demo, are_readers_resumed, DEMO_PATIENCE_S, "the first sample of the next producer"))
		return false;
	screen_say(&demo->screen, "the next producer (pid %d) took over", (int)demo->producers[DEMO_VICTIM].child.pid);
	for (size_t s = 0; s < demo->segment_count; s++) {
		const struct demo_report *resumed = &demo->readers[0].resumed[s];

		if (demo->segments[s].producer != DEMO_VICTIM)
			continue;
		for (int i = 0; i < DEMO_READERS; i++)
			if (!demo->readers[i].resumed[s].is_right)
				demo_fail(demo, "reader %d: the numbers of %s do not go on: %" PRIu64 ", then %" PRIu64, i + 1,
					  demo->segments[s].name, demo->readers[i].resumed[s].last, demo->readers[i].resumed[s].first);
		screen_say(&demo->screen, "the count of %s went on: %" PRIu64 " by the dead one, %" PRIu64 " by the next",
			   demo->segments[s].name, resumed->last, resumed->first);
	}
	return !demo->is_failed;
}

/* What was read while there was no daemon, from the readers' counts at both ends of that time. */
static void demo_judge_outage(struct demo *demo, uint64_t outage_ns)
{
	uint64_t lost = 0, torn = 0;
	uint64_t samples[DEMO_READERS];

	for (int i = 0; i < DEMO_READERS; i++) {
		const struct demo_reader *reader = &demo->readers[i];

		samples[i] = reader->mark_sum[1].samples - reader->mark_sum[0].samples;
		torn += reader->mark_sum[1].torn - reader->mark_sum[0].torn;
		for (size_t s = 0; s < demo->segment_count; s++)
			lost += reader->mark[1][s].last - reader->mark[0][s].last -
				(reader->mark[1][s].samples - reader->mark[0][s].samples);
	}
	screen_say(&demo->screen,
		   "%.2f s without a daemon: reader 1 read %" PRIu64 " samples, reader 2 %" PRIu64 ", lost %" PRIu64 ", torn %" PRIu64,
		   (double)outage_ns / 1e9, samples[0], samples[1], lost, torn);
}

/* Since the first mark, by each reader. */
static bool is_something_read(const struct demo *demo)
{
	for (int i = 0; i < DEMO_READERS; i++)
		if (demo->screen.sum[i].samples <= demo->readers[i].mark_sum[0].samples)
			return false;
	return true;
}

static int demo_adopted(const struct shmb_broker_status *status, void *user)
{
	*(uint64_t *)user = status->adopted;
	return 0;
}

static bool demo_kill_daemon(struct demo *demo)
{
	struct screen *screen = &demo->screen;
	struct shmb *broker = NULL;
	uint64_t dead_ns, start_ns, ready_ns, adopted = 0;
	char start_text[UNITS_SIZE];
	int r, pid = demo->daemon.pid;

	demo->daemon.may_end = true;
	kill(demo->daemon.pid, SIGKILL);
	child_end(&demo->daemon, shmb_now_ns() + DEMO_END_NS);
	dead_ns = shmb_now_ns();
	demo_show_processes(demo);
	screen_say(screen, "SIGKILL to the daemon (pid %d)", pid);
	if (!demo_tell_readers(demo, DEMO_MARK) || !demo_run_for(demo, is_first_mark_made, DEMO_PATIENCE_S, "the readers' answer") ||
	    !demo_run_until(demo, dead_ns + (uint64_t)(DEMO_OUTAGE * demo->seconds * 1e9)) ||
	    !demo_run_for(demo, is_something_read, DEMO_PATIENCE_S, "a sample while there is no daemon") ||
	    !demo_tell_readers(demo, DEMO_MARK) || !demo_run_for(demo, is_second_mark_made, DEMO_PATIENCE_S, "the readers' answer"))
		return false;
	start_ns = shmb_now_ns();
	demo_judge_outage(demo, start_ns - dead_ns);
	child_deinit(&demo->daemon);
	if (!demo_daemon_start(demo))
		return false;
	ready_ns = shmb_now_ns();
	r = shmb_connect(&broker, demo->place.socket);
	if (r == 0)
		r = shmb_status(broker, demo_adopted, &adopted);
	if (r < 0)
		demo_fail(demo, "the daemon does not answer after its restart: %s", shmb_text());
	shmb_disconnect(broker);
	if (r == 0)
		screen_say(screen, "the daemon is back (pid %d), ready after %s, and has adopted %" PRIu64 " segments",
			   (int)demo->daemon.pid, units_duration(start_text, ready_ns - start_ns), adopted);
	if (r == 0 && adopted != demo->segment_count)
		demo_fail(demo, "of %zu segments %" PRIu64 " were adopted", demo->segment_count, adopted);
	return !demo->is_failed;
}

/* Producers end in order; readers read what is left, say so, and end. */
static bool demo_finish(struct demo *demo)
{
	char text[64];

	for (int i = 0; i < DEMO_PRODUCERS; i++) {
		demo->producers[i].child.may_end = true;
		kill(demo->producers[i].child.pid, SIGTERM);
	}
	if (!demo_run_for(demo, are_segments_finished, DEMO_PATIENCE_S, "the producers' last words") ||
	    !demo_run_for(demo, are_readers_done, DEMO_PATIENCE_S, "the readers' wake-up with *writer closed*"))
		return false;
	for (int i = 0; i < DEMO_READERS; i++)
		demo->readers[i].child.may_end = true;
	if (!demo_tell_readers(demo, DEMO_QUIT) || !demo_run_for(demo, are_counts_final, DEMO_PATIENCE_S, "the readers' last counts"))
		return false;
	for (int i = 0; i < DEMO_PRODUCERS + DEMO_READERS; i++) {
		struct child *child = i < DEMO_PRODUCERS ? &demo->producers[i].child : &demo->readers[i - DEMO_PRODUCERS].child;

		if (!child_end(child, shmb_now_ns() + DEMO_END_NS) || child->status != 0)
			demo_fail(demo, "%s did not end well: %s", child->label, child_end_text(child, text, sizeof(text)));
		child_deinit(child);
	}
	screen_end(&demo->screen);
	return !demo->is_failed;
}

/* Of each ring a reader must have read everything from its first sample to the last that was ever written. */
static void demo_count(struct demo *demo)
{
	char p50[UNITS_SIZE], p99[UNITS_SIZE], max[UNITS_SIZE];

	for (int i = 0; i < DEMO_READERS; i++) {
		const struct demo_reader *reader = &demo->readers[i];
		uint64_t lost = 0;

		for (size_t s = 0; s < demo->segment_count; s++) {
			const struct demo_report *final = &reader->final[s];
			uint64_t written = demo->segments[s].next - final->first;

			if (final->samples > written)
				demo_fail(demo, "reader %d has read more of %s than was written", i + 1, demo->segments[s].name);
			else
				lost += written - final->samples;
		}
		demo->samples += reader->final_sum.samples;
		demo->torn += reader->final_sum.torn;
		demo->lost += lost;
		screen_say(&demo->screen,
			   "reader %d: %" PRIu64 " samples, lost %" PRIu64 ", torn %" PRIu64 ", latency p50 %s, p99 %s, longest %s", i + 1,
			   reader->final_sum.samples, lost, reader->final_sum.torn, units_duration(p50, reader->final_sum.p50_ns),
			   units_duration(p99, reader->final_sum.p99_ns), units_duration(max, reader->final_sum.max_ns));
	}
}

/* Files that were not there before the first client, and the daemon's descriptors beyond those it had then. `say`: the last look,
 * which names each and keeps the list of files. */
static uint64_t demo_leaks_now(struct demo *demo, bool say)
{
	int descriptors = place_descriptor_count(demo->daemon.pid);
	struct place_files files;
	uint64_t leaks = 0;

	if (place_files_get(&demo->place, &files) < 0)
		leaks++;
	for (size_t i = 0; i < files.count; i++) {
		if (place_files_have(&demo->files_before, files.paths[i]))
			continue;
		leaks++;
		if (say)
			screen_say(&demo->screen, "left over: %s", files.paths[i]);
	}
	if (say)
		demo->files_after = files;
	else
		place_files_deinit(&files);
	if (descriptors < 0 || descriptors > demo->descriptors_before) {
		leaks += descriptors < 0 ? 1 : (uint64_t)(descriptors - demo->descriptors_before);
		if (say)
			screen_say(&demo->screen, "left over: the daemon has %d descriptors, and had %d before the first client",
				   descriptors, demo->descriptors_before);
	}
	return leaks;
}

/* After the daemon's end only its lock may be left; and of processes none. */
static void demo_count_remains(struct demo *demo)
{
	struct place_files files;
	pid_t pid;

	if (place_files_get(&demo->place, &files) < 0)
		demo->leaked++;
	for (size_t i = 0; i < files.count; i++) {
		bool is_counted =
			place_files_have(&demo->files_after, files.paths[i]) && !place_files_have(&demo->files_before, files.paths[i]);

		if (place_file_is_lock(files.paths[i]) || is_counted)
			continue;
		demo->leaked++;
		screen_say(&demo->screen, "left over after the daemon's end: %s", files.paths[i]);
	}
	place_files_deinit(&files);
	/* whatever lost its parent is our child now (PR_SET_CHILD_SUBREAPER) */
	while ((pid = waitpid(-1, NULL, WNOHANG)) >= 0) {
		demo->leaked++;
		screen_say(&demo->screen, "left over: a process");
		if (pid == 0)
			break;
	}
	if (!demo->leaked)
		screen_say(&demo->screen, "no segment, file or process is left");
}

static void demo_count_leaks(struct demo *demo)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	uint64_t patience = shmb_now_ns() + DEMO_END_NS;
	char text[64];

	/* the daemon removes what nobody needs after the linger time */
	while (demo_leaks_now(demo, false) && shmb_now_ns() < patience)
		nanosleep(&pause, NULL);
	demo->leaked = demo_leaks_now(demo, true);
	screen_say(&demo->screen, "all clients have ended; the daemon has %d descriptors, before the first client it had %d",
		   place_descriptor_count(demo->daemon.pid), demo->descriptors_before);
	demo->daemon.may_end = true;
	kill(demo->daemon.pid, SIGTERM);
	if (!child_end(&demo->daemon, shmb_now_ns() + DEMO_END_NS) || demo->daemon.status != 0)
		demo_fail(demo, "the daemon did not end well: %s", child_end_text(&demo->daemon, text, sizeof(text)));
	demo_count_remains(demo);
}

bool demo_tell(struct demo *demo)
{
	if (!demo_begin(demo) || !demo_run_until(demo, demo_time(demo, DEMO_KILL_PRODUCER)) || !demo_kill_producer(demo) ||
	    !demo_run_until(demo, demo_time(demo, DEMO_KILL_PRODUCER + DEMO_PAUSE)) || !demo_take_over(demo) ||
	    !demo_run_until(demo, demo_time(demo, DEMO_KILL_DAEMON)) || !demo_kill_daemon(demo) ||
	    !demo_run_until(demo, demo_time(demo, 1)) || !demo_finish(demo))
		return false;
	demo_count(demo);
	demo_count_leaks(demo);
	return !demo->is_failed;
}
