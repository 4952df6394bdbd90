/* SPDX-License-Identifier: MIT */
/*
 * ring.closest, ring.bracket, ring.fresh: 64 samples of 64 bytes whose stamps are 1 ms apart with 1 % jitter, random times between the first and the
 * last, results by copy. memcpy is the copies alone, of samples at random places: one, two for a bracket.
 */
#include "parts.h"

#include <stdio.h>
#include <stdlib.h>

#include "common.h"
#include "shmb.h"

enum { SAMPLES = 64, TARGETS = 4096, SPACING_NS = 1000000, JITTER_NS = SPACING_NS / 100 };

SHMB_TYPE(bench_sample, (uint64, stamp_ns)(uint64, values, 7));

struct search {
	struct shmb *broker;
	struct shmb_ring_writer *writer;
	struct shmb_ring_reader *reader;
	uint64_t stamps[SAMPLES];
	struct shmb_key_monotonic targets[TARGETS];
	unsigned next;
};

static const char ring_name[] = "bench/search";

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void search_deinit(void *state)
{
	struct search *search = state;

	shmb_ring_reader_close(search->reader);
	shmb_ring_writer_close(search->writer);
	shmb_remove(search->broker, ring_name);
	free(search);
}

static int search_fill(struct search *search)
{
	uint64_t random = UINT64_C(0x9e3779b97f4a7c15);
	struct shmb_rule_monotonic rule;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < SAMPLES; i++) {
		struct bench_sample sample = { .values = { i } };

		sample.stamp_ns = (uint64_t)(i + 1) * SPACING_NS + random_next(&random) % (2 * JITTER_NS) - JITTER_NS;
		search->stamps[i] = sample.stamp_ns;
		r = shmb_ring_insert(search->writer, &sample);
	}
	rule = shmb_rule_range_monotonic(search->stamps[0], search->stamps[SAMPLES - 1]);
	for (unsigned i = 0; r == 0 && i < TARGETS; i++) {
		uint64_t span = search->stamps[SAMPLES - 1] - search->stamps[0];

		r = shmb_key_make(&search->targets[i], search->stamps[0] + random_next(&random) % span, &rule);
	}
	return r;
}

static int search_init(void **state, const struct bench_place *place)
{
	const struct shmb_options options = {
		.capacity = place->which->slots,
		.key_clock = SHMB_CLOCK_MONOTONIC,
		.key_field = "stamp_ns",
	};
	struct search *search = calloc(1, sizeof(*search));
	int r;

	if (search == NULL)
		return -ENOMEM;
	search->broker = place->broker;
	r = shmb_ring_writer_open(&search->writer, place->broker, ring_name, &bench_sample_type, &options);
	if (r == 0)
		r = shmb_ring_reader_open(&search->reader, place->broker, ring_name, &bench_sample_type, SHMB_NO_WAIT);
	if (r == 0)
		r = search_fill(search);
	if (r < 0) {
		fprintf(stderr, "bench: %s: %s\n", ring_name, shmb_text());
		search_deinit(search);
		return r;
	}
	*state = search;
	return 0;
}

static int closest_run(void *state, uint64_t count)
{
	struct search *search = state;
	struct shmb_found_monotonic found;
	struct bench_sample sample;
	int r = 0;

	for (uint64_t i = 0; i < count; i++)
		r |= shmb_ring_closest(search->reader, search->targets[search->next++ % TARGETS], SHMB_ANY_DISTANCE, &sample, &found);
	return r;
}

static int bracket_run(void *state, uint64_t count)
{
	struct search *search = state;
	struct shmb_bracket_monotonic around;
	struct bench_sample before, after;
	int r = 0;

	for (uint64_t i = 0; i < count; i++)
		r |= shmb_ring_bracket(search->reader, search->targets[search->next++ % TARGETS], SHMB_ANY_DISTANCE, &before, &after,
				       &around);
	return r;
}

static int fresh_run(void *state, uint64_t count)
{
	struct search *search = state;
	struct shmb_found_monotonic found;
	struct bench_sample sample;
	int r = 0;

	for (uint64_t i = 0; i < count; i++)
		r |= shmb_ring_fresh(search->reader, search->targets[search->next++ % TARGETS], &sample, &found);
	return r;
}

static uint64_t distance(uint64_t left, uint64_t right)
{
	return left > right ? left - right : right - left;
}

/* One of each, against a look at all stamps. */
static int search_check(void *state)
{
	struct search *search = state;
	struct shmb_key_monotonic target = search->targets[search->next % TARGETS];
	uint64_t at = shmb_key_value(target);
	struct shmb_found_monotonic found;
	struct shmb_bracket_monotonic around;
	struct bench_sample sample, after;
	unsigned best = 0;
	unsigned last = 0;

	for (unsigned i = 0; i < SAMPLES; i++) {
		if (distance(search->stamps[i], at) < distance(search->stamps[best], at))
			best = i;
		if (search->stamps[i] <= at)
			last = i;
	}
	if (shmb_ring_closest(search->reader, target, SHMB_ANY_DISTANCE, &sample, &found) != 0 || sample.values[0] != best)
		return -EBADMSG;
	if (shmb_ring_bracket(search->reader, target, SHMB_ANY_DISTANCE, &sample, &after, &around) != 0 || sample.values[0] != last ||
	    after.values[0] != last + 1)
		return -EBADMSG;
	if (shmb_ring_fresh(search->reader, target, &sample, &found) != 0 || sample.values[0] != SAMPLES - 1)
		return -EBADMSG;
	return 0;
}

#define SEARCH(function)                                                                                                                   \
	{                                                                                                                                  \
		.name = "shmbroker", .init = search_init, .run = function, .check = search_check, .deinit = search_deinit                  \
	}
const struct bench_impl closest_shmbroker = SEARCH(closest_run);
const struct bench_impl bracket_shmbroker = SEARCH(bracket_run);
const struct bench_impl fresh_shmbroker = SEARCH(fresh_run);

/* ---- memcpy ---- */

struct picks {
	struct bench_sample *samples;
	unsigned char places[TARGETS];
	unsigned next;
};

static void picks_deinit(void *state)
{
	struct picks *picks = state;

	free(picks->samples);
	free(picks);
}

static int picks_init(void **state, const struct bench_place *place)
{
	uint64_t random = UINT64_C(0x9e3779b97f4a7c15);
	struct picks *picks = calloc(1, sizeof(*picks));

	(void)place;
	if (picks == NULL)
		return -ENOMEM;
	picks->samples = calloc(SAMPLES, sizeof(*picks->samples));
	for (unsigned i = 0; i < TARGETS; i++)
		picks->places[i] = (unsigned char)(random_next(&random) % (SAMPLES - 1));
	*state = picks;
	if (picks->samples != NULL)
		return 0;
	picks_deinit(picks);
	return -ENOMEM;
}

static int pick_run(void *state, uint64_t count)
{
	struct picks *picks = state;
	struct bench_sample sample;

	for (uint64_t i = 0; i < count; i++)
		copy_opaque(&sample, &picks->samples[picks->places[picks->next++ % TARGETS]], sizeof(sample));
	return 0;
}

static int pick_two_run(void *state, uint64_t count)
{
	struct picks *picks = state;
	struct bench_sample before, after;

	for (uint64_t i = 0; i < count; i++) {
		const struct bench_sample *from = &picks->samples[picks->places[picks->next++ % TARGETS]];

		copy_opaque(&before, from, sizeof(before));
		copy_opaque(&after, from + 1, sizeof(after));
	}
	return 0;
}

const struct bench_impl pick_memcpy = { .name = "memcpy", .init = picks_init, .run = pick_run, .deinit = picks_deinit };
const struct bench_impl pick_two_memcpy = { .name = "memcpy", .init = picks_init, .run = pick_two_run, .deinit = picks_deinit };
