/* SPDX-License-Identifier: MIT */
/* Block: plain memory, which views write and read in place (they hold the block), and its lock. */
#include "core.h"

static PyTypeObject *block_class;

static void block_close(void *raw)
{
	shmb_block_close(raw);
}

static const struct kind block_kind = { .name = "block", .close = block_close };

static int block_attempt(struct attempt *attempt, uint64_t deadline_ns)
{
	struct shmb_block *block = NULL;
	int r = shmb_block_open(&block, attempt->broker, attempt->name, attempt->type);

	(void)deadline_ns;
	attempt->raw = block;
	return r;
}

static int block_init(PyObject *self, PyObject *args, PyObject *names)
{
	static char *list[] = { "broker", "name", "type", NULL };
	struct attempt attempt = { .raw = NULL };
	struct opening what = { 0 };

	if (!PyArg_ParseTupleAndKeywords(args, names, "OUO!", list, &what.broker, &what.name, type_class, &what.type))
		return -1;
	return handle_open(self, &block_kind, &what, &attempt, block_attempt);
}

/* ---- views ---- */

static int block_getbuffer(PyObject *object, Py_buffer *view, int flags)
{
	struct handle *self = (struct handle *)object;
	void *payload;

	view->obj = NULL;
	if (handle_begin(self) < 0)
		return -1;
	payload = shmb_block_payload(self->raw);
	if (payload == NULL) {
		error_set(self->broker, ABOUT_BLOCK, -EOWNERDEAD);
		return -1;
	}
	if (PyBuffer_FillInfo(view, object, payload, (Py_ssize_t)self->size, 0, flags) < 0)
		return -1;
	self->held++;
	return 0;
}

static void block_releasebuffer(PyObject *object, Py_buffer *view)
{
	struct handle *self = (struct handle *)object;

	(void)view;
	if (--self->held == 0 && self->closed)
		handle_settle(self);
}

/* ---- the lock ---- */

static int lock_until(void *raw, uint64_t deadline_ns)
{
	return shmb_block_lock(raw, deadline_ns);
}

static PyObject *block_lock(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	struct handle *self = (struct handle *)object;
	PyObject *timeout = argument_one("timeout", args, count, names);
	uint64_t deadline_ns;
	bool is_slice;
	int r;

	if (timeout == NULL || deadline_of(timeout, &deadline_ns) < 0 || handle_begin(self) < 0)
		return NULL;
	do {
		uint64_t slice = slice_of(deadline_ns);

		is_slice = slice != deadline_ns;
		handle_enter(self);
		Py_BEGIN_ALLOW_THREADS r = lock_until(self->raw, slice);
		Py_END_ALLOW_THREADS handle_leave(self);
		if (r == -ETIMEDOUT && is_slice && (PyErr_CheckSignals() < 0 || handle_begin(self) < 0))
			return NULL;
	} while (r == -ETIMEDOUT && is_slice);
	if (r < 0)
		return error_set(self->broker, r == -ETIMEDOUT ? ABOUT_WAIT : ABOUT_BLOCK, r);
	return PyBool_FromLong(r == SHMB_BLOCK_OWNER_DIED);
}

static PyObject *block_trylock(PyObject *object, PyObject *unused)
{
	struct handle *self = (struct handle *)object;
	int r;

	(void)unused;
	if (handle_begin(self) < 0)
		return NULL;
	r = shmb_block_trylock(self->raw);
	if (r < 0)
		return error_set(self->broker, ABOUT_BLOCK, r);
	return PyBool_FromLong(r == SHMB_BLOCK_OWNER_DIED);
}

static PyObject *block_do(PyObject *object, int (*call)(struct shmb_block *block))
{
	struct handle *self = (struct handle *)object;
	int r;

	if (handle_begin(self) < 0)
		return NULL;
	r = call(self->raw);
	if (r < 0)
		return error_set(self->broker, ABOUT_BLOCK, r);
	Py_RETURN_NONE;
}

static PyObject *block_recovered(PyObject *self, PyObject *unused)
{
	(void)unused;
	return block_do(self, shmb_block_recovered);
}

static PyObject *block_unlock(PyObject *self, PyObject *unused)
{
	(void)unused;
	return block_do(self, shmb_block_unlock);
}

static PyObject *block_holder(PyObject *object, void *unused)
{
	struct handle *self = (struct handle *)object;

	(void)unused;
	return handle_begin(self) < 0 ? NULL : PyLong_FromLong(shmb_block_holder(self->raw));
}

static PyGetSetDef attributes[] = {
	{ "holder", block_holder, NULL, "process id of who has the lock, 0 nobody", NULL },
	{ NULL, NULL, NULL, NULL, NULL },
};

static PyMethodDef methods[] = {
	{ "lock", (PyCFunction)(void (*)(void))block_lock, METH_FASTCALL | METH_KEYWORDS,
	  "lock(timeout=None) -> bool\n\nLocks. True: somebody died with the lock, and nobody has said recovered() since. Raises Timeout, "
	  "Deadlock." },
	{ "trylock", block_trylock, METH_NOARGS, "trylock() -> bool\n\nAs lock(), without waiting: Busy." },
	{ "unlock", block_unlock, METH_NOARGS,
	  "unlock()\n\nRaises NotPermitted where this handle has not the lock, Stale where it was taken away." },
	{ "recovered", block_recovered, METH_NOARGS, "recovered()\n\nThe payload is whole again: nobody need be told any more." },
	{ NULL, NULL, 0, NULL },
};

static PyType_Slot slots[] = {
	{ Py_tp_init, block_init },
	{ Py_tp_dealloc, handle_dealloc },
	{ Py_tp_methods, methods },
	{ Py_tp_getset, attributes },
	{ Py_bf_getbuffer, block_getbuffer },
	{ Py_bf_releasebuffer, block_releasebuffer },
	{ 0, NULL },
};

static PyType_Spec spec = {
	.name = "shmbroker._core.Block",
	.basicsize = sizeof(struct handle),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = slots,
};

int block_add(PyObject *module)
{
	return core_add_type(module, &block_class, &spec, handle_class);
}
