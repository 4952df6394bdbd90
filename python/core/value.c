/* SPDX-License-Identifier: MIT */
/* Values: writer and reader. */
#include "core.h"

PyTypeObject *value_reader_class;
static PyTypeObject *writer_class;

/* ---- kinds ---- */

static void writer_close(void *raw)
{
	shmb_value_writer_close(raw);
}

static int writer_counters(void *raw, struct shmb_counters *out)
{
	return shmb_value_writer_counters(raw, out);
}

static const struct kind writer_kind = { .name = "value writer", .close = writer_close, .counters = writer_counters };

static void reader_close(void *raw)
{
	shmb_value_reader_close(raw);
}

static struct shmb_waitable *reader_waitable(void *raw)
{
	return shmb_value_waitable(raw);
}

static int reader_wait(void *raw, uint64_t deadline_ns)
{
	return shmb_value_wait(raw, deadline_ns);
}

static int reader_status(void *raw, struct shmb_segment_status *out)
{
	return shmb_value_status(raw, out);
}

static int reader_counters(void *raw, struct shmb_counters *out)
{
	return shmb_value_counters(raw, out);
}

static const struct shmb_type *reader_type(void *raw)
{
	return shmb_value_type(raw);
}

const struct kind value_reader_kind = {
	.name = "value reader",
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
	struct shmb_value_writer *writer = NULL;
	int r;

	attempt->options.deadline_ns = deadline_ns;
	r = shmb_value_writer_open(&writer, attempt->broker, attempt->name, attempt->type, &attempt->options);
	attempt->raw = writer;
	return r;
}

static int writer_init(PyObject *self, PyObject *args, PyObject *names)
{
	static char *list[] = { "broker", "name", "type", "capacity", "stamped", "timeout", NULL };
	struct attempt attempt = { .options = { 0 } };
	struct opening what = { 0 };
	int stamped = 0;

	if (!PyArg_ParseTupleAndKeywords(args, names, "OUO!|$IpO", list, &what.broker, &what.name, type_class, &what.type,
					 &attempt.options.capacity, &stamped, &what.timeout))
		return -1;
	attempt.options.stamped = stamped != 0;
	return handle_open(self, &writer_kind, &what, &attempt, writer_attempt);
}

static int store(void *raw, const void *payload)
{
	return shmb_value_store(raw, payload);
}

static PyObject *writer_store(PyObject *self, PyObject *payload)
{
	return write_one((struct handle *)self, store, payload, ABOUT_WRITE);
}

static PyObject *writer_heartbeat(PyObject *object, PyObject *unused)
{
	struct handle *self = (struct handle *)object;
	int r;

	(void)unused;
	if (handle_begin(self) < 0)
		return NULL;
	r = shmb_value_heartbeat(self->raw);
	if (r < 0)
		return error_set(self->broker, ABOUT_WRITE, r);
	Py_RETURN_NONE;
}

static PyObject *writer_next_number(PyObject *object, void *unused)
{
	struct handle *self = (struct handle *)object;

	(void)unused;
	return handle_begin(self) < 0 ? NULL : PyLong_FromUnsignedLongLong(shmb_value_next(self->raw));
}

static PyGetSetDef writer_attributes[] = {
	{ "next_number", writer_next_number, NULL, "number of the next write", NULL },
	{ NULL, NULL, NULL, NULL, NULL },
};

static PyMethodDef writer_methods[] = {
	{ "store", writer_store, METH_O, "store(payload)\n\nPublishes a payload. Never waits." },
	{ "heartbeat", writer_heartbeat, METH_NOARGS, "heartbeat()\n\n\"I am alive\" without data." },
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
	.name = "shmbroker._core.ValueWriter",
	.basicsize = sizeof(struct handle),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = writer_slots,
};

/* ---- reader ---- */

static int reader_attempt(struct attempt *attempt, uint64_t deadline_ns)
{
	struct shmb_value_reader *reader = NULL;
	int r = shmb_value_reader_open(&reader, attempt->broker, attempt->name, attempt->type, deadline_ns);

	attempt->raw = reader;
	return r;
}

static int observe_attempt(struct attempt *attempt, uint64_t deadline_ns)
{
	struct shmb_value_reader *reader = NULL;
	int r = shmb_value_observe(&reader, attempt->broker, attempt->name);

	(void)deadline_ns;
	attempt->raw = reader;
	return r;
}

static int reader_init(PyObject *self, PyObject *args, PyObject *names)
{
	return handle_open_reader(self, args, names, &value_reader_kind, reader_attempt, observe_attempt);
}

static int load(void *raw, uint64_t argument, void *payload, struct shmb_sample *sample)
{
	(void)argument;
	return shmb_value_load(raw, payload, sample);
}

static PyObject *reader_load(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	PyObject *out = argument_one("out", args, count, names);

	return out == NULL ? NULL : read_one((struct handle *)self, load, 0, out, ABOUT_READ);
}

static PyMethodDef reader_methods[] = {
	{ "load", (PyCFunction)(void (*)(void))reader_load, METH_FASTCALL | METH_KEYWORDS,
	  "load(out=None) -> Sample\n\nCopies the newest value, into `out` where it is given. Never waits. Raises NoData, Overtaken." },
	{ NULL, NULL, 0, NULL },
};

static PyType_Slot reader_slots[] = {
	{ Py_tp_init, reader_init },
	{ Py_tp_dealloc, handle_dealloc },
	{ Py_tp_methods, reader_methods },
	{ 0, NULL },
};

static PyType_Spec reader_spec = {
	.name = "shmbroker._core.ValueReader",
	.basicsize = sizeof(struct handle),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = reader_slots,
};

int value_add(PyObject *module)
{
	if (core_add_type(module, &writer_class, &writer_spec, handle_class) < 0)
		return -1;
	return core_add_type(module, &value_reader_class, &reader_spec, handle_class);
}
