/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * EAL's VFIO container, with guest memory in it while a hardware engine is in use.
 *
 * It is EAL's, which closes a group when it closes the last device of it; with its last
 * group a container loses all that is mapped in it. The kernel says nothing of that. We
 * notice if a call is made meanwhile, and the container is lost; if none is, the next
 * group finds a container that looks as ours and has nothing of ours in it.
 */
#include <errno.h>
#include <inttypes.h>

#include "space_impl.h"
#include "vfio_impl.h"
#include "weir_log.h"

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

static void
entries_note(struct weir_space *s)
{
	atomic_store_explicit(&s->vfio_entries, s->vfio->book.entries.nr_nodes,
			      memory_order_relaxed);
}

/* What it said before it was lost. Then it has no limits: nothing is mapped in it. */
static int
container_caps(void *ctx, struct weir_iommu_caps *caps)
{
	struct weir_space *s = ctx;
	int ret = 0;

	if (!s->vfio->lost) {
		ret = weir_vfio_ops(s->vfio)->caps(s->vfio, caps);
		if (ret == 0)
			s->vfio_caps = *caps;
		return ret;
	}
	*caps = s->vfio_caps;
	caps->max_entries = UINT64_MAX;
	caps->max_locked = UINT64_MAX;
	return 0;
}

/*
 * A container that is lost takes whatever comes, and has it from when a device is back:
 * no guest, and no port with other engines, is refused for a device that is not there.
 */
static int
container_map(void *ctx, uint64_t iova, uint64_t hva, uint64_t len, uint32_t prot)
{
	struct weir_space *s = ctx;
	int ret = weir_vfio_ops(s->vfio)->map(s->vfio, iova, hva, len, prot);

	entries_note(s);
	return ret == -ENODEV && s->vfio->lost ? 0 : ret;
}

static int
container_unmap(void *ctx, uint64_t iova, uint64_t len, uint64_t *unmapped)
{
	struct weir_space *s = ctx;
	int ret = weir_vfio_ops(s->vfio)->unmap(s->vfio, iova, len, unmapped);

	entries_note(s);
	return ret;
}

static void
container_close(void *ctx)
{
	(void)ctx;
}

/* Of the guests' mirror; the context is the space. */
static const struct weir_iommu_ops container_ops = {
	.caps = container_caps,
	.map = container_map,
	.unmap = container_unmap,
	.close = container_close,
};

static int
container_adopt(struct weir_space *s, const char **why)
{
	int ret = space_container_adopt(weir_space_eal_container(), &s->vfio, why);

	if (ret != 0)
		return ret;
	*why = "guest memory cannot be mapped in EAL's VFIO container";
	atomic_store(&s->vfio_entries, 0);
	ret = weir_mirror_attach(s->mirror, &container_ops, s);
	if (ret != 0)
		goto err_destroy;
	s->vfio_name = s->vfio_caps.name;
	weir_log(WEIR_LOG_NOTICE,
		 "%s: guest memory is mapped in EAL's VFIO container (%s), of which "
		 "%" PRIu64 " entries are left",
		 SPACE_NAME, s->vfio_name, s->vfio_caps.max_entries);
	return 0;

err_destroy:
	weir_vfio_destroy(s->vfio);
	s->vfio = NULL;
	return ret;
}

void
space_container_leave(struct weir_space *s)
{
	weir_mirror_detach(s->mirror, s);
	weir_vfio_destroy(s->vfio);
	s->vfio = NULL;
	weir_log(WEIR_LOG_NOTICE, "%s: guest memory is in EAL's VFIO container no more",
		 SPACE_NAME);
}

/*
 * Map what it has lost, and leave what it has: another device may be using that. All of
 * the map is looked at, as guests may have come since, whose memory it has.
 */
static int
container_refill(struct weir_space *s, const char **why)
{
	uint64_t nr;
	int ret = weir_mirror_refill(s->mirror, s, &nr);

	*why = "guest memory cannot be mapped again in EAL's VFIO container";
	if (ret == 0 && nr != 0 && !s->vfio->lost)
		weir_log(WEIR_LOG_NOTICE,
			 "%s: EAL's VFIO container had lost %" PRIu64
			 " entries of guest memory, which are mapped again",
			 SPACE_NAME, nr);
	return ret;
}

int
space_container_join(struct weir_space *s, const char **why)
{
	int ret = 0;

	if (s->vfio != NULL && !s->vfio->lost)
		ret = container_refill(s, why);
	if (s->vfio != NULL && !s->vfio->lost)
		return ret;
	if (s->vfio != NULL)
		space_container_leave(s);
	return container_adopt(s, why);
}
