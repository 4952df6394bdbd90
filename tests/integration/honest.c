/* SPDX-License-Identifier: MIT */
/* Clients that behave (honest.h). */
#include "honest.h"

#include "../soak/worker.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* A ring whose readers are lapped, frames, a queue of jobs, and a block: places in soak_slots, first the writers and then, in their order, their readers. */
static const unsigned slots[HONEST_CLIENTS] = { 2, 4, 6, 13, 16, 19, 20, 21 };

void honest_init(struct honest *honest, struct broker *b, uint64_t seed)
{
	memset(honest, 0, sizeof(*honest));
	honest->b = b;
	honest->page = mmap(NULL, sizeof(*honest->page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(honest->page != MAP_FAILED);
	honest->page->seed = seed;
	for (unsigned i = 0; i < soak_slot_count; i++)
		honest->page->slots[i].is_down = 1;
	for (unsigned i = 0; i < HONEST_WRITERS; i++) {
		ck_assert(soak_role_writes(soak_slots[slots[i]].role));
		ck_assert_uint_eq(soak_slots[slots[i]].segment, soak_slots[slots[HONEST_WRITERS + i]].segment);
	}
}

void honest_deinit(struct honest *honest)
{
	munmap(honest->page, sizeof(*honest->page));
}

static struct soak_slot *slot_of(const struct honest *honest, unsigned which)
{
	return &honest->page->slots[slots[which]];
}

void honest_start(struct honest *honest)
{
	fflush(NULL);
	for (unsigned i = 0; i < HONEST_CLIENTS; i++) {
		pid_t pid;

		if (honest->pids[i] != 0)
			continue;
		pid = fork();
		ck_assert_int_ge(pid, 0);
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (nice(5) < 0) /* they compute all the time */
				_exit(126);
			_exit(worker_run(honest->page, slots[i], honest->b->socket));
		}
		honest->pids[i] = pid;
	}
}

void honest_look(struct honest *honest)
{
	for (unsigned i = 0; i < HONEST_CLIENTS; i++) {
		const struct soak_slot *slot = slot_of(honest, i);
		int status;

		ck_assert_msg(slot->text[0] == '\0', "%s: %s", soak_role_name(soak_slots[slots[i]].role), slot->text);
		ck_assert_msg(honest->pids[i] == 0 || waitpid(honest->pids[i], &status, WNOHANG) == 0, "a %s has ended",
			      soak_role_name(soak_slots[slots[i]].role));
	}
}

void honest_wait(struct honest *honest)
{
	for (unsigned i = 0; i < HONEST_CLIENTS; i++) {
		uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);

		while (slot_of(honest, i)->is_down != 0) {
			honest_look(honest);
			ck_assert_msg(suite_pause(deadline), "a %s cannot open its segment", soak_role_name(soak_slots[slots[i]].role));
		}
	}
}

void honest_kill(struct honest *honest, unsigned which)
{
	bool is_writer = which < HONEST_WRITERS && slot_of(honest, which)->is_down == 0; /* and not one that was still to open */
	unsigned reader = HONEST_WRITERS + which;

	if (honest->pids[which] == 0)
		return;
	if (is_writer) {
		honest->awaited[reader] = true;
		honest->told[reader] = slot_of(honest, reader)->detections;
	}
	slot_of(honest, which)->is_down = 1;
	kill(honest->pids[which], SIGKILL);
	ck_assert_int_eq(waitpid(honest->pids[which], NULL, 0), honest->pids[which]);
	honest->pids[which] = 0;
}

void honest_wait_told(struct honest *honest)
{
	for (unsigned i = 0; i < HONEST_CLIENTS; i++) {
		uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);

		/* Where there is no reader or there is a writer again, nobody has to be told. */
		while (honest->awaited[i] && honest->pids[i] != 0 && honest->pids[i - HONEST_WRITERS] == 0 &&
		       slot_of(honest, i)->detections == honest->told[i]) {
			honest_look(honest);
			ck_assert_msg(suite_pause(deadline), "a %s does not hear that its writer is dead",
				      soak_role_name(soak_slots[slots[i]].role));
		}
		honest->awaited[i] = false;
	}
}

static void quit(struct honest *honest, unsigned which)
{
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);
	int status = 0;

	while (waitpid(honest->pids[which], &status, WNOHANG) == 0)
		ck_assert_msg(suite_pause(deadline), "a %s does not end", soak_role_name(soak_slots[slots[which]].role));
	honest->pids[which] = 0;
	ck_assert_msg(slot_of(honest, which)->text[0] == '\0', "%s: %s", soak_role_name(soak_slots[slots[which]].role),
		      slot_of(honest, which)->text);
	ck_assert_int_eq(status, 0);
}

uint64_t honest_finish(struct honest *honest)
{
	uint64_t written = 0;

	/* Readers go on to what was written last. */
	for (unsigned i = 0; i < HONEST_WRITERS; i++) {
		slot_of(honest, i)->quit = 1;
		quit(honest, i);
		written += honest->page->segments[soak_slots[slots[i]].segment].done;
	}
	for (unsigned i = HONEST_WRITERS; i < HONEST_CLIENTS; i++)
		slot_of(honest, i)->quit = 1;
	for (unsigned i = HONEST_WRITERS; i < HONEST_CLIENTS; i++)
		quit(honest, i);
	return written;
}
