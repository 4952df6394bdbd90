/* SPDX-License-Identifier: MIT */
/* Waiting for several handles: wait_any(), and WaitSet, whose descriptor an event loop polls. */
#include "core.h"

static PyTypeObject *waitset_class;

/* ---- wait_any ---- */

struct crowd {
	size_t count;
	struct handle *handles[SHMB_WAIT_MAX];
	struct shmb_waitable *waitables[SHMB_WAIT_MAX];
};

static int crowd_begin(struct crowd *crowd)
{
	for (size_t i = 0; i < crowd->count; i++) {
		struct handle *handle = crowd->handles[i];

		if (handle_begin(handle) < 0)
			return -1;
		if (handle->kind->waitable == NULL) {
			error_named("NotSupported", "a %s has nothing to wait for", handle->kind->name);
			return -1;
		}
		crowd->waitables[i] = handle->kind->waitable(handle->raw);
	}
	return 0;
}

static int crowd_fill(struct crowd *crowd, PyObject *list)
{
	Py_ssize_t count = PyList_Size(list);

	if (count < 1 || count > SHMB_WAIT_MAX) {
		PyErr_Format(PyExc_ValueError, "a wait is for 1 to %d handles", SHMB_WAIT_MAX);
		return -1;
	}
	for (Py_ssize_t i = 0; i < count; i++) {
		PyObject *item = PyList_GetItem(list, i);

		if (!PyObject_TypeCheck(item, handle_class)) {
			PyErr_Format(PyExc_TypeError, "%R is no handle", item);
			return -1;
		}
		crowd->handles[i] = (struct handle *)item;
	}
	crowd->count = (size_t)count;
	return crowd_begin(crowd);
}

static void crowd_enter(struct crowd *crowd)
{
	for (size_t i = 0; i < crowd->count; i++)
		handle_enter(crowd->handles[i]);
}

/* false: one was closed meanwhile. */
static bool crowd_leave(struct crowd *crowd)
{
	bool whole = true;

	for (size_t i = 0; i < crowd->count; i++) {
		handle_leave(crowd->handles[i]);
		whole = whole && !crowd->handles[i]->closed;
	}
	return whole;
}

/* wait_any(list, timeout): (index, None or exception). */
static PyObject *wait_any(PyObject *module, PyObject *args)
{
	struct crowd crowd;
	PyObject *list;
	PyObject *timeout;
	PyObject *error = Py_None;
	uint64_t deadline_ns;
	uint64_t slice;
	size_t which = 0;
	bool whole;
	int r;

	(void)module;
	if (!PyArg_ParseTuple(args, "O!O", &PyList_Type, &list, &timeout) || deadline_of(timeout, &deadline_ns) < 0 ||
	    crowd_fill(&crowd, list) < 0)
		return NULL;
	for (;;) {
		slice = slice_of(deadline_ns);
		crowd_enter(&crowd);
		Py_BEGIN_ALLOW_THREADS r = shmb_wait_any(crowd.waitables, crowd.count, slice, &which);
		Py_END_ALLOW_THREADS whole = crowd_leave(&crowd);
		if (!whole)
			return error_named("Closed", "one of the handles was closed by another thread meanwhile");
		/* One has gone on to its segment's next generation: what was waited for comes from there. */
		if (r != -EREMCHG || deadline_ns == SHMB_NO_WAIT) {
			if (r != -ETIMEDOUT || slice == deadline_ns)
				break;
		}
		if (PyErr_CheckSignals() < 0 || crowd_begin(&crowd) < 0)
			return NULL;
	}
	if (r < 0 && which >= crowd.count)
		return error_set(crowd.handles[0]->broker, ABOUT_WAIT, r);
	if (r < 0) {
		error = error_new(crowd.handles[which]->broker, ABOUT_WAIT, r);
		if (error == NULL)
			return NULL;
	} else {
		Py_IncRef(error);
	}
	return Py_BuildValue("(nN)", (Py_ssize_t)which, error);
}

/* ---- WaitSet ---- */

static PyObject *waitset_new(PyTypeObject *class, PyObject *args, PyObject *names)
{
	static char *list[] = { "broker", NULL };
	allocfunc alloc = (allocfunc)PyType_GetSlot(class, Py_tp_alloc);
	struct broker *broker;
	struct waitset *self;
	int r;

	if (!PyArg_ParseTupleAndKeywords(args, names, "O!", list, broker_class, &broker))
		return NULL;
	if (broker->closed || broker->raw == NULL)
		return error_named("Closed", "the connection is closed");
	self = (struct waitset *)alloc(class, 0);
	if (self == NULL)
		return NULL;
	r = shmb_waitset_new(&self->raw, broker->raw);
	self->members = r == 0 ? PyList_New(0) : NULL;
	if (self->members == NULL) {
		if (r == 0)
			self->raw = shmb_waitset_free(self->raw);
		else
			self->raw = NULL;
		Py_DecRef((PyObject *)self);
		return r < 0 ? error_set(broker, ABOUT_CONTROL, r) : NULL;
	}
	self->broker = broker;
	Py_IncRef((PyObject *)broker);
	LIST_INSERT_HEAD(&broker->sets, self, entry);
	return (PyObject *)self;
}

void waitset_end(struct waitset *set)
{
	if (set->raw == NULL)
		return;
	LIST_REMOVE(set, entry);
	set->raw = shmb_waitset_free(set->raw);
}

/* The handle is about to be closed: out of all sets. Their lists forget it when they are asked next: a handle that is dying has no references. */
void waitset_forget(struct broker *broker, struct handle *handle)
{
	struct waitset *set;

	if (handle->kind->waitable == NULL)
		return;
	LIST_FOREACH (set, &broker->sets, entry)
		shmb_waitset_remove(set->raw, handle->kind->waitable(handle->raw));
}

static void waitset_dealloc(PyObject *object)
{
	struct waitset *self = (struct waitset *)object;
	PyTypeObject *class = Py_TYPE(object);
	freefunc release = (freefunc)PyType_GetSlot(class, Py_tp_free);

	waitset_end(self);
	Py_DecRef(self->members);
	Py_DecRef((PyObject *)self->broker);
	release(object);
	Py_DecRef((PyObject *)class);
}

static int waitset_begin(struct waitset *self)
{
	if (self->raw != NULL)
		return 0;
	error_named("Closed", "the wait set is closed");
	return -1;
}

static struct shmb_waitable *waitset_member(struct waitset *self, PyObject *member)
{
	struct handle *handle = (struct handle *)member;

	if (waitset_begin(self) < 0)
		return NULL;
	if (!PyObject_TypeCheck(member, handle_class)) {
		PyErr_Format(PyExc_TypeError, "%R is no handle", member);
		return NULL;
	}
	if (handle_begin(handle) < 0)
		return NULL;
	if (handle->kind->waitable == NULL) {
		error_named("NotSupported", "a %s has nothing to wait for", handle->kind->name);
		return NULL;
	}
	return handle->kind->waitable(handle->raw);
}

static PyObject *waitset_add_method(PyObject *object, PyObject *member)
{
	struct waitset *self = (struct waitset *)object;
	struct shmb_waitable *waitable = waitset_member(self, member);
	int r;

	if (waitable == NULL)
		return NULL;
	r = shmb_waitset_add(self->raw, waitable, member);
	if (r < 0)
		return error_set(self->broker, ABOUT_CONTROL, r);
	if (PyList_Append(self->members, member) < 0) {
		shmb_waitset_remove(self->raw, waitable);
		return NULL;
	}
	Py_RETURN_NONE;
}

static Py_ssize_t member_index(struct waitset *self, PyObject *member)
{
	for (Py_ssize_t i = 0; i < PyList_Size(self->members); i++) {
		if (PyList_GetItem(self->members, i) == member)
			return i;
	}
	return -1;
}

static PyObject *waitset_remove_method(PyObject *object, PyObject *member)
{
	struct waitset *self = (struct waitset *)object;
	Py_ssize_t index;

	if (waitset_begin(self) < 0)
		return NULL;
	index = member_index(self, member);
	if (index < 0)
		return error_named("NotFound", "the handle is not in this wait set");
	/* A handle that was closed is out already. */
	if (((struct handle *)member)->raw != NULL)
		shmb_waitset_remove(self->raw, ((struct handle *)member)->kind->waitable(((struct handle *)member)->raw));
	if (PySequence_DelItem(self->members, index) < 0)
		return NULL;
	Py_RETURN_NONE;
}

/* next(): (handle, None or exception), or None when the pass is over. */
static PyObject *waitset_next(PyObject *object, PyObject *unused)
{
	struct waitset *self = (struct waitset *)object;
	PyObject *error = Py_None;
	struct handle *handle;
	void *user;
	int r;

	(void)unused;
	if (waitset_begin(self) < 0)
		return NULL;
	for (Py_ssize_t i = 0; i < PyList_Size(self->members); i++) {
		handle = (struct handle *)PyList_GetItem(self->members, i);
		if (handle->raw != NULL && (handle->busy || handle->lent) && handle_begin(handle) < 0)
			return NULL;
	}
	r = shmb_waitset_next(self->raw, &user);
	if (r == -ENODATA)
		Py_RETURN_NONE;
	if (r == -EOWNERDEAD && broker_is_forked(self->broker))
		return error_set(self->broker, ABOUT_WAIT, r);
	if (r < 0)
		error = error_new(self->broker, ABOUT_WAIT, r);
	else
		Py_IncRef(error);
	return error == NULL ? NULL : Py_BuildValue("(ON)", (PyObject *)user, error);
}

static PyObject *waitset_fileno(PyObject *object, PyObject *unused)
{
	struct waitset *self = (struct waitset *)object;

	(void)unused;
	return waitset_begin(self) < 0 ? NULL : PyLong_FromLong(shmb_waitset_fd(self->raw));
}

static PyObject *waitset_close(PyObject *object, PyObject *unused)
{
	(void)unused;
	waitset_end((struct waitset *)object);
	Py_RETURN_NONE;
}

static PyObject *waitset_closed(PyObject *object, void *unused)
{
	(void)unused;
	return PyBool_FromLong(((struct waitset *)object)->raw == NULL);
}

static PyGetSetDef attributes[] = {
	{ "closed", waitset_closed, NULL, "whether it is closed", NULL },
	{ NULL, NULL, NULL, NULL, NULL },
};

static PyMethodDef methods[] = {
	{ "add", waitset_add_method, METH_O, "add(handle)\n\nAdds a handle of the same connection." },
	{ "remove", waitset_remove_method, METH_O, "remove(handle)\n\nTakes it out." },
	{ "next", waitset_next, METH_NOARGS,
	  "next() -> tuple[Handle, Error | None] | None\n\nThe next member that has something to say: with None there is something to "
	  "read, else it is what a wait of no\n"
	  "time would raise; Superseded until its follow(). None when the pass is over: then fileno() is quiet until there is news." },
	{ "fileno", waitset_fileno, METH_NOARGS,
	  "fileno() -> int\n\nA descriptor, readable while a member has something to say. Only poll it." },
	{ "close", waitset_close, METH_NOARGS, "close()\n\nEnds the set; its members go on." },
	{ NULL, NULL, 0, NULL },
};

static PyType_Slot slots[] = {
	{ Py_tp_new, waitset_new },
	{ Py_tp_dealloc, waitset_dealloc },
	{ Py_tp_methods, methods },
	{ Py_tp_getset, attributes },
	{ 0, NULL },
};

static PyType_Spec spec = {
	.name = "shmbroker._core.WaitSet",
	.basicsize = sizeof(struct waitset),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = slots,
};

static PyMethodDef functions[] = {
	{ "wait_any", wait_any, METH_VARARGS, NULL },
	{ NULL, NULL, 0, NULL },
};

int waitset_add(PyObject *module)
{
	return core_add_type(module, &waitset_class, &spec, NULL) < 0 ? -1 : PyModule_AddFunctions(module, functions);
}
