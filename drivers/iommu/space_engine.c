/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hardware engines: dmadevs that EAL drives through VFIO. They are in EAL's
 * container, where EAL has mapped its own memory; while there is an engine, the
 * container is the second backend of the guests' mirror (space_container.c).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_dmadev.h>

#include "space_impl.h"
#include "vfio_impl.h"
#include "vfio_name.h"
#include "weir_copy.h"
#include "weir_fail.h"
#include "weir_log.h"

/* "0000:00:04.0" and its NUL; domains may have more digits. */
#define SPACE_PCI_LEN 24

/* "0000:00:04.0": a dmadev's name begins with its device's, some go on ("-q1"). */
static void
pci_address(const char *dma_name, char out[SPACE_PCI_LEN])
{
	size_t len = strspn(dma_name, "0123456789abcdefABCDEF:.");

	if (len >= SPACE_PCI_LEN)
		len = 0;
	memcpy(out, dma_name, len);
	out[len] = '\0';
}

/* A device comes, or is back. Engines' lock held, as in all below. */
static int
engine_join(struct weir_space *s, const char *dma_name)
{
	const char *why;
	int ret = space_container_join(s, &why);

	if (ret != 0)
		weir_log(WEIR_LOG_ERR, "%s: %s: %s", SPACE_NAME, dma_name, why);
	return ret;
}

static bool
engine_known(const struct weir_space *s, const char *dma_name)
{
	const struct weir_space_engine *e = s->engines;

	while (e != NULL && strcmp(e->name, dma_name) != 0)
		e = e->next;
	return e != NULL;
}

int
space_engine_rejoin(void *space, const char *dma_name)
{
	int id = rte_dma_get_dev_id_by_name(dma_name), ret = -ENODEV;
	struct weir_space *s = space;
	bool known = false;

	pthread_mutex_lock(&s->engines_lock);
	for (struct weir_space_engine *e = s->engines; e != NULL; e = e->next)
		if (strcmp(e->name, dma_name) == 0) {
			e->dev_id = (int16_t)id;
			known = true;
		}
	if (known)
		ret = engine_join(s, dma_name);
	pthread_mutex_unlock(&s->engines_lock);
	return ret;
}

static int
engine_add(struct weir_space *s, int16_t dev_id, const char *dma_name,
	   struct weir_space_engine **out)
{
	struct weir_space_engine *e = weir_zalloc(sizeof(*e));
	int ret = 0;

	if (e == NULL)
		return -ENOMEM;
	pthread_mutex_lock(&s->engines_lock);
	/* one that is known and was away is seen to when it is used again */
	if (s->vfio == NULL || s->vfio->lost || !engine_known(s, dma_name))
		ret = engine_join(s, dma_name);
	if (ret == 0) {
		e->space = s;
		e->dev_id = dev_id;
		snprintf(e->name, sizeof(e->name), "%s", dma_name);
		e->next = s->engines;
		s->engines = e;
	}
	pthread_mutex_unlock(&s->engines_lock);
	if (ret != 0) {
		free(e);
		return ret;
	}
	/* its lock is the outer one */
	weir_copy_set_reach(dev_id, true);
	*out = e;
	return 0;
}

int
weir_space_engine_get(struct weir_space *s, const char *dma_name,
		      struct weir_space_engine **out)
{
	int id = rte_dma_get_dev_id_by_name(dma_name);
	char address[SPACE_PCI_LEN];

	*out = NULL;
	if (id < 0)
		return -ENODEV;
	pci_address(dma_name, address);
	if (address[0] == '\0' || !vfio_name_bound(address))
		return 0;
	return engine_add(s, (int16_t)id, dma_name, out);
}

void
weir_space_engine_put(struct weir_space_engine *e)
{
	struct weir_space_engine **p;
	struct weir_space *s;
	bool last;

	if (e == NULL)
		return;
	s = e->space;
	pthread_mutex_lock(&s->engines_lock);
	for (p = &s->engines; *p != e; p = &(*p)->next)
		;
	*p = e->next;
	last = !engine_known(s, e->name);
	if (s->engines == NULL && s->vfio != NULL)
		space_container_leave(s);
	pthread_mutex_unlock(&s->engines_lock);
	/* its id may be another's by now */
	if (last && (!rte_dma_is_valid(e->dev_id) ||
		     rte_dma_get_dev_id_by_name(e->name) == e->dev_id))
		weir_copy_set_reach(e->dev_id, false);
	free(e);
}
