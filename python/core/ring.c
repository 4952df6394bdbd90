/* SPDX-License-Identifier: MIT */
/* Rings: writer and reader, by position and number. In time: temporal.c. */
#include "core.h"

PyTypeObject *ring_reader_class;
static PyTypeObject *writer_class;

/* ---- kinds ---- */

static void writer_close(void *raw)
{
	shmb_ring_writer_close(raw);
}

static int writer_counters(void *raw, struct shmb_counters *out)
{
	return shmb_ring_writer_counters(raw, out);
}

static const struct kind writer_kind = { .name = "ring writer", .close = writer_close, .counters = writer_counters };

static void reader_close(void *raw)
{
	shmb_ring_reader_close(raw);
}

static struct shmb_waitable *reader_waitable(void *raw)
{
	return shmb_ring_waitable(raw);
}

static int reader_wait(void *raw, uint64_t deadline_ns)
{
	return shmb_ring_wait(raw, deadline_ns);
}

static int reader_status(void *raw, struct shmb_segment_status *out)
{
	return shmb_ring_status(raw, out);
}

static int reader_counters(void *raw, struct shmb_counters *out)
{
	return shmb_ring_counters(raw, out);
}

static const struct shmb_type *reader_type(void *raw)
{
	return shmb_ring_type(raw);
}

const struct kind ring_reader_kind = {
	.name = "ring reader",
	.close = reader_close,
	.waitable = reader_waitable,
	.wait = reader_wait,
	.status = reader_status,
	.counters = reader_counters,
	.type = reader_type,
};

/* ---- writer ---- */

static int writer_attempt(struct attempt *attempt, uint64_t deadline_ns)
{
	struct shmb_ring_writer *writer = NULL;
	int r;

	attempt->options.deadline_ns = deadline_ns;
	r = shmb_ring_writer_open(&writer, attempt->broker, attempt->name, attempt->type, &attempt->options);
	attempt->raw = writer;
	return r;
}

static int writer_init(PyObject *self, PyObject *args, PyObject *names)
{
	static char *list[] = { "broker", "name", "type", "capacity", "stamped", "clock", "key", "timeout", NULL };
	struct attempt attempt = { .options = { 0 } };
	struct opening what = { 0 };
	int stamped = 0;
	int clock = 0;

	if (!PyArg_ParseTupleAndKeywords(args, names, "OUO!|$IpizO", list, &what.broker, &what.name, type_class, &what.type,
					 &attempt.options.capacity, &stamped, &clock, &attempt.options.key_field, &what.timeout))
		return -1;
	attempt.options.stamped = stamped != 0;
	attempt.options.key_clock = (enum shmb_clock)clock;
	return handle_open(self, &writer_kind, &what, &attempt, writer_attempt);
}

static int insert(void *raw, const void *payload)
{
	return shmb_ring_insert(raw, payload);
}

static PyObject *writer_insert(PyObject *self, PyObject *payload)
{
	return write_one((struct handle *)self, insert, payload, ABOUT_WRITE);
}

/* Calls a function of the writer that takes nothing. */
static PyObject *writer_do(PyObject *object, int (*call)(struct shmb_ring_writer *writer))
{
	struct handle *self = (struct handle *)object;
	int r;

	if (handle_begin(self) < 0)
		return NULL;
	r = call(self->raw);
	if (r < 0)
		return error_set(self->broker, ABOUT_WRITE, r);
	Py_RETURN_NONE;
}

static PyObject *writer_heartbeat(PyObject *self, PyObject *unused)
{
	(void)unused;
	return writer_do(self, shmb_ring_heartbeat);
}

static PyObject *writer_restart_keys(PyObject *self, PyObject *unused)
{
	(void)unused;
	return writer_do(self, shmb_ring_restart_keys);
}

static PyObject *writer_next_number(PyObject *object, void *unused)
{
	struct handle *self = (struct handle *)object;

	(void)unused;
	return handle_begin(self) < 0 ? NULL : PyLong_FromUnsignedLongLong(shmb_ring_next_number(self->raw));
}

static PyGetSetDef writer_attributes[] = {
	{ "next_number", writer_next_number, NULL, "number of the next write", NULL },
	{ NULL, NULL, NULL, NULL, NULL },
};

static PyMethodDef writer_methods[] = {
	{ "insert", writer_insert, METH_O,
	  "insert(payload)\n\nPublishes an element over the oldest. Never waits. Raises KeyOrder or KeyRange where its key cannot be." },
	{ "heartbeat", writer_heartbeat, METH_NOARGS, "heartbeat()\n\n\"I am alive\" without data." },
	{ "restart_keys", writer_restart_keys, METH_NOARGS,
	  "restart_keys()\n\nFrom the next insert on, keys may begin anew, lower than before." },
	{ NULL, NULL, 0, NULL },
};

static PyType_Slot writer_slots[] = {
	{ Py_tp_init, writer_init },
	{ Py_tp_dealloc, handle_dealloc },
	{ Py_tp_methods, writer_methods },
	{ Py_tp_getset, writer_attributes },
	{ 0, NULL },
};

static PyType_Spec writer_spec = {
	.name = "shmbroker._core.RingWriter",
	.basicsize = sizeof(struct handle),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = writer_slots,
};

/* ---- reader ---- */

static int reader_attempt(struct attempt *attempt, uint64_t deadline_ns)
{
	struct shmb_ring_reader *reader = NULL;
	int r = shmb_ring_reader_open(&reader, attempt->broker, attempt->name, attempt->type, deadline_ns);

	attempt->raw = reader;
	return r;
}

static int observe_attempt(struct attempt *attempt, uint64_t deadline_ns)
{
	struct shmb_ring_reader *reader = NULL;
	int r = shmb_ring_observe(&reader, attempt->broker, attempt->name);

	(void)deadline_ns;
	attempt->raw = reader;
	return r;
}

static int reader_init(PyObject *self, PyObject *args, PyObject *names)
{
	return handle_open_reader(self, args, names, &ring_reader_kind, reader_attempt, observe_attempt);
}

static int latest(void *raw, uint64_t argument, void *payload, struct shmb_sample *sample)
{
	(void)argument;
	return shmb_ring_latest(raw, payload, sample);
}

static int read_next(void *raw, uint64_t argument, void *payload, struct shmb_sample *sample)
{
	(void)argument;
	return shmb_ring_read_next(raw, payload, sample);
}

static int read_number(void *raw, uint64_t number, void *payload, struct shmb_sample *sample)
{
	return shmb_ring_read(raw, number, payload, sample);
}

static PyObject *reader_latest(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	PyObject *out = argument_one("out", args, count, names);

	return out == NULL ? NULL : read_one((struct handle *)self, latest, 0, out, ABOUT_READ);
}

static PyObject *reader_read_next(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	PyObject *out = argument_one("out", args, count, names);

	return out == NULL ? NULL : read_one((struct handle *)self, read_next, 0, out, ABOUT_READ);
}

static PyObject *reader_read(PyObject *self, PyObject *args, PyObject *names)
{
	static char *list[] = { "number", "out", NULL };
	PyObject *object;
	PyObject *out = Py_None;
	uint64_t number;

	if (!PyArg_ParseTupleAndKeywords(args, names, "O|O", list, &object, &out) || argument_u64(object, &number) < 0)
		return NULL;
	return read_one((struct handle *)self, read_number, number, out, ABOUT_READ);
}

static PyObject *reader_seek(PyObject *object, PyObject *argument)
{
	struct handle *self = (struct handle *)object;
	uint64_t number;
	int r;

	if (argument_u64(argument, &number) < 0 || handle_begin(self) < 0)
		return NULL;
	r = shmb_ring_seek(self->raw, number);
	if (r < 0)
		return error_set(self->broker, ABOUT_READ, r);
	Py_RETURN_NONE;
}

static PyObject *reader_seek_oldest(PyObject *object, PyObject *unused)
{
	struct handle *self = (struct handle *)object;
	int r;

	(void)unused;
	if (handle_begin(self) < 0)
		return NULL;
	r = shmb_ring_seek_oldest(self->raw);
	if (r < 0)
		return error_set(self->broker, ABOUT_READ, r);
	Py_RETURN_NONE;
}

static PyObject *reader_seek_age(PyObject *object, PyObject *argument)
{
	struct handle *self = (struct handle *)object;
	double seconds = PyFloat_AsDouble(argument);
	int r;

	if ((seconds == -1.0 && PyErr_Occurred() != NULL) || handle_begin(self) < 0)
		return NULL;
	if (!(seconds >= 0 && seconds < 9e9)) {
		PyErr_SetString(PyExc_ValueError, "an age in seconds is 0 or more");
		return NULL;
	}
	r = shmb_ring_seek_age(self->raw, (uint64_t)(seconds * 1e9));
	if (r < 0)
		return error_set(self->broker, ABOUT_TIME, r);
	Py_RETURN_NONE;
}

static PyObject *reader_bounds(PyObject *object, PyObject *unused)
{
	struct handle *self = (struct handle *)object;
	uint64_t oldest;
	uint64_t next;
	int r;

	(void)unused;
	if (handle_begin(self) < 0)
		return NULL;
	r = shmb_ring_bounds(self->raw, &oldest, &next);
	if (r < 0)
		return error_set(self->broker, ABOUT_READ, r);
	return Py_BuildValue("(KK)", (unsigned long long)oldest, (unsigned long long)next);
}

static PyObject *reader_lag(PyObject *object, PyObject *unused)
{
	struct handle *self = (struct handle *)object;
	uint64_t lag;
	int r;

	(void)unused;
	if (handle_begin(self) < 0)
		return NULL;
	r = shmb_ring_lag(self->raw, &lag);
	if (r < 0)
		return error_set(self->broker, ABOUT_READ, r);
	return PyLong_FromUnsignedLongLong(lag);
}

/* _read_range(first, payloads, samples): both writable buffers of as many elements. (read, lost). */
static PyObject *reader_read_range(PyObject *object, PyObject *args)
{
	struct handle *self = (struct handle *)object;
	Py_buffer payloads;
	Py_buffer samples;
	PyObject *first_object;
	PyObject *result = NULL;
	uint64_t first;
	uint64_t lost = 0;
	size_t count;
	size_t read = 0;
	int r;

	if (!PyArg_ParseTuple(args, "Ow*w*", &first_object, &payloads, &samples))
		return NULL;
	count = (size_t)samples.len / sizeof(struct shmb_sample);
	if (argument_u64(first_object, &first) < 0 || handle_begin(self) < 0)
		goto out;
	if ((size_t)payloads.len / self->size < count) {
		PyErr_SetString(PyExc_ValueError, "not room for as many payloads as samples");
		goto out;
	}
	handle_enter(self);
	Py_BEGIN_ALLOW_THREADS r = shmb_ring_read_range(self->raw, first, count, payloads.buf, samples.buf, &read, &lost);
	Py_END_ALLOW_THREADS handle_leave(self);
	result = r < 0 ? error_set(self->broker, ABOUT_READ, r) : Py_BuildValue("(KK)", (unsigned long long)read, (unsigned long long)lost);
out:
	PyBuffer_Release(&payloads);
	PyBuffer_Release(&samples);
	return result;
}

static PyObject *reader_clock(PyObject *object, void *unused)
{
	struct handle *self = (struct handle *)object;

	(void)unused;
	return handle_begin(self) < 0 ? NULL : PyLong_FromLong(shmb_ring_clock(self->raw));
}

static PyGetSetDef reader_attributes[] = {
	{ "_clock", reader_clock, NULL, NULL, NULL },
	{ NULL, NULL, NULL, NULL, NULL },
};

static PyMethodDef reader_methods[] = {
	{ "latest", (PyCFunction)(void (*)(void))reader_latest, METH_FASTCALL | METH_KEYWORDS,
	  "latest(out=None) -> Sample\n\nCopies the newest element and moves the position behind it. Never waits. Raises NoData, "
	  "Overtaken." },
	{ "read_next", (PyCFunction)(void (*)(void))reader_read_next, METH_FASTCALL | METH_KEYWORDS,
	  "read_next(out=None) -> Sample\n\nThe next element in order; where the reader fell behind, the oldest that is left: "
	  "sample.missed says how many\n"
	  "are lost. Raises NoData where there is nothing new." },
	{ "read", (PyCFunction)(void (*)(void))reader_read, METH_VARARGS | METH_KEYWORDS,
	  "read(number, out=None) -> Sample\n\nThe element of this number. Raises NoData (not written yet), Overwritten." },
	{ "seek", reader_seek, METH_O, "seek(number)\n\nSets the number that read_next() reads next." },
	{ "seek_oldest", reader_seek_oldest, METH_NOARGS, "seek_oldest()\n\nSets the position to the oldest element there is." },
	{ "seek_age", reader_seek_age, METH_O,
	  "seek_age(seconds)\n\nSets the position to the first element that is not older, by the ring's keys." },
	{ "bounds", reader_bounds, METH_NOARGS,
	  "bounds() -> tuple[int, int]\n\nThe numbers that can be read: from the first to the second, exclusive." },
	{ "lag", reader_lag, METH_NOARGS, "lag() -> int\n\nHow many elements this reader is behind." },
	{ "_read_range", reader_read_range, METH_VARARGS, NULL },
	{ "_temporal", temporal_method, METH_VARARGS, NULL },
	{ NULL, NULL, 0, NULL },
};

static PyType_Slot reader_slots[] = {
	{ Py_tp_init, reader_init },
	{ Py_tp_dealloc, handle_dealloc },
	{ Py_tp_methods, reader_methods },
	{ Py_tp_getset, reader_attributes },
	{ 0, NULL },
};

static PyType_Spec reader_spec = {
	.name = "shmbroker._core.RingReader",
	.basicsize = sizeof(struct handle),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = reader_slots,
};

int ring_add(PyObject *module)
{
	if (core_add_type(module, &writer_class, &writer_spec, handle_class) < 0)
		return -1;
	return core_add_type(module, &ring_reader_class, &reader_spec, handle_class);
}
