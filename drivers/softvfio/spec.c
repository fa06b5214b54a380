/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sv_spec.h"
#include "weir_args.h"

#define NS_PER_US UINT64_C(1000)
#define MAX_US UINT64_C(3600000000)
#define DEFAULT_ARM_NS (500 * NS_PER_US)

static const struct sv_model *const models[] = { &sv_ioat, &sv_dsa };

static const struct sv_model *
model_find(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++)
		if (strlen(models[i]->name) == len &&
		    memcmp(models[i]->name, name, len) == 0)
			return models[i];
	return NULL;
}

static int
set_number(const char *value, uint64_t max, uint64_t scale, uint64_t *out)
{
	int ret = weir_arg_number(value, 0, max, out);

	*out *= ret == 0 ? scale : 1;
	return ret;
}

static int
set_group(const char *value, void *ctx)
{
	struct sv_spec *s = ctx;
	uint64_t v = 0;
	int ret = set_number(value, INT_MAX, 1, &v);

	s->group = (unsigned int)v;
	return ret;
}

static int
set_numa(const char *value, void *ctx)
{
	struct sv_spec *s = ctx;
	uint64_t v = 0;
	int ret = set_number(value, 1023, 1, &v);

	s->numa_node = (int)v;
	return ret;
}

static int
set_cpu(const char *value, void *ctx)
{
	struct sv_spec *s = ctx;
	uint64_t v = 0;
	int ret = set_number(value, 1023, 1, &v);

	s->cpu = (int)v;
	return ret;
}

static int
set_regs(const char *value, void *ctx)
{
	struct sv_spec *s = ctx;

	if (strcmp(value, "poll") == 0)
		s->regs = SV_REGS_POLL;
	else if (strcmp(value, "trap") == 0)
		s->regs = SV_REGS_TRAP;
	else
		return -EINVAL;
	return 0;
}

static int
set_arm(const char *value, void *ctx)
{
	return set_number(value, MAX_US, NS_PER_US, &((struct sv_spec *)ctx)->arm_ns);
}

static int
set_cost(const char *value, void *ctx)
{
	return set_number(value, MAX_US, NS_PER_US, &((struct sv_spec *)ctx)->cost_ns);
}

/* "N" or "N:VALUE", one of a list that a plus separates; N may be a place, "@N". */
static int
fault_parse(char *item, struct sv_fault *out)
{
	char *colon = strchr(item, ':');
	uint64_t max = out->kind == SV_FAULT_DELAY ? MAX_US : UINT32_MAX;
	int ret = 0;

	if ((colon != NULL) != (out->kind != SV_FAULT_STALL))
		return -EINVAL;
	if (colon != NULL) {
		*colon = '\0';
		ret = weir_arg_number(colon + 1, 1, max, &out->value);
	}
	if (out->kind == SV_FAULT_DELAY)
		out->value *= NS_PER_US;
	if (ret != 0)
		return ret;
	out->placed = item[0] == '@';
	return out->placed ? weir_arg_number(item + 1, 0, SV_MAX_PLACES - 1, &out->at)
			   : weir_arg_number(item, 1, UINT32_MAX, &out->at);
}

int
sv_spec_faults(const char *text, enum sv_fault_kind kind, struct sv_fault *out,
	       unsigned int *nr, unsigned int max)
{
	for (;;) {
		char item[48];
		size_t len = strcspn(text, "+");
		struct sv_fault f = { .kind = kind };
		int ret;

		if (len >= sizeof(item))
			return -EINVAL;
		if (*nr == max)
			return -ENOSPC;
		memcpy(item, text, len);
		item[len] = '\0';
		ret = fault_parse(item, &f);
		if (ret != 0)
			return ret;
		out[(*nr)++] = f;
		if (text[len] == '\0')
			return 0;
		text += len + 1;
	}
}

static int
set_faults(const char *value, struct sv_spec *s, enum sv_fault_kind kind)
{
	int ret = sv_spec_faults(value, kind, s->fault, &s->nr_faults, SV_MAX_FAULTS);

	return ret == -ENOSPC ? -EINVAL : ret;
}

static int
set_fail(const char *value, void *ctx)
{
	return set_faults(value, ctx, SV_FAULT_FAIL);
}

static int
set_delay(const char *value, void *ctx)
{
	return set_faults(value, ctx, SV_FAULT_DELAY);
}

static int
set_stall(const char *value, void *ctx)
{
	return set_faults(value, ctx, SV_FAULT_STALL);
}

static const struct weir_arg table[] = {
	{ "group", "the number of an IOMMU group", set_group },
	{ "numa", "a NUMA node", set_numa },
	{ "cpu", "a CPU number", set_cpu },
	{ "regs", "'trap' or 'poll'", set_regs },
	{ "arm", "microseconds", set_arm },
	{ "cost", "microseconds", set_cost },
	{ "fail", "N:CODE, several with + between, none 0, 64 faults at most", set_fail },
	{ "delay", "N:MICROSECONDS, several with + between, none 0", set_delay },
	{ "stall", "N, several with + between, none 0", set_stall },
};

/* The address as EAL writes it, all its digits. */
static int
bdf_parse(const char *text, size_t len, char *bdf)
{
	unsigned int domain, bus, dev, fn;
	int end = 0;

	if (len != SV_BDF_LEN - 1)
		return -EINVAL;
	memcpy(bdf, text, len);
	bdf[len] = '\0';
	/* NOLINTNEXTLINE(cert-err34-c): the length bounds each number */
	if (sscanf(bdf, "%4x:%2x:%2x.%1o%n", &domain, &bus, &dev, &fn, &end) != 4 ||
	    (size_t)end != len || dev > 0x1f)
		return -EINVAL;
	snprintf(bdf, SV_BDF_LEN, "%04x:%02x:%02x.%o", domain & 0xffff, bus & 0xff,
		 dev & 0x1f, fn & 7);
	return 0;
}

static int
device_parse(const char *text, struct sv_spec *out, char *why, size_t why_len)
{
	size_t head = strcspn(text, ",");
	const char *at = memchr(text, '@', head);

	if (at == NULL) {
		snprintf(why, why_len, "device '%s': wants MODEL@PCI-ADDRESS", text);
		return -EINVAL;
	}
	out->model = model_find(text, (size_t)(at - text));
	if (out->model == NULL) {
		snprintf(why, why_len, "device '%s': no such model", text);
		return -EINVAL;
	}
	if (bdf_parse(at + 1, head - (size_t)(at + 1 - text), out->bdf) != 0) {
		snprintf(why, why_len, "device '%s': wants an address as 0000:00:04.0",
			 text);
		return -EINVAL;
	}
	text += head;
	return weir_args_parse(*text == ',' ? text + 1 : text, table,
			       sizeof(table) / sizeof(table[0]), out, why, why_len);
}

static int
devices_parse(char *text, struct sv_spec *out, char *why, size_t why_len)
{
	unsigned int nr = 0;
	char *save = NULL;

	for (char *p = strtok_r(text, ";", &save); p != NULL;
	     p = strtok_r(NULL, ";", &save)) {
		int ret;

		if (nr == SV_MAX_DEVICES) {
			snprintf(why, why_len, "more than %d devices", SV_MAX_DEVICES);
			return -EINVAL;
		}
		out[nr] = (struct sv_spec){
			.group = nr + 1,
			.cpu = -1,
			.arm_ns = DEFAULT_ARM_NS,
		};
		ret = device_parse(p, &out[nr], why, why_len);
		if (ret != 0)
			return ret;
		for (unsigned int i = 0; i < nr; i++) {
			if (strcmp(out[i].bdf, out[nr].bdf) == 0) {
				snprintf(why, why_len, "device '%s' is there twice", p);
				return -EINVAL;
			}
		}
		nr++;
	}
	if (nr == 0)
		snprintf(why, why_len, "no device is named");
	return nr != 0 ? (int)nr : -EINVAL;
}

int
sv_spec_parse(const char *text, struct sv_spec *out, char *why, size_t why_len)
{
	char *copy = strdup(text);
	int ret;

	if (copy == NULL) {
		snprintf(why, why_len, "out of memory");
		return -ENOMEM;
	}
	ret = devices_parse(copy, out, why, why_len);
	free(copy);
	return ret;
}
