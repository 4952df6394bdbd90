/* SPDX-License-Identifier: MIT */
/*
 * Errors: a negative errno of the library becomes an instance of one of the package's classes, with the library's sentence where it has one.
 * Which class is told by the package's table: {(context, errno): class} before {errno: class}.
 */
#include "core.h"

#include <stdarg.h>
#include <stdio.h>

/* Borrowed; NULL without exception where there is none. */
static PyObject *class_for(enum context context, int code)
{
	PyObject *key = Py_BuildValue("(ii)", (int)context, code);
	PyObject *found;

	if (key == NULL)
		return NULL;
	found = PyDict_GetItemWithError(core.errors, key);
	Py_DecRef(key);
	if (found != NULL || PyErr_Occurred() != NULL)
		return found;
	key = PyLong_FromLong(code);
	if (key == NULL)
		return NULL;
	found = PyDict_GetItemWithError(core.errors, key);
	Py_DecRef(key);
	return found;
}

static bool has_sentence(enum context context, int error)
{
	switch (context) {
	case ABOUT_CONTROL:
	case ABOUT_BLOCK:
		return true;
	case ABOUT_WAIT:
		return error != -ETIMEDOUT;
	case ABOUT_LOAN:
		return error == -ENOBUFS;
	default:
		return false;
	}
}

PyObject *error_new(const struct broker *broker, enum context context, int error)
{
	const char *text = has_sentence(context, error) ? shmb_text() : "";
	PyObject *class = NULL;

	if (error == -EOWNERDEAD && broker != NULL && broker_is_forked(broker)) {
		class = PyDict_GetItemString(core.errors, "ForkedError");
		text = "this process was forked from the one that opened the handle and owns nothing of it: connect and open anew";
	} else {
		class = class_for(context, -error);
	}
	if (class == NULL && PyErr_Occurred() == NULL)
		class = PyDict_GetItemString(core.errors, "Error");
	if (class == NULL)
		return NULL;
	if (text[0] == 0 || error == -ENOMEM)
		text = shmb_strerror(error);
	return PyObject_CallFunction(class, "is", -error, text);
}

PyObject *error_set(const struct broker *broker, enum context context, int error)
{
	PyObject *instance = error_new(broker, context, error);

	if (instance != NULL) {
		PyErr_SetObject((PyObject *)Py_TYPE(instance), instance);
		Py_DecRef(instance);
	}
	return NULL;
}

PyObject *error_named(const char *name, const char *format, ...)
{
	PyObject *class = PyDict_GetItemString(core.errors, name);
	PyObject *instance;
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (class == NULL)
		class = PyExc_RuntimeError;
	instance = PyObject_CallFunction(class, "is", 0, text);
	if (instance != NULL) {
		PyErr_SetObject(class, instance);
		Py_DecRef(instance);
	}
	return NULL;
}
