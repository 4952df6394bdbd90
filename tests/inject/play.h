/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_PLAY_H
#define SHMB_TESTS_PLAY_H

/* The scenes with their faults, what must hold after each, and the sums. */

#include "inject.h"
#include "scenes.h"

enum way { FAIL_IN_DAEMON, FAIL_IN_LIBRARY, KILL_DAEMON, KILL_CLIENT, WAYS };

/* In each process of tests: its library calls come by the hooks from now on. */
void library_hook(void);
/* Before any fork: what all tests share. */
void play_init(bool all);
/* What has been reached and forced; the places reached, a line each, into a file (NULL: none). */
void play_totals(const char *sites);

bool play_applies(const struct scene *scene, enum way way);
void play(const struct scene *scene, enum way way);

/* Starts and ends of the daemon (start.c). */
extern const unsigned start_count;
const char *start_name(unsigned kind);
void play_start(unsigned kind);

/* ---- for start.c ---- */

/* The daemon's page, and where it finds it. */
struct inject_page *daemon_page(void);
void daemon_page_drop(void);
/* Counts the calls from now. */
void page_count(struct inject_page *page);
void page_disarm(struct inject_page *page);
/* What is to be forced of what the page has counted. */
struct plan {
	struct inject_page *page;
	unsigned length; /* calls */
	struct planned {
		uint32_t call, key, number;
		uint32_t errors;
	} * calls;
	unsigned at;	/* the next call */
	unsigned which; /* and its error */
	bool is_library;
	bool kills;
};
void plan_init(struct plan *plan, struct inject_page *page, bool is_library, bool kills);
/* Arms the page with the next fault. False: there is none. */
bool plan_next(struct plan *plan);
void plan_deinit(struct plan *plan);
/* Counts what was forced, if it was. */
void forced(const struct inject_page *page, bool is_library, bool kills);
/* Remembers the places that the page has seen. */
void sites_merge(struct inject_page *page, bool is_library);
/* A test begins: its name is for complaints. */
void test_begins(const char *name);
/* Something does not hold: says what, and after which fault. */
void complain(const struct inject_page *page, bool is_library, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Fails the test when there were complaints. */
void complaints_end(void);

#endif
