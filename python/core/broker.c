/* SPDX-License-Identifier: MIT */
/*
 * Broker: a connection, and what is asked through it. It knows its open handles, so that closing it closes them; where views of theirs are
 * alive, the library's connection stays until the last of these is gone.
 */
#include "core.h"

#include <unistd.h>

PyTypeObject *broker_class;

bool broker_is_forked(const struct broker *broker)
{
	return broker->pid != getpid();
}

void broker_settle(struct broker *broker)
{
	struct shmb *raw = broker->raw;

	if (!broker->closed || !LIST_EMPTY(&broker->handles) || raw == NULL)
		return;
	broker->raw = NULL;
	Py_BEGIN_ALLOW_THREADS shmb_disconnect(raw);
	Py_END_ALLOW_THREADS
}

static void broker_end(struct broker *broker)
{
	struct handle *handle;
	struct waitset *set;

	broker->closed = true;
	while ((set = LIST_FIRST(&broker->sets)) != NULL)
		waitset_end(set);
	LIST_FOREACH (handle, &broker->handles, entry)
		handle->closed = true;
	/* From the start after each: the GIL was let go, and others may have closed theirs. */
	do {
		LIST_FOREACH (handle, &broker->handles, entry) {
			if (handle->raw != NULL && handle->loan != NULL)
				loan_revoke(handle);
			if (handle->raw != NULL && handle->held == 0)
				break;
		}
		if (handle != NULL)
			handle_settle(handle);
	} while (handle != NULL);
	broker_settle(broker);
}

static PyObject *broker_new(PyTypeObject *class, PyObject *args, PyObject *names)
{
	static char *list[] = { "socket_path", NULL };
	allocfunc alloc = (allocfunc)PyType_GetSlot(class, Py_tp_alloc);
	PyObject *object = Py_None;
	PyObject *path = NULL;
	struct broker *self;
	const char *text = NULL;
	int r;

	if (!PyArg_ParseTupleAndKeywords(args, names, "|O", list, &object))
		return NULL;
	if (object != Py_None) {
		if (!PyUnicode_FSConverter(object, &path))
			return NULL;
		text = PyBytes_AsString(path);
	}
	self = (struct broker *)alloc(class, 0);
	if (self == NULL) {
		Py_DecRef(path);
		return NULL;
	}
	LIST_INIT(&self->handles);
	LIST_INIT(&self->sets);
	self->pid = getpid();
	Py_BEGIN_ALLOW_THREADS r = shmb_connect(&self->raw, text);
	Py_END_ALLOW_THREADS Py_DecRef(path);
	if (r < 0) {
		self->raw = NULL;
		Py_DecRef((PyObject *)self);
		return error_set(NULL, ABOUT_CONTROL, r);
	}
	return (PyObject *)self;
}

static void broker_dealloc(PyObject *object)
{
	PyTypeObject *class = Py_TYPE(object);
	freefunc release = (freefunc)PyType_GetSlot(class, Py_tp_free);

	/* Handles hold their broker: there are none. */
	broker_end((struct broker *)object);
	release(object);
	Py_DecRef((PyObject *)class);
}

static PyObject *broker_close(PyObject *object, PyObject *unused)
{
	struct broker *self = (struct broker *)object;
	struct handle *handle;

	(void)unused;
	LIST_FOREACH (handle, &self->handles, entry) {
		if (handle->busy && !broker_is_forked(self))
			return error_named("InUse", "another thread waits on one of the connection's handles: cancel() it first");
	}
	broker_end(self);
	Py_RETURN_NONE;
}

static PyObject *broker_get_closed(PyObject *self, void *unused)
{
	(void)unused;
	return PyBool_FromLong(((struct broker *)self)->closed);
}

bool broker_usable(const struct broker *broker)
{
	if (!broker->closed && broker->raw != NULL)
		return true;
	error_named("Closed", "the connection is closed");
	return false;
}

/* ---- queries ---- */

PyObject *number_or_none(uint64_t number)
{
	if (number != UINT64_MAX)
		return PyLong_FromUnsignedLongLong(number);
	Py_IncRef(Py_None);
	return Py_None;
}

static PyObject *segment_tuple(const struct shmb_segment_info *info)
{
	return Py_BuildValue("{sssssssKsKsKsKsKsKsIsOsIsIsisIsssisIsI}", "name", info->name, "type_name", info->type, "kind", info->kind,
			     "schema_hash", (unsigned long long)info->schema_hash, "generation", (unsigned long long)info->generation,
			     "epoch", (unsigned long long)info->epoch, "created_ns", (unsigned long long)info->created_ns, "memory_bytes",
			     (unsigned long long)info->bytes, "payload_bytes", (unsigned long long)info->payload_bytes, "capacity",
			     info->capacity, "stamped", info->stamped ? Py_True : Py_False, "owner_uid", info->owner_uid, "owner_gid",
			     info->owner_gid, "writer_pid", info->writer_pid, "writer_uid", info->writer_uid, "writer_comm",
			     info->writer_comm, "writer", (int)info->writer, "readers", info->readers, "draining", info->draining);
}

static int add_segment(const struct shmb_segment_info *info, void *user)
{
	PyGILState_STATE state = PyGILState_Ensure();
	struct visit *visit = user;
	PyObject *tuple = segment_tuple(info);

	visit->failed = tuple == NULL || PyList_Append(visit->result, tuple) < 0;
	Py_DecRef(tuple);
	PyGILState_Release(state);
	return visit->failed ? 1 : 0;
}

static PyObject *broker_list(PyObject *object, PyObject *unused)
{
	struct broker *self = (struct broker *)object;
	struct visit visit = { .failed = false };
	int r;

	(void)unused;
	if (!broker_usable(self))
		return NULL;
	visit.result = PyList_New(0);
	if (visit.result == NULL)
		return NULL;
	Py_BEGIN_ALLOW_THREADS r = shmb_list(self->raw, add_segment, &visit);
	Py_END_ALLOW_THREADS if (r == 0) return visit.result;
	Py_DecRef(visit.result);
	return visit.failed ? NULL : error_set(self, ABOUT_CONTROL, r);
}

static PyObject *reader_tuple(const struct shmb_reader_info *reader)
{
	PyObject *behind = number_or_none(reader->behind);

	return behind == NULL ? NULL : Py_BuildValue("(iIsNI)", reader->pid, reader->uid, reader->comm, behind, reader->older);
}

static int keep_info(const struct shmb_segment_info *info, const char *schema, const struct shmb_reader_info *readers, void *user)
{
	PyGILState_STATE state = PyGILState_Ensure();
	struct visit *visit = user;
	PyObject *list = PyList_New(0);
	PyObject *tuple = segment_tuple(info);

	visit->failed = list == NULL || tuple == NULL;
	for (uint32_t i = 0; !visit->failed && i < info->readers; i++) {
		PyObject *reader = reader_tuple(&readers[i]);

		visit->failed = reader == NULL || PyList_Append(list, reader) < 0;
		Py_DecRef(reader);
	}
	if (!visit->failed)
		visit->result = Py_BuildValue("(OsO)", tuple, schema, list);
	visit->failed = visit->result == NULL;
	Py_DecRef(list);
	Py_DecRef(tuple);
	PyGILState_Release(state);
	return visit->failed ? 1 : 0;
}

static PyObject *broker_info(PyObject *object, PyObject *argument)
{
	struct broker *self = (struct broker *)object;
	struct visit visit = { .result = NULL };
	const char *name = PyUnicode_AsUTF8AndSize(argument, NULL);
	int r;

	if (name == NULL || !broker_usable(self))
		return NULL;
	Py_BEGIN_ALLOW_THREADS r = shmb_info(self->raw, name, keep_info, &visit);
	Py_END_ALLOW_THREADS if (r == 0 || visit.failed) return visit.result;
	return error_set(self, ABOUT_CONTROL, r);
}

static int keep_status(const struct shmb_broker_status *status, void *user)
{
	PyGILState_STATE state = PyGILState_Ensure();
	struct visit *visit = user;

	visit->result = Py_BuildValue("{sssssisIsIsIsIsKsKsKsKsKsKsKssss}", "version", status->version, "shm_dir", status->shm_dir, "pid",
				      status->pid, "segments", status->segments, "clients", status->clients, "protocol_version",
				      status->protocol_version, "layout_version", status->layout_version, "started_ns",
				      (unsigned long long)status->started_ns, "linger_ns", (unsigned long long)status->linger_ns,
				      "memory_bytes", (unsigned long long)status->bytes, "deaths", (unsigned long long)status->deaths,
				      "repairs", (unsigned long long)status->repairs, "reaps", (unsigned long long)status->reaps, "adopted",
				      (unsigned long long)status->adopted, "config_files", status->config_files, "config_error",
				      status->config_error);
	visit->failed = visit->result == NULL;
	PyGILState_Release(state);
	return visit->failed ? 1 : 0;
}

static PyObject *broker_status(PyObject *object, PyObject *unused)
{
	struct broker *self = (struct broker *)object;
	struct visit visit = { .result = NULL };
	int r;

	(void)unused;
	if (!broker_usable(self))
		return NULL;
	Py_BEGIN_ALLOW_THREADS r = shmb_status(self->raw, keep_status, &visit);
	Py_END_ALLOW_THREADS if (r == 0 || visit.failed) return visit.result;
	return error_set(self, ABOUT_CONTROL, r);
}

static PyObject *broker_remove(PyObject *object, PyObject *argument)
{
	struct broker *self = (struct broker *)object;
	const char *name = PyUnicode_AsUTF8AndSize(argument, NULL);
	int r;

	if (name == NULL || !broker_usable(self))
		return NULL;
	Py_BEGIN_ALLOW_THREADS r = shmb_remove(self->raw, name);
	Py_END_ALLOW_THREADS if (r < 0) return error_set(self, ABOUT_CONTROL, r);
	Py_RETURN_NONE;
}

static PyObject *broker_set_mapping(PyObject *object, PyObject *args, PyObject *names)
{
	static char *list[] = { "prefault", "lock", NULL };
	struct broker *self = (struct broker *)object;
	int prefault = 0;
	int lock = 0;
	int r;

	if (!PyArg_ParseTupleAndKeywords(args, names, "|$pp", list, &prefault, &lock) || !broker_usable(self))
		return NULL;
	r = shmb_set_mapping(self->raw, (prefault ? SHMB_PREFAULT : 0) | (lock ? SHMB_LOCK : 0));
	if (r < 0)
		return error_set(self, ABOUT_CONTROL, r);
	Py_RETURN_NONE;
}

static PyGetSetDef attributes[] = {
	{ "closed", broker_get_closed, NULL, "whether close() was called", NULL },
	{ NULL, NULL, NULL, NULL, NULL },
};

static PyMethodDef methods[] = {
	{ "close", broker_close, METH_NOARGS,
	  "close()\n\nCloses the connection and every handle that was opened through it. Views stay valid." },
	{ "_list", broker_list, METH_NOARGS, NULL },
	{ "_info", broker_info, METH_O, NULL },
	{ "_status", broker_status, METH_NOARGS, NULL },
	{ "_figures", broker_figures, METH_O, NULL },
	{ "_reload", broker_reload, METH_NOARGS, NULL },
	{ "_policy", broker_policy, METH_VARARGS, NULL },
	{ "_gc", broker_gc, METH_VARARGS, NULL },
	{ "_users", broker_users, METH_NOARGS, NULL },
	{ "remove", broker_remove, METH_O,
	  "remove(name)\n\nRemoves a segment that nobody writes. Its readers keep what they have mapped; their waits raise Removed." },
	{ "set_mapping", (PyCFunction)(void (*)(void))broker_set_mapping, METH_VARARGS | METH_KEYWORDS,
	  "set_mapping(*, prefault=False, lock=False)\n\nWhether segments that are opened from now on are made present, or locked, in "
	  "memory." },
	{ NULL, NULL, 0, NULL },
};

static PyType_Slot slots[] = {
	{ Py_tp_new, broker_new }, { Py_tp_dealloc, broker_dealloc }, { Py_tp_getset, attributes }, { Py_tp_methods, methods }, { 0, NULL },
};

static PyType_Spec spec = {
	.name = "shmbroker._core.Broker",
	.basicsize = sizeof(struct broker),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = slots,
};

int broker_add(PyObject *module)
{
	return core_add_type(module, &broker_class, &spec, NULL);
}
