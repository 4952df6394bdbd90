/* SPDX-License-Identifier: MIT */
/*
 * Pin: a frame that is held in place. It exports the frame's bytes, read-only, through the buffer protocol; numpy arrays made of it hold it,
 * and with the last of them and of the references to it the frame is released. release() does so earlier, or, where views are alive, as
 * soon as the last of them is gone.
 */
#include "core.h"

struct pin {
	PyObject ob_base;
	struct handle *reader;
	PyObject *key; /* where a query in time found it */
	struct shmb_frame frame;
	unsigned views;
	bool is_pinned;
	bool is_over; /* for its user */
};

static PyTypeObject *pin_class;

PyObject *pin_new(struct handle *reader, const struct shmb_frame *frame, PyObject *key)
{
	allocfunc alloc = (allocfunc)PyType_GetSlot(core.frame, Py_tp_alloc);
	struct pin *self = (struct pin *)alloc(core.frame, 0);

	if (self == NULL)
		return NULL;
	self->reader = reader;
	Py_IncRef((PyObject *)reader);
	self->frame = *frame;
	self->key = key;
	Py_IncRef(key);
	self->is_pinned = true;
	reader->held++;
	return (PyObject *)self;
}

/* Lets go of the frame: 0, or what the library says of it. */
static int pin_end(struct pin *self)
{
	struct handle *reader = self->reader;
	int r = 0;

	if (!self->is_pinned)
		return 0;
	self->is_pinned = false;
	reader->held--;
	/* Another thread waits with the same handle: it does it afterwards. In a forked child there is no such thread. */
	if (reader->busy && !broker_is_forked(reader->broker))
		reader->dead_pins[reader->dead_pin_count++] = self->frame;
	else
		r = shmb_frame_release(reader->raw, &self->frame);
	if (reader->closed)
		handle_settle(reader);
	return r;
}

static void pin_dealloc(PyObject *object)
{
	struct pin *self = (struct pin *)object;
	PyTypeObject *class = Py_TYPE(object);
	freefunc release = (freefunc)PyType_GetSlot(class, Py_tp_free);

	if (self->reader != NULL)
		pin_end(self);
	Py_DecRef((PyObject *)self->reader);
	Py_DecRef(self->key);
	release(object);
	Py_DecRef((PyObject *)class);
}

/* ---- views ---- */

static int pin_getbuffer(PyObject *object, Py_buffer *view, int flags)
{
	struct pin *self = (struct pin *)object;

	if (self->is_over) {
		view->obj = NULL;
		PyErr_SetString(PyExc_BufferError, "the frame was released");
		return -1;
	}
	if (PyBuffer_FillInfo(view, object, (void *)(uintptr_t)self->frame.payload, (Py_ssize_t)self->frame.length, 1, flags) < 0)
		return -1;
	self->views++;
	return 0;
}

static void pin_releasebuffer(PyObject *object, Py_buffer *view)
{
	struct pin *self = (struct pin *)object;

	(void)view;
	if (--self->views == 0 && self->is_over)
		pin_end(self);
}

/* ---- methods ---- */

static PyObject *pin_release(PyObject *object, PyObject *unused)
{
	struct pin *self = (struct pin *)object;
	int r;

	(void)unused;
	if (self->is_over)
		Py_RETURN_NONE;
	self->is_over = true;
	if (self->views > 0)
		Py_RETURN_NONE;
	r = pin_end(self);
	if (r < 0)
		return error_set(self->reader->broker, ABOUT_PIN, r);
	Py_RETURN_NONE;
}

static PyObject *pin_enter(PyObject *self, PyObject *unused)
{
	(void)unused;
	Py_IncRef(self);
	return self;
}

static PyObject *pin_exit(PyObject *object, PyObject *args)
{
	PyObject *type = NULL;
	PyObject *result;

	if (PyTuple_Size(args) > 0)
		type = PyTuple_GetItem(args, 0);
	result = pin_release(object, NULL);
	/* An exception of the body is not covered up by ours. */
	if (result == NULL && type != NULL && type != Py_None) {
		PyErr_Clear();
		Py_RETURN_NONE;
	}
	return result;
}

/* _image(): (width, height, stride, format) of the image in it, checked. */
static PyObject *pin_image(PyObject *object, PyObject *unused)
{
	struct pin *self = (struct pin *)object;
	struct shmb_image_layout layout;
	int r;

	(void)unused;
	if (self->is_over) {
		PyErr_SetString(PyExc_BufferError, "the frame was released");
		return NULL;
	}
	/* Not to be read in a child: it is not mapped there. */
	if (broker_is_forked(self->reader->broker))
		return error_set(self->reader->broker, ABOUT_PIN, -EOWNERDEAD);
	r = shmb_image_check(self->frame.payload, self->frame.length, &layout);
	if (r < 0)
		return error_set(self->reader->broker, ABOUT_PIN, r);
	return Py_BuildValue("(IIIi)", layout.width, layout.height, layout.stride, (int)layout.format);
}

static PyObject *pin_get(PyObject *object, void *what)
{
	struct pin *self = (struct pin *)object;
	PyObject *found;

	switch ((intptr_t)what) {
	case 0:
		return PyLong_FromUnsignedLongLong(self->frame.number);
	case 1:
		return PyLong_FromUnsignedLongLong(self->frame.stamp_ns);
	case 2:
		return PyLong_FromUnsignedLongLong(self->frame.missed);
	case 3:
		return PyLong_FromSize_t(self->frame.length);
	case 4:
		return PyBool_FromLong(!self->is_pinned);
	case 5:
		found = (PyObject *)self->reader;
		break;
	case 7:
		found = self->key != NULL ? self->key : Py_None;
		break;
	default:
		found = (PyObject *)self->reader->type;
		break;
	}
	Py_IncRef(found);
	return found;
}

static PyGetSetDef attributes[] = {
	{ "number", pin_get, NULL, "number of the frame, from 0", (void *)0 },
	{ "stamp_ns", pin_get, NULL, "CLOCK_MONOTONIC at the commit; 0 unless the segment is stamped", (void *)1 },
	{ "missed", pin_get, NULL, "frames between this one and the one this reader got before it", (void *)2 },
	{ "length", pin_get, NULL, "bytes that were committed", (void *)3 },
	{ "released", pin_get, NULL, "whether it was let go", (void *)4 },
	{ "reader", pin_get, NULL, "whose it is", (void *)5 },
	{ "type", pin_get, NULL, "the payload's Type", (void *)6 },
	{ "key", pin_get, NULL, "its key, where a query in time found it, else None", (void *)7 },
	{ NULL, NULL, NULL, NULL, NULL },
};

static PyMethodDef methods[] = {
	{ "release", pin_release, METH_NOARGS,
	  "release()\n\nLets go of it, or as soon as no view is alive. Raises Overwritten where it was overwritten after all: what was "
	  "computed from it is\n"
	  "worth nothing." },
	{ "_image", pin_image, METH_NOARGS, NULL },
	{ "__enter__", pin_enter, METH_NOARGS, NULL },
	{ "__exit__", pin_exit, METH_VARARGS, NULL },
	{ NULL, NULL, 0, NULL },
};

static PyType_Slot slots[] = {
	{ Py_tp_dealloc, pin_dealloc },
	{ Py_tp_getset, attributes },
	{ Py_tp_methods, methods },
	{ Py_bf_getbuffer, pin_getbuffer },
	{ Py_bf_releasebuffer, pin_releasebuffer },
	{ 0, NULL },
};

static PyType_Spec spec = {
	.name = "shmbroker._core.Pin",
	.basicsize = sizeof(struct pin),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
	.slots = slots,
};

int pin_add(PyObject *module)
{
	return core_add_type(module, &pin_class, &spec, NULL);
}
