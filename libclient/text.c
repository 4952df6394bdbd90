/* SPDX-License-Identifier: MIT */
/* What the library says about errors: shmb_text() and shmb_strerror(). */
#include "text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shmb.h"

/* Long enough for the two schemas of a type mismatch; longer ones are cut. */
static _Thread_local char text[4096];

int text_fail(int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	return error;
}

int text_system(int error)
{
	switch (error) {
	case -ENOMEM:
	case -EMFILE:
	case -EAGAIN: /* memory that may not be locked; a thread */
	case -EPERM:
		return error;
	case -ENFILE:
		return -EMFILE;
	case -ENOBUFS:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

int text_mapping(int error)
{
	return error == -EACCES || error == -ENODEV ? -EBADMSG : text_system(error);
}

void text_set_forked(void)
{
	text_fail(-EOWNERDEAD, "this process was forked from the one that opened the handle and owns nothing of it: connect and open anew");
}

const char *shmb_text(void)
{
	return text;
}

/* Where this library means something else than the system's word for the code. */
const char *shmb_strerror(int error)
{
	const char *name;

	switch (abs(error)) {
	case 0:
		return "ok";
	case EAGAIN:
		return "overtaken by the writer too often";
	case EBADF:
		return "handle closed";
	case EBUSY:
		return "another process writes it";
	case EDOM:
		return "key lower than the one before, or of another unit";
	case ECANCELED:
		return "cancelled";
	case EEXIST:
		return "exists with other properties";
	case EREMCHG:
		return "the segment has a new generation";
	case EHOSTDOWN:
		return "writer hangs";
	case EMEDIUMTYPE:
		return "segment of another kind";
	case ENODATA:
		return "no new data";
	case EOWNERDEAD:
		return "writer dead, or forked";
	case EPIPE:
		return "writer closed";
	case EPROTOTYPE:
		return "segment of another type";
	case ESTALE:
		return "gone: replaced, removed, overwritten or taken away";
	case ETIME:
		return "everything there is is older";
	case ETIMEDOUT:
		return "deadline passed";
	case ENOKEY:
		return "a key is to be given";
	case EXDEV:
		return "key of another clock";
	default:
		name = strerrordesc_np(abs(error));
		return name != NULL ? name : "unknown error";
	}
}

const char *shmb_version(void)
{
	return SHMB_VERSION;
}
