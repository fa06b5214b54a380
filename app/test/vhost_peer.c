/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vhost_peer.h"
#include "weir_inflight.h"

void
vhost_snapshot(const struct weir_vhost_session *s, struct vhost_snapshot *out)
{
	const struct weir_vhost_region *region;

	memset(out, 0, sizeof(*out));
	out->features = weir_vhost_features(s);
	out->protocol_features = weir_vhost_protocol_features(s);
	out->mtu = weir_vhost_mtu(s);
	out->status = weir_vhost_status(s);
	out->backend_fd = weir_vhost_backend_fd(s);
	memcpy(&out->log, weir_vhost_log(s), sizeof(out->log));
	memcpy(&out->inflight, weir_vhost_inflight(s), sizeof(out->inflight));
	region = weir_vhost_mem(s, &out->nr_regions);
	for (uint32_t i = 0; i < out->nr_regions && i < 32; i++)
		memcpy(&out->region[i], &region[i], sizeof(region[i]));
	for (uint32_t i = 0; i < weir_vhost_nr_rings(s); i++)
		memcpy(&out->ring[i], weir_vhost_ring(s, i), sizeof(out->ring[i]));
}

static const char *
mem_invariant(const struct weir_vhost_session *s, const struct weir_vhost_config *offer)
{
	const struct weir_vhost_region *r;
	uint64_t gpa;
	uint32_t nr;

	r = weir_vhost_mem(s, &nr);
	if (nr > offer->nr_mem_slots)
		return "more regions than slots";
	for (uint32_t i = 0; i < nr; i++) {
		if (r[i].gpa.start > r[i].gpa.last || r[i].user.start > r[i].user.last)
			return "a region is no range";
		if (weir_range_len(r[i].gpa) != weir_range_len(r[i].user))
			return "a region has two lengths";
		if (i > 0 && r[i - 1].gpa.last >= r[i].gpa.start)
			return "regions are not sorted, or overlap";
		if (weir_vhost_user_to_gpa(s, r[i].user.last, 1, &gpa) != 0 ||
		    gpa != r[i].gpa.last)
			return "a user address leads elsewhere";
		for (uint32_t j = 0; j < i; j++)
			if (weir_range_overlaps(r[i].user, r[j].user))
				return "regions overlap in user addresses";
	}
	return NULL;
}

static const char *
inflight_invariant(const struct weir_vhost_session *s)
{
	const struct weir_vhost_inflight *a = weir_vhost_inflight(s);

	if (a->fd < 0)
		return NULL;
	if (a->nr_rings == 0 || a->nr_rings > weir_vhost_nr_rings(s))
		return "an in-flight area of rings that are not there";
	if (a->size == 0 || a->len != a->nr_rings * weir_inflight_len(a->size, a->packed))
		return "an in-flight area of another length";
	return NULL;
}

static const char *
ring_invariant(const struct weir_vhost_session *s, uint32_t i)
{
	const struct weir_vhost_ring *r = weir_vhost_ring(s, i);
	uint64_t gpa;

	if (r->num > WEIR_VHOST_RING_NUM_MAX)
		return "a ring is too long";
	if (!r->started && r->kick_fd >= 0)
		return "a stopped ring has a kick";
	if (weir_vhost_ring_ready(s, i) != (weir_vhost_ring_waits_for(s, i) == NULL))
		return "a ring is ready and waits";
	if (!weir_vhost_ring_ready(s, i))
		return NULL;
	if (r->num == 0 || !r->has_addr || !r->started || !r->enabled)
		return "a ready ring lacks something";
	if (weir_vhost_iotlb(s))
		return NULL;
	if (weir_vhost_user_to_gpa(s, r->desc, 16 * (uint64_t)r->num, &gpa) != 0 ||
	    weir_vhost_user_to_gpa(s, r->avail, 4, &gpa) != 0 ||
	    weir_vhost_user_to_gpa(s, r->used, 4, &gpa) != 0)
		return "a ready ring lies outside memory";
	return NULL;
}

const char *
vhost_invariant(const struct weir_vhost_session *s, const struct weir_vhost_config *offer)
{
	const char *why;

	if ((weir_vhost_features(s) & ~offer->features) != 0 ||
	    (weir_vhost_protocol_features(s) & ~offer->protocol_features) != 0)
		return "features that were not offered";
	if (weir_vhost_ring(s, weir_vhost_nr_rings(s)) != NULL)
		return "a ring too many";
	why = mem_invariant(s, offer);
	if (why == NULL)
		why = inflight_invariant(s);
	for (uint32_t i = 0; why == NULL && i < weir_vhost_nr_rings(s); i++)
		why = ring_invariant(s, i);
	return why;
}

unsigned int
vhost_held_fds(const struct weir_vhost_session *s)
{
	const struct weir_vhost_region *region;
	unsigned int held = 0;
	uint32_t nr;

	region = weir_vhost_mem(s, &nr);
	for (uint32_t i = 0; i < nr; i++)
		held += region[i].fd >= 0;
	for (uint32_t i = 0; i < weir_vhost_nr_rings(s); i++) {
		const struct weir_vhost_ring *r = weir_vhost_ring(s, i);

		held += (r->kick_fd >= 0) + (r->call_fd >= 0) + (r->err_fd >= 0);
	}
	held += weir_vhost_inflight(s)->fd >= 0;
	held += weir_vhost_log(s)->fd >= 0;
	held += weir_vhost_log(s)->event_fd >= 0;
	return held + (weir_vhost_backend_fd(s) >= 0);
}

unsigned int
open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int nr = 0;

	if (dir == NULL)
		abort();
	for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir))
		nr += e->d_name[0] != '.';
	closedir(dir);
	return nr - 1; /* not the one just used to look */
}

int
file_fd(uint64_t len)
{
	int fd = memfd_create("weir-test", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)len) != 0)
		abort();
	return fd;
}

void
msg_make(struct weir_vhost_msg *msg, uint32_t request, uint32_t flags,
	 const void *payload, size_t size)
{
	weir_vhost_msg_init(msg);
	msg->hdr.request = request;
	msg->hdr.flags = WEIR_VHOST_VERSION | flags;
	msg->hdr.size = (uint32_t)size;
	if (size != 0)
		memcpy(&msg->payload, payload, size);
}
