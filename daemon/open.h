/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_OPEN_H
#define SHMB_DAEMON_OPEN_H

/* Opening a segment as its writer or a reader, and closing the handle. */

#include "dispatch.h"

dispatch_fn open_writer;
dispatch_fn open_reader;
dispatch_fn open_close;

#endif
