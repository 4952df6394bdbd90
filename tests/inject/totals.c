/* SPDX-License-Identifier: MIT */
/* What has been reached and forced, by all tests together; and what is to be forced next (play.h). */
#include "play.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAIRS = 1 << 16, PLACES = 4096, COMPLAINTS_MAX = 400 };

struct place {
	_Atomic uint64_t key; /* 0 none; side, call, place */
	atomic_uint count;
};

static struct {
	bool all;
	atomic_uint tests;
	atomic_uint errors[2];
	atomic_uint memory[2];
	atomic_uint kills[2];
	atomic_uint pairs[2];
	atomic_uint later[2];	      /* of all these, after another failure */
	_Atomic uint64_t done[PAIRS]; /* faults at places: a set */
	struct place places[PLACES];
} * totals;

static unsigned complaints;
static const char *test_name = "";

/* Of a sanitizer, where one is built in. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));
static const struct inject_page *playing;
static bool playing_library;

/* ---- sums ---- */

static uint64_t key_of(bool is_library, uint32_t call, uint32_t key, uint32_t more)
{
	return (uint64_t)1 << 63 | (uint64_t)is_library << 62 | (uint64_t)(more & 0x1fff) << 48 | (uint64_t)call << 32 | key;
}

/* Puts it in; false: it was there. */
static bool set_add(_Atomic uint64_t *set, size_t stride, unsigned size, uint64_t key)
{
	for (unsigned i = 0, at = (unsigned)(key * UINT64_C(0x9e3779b97f4a7c15) >> 40) % size; i < size; i++, at = (at + 1) % size) {
		_Atomic uint64_t *slot = (_Atomic uint64_t *)((char *)set + at * stride);
		uint64_t none = 0;

		if (atomic_load(slot) == key)
			return false;
		if (atomic_compare_exchange_strong(slot, &none, key))
			return true;
		if (none == key)
			return false;
	}
	return false;
}

static bool set_has(const _Atomic uint64_t *set, unsigned size, uint64_t key)
{
	for (unsigned i = 0, at = (unsigned)(key * UINT64_C(0x9e3779b97f4a7c15) >> 40) % size; i < size; i++, at = (at + 1) % size) {
		uint64_t there = atomic_load(&set[at]);

		if (there == key || there == 0)
			return there == key;
	}
	return false;
}

void sites_merge(struct inject_page *page, bool is_library)
{
	for (unsigned i = 0; i < INJECT_SITES; i++) {
		struct inject_site *site = &page->sites[i];

		if (atomic_load(&site->key) != 0)
			set_add(&totals->places[0].key, sizeof(totals->places[0]), PLACES,
				key_of(is_library, site->call, atomic_load(&site->key), 0));
		atomic_store(&site->key, 0);
		atomic_store(&site->count, 0);
	}
}

enum { KILLED = 0x1000, CONTEXT = 0x800 }; /* among errors */

static uint64_t key_of_fault(const struct plan *plan, const struct inject_fault *fault, bool kills)
{
	return key_of(plan->is_library, fault->call, fault->key, kills ? KILLED : fault->which);
}

static uint64_t key_of_context(const struct plan *plan, const struct inject_fault *fault, uint32_t context)
{
	return key_of(plan->is_library, fault->call, fault->key ^ context, CONTEXT);
}

void forced(const struct plan *plan)
{
	const struct inject_page *page = plan->page;
	const struct inject_fault *last = inject_last(page);
	bool is_library = plan->is_library;
	bool kills = page->armed == INJECT_KILL;

	if (!inject_is_done(page) || (!kills && last->error == 0))
		return;
	if (kills)
		atomic_fetch_add(&totals->kills[is_library], 1);
	else if (inject_is_memory(last->call))
		atomic_fetch_add(&totals->memory[is_library], 1);
	else
		atomic_fetch_add(&totals->errors[is_library], 1);
	if (page->fault_count > 1)
		atomic_fetch_add(&totals->later[is_library], 1);
	if (set_add(totals->done, sizeof(totals->done[0]), PAIRS, key_of_fault(plan, last, kills)) && !kills &&
	    !inject_is_memory(last->call))
		atomic_fetch_add(&totals->pairs[is_library], 1);
	if (!kills && last->which == 0)
		set_add(totals->done, sizeof(totals->done[0]), PAIRS, key_of_context(plan, last, plan->chains[plan->at - 1].context));
}

void play_init(bool all)
{
	totals = mmap(NULL, sizeof(*totals), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (totals == MAP_FAILED)
		abort();
	totals->all = all;
}

void play_totals(const char *sites)
{
	static const char *const sides[] = { "daemon", "library" };
	unsigned places[2] = { 0, 0 };
	FILE *out = sites != NULL ? fopen(sites, "we") : NULL;

	for (unsigned i = 0; i < PLACES; i++) {
		uint64_t key = atomic_load(&totals->places[i].key);

		if (key == 0)
			continue;
		places[key >> 62 & 1]++;
		if (out != NULL)
			fprintf(out, "%s %s %x\n", sides[key >> 62 & 1], inject_call_name(key >> 32 & 0xffff), (unsigned)(uint32_t)key);
	}
	if (out != NULL)
		fclose(out);
	for (unsigned side = 0; side < 2; side++)
		printf("forced: %s: at %u places in the code %u errors of calls (%u of place and error), %u allocations failed, %u kills; "
		       "%u of all these after another failure\n",
		       sides[side], places[side], totals->errors[side], totals->pairs[side], totals->memory[side], totals->kills[side],
		       totals->later[side]);
	printf("forced: %u scenes and starts\n", totals->tests);
}

/* ---- what to force ---- */

static void plan_add(struct plan *plan, const struct planned *chain)
{
	if (plan->length == plan->room) {
		plan->room = plan->room > 0 ? 2 * plan->room : 256;
		plan->chains = reallocarray(plan->chains, plan->room, sizeof(*plan->chains));
		if (plan->chains == NULL)
			abort();
	}
	plan->chains[plan->length++] = *chain;
}

/* After these faults one more: each error of this call of the page's trace, or a kill. */
static void plan_extend(struct plan *plan, const struct planned *before, unsigned call, unsigned number, bool kills)
{
	const struct inject_page *page = plan->page;
	unsigned site = (page->trace[call] - 1u) % INJECT_SITES;
	struct planned chain = *before;
	struct inject_fault *last = &chain.faults[chain.count++];

	*last = (struct inject_fault){ .call = page->sites[site].call, .key = atomic_load(&page->sites[site].key), .number = number };
	chain.kills = kills;
	for (unsigned which = 0; which < (kills ? 1 : page->errors[call]); which++) {
		last->which = which;
		chain.context = page->contexts[call];
		plan_add(plan, &chain);
	}
}

void plan_init(struct plan *plan, struct inject_page *page, bool is_library, bool kills)
{
	unsigned calls = atomic_load(&page->calls);
	unsigned numbers[INJECT_SITES] = { 0 };

	*plan = (struct plan){ .page = page, .is_library = is_library, .kills = kills };
	for (unsigned i = 0; i < calls && i < INJECT_TRACE; i++) {
		unsigned site = (page->trace[i] - 1u) % INJECT_SITES;

		plan->clean[site] = true;
		plan_extend(plan, &(struct planned){ 0 }, i, numbers[site]++, kills);
	}
}

void plan_deinit(struct plan *plan)
{
	free(plan->chains);
}

static bool is_done(const struct plan *plan, const struct planned *chain)
{
	const struct inject_fault *last = &chain->faults[chain->count - 1];

	if (totals->all && chain->count == 1)
		return false;
	if (!set_has(totals->done, PAIRS, key_of_fault(plan, last, chain->kills)))
		return false;
	return chain->kills || last->which > 0 || set_has(totals->done, PAIRS, key_of_context(plan, last, chain->context));
}

/* What was called after the faults that have just been forced, and is not called without them. */
static void plan_learn(struct plan *plan, const struct planned *chain)
{
	const struct inject_page *page = plan->page;
	unsigned calls = atomic_load(&page->calls);
	bool seen[INJECT_SITES] = { false };

	if (!inject_is_done(page) || page->armed == INJECT_KILL || chain->count == INJECT_FAULTS)
		return;
	for (unsigned i = 0; i < calls && i < INJECT_TRACE; i++) {
		unsigned site = (page->trace[i] - 1u) % INJECT_SITES;

		if (plan->clean[site] || seen[site])
			continue;
		seen[site] = true;
		plan_extend(plan, chain, i, 0, false);
		if (plan->kills_later)
			plan_extend(plan, chain, i, 0, true);
	}
}

bool plan_next(struct plan *plan)
{
	struct inject_page *page = plan->page;

	if (plan->at > 0) {
		struct planned before = plan->chains[plan->at - 1];

		plan_learn(plan, &before);
	}
	for (; plan->at < plan->length; plan->at++) {
		const struct planned *next = &plan->chains[plan->at];

		if (is_done(plan, next))
			continue;
		memcpy(page->faults, next->faults, sizeof(page->faults));
		page->fault_count = next->count;
		page->armed = next->kills ? INJECT_KILL : INJECT_FAIL;
		atomic_store(&page->seen, 0);
		atomic_store(&page->fired, 0);
		atomic_store(&page->calls, 0);
		atomic_store(&page->mode, page->armed);
		plan->at++;
		return true;
	}
	return false;
}

/* ---- complaints ---- */

static void print_place(const struct inject_page *page, const struct inject_fault *fault, bool is_library)
{
	char command[512];
	char line[256] = "?";
	FILE *in;

	snprintf(command, sizeof(command), "LD_PRELOAD= addr2line -f -e '%s' %#x", is_library ? SHMB_BUILT_LIBRARY : SHMB_BUILT_DAEMON,
		 fault->key - 1);
	in = popen(command, "re");
	if (in != NULL && fgets(line, sizeof(line), in) != NULL)
		line[strcspn(line, "\n")] = '\0';
	if (in != NULL)
		pclose(in);
	printf("call %u, %s in %s, %s%s", fault->number, inject_call_name(fault->call), line,
	       page->armed == INJECT_KILL && fault == inject_last(page) ? "killed" : "failed with ", inject_error_name(fault->error));
}

void test_begins(const char *name)
{
	test_name = name;
	atomic_fetch_add(&totals->tests, 1);
}

void complain(const struct inject_page *page, bool is_library, const char *format, ...)
{
	va_list args;

	complaints++;
	printf("%s: ", test_name);
	for (unsigned i = 0; i < page->fault_count; i++) {
		print_place(page, &page->faults[i], is_library);
		printf(i + 1 < page->fault_count ? "; then " : ": ");
	}
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	ck_assert_msg(complaints < COMPLAINTS_MAX, "too much does not hold");
}

/* Its report tells what is wrong here, but not after which fault. */
static void dying(void)
{
	complain(playing, playing_library, "a sanitizer has reported this process, %d: see below", (int)getpid());
}

void complain_when_dying(const struct inject_page *page, bool is_library)
{
	playing = page;
	playing_library = is_library;
	if (__sanitizer_set_death_callback != NULL)
		__sanitizer_set_death_callback(dying);
}

bool complain_of_report(const struct inject_page *page, bool is_library, pid_t daemon)
{
	bool reported = suite_has_reported(daemon);

	if (reported)
		complain(page, is_library, "a sanitizer has reported the daemon, %d: see below", (int)daemon);
	return reported;
}

void complaints_end(void)
{
	ck_assert_msg(complaints == 0, "%u times something did not hold", complaints);
}
