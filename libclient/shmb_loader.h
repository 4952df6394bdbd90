/* SPDX-License-Identifier: MIT */
#ifndef SHMB_LOADER_H
#define SHMB_LOADER_H

/*
 * Loaders: a thread that keeps a private copy of the newest element of a value, ring or frame, so that a loop gets a snapshot that stays as it is
 * for as long as the loop needs it, without copying and without waiting. Included by shmb.h.
 *
 *   shmb_loader_open_value(&loader, reader);
 *   for (;;) {                                              // a control loop
 *           const struct pose *pose;
 *           if (shmb_loader_snapshot(loader, (const void **)&pose, &sample) == 0)
 *                   steer(pose);                            // *pose does not change here
 *   }
 *   shmb_loader_close(loader);
 *   shmb_value_reader_close(reader);
 *
 * There are three buffers: the one that the caller holds, the one that is being filled, and the newest whole copy. The thread never
 * touches the first, so a snapshot is whole and stays valid until the next call of shmb_loader_snapshot(), or until the loader is closed.
 *
 * The loader borrows the reader: from open to close nothing else may use it. Its functions are for one thread at a time. Only opening
 * starts a thread; it has the name "shmb-loader", all signals blocked, and the scheduling of the thread that opened it. In a forked child
 * there is no thread: every call is -EOWNERDEAD, the last snapshot stays readable, and closing only frees memory.
 */

#include "shmb.h"

#ifdef __cplusplus
extern "C" {
#endif

struct shmb_loader;

/*
 * Starts a loader on a reader. What is there is loaded before it returns, so that the first snapshot is there as soon as there is any
 * element.
 *   -ENOMEM no memory for three copies    -EAGAIN no thread can be started    -EBADMSG, -EOWNERDEAD as when reading
 */
SHMB_PUBLIC int shmb_loader_open_value(struct shmb_loader **out, struct shmb_value_reader *reader);
SHMB_PUBLIC int shmb_loader_open_ring(struct shmb_loader **out, struct shmb_ring_reader *reader);
/* Pins nothing, so it takes no slot from the writer. Where snapshots may be shorter than the type: shmb_loader_length(). */
SHMB_PUBLIC int shmb_loader_open_frame(struct shmb_loader **out, struct shmb_frame_reader *reader);
/*
 * Ends the thread and frees the buffers, at once whatever becomes of writer and broker. Snapshots are gone then. The reader is the
 * caller's again.
 */
SHMB_PUBLIC struct shmb_loader *shmb_loader_close(struct shmb_loader *loader);

/*
 * The newest element that was loaded: *payload points to it, sample (may be NULL) has its number; sample->missed counts the elements
 * between this snapshot and the one before that were not shown. Where nothing new was loaded it is the same as before. No system call, no
 * copy.
 *   -ENODATA no element yet (*payload is NULL)    -EOWNERDEAD after fork (*payload is the last snapshot)
 */
SHMB_PUBLIC int shmb_loader_snapshot(struct shmb_loader *loader, const void **payload, struct shmb_sample *sample);
/* Bytes of the snapshot taken last: of a frame what its writer committed, else the type's size; 0 before there was any. */
SHMB_PUBLIC size_t shmb_loader_length(const struct shmb_loader *loader);

/*
 * Waits until there is a newer snapshot than the last one that was taken. 0; -ETIMEDOUT; and what a wait of the reader has to tell
 * (shmb_wait.h): what became of the writer, and a new generation that was followed, once; what ends the reader or keeps it from the new generation each
 * time. -EOWNERDEAD after fork as well. The thread asks for what may pass ten times a second.
 */
SHMB_PUBLIC int shmb_loader_wait(struct shmb_loader *loader, uint64_t deadline_ns);

#ifdef __cplusplus
}
#endif

#endif
