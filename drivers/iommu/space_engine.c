/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hardware engines: dmadevs that EAL drives through VFIO. They are in EAL's
 * container, where EAL has mapped its own memory; while there is an engine, the
 * container is the second backend of the guests' mirror.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_dmadev.h>
#include <rte_vfio.h>

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

int
space_container_adopt(int fd, struct weir_vfio **out, const char **why)
{
	int ret;

	*why = "EAL has no VFIO container";
	if (fd < 0)
		return -EXDEV;
	ret = weir_vfio_adopt(fd, out);
	/* a container of the application's, of which EAL does not tell */
	*why = "it is not in EAL's VFIO container";
	if (ret == -EINVAL)
		return -EXDEV;
	*why = "EAL's VFIO container cannot be used";
	if (ret != 0)
		return ret;
	if (weir_vfio_iommu(*out) != WEIR_VFIO_NOIOMMU)
		return 0;
	*why = "there is no IOMMU, and nothing keeps guest memory at its physical "
	       "address";
	weir_vfio_destroy(*out);
	return -EXDEV;
}

/* Engines' lock held, as in all below. */
static int
container_join(struct weir_space *s, const char **why)
{
	struct weir_iommu_caps caps;
	int ret = space_container_adopt(rte_vfio_get_container_fd(), &s->vfio, why);

	if (ret != 0)
		return ret;
	*why = "guest memory cannot be mapped in EAL's VFIO container";
	ret = weir_vfio_ops(s->vfio)->caps(s->vfio, &caps);
	if (ret != 0)
		goto err_destroy;
	s->vfio_name = caps.name;
	s->vfio_side = (struct space_side){ weir_vfio_ops(s->vfio), s->vfio, NULL, 0 };
	ret = weir_mirror_attach(s->mirror, &space_side_ops, &s->vfio_side);
	if (ret != 0)
		goto err_destroy;
	weir_log(WEIR_LOG_NOTICE,
		 "%s: guest memory is mapped in EAL's VFIO container (%s), of which "
		 "%" PRIu64 " entries are left",
		 SPACE_NAME, caps.name, caps.max_entries);
	return 0;

err_destroy:
	weir_vfio_destroy(s->vfio);
	s->vfio = NULL;
	return ret;
}

static void
container_leave(struct weir_space *s)
{
	weir_mirror_detach(s->mirror, &s->vfio_side);
	weir_vfio_destroy(s->vfio);
	s->vfio = NULL;
	weir_log(WEIR_LOG_NOTICE, "%s: guest memory is in EAL's VFIO container no more",
		 SPACE_NAME);
}

/* The first engine brings the container, and the next one after it was lost. */
static int
engine_join(struct weir_space *s, const char *dma_name)
{
	const char *why;
	int ret;

	if (s->vfio != NULL && !s->vfio->lost)
		return 0;
	if (s->vfio != NULL)
		container_leave(s);
	ret = container_join(s, &why);
	if (ret != 0)
		weir_log(WEIR_LOG_ERR, "%s: %s: %s", SPACE_NAME, dma_name, why);
	return ret;
}

static bool
engine_known(const struct weir_space *s, int16_t dev_id)
{
	const struct weir_space_engine *e = s->engines;

	while (e != NULL && e->dev_id != dev_id)
		e = e->next;
	return e != NULL;
}

/*
 * Has EAL's container lost its last device since, and got one again? Then the kernel
 * has forgotten what we had mapped, without a call of ours to tell. A piece that is
 * mapped still cannot be mapped once more.
 */
static bool
container_forgot(struct weir_space *s)
{
	const struct weir_iommu_ops *ops = weir_vfio_ops(s->vfio);
	struct weir_region r;
	uint64_t len, gone;

	if (s->vfio->lost || weir_mirror_lookup(s->mirror, 0, &r) != 0)
		return false;
	len = weir_range_len(r.iova);
	if (r.chunk != 0 && r.chunk < len)
		len = r.chunk;
	if (ops->map(s->vfio, r.iova.start, r.hva, len, r.prot) != 0)
		return false;
	ops->unmap(s->vfio, r.iova.start, len, &gone);
	return true;
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
	if (known) {
		if (s->vfio != NULL && container_forgot(s))
			vfio_forgotten(s->vfio);
		ret = engine_join(s, dma_name);
	}
	pthread_mutex_unlock(&s->engines_lock);
	return ret;
}

static int
engine_add(struct weir_space *s, int16_t dev_id, const char *dma_name,
	   struct weir_space_engine **out)
{
	struct weir_space_engine *e = weir_zalloc(sizeof(*e));
	int ret;

	if (e == NULL)
		return -ENOMEM;
	pthread_mutex_lock(&s->engines_lock);
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
	last = !engine_known(s, e->dev_id);
	if (s->engines == NULL && s->vfio != NULL)
		container_leave(s);
	pthread_mutex_unlock(&s->engines_lock);
	if (last)
		weir_copy_set_reach(e->dev_id, false);
	free(e);
}
