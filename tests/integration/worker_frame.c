/* SPDX-License-Identifier: MIT */
/* The worker's commands for frames (worker_frame.h). */
#include "worker_frame.h"

#include "../support/pattern.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct shmb_frame_writer *writer;
static struct shmb_frame_reader *reader;
static struct shmb_frame held[SHMB_FRAME_PINS];
static unsigned held_count;
static size_t bytes;
static unsigned salt;

static uint64_t argument(const char *line, const char *key, uint64_t otherwise)
{
	const char *at = strstr(line, key);

	return at != NULL ? strtoull(at + strlen(key), NULL, 10) : otherwise;
}

static void name_of(const char *line, char name[256])
{
	const char *at = strstr(line, " name=");

	snprintf(name, 256, "%.*s", at != NULL ? (int)strcspn(at + 6, " ") : 0, at != NULL ? at + 6 : "");
}

static void answer(int result, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	printf("%d %llu %llu %llu %llu |%s\n", result, (unsigned long long)a, (unsigned long long)b, (unsigned long long)c,
	       (unsigned long long)d, result < 0 ? shmb_text() : "");
	fflush(stdout);
}

static size_t length_of(uint64_t number, size_t capacity)
{
	return capacity - number % 5;
}

static int loan(void)
{
	uint64_t number = shmb_frame_next_number(writer);
	size_t capacity;
	void *payload;
	int r = shmb_frame_loan(writer, &payload, &capacity);

	if (r == 0)
		pattern_fill(payload, length_of(number, capacity), number, salt);
	return r;
}

static int commit(void)
{
	return shmb_frame_commit(writer, length_of(shmb_frame_next_number(writer), bytes));
}

static int publish(void)
{
	int r = loan();

	return r < 0 ? r : commit();
}

static bool is_torn(const struct shmb_frame *frame, unsigned *found)
{
	return frame->length != length_of(frame->number, bytes) || !pattern_check(frame->payload, frame->length, frame->number, found);
}

static int open_writer(struct shmb **broker, const char *line)
{
	struct shmb_frame_options options = { .history = (uint32_t)argument(line, " history=", 0),
					      .pins = (uint32_t)argument(line, " pins=", 0) };
	struct shmb_type *type = NULL;
	char name[256];
	int r = *broker != NULL ? 0 : shmb_connect(broker, NULL);

	name_of(line, name);
	bytes = argument(line, " bytes=", 4096);
	salt = (unsigned)argument(line, " salt=", 0);
	if (r == 0)
		r = shmb_type_opaque(&type, bytes);
	if (r == 0)
		r = shmb_frame_writer_open(&writer, *broker, name, type, &options);
	shmb_type_free(type);
	return r;
}

static int open_reader(struct shmb **broker, const char *line)
{
	char name[256];
	int r = *broker != NULL ? 0 : shmb_connect(broker, NULL);

	name_of(line, name);
	if (r == 0)
		r = shmb_frame_reader_open(&reader, *broker, name, NULL, SHMB_NO_WAIT);
	if (r == 0)
		bytes = shmb_frame_type(reader)->size;
	return r;
}

static void flood(uint64_t until)
{
	uint64_t refused = 0;
	int r = 0;

	while (r == 0 && shmb_now_ns() < until) {
		r = publish();
		if (r == -ENOBUFS) {
			refused++;
			r = 0;
		}
	}
	answer(r, shmb_frame_next_number(writer), refused, 0, 0);
}

static uint64_t release_one(unsigned which)
{
	uint64_t stale = shmb_frame_release(reader, &held[which]) != 0;

	held[which] = held[--held_count];
	return stale;
}

static void hold(uint64_t until)
{
	uint64_t pinned = 0, torn = 0, stale = 0, backward = 0, last = 0;
	unsigned found;
	int r = 0;

	srandom((unsigned)until);
	while (r == 0 && shmb_now_ns() < until) {
		if (held_count < SHMB_FRAME_PINS && random() % 2 == 0) {
			r = random() % 2 == 0 ? shmb_frame_pin_newest(reader, &held[held_count])
					      : shmb_frame_pin_next(reader, &held[held_count]);
			if (r == 0) {
				pinned++;
				backward += held[held_count].number < last;
				last = held[held_count++].number;
			}
			if (r == -ENODATA || r == -EAGAIN)
				r = 0;
		} else if (held_count > 0) {
			unsigned which = (unsigned)random() % held_count;

			torn += is_torn(&held[which], &found);
			stale += release_one(which);
		}
	}
	while (held_count > 0) {
		torn += is_torn(&held[0], &found);
		stale += release_one(0);
	}
	answer(r, pinned, torn, stale, backward);
}

void worker_frame_end(void)
{
	held_count = 0;
	writer = shmb_frame_writer_close(writer);
	reader = shmb_frame_reader_close(reader);
}

static bool is(const char *line, const char *word)
{
	size_t length = strlen(word);

	return strncmp(line, word, length) == 0 && (line[length] == '\0' || line[length] == ' ');
}

bool worker_frame_act(struct shmb **broker, const char *line)
{
	unsigned found = 0;
	uint64_t count = 0;
	int r;

	if (is(line, "frame-writer")) {
		r = open_writer(broker, line);
		answer(r, r == 0 ? shmb_frame_next_number(writer) : 0, 0, 0, 0);
	} else if (is(line, "frame-reader")) {
		answer(open_reader(broker, line), 0, 0, 0, 0);
	} else if (is(line, "frame-write")) {
		r = 0;
		for (uint64_t n = argument(line, " n=", 1); r == 0 && n > 0; n--)
			r = publish();
		answer(r, shmb_frame_next_number(writer), 0, 0, 0);
	} else if (is(line, "frame-loan")) {
		answer(loan(), shmb_frame_next_number(writer), 0, 0, 0);
	} else if (is(line, "frame-commit")) {
		answer(commit(), shmb_frame_next_number(writer), 0, 0, 0);
	} else if (is(line, "frame-follow")) {
		answer(shmb_follow(shmb_frame_waitable(reader)), 0, 0, 0, 0);
	} else if (is(line, "frame-flood")) {
		flood(shmb_now_ns() + argument(line, " ms=", 1000) * 1000000);
	} else if (is(line, "frame-pin")) {
		r = held_count < SHMB_FRAME_PINS ? shmb_frame_pin_newest(reader, &held[held_count]) : -EMFILE;
		if (r == 0)
			count = is_torn(&held[held_count++], &found);
		answer(r, r == 0 ? held[held_count - 1].number : 0, found, count, 0);
	} else if (is(line, "frame-check")) {
		for (unsigned i = 0; i < held_count; i++)
			count += is_torn(&held[i], &found);
		answer(0, held_count, count, 0, 0);
	} else if (is(line, "frame-release")) {
		while (held_count > 0)
			count += release_one(0);
		answer(0, count, 0, 0, 0);
	} else if (is(line, "frame-hold")) {
		hold(shmb_now_ns() + argument(line, " ms=", 1000) * 1000000);
	} else if (is(line, "frame-close")) {
		worker_frame_end();
		answer(0, 0, 0, 0, 0);
	} else {
		return false;
	}
	return true;
}
