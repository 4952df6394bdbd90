/* SPDX-License-Identifier: MIT */
/* The module: what it is made of, what it takes from the package around it, and functions that belong to no object. */
#include "core.h"

struct core core;

/* ---- arguments ---- */

PyObject *argument_one(const char *name, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	Py_ssize_t named = names == NULL ? 0 : PyTuple_Size(names);

	if (count + named > 1) {
		PyErr_Format(PyExc_TypeError, "takes at most one argument, %s (%zd given)", name, count + named);
		return NULL;
	}
	if (named == 1 && PyUnicode_CompareWithASCIIString(PyTuple_GetItem(names, 0), name) != 0) {
		PyErr_Format(PyExc_TypeError, "unexpected keyword argument %R: it is called %s", PyTuple_GetItem(names, 0), name);
		return NULL;
	}
	return count + named == 1 ? args[0] : Py_None;
}

int argument_u64(PyObject *object, uint64_t *out)
{
	PyObject *index = PyNumber_Index(object);

	if (index == NULL)
		return -1;
	*out = PyLong_AsUnsignedLongLong(index);
	Py_DecRef(index);
	return *out == UINT64_MAX && PyErr_Occurred() != NULL ? -1 : 0;
}

/* ---- functions ---- */

static PyObject *now_ns(PyObject *module, PyObject *unused)
{
	(void)module, (void)unused;
	return PyLong_FromUnsignedLongLong(shmb_now_ns());
}

/* key_plausible(clock, value, max_age_ns, max_ahead_ns): 0 or the error's number, with its sentence. */
static PyObject *key_plausible(PyObject *module, PyObject *args)
{
	struct shmb_key_monotonic monotonic;
	struct shmb_key_realtime realtime;
	PyObject *objects[3];
	uint64_t numbers[3];
	int clock;
	int r;

	(void)module;
	if (!PyArg_ParseTuple(args, "iOOO", &clock, &objects[0], &objects[1], &objects[2]))
		return NULL;
	for (unsigned i = 0; i < 3; i++) {
		if (argument_u64(objects[i], &numbers[i]) < 0)
			return NULL;
	}
	if (clock == SHMB_CLOCK_MONOTONIC) {
		struct shmb_rule_monotonic rule = shmb_rule_plausible_monotonic(numbers[1], numbers[2]);

		r = shmb_key_make_monotonic(&monotonic, numbers[0], &rule);
	} else if (clock == SHMB_CLOCK_REALTIME) {
		struct shmb_rule_realtime rule = shmb_rule_plausible_realtime(numbers[1], numbers[2]);

		r = shmb_key_make_realtime(&realtime, numbers[0], &rule);
	} else {
		r = -EINVAL;
	}
	if (r < 0)
		return error_set(NULL, ABOUT_CONTROL, r);
	Py_RETURN_NONE;
}

/* setup(errors=, type_of=, ...): once, by the package. */
static PyObject *setup(PyObject *module, PyObject *args, PyObject *names)
{
	static char *list[] = { "errors", "type_of", "encode", "check_out", "make_key", "empty", "frame", "loan", NULL };

	(void)module;
	if (!PyArg_ParseTupleAndKeywords(args, names, "OOOOOOO!O!", list, &core.errors, &core.type_of, &core.encode, &core.check_out,
					 &core.make_key, &core.empty, &PyType_Type, &core.frame, &PyType_Type, &core.loan))
		return NULL;
	Py_IncRef(core.errors);
	Py_IncRef(core.type_of);
	Py_IncRef(core.encode);
	Py_IncRef(core.check_out);
	Py_IncRef(core.make_key);
	Py_IncRef(core.empty);
	Py_IncRef((PyObject *)core.frame);
	Py_IncRef((PyObject *)core.loan);
	Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
	{ "setup", (PyCFunction)(void (*)(void))setup, METH_VARARGS | METH_KEYWORDS, NULL },
	{ "now_ns", now_ns, METH_NOARGS, "now_ns() -> int\n\nCLOCK_MONOTONIC, nanoseconds: what stamps are made of." },
	{ "key_plausible", key_plausible, METH_VARARGS, NULL },
	{ NULL, NULL, 0, NULL },
};

static struct PyModuleDef definition = {
	.m_base = PyModuleDef_HEAD_INIT,
	.m_name = "shmbroker._core",
	.m_doc = "The part of shmbroker that is written in C.",
	.m_size = -1,
	.m_methods = functions,
};

int core_add_type(PyObject *module, PyTypeObject **out, PyType_Spec *spec, PyTypeObject *base)
{
	PyObject *type = PyType_FromModuleAndSpec(module, spec, (PyObject *)base);

	if (type == NULL)
		return -1;
	*out = (PyTypeObject *)type;
	return PyModule_AddType(module, *out);
}

static int constants_add(PyObject *module)
{
	static const struct {
		const char *name;
		long value;
	} constants[] = {
		{ "ABOUT_CONTROL", ABOUT_CONTROL }, { "ABOUT_WAIT", ABOUT_WAIT },	    { "ABOUT_READ", ABOUT_READ },
		{ "ABOUT_WRITE", ABOUT_WRITE },	    { "ABOUT_TIME", ABOUT_TIME },	    { "ABOUT_QUEUE_IN", ABOUT_QUEUE_IN },
		{ "ABOUT_PIN", ABOUT_PIN },	    { "ABOUT_QUEUE_OUT", ABOUT_QUEUE_OUT }, { "ABOUT_LOAN", ABOUT_LOAN },
		{ "ABOUT_BLOCK", ABOUT_BLOCK },
	};

	for (size_t i = 0; i < sizeof(constants) / sizeof(*constants); i++) {
		if (PyModule_AddIntConstant(module, constants[i].name, constants[i].value) < 0)
			return -1;
	}
	return PyModule_AddStringConstant(module, "version", shmb_version());
}

PyMODINIT_FUNC PyInit__core(void);
PyMODINIT_FUNC PyInit__core(void)
{
	static int (*const add[])(PyObject *) = { type_add,	broker_add,  handle_add, payload_add, value_add, ring_add,
						  temporal_add, frame_add,   pin_add,	 loan_add,    queue_add, block_add,
						  loader_add,	waitset_add, image_add,	 watch_add };
	PyObject *module = PyModule_Create(&definition);

	if (module == NULL)
		return NULL;
	core.no_shape = PyTuple_New(0);
	core.name_of_dtype = PyUnicode_InternFromString("dtype");
	if (core.no_shape == NULL || core.name_of_dtype == NULL || constants_add(module) < 0)
		goto fail;
	for (size_t i = 0; i < sizeof(add) / sizeof(*add); i++) {
		if (add[i](module) < 0)
			goto fail;
	}
	return module;
fail:
	Py_DecRef(module);
	return NULL;
}
