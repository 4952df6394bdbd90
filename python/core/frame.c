/* SPDX-License-Identifier: MIT */
/* Frames: writer and reader. What is pinned: pin.c; what is on loan: loan.c. */
#include "core.h"

PyTypeObject *frame_reader_class;
static PyTypeObject *writer_class;

/* ---- kinds ---- */

static void writer_close(void *raw)
{
	shmb_frame_writer_close(raw);
}

static int writer_counters(void *raw, struct shmb_counters *out)
{
	return shmb_frame_writer_counters(raw, out);
}

static const struct kind writer_kind = { .name = "frame writer", .close = writer_close, .counters = writer_counters };

static void reader_close(void *raw)
{
	shmb_frame_reader_close(raw);
}

static struct shmb_waitable *reader_waitable(void *raw)
{
	return shmb_frame_waitable(raw);
}

static int reader_wait(void *raw, uint64_t deadline_ns)
{
	return shmb_frame_wait(raw, deadline_ns);
}

static int reader_status(void *raw, struct shmb_segment_status *out)
{
	return shmb_frame_status(raw, out);
}

static int reader_counters(void *raw, struct shmb_counters *out)
{
	return shmb_frame_counters(raw, out);
}

static const struct shmb_type *reader_type(void *raw)
{
	return shmb_frame_type(raw);
}

const struct kind frame_reader_kind = {
	.name = "frame reader",
	.close = reader_close,
	.waitable = reader_waitable,
	.wait = reader_wait,
	.status = reader_status,
	.counters = reader_counters,
	.type = reader_type,
};

/* ---- writer ---- */

static int writer_attempt(struct attempt *attempt, uint64_t deadline_ns)
{
	struct shmb_frame_writer *writer = NULL;
	int r;

	attempt->frame.deadline_ns = deadline_ns;
	r = shmb_frame_writer_open(&writer, attempt->broker, attempt->name, attempt->type, &attempt->frame);
	attempt->raw = writer;
	return r;
}

static int writer_init(PyObject *self, PyObject *args, PyObject *names)
{
	static char *list[] = { "broker", "name", "type", "history", "pins", "stamped", "clock", "key", "keys_given", "timeout", NULL };
	struct attempt attempt = { .frame = { 0 } };
	struct opening what = { 0 };
	int stamped = 0;
	int clock = 0;
	int keys_given = 0;

	if (!PyArg_ParseTupleAndKeywords(args, names, "OUO!|$IIpizpO", list, &what.broker, &what.name, type_class, &what.type,
					 &attempt.frame.history, &attempt.frame.pins, &stamped, &clock, &attempt.frame.key_field,
					 &keys_given, &what.timeout))
		return -1;
	attempt.frame.stamped = stamped != 0;
	attempt.frame.key_clock = (enum shmb_clock)clock;
	attempt.frame.keys_given = keys_given != 0;
	return handle_open(self, &writer_kind, &what, &attempt, writer_attempt);
}

static int loan_commit(void *raw, size_t length)
{
	return shmb_frame_commit(raw, length);
}

static int loan_abort(void *raw)
{
	return shmb_frame_abort(raw);
}

static PyObject *writer_loan(PyObject *object, PyObject *unused)
{
	static const struct loan_kind kind = { loan_commit, loan_abort, frame_commit_at };
	struct handle *self = (struct handle *)object;
	size_t capacity;
	void *payload;
	int r;

	(void)unused;
	if (handle_begin(self) < 0)
		return NULL;
	r = shmb_frame_loan(self->raw, &payload, &capacity);
	if (r < 0)
		return error_set(self->broker, ABOUT_LOAN, r);
	return loan_new(self, &kind, payload, capacity, shmb_frame_next_number(self->raw));
}

/* Calls a function of the writer that takes nothing. */
static PyObject *writer_do(PyObject *object, int (*call)(struct shmb_frame_writer *writer))
{
	struct handle *self = (struct handle *)object;
	int r;

	if (handle_begin(self) < 0)
		return NULL;
	r = call(self->raw);
	if (r < 0)
		return error_set(self->broker, ABOUT_WRITE, r);
	Py_RETURN_NONE;
}

static PyObject *writer_heartbeat(PyObject *self, PyObject *unused)
{
	(void)unused;
	return writer_do(self, shmb_frame_heartbeat);
}

static PyObject *writer_restart_keys(PyObject *self, PyObject *unused)
{
	(void)unused;
	return writer_do(self, shmb_frame_restart_keys);
}

static PyObject *writer_next_number(PyObject *object, void *unused)
{
	struct handle *self = (struct handle *)object;

	(void)unused;
	return handle_begin(self) < 0 ? NULL : PyLong_FromUnsignedLongLong(shmb_frame_next_number(self->raw));
}

static PyGetSetDef writer_attributes[] = {
	{ "next_number", writer_next_number, NULL, "number of the frame on loan, or of the next one", NULL },
	{ NULL, NULL, NULL, NULL, NULL },
};

static PyMethodDef writer_methods[] = {
	{ "loan", writer_loan, METH_NOARGS,
	  "loan() -> Loan\n\nA slot to fill in place. Never waits. Raises NoBuffers, which names who holds what, where readers hold every "
	  "slot." },
	{ "heartbeat", writer_heartbeat, METH_NOARGS, "heartbeat()\n\n\"I am alive\" without data." },
	{ "restart_keys", writer_restart_keys, METH_NOARGS,
	  "restart_keys()\n\nFrom the next commit on, keys may begin anew, lower than before." },
	{ NULL, NULL, 0, NULL },
};

static PyType_Slot writer_slots[] = {
	{ Py_tp_init, writer_init },
	{ Py_tp_dealloc, handle_dealloc },
	{ Py_tp_methods, writer_methods },
	{ Py_tp_getset, writer_attributes },
	{ 0, NULL },
};

static PyType_Spec writer_spec = {
	.name = "shmbroker._core.FrameWriter",
	.basicsize = sizeof(struct handle),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = writer_slots,
};

/* ---- reader ---- */

static int reader_attempt(struct attempt *attempt, uint64_t deadline_ns)
{
	struct shmb_frame_reader *reader = NULL;
	int r = shmb_frame_reader_open(&reader, attempt->broker, attempt->name, attempt->type, deadline_ns);

	attempt->raw = reader;
	return r;
}

static int observe_attempt(struct attempt *attempt, uint64_t deadline_ns)
{
	struct shmb_frame_reader *reader = NULL;
	int r = shmb_frame_observe(&reader, attempt->broker, attempt->name);

	(void)deadline_ns;
	attempt->raw = reader;
	return r;
}

static int reader_init(PyObject *self, PyObject *args, PyObject *names)
{
	return handle_open_reader(self, args, names, &frame_reader_kind, reader_attempt, observe_attempt);
}

/* ---- pins ---- */

/* What came of pinning, `r`, as an object. */
static PyObject *pinned(struct handle *self, struct shmb_frame *frame, int r)
{
	PyObject *made;

	if (r < 0)
		return error_set(self->broker, ABOUT_PIN, r);
	made = pin_new(self, frame, NULL);
	if (made == NULL)
		shmb_frame_release(self->raw, frame);
	return made;
}

static PyObject *pin_with(PyObject *object, int (*pin)(struct shmb_frame_reader *reader, struct shmb_frame *frame))
{
	struct handle *self = (struct handle *)object;
	struct shmb_frame frame;

	return handle_begin(self) < 0 ? NULL : pinned(self, &frame, pin(self->raw, &frame));
}

static PyObject *reader_pin(PyObject *self, PyObject *unused)
{
	(void)unused;
	return pin_with(self, shmb_frame_pin_newest);
}

static PyObject *reader_pin_next(PyObject *self, PyObject *unused)
{
	(void)unused;
	return pin_with(self, shmb_frame_pin_next);
}

static PyObject *reader_pin_number(PyObject *object, PyObject *argument)
{
	struct handle *self = (struct handle *)object;
	struct shmb_frame frame;
	uint64_t number;

	if (argument_u64(argument, &number) < 0 || handle_begin(self) < 0)
		return NULL;
	return pinned(self, &frame, shmb_frame_pin_number(self->raw, number, &frame));
}

/* ---- copies ---- */

/* _load(next, buffer): (length, number, stamp_ns, missed). */
static PyObject *reader_load(PyObject *object, PyObject *args)
{
	struct handle *self = (struct handle *)object;
	struct shmb_frame frame;
	PyObject *result = NULL;
	Py_buffer view;
	int next;
	int r;

	if (!PyArg_ParseTuple(args, "pw*", &next, &view))
		return NULL;
	if (handle_begin(self) == 0) {
		handle_enter(self);
		Py_BEGIN_ALLOW_THREADS r = next ? shmb_frame_load_next(self->raw, view.buf, (size_t)view.len, &frame)
						: shmb_frame_load_newest(self->raw, view.buf, (size_t)view.len, &frame);
		Py_END_ALLOW_THREADS handle_leave(self);
		result = r < 0 ? error_set(self->broker, ABOUT_READ, r)
			       : Py_BuildValue("(KKKK)", (unsigned long long)frame.length, (unsigned long long)frame.number,
					       (unsigned long long)frame.stamp_ns, (unsigned long long)frame.missed);
	}
	PyBuffer_Release(&view);
	return result;
}

static PyObject *reader_seek(PyObject *object, PyObject *argument)
{
	struct handle *self = (struct handle *)object;
	uint64_t number;
	int r;

	if (argument_u64(argument, &number) < 0 || handle_begin(self) < 0)
		return NULL;
	r = shmb_frame_seek(self->raw, number);
	if (r < 0)
		return error_set(self->broker, ABOUT_READ, r);
	Py_RETURN_NONE;
}

static PyObject *reader_seek_oldest(PyObject *object, PyObject *unused)
{
	struct handle *self = (struct handle *)object;
	int r;

	(void)unused;
	if (handle_begin(self) < 0)
		return NULL;
	r = shmb_frame_seek_oldest(self->raw);
	if (r < 0)
		return error_set(self->broker, ABOUT_READ, r);
	Py_RETURN_NONE;
}

static PyObject *reader_seek_age(PyObject *object, PyObject *argument)
{
	struct handle *self = (struct handle *)object;
	double seconds = PyFloat_AsDouble(argument);
	int r;

	if ((seconds == -1.0 && PyErr_Occurred() != NULL) || handle_begin(self) < 0)
		return NULL;
	if (!(seconds >= 0 && seconds < 9e9)) {
		PyErr_SetString(PyExc_ValueError, "an age in seconds is 0 or more");
		return NULL;
	}
	r = shmb_frame_seek_age(self->raw, (uint64_t)(seconds * 1e9));
	if (r < 0)
		return error_set(self->broker, ABOUT_TIME, r);
	Py_RETURN_NONE;
}

static PyObject *reader_lag(PyObject *object, PyObject *unused)
{
	struct handle *self = (struct handle *)object;
	uint64_t lag;
	int r;

	(void)unused;
	if (handle_begin(self) < 0)
		return NULL;
	r = shmb_frame_lag(self->raw, &lag);
	if (r < 0)
		return error_set(self->broker, ABOUT_READ, r);
	return PyLong_FromUnsignedLongLong(lag);
}

static PyObject *reader_clock(PyObject *object, void *unused)
{
	struct handle *self = (struct handle *)object;

	(void)unused;
	return handle_begin(self) < 0 ? NULL : PyLong_FromLong(shmb_frame_clock(self->raw));
}

static PyObject *reader_bounds(PyObject *object, PyObject *unused)
{
	struct handle *self = (struct handle *)object;
	uint64_t oldest;
	uint64_t next;
	int r;

	(void)unused;
	if (handle_begin(self) < 0)
		return NULL;
	r = shmb_frame_bounds(self->raw, &oldest, &next);
	if (r < 0)
		return error_set(self->broker, ABOUT_READ, r);
	return Py_BuildValue("(KK)", (unsigned long long)oldest, (unsigned long long)next);
}

static PyObject *reader_held(PyObject *object, void *unused)
{
	(void)unused;
	return PyLong_FromUnsignedLong(((struct handle *)object)->held);
}

static PyGetSetDef reader_attributes[] = {
	{ "_clock", reader_clock, NULL, NULL, NULL },
	{ "held", reader_held, NULL, "how many frames this reader holds", NULL },
	{ NULL, NULL, NULL, NULL, NULL },
};

static PyMethodDef reader_methods[] = {
	{ "pin", reader_pin, METH_NOARGS,
	  "pin() -> Frame\n\nHolds the newest frame in place: nothing is copied. Raises NoData, TooManyPins (a reader holds 8 at most), "
	  "NoCell." },
	{ "pin_next", reader_pin_next, METH_NOARGS,
	  "pin_next() -> Frame\n\nHolds the next frame in order, or the oldest that is left: frame.missed says how many are lost. Raises "
	  "NoData." },
	{ "pin_number", reader_pin_number, METH_O, "pin_number(number) -> Frame\n\nHolds this frame. Raises NoData, Overwritten." },
	{ "_load", reader_load, METH_VARARGS, NULL },
	{ "_temporal", temporal_frame_method, METH_VARARGS, NULL },
	{ "seek_oldest", reader_seek_oldest, METH_NOARGS, "seek_oldest()\n\nSets the position to the oldest frame there is." },
	{ "seek_age", reader_seek_age, METH_O, "seek_age(seconds)\n\nSets the position to the first frame that is not older, by its key." },
	{ "lag", reader_lag, METH_NOARGS, "lag() -> int\n\nHow many frames this reader is behind." },
	{ "seek", reader_seek, METH_O, "seek(number)\n\nSets the number that is pinned or loaded next." },
	{ "bounds", reader_bounds, METH_NOARGS,
	  "bounds() -> tuple[int, int]\n\nThe numbers that can be read: from the first to the second, exclusive." },
	{ NULL, NULL, 0, NULL },
};

static PyType_Slot reader_slots[] = {
	{ Py_tp_init, reader_init },
	{ Py_tp_dealloc, handle_dealloc },
	{ Py_tp_methods, reader_methods },
	{ Py_tp_getset, reader_attributes },
	{ 0, NULL },
};

static PyType_Spec reader_spec = {
	.name = "shmbroker._core.FrameReader",
	.basicsize = sizeof(struct handle),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = reader_slots,
};

int frame_add(PyObject *module)
{
	if (core_add_type(module, &writer_class, &writer_spec, handle_class) < 0)
		return -1;
	return core_add_type(module, &frame_reader_class, &reader_spec, handle_class);
}
