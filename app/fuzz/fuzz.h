/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_FUZZ_H
#define WEIR_FUZZ_H
/* What fuzz targets have in common: an input, what must hold, EAL without hardware. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUZZ_CHECK(cond, what)                                 \
	do {                                                   \
		if (!(cond)) {                                 \
			fprintf(stderr, "broken: %s\n", what); \
			abort();                               \
		}                                              \
	} while (0)

struct fuzz_input {
	const uint8_t *at;
	size_t left;
};

/* @return false: there is not as much left, and none of it is taken. */
static inline bool
fuzz_take(struct fuzz_input *in, void *to, size_t len)
{
	if (in->left < len)
		return false;
	memcpy(to, in->at, len);
	in->at += len;
	in->left -= len;
	return true;
}

/* Once, in LLVMFuzzerInitialize(). */
void fuzz_eal_start(void);

/* libFuzzer calls these; its headers do not say so in C. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif /* WEIR_FUZZ_H */
