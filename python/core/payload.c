/* SPDX-License-Identifier: MIT */
/*
 * Payloads in and out, and Sample, which is what a read gives.
 *
 * A structured array or record whose dtype is the handle's takes the short way: its buffer is contiguous, so that its length alone tells
 * that it is one element. Everything else goes through the package's encode() and check_out(), which convert or refuse it. Whatever comes
 * of either, the buffer must be contiguous and of the payload's size, or it is refused: nothing is ever read at other strides than
 * those the object has.
 */
#include "core.h"

PyTypeObject *sample_class;

/* ---- in and out ---- */

static bool is_seen(const struct handle *handle, const PyObject *dtype)
{
	return dtype == handle->dtype || dtype == handle->seen[0] || dtype == handle->seen[1];
}

static void remember(struct handle *handle, PyObject *dtype)
{
	unsigned place = handle->seen_next++ & 1;

	Py_IncRef(dtype);
	Py_DecRef(handle->seen[place]);
	handle->seen[place] = dtype;
}

/* Has it a dtype that equals the handle's? New ones are compared once. 1, 0, or -1 with an exception. */
static int is_of_type(struct handle *handle, PyObject *object)
{
	PyObject *dtype;
	int equal;

	if (PyBytes_CheckExact(object) || PyByteArray_CheckExact(object) || PyMemoryView_Check(object) || PyTuple_Check(object) ||
	    PyDict_Check(object))
		return 0;
	dtype = PyObject_GetAttr(object, core.name_of_dtype);
	if (dtype == NULL) {
		PyErr_Clear();
		return 0;
	}
	equal = is_seen(handle, dtype);
	if (!equal && PyObject_TypeCheck(dtype, Py_TYPE(handle->dtype))) {
		equal = PyObject_RichCompareBool(dtype, handle->dtype, Py_EQ);
		if (equal == 1)
			remember(handle, dtype);
	}
	Py_DecRef(dtype);
	return equal;
}

static int view_check(struct handle *handle, Py_buffer *view)
{
	if ((size_t)view->len == handle->size)
		return 0;
	PyErr_Format(PyExc_ValueError, "a payload of %S has %zu bytes, this has %zd", handle->name, handle->size, view->len);
	PyBuffer_Release(view);
	return -1;
}

int payload_in(struct handle *handle, PyObject *object, Py_buffer *view)
{
	PyObject *encoded;
	int r = is_of_type(handle, object);

	if (r < 0)
		return -1;
	if (r == 1) {
		if (PyObject_GetBuffer(object, view, PyBUF_SIMPLE) == 0) {
			if ((size_t)view->len == handle->size)
				return 0;
			PyBuffer_Release(view);
		} else {
			PyErr_Clear();
		}
	}
	encoded = PyObject_CallFunctionObjArgs(core.encode, (PyObject *)handle->type, object, NULL);
	if (encoded == NULL)
		return -1;
	r = PyObject_GetBuffer(encoded, view, PyBUF_SIMPLE);
	Py_DecRef(encoded);
	return r < 0 ? -1 : view_check(handle, view);
}

int payload_new(struct handle *handle, Py_buffer *view, PyObject **record)
{
	PyObject *array = PyObject_CallFunctionObjArgs(core.empty, core.no_shape, handle->dtype, NULL);

	if (array == NULL)
		return -1;
	if (PyObject_GetBuffer(array, view, PyBUF_WRITABLE) < 0) {
		Py_DecRef(array);
		return -1;
	}
	/* The record is a view of the array, which lives on in it. */
	*record = PyObject_GetItem(array, core.no_shape);
	Py_DecRef(array);
	if (*record == NULL) {
		PyBuffer_Release(view);
		return -1;
	}
	return view_check(handle, view);
}

int payload_out(struct handle *handle, PyObject *object, Py_buffer *view, PyObject **record)
{
	PyObject *target;
	int r;

	if (object == Py_None)
		return payload_new(handle, view, record);
	r = is_of_type(handle, object);
	if (r < 0)
		return -1;
	if (r == 1 && PyObject_GetBuffer(object, view, PyBUF_WRITABLE) == 0) {
		if ((size_t)view->len == handle->size) {
			Py_IncRef(object);
			*record = object;
			return 0;
		}
		PyBuffer_Release(view);
	}
	PyErr_Clear();
	target = PyObject_CallFunctionObjArgs(core.check_out, (PyObject *)handle->type, object, NULL);
	if (target == NULL)
		return -1;
	r = PyObject_GetBuffer(target, view, PyBUF_WRITABLE);
	Py_DecRef(target);
	if (r < 0 || view_check(handle, view) < 0)
		return -1;
	Py_IncRef(object);
	*record = object;
	return 0;
}

PyObject *read_one(struct handle *handle, read_call *call, uint64_t argument, PyObject *out, enum context context)
{
	struct shmb_sample sample;
	PyObject *record;
	Py_buffer view;
	int r;

	if (handle_begin(handle) < 0 || payload_out(handle, out, &view, &record) < 0)
		return NULL;
	if (handle->size >= PAYLOAD_LARGE) {
		handle_enter(handle);
		Py_BEGIN_ALLOW_THREADS r = call(handle->raw, argument, view.buf, &sample);
		Py_END_ALLOW_THREADS handle_leave(handle);
	} else {
		r = call(handle->raw, argument, view.buf, &sample);
	}
	PyBuffer_Release(&view);
	if (r < 0) {
		Py_DecRef(record);
		return error_set(handle->broker, context, r);
	}
	return sample_new(handle, record, &sample);
}

PyObject *write_one(struct handle *handle, write_call *call, PyObject *payload, enum context context)
{
	Py_buffer view;
	int r;

	if (handle_begin(handle) < 0 || payload_in(handle, payload, &view) < 0)
		return NULL;
	/* What converts a payload is Python, and may have closed the handle. */
	if (handle_begin(handle) < 0) {
		PyBuffer_Release(&view);
		return NULL;
	}
	if (handle->size >= PAYLOAD_LARGE) {
		handle_enter(handle);
		Py_BEGIN_ALLOW_THREADS r = call(handle->raw, view.buf);
		Py_END_ALLOW_THREADS handle_leave(handle);
	} else {
		r = call(handle->raw, view.buf);
	}
	PyBuffer_Release(&view);
	if (r < 0)
		return error_set(handle->broker, context, r);
	Py_RETURN_NONE;
}

/* ---- Sample ---- */

PyObject *sample_new(struct handle *handle, PyObject *record, const struct shmb_sample *sample)
{
	struct sample *self = PyObject_New(struct sample, sample_class);

	if (self == NULL) {
		Py_DecRef(record);
		return NULL;
	}
	self->record = record;
	self->key = Py_None;
	Py_IncRef(Py_None);
	self->type = (PyObject *)handle->type;
	Py_IncRef(self->type);
	self->number = sample->number;
	self->stamp_ns = sample->stamp_ns;
	self->missed = sample->missed;
	return (PyObject *)self;
}

static void sample_dealloc(PyObject *object)
{
	struct sample *self = (struct sample *)object;
	PyTypeObject *class = Py_TYPE(object);

	Py_DecRef(self->record);
	Py_DecRef(self->key);
	Py_DecRef(self->type);
	PyObject_Free(object);
	Py_DecRef((PyObject *)class);
}

static PyObject *sample_item(PyObject *self, PyObject *key)
{
	return PyObject_GetItem(((struct sample *)self)->record, key);
}

static PyObject *sample_value(PyObject *object, void *unused)
{
	struct sample *self = (struct sample *)object;

	(void)unused;
	return PyObject_CallMethod(self->type, "decode", "O", self->record);
}

static PyObject *sample_repr(PyObject *object)
{
	struct sample *self = (struct sample *)object;

	return PyUnicode_FromFormat("Sample(number=%llu, stamp_ns=%llu, missed=%llu, record=%R)", self->number, self->stamp_ns,
				    self->missed, self->record);
}

static PyMemberDef members[] = {
	{ "record", T_OBJECT, offsetof(struct sample, record), READONLY,
	  "the payload: a numpy record of your own, or the `out` that was given" },
	{ "key", T_OBJECT, offsetof(struct sample, key), READONLY, "its key, where a query in time found it, else None" },
	{ "type", T_OBJECT, offsetof(struct sample, type), READONLY, "the payload's Type" },
	{ "number", T_ULONGLONG, offsetof(struct sample, number), READONLY, "number of the write, from 0" },
	{ "stamp_ns", T_ULONGLONG, offsetof(struct sample, stamp_ns), READONLY,
	  "CLOCK_MONOTONIC at the write; 0 unless the segment is stamped" },
	{ "missed", T_ULONGLONG, offsetof(struct sample, missed), READONLY, "writes between this one and the one read before it" },
	{ NULL, 0, 0, 0, NULL },
};

static PyGetSetDef attributes[] = {
	{ "value", sample_value, NULL,
	  "the payload as what its type was made of: an instance of the dataclass or ctypes structure, else the record", NULL },
	{ NULL, NULL, NULL, NULL, NULL },
};

static PyType_Slot slots[] = {
	{ Py_tp_dealloc, sample_dealloc },
	{ Py_tp_members, members },
	{ Py_tp_getset, attributes },
	{ Py_mp_subscript, sample_item },
	{ Py_tp_repr, sample_repr },
	{ Py_tp_doc,
	  "What a read gives: the payload as a numpy record, and what is known of it. sample[\"field\"] is sample.record[\"field\"]." },
	{ 0, NULL },
};

static PyType_Spec spec = {
	.name = "shmbroker.Sample",
	.basicsize = sizeof(struct sample),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
	.slots = slots,
};

int payload_add(PyObject *module)
{
	return core_add_type(module, &sample_class, &spec, NULL);
}
