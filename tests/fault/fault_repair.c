/* SPDX-License-Identifier: MIT */
/*
 * Repair, for every kind: how soon after a death it is done, and that it may itself be cut off at each of its steps, with readers reading and
 * waiters asleep meanwhile. What the next daemon makes of it is what an undisturbed repair makes.
 */
#include "../support/client.h"
#include "look.h"

#include <errno.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Who dies, where, and what is right afterwards. */
static const struct death {
	const char *what, *open, *prepare, *step, *last; /* of the one that dies */
	const char *reader, *loop;			 /* somebody who reads on, or sleeps */
	uint64_t counter;				 /* afterwards; UINT64_MAX: a block, which has none */
	unsigned cells;					 /* of those that live */
} deaths[] = {
	{ "ring, in a write", "writer name=r bytes=4096 capacity=8 salt=1", "write n=3", "slot.claimed", "write n=1",
	  "reader name=r bytes=4096", "watch", 3, 1 },
	{ "ring, after the payload", "writer name=r bytes=4096 capacity=8 salt=1", "write n=3", "slot.published", "write n=1",
	  "reader name=r bytes=4096", "watch", 4, 1 },
	{ "value, in a write", "writer name=r kind=value bytes=64 salt=1", "write n=3", "slot.filled", "write n=1",
	  "reader name=r kind=value bytes=64", "watch", 3, 1 },
	{ "frame, with a loan and pins", "frame-writer name=r bytes=4096 history=1 pins=1 salt=1", "frame-write n=2", "frame.filled",
	  "frame-write n=1", "frame-reader name=r", NULL, 2, 1 },
	{ "frame, after the payload", "frame-writer name=r bytes=4096 history=1 pins=1 salt=1", "frame-write n=2", "frame.published",
	  "frame-write n=1", "frame-reader name=r", NULL, 3, 1 },
	{ "queue, after the payload", "producer name=r bytes=64 capacity=4 salt=1", "push n=2", "queue.published", "push n=1",
	  "consumer name=r", "consume n=4 deadline=60000", 3, 1 },
	{ "block, with the lock", "block name=r", "lock deadline=forever", NULL, NULL, "block name=r", "lock deadline=60000", UINT64_MAX,
	  1 },
};
enum { DEATHS = sizeof(deaths) / sizeof(deaths[0]) };

static bool is_kind(const struct death *death, const char *kind)
{
	return strncmp(death->what, kind, strlen(kind)) == 0;
}

struct scene {
	struct broker b;
	struct program victim, other, pins;
};

/* Everybody in place, and the victim stopped where it will die. */
static void scene_make(struct scene *scene, const struct death *death)
{
	worker_start(&scene->victim, &scene->b, "victim", true);
	worker_start(&scene->other, &scene->b, "other", false);
	worker_start(&scene->pins, &scene->b, "pins", false);
	worker_must(&scene->victim, "%s", death->open);
	worker_must(&scene->victim, "%s", death->prepare);
	worker_must(&scene->other, "%s", death->reader);
	if (is_kind(death, "frame")) {
		worker_must(&scene->other, "frame-pin");
		worker_must(&scene->pins, "%s", death->reader);
		worker_must(&scene->pins, "frame-pin");
	}
	if (death->loop != NULL) {
		program_send(&scene->other, "%s", death->loop);
		if (strcmp(death->loop, "watch") == 0)
			worker_answer(&scene->other);
	}
	if (death->step != NULL) {
		worker_must(&scene->victim, "step at=%s do=stop", death->step);
		program_send(&scene->victim, "%s", death->last);
		program_wait_stopped(&scene->victim);
	}
}

/* As it must be in the end. */
static bool is_mended(struct broker *b, const struct death *death)
{
	struct shmb_shm_card card;

	look_card(b, "r", &card);
	return atomic_load(&card.lease_pid) == 0 && look_cells(b, "r") == death->cells && look_bits(b, "r") == death->cells;
}

static void mended_check(struct scene *scene, const struct death *death)
{
	struct shmb_shm_card card;

	look_card(&scene->b, "r", &card);
	ck_assert_uint_eq(look_half_written(&scene->b, "r"), 0);
	ck_assert_uint_eq(atomic_load(&card.state) & 0xff, SHMB_STATE_FREE);
	if (death->counter != UINT64_MAX) {
		ck_assert_uint_eq(look_counter(&scene->b, "r"), death->counter);
		ck_assert_uint_eq(atomic_load(&card.writer) & 0xff, SHMB_WRITER_DEAD);
	}
	if (is_kind(death, "frame"))
		ck_assert_uint_eq(look_pins(&scene->b, "r", false), 1); /* of the one that lives */
}

/* What those that live have seen of it. */
static void others_check(struct scene *scene, const struct death *death)
{
	struct answer end;

	if (is_kind(death, "queue")) {
		for (unsigned n = 0; n < death->counter; n++)
			ck_assert_ptr_nonnull(strstr(program_line(&scene->other, SUITE_PATIENCE_MS), "item "));
		ASSERT_RESULT(worker_answer(&scene->other), -EOWNERDEAD);
	} else if (is_kind(death, "block")) {
		ASSERT_RESULT(worker_answer(&scene->other), SHMB_BLOCK_OWNER_DIED);
		worker_must(&scene->other, "recovered");
		worker_must(&scene->other, "unlock");
	} else if (is_kind(death, "frame")) {
		ck_assert_uint_eq(worker_must(&scene->other, "frame-check").v[1], 0);
		ck_assert_uint_eq(worker_must(&scene->other, "frame-release").v[0], 0);
	} else {
		end = worker_must(&scene->other, "stop last=%llu", (unsigned long long)death->counter - 1);
		ck_assert_msg(end.v[2] + end.v[3] + end.v[6] == 0 && end.v[7] == death->counter - 1,
			      "torn %d backward %d others %d last %d", (int)end.v[2], (int)end.v[3], (int)end.v[6], (int)end.v[7]);
	}
}

static void scene_end(struct scene *scene)
{
	worker_ask(&scene->other, "remove name=none"); /* is connected */
	worker_quit(&scene->other);
	if (!scene->pins.ended)
		program_kill(&scene->pins);
	broker_finish(&scene->b);
}

/* ---- how soon ---- */

/* Who looks must not wait for a processor itself, nor keep one from the daemon: it sleeps between two looks, and asks for turns as short as the daemon's (its children do not). */
static void look_promptly(void)
{
	struct sched_attr attr = { .size = sizeof(attr), .sched_flags = SCHED_FLAG_RESET_ON_FORK, .sched_runtime = 100000 };

	syscall(SYS_sched_setattr, 0, &attr, 0); /* before Linux 6.12 it changes nothing */
}

/* Nanoseconds from the moment a pidfd tells of the death until the memory is mended. */
static uint64_t repaired_after(const struct death *death)
{
	struct scene scene = { 0 };
	struct pollfd dead;
	uint64_t begin;
	uint64_t end;

	broker_start(&scene.b, NULL);
	scene_make(&scene, death);
	if (is_kind(death, "frame"))
		program_kill(&scene.pins);
	if (is_kind(death, "frame"))
		WAIT_UNTIL(look_cells(&scene.b, "r") == 1);
	dead = (struct pollfd){ .fd = pidfd_open(scene.victim.pid, 0), .events = POLLIN };
	ck_assert_int_ge(dead.fd, 0);
	kill(scene.victim.pid, SIGKILL);
	ck_assert_int_eq(poll(&dead, 1, SUITE_PATIENCE_MS), 1);
	begin = now_ns();
	close(dead.fd);
	while (!is_mended(&scene.b, death)) {
		nanosleep(&(struct timespec){ .tv_nsec = 50000 }, NULL);
		ck_assert_msg(now_ns() - begin < UINT64_C(5000000000) * suite_slow(), "%s: not mended 5 s after the death", death->what);
	}
	end = now_ns();
	program_wait(&scene.victim);
	mended_check(&scene, death);
	others_check(&scene, death);
	scene_end(&scene);
	return end - begin;
}

START_TEST(repair_comes_soon_after_the_death)
{
	uint64_t worst = 0;

	look_promptly();
	for (unsigned i = 0; i < DEATHS; i++) {
		unsigned late = 0;

		for (unsigned round = 0; round < 5; round++) {
			uint64_t took = repaired_after(&deaths[i]);

			late += took >= UINT64_C(500000000) * suite_slow();
			worst = took > worst ? took : worst;
		}
		ck_assert_msg(late <= 1, "%s: %u of 5 mended 500 ms after the death", deaths[i].what, late);
	}
	printf("forced: %d deaths of %d kinds: mended at most %.2f ms after the death was known (the goal is 10)\n", 5 * (int)DEATHS,
	       (int)DEATHS, (double)worst / 1e6);
}
END_TEST

/* ---- cut off ---- */

static const char *const steps[] = { "release.begin",	  "release.state", "repair.counter", "repair.slot",
				     "repair.mended",	  "repair.loan",   "repair.verdict", "release.pid",
				     "repair.waking",	  "repair.woken",  "repair.lock",    "repair.locked",
				     "repair.lock.woken", "cell.unbit",	   "cell.left",	     "cell.free" };
enum { STEPS = sizeof(steps) / sizeof(steps[0]) };

/* Returns whether the daemon died there. */
static bool cut_off(const struct death *death, const char *step)
{
	struct scene scene = { 0 };
	struct program asker;
	uint64_t deadline;
	bool died = false;

	/* What is passed at a grant as well is forced in the repair only: the segment is made under a daemon before. */
	broker_start(&scene.b, NULL);
	scene_make(&scene, death);
	broker_kill(&scene.b);
	scene.b.options.steps = true;
	scene.b.options.step_at = step;
	scene.b.started_once = false;
	broker_restart(&scene.b);
	if (is_kind(death, "frame"))
		program_kill(&scene.pins);
	program_kill(&scene.victim);
	deadline = deadline_in(SUITE_PATIENCE_MS);
	while (!is_mended(&scene.b, death) || (!died && program_has_ended(&scene.b.daemon))) {
		if (program_has_ended(&scene.b.daemon)) {
			ck_assert(!died);
			ck_assert_int_eq(program_wait(&scene.b.daemon), -SIGKILL);
			died = true;
			broker_restart(&scene.b);
		}
		ck_assert_msg(suite_pause(deadline), "%s, %s: never mended", death->what, step);
	}
	/* It may be the last step of all, after the memory was mended: who is answered now is answered after it. */
	worker_start(&asker, &scene.b, "asker", false);
	if (!died && worker_ask(&asker, "remove name=none").result != -ENOENT) {
		ck_assert_int_eq(program_wait(&scene.b.daemon), -SIGKILL);
		died = true;
		broker_restart(&scene.b);
	}
	worker_quit(&asker);
	if (!died) { /* this repair does not come there; the end of the others must not either */
		broker_kill(&scene.b);
		broker_restart(&scene.b);
	}
	mended_check(&scene, death);
	others_check(&scene, death);
	scene_end(&scene);
	return died;
}

START_TEST(repair_cut_off_at_each_step)
{
	unsigned reached[STEPS] = { 0 };
	unsigned forced = 0;

	for (unsigned i = 0; i < DEATHS; i++) {
		for (unsigned step = 0; step < STEPS; step++)
			reached[step] += cut_off(&deaths[i], steps[step]);
	}
	for (unsigned step = 0; step < STEPS; step++) {
		ck_assert_msg(reached[step] > 0, "nothing ever comes to %s", steps[step]);
		forced += reached[step];
	}
	printf("forced: repair cut off %u times at %d steps, for %d deaths\n", forced, (int)STEPS, (int)DEATHS);
}
END_TEST

/* The steps above are those in the sources: a new one must be tested here. */
START_TEST(every_step_of_a_repair_is_known)
{
	static const char *const files[] = { "repair.c", "lease.c", "cells.c" };
	static const char *const others[] = { "adopt.",	     "grant.",		 "cell.uid", "cell.bind", "cell.clear",
					      "cell.cookie", "cell.incarnation", "cell.pid", "cell.bit" };
	unsigned found = 0;

	for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char path[1024];
		char *text;

		snprintf(path, sizeof(path), "%s/daemon/%s", path_source(), files[i]);
		text = file_read(path, NULL);
		ck_assert_ptr_nonnull(text);
		for (const char *at = text; (at = strstr(at, "SHMB_STEP(\"")) != NULL; at++) {
			const char *name = at + strlen("SHMB_STEP(\"");
			size_t length = strcspn(name, "\"");
			unsigned known = 0;

			for (unsigned step = 0; step < STEPS; step++)
				known += strlen(steps[step]) == length && strncmp(name, steps[step], length) == 0;
			for (unsigned o = 0; o < sizeof(others) / sizeof(others[0]); o++)
				known += strncmp(name, others[o], strlen(others[o])) == 0;
			ck_assert_msg(known >= 1, "%s: a step of a repair that is not forced here: %.*s", files[i], (int)length, name);
			found++;
		}
		free(text);
	}
	ck_assert_uint_ge(found, STEPS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fault: repair");

	suite_add(suite, every_step_of_a_repair_is_known, 10);
	suite_add(suite, repair_comes_soon_after_the_death, 60);
	suite_add(suite, repair_cut_off_at_each_step, 180);
	return suite_run(suite);
}
