/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PORT_CTRLQ_H
#define WEIR_PORT_CTRLQ_H
/*
 * The commands of virtio-net's control queue (VIRTIO 1.3, 5.1.6.5): bytes in, a
 * driver's wishes out. No ring, no port: see port_ctrl.c.
 *
 * A command is checked whole before it changes anything: its class and number,
 * the feature it belongs to, its length to the byte, and each value. One that
 * does not pass is answered with VIRTIO_NET_ERR and has changed nothing.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hash.h"
#include "weir_port.h"

/* A command's length at most: two tables of 256 addresses. */
#define CTRLQ_CMD_MAX 4096u

/* How long a call may wait. */
struct ctrlq_coal {
	uint32_t packets, usecs;
};

/* What a driver has asked for. */
struct ctrlq {
	struct weir_guest_filter filter;
	uint64_t offloads;     /* VIRTIO_NET_F_GUEST_* bits that it wants used */
	uint16_t nr_pairs;     /* that it uses */
	struct hash_conf hash; /* RSS, hash reports */
	struct ctrlq_coal coal[2 * WEIR_PORT_MAX_PAIRS]; /* by number of the ring */
	uint64_t commands, refused;
	uint8_t result[8]; /* of the last command, for behind its answer */
	uint8_t result_len;
};

/* What a command has changed, as bits. */
enum ctrlq_change {
	CTRLQ_FILTER = 1,
	CTRLQ_OFFLOADS = 2,
	CTRLQ_PAIRS = 4,
	CTRLQ_HASH = 8,
	CTRLQ_COAL = 16,
	CTRLQ_ANNOUNCED = 32, /* the driver has, as it was asked to */
};

/* As after a reset: every frame is wanted on one pair, as negotiated. */
void ctrlq_reset(struct ctrlq *c, uint64_t features);

/*
 * Carry out a command.
 *
 * changed: bits of enum ctrlq_change, 0 if the command is refused.
 *
 * VIRTIO_NET_OK or VIRTIO_NET_ERR.
 */
uint8_t ctrlq_command(struct ctrlq *c, uint64_t features, uint16_t max_pairs,
		      const uint8_t *cmd, size_t len, unsigned int *changed);

#endif /* WEIR_PORT_CTRLQ_H */
