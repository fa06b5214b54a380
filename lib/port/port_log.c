/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dirty log, from the frontend's file to each ring's queue. Rings begin to log,
 * and leave off, by starting anew: no lcore sees it come or go.
 */
#include <unistd.h>

#include <linux/vhost_types.h>

#include "port.h"
#include "port_log.h"

int
port_log_set(struct weir_port *p)
{
	const struct weir_vhost_log *want = weir_vhost_log(p->session);
	struct weir_gmem_file new = { 0 };
	int ret, event_fd = -1;

	ret = port_rings_stop(p, port_drain_us());
	if (ret == 0)
		ret = port_fd_take(want->event_fd, &event_fd);
	if (ret == 0 && want->fd >= 0)
		ret = weir_gmem_file_map(&new, want->fd, want->mmap_offset, want->len);
	if (ret != 0) {
		if (event_fd >= 0)
			close(event_fd);
		return ret;
	}
	weir_gmem_file_watch(&new, p->fault.fd);
	port_log_clear(p);
	p->log = new;
	p->log_event_fd = event_fd;
	return 0;
}

void
port_log_clear(struct weir_port *p)
{
	weir_gmem_file_unmap(&p->log);
	if (p->log_event_fd >= 0)
		close(p->log_event_fd);
	p->log_event_fd = -1;
}

bool
port_log_conf(const struct weir_port *p, uint32_t i, const struct weir_vring *vr,
	      struct queue_log_conf *out)
{
	const struct weir_vhost_ring *want = weir_vhost_ring(p->session, i);
	const uint64_t features = weir_vhost_features(p->session);

	*out = (struct queue_log_conf){
		.bits = p->log.addr,
		.len = p->log.len,
		.data = (features & WEIR_VHOST_BIT(VHOST_F_LOG_ALL)) != 0,
		.used = want->log_used,
		.used_gpa = want->log_gpa,
		.event_fd = p->log_event_fd,
	};
	/* where the frontend says is an iova, or nothing */
	if (vr->gmem->memory != NULL)
		out->used_gpa = log_gpa(vr->gmem, vr->used, &(uint32_t){ 0 });
	return p->log.addr != NULL && (out->data || out->used);
}

int
port_log_begin(struct weir_port *p, uint32_t i)
{
	struct queue_log_conf conf;

	return port_log_conf(p, i, &p->ring[i].q.vr, &conf)
		       ? queue_log_start(&p->ring[i].q, &conf)
		       : 0;
}
