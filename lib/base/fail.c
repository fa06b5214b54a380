/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weir_fail.h"

static _Thread_local unsigned int fail_nth;

void
weir_fail_arm(unsigned int nth)
{
	fail_nth = nth;
}

bool
weir_fail_armed(void)
{
	return fail_nth != 0;
}

bool
weir_fail_point(void)
{
	return __builtin_expect(fail_nth != 0, 0) && --fail_nth == 0;
}

void *
weir_calloc(size_t nr, size_t len)
{
	return weir_fail_point() ? NULL : calloc(nr, len);
}

void *
weir_zalloc(size_t len)
{
	return weir_calloc(1, len);
}

void *
weir_realloc(void *old, size_t len)
{
	return weir_fail_point() ? NULL : realloc(old, len);
}

void *
weir_zalloc_aligned(size_t align, size_t len)
{
	void *p;

	if (weir_fail_point() || posix_memalign(&p, align, len) != 0)
		return NULL;
	return memset(p, 0, len);
}
