/* SPDX-License-Identifier: MIT */
/* Images: sizes and types, computed by the library. */
#include "core.h"

static PyObject *image_layout(PyObject *module, PyObject *args)
{
	struct shmb_image_layout layout;
	struct shmb_type *type;
	unsigned width, height, stride;
	PyObject *result;
	int format;
	int r;

	(void)module;
	if (!PyArg_ParseTuple(args, "IIIi", &width, &height, &stride, &format))
		return NULL;
	r = shmb_image_layout(&layout, width, height, stride, (enum shmb_image_format)format);
	if (r == 0)
		r = shmb_image_type(&type, &layout);
	if (r != 0)
		return error_set(NULL, ABOUT_CONTROL, r);
	result = Py_BuildValue("(IKKss)", layout.stride, (unsigned long long)layout.data_bytes, (unsigned long long)layout.payload_bytes,
			       type->name, type->schema);
	shmb_type_free(type);
	return result;
}

/* image_check(buffer): (width, height, stride, format) of the image in it, checked. */
static PyObject *image_check(PyObject *module, PyObject *args)
{
	struct shmb_image_layout layout;
	Py_buffer view;
	int r;

	(void)module;
	if (!PyArg_ParseTuple(args, "y*", &view))
		return NULL;
	r = shmb_image_check(view.buf, (size_t)view.len, &layout);
	PyBuffer_Release(&view);
	if (r < 0)
		return error_set(NULL, ABOUT_PIN, r);
	return Py_BuildValue("(IIIi)", layout.width, layout.height, layout.stride, (int)layout.format);
}

/* image_formats(): {name: number}. */
static PyObject *image_formats(PyObject *module, PyObject *unused)
{
	PyObject *formats = PyDict_New();

	(void)module, (void)unused;
	for (int format = SHMB_IMAGE_RGB8; formats != NULL && format <= SHMB_IMAGE_BAYER_GRBG8; format++) {
		PyObject *number = PyLong_FromLong(format);

		if (number == NULL || PyDict_SetItemString(formats, shmb_image_format_name((enum shmb_image_format)format), number) < 0) {
			Py_DecRef(formats);
			formats = NULL;
		}
		Py_DecRef(number);
	}
	return formats;
}

static PyMethodDef functions[] = {
	{ "image_layout", image_layout, METH_VARARGS, NULL },
	{ "image_check", image_check, METH_VARARGS, NULL },
	{ "image_formats", image_formats, METH_NOARGS, NULL },
	{ NULL, NULL, 0, NULL },
};

int image_add(PyObject *module)
{
	return PyModule_AddFunctions(module, functions);
}
