/* SPDX-License-Identifier: MIT */
/* What tools and operators ask of the broker: figures, users, reload, policy, gc. Each gives plain tuples and dicts, of which the package makes its classes. */
#include "core.h"

#include <stdlib.h>

/* Ends a visitor: `made` (may be NULL, with an exception) goes to the list. */
static int keep(struct visit *visit, PyObject *made)
{
	visit->failed = made == NULL || PyList_Append(visit->result, made) < 0;
	Py_DecRef(made);
	return visit->failed ? 1 : 0;
}

/* After the call: the list, or the error. */
static PyObject *visited(struct broker *broker, struct visit *visit, int r)
{
	if (r == 0)
		return visit->result;
	Py_DecRef(visit->result);
	return visit->failed ? NULL : error_set(broker, ABOUT_CONTROL, r);
}

static PyObject *figures_dict(const struct shmb_figures *figures)
{
	PyObject *next = number_or_none(figures->next);
	PyObject *lag = number_or_none(figures->lag);
	PyObject *made = NULL;

	if (next != NULL && lag != NULL)
		made = Py_BuildValue(
			"{sssssssKsKsKsKsKsOsKsKsKsOsisIsIsIsisIsssi}", "name", figures->name, "type_name", figures->type, "kind",
			figures->kind, "looked_ns", (unsigned long long)figures->looked_ns, "segment_id",
			(unsigned long long)figures->segment_id, "generation", (unsigned long long)figures->generation, "memory_bytes",
			(unsigned long long)figures->bytes, "payload_bytes", (unsigned long long)figures->payload_bytes, "next", next,
			"heartbeat_ns", (unsigned long long)figures->heartbeat_ns, "read", (unsigned long long)figures->read, "lost",
			(unsigned long long)figures->lost, "lag", lag, "lag_pid", figures->lag_pid, "readers", figures->readers, "capacity",
			figures->capacity, "owner_uid", figures->owner_uid, "writer_pid", figures->writer_pid, "writer_uid",
			figures->writer_uid, "writer_comm", figures->writer_comm, "writer", (int)figures->writer);
	Py_DecRef(next);
	Py_DecRef(lag);
	return made;
}

static int add_figures(const struct shmb_figures *figures, void *user)
{
	PyGILState_STATE state = PyGILState_Ensure();
	int r = keep(user, figures_dict(figures));

	PyGILState_Release(state);
	return r;
}

PyObject *broker_figures(PyObject *object, PyObject *argument)
{
	struct broker *self = (struct broker *)object;
	struct visit visit = { .failed = false };
	const char *pattern = NULL;
	int r;

	if (argument != Py_None && (pattern = PyUnicode_AsUTF8AndSize(argument, NULL)) == NULL)
		return NULL;
	if (!broker_usable(self) || (visit.result = PyList_New(0)) == NULL)
		return NULL;
	Py_BEGIN_ALLOW_THREADS r = shmb_figures(self->raw, pattern, add_figures, &visit);
	Py_END_ALLOW_THREADS return visited(self, &visit, r);
}

static int add_user(const struct shmb_user_info *info, void *user)
{
	const uint64_t quotas[] = { info->bytes_max, info->segments_max, info->clients_max, info->request_rate };
	PyGILState_STATE state = PyGILState_Ensure();
	PyObject *uid = info->is_total ? Py_NewRef(Py_None) : PyLong_FromUnsignedLong(info->uid);
	PyObject *max[4] = { NULL };
	PyObject *made = NULL;
	bool have = uid != NULL;
	int r;

	for (unsigned i = 0; i < 4 && have; i++)
		have = (max[i] = number_or_none(quotas[i])) != NULL;
	if (have)
		made = Py_BuildValue("{sOsIsIsKsKsKsKsOsOsOsO}", "uid", uid, "clients", info->clients, "segments", info->segments,
				     "memory_bytes", (unsigned long long)info->bytes, "requests", (unsigned long long)info->requests,
				     "refusals", (unsigned long long)info->refusals, "over_quota", (unsigned long long)info->over_quota,
				     "memory_bytes_max", max[0], "segments_max", max[1], "clients_max", max[2], "request_rate", max[3]);
	for (unsigned i = 0; i < 4; i++)
		Py_DecRef(max[i]);
	Py_DecRef(uid);
	r = keep(user, made);
	PyGILState_Release(state);
	return r;
}

PyObject *broker_users(PyObject *object, PyObject *unused)
{
	struct broker *self = (struct broker *)object;
	struct visit visit = { .failed = false };
	int r;

	(void)unused;
	if (!broker_usable(self) || (visit.result = PyList_New(0)) == NULL)
		return NULL;
	Py_BEGIN_ALLOW_THREADS r = shmb_users(self->raw, add_user, &visit);
	Py_END_ALLOW_THREADS return visited(self, &visit, r);
}

static int add_reload(const struct shmb_reload_result *result, void *user)
{
	PyGILState_STATE state = PyGILState_Ensure();
	int r = keep(user, Py_BuildValue("{sIsIsIsIss}", "files", result->files, "patterns", result->patterns, "segments", result->segments,
					 "not_applied", result->not_applied, "notes", result->notes));

	PyGILState_Release(state);
	return r;
}

PyObject *broker_reload(PyObject *object, PyObject *unused)
{
	struct broker *self = (struct broker *)object;
	struct visit visit = { .failed = false };
	int r;

	(void)unused;
	if (!broker_usable(self) || (visit.result = PyList_New(0)) == NULL)
		return NULL;
	Py_BEGIN_ALLOW_THREADS r = shmb_reload(self->raw, add_reload, &visit);
	Py_END_ALLOW_THREADS return visited(self, &visit, r);
}

static PyObject *policy_dict(const struct shmb_policy_info *info)
{
	PyObject *patterns = PyList_New(0);
	PyObject *settings = PyList_New(0);
	struct visit to_patterns = { .result = patterns };
	struct visit to_settings = { .result = settings };
	PyObject *made = NULL;
	bool whole = patterns != NULL && settings != NULL;

	for (uint32_t i = 0; whole && i < info->pattern_count; i++)
		whole = keep(&to_patterns, Py_BuildValue("(ss)", info->patterns[i].pattern, info->patterns[i].source)) == 0;
	for (uint32_t i = 0; whole && i < info->setting_count; i++)
		whole = keep(&to_settings,
			     Py_BuildValue("(sss)", info->settings[i].name, info->settings[i].value, info->settings[i].source)) == 0;
	if (whole)
		made = Py_BuildValue("{sIsOsOsssssOsOsO}", "uid", info->uid, "may_read", info->may_read ? Py_True : Py_False, "may_write",
				     info->may_write ? Py_True : Py_False, "read_why", info->read_why, "write_why", info->write_why,
				     "is_there", info->is_there ? Py_True : Py_False, "patterns", patterns, "settings", settings);
	Py_DecRef(patterns);
	Py_DecRef(settings);
	return made;
}

static int add_policy(const struct shmb_policy_info *info, void *user)
{
	PyGILState_STATE state = PyGILState_Ensure();
	int r = keep(user, policy_dict(info));

	PyGILState_Release(state);
	return r;
}

/* A list of numbers as gids: to be freed. NULL with an exception. */
static uint32_t *gids_of(PyObject *list, uint32_t *count)
{
	Py_ssize_t size = PyList_Size(list);
	uint32_t *gids = size < 0 ? NULL : PyMem_Calloc((size_t)size + 1, sizeof(*gids));

	if (gids == NULL)
		return PyErr_Occurred() != NULL ? NULL : (uint32_t *)PyErr_NoMemory();
	*count = (uint32_t)size;
	for (Py_ssize_t i = 0; i < size; i++) {
		unsigned long gid = PyLong_AsUnsignedLong(PyList_GetItem(list, i));

		if (gid > UINT32_MAX && PyErr_Occurred() == NULL)
			PyErr_SetString(PyExc_ValueError, "a group's number has 32 bits");
		if (PyErr_Occurred() != NULL) {
			PyMem_Free(gids);
			return NULL;
		}
		gids[i] = (uint32_t)gid;
	}
	return gids;
}

/* _policy(name, uid or None, gids) */
PyObject *broker_policy(PyObject *object, PyObject *args)
{
	struct broker *self = (struct broker *)object;
	struct visit visit = { .failed = false };
	struct shmb_user user = { .uid = 0 };
	PyObject *uid;
	PyObject *list;
	const char *name;
	uint32_t *gids;
	uint64_t number = 0;
	int r;

	if (!PyArg_ParseTuple(args, "sOO!", &name, &uid, &PyList_Type, &list) || (uid != Py_None && argument_u64(uid, &number) < 0))
		return NULL;
	if (number > UINT32_MAX) {
		PyErr_SetString(PyExc_ValueError, "a user's number has 32 bits");
		return NULL;
	}
	if (!broker_usable(self))
		return NULL;
	gids = gids_of(list, &user.gid_count);
	visit.result = gids != NULL ? PyList_New(0) : NULL;
	if (visit.result == NULL) {
		PyMem_Free(gids);
		return NULL;
	}
	user.uid = (uint32_t)number;
	user.gids = gids;
	Py_BEGIN_ALLOW_THREADS r = shmb_policy(self->raw, name, uid == Py_None ? NULL : &user, add_policy, &visit);
	Py_END_ALLOW_THREADS PyMem_Free(gids);
	return visited(self, &visit, r);
}

static PyObject *gc_dict(const struct shmb_gc_info *info)
{
	PyObject *due = number_or_none(info->due_ns);

	return due == NULL ? NULL
			   : Py_BuildValue("{sssssisOsKsNsIsi}", "name", info->name, "reason", info->reason, "outcome", (int)info->outcome,
					   "is_foreign", info->is_foreign ? Py_True : Py_False, "memory_bytes",
					   (unsigned long long)info->bytes, "due_ns", due, "uid", info->uid, "pid", info->pid);
}

static int add_gc(const struct shmb_gc_info *info, void *user)
{
	PyGILState_STATE state = PyGILState_Ensure();
	int r = keep(user, gc_dict(info));

	PyGILState_Release(state);
	return r;
}

/* _gc(only_tell, foreign) */
PyObject *broker_gc(PyObject *object, PyObject *args)
{
	struct broker *self = (struct broker *)object;
	struct visit visit = { .failed = false };
	int tell;
	int foreign;
	int r;

	if (!PyArg_ParseTuple(args, "pp", &tell, &foreign) || !broker_usable(self) || (visit.result = PyList_New(0)) == NULL)
		return NULL;
	Py_BEGIN_ALLOW_THREADS r = shmb_gc(self->raw, (tell ? SHMB_GC_TELL : 0) | (foreign ? SHMB_GC_FOREIGN_FILES : 0), add_gc, &visit);
	Py_END_ALLOW_THREADS return visited(self, &visit, r);
}
