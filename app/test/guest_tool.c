/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a Linux guest of the end-to-end tests runs beyond busybox.
 *
 *   guest-tool serve PORT                 the far end of streams, until it is killed
 *   guest-tool stream ADDRESS PORT MIB    a stream of so much each way; 0: until SIGTERM
 *   guest-tool stream ADDRESS PORT MIB FILE
 *                                         the same; what goes out is the file's pages
 *   guest-tool channels DEVICE [PAIRS]    queue pairs in use and at most; use so many
 *   guest-tool offloads DEVICE            those of the kernel's offloads that are on
 *
 * A stream is one TCP connection that carries numbers nobody could guess, both ways at
 * once; either end checks every byte. The near end prints a line for each MiB received,
 * the far end one line a stream. A byte that is wrong ends it with exit code 1 and the
 * word "corrupt"; so does a connection that breaks, with another word.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>

#define MIB (UINT64_C(1) << 20)
#define CHUNK_LEN 65536u
#define WORD_LEN 8u
/* The two ways' numbers differ, so that what comes back is not taken for what comes. */
#define SEED_NEAR UINT64_C(0x6e65617220656e64)
#define SEED_FAR UINT64_C(0x6661722020656e64)

/* One way of a stream. */
struct way {
	uint64_t seed;
	uint64_t at; /* bytes so far */
	bool ended;
};

struct stream {
	int fd;
	uint64_t total; /* each way; UINT64_MAX: until told to end */
	struct way out, in;
	int file;  /* what goes out is in this one; -1: it is made as it goes */
	bool tell; /* print a line for each MiB received */
};

static volatile sig_atomic_t told_to_end;

static void
on_term(int sig)
{
	(void)sig;
	told_to_end = 1;
}

/* The number that stands at a place: splitmix64's output function. */
static uint64_t
word_at(uint64_t seed, uint64_t index)
{
	uint64_t z = seed + (index + 1) * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* The next len bytes, in buf, which has room for CHUNK_LEN and two words more. */
static const char *
expected(const struct way *w, char *buf, size_t len)
{
	uint64_t first = w->at / WORD_LEN, last = (w->at + len - 1) / WORD_LEN;

	for (uint64_t i = first; i <= last; i++) {
		uint64_t word = word_at(w->seed, i);

		memcpy(buf + (i - first) * WORD_LEN, &word, WORD_LEN);
	}
	return buf + w->at % WORD_LEN;
}

static size_t
chunk_len(const struct stream *s, const struct way *w)
{
	uint64_t left = s->total - w->at;

	return left < CHUNK_LEN ? (size_t)left : CHUNK_LEN;
}

/* 0 or -errno. */
static int
stream_send(struct stream *s)
{
	char buf[CHUNK_LEN + 2 * WORD_LEN];
	ssize_t n;

	if (s->out.at < s->total) {
		size_t len = chunk_len(s, &s->out);

		if (s->file >= 0)
			n = sendfile(s->fd, s->file, NULL, len);
		else
			n = send(s->fd, expected(&s->out, buf, len), len, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		s->out.at += (uint64_t)n;
	}
	if (s->out.at == s->total) {
		s->out.ended = true;
		if (shutdown(s->fd, SHUT_WR) < 0)
			return -errno;
	}
	return 0;
}

/* 0 or -errno; -EBADMSG: what came is wrong. */
static int
stream_receive(struct stream *s)
{
	char got[CHUNK_LEN], buf[CHUNK_LEN + 2 * WORD_LEN];
	uint64_t before = s->in.at / MIB;
	ssize_t n = recv(s->fd, got, sizeof(got), 0);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0) {
		s->in.ended = true;
		return s->in.at == s->total ? 0 : -ECONNABORTED;
	}
	if ((uint64_t)n > s->total - s->in.at ||
	    memcmp(got, expected(&s->in, buf, (size_t)n), (size_t)n) != 0)
		return -EBADMSG;
	s->in.at += (uint64_t)n;
	if (s->tell && s->in.at / MIB != before) {
		printf("%" PRIu64 " MiB\n", s->in.at / MIB);
		fflush(stdout);
	}
	return 0;
}

/* Both ways at once to the end. 0 or -errno, see above. */
static int
stream_run(struct stream *s)
{
	int ret = fcntl(s->fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;

	while (ret == 0 && !(s->in.ended && s->out.ended) && !told_to_end) {
		struct pollfd p = { .fd = s->fd };

		p.events = (short)((s->in.ended ? 0 : POLLIN) |
				   (s->out.ended ? 0 : POLLOUT));
		if (poll(&p, 1, -1) < 0) {
			ret = errno == EINTR ? 0 : -errno;
			continue;
		}
		if (!s->in.ended && (p.revents & (POLLIN | POLLHUP | POLLERR)) != 0)
			ret = stream_receive(s);
		if (ret == 0 && !s->out.ended && (p.revents & POLLOUT) != 0)
			ret = stream_send(s);
	}
	return ret;
}

static int
stream_result(const struct stream *s, int ret)
{
	printf("%s: %" PRIu64 " bytes in, %" PRIu64 " bytes out%s%s\n",
	       ret == 0		 ? "ok"
	       : ret == -EBADMSG ? "corrupt"
				 : "broken",
	       s->in.at, s->out.at, ret == 0 ? "" : ": ", ret == 0 ? "" : strerror(-ret));
	fflush(stdout);
	return ret == 0 ? 0 : 1;
}

/* The far end of one stream; it learns from the first bytes how long it is. */
static int
serve_one(int fd)
{
	struct stream s = {
		.fd = fd, .out.seed = SEED_FAR, .in.seed = SEED_NEAR, .file = -1
	};
	int ret;

	if (recv(fd, &s.total, sizeof(s.total), MSG_WAITALL) != sizeof(s.total))
		return 1;
	ret = stream_run(&s);
	/* a stream without an end ends when the near end has had enough */
	if (s.total == UINT64_MAX && (ret == -ECONNABORTED || ret == -ECONNRESET))
		ret = 0;
	return stream_result(&s, ret);
}

static int
serve(const char *port)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6 };
	int one = 1, fd = socket(AF_INET6, SOCK_STREAM, 0);

	a.sin6_port = htons((uint16_t)strtoul(port, NULL, 10));
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 8) < 0) {
		perror("serve");
		return 1;
	}
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int peer = accept(fd, NULL, NULL);

		if (peer < 0)
			continue;
		if (fork() == 0)
			_exit(serve_one(peer));
		close(peer);
	}
}

static int
connect_to(const char *address, const char *port)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
				  .ai_socktype = SOCK_STREAM },
			*found;
	int fd;

	if (getaddrinfo(address, port, &hints, &found) != 0)
		return -EINVAL;
	fd = socket(found->ai_family, found->ai_socktype, 0);
	if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) < 0)
		fd = -errno;
	freeaddrinfo(found);
	return fd;
}

/* A file of what goes out. Its descriptor, at its beginning, or -errno. */
static int
file_make(const struct stream *s, const char *path)
{
	char buf[CHUNK_LEN + 2 * WORD_LEN];
	struct way w = { .seed = s->out.seed };
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	if (fd < 0)
		return -errno;
	while (w.at < s->total) {
		size_t len = chunk_len(s, &w);
		ssize_t n = write(fd, expected(&w, buf, len), len);

		if (n < 0) {
			n = -errno;
			close(fd);
			return (int)n;
		}
		w.at += (uint64_t)n;
	}
	return lseek(fd, 0, SEEK_SET) < 0 ? -errno : fd;
}

static int
stream(const char *address, const char *port, const char *mib, const char *file)
{
	struct stream s = {
		.out.seed = SEED_NEAR, .in.seed = SEED_FAR, .file = -1, .tell = true
	};
	struct sigaction end = { .sa_handler = on_term };

	s.total = strtoull(mib, NULL, 10) * MIB;
	if (s.total == 0)
		s.total = UINT64_MAX;
	if (file != NULL) {
		s.file = file_make(&s, file);
		if (s.file < 0)
			return stream_result(&s, s.file);
	}
	sigaction(SIGTERM, &end, NULL);
	s.fd = connect_to(address, port);
	if (s.fd < 0)
		return stream_result(&s, s.fd);
	if (send(s.fd, &s.total, sizeof(s.total), MSG_NOSIGNAL) != sizeof(s.total))
		return stream_result(&s, -errno);
	return stream_result(&s, stream_run(&s));
}

/* An ethtool request of a device. 0 or -errno. */
static int
ethtool(const char *device, void *request)
{
	struct ifreq r = { .ifr_data = request };
	int ret, fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0)
		return -errno;
	strncpy(r.ifr_name, device, sizeof(r.ifr_name) - 1);
	ret = ioctl(fd, SIOCETHTOOL, &r) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

static int
channels(const char *device, const char *pairs)
{
	struct ethtool_channels c = { .cmd = ETHTOOL_GCHANNELS };
	int ret = ethtool(device, &c);

	if (ret == 0 && pairs != NULL) {
		c.cmd = ETHTOOL_SCHANNELS;
		c.combined_count = (uint32_t)strtoul(pairs, NULL, 10);
		ret = ethtool(device, &c);
	}
	if (ret < 0) {
		fprintf(stderr, "channels: %s\n", strerror(-ret));
		return 1;
	}
	printf("%u of %u\n", c.combined_count, c.max_combined);
	return 0;
}

static int
offloads(const char *device)
{
	static const struct {
		const char *name;
		uint32_t cmd;
	} all[] = { { "rx-csum", ETHTOOL_GRXCSUM },
		    { "tx-csum", ETHTOOL_GTXCSUM },
		    { "sg", ETHTOOL_GSG },
		    { "tso", ETHTOOL_GTSO } };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct ethtool_value v = { .cmd = all[i].cmd };

		if (ethtool(device, &v) == 0 && v.data != 0)
			printf("%s ", all[i].name);
	}
	printf("\n");
	return 0;
}

int
main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";

	if (strcmp(what, "serve") == 0)
		return serve(argv[2]);
	if (strcmp(what, "stream") == 0 && (argc == 5 || argc == 6))
		return stream(argv[2], argv[3], argv[4], argc == 6 ? argv[5] : NULL);
	if (strcmp(what, "channels") == 0)
		return channels(argv[2], argc > 3 ? argv[3] : NULL);
	if (strcmp(what, "offloads") == 0)
		return offloads(argv[2]);
	fprintf(stderr, "usage: see the top of guest_tool.c\n");
	return 2;
}
