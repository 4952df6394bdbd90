/* SPDX-License-Identifier: MIT */
/*
 * Queries of rings in time. Keys of the package's key classes come as the number of their clock and their value, and go back the same way
 * through make_key(). The library has each query once for each clock; QUERIES makes one function of them that takes plain numbers, and the rest
 * of this file does not know which clock it is about.
 */
#include "temporal.h"

#include <string.h>

#define QUERIES(clock)                                                                                                                     \
	KEYS(clock)                                                                                                                        \
                                                                                                                                           \
	static int query_##clock(struct shmb_ring_reader *reader, enum what what, uint64_t value, uint64_t second, void *payload,          \
				 void *payload_after, struct answer *answer)                                                               \
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
			r = shmb_ring_closest_##clock(reader, key, second, payload, &bracket.before);                                      \
			break;                                                                                                             \
		case BRACKET:                                                                                                              \
			r = shmb_ring_bracket_##clock(reader, key, second, payload, payload_after, &bracket);                              \
			break;                                                                                                             \
		case FRESH:                                                                                                                \
			r = shmb_ring_fresh_##clock(reader, key, payload, &bracket.before);                                                \
			break;                                                                                                             \
		case RANGE:                                                                                                                \
			r = key_of_##clock(second, &to);                                                                                   \
			return r < 0 ? r : shmb_ring_range_##clock(reader, key, to, &answer->range);                                       \
		case KEY:                                                                                                                  \
			r = shmb_ring_key_##clock(reader, second, &key);                                                                   \
			answer->key = shmb_key_value_##clock(key);                                                                         \
			return r;                                                                                                          \
		default:                                                                                                                   \
			return shmb_ring_since_##clock(reader, key);                                                                       \
		}                                                                                                                          \
		answer->before = found_of_##clock(&bracket.before);                                                                        \
		answer->after = found_of_##clock(&bracket.after);                                                                          \
		answer->alpha = bracket.alpha;                                                                                             \
		return r;                                                                                                                  \
	}                                                                                                                                  \
                                                                                                                                           \
	static int join_##clock(struct join *join, uint64_t value, size_t *failed, struct answer *answers)                                 \
	{                                                                                                                                  \
		struct shmb_join_part_##clock parts[JOIN_MAX];                                                                             \
		struct shmb_key_##clock key;                                                                                               \
		int r = key_of_##clock(value, &key);                                                                                       \
                                                                                                                                           \
		memset(parts, 0, sizeof(parts));                                                                                           \
		for (size_t i = 0; i < join->count; i++) {                                                                                 \
			if (join->readers[i]->kind == &frame_reader_kind) {                                                                \
				parts[i].frames = join->readers[i]->raw;                                                                   \
				parts[i].frame = &join->frames[i][0];                                                                      \
				parts[i].frame_after = &join->frames[i][1];                                                                \
			} else {                                                                                                           \
				parts[i].reader = join->readers[i]->raw;                                                                   \
			}                                                                                                                  \
			parts[i].how = join->how[i];                                                                                       \
			parts[i].max_distance = join->distance[i];                                                                         \
			parts[i].payload = join->before[i].buf;                                                                            \
			parts[i].payload_after = join->after[i].buf;                                                                       \
		}                                                                                                                          \
		if (r == 0)                                                                                                                \
			r = shmb_join_##clock(parts, join->count, key, failed);                                                            \
		for (size_t i = 0; r == 0 && i < join->count; i++) {                                                                       \
			answers[i].before = found_of_##clock(&parts[i].found.before);                                                      \
			answers[i].after = found_of_##clock(&parts[i].found.after);                                                        \
			answers[i].alpha = parts[i].found.alpha;                                                                           \
		}                                                                                                                          \
		return r;                                                                                                                  \
	}

enum { JOIN_MAX = 64 };

struct join {
	size_t count;
	struct handle *readers[JOIN_MAX];
	enum shmb_join_how how[JOIN_MAX];
	uint64_t distance[JOIN_MAX];
	Py_buffer before[JOIN_MAX];
	Py_buffer after[JOIN_MAX];
	PyObject *records[JOIN_MAX][2];
	struct shmb_frame frames[JOIN_MAX][2]; /* of those that are frames: payload NULL where nothing is pinned */
};

QUERIES(monotonic)
QUERIES(realtime)
QUERIES(sequence)

static int query(int clock, struct shmb_ring_reader *reader, enum what what, uint64_t value, uint64_t second, void *payload, void *after,
		 struct answer *answer)
{
	switch (clock) {
	case SHMB_CLOCK_MONOTONIC:
		return query_monotonic(reader, what, value, second, payload, after, answer);
	case SHMB_CLOCK_REALTIME:
		return query_realtime(reader, what, value, second, payload, after, answer);
	case SHMB_CLOCK_SEQUENCE:
		return query_sequence(reader, what, value, second, payload, after, answer);
	default:
		return -EXDEV;
	}
}

/* Takes `record`. */
static PyObject *found_new(struct handle *reader, PyObject *record, int clock, const struct found *found)
{
	struct shmb_sample plain = { .number = found->number, .stamp_ns = found->stamp_ns };
	PyObject *key = PyObject_CallFunction(core.make_key, "iK", clock, (unsigned long long)found->key);
	struct sample *sample;

	if (key == NULL) {
		Py_DecRef(record);
		return NULL;
	}
	sample = (struct sample *)sample_new(reader, record, &plain);
	if (sample == NULL) {
		Py_DecRef(key);
		return NULL;
	}
	Py_DecRef(sample->key);
	sample->key = key;
	return (PyObject *)sample;
}

/* Takes both records. (before, after, alpha). */
static PyObject *bracket_new(struct handle *reader, PyObject *before, PyObject *after, int clock, const struct answer *answer)
{
	PyObject *first = found_new(reader, before, clock, &answer->before);
	PyObject *last = found_new(reader, after, clock, &answer->after);
	PyObject *tuple = first != NULL && last != NULL ? Py_BuildValue("(OOd)", first, last, answer->alpha) : NULL;

	Py_DecRef(first);
	Py_DecRef(last);
	return tuple;
}

/* _temporal(what, clock, key, second, out): a Sample, a tuple of a bracket, (first, count, is_cut), a key, or None. */
PyObject *temporal_method(PyObject *object, PyObject *args)
{
	struct handle *self = (struct handle *)object;
	struct answer answer = { .alpha = 0 };
	PyObject *numbers[2];
	PyObject *out = Py_None;
	PyObject *record = NULL;
	PyObject *record_after = NULL;
	Py_buffer view = { .buf = NULL };
	Py_buffer view_after = { .buf = NULL };
	uint64_t value;
	uint64_t second;
	int clock;
	int what;
	int r;

	if (!PyArg_ParseTuple(args, "iiOO|O", &what, &clock, &numbers[0], &numbers[1], &out) || argument_u64(numbers[0], &value) < 0 ||
	    argument_u64(numbers[1], &second) < 0 || handle_begin(self) < 0)
		return NULL;
	if ((what == CLOSEST || what == BRACKET || what == FRESH) && payload_out(self, out, &view, &record) < 0)
		return NULL;
	if (what == BRACKET && payload_new(self, &view_after, &record_after) < 0) {
		PyBuffer_Release(&view);
		Py_DecRef(record);
		return NULL;
	}
	r = query(clock, self->raw, (enum what)what, value, second, view.buf, view_after.buf, &answer);
	if (view.buf != NULL)
		PyBuffer_Release(&view);
	if (view_after.buf != NULL)
		PyBuffer_Release(&view_after);
	if (r < 0) {
		Py_DecRef(record);
		Py_DecRef(record_after);
		return error_set(self->broker, ABOUT_TIME, r);
	}
	switch (what) {
	case CLOSEST:
	case FRESH:
		return found_new(self, record, clock, &answer.before);
	case BRACKET:
		return bracket_new(self, record, record_after, clock, &answer);
	case RANGE:
		return Py_BuildValue("(KKN)", (unsigned long long)answer.range.first, (unsigned long long)answer.range.count,
				     PyBool_FromLong(answer.range.is_cut));
	case KEY:
		return PyObject_CallFunction(core.make_key, "iK", clock, (unsigned long long)answer.key);
	default:
		Py_RETURN_NONE;
	}
}

/* ---- joins ---- */

static void join_deinit(struct join *join)
{
	for (size_t i = 0; i < join->count; i++) {
		if (join->before[i].buf != NULL)
			PyBuffer_Release(&join->before[i]);
		if (join->after[i].buf != NULL)
			PyBuffer_Release(&join->after[i]);
		Py_DecRef(join->records[i][0]);
		Py_DecRef(join->records[i][1]);
		for (unsigned j = 0; j < 2; j++) {
			if (join->frames[i][j].payload != NULL)
				shmb_frame_release(join->readers[i]->raw, &join->frames[i][j]);
		}
	}
	PyMem_Free(join);
}

static int join_add(struct join *join, PyObject *part)
{
	size_t i = join->count;
	PyObject *reader;
	PyObject *distance;
	int bracket;

	if (!PyArg_ParseTuple(part, "OpO", &reader, &bracket, &distance) || argument_u64(distance, &join->distance[i]) < 0)
		return -1;
	if (!PyObject_TypeCheck(reader, ring_reader_class) && !PyObject_TypeCheck(reader, frame_reader_class)) {
		PyErr_Format(PyExc_TypeError, "%R is no reader of a ring or of frames", reader);
		return -1;
	}
	if (handle_begin((struct handle *)reader) < 0)
		return -1;
	join->readers[i] = (struct handle *)reader;
	join->how[i] = bracket ? SHMB_JOIN_BRACKET : SHMB_JOIN_CLOSEST;
	join->count++;
	if (join->readers[i]->kind == &frame_reader_kind)
		return 0;
	if (payload_new(join->readers[i], &join->before[i], &join->records[i][0]) < 0)
		return -1;
	return bracket ? payload_new(join->readers[i], &join->after[i], &join->records[i][1]) : 0;
}

static PyObject *join_result(struct join *join, int clock, const struct answer *answers)
{
	PyObject *list = PyList_New(0);

	for (size_t i = 0; list != NULL && i < join->count; i++) {
		PyObject *before = join->records[i][0];
		PyObject *after = join->records[i][1];
		PyObject *item;

		join->records[i][0] = NULL;
		join->records[i][1] = NULL;
		if (join->readers[i]->kind == &frame_reader_kind)
			item = join->how[i] == SHMB_JOIN_BRACKET
				       ? frames_bracket(join->readers[i], join->frames[i], clock, &answers[i])
				       : frames_found(join->readers[i], &join->frames[i][0], clock, answers[i].before.key);
		else
			item = join->how[i] == SHMB_JOIN_BRACKET ? bracket_new(join->readers[i], before, after, clock, &answers[i])
								 : found_new(join->readers[i], before, clock, &answers[i].before);
		if (item == NULL || PyList_Append(list, item) < 0) {
			Py_DecRef(list);
			list = NULL;
		}
		Py_DecRef(item);
	}
	return list;
}

static PyObject *join_run(struct join *join, int clock, uint64_t value)
{
	struct answer answers[JOIN_MAX];
	size_t failed = 0;
	PyObject *error;
	int r = -EXDEV;

	if (clock == SHMB_CLOCK_MONOTONIC)
		r = join_monotonic(join, value, &failed, answers);
	else if (clock == SHMB_CLOCK_REALTIME)
		r = join_realtime(join, value, &failed, answers);
	else if (clock == SHMB_CLOCK_SEQUENCE)
		r = join_sequence(join, value, &failed, answers);
	if (r == 0)
		return join_result(join, clock, answers);
	error = error_new(join->readers[failed]->broker, ABOUT_TIME, r);
	if (error != NULL) {
		PyObject *index = PyLong_FromSize_t(failed);

		PyObject_SetAttrString(error, "index", index);
		PyObject_SetAttrString(error, "reader", (PyObject *)join->readers[failed]);
		PyErr_SetObject((PyObject *)Py_TYPE(error), error);
		Py_DecRef(index);
		Py_DecRef(error);
	}
	return NULL;
}

/* join(clock, key, [(reader, is_bracket, max_distance), ...]) */
static PyObject *join_function(PyObject *module, PyObject *args)
{
	PyObject *result = NULL;
	PyObject *parts;
	PyObject *number;
	struct join *join;
	uint64_t value;
	int clock;
	Py_ssize_t count;

	(void)module;
	if (!PyArg_ParseTuple(args, "iOO!", &clock, &number, &PyList_Type, &parts) || argument_u64(number, &value) < 0)
		return NULL;
	count = PyList_Size(parts);
	if (count < 1 || count > JOIN_MAX) {
		PyErr_Format(PyExc_ValueError, "a join has 1 to %d readers", JOIN_MAX);
		return NULL;
	}
	join = PyMem_Calloc(1, sizeof(*join));
	if (join == NULL)
		return PyErr_NoMemory();
	for (Py_ssize_t i = 0; i < count; i++) {
		if (join_add(join, PyList_GetItem(parts, i)) < 0)
			goto out;
	}
	result = join_run(join, clock, value);
out:
	join_deinit(join);
	return result;
}

static PyMethodDef functions[] = {
	{ "join", join_function, METH_VARARGS, NULL },
	{ NULL, NULL, 0, NULL },
};

int temporal_add(PyObject *module)
{
	return PyModule_AddFunctions(module, functions);
}
