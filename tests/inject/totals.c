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
	_Atomic uint64_t done[PAIRS]; /* faults at places: a set */
	struct place places[PLACES];
} * totals;

static unsigned complaints;
static const char *test_name = "";

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

enum { KILLED = 0x1000 }; /* among errors */

void forced(const struct inject_page *page, bool is_library, bool kills)
{
	if (!atomic_load(&page->fired) || (!kills && page->error == 0))
		return;
	if (kills)
		atomic_fetch_add(&totals->kills[is_library], 1);
	else if (inject_is_memory(page->call))
		atomic_fetch_add(&totals->memory[is_library], 1);
	else
		atomic_fetch_add(&totals->errors[is_library], 1);
	if (set_add(totals->done, sizeof(totals->done[0]), PAIRS,
		    key_of(is_library, page->call, page->key, kills ? KILLED : (uint32_t)page->which)) &&
	    !kills && !inject_is_memory(page->call))
		atomic_fetch_add(&totals->pairs[is_library], 1);
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
		printf("forced: %s: at %u places in the code %u errors of calls (%u of place and error), %u allocations failed, %u kills\n",
		       sides[side], places[side], totals->errors[side], totals->pairs[side], totals->memory[side], totals->kills[side]);
	printf("forced: %u scenes and starts\n", totals->tests);
}

/* ---- what to force ---- */

void plan_init(struct plan *plan, struct inject_page *page, bool is_library, bool kills)
{
	unsigned calls = atomic_load(&page->calls);
	unsigned *numbers = calloc(INJECT_SITES, sizeof(*numbers));

	*plan = (struct plan){ .page = page, .is_library = is_library, .kills = kills };
	plan->calls = calloc(INJECT_TRACE, sizeof(*plan->calls));
	for (unsigned i = 0; i < calls && i < INJECT_TRACE; i++) {
		unsigned site = (page->trace[i] - 1u) % INJECT_SITES;

		plan->calls[plan->length++] = (struct planned){ .call = page->sites[site].call,
								.key = atomic_load(&page->sites[site].key),
								.number = numbers[site]++,
								.errors = kills ? 1 : page->errors[i] };
	}
	free(numbers);
}

void plan_deinit(struct plan *plan)
{
	free(plan->calls);
}

bool plan_next(struct plan *plan)
{
	struct inject_page *page = plan->page;

	while (plan->at < plan->length) {
		const struct planned *next = &plan->calls[plan->at];
		unsigned which = plan->which++;

		if (plan->which >= next->errors) {
			plan->which = 0;
			plan->at++;
		}
		if (which >= next->errors)
			continue;
		if (!totals->all &&
		    set_has(totals->done, PAIRS, key_of(plan->is_library, next->call, next->key, plan->kills ? KILLED : which)))
			continue;
		page->call = next->call;
		page->key = next->key;
		page->number = next->number;
		page->which = which;
		page->error = 0;
		page->armed = plan->kills ? INJECT_KILL : INJECT_FAIL;
		atomic_store(&page->seen, 0);
		atomic_store(&page->fired, false);
		atomic_store(&page->mode, page->armed);
		return true;
	}
	return false;
}

/* ---- complaints ---- */

static void print_place(const struct inject_page *page, bool is_library)
{
	char command[512];
	char line[256] = "?";
	FILE *in;

	snprintf(command, sizeof(command), "LD_PRELOAD= addr2line -f -e '%s' %#x", is_library ? SHMB_BUILT_LIBRARY : SHMB_BUILT_DAEMON,
		 page->key - 1);
	in = popen(command, "re");
	if (in != NULL && fgets(line, sizeof(line), in) != NULL)
		line[strcspn(line, "\n")] = '\0';
	if (in != NULL)
		pclose(in);
	printf("%s: call %u, %s in %s, %s %s: ", test_name, page->number, inject_call_name(page->call), line,
	       page->armed == INJECT_KILL ? "killed" : "failed with",
	       page->error != 0 ? strerrorname_np(page->error < 0 ? -page->error : page->error) : "");
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
	print_place(page, is_library);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	ck_assert_msg(complaints < COMPLAINTS_MAX, "too much does not hold");
}

void complaints_end(void)
{
	ck_assert_msg(complaints == 0, "%u times something did not hold", complaints);
}
