/* SPDX-License-Identifier: MIT */
/*
 * Loan: a frame, or an item of a queue, that its writer fills in place. It exports the memory, writable, through the buffer protocol.
 *
 * After commit or abort nobody may write there any more, and a numpy view cannot be taken back: whoever has one can write where it points. So
 * a loan is shown to Python at an address of its own: the slot's pages mapped a second time (mremap with an old size of 0 does that for shared
 * memory). Where views are alive when the loan ends, other, private memory is put in that place, in one step: they go on pointing to
 * something, but not to the segment. Where none are, as is usual for who lets go in time, the second mapping is kept for the slot's next loan, so
 * that its pages need not be faulted in again.
 *
 * Where the kernel (or an emulator) does not map twice, views are of the slot itself, and commit and abort raise BufferError as long as any are
 * alive.
 */
#include "core.h"

#include <sys/mman.h>
#include <unistd.h>

enum { ALIASES_MAX = 32 };

/* Pages of a slot, mapped once more. */
struct alias {
	unsigned char *slot; /* the library's address of the first of them; NULL: this place is free */
	unsigned char *start;
	size_t length;
};

struct loan {
	PyObject ob_base;
	struct handle *writer;
	const struct loan_kind *kind;
	unsigned char *payload; /* as Python sees it */
	size_t capacity;
	uint64_t number;
	unsigned views;
	bool is_open;
	bool is_cut_off; /* `alias` is private memory, and ours to unmap */
	struct alias alias;
};

static PyTypeObject *loan_class;

/* ---- second mappings ---- */

static struct alias *alias_find(struct handle *writer, const unsigned char *slot, size_t length)
{
	for (unsigned i = 0; writer->aliases != NULL && i < ALIASES_MAX; i++) {
		if (writer->aliases[i].slot == slot && writer->aliases[i].length == length)
			return &writer->aliases[i];
	}
	return NULL;
}

/* Takes the slot's second mapping, or makes one. false: there is none to be had. */
static bool alias_take(struct handle *writer, unsigned char *payload, size_t capacity, struct alias *out)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	unsigned char *slot = payload - ((uintptr_t)payload & (page - 1));
	size_t length = ((size_t)(payload - slot) + capacity + page - 1) & ~(page - 1);
	struct alias *kept = alias_find(writer, slot, length);
	void *start;

	if (kept != NULL) {
		*out = *kept;
		kept->slot = NULL;
		return true;
	}
	start = mremap(slot, 0, length, MREMAP_MAYMOVE);
	if (start == MAP_FAILED)
		return false;
	/* As the library's own mappings. */
	if (madvise(start, length, MADV_DONTFORK) < 0) {
		munmap(start, length);
		return false;
	}
	madvise(start, length, MADV_DONTDUMP);
	*out = (struct alias){ slot, start, length };
	return true;
}

static void alias_keep(struct handle *writer, const struct alias *alias)
{
	if (writer->aliases == NULL)
		writer->aliases = PyMem_Calloc(ALIASES_MAX, sizeof(*alias));
	for (unsigned i = 0; writer->aliases != NULL && i < ALIASES_MAX; i++) {
		if (writer->aliases[i].slot == NULL) {
			writer->aliases[i] = *alias;
			return;
		}
	}
	munmap(alias->start, alias->length);
}

void aliases_free(struct handle *writer)
{
	/* In a forked child they are not mapped, and something else may be there. */
	for (unsigned i = 0; writer->aliases != NULL && i < ALIASES_MAX; i++) {
		if (writer->aliases[i].slot != NULL && !broker_is_forked(writer->broker))
			munmap(writer->aliases[i].start, writer->aliases[i].length);
	}
	PyMem_Free(writer->aliases);
	writer->aliases = NULL;
}

/* ---- begin and end ---- */

PyObject *loan_new(struct handle *writer, const struct loan_kind *kind, void *payload, size_t capacity, uint64_t number)
{
	allocfunc alloc = (allocfunc)PyType_GetSlot(core.loan, Py_tp_alloc);
	struct loan *self = (struct loan *)alloc(core.loan, 0);

	if (self == NULL) {
		kind->abort(writer->raw);
		return NULL;
	}
	self->writer = writer;
	Py_IncRef((PyObject *)writer);
	self->kind = kind;
	self->payload = payload;
	self->capacity = capacity;
	self->number = number;
	self->is_open = true;
	if (alias_take(writer, payload, capacity, &self->alias))
		self->payload = self->alias.start + ((unsigned char *)payload - self->alias.slot);
	writer->loan = self;
	writer->held++;
	return (PyObject *)self;
}

/* Nobody who has a view can write to the segment any more. false: they can, there is no second mapping. */
static bool loan_cut_off(struct loan *self)
{
	if (self->alias.slot == NULL)
		return self->views == 0;
	/* In a forked child it is not mapped: there is nothing to cut off. */
	if (broker_is_forked(self->writer->broker)) {
		self->alias.slot = NULL;
		return true;
	}
	if (self->views == 0) {
		alias_keep(self->writer, &self->alias);
		self->alias.slot = NULL;
		return true;
	}
	if (mmap(self->alias.start, self->alias.length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
		 0) == MAP_FAILED)
		return false;
	self->is_cut_off = true;
	return true;
}

/* Takes loan_cut_off() back: views show the slot again, as it was. false: they cannot. */
static bool loan_mend(struct loan *self, const struct alias *was)
{
	if (was->slot == NULL || broker_is_forked(self->writer->broker))
		return true;
	if (!self->is_cut_off) {
		unsigned char *payload = was->slot + (self->payload - was->start);

		/* Nobody has a view: the next ones may be of another mapping, or of the slot itself. */
		self->payload = payload;
		if (alias_take(self->writer, payload, self->capacity, &self->alias))
			self->payload = self->alias.start + (payload - self->alias.slot);
		return true;
	}
	if (mremap(was->slot, 0, was->length, MREMAP_MAYMOVE | MREMAP_FIXED, was->start) == MAP_FAILED) {
		/* There may be nothing now where the views point to. */
		(void)mmap(was->start, was->length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
		return false;
	}
	self->is_cut_off = false;
	madvise(was->start, was->length, MADV_DONTFORK);
	madvise(was->start, was->length, MADV_DONTDUMP);
	return true;
}

/* Whether the library keeps a loan whose commit it answered so. */
static bool is_kept(int r)
{
	return r == -EMSGSIZE || r == -ERANGE || r == -EDOM || r == -ENOKEY || r == -EXDEV;
}

static void loan_is_over(struct loan *self)
{
	struct handle *writer = self->writer;

	self->is_open = false;
	writer->loan = NULL;
	writer->held--;
	if (writer->closed)
		handle_settle(writer);
}

void loan_revoke(struct handle *writer)
{
	struct loan *self = writer->loan;

	if (!loan_cut_off(self))
		return;
	self->kind->abort(writer->raw);
	self->is_open = false;
	writer->loan = NULL;
	writer->held--;
}

static void loan_dealloc(PyObject *object)
{
	struct loan *self = (struct loan *)object;
	PyTypeObject *class = Py_TYPE(object);
	freefunc release = (freefunc)PyType_GetSlot(class, Py_tp_free);

	if (self->is_open) {
		/* Views hold us: there are none. */
		loan_cut_off(self);
		self->kind->abort(self->writer->raw);
		loan_is_over(self);
	}
	Py_DecRef((PyObject *)self->writer);
	release(object);
	Py_DecRef((PyObject *)class);
}

/* ---- views ---- */

static int loan_getbuffer(PyObject *object, Py_buffer *view, int flags)
{
	struct loan *self = (struct loan *)object;

	if (!self->is_open) {
		view->obj = NULL;
		PyErr_SetString(PyExc_BufferError, "the loan is over: it was committed or aborted");
		return -1;
	}
	if (PyBuffer_FillInfo(view, object, self->payload, (Py_ssize_t)self->capacity, 0, flags) < 0)
		return -1;
	self->views++;
	return 0;
}

static void loan_releasebuffer(PyObject *object, Py_buffer *view)
{
	struct loan *self = (struct loan *)object;

	(void)view;
	if (--self->views > 0 || !self->is_cut_off)
		return;
	self->is_cut_off = false;
	if (!broker_is_forked(self->writer->broker))
		munmap(self->alias.start, self->alias.length);
}

/* ---- methods ---- */

static bool loan_may_end(struct loan *self)
{
	if (!self->is_open) {
		error_named("Closed", "the loan is over: it was committed, aborted, or its writer closed");
		return false;
	}
	if (handle_begin(self->writer) < 0)
		return false;
	if (!loan_cut_off(self)) {
		PyErr_Format(PyExc_BufferError, "%u views of the loan are alive: let go of them first", self->views);
		return false;
	}
	return true;
}

/* _commit(length, clock, key): the number. What is refused for its key or length stays on loan. */
static PyObject *loan_commit(PyObject *object, PyObject *args)
{
	struct loan *self = (struct loan *)object;
	PyObject *objects[2];
	uint64_t length = self->capacity;
	uint64_t key;
	struct alias alias = self->alias;
	int clock;
	int r;

	if (!PyArg_ParseTuple(args, "OiO", &objects[0], &clock, &objects[1]) || argument_u64(objects[1], &key) < 0 ||
	    (objects[0] != Py_None && argument_u64(objects[0], &length) < 0))
		return NULL;
	if (self->is_open && length > self->capacity) {
		PyErr_Format(PyExc_ValueError, "a frame of %zu bytes at most, not %llu", self->capacity, (unsigned long long)length);
		return NULL;
	}
	if (clock != SHMB_CLOCK_NONE && self->kind->commit_at == NULL)
		return error_named("NotSupported", "items of a queue have no keys");
	if (!loan_may_end(self))
		return NULL;
	if (clock != SHMB_CLOCK_NONE)
		r = self->kind->commit_at(self->writer->raw, (size_t)length, clock, key);
	else
		r = self->kind->commit(self->writer->raw, (size_t)length);
	if (!is_kept(r) || !loan_mend(self, &alias)) {
		if (r < 0)
			self->kind->abort(self->writer->raw);
		loan_is_over(self);
	}
	if (r < 0)
		return error_set(self->writer->broker, r == -EXDEV ? ABOUT_TIME : ABOUT_WRITE, r);
	return PyLong_FromUnsignedLongLong(self->number);
}

static PyObject *loan_abort(PyObject *object, PyObject *unused)
{
	struct loan *self = (struct loan *)object;
	int r;

	(void)unused;
	if (!self->is_open)
		Py_RETURN_NONE;
	if (!loan_may_end(self))
		return NULL;
	r = self->kind->abort(self->writer->raw);
	loan_is_over(self);
	if (r < 0)
		return error_set(self->writer->broker, ABOUT_WRITE, r);
	Py_RETURN_NONE;
}

/* _image(width, height, stride, format, number, stamp_ns): writes an image's header; (stride, data_bytes, payload_bytes). */
static PyObject *loan_image(PyObject *object, PyObject *args)
{
	struct loan *self = (struct loan *)object;
	struct shmb_image_layout layout;
	unsigned long long number;
	unsigned long long stamp_ns;
	unsigned width, height, stride;
	int format;
	int r;

	if (!PyArg_ParseTuple(args, "IIIiKK", &width, &height, &stride, &format, &number, &stamp_ns))
		return NULL;
	if (!self->is_open)
		return error_named("Closed", "the loan is over: it was committed or aborted");
	if (broker_is_forked(self->writer->broker))
		return error_set(self->writer->broker, ABOUT_WRITE, -EOWNERDEAD);
	r = shmb_image_layout(&layout, width, height, stride, (enum shmb_image_format)format);
	if (r < 0)
		return error_set(self->writer->broker, ABOUT_CONTROL, r);
	if (layout.payload_bytes > self->capacity) {
		PyErr_Format(PyExc_ValueError, "an image of %ux%u takes %llu bytes, a frame of %S has %zu", width, height,
			     (unsigned long long)layout.payload_bytes, self->writer->name, self->capacity);
		return NULL;
	}
	shmb_image_init(self->payload, &layout, number, stamp_ns);
	return Py_BuildValue("(IKK)", layout.stride, (unsigned long long)layout.data_bytes, (unsigned long long)layout.payload_bytes);
}

static PyObject *loan_get(PyObject *object, void *what)
{
	struct loan *self = (struct loan *)object;
	PyObject *found;

	switch ((intptr_t)what) {
	case 0:
		return PyLong_FromUnsignedLongLong(self->number);
	case 1:
		return PyLong_FromSize_t(self->capacity);
	case 2:
		return PyBool_FromLong(!self->is_open);
	case 3:
		found = (PyObject *)self->writer;
		break;
	default:
		found = (PyObject *)self->writer->type;
		break;
	}
	Py_IncRef(found);
	return found;
}

static PyGetSetDef attributes[] = {
	{ "number", loan_get, NULL, "the number it is published under", (void *)0 },
	{ "capacity", loan_get, NULL, "bytes there is room for", (void *)1 },
	{ "over", loan_get, NULL, "whether it was committed or aborted", (void *)2 },
	{ "writer", loan_get, NULL, "whose it is", (void *)3 },
	{ "type", loan_get, NULL, "the payload's Type", (void *)4 },
	{ NULL, NULL, NULL, NULL, NULL },
};

static PyMethodDef methods[] = {
	{ "_commit", loan_commit, METH_VARARGS, NULL },
	{ "abort", loan_abort, METH_NOARGS, NULL },
	{ "_image", loan_image, METH_VARARGS, NULL },
	{ NULL, NULL, 0, NULL },
};

static PyType_Slot slots[] = {
	{ Py_tp_dealloc, loan_dealloc },
	{ Py_tp_getset, attributes },
	{ Py_tp_methods, methods },
	{ Py_bf_getbuffer, loan_getbuffer },
	{ Py_bf_releasebuffer, loan_releasebuffer },
	{ 0, NULL },
};

static PyType_Spec spec = {
	.name = "shmbroker._core.Loan",
	.basicsize = sizeof(struct loan),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
	.slots = slots,
};

int loan_add(PyObject *module)
{
	return core_add_type(module, &loan_class, &spec, NULL);
}
