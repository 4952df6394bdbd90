/* SPDX-License-Identifier: MIT */
/*
 * Handles: what readers, writers and blocks have in common. Opening and waiting in slices, closing when the last view is gone, being busy.
 */
#include "core.h"

#include <unistd.h>

PyTypeObject *handle_class;

/* How soon a wait of the main thread hears of Ctrl-C. */
#define SIGNAL_SLICE_NS UINT64_C(50000000)

/* ---- time ---- */

int deadline_of(PyObject *timeout, uint64_t *deadline_ns)
{
	uint64_t now = shmb_now_ns();
	double seconds;

	if (timeout == Py_None) {
		*deadline_ns = SHMB_FOREVER;
		return 0;
	}
	seconds = PyFloat_AsDouble(timeout);
	if (seconds == -1.0 && PyErr_Occurred() != NULL)
		return -1;
	if (seconds != seconds) {
		PyErr_SetString(PyExc_ValueError, "timeout must not be NaN");
		return -1;
	}
	if (seconds <= 0)
		*deadline_ns = SHMB_NO_WAIT;
	else if (seconds >= 9e9)
		*deadline_ns = SHMB_FOREVER;
	else
		*deadline_ns = now + (uint64_t)(seconds * 1e9);
	return 0;
}

/* The end of the next slice. Only the main thread runs handlers of signals; a thread's number is its process's there. */
uint64_t slice_of(uint64_t deadline_ns)
{
	uint64_t end;

	if (deadline_ns == SHMB_NO_WAIT || gettid() != getpid())
		return deadline_ns;
	end = shmb_now_ns() + SIGNAL_SLICE_NS;
	return end < deadline_ns ? end : deadline_ns;
}

/* ---- in use ---- */

int handle_begin(struct handle *handle)
{
	if (handle->raw == NULL || handle->closed) {
		error_named("Closed", handle->kind == NULL ? "the handle was never opened" : "the %s is closed",
			    handle->kind == NULL ? "" : handle->kind->name);
		return -1;
	}
	if (!handle->busy && !handle->lent)
		return 0;
	if (broker_is_forked(handle->broker))
		error_set(handle->broker, ABOUT_READ, -EOWNERDEAD);
	else if (handle->lent)
		error_named("InUse", "a loader uses the %s: close the loader first", handle->kind->name);
	else
		error_named("InUse", "another thread uses the %s: one thread at a time, or open it twice", handle->kind->name);
	return -1;
}

void handle_enter(struct handle *handle)
{
	handle->busy = true;
}

void handle_leave(struct handle *handle)
{
	handle->busy = false;
	while (handle->dead_pin_count > 0)
		shmb_frame_release(handle->raw, &handle->dead_pins[--handle->dead_pin_count]);
	if (handle->closed)
		handle_settle(handle);
}

/* ---- open and close ---- */

static int open_begin(const struct opening *what, struct attempt *attempt, struct broker **out)
{
	if (!PyObject_TypeCheck(what->broker, broker_class)) {
		PyErr_SetString(PyExc_TypeError, "broker must be a Broker");
		return -1;
	}
	*out = (struct broker *)what->broker;
	if ((*out)->closed || (*out)->raw == NULL) {
		error_named("Closed", "the connection is closed");
		return -1;
	}
	if (what->type != Py_None && !PyObject_TypeCheck(what->type, type_class)) {
		PyErr_SetString(PyExc_TypeError, "type must be a Type");
		return -1;
	}
	attempt->broker = (*out)->raw;
	attempt->type = what->type == Py_None ? NULL : ((struct type *)what->type)->raw;
	attempt->name = PyUnicode_AsUTF8AndSize(what->name, NULL);
	return attempt->name == NULL ? -1 : 0;
}

static int open_in_slices(struct attempt *attempt, attempt_fn *open, uint64_t deadline_ns)
{
	for (;;) {
		uint64_t slice = slice_of(deadline_ns);
		int r;

		Py_BEGIN_ALLOW_THREADS r = open(attempt, slice);
		Py_END_ALLOW_THREADS if (slice == deadline_ns || (r != -ENOENT && r != -EBUSY && r != -ECONNREFUSED)) return r;
		if (PyErr_CheckSignals() < 0)
			return 1;
	}
}

int handle_open(PyObject *self, const struct kind *kind, const struct opening *what, struct attempt *attempt, attempt_fn *open)
{
	uint64_t deadline_ns = SHMB_NO_WAIT;
	struct broker *owner;
	int r;

	if ((what->timeout != NULL && deadline_of(what->timeout, &deadline_ns) < 0) || open_begin(what, attempt, &owner) < 0)
		return -1;
	r = open_in_slices(attempt, open, deadline_ns);
	if (r != 0) {
		if (r < 0)
			error_set(owner, ABOUT_CONTROL, r);
		return -1;
	}
	return handle_adopt((struct handle *)self, kind, owner, what->name, what->type, attempt->raw);
}

int handle_open_reader(PyObject *self, PyObject *args, PyObject *names, const struct kind *kind, attempt_fn *open, attempt_fn *observe)
{
	static char *list[] = { "broker", "name", "type", "timeout", "unseen", NULL };
	struct opening what = { .type = Py_None };
	struct attempt attempt = { .raw = NULL };
	int unseen = 0;

	if (!PyArg_ParseTupleAndKeywords(args, names, "OU|O$Op", list, &what.broker, &what.name, &what.type, &what.timeout, &unseen))
		return -1;
	return handle_open(self, kind, &what, &attempt, unseen ? observe : open);
}

int handle_adopt(struct handle *handle, const struct kind *kind, struct broker *broker, PyObject *name, PyObject *type, void *raw)
{
	PyObject *size;

	if (handle->kind != NULL) {
		PyErr_SetString(PyExc_TypeError, "a handle is opened once");
		kind->close(raw);
		return -1;
	}
	handle->kind = kind;
	handle->raw = raw;
	handle->broker = broker;
	Py_IncRef((PyObject *)broker);
	LIST_INSERT_HEAD(&broker->handles, handle, entry);
	handle->name = name;
	Py_IncRef(name);
	if (type == Py_None) {
		const struct shmb_type *own = kind->type(raw);

		handle->type = (struct type *)PyObject_CallFunction(core.type_of, "ss", own->name, own->schema);
	} else {
		handle->type = (struct type *)type;
		Py_IncRef(type);
	}
	if (handle->type == NULL)
		return -1;
	handle->dtype = PyObject_GetAttr((PyObject *)handle->type, core.name_of_dtype);
	if (handle->dtype == NULL)
		return -1;
	handle->size = handle->type->raw->size;
	size = PyObject_GetAttrString(handle->dtype, "itemsize");
	if (size == NULL)
		return -1;
	if (PyLong_AsSize_t(size) != handle->size && PyErr_Occurred() == NULL)
		PyErr_SetString(PyExc_SystemError, "the type's dtype is not of its size");
	Py_DecRef(size);
	return PyErr_Occurred() != NULL ? -1 : 0;
}

void handle_settle(struct handle *handle)
{
	struct broker *broker = handle->broker;
	void *raw = handle->raw;

	if (!handle->closed || raw == NULL)
		return;
	if (handle->loan != NULL)
		loan_revoke(handle);
	if (handle->held > 0)
		return;
	/* In a forked child the thread that used it is not there. */
	if (handle->busy && !broker_is_forked(broker))
		return;
	waitset_forget(broker, handle);
	handle->set = shmb_waitset_free(handle->set);
	aliases_free(handle);
	handle->raw = NULL;
	/* Kept busy: while the GIL is let go for the broker's answer, nobody must take the handle's memory for free. */
	Py_IncRef((PyObject *)handle);
	Py_BEGIN_ALLOW_THREADS handle->kind->close(raw);
	Py_END_ALLOW_THREADS LIST_REMOVE(handle, entry);
	broker_settle(broker);
	Py_DecRef((PyObject *)handle);
}

void handle_dealloc(PyObject *object)
{
	struct handle *self = (struct handle *)object;
	PyTypeObject *class = Py_TYPE(object);
	freefunc release = (freefunc)PyType_GetSlot(class, Py_tp_free);
	void *raw = self->raw;

	if (self->broker != NULL) {
		/* Not handle_settle(): an object that dies must not be referred to again. */
		if (raw != NULL) {
			waitset_forget(self->broker, self);
			shmb_waitset_free(self->set);
			aliases_free(self);
			self->raw = NULL;
			LIST_REMOVE(self, entry);
			Py_BEGIN_ALLOW_THREADS self->kind->close(raw);
			Py_END_ALLOW_THREADS broker_settle(self->broker);
		}
		Py_DecRef((PyObject *)self->broker);
	}
	Py_DecRef(self->name);
	Py_DecRef((PyObject *)self->type);
	Py_DecRef(self->dtype);
	Py_DecRef(self->seen[0]);
	Py_DecRef(self->seen[1]);
	release(object);
	Py_DecRef((PyObject *)class);
}

static PyObject *handle_close(PyObject *object, PyObject *unused)
{
	struct handle *self = (struct handle *)object;

	(void)unused;
	if (self->kind == NULL || self->closed)
		Py_RETURN_NONE;
	if (self->lent && !broker_is_forked(self->broker))
		return error_named("InUse", "a loader uses the %s: close the loader first", self->kind->name);
	self->closed = true;
	/* Who waits in another thread is sent home, and closes it then. */
	if (self->busy && self->kind->waitable != NULL)
		shmb_cancel(self->kind->waitable(self->raw));
	handle_settle(self);
	Py_RETURN_NONE;
}

/* ---- waiting ---- */

int handle_wait(struct handle *handle, int (*wait)(void *raw, uint64_t deadline_ns), uint64_t deadline_ns)
{
	for (;;) {
		uint64_t slice = slice_of(deadline_ns);
		int r;

		handle_enter(handle);
		Py_BEGIN_ALLOW_THREADS r = wait(handle->raw, slice);
		Py_END_ALLOW_THREADS handle_leave(handle);
		if (handle->closed) {
			error_named("Closed", "the %s was closed by another thread meanwhile", handle->kind->name);
			return 1;
		}
		/* It has gone on to the segment's next generation: what was waited for comes from there. */
		if (r != -EREMCHG || deadline_ns == SHMB_NO_WAIT) {
			if (r != -ETIMEDOUT || slice == deadline_ns)
				return r;
		}
		if (PyErr_CheckSignals() < 0)
			return 1;
		/* A handler may have closed it. */
		if (handle_begin(handle) < 0)
			return 1;
	}
}

static PyObject *handle_wait_method(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	struct handle *self = (struct handle *)object;
	PyObject *timeout = argument_one("timeout", args, count, names);
	uint64_t deadline_ns;
	int r;

	if (timeout == NULL || deadline_of(timeout, &deadline_ns) < 0 || handle_begin(self) < 0)
		return NULL;
	if (self->kind->wait == NULL)
		return error_named("NotSupported", "a %s has nothing to wait for", self->kind->name);
	r = handle_wait(self, self->kind->wait, deadline_ns);
	if (r == 0)
		Py_RETURN_NONE;
	return r > 0 ? NULL : error_set(self->broker, ABOUT_WAIT, r);
}

static struct shmb_waitable *waitable_of(struct handle *self)
{
	if (self->raw == NULL || self->closed) {
		handle_begin(self);
		return NULL;
	}
	if (self->kind->waitable == NULL) {
		error_named("NotSupported", "a %s has nothing to wait for", self->kind->name);
		return NULL;
	}
	return self->kind->waitable(self->raw);
}

static PyObject *handle_cancel(PyObject *object, PyObject *unused)
{
	struct handle *self = (struct handle *)object;
	struct shmb_waitable *waitable = waitable_of(self);
	int r;

	(void)unused;
	if (waitable == NULL)
		return NULL;
	r = shmb_cancel(waitable);
	if (r < 0)
		return error_set(self->broker, ABOUT_READ, r);
	Py_RETURN_NONE;
}

/* Asks the broker, which may take its time. */
static PyObject *handle_follow(PyObject *object, PyObject *unused)
{
	struct handle *self = (struct handle *)object;
	struct shmb_waitable *waitable;
	int r;

	(void)unused;
	if (handle_begin(self) < 0)
		return NULL;
	waitable = waitable_of(self);
	if (waitable == NULL)
		return NULL;
	handle_enter(self);
	Py_BEGIN_ALLOW_THREADS r = shmb_follow(waitable);
	Py_END_ALLOW_THREADS handle_leave(self);
	if (r < 0 && r != -EAGAIN)
		return error_set(self->broker, ABOUT_WAIT, r);
	return PyBool_FromLong(r == 0);
}

static PyObject *handle_set_spin(PyObject *object, PyObject *argument)
{
	struct handle *self = (struct handle *)object;
	double seconds = PyFloat_AsDouble(argument);
	struct shmb_waitable *waitable;
	int r;

	if ((seconds == -1.0 && PyErr_Occurred() != NULL) || handle_begin(self) < 0)
		return NULL;
	waitable = waitable_of(self);
	if (waitable == NULL)
		return NULL;
	if (!(seconds >= 0 && seconds <= 1)) {
		PyErr_SetString(PyExc_ValueError, "a spin is 0 to 1 second");
		return NULL;
	}
	r = shmb_set_spin(waitable, (uint64_t)(seconds * 1e9));
	if (r < 0)
		return error_set(self->broker, ABOUT_READ, r);
	Py_RETURN_NONE;
}

/* A wait set of its own, for event loops. */
static PyObject *handle_fileno(PyObject *object, PyObject *unused)
{
	struct handle *self = (struct handle *)object;
	struct shmb_waitable *waitable;
	int r = 0;

	(void)unused;
	if (handle_begin(self) < 0)
		return NULL;
	waitable = waitable_of(self);
	if (waitable == NULL)
		return NULL;
	if (self->set == NULL) {
		r = shmb_waitset_new(&self->set, self->broker->raw);
		if (r == 0)
			r = shmb_waitset_add(self->set, waitable, self);
		if (r < 0) {
			self->set = shmb_waitset_free(self->set);
			return error_set(self->broker, ABOUT_CONTROL, r);
		}
	}
	return PyLong_FromLong(shmb_waitset_fd(self->set));
}

static PyObject *handle_poll(PyObject *object, PyObject *unused)
{
	struct handle *self = (struct handle *)object;
	PyObject *fd = handle_fileno(object, NULL);
	void *user;
	int r;

	(void)unused;
	if (fd == NULL)
		return NULL;
	Py_DecRef(fd);
	r = shmb_waitset_next(self->set, &user);
	if (r == 0)
		Py_RETURN_TRUE;
	if (r == -ENODATA)
		Py_RETURN_FALSE;
	return error_set(self->broker, ABOUT_WAIT, r);
}

/* ---- what is known of it ---- */

static PyObject *handle_status(PyObject *object, PyObject *unused)
{
	struct handle *self = (struct handle *)object;
	struct shmb_segment_status status;
	int r;

	(void)unused;
	if (handle_begin(self) < 0)
		return NULL;
	if (self->kind->status == NULL)
		return error_named("NotSupported", "a %s has no status: ask a reader, or Broker.info()", self->kind->name);
	r = self->kind->status(self->raw, &status);
	if (r < 0)
		return error_set(self->broker, ABOUT_READ, r);
	return Py_BuildValue("{sisisKsKsKsKsKsK}", "writer", (int)status.writer, "writer_pid", (int)status.writer_pid, "epoch",
			     (unsigned long long)status.epoch, "generation", (unsigned long long)status.generation, "oldest",
			     (unsigned long long)status.oldest, "next", (unsigned long long)status.next, "heartbeat_ns",
			     (unsigned long long)status.heartbeat_ns, "next_generation", (unsigned long long)status.next_generation);
}

static PyObject *handle_counters(PyObject *object, PyObject *unused)
{
	struct handle *self = (struct handle *)object;
	struct shmb_counters counters;
	int r;

	(void)unused;
	if (handle_begin(self) < 0)
		return NULL;
	if (self->kind->counters == NULL)
		return error_named("NotSupported", "a %s has no counters", self->kind->name);
	r = self->kind->counters(self->raw, &counters);
	if (r < 0)
		return error_set(self->broker, ABOUT_READ, r);
	return Py_BuildValue("{sKsKsKsKsKsK}", "published", (unsigned long long)counters.published, "read",
			     (unsigned long long)counters.read, "retried", (unsigned long long)counters.retried, "lapped",
			     (unsigned long long)counters.lapped, "waited", (unsigned long long)counters.waited, "woken",
			     (unsigned long long)counters.woken);
}

static PyObject *handle_get(PyObject *object, void *what)
{
	struct handle *self = (struct handle *)object;
	PyObject *found;

	switch ((intptr_t)what) {
	case 0:
		return PyBool_FromLong(self->closed || self->raw == NULL);
	case 1:
		found = self->name;
		break;
	case 2:
		found = (PyObject *)self->type;
		break;
	case 3:
		found = self->dtype;
		break;
	default:
		found = (PyObject *)self->broker;
		break;
	}
	if (found == NULL)
		found = Py_None;
	Py_IncRef(found);
	return found;
}

static PyObject *handle_reduce(PyObject *self, PyObject *unused)
{
	(void)unused;
	PyErr_Format(PyExc_TypeError,
		     "a %R belongs to the process that opened it and cannot be pickled: send its name, connect and open there",
		     Py_TYPE(self));
	return NULL;
}

static PyGetSetDef attributes[] = {
	{ "closed", handle_get, NULL, "whether it is closed", (void *)0 },
	{ "name", handle_get, NULL, "name of the segment", (void *)1 },
	{ "type", handle_get, NULL, "the payload's Type", (void *)2 },
	{ "dtype", handle_get, NULL, "the numpy dtype of records", (void *)3 },
	{ "broker", handle_get, NULL, "the connection", (void *)4 },
	{ NULL, NULL, NULL, NULL, NULL },
};

static PyMethodDef methods[] = {
	{ "close", handle_close, METH_NOARGS,
	  "close()\n\nCloses the handle. Views of its memory stay valid; the segment is let go when the last of them is gone." },
	{ "wait", (PyCFunction)(void (*)(void))handle_wait_method, METH_FASTCALL | METH_KEYWORDS,
	  "wait(timeout=None)\n\nWaits, for `timeout` seconds at most, until there is something to read (a producer: room). Raises "
	  "Timeout, Cancelled,\n"
	  "WriterDead, WriterClosed, WriterHung once for each change of the writer, and Removed. Where the segment has a new generation it "
	  "goes "
	  "on to that and\n"
	  "waits there; with a timeout of 0 it raises Superseded instead. Other threads run meanwhile; Ctrl-C ends it." },
	{ "follow", handle_follow, METH_NOARGS,
	  "follow() -> bool\n\nGoes on to the segment's next generation now, whether or not all of this one was read: what was not counts "
	  "as "
	  "missed. Frames\n"
	  "that are held stay where they are. False where the next one is not there yet, or, of a queue, items are left; True also where "
	  "there "
	  "is no\n"
	  "other. Raises Removed, TypeMismatch, WrongKind where it cannot go on: open the name again. Asks the broker." },
	{ "cancel", handle_cancel, METH_NOARGS,
	  "cancel()\n\nEnds the wait for this handle that is under way in another thread, or else the next one: it raises Cancelled." },
	{ "set_spin", handle_set_spin, METH_O, "set_spin(seconds)\n\nHow long each wait looks without sleeping, before it sleeps." },
	{ "fileno", handle_fileno, METH_NOARGS,
	  "fileno() -> int\n\nA descriptor for event loops: readable while there is something to read or to tell. Only poll it. When it is "
	  "readable, call\n"
	  "poll() and read until there is nothing new; then it is quiet until there is more." },
	{ "poll", handle_poll, METH_NOARGS,
	  "poll() -> bool\n\nWhether there is something to read; raises what a wait would. False makes fileno() quiet until there is "
	  "news." },
	{ "_status", handle_status, METH_NOARGS, NULL },
	{ "_counters", handle_counters, METH_NOARGS, NULL },
	{ "__reduce__", handle_reduce, METH_NOARGS, NULL },
	{ NULL, NULL, 0, NULL },
};

static PyType_Slot slots[] = {
	{ Py_tp_dealloc, handle_dealloc },
	{ Py_tp_getset, attributes },
	{ Py_tp_methods, methods },
	{ 0, NULL },
};

static PyType_Spec spec = {
	.name = "shmbroker._core.Handle",
	.basicsize = sizeof(struct handle),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = slots,
};

int handle_add(PyObject *module)
{
	return core_add_type(module, &handle_class, &spec, NULL);
}
