/* SPDX-License-Identifier: MIT */
/* Queues: producer and consumer. Claims are loans (loan.c). */
#include "core.h"

#include <string.h>

static PyTypeObject *producer_class;
static PyTypeObject *consumer_class;

/* ---- kinds ---- */

static void producer_close(void *raw)
{
	shmb_queue_producer_close(raw);
}

static struct shmb_waitable *producer_waitable(void *raw)
{
	return shmb_queue_room_waitable(raw);
}

static int producer_wait(void *raw, uint64_t deadline_ns)
{
	return shmb_queue_wait_room(raw, deadline_ns);
}

static int producer_counters(void *raw, struct shmb_counters *out)
{
	return shmb_queue_producer_counters(raw, out);
}

static const struct kind producer_kind = {
	.name = "queue producer",
	.close = producer_close,
	.waitable = producer_waitable,
	.wait = producer_wait,
	.counters = producer_counters,
};

static void consumer_close(void *raw)
{
	shmb_queue_consumer_close(raw);
}

static struct shmb_waitable *consumer_waitable(void *raw)
{
	return shmb_queue_waitable(raw);
}

static int consumer_wait(void *raw, uint64_t deadline_ns)
{
	return shmb_queue_wait(raw, deadline_ns);
}

static int consumer_status(void *raw, struct shmb_segment_status *out)
{
	return shmb_queue_status(raw, out);
}

static int consumer_counters(void *raw, struct shmb_counters *out)
{
	return shmb_queue_counters(raw, out);
}

static const struct shmb_type *consumer_type(void *raw)
{
	return shmb_queue_type(raw);
}

static const struct kind consumer_kind = {
	.name = "queue consumer",
	.close = consumer_close,
	.waitable = consumer_waitable,
	.wait = consumer_wait,
	.status = consumer_status,
	.counters = consumer_counters,
	.type = consumer_type,
};

/* ---- producer ---- */

static int producer_attempt(struct attempt *attempt, uint64_t deadline_ns)
{
	struct shmb_queue_producer *producer = NULL;
	int r;

	attempt->options.deadline_ns = deadline_ns;
	r = shmb_queue_producer_open(&producer, attempt->broker, attempt->name, attempt->type, &attempt->options);
	attempt->raw = producer;
	return r;
}

static int producer_init(PyObject *self, PyObject *args, PyObject *names)
{
	static char *list[] = { "broker", "name", "type", "capacity", "stamped", "timeout", NULL };
	struct attempt attempt = { .options = { 0 } };
	struct opening what = { 0 };
	int stamped = 0;

	if (!PyArg_ParseTupleAndKeywords(args, names, "OUO!|$IpO", list, &what.broker, &what.name, type_class, &what.type,
					 &attempt.options.capacity, &stamped, &what.timeout))
		return -1;
	attempt.options.stamped = stamped != 0;
	return handle_open(self, &producer_kind, &what, &attempt, producer_attempt);
}

static int push(void *raw, const void *payload)
{
	return shmb_queue_push(raw, payload);
}

/* push(payload, timeout=0): waiting is for room, and the item is pushed with the GIL, so that nobody changes it meanwhile. */
static PyObject *producer_push(PyObject *object, PyObject *args, PyObject *names)
{
	static char *list[] = { "payload", "timeout", NULL };
	struct handle *self = (struct handle *)object;
	PyObject *payload;
	PyObject *timeout = NULL;
	uint64_t deadline_ns = SHMB_NO_WAIT;
	int r;

	if (!PyArg_ParseTupleAndKeywords(args, names, "O|O", list, &payload, &timeout) ||
	    (timeout != NULL && deadline_of(timeout, &deadline_ns) < 0) || handle_begin(self) < 0)
		return NULL;
	if (deadline_ns != SHMB_NO_WAIT) {
		r = handle_wait(self, producer_wait, deadline_ns);
		if (r != 0)
			return r > 0 ? NULL : error_set(self->broker, ABOUT_WAIT, r);
	}
	return write_one(self, push, payload, ABOUT_QUEUE_IN);
}

/* _push_many(buffer): how many of its items were pushed. */
static PyObject *producer_push_many(PyObject *object, PyObject *args)
{
	struct handle *self = (struct handle *)object;
	PyObject *result = NULL;
	Py_buffer view;
	size_t pushed = 0;
	int r;

	if (!PyArg_ParseTuple(args, "y*", &view))
		return NULL;
	if (handle_begin(self) == 0) {
		handle_enter(self);
		Py_BEGIN_ALLOW_THREADS r = shmb_queue_push_batch(self->raw, view.buf, (size_t)view.len / self->size, &pushed);
		Py_END_ALLOW_THREADS handle_leave(self);
		result = r < 0 ? error_set(self->broker, ABOUT_QUEUE_IN, r) : PyLong_FromSize_t(pushed);
	}
	PyBuffer_Release(&view);
	return result;
}

static int claim_commit(void *raw, size_t length)
{
	(void)length;
	return shmb_queue_commit(raw);
}

static int claim_abort(void *raw)
{
	return shmb_queue_abort(raw);
}

static PyObject *producer_claim(PyObject *object, PyObject *unused)
{
	static const struct loan_kind kind = { claim_commit, claim_abort, NULL };
	struct handle *self = (struct handle *)object;
	void *payload;
	int r;

	(void)unused;
	if (handle_begin(self) < 0)
		return NULL;
	r = shmb_queue_claim(self->raw, &payload);
	if (r < 0)
		return error_set(self->broker, ABOUT_QUEUE_IN, r);
	return loan_new(self, &kind, payload, self->size, shmb_queue_next_number(self->raw));
}

static PyObject *producer_heartbeat(PyObject *object, PyObject *unused)
{
	struct handle *self = (struct handle *)object;
	int r;

	(void)unused;
	if (handle_begin(self) < 0)
		return NULL;
	r = shmb_queue_heartbeat(self->raw);
	if (r < 0)
		return error_set(self->broker, ABOUT_WRITE, r);
	Py_RETURN_NONE;
}

static PyObject *producer_next_number(PyObject *object, void *unused)
{
	struct handle *self = (struct handle *)object;

	(void)unused;
	return handle_begin(self) < 0 ? NULL : PyLong_FromUnsignedLongLong(shmb_queue_next_number(self->raw));
}

static PyGetSetDef producer_attributes[] = {
	{ "next_number", producer_next_number, NULL, "number of the item that will be pushed next", NULL },
	{ NULL, NULL, NULL, NULL, NULL },
};

static PyMethodDef producer_methods[] = {
	{ "push", (PyCFunction)(void (*)(void))producer_push, METH_VARARGS | METH_KEYWORDS,
	  "push(payload, timeout=0)\n\nPushes an item; waits for room for `timeout` seconds at most (None: for ever). Raises Full where it "
	  "may not wait,\n"
	  "Timeout where it did." },
	{ "_push_many", producer_push_many, METH_VARARGS, NULL },
	{ "claim", producer_claim, METH_NOARGS, "claim() -> Loan\n\nThe next item, to be filled in place. Raises Full." },
	{ "heartbeat", producer_heartbeat, METH_NOARGS, "heartbeat()\n\n\"I am alive\" without an item." },
	{ NULL, NULL, 0, NULL },
};

static PyType_Slot producer_slots[] = {
	{ Py_tp_init, producer_init },
	{ Py_tp_dealloc, handle_dealloc },
	{ Py_tp_methods, producer_methods },
	{ Py_tp_getset, producer_attributes },
	{ 0, NULL },
};

static PyType_Spec producer_spec = {
	.name = "shmbroker._core.QueueProducer",
	.basicsize = sizeof(struct handle),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = producer_slots,
};

/* ---- consumer ---- */

static int consumer_attempt(struct attempt *attempt, uint64_t deadline_ns)
{
	struct shmb_queue_consumer *consumer = NULL;
	int r = shmb_queue_consumer_open(&consumer, attempt->broker, attempt->name, attempt->type, deadline_ns);

	attempt->raw = consumer;
	return r;
}

static int consumer_init(PyObject *self, PyObject *args, PyObject *names)
{
	static char *list[] = { "broker", "name", "type", "timeout", NULL };
	struct attempt attempt = { .raw = NULL };
	struct opening what = { .type = Py_None };

	if (!PyArg_ParseTupleAndKeywords(args, names, "OU|O$O", list, &what.broker, &what.name, &what.type, &what.timeout))
		return -1;
	return handle_open(self, &consumer_kind, &what, &attempt, consumer_attempt);
}

static int pop(void *raw, uint64_t argument, void *payload, struct shmb_sample *sample)
{
	(void)argument;
	return shmb_queue_pop(raw, payload, sample);
}

static PyObject *consumer_pop(PyObject *object, PyObject *args, PyObject *names)
{
	static char *list[] = { "out", "timeout", NULL };
	struct handle *self = (struct handle *)object;
	PyObject *out = Py_None;
	PyObject *timeout = NULL;
	uint64_t deadline_ns = SHMB_NO_WAIT;
	int r;

	if (!PyArg_ParseTupleAndKeywords(args, names, "|OO", list, &out, &timeout) ||
	    (timeout != NULL && deadline_of(timeout, &deadline_ns) < 0) || handle_begin(self) < 0)
		return NULL;
	if (deadline_ns != SHMB_NO_WAIT) {
		r = handle_wait(self, consumer_wait, deadline_ns);
		if (r != 0)
			return r > 0 ? NULL : error_set(self->broker, ABOUT_WAIT, r);
	}
	return read_one(self, pop, 0, out, ABOUT_QUEUE_OUT);
}

static int peek(void *raw, uint64_t ahead, void *payload, struct shmb_sample *sample)
{
	struct shmb_queue_consumer *consumer = raw;
	const void *item;
	int r = ahead > UINT32_MAX ? -ENODATA : shmb_queue_peek(consumer, (uint32_t)ahead, &item, sample);

	if (r == 0)
		memcpy(payload, item, shmb_queue_type(consumer)->size);
	return r;
}

static PyObject *consumer_peek(PyObject *self, PyObject *args, PyObject *names)
{
	static char *list[] = { "ahead", "out", NULL };
	PyObject *out = Py_None;
	unsigned ahead = 0;

	if (!PyArg_ParseTupleAndKeywords(args, names, "|IO", list, &ahead, &out))
		return NULL;
	return read_one((struct handle *)self, peek, ahead, out, ABOUT_QUEUE_OUT);
}

static PyObject *consumer_release(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	struct handle *self = (struct handle *)object;
	PyObject *argument = argument_one("count", args, count, names);
	uint64_t items = 1;
	int r;

	if (argument == NULL || (argument != Py_None && argument_u64(argument, &items) < 0) || handle_begin(self) < 0)
		return NULL;
	r = items > UINT32_MAX ? -EPERM : shmb_queue_release(self->raw, (uint32_t)items);
	if (r < 0)
		return error_set(self->broker, ABOUT_QUEUE_OUT, r);
	Py_RETURN_NONE;
}

/* _pop_many(payloads, samples): how many. */
static PyObject *consumer_pop_many(PyObject *object, PyObject *args)
{
	struct handle *self = (struct handle *)object;
	PyObject *result = NULL;
	Py_buffer payloads;
	Py_buffer samples;
	size_t popped = 0;
	size_t count;
	int r;

	if (!PyArg_ParseTuple(args, "w*w*", &payloads, &samples))
		return NULL;
	count = (size_t)samples.len / sizeof(struct shmb_sample);
	if (handle_begin(self) < 0) {
		;
	} else if ((size_t)payloads.len / self->size < count) {
		PyErr_SetString(PyExc_ValueError, "not room for as many payloads as samples");
	} else {
		handle_enter(self);
		Py_BEGIN_ALLOW_THREADS r = shmb_queue_pop_batch(self->raw, payloads.buf, samples.buf, count, &popped);
		Py_END_ALLOW_THREADS handle_leave(self);
		result = r < 0 ? error_set(self->broker, ABOUT_QUEUE_OUT, r) : PyLong_FromSize_t(popped);
	}
	PyBuffer_Release(&payloads);
	PyBuffer_Release(&samples);
	return result;
}

static PyObject *consumer_position(PyObject *object, void *unused)
{
	struct handle *self = (struct handle *)object;

	(void)unused;
	return handle_begin(self) < 0 ? NULL : PyLong_FromUnsignedLongLong(shmb_queue_position(self->raw));
}

static PyGetSetDef consumer_attributes[] = {
	{ "position", consumer_position, NULL, "number of the oldest item that is not consumed", NULL },
	{ NULL, NULL, NULL, NULL, NULL },
};

static PyMethodDef consumer_methods[] = {
	{ "pop", (PyCFunction)(void (*)(void))consumer_pop, METH_VARARGS | METH_KEYWORDS,
	  "pop(out=None, timeout=0) -> Sample\n\nThe oldest item, consumed; waits for one for `timeout` seconds at most (None: for ever). "
	  "Raises Empty where it\n"
	  "may not wait, and what wait() raises where it did." },
	{ "peek", (PyCFunction)(void (*)(void))consumer_peek, METH_VARARGS | METH_KEYWORDS,
	  "peek(ahead=0, out=None) -> Sample\n\nA copy of the item that many places behind the oldest; it is not consumed before "
	  "release()." },
	{ "release", (PyCFunction)(void (*)(void))consumer_release, METH_FASTCALL | METH_KEYWORDS,
	  "release(count=1)\n\nConsumes the oldest items, which were peeked at." },
	{ "_pop_many", consumer_pop_many, METH_VARARGS, NULL },
	{ NULL, NULL, 0, NULL },
};

static PyType_Slot consumer_slots[] = {
	{ Py_tp_init, consumer_init },
	{ Py_tp_dealloc, handle_dealloc },
	{ Py_tp_methods, consumer_methods },
	{ Py_tp_getset, consumer_attributes },
	{ 0, NULL },
};

static PyType_Spec consumer_spec = {
	.name = "shmbroker._core.QueueConsumer",
	.basicsize = sizeof(struct handle),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = consumer_slots,
};

int queue_add(PyObject *module)
{
	if (core_add_type(module, &producer_class, &producer_spec, handle_class) < 0)
		return -1;
	return core_add_type(module, &consumer_class, &consumer_spec, handle_class);
}
