/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration space of a port whose frontend leaves it to its backend.
 *
 * They are the same frontends that hand over the control queue: the others, QEMU and
 * virtio-user, have a space of their own, of which a backend sees nothing.
 */
#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <linux/virtio_net.h>

#include "offload.h"
#include "port.h"
#include "port_config.h"
#include "weir_log.h"

/* What a driver is told of a link that has no speed: what net_weir tells an
 * application of it. */
#define SPEED_MBPS 10000u
#define FULL_DUPLEX 1u

/* Look again whether the frontend reads. */
#define AGAIN_US 10000u

#define PORT_OF(f, member) \
	((struct weir_port *)((char *)(f)-offsetof(struct weir_port, member)))

_Static_assert(PORT_CONFIG_LEN <= WEIR_VHOST_CONFIG_MAX, "it fits a message");

uint64_t
port_config_features(const struct weir_port *p)
{
	static const uint8_t none[sizeof(p->conf.guest_mac)];
	uint64_t f = OFFLOAD_BIT(STATUS) | OFFLOAD_BIT(SPEED_DUPLEX);

	if (!p->conf.ctrl_vq)
		return OFFLOAD_BIT(MTU);
	if (p->conf.guest_mtu != 0)
		f |= OFFLOAD_BIT(MTU);
	if (memcmp(p->conf.guest_mac, none, sizeof(none)) != 0)
		f |= OFFLOAD_BIT(MAC);
	return f;
}

static void
config_make(const struct weir_port *p, uint8_t out[PORT_CONFIG_LEN])
{
	struct virtio_net_config c = {
		.status = htole16((port_plugged(p) ? VIRTIO_NET_S_LINK_UP : 0) |
				  (p->announce_asked ? VIRTIO_NET_S_ANNOUNCE : 0)),
		.max_virtqueue_pairs = htole16(p->conf.nr_pairs),
		.mtu = htole16(p->conf.guest_mtu),
		.speed = htole32(SPEED_MBPS),
		.duplex = FULL_DUPLEX,
		.rss_max_key_size = p->conf.rss ? HASH_KEY_MAX : 0,
		.rss_max_indirection_table_length =
			htole16(p->conf.rss ? HASH_TABLE_MAX : 0),
		.supported_hash_types = htole32(p->conf.rss ? HASH_TYPES : 0),
	};

	memcpy(c.mac, p->guest_mac, sizeof(c.mac));
	memcpy(out, &c, PORT_CONFIG_LEN);
}

void
port_config_reset(struct weir_port *p)
{
	memcpy(p->guest_mac, p->conf.guest_mac, sizeof(p->guest_mac));
	p->announce_asked = false;
}

void
port_config_get(const struct weir_port *p, struct weir_vhost_wire_config *c)
{
	uint8_t all[PORT_CONFIG_LEN];

	config_make(p, all);
	memcpy(c->data, all + c->offset, c->len);
}

int
port_config_set(struct weir_port *p, const struct weir_vhost_wire_config *c)
{
	const size_t rest = offsetof(struct virtio_net_config, status);
	uint8_t now[PORT_CONFIG_LEN], want[PORT_CONFIG_LEN];

	config_make(p, now);
	memcpy(want, now, sizeof(want));
	memcpy(want + c->offset, c->data, c->len);
	/* drivers of old write their address here; nothing else is theirs to write */
	if (memcmp(now + rest, want + rest, sizeof(now) - rest) != 0)
		return -EINVAL;
	memcpy(p->guest_mac, want, sizeof(p->guest_mac));
	return 0;
}

/* A driver reads the status from here, and can be told that it has changed. */
static bool
has_status(const struct weir_port *p)
{
	return p->session != NULL &&
	       (weir_vhost_protocol_features(p->session) &
		WEIR_VHOST_BIT(WEIR_VHOST_PF_CONFIG)) != 0 &&
	       (weir_vhost_features(p->session) & OFFLOAD_BIT(STATUS)) != 0;
}

bool
port_config_announce(struct weir_port *p)
{
	if (!has_status(p) || !p->ctrl.running || p->backend.chan.fd < 0 ||
	    (weir_vhost_features(p->session) & OFFLOAD_BIT(GUEST_ANNOUNCE)) == 0)
		return false;
	p->announce_asked = true;
	port_config_changed(p);
	return true;
}

void
port_config_changed(struct weir_port *p)
{
	int ret;

	if (!has_status(p))
		return;
	ret = port_backend_send(p, WEIR_VHOST_BACKEND_CONFIG_CHANGE_MSG, NULL, 0, NULL,
				NULL);
	if (ret == -EAGAIN)
		ctl_timer_set(&p->config_again, AGAIN_US);
}

void
port_config_expired(struct ctl_timer *t)
{
	port_config_changed(PORT_OF(t, config_again));
}
