/* SPDX-License-Identifier: MIT */
/* Watch: a connection of its own, over which the broker tells what happens. */
#include "core.h"

#include <unistd.h>

struct watch {
	PyObject ob_base;
	struct shmb_watch *raw;
	pid_t pid;
	bool busy; /* the GIL was let go while the library uses it */
};

static PyTypeObject *watch_class;

static PyObject *watch_error(int r)
{
	return error_set(NULL, ABOUT_CONTROL, r);
}

static PyObject *watch_new(PyTypeObject *class, PyObject *args, PyObject *names)
{
	static char *list[] = { "pattern", "socket_path", NULL };
	allocfunc alloc = (allocfunc)PyType_GetSlot(class, Py_tp_alloc);
	PyObject *object = Py_None;
	PyObject *path = NULL;
	const char *pattern = NULL;
	const char *text = NULL;
	struct watch *self;
	int r;

	if (!PyArg_ParseTupleAndKeywords(args, names, "|zO", list, &pattern, &object))
		return NULL;
	if (object != Py_None) {
		if (!PyUnicode_FSConverter(object, &path))
			return NULL;
		text = PyBytes_AsString(path);
	}
	self = (struct watch *)alloc(class, 0);
	if (self == NULL) {
		Py_DecRef(path);
		return NULL;
	}
	self->pid = getpid();
	Py_BEGIN_ALLOW_THREADS r = shmb_watch_open(&self->raw, text, pattern);
	Py_END_ALLOW_THREADS Py_DecRef(path);
	if (r < 0) {
		self->raw = NULL;
		Py_DecRef((PyObject *)self);
		return watch_error(r);
	}
	return (PyObject *)self;
}

static void watch_dealloc(PyObject *object)
{
	struct watch *self = (struct watch *)object;
	PyTypeObject *class = Py_TYPE(object);
	freefunc release = (freefunc)PyType_GetSlot(class, Py_tp_free);

	shmb_watch_close(self->raw);
	release(object);
	Py_DecRef((PyObject *)class);
}

/* -1 with an exception. */
static int watch_begin(const struct watch *self)
{
	if (self->raw == NULL)
		error_named("Closed", "the watch is closed");
	else if (self->pid != getpid())
		error_named("ForkedError", "this process was forked from the one that opened the watch and owns nothing of it: watch anew");
	else if (self->busy)
		error_named("InUse", "another thread uses the watch: one thread at a time");
	else
		return 0;
	return -1;
}

/* next(timeout): what happened, as the arguments of the package's Event; None: nothing. */
static PyObject *watch_next(PyObject *object, PyObject *argument)
{
	struct watch *self = (struct watch *)object;
	struct shmb_event event;
	uint64_t deadline_ns;
	uint64_t slice;
	int r;

	if (deadline_of(argument, &deadline_ns) < 0)
		return NULL;
	for (;;) {
		if (watch_begin(self) < 0)
			return NULL;
		slice = slice_of(deadline_ns);
		self->busy = true;
		Py_BEGIN_ALLOW_THREADS r = shmb_watch_next(self->raw, &event, slice);
		Py_END_ALLOW_THREADS self->busy = false;
		if (r != -ETIMEDOUT)
			break;
		if (slice == deadline_ns)
			Py_RETURN_NONE;
		if (PyErr_CheckSignals() < 0)
			return NULL;
	}
	if (r < 0)
		return watch_error(r);
	return Py_BuildValue("(KssiIsssIK)", (unsigned long long)event.time_ns, event.kind, event.segment, event.pid, event.uid, event.comm,
			     event.reason, event.text, event.level, (unsigned long long)event.lost);
}

static PyObject *watch_fileno(PyObject *object, PyObject *unused)
{
	struct watch *self = (struct watch *)object;

	(void)unused;
	return watch_begin(self) < 0 ? NULL : PyLong_FromLong(shmb_watch_fd(self->raw));
}

static PyObject *watch_close(PyObject *object, PyObject *unused)
{
	struct watch *self = (struct watch *)object;

	(void)unused;
	if (self->busy && self->pid == getpid())
		return error_named("InUse", "another thread waits for an event");
	self->raw = shmb_watch_close(self->raw);
	Py_RETURN_NONE;
}

static PyObject *watch_closed(PyObject *object, void *unused)
{
	(void)unused;
	return PyBool_FromLong(((struct watch *)object)->raw == NULL);
}

static PyGetSetDef attributes[] = {
	{ "closed", watch_closed, NULL, "whether it is closed", NULL },
	{ NULL, NULL, NULL, NULL, NULL },
};

static PyMethodDef methods[] = {
	{ "_next", watch_next, METH_O, NULL },
	{ "fileno", watch_fileno, METH_NOARGS,
	  "fileno() -> int\n\nA descriptor for event loops, readable while there may be an event: then call next(0) until it is None. Only "
	  "poll "
	  "it." },
	{ "close", watch_close, METH_NOARGS, "close()\n\nEnds the watch." },
	{ NULL, NULL, 0, NULL },
};

static PyType_Slot slots[] = {
	{ Py_tp_new, watch_new }, { Py_tp_dealloc, watch_dealloc }, { Py_tp_methods, methods }, { Py_tp_getset, attributes }, { 0, NULL },
};

static PyType_Spec spec = {
	.name = "shmbroker._core.Watch",
	.basicsize = sizeof(struct watch),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = slots,
};

int watch_add(PyObject *module)
{
	return core_add_type(module, &watch_class, &spec, NULL);
}
