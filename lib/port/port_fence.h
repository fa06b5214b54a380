/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PORT_PORT_FENCE_H
#define WEIR_PORT_PORT_FENCE_H
/*
 * Another table of guest memory while rings run, see port_fence.c. Control thread.
 */
#include <stdint.h>

#include "weir_copy.h"
#include "weir_gmem.h"

struct port_ring;
struct weir_port;
struct weir_queue;

/* Have the next burst of each ring translate by @p g, a table or a view. */
void port_publish(struct weir_port *p, const struct weir_gmem *g);

/* Wait until each burst that was under way is over. 0; -EBUSY. */
int port_wait_out(struct weir_port *p, uint64_t timeout_us);

/*
 * Wait for the copies that touch slots of @p g which are not in @p keep.
 *
 * 0; -EBUSY: those that touch *stuck do not end within timeout_us in all.
 */
int port_wait_copies(struct weir_port *p, const struct weir_gmem *g,
		     const struct weir_gmem *keep, uint64_t timeout_us,
		     const struct weir_gmem_slot **stuck);

/* Give a ring, at rest, other channels, which it takes over; nr 0: none. */
void port_ring_set_chans(struct weir_port *p, struct port_ring *r,
			 struct weir_copy_chan *const *chans, unsigned int nr);

/* Wait for the copies that touch host memory. deadline: rte_get_timer_cycles().
 * 0; -EBUSY. */
int port_wait_range(struct weir_port *p, struct weir_range hva, uint64_t deadline);

/* Copies of a queue's channels that failed. Any thread. */
uint64_t port_ring_errors(const struct weir_queue *q);

#endif /* WEIR_PORT_PORT_FENCE_H */
