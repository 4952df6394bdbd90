/* SPDX-License-Identifier: MIT */
/* Type: a payload type of the library, made of a name and schema text. The package's Type derives from it and knows numpy. */
#include "core.h"

PyTypeObject *type_class;

static PyObject *type_new(PyTypeObject *class, PyObject *args, PyObject *names)
{
	static char *list[] = { "name", "schema", NULL };
	allocfunc alloc = (allocfunc)PyType_GetSlot(class, Py_tp_alloc);
	struct type *self;
	const char *name;
	const char *schema;
	int r;

	if (!PyArg_ParseTupleAndKeywords(args, names, "ss", list, &name, &schema))
		return NULL;
	self = (struct type *)alloc(class, 0);
	if (self == NULL)
		return NULL;
	r = shmb_type_parse(&self->raw, name, schema);
	if (r < 0) {
		Py_DecRef((PyObject *)self);
		return error_set(NULL, ABOUT_CONTROL, r);
	}
	return (PyObject *)self;
}

static void type_dealloc(PyObject *object)
{
	PyTypeObject *class = Py_TYPE(object);
	freefunc release = (freefunc)PyType_GetSlot(class, Py_tp_free);

	shmb_type_free(((struct type *)object)->raw);
	release(object);
	Py_DecRef((PyObject *)class);
}

static PyObject *type_get(PyObject *self, void *what)
{
	const struct shmb_type *type = ((struct type *)self)->raw;

	switch ((intptr_t)what) {
	case 0:
		return PyUnicode_FromString(type->name);
	case 1:
		return PyUnicode_FromString(type->schema);
	case 2:
		return PyLong_FromSize_t(type->size);
	case 3:
		return PyLong_FromSize_t(type->align);
	default:
		return PyLong_FromUnsignedLongLong(shmb_type_hash(type));
	}
}

static int field_add(const struct shmb_type_field *field, void *user)
{
	PyObject *tuple = Py_BuildValue("(ssnnnN)", field->name, field->primitive, (Py_ssize_t)field->offset, (Py_ssize_t)field->size,
					(Py_ssize_t)field->count, PyBool_FromLong(field->is_array));
	int r = tuple == NULL ? -1 : PyList_Append(user, tuple);

	Py_DecRef(tuple);
	return r < 0 ? 1 : 0;
}

static PyObject *type_fields(PyObject *self, PyObject *unused)
{
	PyObject *list = PyList_New(0);
	int r;

	(void)unused;
	if (list == NULL)
		return NULL;
	r = shmb_type_fields(((struct type *)self)->raw, field_add, list);
	if (r == 0)
		return list;
	Py_DecRef(list);
	return r < 0 ? error_set(NULL, ABOUT_CONTROL, r) : NULL;
}

static PyGetSetDef attributes[] = {
	{ "name", type_get, NULL, "its name", (void *)0 },
	{ "schema", type_get, NULL, "its ROS 2 message definition", (void *)1 },
	{ "size", type_get, NULL, "bytes of one payload", (void *)2 },
	{ "align", type_get, NULL, "its alignment in bytes", (void *)3 },
	{ "hash", type_get, NULL, "XXH3-64 of the schema: what readers and writers must agree in", (void *)4 },
	{ NULL, NULL, NULL, NULL, NULL },
};

static PyMethodDef methods[] = {
	{ "fields", type_fields, METH_NOARGS,
	  "fields() -> list[tuple[str, str, int, int, int, bool]]\n\n(name, primitive, offset, size, count, is_array) of each field." },
	{ NULL, NULL, 0, NULL },
};

static PyType_Slot slots[] = {
	{ Py_tp_new, type_new }, { Py_tp_dealloc, type_dealloc }, { Py_tp_getset, attributes }, { Py_tp_methods, methods }, { 0, NULL },
};

static PyType_Spec spec = {
	.name = "shmbroker._core.Type",
	.basicsize = sizeof(struct type),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = slots,
};

int type_add(PyObject *module)
{
	return core_add_type(module, &type_class, &spec, NULL);
}
