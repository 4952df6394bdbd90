/* SPDX-License-Identifier: MIT */
/* Queries of frames in time, as those of rings (temporal.c): what is found is pinned, and comes as a Frame with its key. And commits with keys. */
#include "temporal.h"

#include <string.h>

#define QUERIES(clock)                                                                                                                     \
	KEYS(clock)                                                                                                                        \
                                                                                                                                           \
	static int query_##clock(struct shmb_frame_reader *reader, enum what what, uint64_t value, uint64_t second,                        \
				 struct shmb_frame frames[2], struct answer *answer)                                                       \
	{                                                                                                                                  \
		struct shmb_bracket_##clock bracket;                                                                                       \
		struct shmb_key_##clock key;                                                                                               \
		struct shmb_key_##clock to;                                                                                                \
		int r = key_of_##clock(value, &key);                                                                                       \
                                                                                                                                           \
		memset(&bracket, 0, sizeof(bracket));                                                                                      \
		if (r < 0)                                                                                                                 \
			return r;                                                                                                          \
		switch (what) {                                                                                                            \
		case CLOSEST:                                                                                                              \
			r = shmb_frame_closest_##clock(reader, key, second, &frames[0], &bracket.before);                                  \
			break;                                                                                                             \
		case BRACKET:                                                                                                              \
			r = shmb_frame_bracket_##clock(reader, key, second, &frames[0], &frames[1], &bracket);                             \
			break;                                                                                                             \
		case FRESH:                                                                                                                \
			r = shmb_frame_fresh_##clock(reader, key, &frames[0], &bracket.before);                                            \
			break;                                                                                                             \
		case RANGE:                                                                                                                \
			r = key_of_##clock(second, &to);                                                                                   \
			return r < 0 ? r : shmb_frame_range_##clock(reader, key, to, &answer->range);                                      \
		case KEY:                                                                                                                  \
			r = shmb_frame_key_##clock(reader, second, &key);                                                                  \
			answer->key = shmb_key_value_##clock(key);                                                                         \
			return r;                                                                                                          \
		default:                                                                                                                   \
			return shmb_frame_since_##clock(reader, key);                                                                      \
		}                                                                                                                          \
		answer->before = found_of_##clock(&bracket.before);                                                                        \
		answer->after = found_of_##clock(&bracket.after);                                                                          \
		answer->alpha = bracket.alpha;                                                                                             \
		return r;                                                                                                                  \
	}                                                                                                                                  \
                                                                                                                                           \
	static int commit_##clock(struct shmb_frame_writer *writer, size_t length, uint64_t value)                                         \
	{                                                                                                                                  \
		struct shmb_key_##clock key;                                                                                               \
		int r = key_of_##clock(value, &key);                                                                                       \
                                                                                                                                           \
		return r < 0 ? r : shmb_frame_commit_at_##clock(writer, length, key);                                                      \
	}

QUERIES(monotonic)
QUERIES(realtime)
QUERIES(sequence)

static int query(int clock, struct shmb_frame_reader *reader, enum what what, uint64_t value, uint64_t second, struct shmb_frame frames[2],
		 struct answer *answer)
{
	switch (clock) {
	case SHMB_CLOCK_MONOTONIC:
		return query_monotonic(reader, what, value, second, frames, answer);
	case SHMB_CLOCK_REALTIME:
		return query_realtime(reader, what, value, second, frames, answer);
	case SHMB_CLOCK_SEQUENCE:
		return query_sequence(reader, what, value, second, frames, answer);
	default:
		return -EXDEV;
	}
}

int frame_commit_at(void *raw, size_t length, int clock, uint64_t key)
{
	switch (clock) {
	case SHMB_CLOCK_MONOTONIC:
		return commit_monotonic(raw, length, key);
	case SHMB_CLOCK_REALTIME:
		return commit_realtime(raw, length, key);
	case SHMB_CLOCK_SEQUENCE:
		return commit_sequence(raw, length, key);
	default:
		return -EXDEV;
	}
}

PyObject *frames_found(struct handle *reader, struct shmb_frame *frame, int clock, uint64_t key)
{
	PyObject *made = PyObject_CallFunction(core.make_key, "iK", clock, (unsigned long long)key);
	PyObject *found = made != NULL ? pin_new(reader, frame, made) : NULL;

	if (found == NULL)
		shmb_frame_release(reader->raw, frame);
	frame->payload = NULL;
	Py_DecRef(made);
	return found;
}

PyObject *frames_bracket(struct handle *reader, struct shmb_frame frames[2], int clock, const struct answer *answer)
{
	PyObject *before = frames_found(reader, &frames[0], clock, answer->before.key);
	PyObject *after = frames_found(reader, &frames[1], clock, answer->after.key);
	PyObject *tuple = before != NULL && after != NULL ? Py_BuildValue("(OOd)", before, after, answer->alpha) : NULL;

	Py_DecRef(before);
	Py_DecRef(after);
	return tuple;
}

/* _temporal(what, clock, key, second): a Frame, a tuple of a bracket, (first, count, is_cut), a key, or None. */
PyObject *temporal_frame_method(PyObject *object, PyObject *args)
{
	struct handle *self = (struct handle *)object;
	struct answer answer = { .alpha = 0 };
	struct shmb_frame frames[2] = { { .payload = NULL }, { .payload = NULL } };
	PyObject *numbers[2];
	uint64_t value;
	uint64_t second;
	int clock;
	int what;
	int r;

	if (!PyArg_ParseTuple(args, "iiOO", &what, &clock, &numbers[0], &numbers[1]) || argument_u64(numbers[0], &value) < 0 ||
	    argument_u64(numbers[1], &second) < 0 || handle_begin(self) < 0)
		return NULL;
	r = query(clock, self->raw, (enum what)what, value, second, frames, &answer);
	if (r < 0)
		return error_set(self->broker, r == -EMFILE ? ABOUT_PIN : ABOUT_TIME, r);
	switch (what) {
	case CLOSEST:
	case FRESH:
		return frames_found(self, &frames[0], clock, answer.before.key);
	case BRACKET:
		return frames_bracket(self, frames, clock, &answer);
	case RANGE:
		return Py_BuildValue("(KKN)", (unsigned long long)answer.range.first, (unsigned long long)answer.range.count,
				     PyBool_FromLong(answer.range.is_cut));
	case KEY:
		return PyObject_CallFunction(core.make_key, "iK", clock, (unsigned long long)answer.key);
	default:
		Py_RETURN_NONE;
	}
}
