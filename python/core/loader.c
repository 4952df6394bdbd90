/* SPDX-License-Identifier: MIT */
/*
 * Loader: the library's thread that keeps the newest element of a reader, and copies of its snapshots for Python. The library's snapshot is
 * overwritten after the next one was taken, which a numpy view would not notice: so what Python gets is its own copy.
 */
#include "core.h"

#include <string.h>

struct loader {
	PyObject ob_base;
	struct shmb_loader *raw;
	struct handle *reader;
	bool busy;
};

static PyTypeObject *loader_class;

static PyObject *loader_new(PyTypeObject *class, PyObject *args, PyObject *names)
{
	static char *list[] = { "reader", NULL };
	allocfunc alloc = (allocfunc)PyType_GetSlot(class, Py_tp_alloc);
	struct shmb_loader *raw = NULL;
	struct handle *reader;
	struct loader *self;
	PyObject *object;
	bool is_value;
	int r;

	if (!PyArg_ParseTupleAndKeywords(args, names, "O", list, &object))
		return NULL;
	is_value = PyObject_TypeCheck(object, value_reader_class);
	if (!is_value && !PyObject_TypeCheck(object, ring_reader_class)) {
		PyErr_SetString(PyExc_TypeError, "a loader is for the reader of a value or ring");
		return NULL;
	}
	reader = (struct handle *)object;
	if (handle_begin(reader) < 0)
		return NULL;
	self = (struct loader *)alloc(class, 0);
	if (self == NULL)
		return NULL;
	r = is_value ? shmb_loader_open_value(&raw, reader->raw) : shmb_loader_open_ring(&raw, reader->raw);
	if (r < 0) {
		Py_DecRef((PyObject *)self);
		return error_set(reader->broker, ABOUT_CONTROL, r);
	}
	self->raw = raw;
	self->reader = reader;
	Py_IncRef(object);
	reader->lent = true;
	reader->held++;
	return (PyObject *)self;
}

static void loader_end(struct loader *self)
{
	struct shmb_loader *raw = self->raw;

	if (raw == NULL)
		return;
	self->raw = NULL;
	Py_BEGIN_ALLOW_THREADS shmb_loader_close(raw);
	Py_END_ALLOW_THREADS self->reader->lent = false;
	self->reader->held--;
	if (self->reader->closed)
		handle_settle(self->reader);
}

static void loader_dealloc(PyObject *object)
{
	struct loader *self = (struct loader *)object;
	PyTypeObject *class = Py_TYPE(object);
	freefunc release = (freefunc)PyType_GetSlot(class, Py_tp_free);

	loader_end(self);
	Py_DecRef((PyObject *)self->reader);
	release(object);
	Py_DecRef((PyObject *)class);
}

static int loader_begin(struct loader *self)
{
	if (self->raw == NULL || self->reader->closed) {
		error_named("Closed", "the loader is closed");
		return -1;
	}
	if (self->busy && !broker_is_forked(self->reader->broker)) {
		error_named("InUse", "another thread waits with the loader");
		return -1;
	}
	return 0;
}

static PyObject *loader_close(PyObject *object, PyObject *unused)
{
	struct loader *self = (struct loader *)object;

	(void)unused;
	if (self->raw != NULL && self->busy && !broker_is_forked(self->reader->broker))
		return error_named("InUse", "another thread waits with the loader");
	loader_end(self);
	Py_RETURN_NONE;
}

static PyObject *loader_snapshot(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	struct loader *self = (struct loader *)object;
	PyObject *out = argument_one("out", args, count, names);
	struct shmb_sample sample;
	const void *payload;
	PyObject *record;
	Py_buffer view;
	int r;

	if (out == NULL || loader_begin(self) < 0 || payload_out(self->reader, out, &view, &record) < 0)
		return NULL;
	r = shmb_loader_snapshot(self->raw, &payload, &sample);
	if (r == 0)
		memcpy(view.buf, payload, self->reader->size);
	PyBuffer_Release(&view);
	if (r < 0) {
		Py_DecRef(record);
		return error_set(self->reader->broker, ABOUT_READ, r);
	}
	return sample_new(self->reader, record, &sample);
}

static PyObject *loader_wait(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	struct loader *self = (struct loader *)object;
	PyObject *timeout = argument_one("timeout", args, count, names);
	uint64_t deadline_ns;
	bool again;
	int r;

	if (timeout == NULL || deadline_of(timeout, &deadline_ns) < 0 || loader_begin(self) < 0)
		return NULL;
	do {
		uint64_t slice = slice_of(deadline_ns);

		self->busy = true;
		Py_BEGIN_ALLOW_THREADS r = shmb_loader_wait(self->raw, slice);
		Py_END_ALLOW_THREADS self->busy = false;
		/* -EREMCHG: it has gone on to the segment's next generation. */
		again = r == -ETIMEDOUT ? slice != deadline_ns : r == -EREMCHG && deadline_ns != SHMB_NO_WAIT;
		if (again && (PyErr_CheckSignals() < 0 || loader_begin(self) < 0))
			return NULL;
	} while (again);
	if (r < 0)
		return error_set(self->reader->broker, ABOUT_WAIT, r);
	Py_RETURN_NONE;
}

static PyObject *loader_get(PyObject *object, void *what)
{
	struct loader *self = (struct loader *)object;

	if (what == NULL)
		return PyBool_FromLong(self->raw == NULL);
	Py_IncRef((PyObject *)self->reader);
	return (PyObject *)self->reader;
}

static PyGetSetDef attributes[] = {
	{ "closed", loader_get, NULL, "whether it is closed", (void *)0 },
	{ "reader", loader_get, NULL, "the reader that it uses", (void *)1 },
	{ NULL, NULL, NULL, NULL, NULL },
};

static PyMethodDef methods[] = {
	{ "close", loader_close, METH_NOARGS, "close()\n\nEnds the thread; the reader may be used again." },
	{ "snapshot", (PyCFunction)(void (*)(void))loader_snapshot, METH_FASTCALL | METH_KEYWORDS,
	  "snapshot(out=None) -> Sample\n\nThe newest element that was loaded, copied from the loader's own memory. Raises NoData." },
	{ "wait", (PyCFunction)(void (*)(void))loader_wait, METH_FASTCALL | METH_KEYWORDS,
	  "wait(timeout=None)\n\nWaits until there is a newer snapshot than the last one. Raises what a wait of the reader would." },
	{ NULL, NULL, 0, NULL },
};

static PyType_Slot slots[] = {
	{ Py_tp_new, loader_new }, { Py_tp_dealloc, loader_dealloc }, { Py_tp_methods, methods }, { Py_tp_getset, attributes }, { 0, NULL },
};

static PyType_Spec spec = {
	.name = "shmbroker._core.Loader",
	.basicsize = sizeof(struct loader),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = slots,
};

int loader_add(PyObject *module)
{
	return core_add_type(module, &loader_class, &spec, NULL);
}
