/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PORT_PORT_LOG_H
#define WEIR_PORT_PORT_LOG_H
/*
 * The dirty log, see port_log.c. Control thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "queue_log.h"
#include "weir_vring.h"

struct weir_port;

/* Put the session's log in force. Rings are stopped on success. 0; -errno: the old
 * one is. */
int port_log_set(struct weir_port *p);

/* Forget it. Rings are stopped. */
void port_log_clear(struct weir_port *p);

/* What ring i, found as vr, is to log. False: nothing. */
bool port_log_conf(const struct weir_port *p, uint32_t i, const struct weir_vring *vr,
		   struct queue_log_conf *out);

/* Ring i is about to run: it logs what the session says. 0; -ENOMEM. */
int port_log_begin(struct weir_port *p, uint32_t i);

#endif /* WEIR_PORT_PORT_LOG_H */
