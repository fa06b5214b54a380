/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_TEL_H
#define WEIR_TEL_H
/*
 * Answers to telemetry commands: what DPDK's calls are named in the versions we build
 * with, and what they do not take. A key is of letters, digits, `_` and `/` only; one
 * call with another key makes the answer that it belongs to null. A text is sent as it
 * is but for a few escapes, so that a byte beyond ASCII makes JSON that nobody reads.
 *
 * For every file that answers a telemetry command; not installed.
 */
#include <stdint.h>

#include <rte_telemetry.h>
#include <rte_version.h>

/* Add a number to a dictionary; where there is no room it is left out. */
static inline void
tel_add_u64(struct rte_tel_data *d, const char *name, uint64_t v)
{
#if RTE_VERSION >= RTE_VERSION_NUM(23, 3, 0, 0)
	rte_tel_data_add_dict_uint(d, name, v);
#else
	rte_tel_data_add_dict_u64(d, name, v);
#endif
}

/* A name as a key: `_` for each character that a key may not have. */
void tel_key(char key[RTE_TEL_MAX_STRING_LEN], const char *name);

/* A text as telemetry can send it: `?` for each byte that is not printable ASCII. */
void tel_text(char text[RTE_TEL_MAX_STRING_LEN], const char *s);

/* Add a text that may have any bytes, a path for one, to a dictionary or an array. */
void tel_add_text(struct rte_tel_data *d, const char *key, const char *s);
void tel_array_add_text(struct rte_tel_data *array, const char *s);

/* A dictionary or an array of strings of its own, for tel_add_part(). NULL: no memory. */
struct rte_tel_data *tel_new_dict(void);
struct rte_tel_data *tel_new_array(void);

/*
 * Make a part an entry of a dictionary. The part is the dictionary's then, and freed
 * where that has no room.
 *
 * @return 0; -ENOSPC.
 */
int tel_add_part(struct rte_tel_data *d, const char *key, struct rte_tel_data *part);

/*
 * The same for what has a name, a device or a port: the key is made of it, and the
 * part, a dictionary, says in `name` how it is really named.
 */
int tel_add_named(struct rte_tel_data *d, const char *name, struct rte_tel_data *part);

#endif /* WEIR_TEL_H */
