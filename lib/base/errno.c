/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "weir_errno.h"

const char *
weir_strerror(int err)
{
	/* strerror() is not safe with threads, and speaks the user's language */
	const char *s = strerrordesc_np(err < 0 ? -err : err);

	return s != NULL ? s : "unknown error";
}
