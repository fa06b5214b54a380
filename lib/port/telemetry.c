/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * /weir/ports        every port in short
 * /weir/ports,,PORT  the same, without the first PORT of them
 * /weir/ports,NAME   one, with each queue that was set up
 * /weir/ports,NAME,PAIR   the same, from that pair on
 *
 * An answer has room for some ports or pairs only; `next` is the first that it lacks.
 *
 * A request is answered on telemetry's thread; it has the control thread fill
 * in the answer, since all that is asked for belongs to that one.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <rte_telemetry.h>

#include "port.h"
#include "tel.h"
#include "weir_args.h"

/* Rings in an answer, of which each takes some 250 of its 16384 characters. */
#define NR_RINGS 32u

/* Ports in an answer, of which each takes up to 900. */
#define NR_PORTS 16u

struct request {
	char name[64];	/* empty: all ports */
	uint32_t first; /* pair, or port */
	struct rte_tel_data *d;
	int ret;
};

static const char *const state_name[] = {
	[PORT_IDLE] = "idle",
	[PORT_WAITING] = "waiting",
	[PORT_CONNECTED] = "connected",
	[PORT_CLOSING] = "closing",
};

static void
add_memory(struct rte_tel_data *d, const struct weir_gmem *g)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < g->nr_slots; i++)
		bytes += weir_range_len(g->slot[i].gpa);
	tel_add_u64(d, "memory_slots", g->nr_slots);
	tel_add_u64(d, "memory_bytes", bytes);
}

static void
add_iotlb(struct rte_tel_data *d, const struct port_iotlb *t)
{
	tel_add_u64(d, "iotlb_entries",
		    t->cache != NULL ? weir_iotlb_count(t->cache) : 0);
	tel_add_u64(d, "iotlb_misses", t->misses);
	tel_add_u64(d, "iotlb_updates", t->updates);
	tel_add_u64(d, "iotlb_invalidations", t->invalidations);
}

static void
add_port(struct rte_tel_data *d, const struct weir_port *p)
{
	char features[2 + 16 + 1];

	snprintf(features, sizeof(features), "0x%" PRIx64,
		 p->session != NULL ? weir_vhost_features(p->session) : 0);
	tel_add_text(d, "iface", p->path);
	rte_tel_data_add_dict_string(d, "mode", p->conf.client ? "client" : "server");
	rte_tel_data_add_dict_string(d, "state", state_name[p->state]);
	rte_tel_data_add_dict_string(d, "link", p->link ? "up" : "down");
	rte_tel_data_add_dict_string(d, "features", features);
	tel_add_u64(d, "queue_pairs", p->conf.nr_pairs);
	tel_add_u64(d, "connections", p->connections);
	tel_add_u64(d, "peers_disconnected", p->resets);
	tel_add_text(d, "last_error", p->last_error);
	add_memory(d, p->gmem);
	if (p->conf.iommu)
		add_iotlb(d, &p->iotlb);
	if (!p->conf.ctrl_vq)
		return;
	rte_tel_data_add_dict_string(d, "control_queue",
				     p->ctrl.running ? "running" : "stopped");
	tel_add_u64(d, "control_commands", p->ctrl.q.commands);
	tel_add_u64(d, "control_refused", p->ctrl.q.refused);
	tel_add_u64(d, "control_pairs", p->ctrl.q.nr_pairs);
}

static void
add_queue(struct rte_tel_data *d, const struct port_ring *r)
{
	struct weir_queue_stats st;

	weir_queue_stats_get(&r->q, &st);
	rte_tel_data_add_dict_string(d, "ring", r->running ? "running" : "stopped");
	rte_tel_data_add_dict_string(d, "copies_by", r->q.chan != NULL ? "dma" : "cpu");
	tel_add_u64(d, "packets", st.packets);
	tel_add_u64(d, "bytes", st.bytes);
	tel_add_u64(d, "cpu_copies", st.cpu_copies);
	tel_add_u64(d, "dma_copies", st.dma_copies);
	tel_add_u64(d, "dma_full", st.dma_full);
	tel_add_u64(d, "dma_threshold", st.dma_threshold);
	tel_add_u64(d, "dma_errors", st.dma_errors);
	tel_add_u64(d, "in_flight", st.in_flight);
	tel_add_u64(d, "dropped", st.dropped);
	tel_add_u64(d, "no_mbuf", st.no_mbuf);
	tel_add_u64(d, "calls", st.calls);
	tel_add_u64(d, "rewound", st.rewound);
}

static int
add_queues(struct rte_tel_data *d, const struct weir_port *p, uint32_t first)
{
	const uint32_t end = RTE_MIN(p->nr_rings, first + NR_RINGS);
	char name[16];
	int ret = 0;

	if (end < p->nr_rings)
		tel_add_u64(d, "next", end / 2);
	for (uint32_t i = first; i < end && ret == 0; i++) {
		struct rte_tel_data *q;

		if (!p->ring[i].set_up)
			continue;
		q = tel_new_dict();
		if (q == NULL)
			return -ENOMEM;
		add_queue(q, &p->ring[i]);
		snprintf(name, sizeof(name), "%s%u", i % 2 == 0 ? "txq" : "rxq", i / 2);
		ret = tel_add_part(d, name, q);
	}
	return ret;
}

/* One port, with its queues. */
static void
do_port(void *arg)
{
	struct request *r = arg;
	const struct weir_port *p = port_first();

	while (p != NULL && strcmp(r->name, p->name) != 0)
		p = p->next;
	if (p == NULL) {
		r->ret = -ENOENT;
		return;
	}
	rte_tel_data_start_dict(r->d);
	tel_add_text(r->d, "name", p->name);
	add_port(r->d, p);
	r->ret = add_queues(r->d, p, 2 * r->first);
}

static void
do_ports(void *arg)
{
	struct request *r = arg;
	const struct weir_port *p = port_first();
	uint32_t at = 0;

	rte_tel_data_start_dict(r->d);
	for (; p != NULL && at < r->first; at++)
		p = p->next;
	for (; p != NULL && at < r->first + NR_PORTS && r->ret == 0; at++, p = p->next) {
		struct rte_tel_data *one = tel_new_dict();

		if (one == NULL) {
			r->ret = -ENOMEM;
			return;
		}
		add_port(one, p);
		r->ret = tel_add_named(r->d, p->name, one);
	}
	if (p != NULL)
		tel_add_u64(r->d, "next", at);
}

/* "NAME", "NAME,PAIR" or ",PORT". 0; -EINVAL. */
static int
request_parse(struct request *r, const char *params)
{
	const char *comma;
	uint64_t first = 0;
	size_t len;

	if (params == NULL)
		return 0;
	comma = strchr(params, ',');
	len = comma != NULL ? (size_t)(comma - params) : strlen(params);
	if (len >= sizeof(r->name))
		return -EINVAL;
	memcpy(r->name, params, len);
	if (comma != NULL &&
	    weir_arg_number(comma + 1, 0, len != 0 ? WEIR_PORT_MAX_PAIRS - 1 : UINT16_MAX,
			    &first) != 0)
		return -EINVAL;
	r->first = (uint32_t)first;
	return 0;
}

static int
ports_cmd(const char *cmd, const char *params, struct rte_tel_data *d)
{
	struct request r = { .d = d };
	int ret = request_parse(&r, params);

	RTE_SET_USED(cmd);
	if (ret != 0)
		return ret;
	/* the thread must not end while it is asked */
	ret = ctl_get();
	if (ret != 0)
		return ret;
	ctl_run(r.name[0] != '\0' ? do_port : do_ports, &r);
	ctl_put();
	return r.ret;
}

RTE_INIT(port_tel_init)
{
	rte_telemetry_register_cmd("/weir/ports", ports_cmd,
				   "All weir ports; with a port's name also its queues, "
				   "with a pair's number from there on; ,N: ports from "
				   "the N-th on.");
}
