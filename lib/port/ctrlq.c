/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include <linux/virtio_net.h>

#include "ctrlq.h"
#include "offload.h"

#define MAC_LEN 6u
#define VLAN_MAX 4095u

/* Offloads that the guest can switch while it runs. */
#define OFFLOADS_DYNAMIC OFFLOAD_GUEST

/* A command on its way: what is left of it to read. */
struct reader {
	const uint8_t *at;
	size_t left;
};

/* The next @p n bytes; NULL: it has not so many. */
static const uint8_t *
take(struct reader *r, size_t n)
{
	const uint8_t *p = r->at;

	if (n > r->left)
		return NULL;
	r->at += n;
	r->left -= n;
	return p;
}

/* A little-endian number of up to 8 bytes. False: it is not there. */
static bool
take_le(struct reader *r, size_t n, uint64_t *out)
{
	const uint8_t *p = take(r, n);

	*out = 0;
	for (size_t i = n; p != NULL && i != 0; i--)
		*out = *out << 8 | p[i - 1];
	return p != NULL;
}

/* As take_le(), and it is the last there is. */
static bool
take_only_le(struct reader *r, size_t n, uint64_t *out)
{
	return take_le(r, n, out) && r->left == 0;
}

void
ctrlq_reset(struct ctrlq *c, uint64_t features)
{
	const bool rx = (features & OFFLOAD_BIT(CTRL_RX)) != 0;

	*c = (struct ctrlq){
		/* until the driver says otherwise (5.1.6.5.1) */
		.filter.promiscuous = true,
		/* a driver that cannot choose gets all VLANs */
		.filter.all_vlans = !rx || (features & OFFLOAD_BIT(CTRL_VLAN)) == 0,
		.offloads = features & OFFLOADS_DYNAMIC,
		.nr_pairs = 1,
	};
}

static bool
do_rx(struct ctrlq *c, uint64_t features, uint8_t cmd, struct reader *r)
{
	bool *const mode[] = {
		[VIRTIO_NET_CTRL_RX_PROMISC] = &c->filter.promiscuous,
		[VIRTIO_NET_CTRL_RX_ALLMULTI] = &c->filter.all_multicast,
		[VIRTIO_NET_CTRL_RX_ALLUNI] = &c->filter.all_unicast,
		[VIRTIO_NET_CTRL_RX_NOMULTI] = &c->filter.no_multicast,
		[VIRTIO_NET_CTRL_RX_NOUNI] = &c->filter.no_unicast,
		[VIRTIO_NET_CTRL_RX_NOBCAST] = &c->filter.no_broadcast,
	};
	const uint64_t needs = cmd <= VIRTIO_NET_CTRL_RX_ALLMULTI
				       ? OFFLOAD_BIT(CTRL_RX)
				       : OFFLOAD_BIT(CTRL_RX_EXTRA);
	uint64_t on;

	if (cmd >= RTE_DIM(mode) || (features & needs) == 0 || !take_only_le(r, 1, &on) ||
	    on > 1)
		return false;
	*mode[cmd] = on != 0;
	return true;
}

/* A table of addresses; one that is too long is kept as "all of them". */
static bool
take_macs(struct reader *r, struct weir_guest_macs *t)
{
	const uint8_t *macs;
	uint64_t nr;

	if (!take_le(r, 4, &nr) || nr > r->left / MAC_LEN)
		return false;
	macs = take(r, nr * MAC_LEN);
	t->overflow = nr > RTE_DIM(t->mac);
	t->nr = t->overflow ? 0 : (uint16_t)nr;
	memcpy(t->mac, macs, t->nr * MAC_LEN);
	return true;
}

static bool
do_mac(struct ctrlq *c, uint64_t features, uint8_t cmd, struct reader *r)
{
	struct weir_guest_macs unicast, multicast;
	const uint8_t *mac;

	if (cmd == VIRTIO_NET_CTRL_MAC_TABLE_SET &&
	    (features & OFFLOAD_BIT(CTRL_RX)) != 0) {
		if (!take_macs(r, &unicast) || !take_macs(r, &multicast) || r->left != 0)
			return false;
		c->filter.unicast = unicast;
		c->filter.multicast = multicast;
		return true;
	}
	if (cmd != VIRTIO_NET_CTRL_MAC_ADDR_SET ||
	    (features & OFFLOAD_BIT(CTRL_MAC_ADDR)) == 0)
		return false;
	mac = take(r, MAC_LEN);
	/* a group's address is nobody's own */
	if (mac == NULL || r->left != 0 || (mac[0] & 1) != 0)
		return false;
	memcpy(c->filter.mac, mac, MAC_LEN);
	c->filter.has_mac = true;
	return true;
}

static bool
do_vlan(struct ctrlq *c, uint64_t features, uint8_t cmd, struct reader *r)
{
	uint64_t id;

	if ((features & OFFLOAD_BIT(CTRL_VLAN)) == 0 || cmd > VIRTIO_NET_CTRL_VLAN_DEL ||
	    !take_only_le(r, 2, &id) || id > VLAN_MAX)
		return false;
	if (cmd == VIRTIO_NET_CTRL_VLAN_ADD)
		c->filter.vlan[id / 64] |= UINT64_C(1) << id % 64;
	else
		c->filter.vlan[id / 64] &= ~(UINT64_C(1) << id % 64);
	return true;
}

static bool
do_pairs(struct ctrlq *c, uint64_t features, uint16_t max_pairs, struct reader *r)
{
	uint64_t nr;

	if ((features & OFFLOAD_BIT(MQ)) == 0 || !take_only_le(r, 2, &nr) || nr == 0 ||
	    nr > max_pairs)
		return false;
	c->nr_pairs = (uint16_t)nr;
	/* the later command of the two is in force */
	c->hash.table_len = 0;
	return true;
}

/* A length and a key, which end the command. */
static bool
take_key(struct reader *r, uint8_t *key)
{
	const uint8_t *p;
	uint64_t len;

	if (!take_le(r, 1, &len) || len > HASH_KEY_MAX || len != r->left)
		return false;
	p = take(r, len);
	memset(key, 0, HASH_KEY_MAX);
	memcpy(key, p, len);
	return true;
}

/* Where frames go by their hash; and how many pairs that is. */
static bool
take_table(struct reader *r, struct hash_conf *h, uint16_t max_pairs, uint16_t *nr_pairs)
{
	uint64_t mask, pair;

	if (!take_le(r, 2, &mask) || mask >= HASH_TABLE_MAX || (mask & (mask + 1)) != 0 ||
	    !take_le(r, 2, &pair) || pair >= max_pairs)
		return false;
	h->table_len = (uint16_t)(mask + 1);
	h->unclassified = (uint16_t)pair;
	*nr_pairs = (uint16_t)(pair + 1);
	for (uint16_t i = 0; i < h->table_len; i++) {
		if (!take_le(r, 2, &pair) || pair >= max_pairs)
			return false;
		h->table[i] = (uint16_t)pair;
		if (pair >= *nr_pairs)
			*nr_pairs = (uint16_t)(pair + 1);
	}
	return true;
}

static bool
do_rss(struct ctrlq *c, uint64_t features, uint16_t max_pairs, struct reader *r)
{
	struct hash_conf h = { 0 };
	uint64_t types, nr_tx;
	uint16_t nr_rx;

	if ((features & OFFLOAD_BIT(RSS)) == 0 || !take_le(r, 4, &types) ||
	    (types & ~(uint64_t)HASH_TYPES) != 0 ||
	    !take_table(r, &h, max_pairs, &nr_rx) || !take_le(r, 2, &nr_tx) ||
	    nr_tx == 0 || nr_tx > max_pairs || !take_key(r, h.key))
		return false;
	h.types = (uint32_t)types;
	c->hash = h;
	c->nr_pairs = RTE_MAX(nr_rx, (uint16_t)nr_tx);
	return true;
}

static bool
do_hash(struct ctrlq *c, uint64_t features, struct reader *r)
{
	struct hash_conf h = c->hash;
	uint64_t types;

	/* 8 bytes are reserved, whatever is in them */
	if ((features & OFFLOAD_BIT(HASH_REPORT)) == 0 || !take_le(r, 4, &types) ||
	    (types & ~(uint64_t)HASH_TYPES) != 0 || take(r, 8) == NULL ||
	    !take_key(r, h.key))
		return false;
	h.types = (uint32_t)types;
	c->hash = h;
	return true;
}

static bool
do_queues(struct ctrlq *c, uint64_t features, uint16_t max_pairs, uint8_t cmd,
	  struct reader *r, unsigned int *changed)
{
	switch (cmd) {
	case VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET:
		*changed = CTRLQ_PAIRS | (c->hash.table_len != 0 ? CTRLQ_HASH : 0);
		return do_pairs(c, features, max_pairs, r);
	case VIRTIO_NET_CTRL_MQ_RSS_CONFIG:
		*changed = CTRLQ_PAIRS | CTRLQ_HASH;
		return do_rss(c, features, max_pairs, r);
	case VIRTIO_NET_CTRL_MQ_HASH_CONFIG:
		*changed = CTRLQ_HASH;
		return do_hash(c, features, r);
	default:
		return false;
	}
}

static bool
do_offloads(struct ctrlq *c, uint64_t features, uint8_t cmd, struct reader *r)
{
	uint64_t want;

	if ((features & OFFLOAD_BIT(CTRL_GUEST_OFFLOADS)) == 0 ||
	    cmd != VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET || !take_only_le(r, 8, &want))
		return false;
	/* only what was negotiated can be switched on again */
	if ((want & ~(features & OFFLOADS_DYNAMIC)) != 0)
		return false;
	c->offloads = want;
	return true;
}

static bool
do_announce(uint64_t features, uint8_t cmd, const struct reader *r)
{
	return (features & OFFLOAD_BIT(GUEST_ANNOUNCE)) != 0 &&
	       cmd == VIRTIO_NET_CTRL_ANNOUNCE_ACK && r->left == 0;
}

static bool
take_coal(struct reader *r, struct ctrlq_coal *out)
{
	uint64_t packets, usecs;

	if (!take_le(r, 4, &packets) || !take_only_le(r, 4, &usecs))
		return false;
	*out = (struct ctrlq_coal){ (uint32_t)packets, (uint32_t)usecs };
	return true;
}

/* Of all rings that the driver sends on, or receives on. */
static bool
do_coal_all(struct ctrlq *c, uint64_t features, unsigned int first, struct reader *r)
{
	struct ctrlq_coal coal;

	if ((features & OFFLOAD_BIT(NOTF_COAL)) == 0 || !take_coal(r, &coal))
		return false;
	for (unsigned int i = first; i < RTE_DIM(c->coal); i += 2)
		c->coal[i] = coal;
	return true;
}

/* Number of a ring, and 2 bytes that are reserved. */
static bool
take_ring(struct reader *r, uint64_t features, uint16_t max_pairs, uint64_t *i)
{
	return (features & OFFLOAD_BIT(VQ_NOTF_COAL)) != 0 && take_le(r, 2, i) &&
	       *i < 2u * max_pairs && take(r, 2) != NULL;
}

static void
put_le32(uint8_t *at, uint32_t v)
{
	for (unsigned int i = 0; i < 4; i++)
		at[i] = (uint8_t)(v >> 8 * i);
}

static bool
do_coal(struct ctrlq *c, uint64_t features, uint16_t max_pairs, uint8_t cmd,
	struct reader *r, unsigned int *changed)
{
	struct ctrlq_coal coal;
	uint64_t i;

	*changed = CTRLQ_COAL;
	switch (cmd) {
	case VIRTIO_NET_CTRL_NOTF_COAL_TX_SET:
		return do_coal_all(c, features, 1, r);
	case VIRTIO_NET_CTRL_NOTF_COAL_RX_SET:
		return do_coal_all(c, features, 0, r);
	case VIRTIO_NET_CTRL_NOTF_COAL_VQ_SET:
		if (!take_ring(r, features, max_pairs, &i) || !take_coal(r, &coal))
			return false;
		c->coal[i] = coal;
		return true;
	case VIRTIO_NET_CTRL_NOTF_COAL_VQ_GET:
		*changed = 0;
		if (!take_ring(r, features, max_pairs, &i) || r->left != 0)
			return false;
		put_le32(c->result, c->coal[i].packets);
		put_le32(c->result + 4, c->coal[i].usecs);
		c->result_len = 8;
		return true;
	default:
		return false;
	}
}

static bool
dispatch(struct ctrlq *c, uint64_t features, uint16_t max_pairs, struct reader *r,
	 unsigned int *changed)
{
	const uint8_t *head = take(r, 2);

	if (head == NULL)
		return false;
	switch (head[0]) {
	case VIRTIO_NET_CTRL_RX:
		*changed = CTRLQ_FILTER;
		return do_rx(c, features, head[1], r);
	case VIRTIO_NET_CTRL_MAC:
		*changed = CTRLQ_FILTER;
		return do_mac(c, features, head[1], r);
	case VIRTIO_NET_CTRL_VLAN:
		*changed = CTRLQ_FILTER;
		return do_vlan(c, features, head[1], r);
	case VIRTIO_NET_CTRL_ANNOUNCE:
		*changed = CTRLQ_ANNOUNCED;
		return do_announce(features, head[1], r);
	case VIRTIO_NET_CTRL_MQ:
		return do_queues(c, features, max_pairs, head[1], r, changed);
	case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
		*changed = CTRLQ_OFFLOADS;
		return do_offloads(c, features, head[1], r);
	case VIRTIO_NET_CTRL_NOTF_COAL:
		return do_coal(c, features, max_pairs, head[1], r, changed);
	default:
		return false;
	}
}

uint8_t
ctrlq_command(struct ctrlq *c, uint64_t features, uint16_t max_pairs, const uint8_t *cmd,
	      size_t len, unsigned int *changed)
{
	struct reader r = { cmd, len };

	*changed = 0;
	c->result_len = 0;
	c->commands++;
	if (dispatch(c, features, max_pairs, &r, changed))
		return VIRTIO_NET_OK;
	*changed = 0;
	c->refused++;
	return VIRTIO_NET_ERR;
}
