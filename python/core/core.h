/* SPDX-License-Identifier: MIT */
#ifndef SHMBROKER_CORE_H
#define SHMBROKER_CORE_H

/*
 * shmbroker._core: the library's handles as Python objects, on the limited API of CPython 3.11.
 *
 * What is here is what must be quick or must own memory: handles, payloads in and out, pins, loans. Everything that can be said in Python
 * (types from dtypes, iteration, asyncio, keys) is in the package around it, whose classes derive from these; core_setup() hands over the
 * few things that are needed from there.
 *
 * Rules that keep a Python program out of trouble:
 *
 *   Threads    the library wants each handle used by one thread at a time, and we let go of the GIL while we wait or copy much. A handle is
 *              `busy` meanwhile; every other call on it is refused (InUse). What cannot be refused, a pin that dies, is done afterwards.
 *   Lifetimes  a numpy view holds a pin (or loan, or block), that holds its handle, that holds its broker. close() ends a handle for its
 *              user at once, and for the library when the last of these is gone: memory is never unmapped under a view.
 *   Fork       a child's calls are refused by the library (ForkedError); what dies in a child only frees memory there.
 *   Signals    a wait of the main thread looks for Python's signals twenty times a second.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "shmb.h"

/* ---- what comes from the package around this ---- */

struct core {
	PyObject *errors;  /* {errno: class}, {(context, errno): class} */
	PyObject *type_of; /* type_of(name, schema): a Type */
	PyObject *encode;  /* encode(type, object): an object whose contiguous buffer is the payload, or an exception */
	PyObject *
		check_out; /* check_out(type, object): an object with a writable contiguous buffer of the payload's size, or an exception */
	PyObject *make_key;	 /* make_key(clock, value) */
	PyObject *empty;	 /* numpy.empty */
	PyTypeObject *frame;	 /* the package's Frame, a Pin */
	PyTypeObject *loan;	 /* its Loan */
	PyObject *no_shape;	 /* () */
	PyObject *name_of_dtype; /* "dtype" */
};
extern struct core core;

/* ---- errors ---- */

/* What an error is about, where the code alone does not say it. */
enum context {
	ABOUT_CONTROL, /* open, queries, waits: shmb_text() has a sentence */
	ABOUT_WAIT,
	ABOUT_READ,
	ABOUT_WRITE,
	ABOUT_TIME,
	ABOUT_QUEUE_IN,
	ABOUT_QUEUE_OUT,
	ABOUT_PIN,
	ABOUT_LOAN,
	ABOUT_BLOCK,
};

struct broker;
/* Sets the exception for a negative errno; returns NULL. `broker` tells a fork (may be NULL). */
PyObject *error_set(const struct broker *broker, enum context context, int error);
PyObject *error_new(const struct broker *broker, enum context context, int error);
/* Raises one of the package's classes that stand for no errno: "Closed", "InUse". */
PyObject *error_named(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- types ---- */

struct type {
	PyObject ob_base;
	struct shmb_type *raw;
};
extern PyTypeObject *type_class;

/* ---- broker ---- */

struct handle;
struct waitset;
struct loan;
struct alias;
struct broker {
	PyObject ob_base;
	struct shmb *raw;
	pid_t pid;
	bool closed;
	LIST_HEAD(, handle) handles; /* open ones; borrowed */
	LIST_HEAD(, waitset) sets;   /* borrowed */
};
extern PyTypeObject *broker_class;

bool broker_is_forked(const struct broker *broker);
/* false with an exception: it is closed. */
bool broker_usable(const struct broker *broker);
/* What operators ask (operator.c). */
PyObject *broker_figures(PyObject *object, PyObject *argument);
PyObject *broker_users(PyObject *object, PyObject *unused);
PyObject *broker_reload(PyObject *object, PyObject *unused);
PyObject *broker_policy(PyObject *object, PyObject *args);
PyObject *broker_gc(PyObject *object, PyObject *args);
/* Visitors run with the GIL let go: they take it for their moment. */
struct visit {
	PyObject *result;
	bool failed;
};
/* UINT64_MAX, "unknown" or "never", is None. */
PyObject *number_or_none(uint64_t number);
/* Disconnects if it is closed and nothing is open any more. */
void broker_settle(struct broker *broker);

/* ---- handles ---- */

/* What differs between the kinds of handles. NULL: cannot do it. */
struct kind {
	const char *name;
	void (*close)(void *raw);
	struct shmb_waitable *(*waitable)(void *raw);
	int (*wait)(void *raw, uint64_t deadline_ns);
	int (*status)(void *raw, struct shmb_segment_status *out);
	int (*counters)(void *raw, struct shmb_counters *out);
	const struct shmb_type *(*type)(void *raw);
};

struct handle {
	PyObject ob_base;
	const struct kind *kind;
	void *raw; /* the library's handle, NULL when it is closed */
	struct broker *broker;
	PyObject *name;
	struct type *type;
	PyObject *dtype;   /* of the type */
	PyObject *seen[2]; /* dtypes that were found equal to it */
	unsigned seen_next;
	size_t size; /* of a payload */
	struct shmb_waitset *set;
	unsigned held; /* views that need the handle: pins, loans, exported buffers */
	bool busy;     /* the GIL was let go while the library uses it */
	bool lent;     /* to a loader */
	bool closed;   /* for its user */
	LIST_ENTRY(handle) entry;
	struct loan *loan;     /* the one under way; borrowed */
	struct alias *aliases; /* of a writer's slots (loan.c) */
	/* Pins that died while the handle was busy. */
	struct shmb_frame dead_pins[SHMB_FRAME_PINS];
	unsigned dead_pin_count;
};
extern PyTypeObject *handle_class;

/* 0: may be used now; -1 with an exception: closed, in use by another thread, not opened. */
int handle_begin(struct handle *handle);
/* After an open that succeeded: takes `raw`. -1 with an exception; `raw` is closed then. `type` may be None. */
int handle_adopt(struct handle *handle, const struct kind *kind, struct broker *broker, PyObject *name, PyObject *type, void *raw);
/* Closes the library's handle if its user has and nothing holds it any more. */
void handle_settle(struct handle *handle);
/* Around a call that lets go of the GIL. */
void handle_enter(struct handle *handle);
void handle_leave(struct handle *handle);
void handle_dealloc(PyObject *object);
/* Waits with the GIL let go, in slices where signals are to be looked for. 0, a negative errno, or 1 with an exception. */
int handle_wait(struct handle *handle, int (*wait)(void *raw, uint64_t deadline_ns), uint64_t deadline_ns);

/* Opening: an attempt, made with the GIL let go, in slices while it ends for want of a name, lease or daemon. */
struct attempt {
	struct shmb *broker;
	const char *name;
	const struct shmb_type *type;
	struct shmb_options options;
	struct shmb_frame_options frame;
	void *raw;
};
/* Waits no longer than `deadline_ns`; what it opened is in attempt->raw. 0 or a negative errno. */
typedef int attempt_fn(struct attempt *attempt, uint64_t deadline_ns);
/* The arguments that all opens have; borrowed. */
struct opening {
	PyObject *broker, *name;
	PyObject *type;	   /* or None */
	PyObject *timeout; /* NULL: not given, does not wait */
};
/* The __init__ of a handle. -1 with an exception. */
int handle_open(PyObject *self, const struct kind *kind, const struct opening *what, struct attempt *attempt, attempt_fn *open);
/* The __init__ of those that only read; `observe` opens without a cell, unseen. */
int handle_open_reader(PyObject *self, PyObject *args, PyObject *names, const struct kind *kind, attempt_fn *open, attempt_fn *observe);

/* Seconds (None: for ever) to a deadline; -1 with an exception. */
int deadline_of(PyObject *timeout, uint64_t *deadline_ns);
uint64_t slice_of(uint64_t deadline_ns);

/* ---- payloads ---- */

/* The bytes of `object` as a payload of the handle's type. -1 with an exception. Ended with PyBuffer_Release(). */
int payload_in(struct handle *handle, PyObject *object, Py_buffer *view);
/* Where to put a payload: `object`, or with None something new. *record is a new reference to what the user gets. */
int payload_out(struct handle *handle, PyObject *object, Py_buffer *view, PyObject **record);
/* A fresh record of the handle's type with a writable view of it. */
int payload_new(struct handle *handle, Py_buffer *view, PyObject **record);
enum { PAYLOAD_LARGE = 65536 }; /* from here on copies are made with the GIL let go */

struct sample {
	PyObject ob_base;
	PyObject *record;
	PyObject *key;
	PyObject *type;
	unsigned long long number;
	unsigned long long stamp_ns;
	unsigned long long missed;
};
extern PyTypeObject *sample_class;
/* Takes `record`; NULL with an exception. */
PyObject *sample_new(struct handle *handle, PyObject *record, const struct shmb_sample *sample);

/* Reads one element: the common part of load, latest, read_next, pop and their like. */
typedef int read_call(void *raw, uint64_t argument, void *payload, struct shmb_sample *sample);
PyObject *read_one(struct handle *handle, read_call *call, uint64_t argument, PyObject *out, enum context context);
typedef int write_call(void *raw, const void *payload);
PyObject *write_one(struct handle *handle, write_call *call, PyObject *payload, enum context context);

/* ---- loans ---- */

/* How a loan ends, for frames and queues. */
struct loan_kind {
	int (*commit)(void *raw, size_t length);
	int (*abort)(void *raw);
	int (*commit_at)(void *raw, size_t length, int clock, uint64_t key); /* NULL: has no keys */
};
PyObject *loan_new(struct handle *writer, const struct loan_kind *kind, void *payload, size_t capacity, uint64_t number);
/* The handle is about to be closed: gives back what is on loan, where that can be done. */
void loan_revoke(struct handle *writer);
/* Unmaps what was mapped for loans. */
void aliases_free(struct handle *writer);

/* A new Frame that holds what was pinned; its key or NULL. */
PyObject *pin_new(struct handle *reader, const struct shmb_frame *frame, PyObject *key);
/* Publishes a frame with its key. */
int frame_commit_at(void *raw, size_t length, int clock, uint64_t key);

/* ---- arguments ---- */

/* The one optional argument of a method called with METH_FASTCALL | METH_KEYWORDS: borrowed, Py_None where it is missing, NULL with an exception. */
PyObject *argument_one(const char *name, PyObject *const *args, Py_ssize_t count, PyObject *names);
int argument_u64(PyObject *object, uint64_t *out);

/* ---- what each file adds to the module; -1 with an exception ---- */

int core_add_type(PyObject *module, PyTypeObject **out, PyType_Spec *spec, PyTypeObject *base);
int type_add(PyObject *module);
int broker_add(PyObject *module);
int handle_add(PyObject *module);
int payload_add(PyObject *module);
int value_add(PyObject *module);
int ring_add(PyObject *module);
int temporal_add(PyObject *module);
int frame_add(PyObject *module);
int pin_add(PyObject *module);
int loan_add(PyObject *module);
int queue_add(PyObject *module);
int block_add(PyObject *module);
int loader_add(PyObject *module);
int waitset_add(PyObject *module);
int image_add(PyObject *module);
int watch_add(PyObject *module);

extern PyTypeObject *ring_reader_class;
extern PyTypeObject *value_reader_class;
extern PyTypeObject *frame_reader_class;
extern const struct kind ring_reader_kind;
extern const struct kind value_reader_kind;
PyObject *temporal_method(PyObject *object, PyObject *args);
PyObject *temporal_frame_method(PyObject *object, PyObject *args);
extern const struct kind frame_reader_kind;

/* A waitset of the user's. */
struct waitset {
	PyObject ob_base;
	struct shmb_waitset *raw;
	struct broker *broker;
	PyObject *members; /* a list of handles */
	LIST_ENTRY(waitset) entry;
};
void waitset_end(struct waitset *set);
void waitset_forget(struct broker *broker, struct handle *handle);

#endif
