/* SPDX-License-Identifier: MIT */
/*
 * What the kernel can do with huge pages, asked with calls over no bytes at all: an advice it does not know is -EINVAL even so (huge.h).
 */
#include "huge.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>

#include "log.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* linux/mman.h of Linux 6.1 */
#endif

void huge_check(const char *name)
{
	static bool is_told;

	if (is_told)
		return;
	if (madvise(NULL, 0, MADV_HUGEPAGE) < 0) {
		log_warning("%s: huge-pages = yes has no effect: this kernel was built without transparent huge pages", name);
		is_told = true;
	} else if (madvise(NULL, 0, MADV_COLLAPSE) < 0) {
		log_warning("%s: huge-pages = yes has an effect only where the tmpfs is mounted with huge=: this kernel (before 6.1) "
			    "cannot put "
			    "pages together later",
			    name);
		is_told = true;
	}
}
