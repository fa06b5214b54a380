/* SPDX-License-Identifier: BSD-3-Clause */
/* What a port and its queues refuse to be made of, and with which errno. */
#include <errno.h>
#include <string.h>

#include "port_bench.h"

static enum test_result
port_of_no_sense_refused(void)
{
	static char name[65], path[109];
	const struct weir_port_conf good = { .name = "w",
					     .path = "/tmp/w",
					     .nr_pairs = 1 };
	struct weir_port_conf c;
	struct weir_port *p;

	memset(name, 'n', sizeof(name) - 1);
	memset(path, 'p', sizeof(path) - 1);
#define BAD(member, value, ret)                         \
	do {                                            \
		c = good;                               \
		c.member = value;                       \
		TEST_EQ(weir_port_create(&c, &p), ret); \
	} while (0)
	BAD(name, NULL, -EINVAL);
	BAD(name, "", -EINVAL);
	BAD(name, name, -ENAMETOOLONG);
	BAD(path, NULL, -EINVAL);
	BAD(path, "", -EINVAL);
	BAD(path, path, -ENAMETOOLONG);
	BAD(nr_pairs, 0, -EINVAL);
	BAD(nr_pairs, WEIR_PORT_MAX_PAIRS + 1, -EINVAL);
	BAD(guest_mac[0], 1, -EINVAL);
	BAD(guest_mtu, 67, -EINVAL);
	BAD(rss, true, -EINVAL);
	/* as long as they may be */
	name[63] = '\0';
	path[107] = '\0';
	c = good;
	c.name = name;
	c.path = path;
	TEST_EQ(weir_port_create(&c, &p), 0);
	weir_port_destroy(p);
	return TEST_OK;
}

static enum test_result
queue_that_is_not_there_refused(void)
{
	const struct weir_port_conf conf = { .name = "w",
					     .path = "/tmp/w",
					     .nr_pairs = 2 };
	struct weir_port *p;
	struct bench b;
	int fd;

	/* for its pool */
	TEST_EQ(bench_open(&b, NULL, 0), 0);
	TEST_EQ(weir_port_create(&conf, &p), 0);
	/* beyond what the port has */
	TEST_EQ(weir_port_rxq_setup(p, 2, pool, NULL), -ERANGE);
	TEST_EQ(weir_port_txq_setup(p, 2, NULL), -ERANGE);
	TEST_EQ(weir_port_rxq_enable(p, 2, false), -ERANGE);
	TEST_EQ(weir_port_txq_enable(p, UINT16_MAX, false), -ERANGE);
	TEST_EQ(weir_port_rxq_wake_fd(p, 2, &fd), -ERANGE);
	/* there, and not set up */
	TEST_EQ(weir_port_rxq_enable(p, 1, false), -ENOENT);
	TEST_EQ(weir_port_txq_enable(p, 1, false), -ENOENT);
	TEST_EQ(weir_port_rxq_wake_fd(p, 1, &fd), -ENOENT);
	TEST_ASSERT(weir_port_rxq(p, 1) == NULL && weir_port_txq(p, 2) == NULL);
	/* of no sense */
	TEST_EQ(weir_port_rxq_setup(p, 1, NULL, NULL), -EINVAL);
	TEST_EQ(weir_port_txq_setup(p, 1, ""), -EINVAL);
	TEST_EQ(weir_port_txq_setup(p, 1, "no_such_dmadev"), -ENODEV);
	weir_port_destroy(p);
	TEST_EQ(bench_close(&b), 0);
	return TEST_OK;
}

static const struct test_case port_args_cases[] = {
	{ "port_of_no_sense_refused", port_of_no_sense_refused },
	{ "queue_that_is_not_there_refused", queue_that_is_not_there_refused },
};
AUTOTEST_EAL(port_args_autotest, port_args_cases);
