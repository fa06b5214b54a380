/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PORT_PORT_CONFIG_H
#define WEIR_PORT_PORT_CONFIG_H
/*
 * The configuration space, if it is ours, see port_config.c. Control thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "weir_vhost_msg.h"

struct ctl_timer;
struct weir_port;

/* What of struct virtio_net_config a driver can see. */
#define PORT_CONFIG_LEN 24u

/* The features of what is in it. */
uint64_t port_config_features(const struct weir_port *p);

/* A new session: as it was made. */
void port_config_reset(struct weir_port *p);

/* Answer GET_CONFIG; take SET_CONFIG, whose ranges the session has checked. 0;
 * -EINVAL: it writes what no driver may. */
void port_config_get(const struct weir_port *p, struct weir_vhost_wire_config *c);
int port_config_set(struct weir_port *p, const struct weir_vhost_wire_config *c);

/* Ask the driver to announce where it is. False: nobody would hear. */
bool port_config_announce(struct weir_port *p);

/* The port was started or stopped: tell the driver. */
void port_config_changed(struct weir_port *p);

/* The timer's function. */
void port_config_expired(struct ctl_timer *t);

#endif /* WEIR_PORT_PORT_CONFIG_H */
