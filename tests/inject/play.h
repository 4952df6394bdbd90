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
/*
 * What is to be forced: at each place that the page has seen, each error, the first of them from each pair of callers; then those that come only after a fault, which fail, or are killed at, after it; and
 * those that come only after these two.
 */
struct plan {
	struct inject_page *page;
	struct planned {
		struct inject_fault faults[INJECT_FAULTS]; /* the last one's error is the next */
		uint32_t count;
		uint32_t context; /* of the last, with its first error */
		bool kills;
	} * chains;
	unsigned length;
	unsigned room;
	unsigned at;		  /* the next */
	bool clean[INJECT_SITES]; /* places that are reached without a fault */
	bool is_library;
	bool kills;
	bool kills_later; /* after faults */
};
void plan_init(struct plan *plan, struct inject_page *page, bool is_library, bool kills);
/* Learns from the play before, and arms the page with what comes next. False: nothing does. */
bool plan_next(struct plan *plan);
void plan_deinit(struct plan *plan);
/* Counts what was forced, if it was. */
void forced(const struct plan *plan);
/* Remembers the places that the page has seen. */
void sites_merge(struct inject_page *page, bool is_library);
/* A test begins: its name is for complaints. */
void test_begins(const char *name);
/* Something does not hold: says what, and after which fault. */
void complain(const struct inject_page *page, bool is_library, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* From now on also when a sanitizer ends this process, or one that is forked. */
void complain_when_dying(const struct inject_page *page, bool is_library);
/* When a sanitizer has reported the daemon, which has ended. True: it has. */
bool complain_of_report(const struct inject_page *page, bool is_library, pid_t daemon);
/* Fails the test when there were complaints. */
void complaints_end(void);

#endif
