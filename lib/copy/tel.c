/* SPDX-License-Identifier: BSD-3-Clause */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "tel.h"

static bool
is_ascii(char c)
{
	return c >= ' ' && c <= '~';
}

void
tel_key(char key[RTE_TEL_MAX_STRING_LEN], const char *name)
{
	size_t i;

	for (i = 0; i < RTE_TEL_MAX_STRING_LEN - 1 && name[i] != '\0'; i++)
		key[i] = is_ascii(name[i]) && (isalnum(name[i]) || name[i] == '_' ||
					       name[i] == '/')
				 ? name[i]
				 : '_';
	key[i] = '\0';
}

void
tel_text(char text[RTE_TEL_MAX_STRING_LEN], const char *s)
{
	size_t i;

	for (i = 0; i < RTE_TEL_MAX_STRING_LEN - 1 && s[i] != '\0'; i++)
		text[i] = is_ascii(s[i]) ? s[i] : '?';
	text[i] = '\0';
}

void
tel_add_text(struct rte_tel_data *d, const char *key, const char *s)
{
	char text[RTE_TEL_MAX_STRING_LEN];

	tel_text(text, s);
	rte_tel_data_add_dict_string(d, key, text);
}

void
tel_array_add_text(struct rte_tel_data *array, const char *s)
{
	char text[RTE_TEL_MAX_STRING_LEN];

	tel_text(text, s);
	rte_tel_data_add_array_string(array, text);
}

struct rte_tel_data *
tel_new_dict(void)
{
	struct rte_tel_data *t = rte_tel_data_alloc();

	if (t != NULL)
		rte_tel_data_start_dict(t);
	return t;
}

struct rte_tel_data *
tel_new_array(void)
{
	struct rte_tel_data *t = rte_tel_data_alloc();

	if (t != NULL)
		rte_tel_data_start_array(t, RTE_TEL_STRING_VAL);
	return t;
}

int
tel_add_part(struct rte_tel_data *d, const char *key, struct rte_tel_data *part)
{
	if (rte_tel_data_add_dict_container(d, key, part, 0) == 0)
		return 0;
	rte_tel_data_free(part);
	return -ENOSPC;
}

int
tel_add_named(struct rte_tel_data *d, const char *name, struct rte_tel_data *part)
{
	char key[RTE_TEL_MAX_STRING_LEN];

	tel_key(key, name);
	tel_add_text(part, "name", name);
	return tel_add_part(d, key, part);
}
