/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "net_weir.h"
#include "weir_args.h"
#include "weir_log.h"

static int
set_string(const char *value, char **out)
{
	if (value[0] == '\0')
		return -EINVAL;
	*out = strdup(value);
	return *out != NULL ? 0 : -ENOMEM;
}

static int
set_bool(const char *value, bool *out)
{
	uint64_t v;
	int ret = weir_arg_number(value, 0, 1, &v);

	if (ret == 0)
		*out = v != 0;
	return ret;
}

static int
set_iface(const char *value, void *ctx)
{
	struct net_weir_args *a = ctx;

	if (strlen(value) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return -EINVAL;
	return set_string(value, &a->iface);
}

static int
set_queues(const char *value, void *ctx)
{
	struct net_weir_args *a = ctx;
	uint64_t v;
	int ret = weir_arg_number(value, 1, WEIR_PORT_MAX_PAIRS, &v);

	if (ret == 0)
		a->queues = (uint16_t)v;
	return ret;
}

static int
set_station(const char *value, struct rte_ether_addr *mac)
{
	if (rte_ether_unformat_addr(value, mac) != 0)
		return -EINVAL;
	return rte_is_valid_assigned_ether_addr(mac) ? 0 : -EINVAL;
}

static int
set_mac(const char *value, void *ctx)
{
	return set_station(value, &((struct net_weir_args *)ctx)->mac);
}

static int
set_guest_mac(const char *value, void *ctx)
{
	return set_station(value, &((struct net_weir_args *)ctx)->guest_mac);
}

static int
set_guest_mtu(const char *value, void *ctx)
{
	struct net_weir_args *a = ctx;
	uint64_t v;
	int ret = weir_arg_number(value, RTE_ETHER_MIN_MTU, UINT16_MAX, &v);

	if (ret == 0)
		a->guest_mtu = (uint16_t)v;
	return ret;
}

static int
set_client(const char *value, void *ctx)
{
	return set_bool(value, &((struct net_weir_args *)ctx)->client);
}

static int
set_ctrl_vq(const char *value, void *ctx)
{
	return set_bool(value, &((struct net_weir_args *)ctx)->ctrl_vq);
}

static int
set_postcopy(const char *value, void *ctx)
{
	return set_bool(value, &((struct net_weir_args *)ctx)->postcopy);
}

static int
set_rss(const char *value, void *ctx)
{
	return set_bool(value, &((struct net_weir_args *)ctx)->rss);
}

static int
set_tso(const char *value, void *ctx)
{
	return set_bool(value, &((struct net_weir_args *)ctx)->tso);
}

static int
set_packed(const char *value, void *ctx)
{
	struct net_weir_args *a = ctx;
	bool packed;
	int ret = set_bool(value, &packed);

	if (ret == 0)
		a->split_only = !packed;
	return ret;
}

static int
set_linear(const char *value, void *ctx)
{
	return set_bool(value, &((struct net_weir_args *)ctx)->linear);
}

static int
set_ext_buf(const char *value, void *ctx)
{
	return set_bool(value, &((struct net_weir_args *)ctx)->ext_buf);
}

static int
set_legacy_flags(const char *value, void *ctx)
{
	return set_bool(value, &((struct net_weir_args *)ctx)->legacy_flags);
}

static int
set_inband(const char *value, void *ctx)
{
	return set_bool(value, &((struct net_weir_args *)ctx)->inband);
}

static int
set_iommu(const char *value, void *ctx)
{
	return set_bool(value, &((struct net_weir_args *)ctx)->iommu);
}

static int
set_threshold(const char *value, void *ctx)
{
	struct net_weir_args *a = ctx;
	uint64_t v;
	int ret;

	a->dma_auto = strcmp(value, "auto") == 0;
	if (a->dma_auto)
		return 0;
	ret = weir_arg_number(value, 0, UINT32_MAX, &v);

	if (ret == 0)
		a->dma_threshold = (uint32_t)v;
	return ret;
}

static int
set_policy(const char *value, void *ctx)
{
	struct net_weir_args *a = ctx;

	a->dma_near = strcmp(value, "near") == 0;
	return a->dma_near || strcmp(value, "turn") == 0 ? 0 : -EINVAL;
}

static int
set_watchdog(const char *value, void *ctx)
{
	struct net_weir_args *a = ctx;
	uint64_t ms;
	int ret = weir_arg_number(value, 0, 1000000, &ms);

	if (ret == 0)
		a->dma_watchdog_us = ms * 1000;
	return ret;
}

/* One more dmadev for a queue. */
static int
add_dma(char **list, const char *name)
{
	unsigned int nr = 1;
	char *more;

	if (*list == NULL)
		return set_string(name, list);
	for (const char *s = *list; *s != '\0'; s++)
		nr += *s == ',';
	if (name[0] == '\0' || nr == WEIR_PORT_MAX_DMAS)
		return -EINVAL;
	if (asprintf(&more, "%s,%s", *list, name) < 0)
		return -ENOMEM;
	free(*list);
	*list = more;
	return 0;
}

/* "txq0@dma_weir0" or "rxq3@0000:00:04.0" */
static int
set_dma(struct net_weir_args *a, char *item)
{
	char *name = strchr(item, '@'), **slot;
	uint64_t q;

	if (name == NULL ||
	    (strncmp(item, "txq", 3) != 0 && strncmp(item, "rxq", 3) != 0))
		return -EINVAL;
	*name++ = '\0';
	if (weir_arg_number(item + 3, 0, WEIR_PORT_MAX_PAIRS - 1, &q) != 0)
		return -EINVAL;
	slot = item[0] == 't' ? &a->dma_tx[q] : &a->dma_rx[q];
	return add_dma(slot, name);
}

static int
set_dmas(const char *value, void *ctx)
{
	char *list, *item, *rest;
	size_t len = strlen(value);
	int ret = -EINVAL;

	/* brackets, so that a shell's or a switch's own separators may be used */
	if (len < 2 || value[0] != '[' || value[len - 1] != ']')
		return -EINVAL;
	list = strndup(value + 1, len - 2);
	if (list == NULL)
		return -ENOMEM;
	for (item = strtok_r(list, ";,", &rest); item != NULL;
	     item = strtok_r(NULL, ";,", &rest)) {
		ret = set_dma(ctx, item);
		if (ret != 0)
			break;
	}
	free(list);
	return ret;
}

static const struct weir_arg arg_table[] = {
	{ "iface", "the path of a socket, of up to 107 bytes", set_iface },
	{ "queues", "a number of queue pairs from 1 to 128", set_queues },
	{ "mac", "the address of a station, such as 02:00:00:00:00:01", set_mac },
	{ "guest-mac", "the address of a station, such as 02:00:00:00:00:01",
	  set_guest_mac },
	{ "guest-mtu", "a number of bytes from 68 to 65535", set_guest_mtu },
	{ "client", "0 or 1", set_client },
	{ "ctrl-vq", "0 or 1", set_ctrl_vq },
	{ "rss", "0 or 1", set_rss },
	{ "tso", "0 or 1", set_tso },
	{ "packed", "0 or 1", set_packed },
	{ "linear-buffer", "0 or 1", set_linear },
	{ "ext-buffer", "0 or 1", set_ext_buf },
	{ "legacy-ol-flags", "0 or 1", set_legacy_flags },
	{ "iommu-support", "0 or 1", set_iommu },
	{ "inband-notifications", "0 or 1", set_inband },
	{ "postcopy-support", "0 or 1", set_postcopy },
	{ "dmas", "a list such as [txq0@dma0;rxq0@dma1], up to 8 dmadevs a queue",
	  set_dmas },
	{ "dma-policy", "'turn' or 'near'", set_policy },
	{ "dma-watchdog", "milliseconds, at most 1000000", set_watchdog },
	{ "dma-threshold", "'auto' or a number of bytes from 0 to 4294967295",
	  set_threshold },
};

/*
 * A queue that the port does not have would get no DMA and nobody would notice.
 *
 * @return 0; -EINVAL: there is one, and @p why says which.
 */
static int
dma_without_queue(const struct net_weir_args *a, char *why, size_t why_len)
{
	for (unsigned int i = a->queues; i < WEIR_PORT_MAX_PAIRS; i++) {
		const char *dma = a->dma_tx[i] != NULL ? a->dma_tx[i] : a->dma_rx[i];

		if (dma == NULL)
			continue;
		snprintf(why, why_len,
			 "argument 'dmas': %s%u@%s: there is no such queue "
			 "with queues=%u",
			 a->dma_tx[i] != NULL ? "txq" : "rxq", i, dma, a->queues);
		return -EINVAL;
	}
	return 0;
}

/* What a frontend that keeps the control queue would not ask for. */
static const char *
needs_ctrl_vq(const struct net_weir_args *a)
{
	if (a->ctrl_vq)
		return NULL;
	if (a->rss)
		return "argument 'rss=1': wants ctrl-vq=1, by which a guest configures "
		       "it";
	if (!rte_is_zero_ether_addr(&a->guest_mac))
		return "argument 'guest-mac': wants ctrl-vq=1; other frontends have one "
		       "of their own";
	if (a->guest_mtu != 0)
		return "argument 'guest-mtu': wants ctrl-vq=1; other frontends have one "
		       "of their own";
	return NULL;
}

int
net_weir_args_parse(const char *name, const char *str, struct net_weir_args *a)
{
	char why[256];
	int ret;

	*a = (struct net_weir_args){ .queues = 1, .dma_watchdog_us = UINT64_MAX };
	ret = weir_args_parse(str, arg_table, RTE_DIM(arg_table), a, why, sizeof(why));
	if (ret == 0 && a->iface == NULL) {
		snprintf(why, sizeof(why), "argument 'iface' is missing");
		ret = -EINVAL;
	}
	if (ret == 0 && a->ctrl_vq && a->queues == WEIR_PORT_MAX_PAIRS) {
		snprintf(why, sizeof(why),
			 "argument 'ctrl-vq=1': the protocol has no ring for it beside "
			 "queues=%u",
			 a->queues);
		ret = -EINVAL;
	}
	if (ret == 0 && needs_ctrl_vq(a) != NULL) {
		snprintf(why, sizeof(why), "%s", needs_ctrl_vq(a));
		ret = -EINVAL;
	}
	if (ret == 0)
		ret = dma_without_queue(a, why, sizeof(why));
	if (ret != 0)
		weir_log(WEIR_LOG_ERR, "%s: %s", name, why);
	return ret;
}

void
net_weir_args_free(struct net_weir_args *a)
{
	free(a->iface);
	a->iface = NULL;
	for (unsigned int i = 0; i < WEIR_PORT_MAX_PAIRS; i++) {
		free(a->dma_rx[i]);
		free(a->dma_tx[i]);
		a->dma_rx[i] = NULL;
		a->dma_tx[i] = NULL;
	}
}
