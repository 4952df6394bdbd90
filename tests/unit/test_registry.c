/* SPDX-License-Identifier: MIT */
/* The registry: by name, in order, sums. */
#include "daemon/registry.h"
#include "tests/support/unit.h"

#include <errno.h>
#include <string.h>

static struct segment *make(const char *name, uint64_t bytes)
{
	struct segment *segment = calloc(1, sizeof(*segment));

	ck_assert_ptr_nonnull(segment);
	strcpy(segment->name, name);
	segment->bytes = bytes;
	return segment;
}

START_TEST(empty)
{
	struct registry registry;

	registry_init(&registry);
	ck_assert_ptr_null(registry_find(&registry, "a"));
	ck_assert_ptr_null(registry_after(&registry, 0));
	registry_deinit(&registry);
}
END_TEST

START_TEST(names)
{
	struct registry registry;
	struct segment *a = make("a", 10), *b = make("b", 20), *again = make("a", 5);

	registry_init(&registry);
	ck_assert_int_eq(registry_add(&registry, b), 0);
	ck_assert_int_eq(registry_add(&registry, a), 0);
	ck_assert_int_eq(registry_add(&registry, again), -EEXIST);
	ck_assert_uint_eq(registry.count, 2);
	ck_assert_uint_eq(registry.bytes, 30);
	ck_assert_ptr_eq(registry_find(&registry, "a"), a);
	ck_assert_ptr_eq(registry_find(&registry, "b"), b);
	ck_assert_ptr_null(registry_find(&registry, "A"));
	ck_assert_ptr_null(registry_find(&registry, ""));

	registry_remove(&registry, a);
	ck_assert_ptr_null(registry_find(&registry, "a"));
	ck_assert_uint_eq(registry.count, 1);
	ck_assert_uint_eq(registry.bytes, 20);
	ck_assert_int_eq(registry_add(&registry, again), 0);
	ck_assert_ptr_eq(registry_find(&registry, "a"), again);
	segment_free(a);
	registry_deinit(&registry);
	ck_assert_uint_eq(registry.count, 0);
	ck_assert_uint_eq(registry.bytes, 0);
}
END_TEST

/* A cursor survives the removal of the segment it stands on, and sees what was made meanwhile. */
START_TEST(order)
{
	struct registry registry;
	struct segment *segments[4];
	struct segment *at;

	registry_init(&registry);
	for (int i = 0; i < 4; i++) {
		segments[i] = make((const char *[]){ "d", "c", "b", "a" }[i], 1);
		ck_assert_int_eq(registry_add(&registry, segments[i]), 0);
	}
	ck_assert_ptr_eq(registry_after(&registry, 0), segments[0]);
	ck_assert_ptr_eq(registry_after(&registry, segments[0]->order), segments[1]);
	at = segments[1];
	registry_remove(&registry, at);
	ck_assert_ptr_eq(registry_after(&registry, at->order), segments[2]);
	ck_assert_int_eq(registry_add(&registry, at), 0);
	ck_assert_uint_gt(at->order, segments[3]->order);
	ck_assert_ptr_eq(registry_after(&registry, segments[3]->order), at);
	ck_assert_ptr_null(registry_after(&registry, at->order));
	registry_deinit(&registry);
}
END_TEST

START_TEST(many)
{
	enum { COUNT = 10000 };
	struct registry registry;
	char name[16];

	registry_init(&registry);
	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof(name), "n/%d", i * 7919 % COUNT);
		ck_assert_int_eq(registry_add(&registry, make(name, 3)), 0);
	}
	ck_assert_uint_eq(registry.count, COUNT);
	for (int i = 0; i < COUNT; i += 2) {
		struct segment *segment;

		snprintf(name, sizeof(name), "n/%d", i);
		segment = registry_find(&registry, name);
		ck_assert_ptr_nonnull(segment);
		registry_remove(&registry, segment);
		segment_free(segment);
	}
	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof(name), "n/%d", i);
		ck_assert_int_eq(registry_find(&registry, name) != NULL, i % 2);
	}
	ck_assert_uint_eq(registry.bytes, 3 * COUNT / 2);
	registry_deinit(&registry);
}
END_TEST

/*
 * Page after page of one segment each, with holes between them, in every order of removing. A search from the beginning for each page would take 10^10 steps, a
 * minute's worth, against the case's time-out.
 */
START_TEST(pages)
{
	enum { COUNT = 150000 };
	struct registry registry;
	struct segment **segments = calloc(COUNT, sizeof(*segments));
	struct segment *segment;
	uint64_t after = 0;
	unsigned seen = 0;
	char name[16];

	ck_assert_ptr_nonnull(segments);
	registry_init(&registry);
	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof(name), "n/%d", i);
		segments[i] = make(name, 1);
		ck_assert_int_eq(registry_add(&registry, segments[i]), 0);
	}
	for (; (segment = registry_after(&registry, after)) != NULL; seen++) {
		ck_assert_ptr_eq(segment, segments[seen]);
		after = segment->order;
	}
	ck_assert_uint_eq(seen, COUNT);
	/* A third is left, in runs, the first and the last gone. */
	for (int i = COUNT; i-- > 0;) {
		if (i / 10 % 3 == 1)
			continue;
		registry_remove(&registry, segments[i]);
		segment_free(segments[i]);
		segments[i] = NULL;
	}
	after = 0;
	for (int i = 0; i < COUNT; i++) {
		if (segments[i] == NULL)
			continue;
		segment = registry_after(&registry, after);
		ck_assert_ptr_eq(segment, segments[i]);
		after = segment->order;
	}
	ck_assert_ptr_null(registry_after(&registry, after));
	ck_assert_ptr_null(registry_after(&registry, UINT64_MAX));
	registry_deinit(&registry);
	free(segments);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("registry");

	unit_add(suite, empty, 5);
	unit_add(suite, names, 5);
	unit_add(suite, order, 5);
	unit_add(suite, many, 10);
	unit_add(suite, pages, 20);
	return unit_run(suite);
}
